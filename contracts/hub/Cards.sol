// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Card} from "./Hub.sol";
import {Signatures} from "./Signatures.sol";
import {Words} from "./Words.sol";

/// @title Cards of cities
/// @notice What a city says of itself, with the proof that whoever says so holds its node key.
library Cards {
    /// @dev The domain has no chain: a founder signs when there is none yet. What binds a card to a network is its
    /// field of that name; votes are signed in a domain with a chain, so that a card is never a vote.
    bytes32 private constant DOMAIN = keccak256(
        abi.encode(
            keccak256("EIP712Domain(string name,string version)"),
            keccak256("Causeway"),
            keccak256("1")
        )
    );
    bytes32 private constant TYPE = keccak256(
        "CityCard(uint64 version,bytes32 network,string member,address authority,string place,address node,bytes32 tlsFingerprint,string endpoint,string rpc)"
    );
    uint64 private constant VERSION = 2;

    /// @notice A card of another version.
    error UnknownCardVersion(uint64 version);
    /// @notice The card is for another network than this one.
    error WrongNetwork(bytes32 network, bytes32 expected);
    /// @notice Nobody would speak for the institution.
    error NoAuthority();
    /// @notice No certificate has this fingerprint.
    error NoFingerprint();
    /// @notice The proof is not the node key's signature of the card.
    error CardNotProven(address node, address signer);

    /// @notice Checks every word of a card, that it is for `network`, and its proof.
    function check(Card calldata card, bytes calldata proof, bytes32 network) internal pure {
        if (card.version != VERSION) revert UnknownCardVersion(card.version);
        if (card.network != network) revert WrongNetwork(card.network, network);
        if (card.authority == address(0)) revert NoAuthority();
        if (card.tlsFingerprint == 0) revert NoFingerprint();
        Words.checkMemberName(card.member);
        Words.checkPlace(card.place);
        Words.checkEndpoint(card.endpoint);
        Words.checkRpc(card.rpc);
        address signer = Signatures.recover(digest(card), proof);
        if (signer == address(0) || signer != card.node) revert CardNotProven(card.node, signer);
    }

    /// @notice What the node key signs.
    function digest(Card calldata card) internal pure returns (bytes32) {
        bytes memory first = abi.encode(
            TYPE,
            card.version,
            card.network,
            keccak256(bytes(card.member)),
            card.authority
        );
        bytes memory second = abi.encode(
            keccak256(bytes(card.place)),
            card.node,
            card.tlsFingerprint,
            keccak256(bytes(card.endpoint)),
            keccak256(bytes(card.rpc))
        );
        return keccak256(abi.encodePacked(hex"1901", DOMAIN, keccak256(bytes.concat(first, second))));
    }
}
