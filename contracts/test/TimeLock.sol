// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Time lock
/// @notice Holds what it was sent until a point in time, then pays it out to whom it was made for. Tests use
/// it to see that time passes for a chain that makes no blocks.
contract TimeLock {
    address payable public immutable beneficiary;
    /// @notice Unix seconds from which on `release` works.
    uint256 public immutable unlocksAt;
    bool public released;

    event Released(address indexed beneficiary, uint256 value, uint256 time);

    error TooEarly(uint256 time, uint256 unlocksAt);
    error AlreadyReleased();
    error PaymentFailed();

    constructor(address payable beneficiary_, uint256 unlocksAt_) payable {
        beneficiary = beneficiary_;
        unlocksAt = unlocksAt_;
    }

    /// @notice Takes funds in.
    receive() external payable {}

    /// @notice Pays all funds out, once, to the beneficiary; anyone may call it.
    function release() external {
        if (block.timestamp < unlocksAt) revert TooEarly(block.timestamp, unlocksAt);
        if (released) revert AlreadyReleased();
        released = true;
        uint256 value = address(this).balance;
        emit Released(beneficiary, value, block.timestamp);
        (bool paid, ) = beneficiary.call{value: value}("");
        if (!paid) revert PaymentFailed();
    }
}
