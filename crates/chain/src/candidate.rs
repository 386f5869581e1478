//! A block that may be decided: built here, or taken in and executed.

use std::sync::Arc;

use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, Header, ReceiptEnvelope, TxEnvelope, proofs,
};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B64, Bytes, keccak256};
use execution::{BlockEnv, ExecuteError, Executed, ExecutionError, Executor, Refused, Transaction};
use state::{Prepared, State, StateError, ViewError};
use store::tables::Batch;
use types::citation::MAX_HUB_BLOCKS;
use types::{BlockRequests, ValidatorSet};

use crate::reader::{next_env, next_time_ms};
use crate::rows::{self, Block, Keys, Seal, Table, Tip};
use crate::{Beside, Cited, Moment, Profile, Unnamed, own_set};

/// Most bytes of the transactions of one block, as signed: EIP-7934's 10 MiB for a block less its margin of 2 MiB.
pub const MAX_BLOCK_BYTES: usize = 8 << 20;

/// Most transactions looked at for one block: a block of the default gas limit holds 2,857 transfers.
pub(crate) const MAX_LOOKED_AT: usize = 16_384;

/// A block with all that follows from executing it on its parent.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) block: Arc<Block>,
    pub(crate) requests: Vec<Bytes>,
    pub(crate) receipts: Arc<Vec<ReceiptEnvelope>>,
    pub(crate) prepared: Prepared,
    /// What it carries when it cites another hub block than its parent.
    pub(crate) beside: Option<Box<Beside>>,
}

impl Candidate {
    /// The set from the next height on, when it is another.
    pub(crate) fn next_set(&self) -> Option<&ValidatorSet> {
        self.beside.as_ref()?.set.as_ref()
    }

    /// Whether its citation is as far from its parent's as one proof reaches.
    pub(crate) fn is_on_the_way(&self) -> bool {
        let proof = self.beside.as_ref().and_then(|it| it.proof.as_ref());
        proof.is_some_and(|proof| proof.to.len() >= MAX_HUB_BLOCKS)
    }
}

/// A candidate built here, and the transactions that could not be in it.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) candidate: Candidate,
    /// Those that cannot run now or ever: they leave the pool.
    pub(crate) refused: RefusedTransactions,
}

/// Transactions with what is wrong with them.
type RefusedTransactions = Vec<(Arc<Transaction>, Refused)>;

