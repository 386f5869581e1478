// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Rlp} from "./Rlp.sol";

/// @notice The ledger that a certificate speaks of. Together with the fixed name `Causeway` and version `1`
/// it is the EIP-712 domain of every vote.
struct Ledger {
    /// EIP-155 chain id.
    uint256 chainId;
    /// Hash of the founders' record of the network: the domain's `salt`.
    bytes32 networkId;
}

/// @notice One validator of a set. A set lists its validators by address, strictly ascending.
struct Validator {
    address account;
    /// Voting power, 1 to 64.
    uint64 power;
}

/// @title Certificates of Causeway chains, and what their headers commit to
/// @notice What a light client on any EVM needs: who finalised a block, and which set and rules the block
/// names for the next height.
///
/// A client that holds the set of height h follows the chain so: `verify` the certificate of block h under
/// that set, `verifyHeader` the header of h, and take the next set only if `requestsHash` over its `setHash`
/// is the header's. Nothing else has to be trusted.
/// @dev Functions revert with the first thing that is wrong. Set and certificate are read where they lie in
/// calldata, in one walk: most of what is left to pay is `ecrecover` and calldata.
library Certificates {
    using Rlp for bytes;

    bytes32 private constant DOMAIN_TYPE = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)"
    );
    bytes32 private constant COMMIT_TYPE = keccak256("Commit(uint64 height,uint32 round,bytes32 blockHash)");
    bytes32 private constant NAME = keccak256("Causeway");
    bytes32 private constant VERSION = keccak256("1");

    /// @dev Version of the certificate's encoding.
    uint256 private constant FORMAT = 1;
    /// @dev RLP of [address, signature] has but one shape: f8 58 | 94 address | b8 41 r s v.
    uint256 private constant PRECOMMIT_LENGTH = 90;
    /// @dev No vote of a later round exists.
    uint32 private constant MAX_ROUND = 1 << 20;
    uint64 private constant MAX_POWER = 64;
    /// @dev Half the order of secp256k1: of s and n − s, which both verify, the lower one counts (EIP-2).
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @notice Set or certificate is not strictly ascending by address at this place.
    error NotAscending(uint256 index);
    /// @notice A power of 0, or above 64.
    error PowerOutOfRange(uint256 index);
    /// @notice The signer of this precommit is not in the set.
    error NotAValidator(address signer);
    /// @notice This precommit's signature is not of its signer, or not in the one allowed form.
    error BadSignature(address signer);
    /// @notice The signers hold too little: 3 × `signed` must exceed 2 × `total`.
    error NoQuorum(uint256 signed, uint256 total);
    /// @notice Nothing is certified at height 0, for the zero hash, or in a round above 2²⁰.
    error NotCertifiable();
    /// @notice The encoding is of another version than 1, or bytes follow it.
    error UnknownEncoding();
    /// @notice The header is not the one that the certificate names.
    error WrongHeader();

    /// @notice Checks a certificate under the set of its height.
    /// @param ledger the ledger that the certificate has to be of
    /// @param set the validators of the certificate's height
    /// @param certificate RLP of [1, height, round, block hash, [[address, signature], …]], signers ascending;
    /// a signature is r ‖ s ‖ v: 65 bytes, s in the lower half, v 27 or 28
    /// @return height the certified height
    /// @return blockHash the certified block
    function verify(
        Ledger calldata ledger,
        Validator[] calldata set,
        bytes calldata certificate
    ) internal pure returns (uint64 height, bytes32 blockHash) {
        uint32 round;
        bytes calldata precommits;
        (height, round, blockHash, precommits) = _decode(certificate);
        if (height == 0 || blockHash == 0 || round > MAX_ROUND) revert NotCertifiable();
        bytes32 digest = commitDigest(ledger, height, round, blockHash);
        (uint256 signed, uint256 total) = _count(set, digest, precommits);
        if (3 * signed <= 2 * total) revert NoQuorum(signed, total);
    }

    /// @notice Checks that `header` (RLP) is the block that `verify` found certified.
    /// @return requests the header's `requestsHash`, to compare with `requestsHash()`
    function verifyHeader(
        bytes calldata header,
        uint64 height,
        bytes32 blockHash
    ) internal pure returns (bytes32 requests) {
        if (keccak256(header) != blockHash) revert WrongHeader();
        (bytes calldata fields, ) = header.list();
        // Eight fields lie before `number`, eleven between it and `requestsHash`, which is the last one.
        for (uint256 i = 0; i < 8; ++i) fields = fields.skip();
        uint256 number;
        (number, fields) = fields.number(type(uint64).max);
        if (number != height) revert WrongHeader();
        for (uint256 i = 0; i < 11; ++i) fields = fields.skip();
        (requests, fields) = fields.word();
        if (fields.length != 0) revert WrongHeader();
    }

    /// @notice The EIP-712 digest that a validator signs to precommit a block.
    function commitDigest(
        Ledger calldata ledger,
        uint64 height,
        uint32 round,
        bytes32 blockHash
    ) internal pure returns (bytes32) {
        bytes32 domain = keccak256(abi.encode(DOMAIN_TYPE, NAME, VERSION, ledger.chainId, ledger.networkId));
        bytes32 message = keccak256(abi.encode(COMMIT_TYPE, height, round, blockHash));
        return keccak256(abi.encodePacked(hex"1901", domain, message));
    }

    /// @notice keccak256(RLP [[address, power], …]): how headers and the hub name a set.
    function setHash(Validator[] calldata set) internal pure returns (bytes32) {
        // RLP of [address, power] has but one shape, as a power takes one byte: d6 94 | address | power.
        uint256 length = set.length * 23;
        bytes memory tag = _listTag(length);
        // The last member is written as a whole word, 9 bytes more than it has.
        bytes memory encoded = new bytes(tag.length + length + 9);
        uint256 end;
        assembly ("memory-safe") {
            end := add(encoded, 32)
            mstore(end, mload(add(tag, 32)))
            end := add(end, mload(tag))
        }
        address previous = address(0);
        for (uint256 i = 0; i < set.length; ++i) {
            uint256 power;
            (previous, power) = _validator(set, i, previous);
            assembly ("memory-safe") {
                mstore(end, or(shl(240, 0xd694), or(shl(80, previous), shl(72, power))))
                end := add(end, 23)
            }
        }
        bytes32 hash;
        assembly ("memory-safe") {
            hash := keccak256(add(encoded, 32), add(mload(tag), length))
        }
        return hash;
    }

    /// @notice The `requestsHash` of a header (EIP-7685 with this project's two requests).
    /// @param outboxRoot root of the outbox; zero until a fork defines it
    /// @param set hash of the next validators, as `setHash()` gives it
    /// @param record keccak256 of the next record's encoding
    /// @param from the height from which both hold
    function requestsHash(
        bytes32 outboxRoot,
        bytes32 set,
        bytes32 record,
        uint64 from
    ) internal pure returns (bytes32) {
        bytes32 outbox = sha256(abi.encodePacked(hex"c0", outboxRoot));
        bytes32 next = sha256(abi.encodePacked(hex"c1", set, record, from));
        return sha256(abi.encodePacked(outbox, next));
    }

    function _decode(
        bytes calldata encoded
    ) private pure returns (uint64 height, uint32 round, bytes32 blockHash, bytes calldata precommits) {
        (bytes calldata fields, bytes calldata rest) = encoded.list();
        if (rest.length != 0) revert UnknownEncoding();

        uint256 value;
        (value, fields) = fields.number(type(uint64).max);
        if (value != FORMAT) revert UnknownEncoding();
        (value, fields) = fields.number(type(uint64).max);
        height = uint64(value);
        (value, fields) = fields.number(type(uint32).max);
        round = uint32(value);
        (blockHash, fields) = fields.word();
        (precommits, fields) = fields.list();
        if (fields.length != 0 || precommits.length % PRECOMMIT_LENGTH != 0) revert UnknownEncoding();
    }

    /// @dev The power that signed `digest`, and that of the whole set. Both lists ascend: one walk over the set
    /// meets every signer.
    function _count(
        Validator[] calldata set,
        bytes32 digest,
        bytes calldata precommits
    ) private pure returns (uint256 signed, uint256 total) {
        uint256 counted = 0;
        address signer = precommits.length == 0 ? address(0) : _signer(precommits, 0);
        address account = address(0);
        for (uint256 i = 0; i < set.length; ++i) {
            uint256 power;
            (account, power) = _validator(set, i, account);
            total += power;
            // No account is zero, which stands for no signer.
            if (account != signer) continue;
            if (_recover(digest, precommits, counted) != signer) revert BadSignature(signer);
            signed += power;
            counted += PRECOMMIT_LENGTH;
            signer = counted == precommits.length ? address(0) : _signer(precommits, counted);
        }
        if (counted == precommits.length) return (signed, total);
        // The walk did not meet this signer: it stands behind one that should follow it, or is not in the set.
        address before = counted == 0 ? address(0) : _signer(precommits, counted - PRECOMMIT_LENGTH);
        if (signer <= before) revert NotAscending(counted / PRECOMMIT_LENGTH);
        revert NotAValidator(signer);
    }

    /// @dev A validator of a well-formed set, given the account of the one before it.
    function _validator(
        Validator[] calldata set,
        uint256 index,
        address previous
    ) private pure returns (address account, uint256 power) {
        uint256 word;
        assembly ("memory-safe") {
            // Two words each, inside calldata: the length was checked when the array was taken in.
            let validator := add(set.offset, mul(index, 64))
            word := calldataload(validator)
            power := calldataload(add(validator, 32))
        }
        account = address(uint160(word));
        if (word > type(uint160).max || account <= previous) revert NotAscending(index);
        if (power == 0 || power > MAX_POWER) revert PowerOutOfRange(index);
    }

    /// @dev The signer of the precommit at byte `start`, after a look at its shape.
    function _signer(bytes calldata precommits, uint256 start) private pure returns (address) {
        uint256 head;
        assembly ("memory-safe") {
            head := calldataload(add(precommits.offset, start))
        }
        if (head >> 232 != 0xf85894 || uint16(head >> 56) != 0xb841) revert UnknownEncoding();
        return address(uint160(head >> 72));
    }

    /// @dev Who made the signature of the precommit at byte `start`, or zero unless it is in the one allowed form.
    /// Zero is no validator: sets ascend from above it.
    function _recover(
        bytes32 digest,
        bytes calldata precommits,
        uint256 start
    ) private pure returns (address) {
        bytes32 r;
        bytes32 s;
        uint8 v;
        assembly ("memory-safe") {
            let signature := add(precommits.offset, add(start, 25))
            r := calldataload(signature)
            s := calldataload(add(signature, 32))
            v := byte(0, calldataload(add(signature, 64)))
        }
        if (uint256(s) > HALF_ORDER || (v != 27 && v != 28)) return address(0);
        return ecrecover(digest, v, r, s);
    }

    /// @dev RLP's head of a list whose items take `length` bytes.
    function _listTag(uint256 length) private pure returns (bytes memory) {
        if (length <= 55) return abi.encodePacked(uint8(0xc0 + length));
        if (length <= type(uint8).max) return abi.encodePacked(uint8(0xf8), uint8(length));
        if (length <= type(uint16).max) return abi.encodePacked(uint8(0xf9), uint16(length));
        return abi.encodePacked(uint8(0xfa), uint24(length));
    }
}
