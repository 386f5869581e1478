// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Rules} from "./Hub.sol";

/// @title The bytes that every city of a chain has to agree on
/// @notice The record of a chain and the hash of its validators, as headers commit to them (RLP).
library Records {
    /// @notice RLP [1, chain id, genesis ms, gas limit, fee rule, [admission, root], [readers, root], [50, 60000],
    /// minimum interval, [], 0]: no forks, not a development chain, no list with a root.
    function encode(Rules memory rules) internal pure returns (bytes memory) {
        bytes memory numbers = bytes.concat(
            hex"01",
            _number(rules.chainId),
            _number(rules.genesisMs),
            _number(rules.gasLimit),
            _number(rules.feeRule)
        );
        bytes memory body = bytes.concat(
            numbers,
            _listing(rules.admission),
            _listing(rules.readers),
            // Between 50 ms and 60 s time-outs stay.
            hex"c43282ea60",
            _number(rules.minimumIntervalMs),
            hex"c080"
        );
        // The two listings alone take 70 bytes, all numbers together at most 47: always this form.
        return bytes.concat(hex"f8", bytes1(uint8(body.length)), body);
    }

    /// @notice keccak256(RLP [[address, 1], …]) of validators of equal power, given ascending.
    /// @param placed words with a node key above 64 other bits
    function setHash(uint256[] memory placed) internal pure returns (bytes32 hash) {
        // RLP of [address, 1] has but one shape: d6 94 | address | 01.
        uint256 length = placed.length * 23;
        bytes memory head = _listHead(length);
        // Each entry is written as a whole word, 9 bytes more than it has.
        bytes memory encoded = new bytes(head.length + length + 9);
        uint256 end;
        assembly ("memory-safe") {
            end := add(encoded, 32)
            mstore(end, mload(add(head, 32)))
            end := add(end, mload(head))
        }
        for (uint256 i = 0; i < placed.length; ++i) {
            uint256 node = placed[i] >> 64;
            assembly ("memory-safe") {
                mstore(end, or(shl(240, 0xd694), or(shl(80, node), shl(72, 1))))
                end := add(end, 23)
            }
        }
        assembly ("memory-safe") {
            hash := keccak256(add(encoded, 32), add(mload(head), length))
        }
    }

    /// @dev A kind with 32 zero bytes for the root of a list that it does not have.
    function _listing(uint8 kind) private pure returns (bytes memory) {
        return bytes.concat(hex"e2", _number(kind), hex"a0", bytes32(0));
    }

    /// @dev RLP of an unsigned integer.
    function _number(uint64 value) private pure returns (bytes memory) {
        if (value == 0) return hex"80";
        if (value < 0x80) return abi.encodePacked(uint8(value));
        uint256 size = 0;
        for (uint64 rest = value; rest > 0; rest >>= 8) ++size;
        bytes memory encoded = abi.encodePacked(uint8(0x80 + size), bytes8(value << (64 - 8 * uint64(size))));
        assembly ("memory-safe") {
            mstore(encoded, add(size, 1))
        }
        return encoded;
    }

    /// @dev RLP's head of a list whose items take `length` bytes; 100 validators take 2,300.
    function _listHead(uint256 length) private pure returns (bytes memory) {
        if (length <= 55) return abi.encodePacked(uint8(0xc0 + length));
        if (length <= type(uint8).max) return abi.encodePacked(uint8(0xf8), uint8(length));
        return abi.encodePacked(uint8(0xf9), uint16(length));
    }
}
