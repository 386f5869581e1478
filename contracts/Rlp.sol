// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Strict reader of RLP
/// @notice Takes one item from the front of `input` and gives the rest back, by slicing calldata: nothing
/// is copied. Only the canonical encoding is read: one value has one encoding, as a hash over it demands.
/// @dev Ethereum's yellow paper, appendix B. A caller that expects no more items checks `rest.length == 0`.
library Rlp {
    /// @notice The bytes end before the item does.
    error RlpTruncated();
    /// @notice A list where bytes were expected, or the other way round.
    error RlpUnexpectedKind();
    /// @notice Readable, but not the one canonical encoding of its value.
    error RlpNotCanonical();
    /// @notice Bytes of another length, or a number too large, than the place allows.
    error RlpOutOfRange();

    /// @notice Reads a list.
    /// @return payload the list's items, one after the other
    /// @return rest what follows the list
    function list(bytes calldata input) internal pure returns (bytes calldata payload, bytes calldata rest) {
        (bool isList, uint256 start, uint256 end) = _bounds(input);
        if (!isList) revert RlpUnexpectedKind();
        return (input[start:end], input[end:]);
    }

    /// @notice Reads a string of bytes.
    /// @return item the bytes
    /// @return rest what follows them
    function string_(bytes calldata input) internal pure returns (bytes calldata item, bytes calldata rest) {
        (bool isList, uint256 start, uint256 end) = _bounds(input);
        if (isList) revert RlpUnexpectedKind();
        return (input[start:end], input[end:]);
    }

    /// @notice Reads an item of either kind without looking at it.
    /// @return rest what follows the item
    function skip(bytes calldata input) internal pure returns (bytes calldata rest) {
        (, , uint256 end) = _bounds(input);
        return input[end:];
    }

    /// @notice Reads an unsigned integer that is at most `max`.
    function number(
        bytes calldata input,
        uint256 max
    ) internal pure returns (uint256 value, bytes calldata rest) {
        bytes calldata item;
        (item, rest) = string_(input);
        if (item.length > 32) revert RlpOutOfRange();
        if (item.length > 0 && item[0] == 0) revert RlpNotCanonical();
        for (uint256 i = 0; i < item.length; ++i) value = (value << 8) | uint8(item[i]);
        if (value > max) revert RlpOutOfRange();
    }

    /// @notice Reads exactly 32 bytes.
    function word(bytes calldata input) internal pure returns (bytes32 value, bytes calldata rest) {
        bytes calldata item;
        (item, rest) = string_(input);
        if (item.length != 32) revert RlpOutOfRange();
        value = bytes32(item);
    }

    /// @notice Reads exactly 20 bytes.
    function account(bytes calldata input) internal pure returns (address value, bytes calldata rest) {
        bytes calldata item;
        (item, rest) = string_(input);
        if (item.length != 20) revert RlpOutOfRange();
        value = address(bytes20(item));
    }

    /// @dev Where the first item's payload starts and ends, and whether it is a list.
    function _bounds(bytes calldata input) private pure returns (bool isList, uint256 start, uint256 end) {
        if (input.length == 0) revert RlpTruncated();
        uint256 tag = uint8(input[0]);
        if (tag < 0x80) return (false, 0, 1);

        isList = tag >= 0xc0;
        uint256 length = tag - (isList ? 0xc0 : 0x80);
        start = 1;
        if (length > 55) {
            // The length itself follows, in (length − 55) bytes; more than 4 is more than calldata holds.
            uint256 width = length - 55;
            if (width > 4) revert RlpOutOfRange();
            start += width;
            if (input.length < start) revert RlpTruncated();
            if (input[1] == 0) revert RlpNotCanonical();
            length = 0;
            for (uint256 i = 1; i < start; ++i) length = (length << 8) | uint8(input[i]);
            if (length <= 55) revert RlpNotCanonical();
        }
        end = start + length;
        if (input.length < end) revert RlpTruncated();
        if (!isList && length == 1 && uint8(input[start]) < 0x80) revert RlpNotCanonical();
    }
}
