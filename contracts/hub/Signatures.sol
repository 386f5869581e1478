// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @dev What a contract that speaks for somebody answers (EIP-1271).
interface IERC1271 {
    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4);
}

/// @title Signatures of keys, and of contracts that speak for somebody
library Signatures {
    /// @dev Half the order of secp256k1: of s and n − s, which both verify, the lower one counts (EIP-2).
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;
    /// @dev A wallet of many signers needs less.
    uint256 private constant GAS_OF_CONTRACT = 1_000_000;

    /// @notice Who made a signature: r ‖ s ‖ v, low s, v 27 or 28. Zero if it is in another form or of nobody.
    function recover(bytes32 digest, bytes memory signature) internal pure returns (address) {
        if (signature.length != 65) return address(0);
        bytes32 r;
        bytes32 s;
        uint8 v;
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
            v := byte(0, mload(add(signature, 96)))
        }
        if (uint256(s) > HALF_ORDER || (v != 27 && v != 28)) return address(0);
        return ecrecover(digest, v, r, s);
    }

    /// @notice Whether `account` signed: by its key, or as a contract by EIP-1271.
    /// @dev The contract is asked by staticcall, with bounded gas; of its answer one word is looked at.
    function isBy(address account, bytes32 digest, bytes memory signature) internal view returns (bool) {
        if (account == address(0)) return false;
        if (recover(digest, signature) == account) return true;
        if (account.code.length == 0) return false;
        bytes memory question = abi.encodeCall(IERC1271.isValidSignature, (digest, signature));
        bool answered;
        bytes32 answer;
        assembly ("memory-safe") {
            answered := staticcall(GAS_OF_CONTRACT, account, add(question, 32), mload(question), 0, 32)
            answered := and(answered, gt(returndatasize(), 31))
            answer := mload(0)
        }
        return answered && answer == bytes32(IERC1271.isValidSignature.selector);
    }
}
