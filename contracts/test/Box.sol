// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Box
/// @notice One value, to stand behind a proxy: it has an initializer and no constructor.
contract Box {
    address public owner;
    uint256 public value;

    event Stored(address indexed by, uint256 value);

    error AlreadyInitialized();
    error NotOwner(address caller);

    /// @notice Makes `owner_` the owner and stores `value_`. Works once.
    function initialize(address owner_, uint256 value_) external {
        if (owner != address(0)) revert AlreadyInitialized();
        owner = owner_;
        value = value_;
        emit Stored(msg.sender, value_);
    }

    /// @notice Stores a value; the owner's right.
    function store(uint256 value_) external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        value = value_;
        emit Stored(msg.sender, value_);
    }
}
