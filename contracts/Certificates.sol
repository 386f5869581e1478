// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Rlp} from "./Rlp.sol";

/// @notice The ledger that a certificate speaks of. Together with the fixed name `Causeway` and version `1`
/// it is the EIP-712 domain of every vote.
struct Ledger {
    /// EIP-155 chain id.
    uint256 chainId;
    /// Hash of the founders' record of the network: the domain's `salt`.
    bytes32 networkId;
}

/// @notice One validator of a set. A set lists its validators by address, strictly ascending.
struct Validator {
    address account;
    /// Voting power, 1 to 64.
    uint64 power;
}

/// @notice One precommit of a certificate.
struct Precommit {
    address signer;
    /// r ‖ s ‖ v: 65 bytes, s in the lower half, v 27 or 28.
    bytes signature;
}

/// @notice Precommits by more than 2/3 of a set's power for one block.
struct Certificate {
    uint64 height;
    uint32 round;
    bytes32 blockHash;
    /// By signer, strictly ascending.
    Precommit[] precommits;
}

/// @title Certificates of Causeway chains, and what their headers commit to
/// @notice What a light client on any EVM needs: who finalised a block, and which set and rules the block
/// names for the next height.
///
/// A client that holds the set of height h follows the chain so: `verify` the certificate of block h under
/// that set, `verifyHeader` the header of h, and take the next set only if `requestsHash` over its `setHash`
/// is the header's. Nothing else has to be trusted.
/// @dev Functions revert with the first thing that is wrong and return nothing when all is right.
library Certificates {
    using Rlp for bytes;

    bytes32 private constant DOMAIN_TYPE = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)"
    );
    bytes32 private constant COMMIT_TYPE = keccak256("Commit(uint64 height,uint32 round,bytes32 blockHash)");
    bytes32 private constant NAME = keccak256("Causeway");
    bytes32 private constant VERSION = keccak256("1");

    /// @dev Version of the certificate's encoding.
    uint256 private constant FORMAT = 1;
    /// @dev No vote of a later round exists.
    uint32 private constant MAX_ROUND = 1 << 20;
    uint64 private constant MAX_POWER = 64;
    /// @dev Half the order of secp256k1: of s and n − s, which both verify, the lower one counts (EIP-2).
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @notice Set or certificate is not strictly ascending by address at this place.
    error NotAscending(uint256 index);
    /// @notice A power of 0, or above 64.
    error PowerOutOfRange(uint256 index);
    /// @notice The signer of this precommit is not in the set.
    error NotAValidator(address signer);
    /// @notice This precommit's signature is not of its signer, or not in the one allowed form.
    error BadSignature(address signer);
    /// @notice The signers hold too little: 3 × `signed` must exceed 2 × `total`.
    error NoQuorum(uint256 signed, uint256 total);
    /// @notice Nothing is certified at height 0, for the zero hash, or in a round above 2²⁰.
    error NotCertifiable();
    /// @notice The encoding is of another version than 1, or bytes follow it.
    error UnknownEncoding();
    /// @notice The header is not the one that the certificate names.
    error WrongHeader();

    /// @notice Checks a certificate under the set of its height.
    /// @param ledger the ledger that the certificate has to be of
    /// @param set the validators of the certificate's height
    /// @param certificate what to check
    function verify(
        Ledger memory ledger,
        Validator[] memory set,
        Certificate memory certificate
    ) internal pure {
        if (certificate.height == 0 || certificate.blockHash == 0 || certificate.round > MAX_ROUND) {
            revert NotCertifiable();
        }
        uint256 total = totalPower(set);
        bytes32 digest = commitDigest(ledger, certificate.height, certificate.round, certificate.blockHash);

        // Both lists ascend: one walk over them finds every signer.
        uint256 signed = 0;
        uint256 place = 0;
        address previous = address(0);
        for (uint256 i = 0; i < certificate.precommits.length; ++i) {
            Precommit memory precommit = certificate.precommits[i];
            address signer = precommit.signer;
            if (signer <= previous) revert NotAscending(i);
            while (place < set.length && set[place].account < signer) ++place;
            if (place == set.length || set[place].account != signer) revert NotAValidator(signer);
            if (_recover(digest, precommit.signature) != signer) revert BadSignature(signer);
            signed += set[place].power;
            previous = signer;
        }
        if (3 * signed <= 2 * total) revert NoQuorum(signed, total);
    }

    /// @notice Reads a certificate: RLP of [1, height, round, block hash, [[address, signature], …]].
    function decode(bytes calldata encoded) internal pure returns (Certificate memory certificate) {
        (bytes calldata fields, bytes calldata rest) = encoded.list();
        if (rest.length != 0) revert UnknownEncoding();

        uint256 value;
        (value, fields) = fields.number(type(uint64).max);
        if (value != FORMAT) revert UnknownEncoding();
        (value, fields) = fields.number(type(uint64).max);
        certificate.height = uint64(value);
        (value, fields) = fields.number(type(uint32).max);
        certificate.round = uint32(value);
        (certificate.blockHash, fields) = fields.word();
        bytes calldata precommits;
        (precommits, fields) = fields.list();
        if (fields.length != 0) revert UnknownEncoding();
        certificate.precommits = _decodePrecommits(precommits);
    }

    /// @notice Checks that `header` (RLP) is the block that `certificate` is for.
    /// @return requests the header's `requestsHash`, to compare with `requestsHash()`
    function verifyHeader(
        bytes calldata header,
        Certificate memory certificate
    ) internal pure returns (bytes32 requests) {
        if (keccak256(header) != certificate.blockHash) revert WrongHeader();
        (bytes calldata fields, ) = header.list();
        // Eight fields lie before `number`, eleven between it and `requestsHash`, which is the last one.
        for (uint256 i = 0; i < 8; ++i) fields = fields.skip();
        uint256 height;
        (height, fields) = fields.number(type(uint64).max);
        if (height != certificate.height) revert WrongHeader();
        for (uint256 i = 0; i < 11; ++i) fields = fields.skip();
        (requests, fields) = fields.word();
        if (fields.length != 0) revert WrongHeader();
    }

    /// @notice The EIP-712 digest that a validator signs to precommit a block.
    function commitDigest(
        Ledger memory ledger,
        uint64 height,
        uint32 round,
        bytes32 blockHash
    ) internal pure returns (bytes32) {
        bytes32 domain = keccak256(abi.encode(DOMAIN_TYPE, NAME, VERSION, ledger.chainId, ledger.networkId));
        bytes32 message = keccak256(abi.encode(COMMIT_TYPE, height, round, blockHash));
        return keccak256(abi.encodePacked(hex"1901", domain, message));
    }

    /// @notice keccak256(RLP [[address, power], …]): how headers and the hub name a set.
    function setHash(Validator[] memory set) internal pure returns (bytes32) {
        totalPower(set);
        bytes memory members;
        for (uint256 i = 0; i < set.length; ++i) {
            // RLP of [address, power] has but one shape, as a power takes one byte.
            members = abi.encodePacked(members, hex"d694", set[i].account, uint8(set[i].power));
        }
        return keccak256(abi.encodePacked(_listTag(members.length), members));
    }

    /// @notice The `requestsHash` of a header (EIP-7685 with this project's two requests).
    /// @param outboxRoot root of the outbox; zero until a fork defines it
    /// @param set hash of the next validators, as `setHash()` gives it
    /// @param record keccak256 of the next record's encoding
    /// @param from the height from which both hold
    function requestsHash(
        bytes32 outboxRoot,
        bytes32 set,
        bytes32 record,
        uint64 from
    ) internal pure returns (bytes32) {
        bytes32 outbox = sha256(abi.encodePacked(hex"c0", outboxRoot));
        bytes32 next = sha256(abi.encodePacked(hex"c1", set, record, from));
        return sha256(abi.encodePacked(outbox, next));
    }

    /// @notice The power of a well-formed set.
    function totalPower(Validator[] memory set) internal pure returns (uint256 total) {
        address previous = address(0);
        for (uint256 i = 0; i < set.length; ++i) {
            if (set[i].account <= previous) revert NotAscending(i);
            if (set[i].power == 0 || set[i].power > MAX_POWER) revert PowerOutOfRange(i);
            total += set[i].power;
            previous = set[i].account;
        }
    }

    function _decodePrecommits(bytes calldata items) private pure returns (Precommit[] memory precommits) {
        uint256 count = 0;
        for (bytes calldata rest = items; rest.length != 0; rest = rest.skip()) ++count;
        precommits = new Precommit[](count);
        for (uint256 i = 0; i < count; ++i) {
            bytes calldata fields;
            (fields, items) = items.list();
            (precommits[i].signer, fields) = fields.account();
            bytes calldata signature;
            (signature, fields) = fields.string_();
            if (fields.length != 0) revert UnknownEncoding();
            precommits[i].signature = signature;
        }
    }

    /// @dev The signer, or zero for anything but the one allowed form. Zero is no validator: sets ascend from
    /// above it.
    function _recover(bytes32 digest, bytes memory signature) private pure returns (address) {
        if (signature.length != 65) return address(0);
        bytes32 r;
        bytes32 s;
        uint8 v = uint8(signature[64]);
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
        }
        if (uint256(s) > HALF_ORDER || (v != 27 && v != 28)) return address(0);
        return ecrecover(digest, v, r, s);
    }

    /// @dev RLP's head of a list whose items take `length` bytes.
    function _listTag(uint256 length) private pure returns (bytes memory) {
        if (length <= 55) return abi.encodePacked(uint8(0xc0 + length));
        if (length <= type(uint8).max) return abi.encodePacked(uint8(0xf8), uint8(length));
        if (length <= type(uint16).max) return abi.encodePacked(uint8(0xf9), uint16(length));
        return abi.encodePacked(uint8(0xfa), uint24(length));
    }
}
