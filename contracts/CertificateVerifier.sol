// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Certificates, Ledger, Validator} from "./Certificates.sol";

/// @title Certificate verifier
/// @notice The library `Certificates` as a contract without state, to be called by anyone on any EVM chain.
/// Every function reverts with the library's error on what is not valid.
contract CertificateVerifier {
    /// @notice Checks a certificate given as RLP, the form in which it is stored and sent.
    /// @return height the certified height
    /// @return blockHash the certified block
    function verify(
        Ledger calldata ledger,
        Validator[] calldata set,
        bytes calldata certificate
    ) external pure returns (uint64 height, bytes32 blockHash) {
        return Certificates.verify(ledger, set, certificate);
    }

    /// @notice Checks a certificate and that `header` (RLP) is the block it certifies.
    /// @return requests the header's `requestsHash`, which commits to the set and record of the next height
    function verifyHeader(
        Ledger calldata ledger,
        Validator[] calldata set,
        bytes calldata certificate,
        bytes calldata header
    ) external pure returns (bytes32 requests) {
        (uint64 height, bytes32 blockHash) = Certificates.verify(ledger, set, certificate);
        return Certificates.verifyHeader(header, height, blockHash);
    }

    /// @notice The digest that validators sign to precommit a block.
    function commitDigest(
        Ledger calldata ledger,
        uint64 height,
        uint32 round,
        bytes32 blockHash
    ) external pure returns (bytes32) {
        return Certificates.commitDigest(ledger, height, round, blockHash);
    }

    /// @notice The hash by which headers name a validator set.
    function setHash(Validator[] calldata set) external pure returns (bytes32) {
        return Certificates.setHash(set);
    }

    /// @notice The `requestsHash` of a header that names this set and record from height `from` on.
    function requestsHash(
        bytes32 outboxRoot,
        bytes32 set,
        bytes32 record,
        uint64 from
    ) external pure returns (bytes32) {
        return Certificates.requestsHash(outboxRoot, set, record, from);
    }
}