/// Why no block could be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The parent's state is not there.
    #[error("the parent's state could not be read")]
    View(#[from] ViewError),
    /// The state could not be read.
    #[error("the state could not be read")]
    State(#[from] StateError),
    /// Execution failed.
    #[error("a block could not be executed")]
    Execution(#[from] ExecutionError),
    /// Its own registry speaks in riddles.
    #[error(transparent)]
    Unnamed(#[from] Unnamed),
}

/// What a block is to be, beside its transactions.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) beneficiary: Address,
    pub(crate) now_ms: u64,
    pub(crate) requests: BlockRequests,
    /// The hub block that it cites, in place of its parent's.
    pub(crate) cited: Option<Cited>,
    /// Gas after which it takes no further transaction.
    pub(crate) enough_gas: u64,
}

/// Builds the block after the latest one of `parent`.
pub(crate) fn build(
    profile: &Profile,
    state: &State,
    parent: &Moment,
    wanted: Wanted,
    transactions: Vec<Arc<Transaction>>,
) -> Result<Built, BuildError> {
    let Wanted {
        beneficiary,
        now_ms,
        requests,
        cited,
        enough_gas,
    } = wanted;
    let mut env = next_env(profile, parent.head(), beneficiary, now_ms);
    if let Some(cited) = &cited {
        env.parent_beacon_block_root = Some(cited.block.hash);
    }
    let view = parent.view(parent.head().header.number)?;
    let mut executor = Executor::new(&profile.rules, env.clone(), &view, parent)?;
    let (taken, refused) = fill(&mut executor, env.gas_limit, enough_gas, transactions)?;
    let executed = executor.finish()?;
    let number = parent.head().header.number + 1;
    let prepared = state.prepare(&view, number, &executed.changes)?;
    let (body, senders) = body_of(&taken);
    let extra_data = types::header::extra_data(next_time_ms(&parent.head().header, now_ms));
    let own_set = match profile.has_hub() {
        true => None,
        false => own_set::after(&executed)?,
    };
    let requests = match &own_set {
        Some(set) => requests.followed_by(number, set.hash(), requests.record_hash),
        None => requests,
    };
    let header = assemble(&env, &executed, &body, &prepared, extra_data, &requests);
    let block = Arc::new(Block {
        hash: header.hash_slow(),
        header,
        body,
        senders,
    });
    let requests = requests.to_requests().take();
    let candidate = Candidate {
        block,
        requests,
        receipts: Arc::new(executed.receipts),
        prepared,
        beside: match own_set {
            Some(set) => Some(Box::new(Beside::own(set))),
            None => cited.map(|cited| Box::new(cited.into())),
        },
    };
    Ok(Built { candidate, refused })
}

/// Executes what a block takes of `transactions`, in order; gives those, and those that cannot run now or ever.
fn fill(
    executor: &mut Executor<'_>,
    gas_limit: u64,
    enough_gas: u64,
    transactions: Vec<Arc<Transaction>>,
) -> Result<(Vec<Arc<Transaction>>, RefusedTransactions), BuildError> {
    let mut taken = Vec::with_capacity(transactions.len());
    let mut refused = Vec::new();
    // A sender whose transaction did not fit gives no later one to this block: its nonces would not follow.
    let mut skipped = std::collections::HashSet::new();
    let mut bytes = 0;
    for transaction in transactions {
        let gas_left = executor.gas_left();
        let has_enough = !taken.is_empty() && gas_limit - gas_left >= enough_gas;
        if has_enough || gas_left < MIN_TRANSACTION_GAS {
            break;
        }
        if skipped.contains(&transaction.signer()) {
            continue;
        }
        let length = transaction.encode_2718_len();
        if bytes + length > MAX_BLOCK_BYTES {
            skipped.insert(transaction.signer());
            continue;
        }
        match executor.execute(&transaction) {
            Ok(_outcome) => {
                bytes += length;
                taken.push(transaction);
            }
            Err(ExecuteError::Refused(reason)) => {
                skipped.insert(transaction.signer());
                if !matches!(
                    reason,
                    Refused::BlockGas { .. } | Refused::FeeBelowBaseFee { .. }
                ) {
                    refused.push((transaction, reason));
                }
            }
            Err(ExecuteError::Failed(error)) => return Err(error.into()),
        }
    }
    Ok((taken, refused))
}

/// No transaction costs less.
const MIN_TRANSACTION_GAS: u64 = 21_000;

fn body_of(transactions: &[Arc<Transaction>]) -> (BlockBody<TxEnvelope>, Vec<Address>) {
    let senders = transactions
        .iter()
        .map(|transaction| transaction.signer())
        .collect();
    let transactions = transactions
        .iter()
        .map(|transaction| transaction.inner().clone())
        .collect();
    (
        BlockBody {
            transactions,
            ommers: Vec::new(),
            withdrawals: Some(Vec::new().into()),
        },
        senders,
    )
}

fn assemble(
    env: &BlockEnv,
    executed: &Executed,
    body: &BlockBody<TxEnvelope>,
    prepared: &Prepared,
    extra_data: Bytes,
    requests: &BlockRequests,
) -> Header {
    Header {
        parent_hash: env.parent_hash,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: env.beneficiary,
        state_root: prepared.root(),
        transactions_root: proofs::calculate_transaction_root(&body.transactions),
        receipts_root: executed.receipts_root,
        logs_bloom: executed.logs_bloom,
        number: env.number,
        gas_limit: env.gas_limit,
        gas_used: executed.gas_used,
        timestamp: env.timestamp,
        extra_data,
        mix_hash: env.prev_randao,
        nonce: B64::ZERO,
        base_fee_per_gas: Some(env.base_fee),
        withdrawals_root: Some(alloy_consensus::EMPTY_ROOT_HASH),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: env.parent_beacon_block_root,
        requests_hash: Some(requests.hash()),
        ..Header::default()
    }
}

/// All rows of a decided block. `before` is how many bytes the chain's rows had until now; given back is how many they have
/// with it.
pub(crate) fn write_rows(
    profile: &Profile,
    state: &State,
    candidate: &Candidate,
    certificate: Bytes,
    before: u64,
    batch: &mut Batch,
) -> u64 {
    let keys = Keys(profile.chain_id);
    let block = &candidate.block;
    let number = block.header.number;
    let grown = state.write(&candidate.prepared, batch);
    let of_state = batch.writes.len();
    batch.put(
        keys.at(Table::Header, number),
        rows::header_row(block.hash, &block.header),
    );
    batch.put(
        keys.of(Table::Number, &block.hash),
        number.to_be_bytes().to_vec(),
    );
    batch.put(keys.at(Table::Body, number), rows::body_row(block));
    batch.put(
        keys.at(Table::Receipts, number),
        rows::receipts_row(&candidate.receipts),
    );
    for (transaction, index) in block.body.transactions.iter().zip(0_u32..) {
        batch.put(
            keys.of(Table::Transaction, transaction.hash()),
            rows::place_row(number, index),
        );
    }
    let seal = Seal {
        certificate,
        requests: candidate.requests.clone(),
    };
    batch.put(keys.at(Table::Seal, number), alloy_rlp::encode(seal));
    if let Some(set) = candidate.next_set() {
        let set = alloy_rlp::encode(set);
        batch.put(keys.of(Table::Preimage, &keccak256(&set)), set);
    }
    let of_block = batch.writes.iter().skip(of_state);
    let of_block: usize = of_block
        .map(|(key, row)| key.len() + row.as_ref().map_or(0, Vec::len))
        .sum();
    let of_block = u64::try_from(of_block).unwrap_or(u64::MAX);
    let size = before.saturating_add(of_block).saturating_add_signed(grown);
    let tip = Tip {
        number,
        hash: block.hash,
        size,
    };
    // Last, so that a reader of the rows as they are written would see it last as well.
    batch.put(keys.tip(), tip.to_row());
    size
}
