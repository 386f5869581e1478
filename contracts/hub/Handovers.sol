// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Handover} from "./Hub.sol";

/// @title What a handover block says and what its signers sign
/// @notice A chain's block names set and record of the next height in its header; the cities of the set before sign
/// the block's hash.
library Handovers {
    bytes32 private constant DOMAIN_TYPE = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)"
    );
    bytes32 private constant COMMIT_TYPE = keccak256("Commit(uint64 height,uint32 round,bytes32 blockHash)");

    /// @notice Whether the header names this set and record from the next height on. Its last field, `requestsHash`
    /// (EIP-7685), is that of the chain's two requests.
    function names(Handover calldata handover, bytes32 set, bytes32 record) internal pure returns (bool) {
        bytes calldata header = handover.header;
        if (header.length < 33) return false;
        bytes calldata end = header[header.length - 33:];
        uint64 from;
        // Nobody certifies a height without a next one; if it were, 0 is what it would name.
        unchecked {
            from = handover.height + 1;
        }
        bytes32 outbox = sha256(abi.encodePacked(hex"c0", handover.outboxRoot));
        bytes32 next = sha256(abi.encodePacked(hex"c1", set, record, from));
        return end[0] == 0xa0 && bytes32(end[1:]) == sha256(abi.encodePacked(outbox, next));
    }

    /// @notice What a city signs to precommit the block (EIP-712), on the chain of this id in this network.
    function digest(
        Handover calldata handover,
        bytes32 blockHash,
        uint64 chainId,
        bytes32 networkId
    ) internal pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN_TYPE, keccak256("Causeway"), keccak256("1"), chainId, networkId)
        );
        bytes32 message = keccak256(abi.encode(COMMIT_TYPE, handover.height, handover.round, blockHash));
        return keccak256(abi.encodePacked(hex"1901", domain, message));
    }
}
