// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";

/// @notice An ERC-20 as most are: OpenZeppelin's, with a supply for its deployer.
contract Coin is ERC20("Coin", "COIN") {
    error Never(address caller, uint256 code);

    constructor(uint256 supply) {
        _mint(msg.sender, supply);
    }

    /// @notice Fails with a custom error.
    function refuse(uint256 code) external view {
        revert Never(msg.sender, code);
    }
}

/// @notice An ERC-721 whose tokens anyone may make.
contract Deed is ERC721("Deed", "DEED") {
    /// @notice Makes token `id` for the caller.
    function mint(uint256 id) external {
        _mint(msg.sender, id);
    }
}

/// @notice What stands behind a proxy.
contract Shelf {
    uint256 public value;

    /// @notice Stores a value.
    function store(uint256 value_) external {
        value = value_;
    }
}

/// @notice OpenZeppelin's proxy.
contract Forwarder is ERC1967Proxy {
    constructor(address logic) ERC1967Proxy(logic, "") {}
}

/// @notice Opens once its time has come.
contract Gate {
    uint256 public immutable opensAt;
    bool public open;

    error TooEarly(uint256 time);

    constructor(uint256 opensAt_) {
        opensAt = opensAt_;
    }

    /// @notice Opens the gate.
    function push() external {
        if (block.timestamp < opensAt) revert TooEarly(block.timestamp);
        open = true;
    }
}
