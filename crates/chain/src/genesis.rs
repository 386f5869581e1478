//! Writing block 0.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use alloy_consensus::{BlockBody, Header};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use execution::{BlockEnv, FoundingError};
use state::{AccountChange, Changes, Info, State, StateError, View};
use store::tables::{Batch, Snapshot, Tables, TablesError};
use types::genesis::GenesisAccount;
use types::{BlockRequests, ChainId, ValidatorSet};

use crate::Profile;
use crate::candidate::{Candidate, write_rows};
use crate::entry::{Entry, Genesis};
use crate::rows::{self, Block, Keys, Table, Tip};

/// Why block 0 could not be written.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The state could not be made.
    #[error("the genesis state could not be made")]
    State(#[from] StateError),
    /// The tables could not be written.
    #[error("genesis could not be written")]
    Tables(#[from] TablesError),
    /// The hub's contracts do not take what they are to begin with.
    #[error("the registry could not be founded")]
    Founding(#[from] FoundingError),
    /// The accounts do not give the state root of the header.
    #[error("the genesis accounts give state root {computed}, the header says {found}")]
    StateRoot {
        /// In the header.
        found: B256,
        /// As computed.
        computed: B256,
    },
}

impl Genesis {
    /// Writes block 0 of a chain of ours. Returns its hash.
    ///
    /// # Errors
    ///
    /// [`GenesisError`]; nothing was written.
    pub fn write(
        &self,
        profile: &Profile,
        state: &State,
        tables: &dyn Tables,
    ) -> Result<B256, GenesisError> {
        let changes = self.changes(profile)?;
        let prepared = state.prepare(&View::empty(), 0, &changes)?;
        let header = types::genesis::header(
            &self.record,
            &self.validators,
            self.creator,
            prepared.root(),
        );
        let requests = BlockRequests::genesis(&self.record, &self.validators)
            .to_requests()
            .take();
        let keys = Keys(profile.chain_id);
        let mut batch = Batch::default();
        let (record, set) = (self.record.encode(), alloy_rlp::encode(&self.validators));
        batch.put(keys.of(Table::Preimage, &keccak256(&record)), record);
        batch.put(keys.of(Table::Preimage, &keccak256(&set)), set);
        batch.put(rows::hosted_key(profile.chain_id), self.to_entry());
        let candidate = candidate(header, requests, prepared);
        write(profile, state, tables, candidate, batch)
    }

    /// The state of block 0: the accounts that every chain begins with, and on a hub its registry as it was founded.
    fn changes(&self, profile: &Profile) -> Result<Changes, GenesisError> {
        let mut accounts = types::genesis::accounts(&self.record);
        let Some(registry) = &self.registry else {
            return Ok(changes_of(accounts));
        };
        let contracts = registry.contracts.iter();
        accounts.extend(contracts.map(|(address, code)| GenesisAccount {
            address: *address,
            nonce: 1,
            balance: U256::ZERO,
            code: code.clone(),
        }));
        let env = BlockEnv {
            timestamp: self.record.genesis_ms / 1000,
            gas_limit: self.record.gas_limit,
            ..BlockEnv::default()
        };
        let before = changes_of(accounts);
        let input = registry.input.clone();
        let founded = execution::call_on(&profile.rules, &env, before, registry.called, input)?;
        Ok(founded)
    }
}

/// The chains that have a block 0 in `tables`, ascending by chain id.
///
/// # Errors
///
/// [`TablesError`]. A row that is no genesis is passed over: a later release may write others.
pub fn hosted(tables: &dyn Tables) -> Result<Vec<Genesis>, TablesError> {
    let snapshot = tables.snapshot();
    let mut chains = Vec::new();
    for row in snapshot.range(&rows::HOSTED, &rows::HOSTED_END) {
        let (_key, value) = row?;
        if let Ok(Entry::Genesis(genesis)) = Entry::decode(&value) {
            chains.push(*genesis);
        }
    }
    Ok(chains)
}

/// Where a chain in the tables is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedTip {
    /// The chain.
    pub chain_id: ChainId,
    /// Its latest block.
    pub number: u64,
    /// That block's hash.
    pub hash: B256,
}

/// Where the chains are that `concern` chooses by id and validators of the next height, ascending by chain id.
///
/// # Errors
///
/// [`TablesError`]. A row of another form is passed over.
pub fn hosted_tips(
    tables: &dyn Tables,
    concern: impl Fn(ChainId, &ValidatorSet) -> bool,
) -> Result<Vec<HostedTip>, TablesError> {
    let snapshot = tables.snapshot();
    let mut tips = Vec::new();
    // Thousands of chains have a few sets among them.
    let mut sets = HashMap::new();
    for genesis in hosted(tables)? {
        let chain_id = genesis.record.chain_id;
        let row = snapshot.get(&Keys(chain_id).tip())?;
        let Some(Tip { number, hash, .. }) = row.and_then(|row| Tip::from_row(&row)) else {
            continue;
        };
        let Some(set_hash) = named_at(&*snapshot, chain_id, number)? else {
            continue;
        };
        let set = match sets.entry(set_hash) {
            Slot::Occupied(found) => found.into_mut(),
            Slot::Vacant(free) => free.insert(set_of(&*snapshot, chain_id, set_hash)?),
        };
        if set.as_ref().is_some_and(|set| concern(chain_id, set)) {
            tips.push(HostedTip {
                chain_id,
                number,
                hash,
            });
        }
    }
    Ok(tips)
}

/// Hash of the set that the latest block of a chain names for the next height; `None` when the chain is not in `tables`.
///
/// # Errors
///
/// [`TablesError`].
pub fn named_set(tables: &dyn Tables, chain_id: ChainId) -> Result<Option<B256>, TablesError> {
    let snapshot = tables.snapshot();
    let row = snapshot.get(&Keys(chain_id).tip())?;
    match row.and_then(|row| Tip::from_row(&row)) {
        Some(tip) => named_at(&*snapshot, chain_id, tip.number),
        None => Ok(None),
    }
}

/// The validators of a chain's next height; `None` when the chain is not in `tables`.
///
/// # Errors
///
/// [`TablesError`].
pub fn validators(
    tables: &dyn Tables,
    chain_id: ChainId,
) -> Result<Option<ValidatorSet>, TablesError> {
    match named_set(tables, chain_id)? {
        Some(hash) => set_of(&*tables.snapshot(), chain_id, hash),
        None => Ok(None),
    }
}

fn named_at(
    snapshot: &dyn Snapshot,
    chain_id: ChainId,
    number: u64,
) -> Result<Option<B256>, TablesError> {
    let row = snapshot.get(&Keys(chain_id).at(Table::Seal, number))?;
    let requests = row
        .and_then(|row| rows::seal_from_row(&row))
        .and_then(|seal| BlockRequests::from_requests(&seal.requests));
    Ok(requests.map(|requests| requests.set_hash))
}

fn set_of(
    snapshot: &dyn Snapshot,
    chain_id: ChainId,
    hash: B256,
) -> Result<Option<ValidatorSet>, TablesError> {
    let row = snapshot.get(&Keys(chain_id).of(Table::Preimage, &hash))?;
    Ok(row.and_then(|row| alloy_rlp::decode_exact(&row).ok()))
}

/// What chain `chain_id` began with; `None` when it has no block 0 in `tables`.
///
/// # Errors
///
/// [`TablesError`]. A row that is no genesis is as none: a later release may write others.
pub fn find(tables: &dyn Tables, chain_id: ChainId) -> Result<Option<Genesis>, TablesError> {
    let row = tables.snapshot().get(&rows::hosted_key(chain_id))?;
    Ok(row.and_then(|row| match Entry::decode(&row) {
        Ok(Entry::Genesis(genesis)) => Some(*genesis),
        Ok(_) | Err(_) => None,
    }))
}

/// Writes a foreign block 0 with the accounts given.
///
/// # Errors
///
/// [`GenesisError`]; nothing was written.
pub fn write_foreign(
    profile: &Profile,
    state: &State,
    tables: &dyn Tables,
    header: Header,
    changes: &Changes,
) -> Result<B256, GenesisError> {
    let prepared = state.prepare(&View::empty(), 0, changes)?;
    if prepared.root() != header.state_root {
        return Err(GenesisError::StateRoot {
            found: header.state_root,
            computed: prepared.root(),
        });
    }
    let candidate = candidate(header, Vec::new(), prepared);
    write(profile, state, tables, candidate, Batch::default())
}

fn candidate(header: Header, requests: Vec<Bytes>, prepared: state::Prepared) -> Candidate {
    let body = BlockBody {
        transactions: Vec::new(),
        ommers: Vec::new(),
        withdrawals: Some(Vec::new().into()),
    };
    let block = Arc::new(Block {
        hash: header.hash_slow(),
        header,
        body,
        senders: Vec::new(),
    });
    Candidate {
        block,
        requests,
        receipts: Arc::new(Vec::new()),
        prepared,
        beside: None,
    }
}

fn write(
    profile: &Profile,
    state: &State,
    tables: &dyn Tables,
    candidate: Candidate,
    mut batch: Batch,
) -> Result<B256, GenesisError> {
    let hash = candidate.block.hash;
    write_rows(profile, state, &candidate, Bytes::new(), 0, &mut batch);
    tables.commit(batch)?;
    state.adopt(candidate.prepared);
    Ok(hash)
}

/// The accounts of a genesis as a change of the empty state.
fn changes_of(accounts: Vec<GenesisAccount>) -> Changes {
    let mut changes = Changes::default();
    for GenesisAccount {
        address,
        nonce,
        balance,
        code,
    } in accounts
    {
        let code_hash = keccak256(&code);
        if !code.is_empty() {
            changes.codes.insert(code_hash, code);
        }
        let info = Some(Info {
            nonce,
            balance,
            code_hash,
        });
        changes.accounts.insert(
            address,
            AccountChange {
                info,
                ..AccountChange::default()
            },
        );
    }
    changes
}
