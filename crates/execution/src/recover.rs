//! From bytes to a transaction with its sender, recovered once, on arrival.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::thread;

use alloy_consensus::TxEnvelope;
use alloy_consensus::crypto::RecoveryError;
use alloy_consensus::transaction::{Recovered, SignerRecoverable, TxEip4844Variant};
use alloy_eips::eip2718::{Decodable2718, Eip2718Error};
use alloy_primitives::Bytes;
use types::{Signature, remembered};

/// A signed transaction with its sender. Its hash is computed once and kept.
pub type Transaction = Recovered<TxEnvelope>;

/// Fewer transactions than this are recovered on the calling thread: starting a second one costs as much as two.
const PARALLEL_FROM: usize = 16;

/// Asked once: the system's answer takes as long as recovering a sender.
static THREADS: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, NonZeroUsize::get));

/// Why bytes are not a transaction.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Not an EIP-2718 transaction of a known type, or bytes are left over.
    #[error("not a transaction")]
    Decode(#[source] Eip2718Error),
    /// The network form of a blob transaction, with its blobs beside it.
    #[error("blob transactions with their blobs are not accepted")]
    BlobSidecar,
    /// No key made this signature, or its `s` is high (EIP-2).
    #[error("invalid signature")]
    Signature(#[source] RecoveryError),
}

/// Decodes one transaction (EIP-2718, nothing after it) and recovers its sender (C `secp256k1`, low `s` only).
/// Which chain it is for is checked by [`validate_form`](crate::validate_form).
///
/// # Errors
///
/// [`RecoverError`] when the bytes are no transaction, or nobody signed it.
pub fn recover(raw: &[u8]) -> Result<Transaction, RecoverError> {
    let transaction = TxEnvelope::decode_2718_exact(raw).map_err(RecoverError::Decode)?;
    if let TxEnvelope::Eip4844(signed) = &transaction
        && matches!(signed.tx(), TxEip4844Variant::TxEip4844WithSidecar(_))
    {
        return Err(RecoverError::BlobSidecar);
    }
    signed(transaction).map_err(RecoverError::Signature)
}

/// A decoded transaction with its sender (C `secp256k1`, low `s` only).
///
/// # Errors
///
/// No key made the signature, or its `s` is high (EIP-2).
pub fn signed(transaction: TxEnvelope) -> Result<Transaction, RecoveryError> {
    let signature = Signature(transaction.signature().as_bytes());
    let sender = remembered(transaction.signature_hash(), signature, || {
        transaction.recover_signer()
    })?;
    Ok(Recovered::new_unchecked(transaction, sender))
}

/// [`recover`]s many, in order, on as many threads as the machine has (the calling one among them).
#[must_use]
pub fn recover_all(raw: &[Bytes]) -> Vec<Result<Transaction, RecoverError>> {
    let threads = *THREADS;
    if threads < 2 || raw.len() < PARALLEL_FROM {
        return raw.iter().map(|bytes| recover(bytes)).collect();
    }
    let part = raw.len().div_ceil(threads);
    thread::scope(|scope| {
        let (own, others) = raw.split_at(part);
        let others: Vec<_> = others
            .chunks(part)
            .map(|chunk| {
                scope.spawn(move || chunk.iter().map(|bytes| recover(bytes)).collect::<Vec<_>>())
            })
            .collect();
        let mut all: Vec<_> = own.iter().map(|bytes| recover(bytes)).collect();
        for thread in others {
            match thread.join() {
                Ok(part) => all.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}
