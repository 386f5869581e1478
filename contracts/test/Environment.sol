// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Environment
/// @notice What a contract sees of the block and transaction it runs in.
contract Environment {
    struct View {
        uint256 number;
        uint256 timestamp;
        uint256 gasLimit;
        uint256 baseFee;
        uint256 gasPrice;
        uint256 prevRandao;
        uint256 chainId;
        address coinbase;
        bytes32 parentHash;
    }

    /// @notice What the last `record` saw.
    View public recorded;

    /// @notice What a call sees.
    function current() public view returns (View memory) {
        return
            View({
                number: block.number,
                timestamp: block.timestamp,
                gasLimit: block.gaslimit,
                baseFee: block.basefee,
                gasPrice: tx.gasprice,
                prevRandao: block.prevrandao,
                chainId: block.chainid,
                coinbase: block.coinbase,
                parentHash: blockhash(block.number - 1)
            });
    }

    /// @notice Keeps what a transaction sees.
    function record() external {
        recorded = current();
    }
}
