// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice Tells what a call costs the contract that makes it.
contract Meter {
    /// @notice Calls `target` and gives the gas that the call itself used: neither the transaction's base
    /// cost nor its calldata.
    function measure(address target, bytes calldata data) external view returns (bool success, uint256 used) {
        bytes memory input = data;
        uint256 before = gasleft();
        (success, ) = target.staticcall(input);
        used = before - gasleft();
    }
}
