//! Taking in a block that somebody else made: executed, and every root compared.
//!
//! Our own blocks and the blocks of Ethereum's that conformance suites bring go through the same code; they differ in
//! the rules between headers and in the certificate, which foreign chains do not have.

use std::sync::Arc;

use alloy_consensus::{Block as AlloyBlock, BlockBody, Header, TxEnvelope, proofs};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{B256, Bytes};
use execution::{
    BlockEnv, ExecuteError, Executed, ExecutionError, Executor, Ommer, Transaction, validate_form,
};
use state::{State, StateError, ViewError};
use store::tables::{Batch, Tables, TablesError};
use types::CitationError;
use types::header::HeaderError;

use crate::candidate::{Candidate, write_rows};
use crate::reader::env_of;
use crate::rows::Block;
use crate::{Beside, Lineage, Moment, Profile, own_set};

/// Why a block is not one of this chain's.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A field that follows from the parent.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A field that follows from execution.
    #[error("block {number} has a wrong {field}: {found}, execution gives {computed}")]
    Differs {
        /// The block.
        number: u64,
        /// The field's name in JSON-RPC.
        field: &'static str,
        /// In the header.
        found: String,
        /// As computed.
        computed: String,
    },
    /// A transaction that nobody signed.
    #[error("transaction {index} of block {number} has no valid signature")]
    Signature {
        /// The block.
        number: u64,
        /// Its place.
        index: usize,
    },
    /// A transaction that cannot stand there.
    #[error("transaction {index} of block {number} cannot be executed")]
    Transaction {
        /// The block.
        number: u64,
        /// Its place.
        index: usize,
        /// Why.
        source: ExecuteError,
    },
    /// The requests beside the block are not those of its header, or name what the hub does not hold for the chain.
    #[error("the requests of block {number} are not those that it must have")]
    Requests {
        /// The block.
        number: u64,
    },
    /// What stands beside the block does not prove what it cites. The header does not commit to that: another city may have
    /// the proof.
    #[error("the citation of block {number} is not proven")]
    Citation {
        /// The block.
        number: u64,
        /// Why.
        source: CitationError,
    },
    /// The block's execution names other validators of the hub than stand beside it.
    #[error("block {number} of the hub names other validators than its registry does")]
    OwnSet {
        /// The block.
        number: u64,
    },
    /// More cities leave with a block than may at once.
    #[error("more cities leave with block {number} than may at once")]
    Handover {
        /// The block.
        number: u64,
    },
    /// The hub holds another record for the chain, and this release changes none.
    #[error(
        "block {number} changes the chain's record, which this release does not know how to do"
    )]
    Record {
        /// The block.
        number: u64,
    },
    /// Its transactions have more bytes than a block's may.
    #[error("the transactions of block {number} have {bytes} bytes, more than a block's may")]
    TooLarge {
        /// The block.
        number: u64,
        /// As signed.
        bytes: usize,
    },
    /// The parent's state is not there.
    #[error("the parent's state could not be read")]
    View(#[from] ViewError),
    /// The state could not be read.
    #[error("the state could not be read")]
    State(#[from] StateError),
    /// Execution failed.
    #[error("the block could not be executed")]
    Execution(#[from] ExecutionError),
    /// The tables could not be written.
    #[error("the block could not be written")]
    Tables(#[from] TablesError),
}

impl ImportError {
    /// Whether the block may be good and this city merely could not tell.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::View(_) | Self::State(_) | Self::Execution(_) | Self::Tables(_)
        )
    }
}

/// Executes `block` on the latest block of `parent` and compares all that its header says. Whether what stands beside a
/// block of ours is right is the caller's matter, but for its being what the header commits to; a foreign block's requests
/// follow from execution.
pub(crate) fn execute(
    profile: &Profile,
    state: &State,
    parent: &Moment,
    block: AlloyBlock<TxEnvelope>,
    beside: Option<Stands>,
) -> Result<Candidate, ImportError> {
    let transactions = recovered(block.header.number, &block.body.transactions)?;
    execute_recovered(profile, state, parent, block, &transactions, beside)
}

/// What stands beside a block of ours.
#[derive(Debug, Default)]
pub(crate) struct Stands {
    pub(crate) requests: Vec<Bytes>,
    pub(crate) beside: Option<Box<Beside>>,
}

/// [`execute`] for a block whose senders are known already: `transactions` are those of its body.
pub(crate) fn execute_recovered<T: AsRef<Transaction>>(
    profile: &Profile,
    state: &State,
    parent: &Moment,
    block: AlloyBlock<TxEnvelope>,
    transactions: &[T],
    stands: Option<Stands>,
) -> Result<Candidate, ImportError> {
    let AlloyBlock { header, body } = block;
    let number = header.number;
    check_parent(profile, parent, &header)?;
    let view = parent.view(parent.head().header.number)?;
    let executed = run(
        profile,
        env_of_block(&header, &body),
        parent,
        &view,
        transactions,
    )?;

    let same =
        |holds: bool, field, found: &dyn std::fmt::Display, computed: &dyn std::fmt::Display| {
            if holds {
                return Ok(());
            }
            Err(ImportError::Differs {
                number,
                field,
                found: found.to_string(),
                computed: computed.to_string(),
            })
        };
    let computed = proofs::calculate_transaction_root(&body.transactions);
    let found = &header.transactions_root;
    same(*found == computed, "transactionsRoot", found, &computed)?;
    let (found, computed) = (&header.gas_used, &executed.gas_used);
    same(found == computed, "gasUsed", found, computed)?;
    let (found, computed) = (&header.receipts_root, &executed.receipts_root);
    same(found == computed, "receiptsRoot", found, computed)?;
    let (found, computed) = (&header.logs_bloom, &executed.logs_bloom);
    same(found == computed, "logsBloom", found, computed)?;
    let Stands { requests, beside } = stands.unwrap_or_else(|| Stands {
        requests: executed.requests.clone().take(),
        beside: None,
    });
    if let Some(hash) = header.requests_hash
        && Requests::new(requests.clone()).requests_hash() != hash
    {
        return Err(ImportError::Requests { number });
    }
    if !names_its_set(profile, &executed, beside.as_deref()) {
        return Err(ImportError::OwnSet { number });
    }
    let prepared = state.prepare(&view, number, &executed.changes)?;
    let (found, computed) = (&header.state_root, &prepared.root());
    same(found == computed, "stateRoot", found, computed)?;
    let senders = transactions
        .iter()
        .map(|transaction| transaction.as_ref().signer())
        .collect();
    let block = Arc::new(Block {
        hash: header.hash_slow(),
        header,
        body,
        senders,
    });
    Ok(Candidate {
        block,
        requests,
        receipts: Arc::new(executed.receipts),
        prepared,
        beside,
    })
}

/// Whether the set that stands beside a block of a chain without a hub is what its own registry says, if it has one.
fn names_its_set(profile: &Profile, executed: &Executed, beside: Option<&Beside>) -> bool {
    if matches!(profile.lineage, Lineage::Foreign) || profile.has_hub() {
        return true;
    }
    let stands = beside.and_then(|beside| beside.set.as_ref());
    own_set::after(executed).is_ok_and(|own| own.as_ref() == stands)
}

/// What execution sees in a whole block.
fn env_of_block(header: &Header, body: &BlockBody<TxEnvelope>) -> BlockEnv {
    let mut env = env_of(header);
    env.withdrawals = body.withdrawals.clone().unwrap_or_default().into_inner();
    env.ommers = body
        .ommers
        .iter()
        .map(|ommer| Ommer {
            number: ommer.number,
            beneficiary: ommer.beneficiary,
        })
        .collect();
    env
}

fn check_parent(profile: &Profile, parent: &Moment, header: &Header) -> Result<(), ImportError> {
    let head = parent.head();
    match &profile.lineage {
        Lineage::Causeway { record, .. } => {
            types::header::check_against_parent(
                record,
                &head.header,
                head.hash,
                header,
                profile.has_hub(),
            )?;
        }
        Lineage::Foreign => {
            let refuse = |field| {
                Err(HeaderError {
                    number: header.number,
                    field,
                }
                .into())
            };
            if header.parent_hash != head.hash {
                return refuse("parentHash");
            }
            if header.number != head.header.number + 1 {
                return refuse("number");
            }
        }
    }
    Ok(())
}

fn recovered(number: u64, transactions: &[TxEnvelope]) -> Result<Vec<Transaction>, ImportError> {
    let recover = |(index, transaction): (usize, &TxEnvelope)| {
        let signed = execution::signed(transaction.clone());
        signed.map_err(|_nobody| ImportError::Signature { number, index })
    };
    transactions.iter().enumerate().map(recover).collect()
}

fn run<T: AsRef<Transaction>>(
    profile: &Profile,
    env: BlockEnv,
    parent: &Moment,
    view: &state::View,
    transactions: &[T],
) -> Result<execution::Executed, ImportError> {
    let number = env.number;
    let block_gas = env.gas_limit;
    let mut executor = Executor::new(&profile.rules, env, view, parent)?;
    for (index, transaction) in transactions.iter().map(AsRef::as_ref).enumerate() {
        let refused = |source| ImportError::Transaction {
            number,
            index,
            source,
        };
        validate_form(&profile.rules, transaction, block_gas)
            .map_err(|form| refused(execution::Refused::from(form).into()))?;
        executor.execute(transaction).map_err(refused)?;
    }
    Ok(executor.finish()?)
}

/// Executes a foreign block and writes it: what conformance suites use in place of a certified one.
///
/// # Errors
///
/// [`ImportError`]; nothing was written.
pub fn import_foreign(
    profile: &Profile,
    state: &State,
    tables: &dyn Tables,
    parent: &Moment,
    block: AlloyBlock<TxEnvelope>,
) -> Result<B256, ImportError> {
    let candidate = execute(profile, state, parent, block, None)?;
    let hash = candidate.block.hash;
    let mut batch = Batch::default();
    write_rows(
        profile,
        state,
        &candidate,
        Bytes::new(),
        parent.size(),
        &mut batch,
    );
    tables.commit(batch)?;
    state.adopt(candidate.prepared);
    Ok(hash)
}
