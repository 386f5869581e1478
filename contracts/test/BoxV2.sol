// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Box} from "./Box.sol";

/// @title Box, second version
/// @notice What a proxy in front of `Box` is upgraded to.
contract BoxV2 is Box {
    /// @notice The version, by which a test sees that the upgrade took place.
    function version() external pure returns (uint256) {
        return 2;
    }
}
