// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Reverter
/// @notice Fails in every way a contract can fail.
contract Reverter {
    uint256 public writes;

    error Refused(address caller, uint256 code);

    /// @notice Fails with a reason in words.
    function withReason(string calldata reason) external {
        ++writes;
        revert(reason);
    }

    /// @notice Fails with a custom error.
    function withError(uint256 code) external {
        ++writes;
        revert Refused(msg.sender, code);
    }

    /// @notice Fails with Panic(0x11), an overflow.
    function withPanic(uint256 value) external {
        writes = value + type(uint256).max;
    }

    /// @notice Fails without a word.
    function withNothing() external {
        ++writes;
        assembly ("memory-safe") {
            revert(0, 0)
        }
    }

    /// @notice Fails by an invalid opcode, which takes all gas.
    function withInvalid() external {
        ++writes;
        assembly ("memory-safe") {
            invalid()
        }
    }

    /// @notice Never ends: takes all gas it is given.
    function forever() external {
        while (true) ++writes;
    }
}
