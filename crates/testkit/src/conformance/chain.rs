//! The chain that the cases ask about: `genesis.json` and `chain.rlp`, imported block by block through
//! the production executor and root check under Ethereum's rules. Only the certificate, which such a
//! chain does not have, is not checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy_consensus::{Block, EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, TxEnvelope};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_genesis::Genesis;
use alloy_primitives::{B256, U256, keccak256};
use alloy_rlp::Decodable;
use chain::genesis::write_foreign;
use chain::import::{ImportError, import_foreign};
use chain::{GenesisError, Lineage, Profile, ReadError, Reader};
use execution::{RequestsRule, Rules, SpecId};
use state::{AccountChange, Changes, History, Info, State, StateError, View};
use store::{LsmOptions, LsmTables, Tables, TablesError};
use tempfile::TempDir;
use types::ChainId;
use types::identity::ChainIdError;

/// Memory for branches: the whole chain fits.
const CACHE_BYTES: usize = 32 << 20;

/// Why the chain could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `genesis.json` is no genesis.
    #[error("not a genesis")]
    Genesis(#[from] serde_json::Error),
    /// `chain.rlp` is not a row of blocks.
    #[error("not a row of blocks, after {blocks}")]
    Blocks {
        /// How many could be read.
        blocks: usize,
        /// What was wrong.
        source: alloy_rlp::Error,
    },
    /// The chain id is not one of ours.
    #[error(transparent)]
    ChainId(#[from] ChainIdError),
    /// The tables cannot be used.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// The genesis state cannot be made.
    #[error(transparent)]
    State(#[from] StateError),
    /// The genesis block cannot be written.
    #[error(transparent)]
    WriteGenesis(#[from] GenesisError),
    /// The chain cannot be read back.
    #[error(transparent)]
    ReadBack(#[from] ReadError),
    /// A block was refused.
    #[error("block {number} was refused")]
    Import {
        /// Which.
        number: u64,
        /// Why.
        source: Box<ImportError>,
    },
}

/// An imported chain, in a temporary folder.
#[derive(Debug)]
pub struct Imported {
    /// Reads it.
    pub reader: Reader,
    /// How many blocks it has besides the first.
    pub height: u64,
    /// The hash of the last.
    pub head: B256,
    /// Goes when this is dropped.
    _folder: TempDir,
}

/// Imports the chain in `folder`.
///
/// # Errors
///
/// [`ChainError`].
pub fn import(folder: &Path) -> Result<Imported, ChainError> {
    let genesis: Genesis = serde_json::from_slice(&read(&folder.join("genesis.json"))?)?;
    let profile = Arc::new(Profile {
        chain_id: ChainId::new(genesis.config.chain_id)?,
        rules: rules(&genesis),
        lineage: Lineage::Foreign,
    });
    let own_folder =
        TempDir::with_prefix("rpc-conformance-").map_err(|source| ChainError::Read {
            path: std::env::temp_dir(),
            source,
        })?;
    let tables: Arc<dyn Tables> = Arc::new(LsmTables::open(
        &own_folder.path().join("tables"),
        LsmOptions::small(),
    )?);
    let state = Arc::new(State::new(profile.chain_id, History::All, CACHE_BYTES));
    let reader = Reader::new(
        Arc::clone(&profile),
        Arc::clone(&tables),
        Arc::clone(&state),
    );

    let changes = accounts(&genesis);
    let root = state.prepare(&View::empty(), 0, &changes)?.root();
    let mut head = write_foreign(&profile, &state, &*tables, header(&genesis, root), &changes)?;
    let mut height = 0;
    for block in blocks(&read(&folder.join("chain.rlp"))?)? {
        let number = block.header.number;
        head = import_foreign(&profile, &state, &*tables, &reader.moment()?, block).map_err(
            |source| ChainError::Import {
                number,
                source: Box::new(source),
            },
        )?;
        height = number;
    }
    Ok(Imported {
        reader,
        height,
        head,
        _folder: own_folder,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, ChainError> {
    std::fs::read(path).map_err(|source| ChainError::Read {
        path: path.to_path_buf(),
        source,
    })
}

/// Prague from the first block, as the folder's README says.
fn rules(genesis: &Genesis) -> Rules {
    let mut rules = Rules::ethereum(genesis.config.chain_id, SpecId::PRAGUE);
    let deposit_contract = genesis.config.deposit_contract_address.unwrap_or_default();
    rules.requests = RequestsRule::Ethereum { deposit_contract };
    rules
}

fn accounts(genesis: &Genesis) -> Changes {
    let mut changes = Changes::default();
    for (address, account) in &genesis.alloc {
        let code = account.code.clone().unwrap_or_default();
        let code_hash = keccak256(&code);
        if !code.is_empty() {
            changes.codes.insert(code_hash, code);
        }
        let nonce = account.nonce.unwrap_or_default();
        let storage = account.storage.iter().flatten();
        let storage = storage
            .map(|(slot, value)| (U256::from_be_bytes(slot.0), U256::from_be_bytes(value.0)));
        let change = AccountChange {
            info: Some(Info {
                nonce,
                balance: account.balance,
                code_hash,
            }),
            wiped: false,
            storage: storage.collect(),
        };
        changes.accounts.insert(*address, change);
    }
    changes
}

/// Block 0 under Prague: what a genesis leaves out is empty or zero.
fn header(genesis: &Genesis, state_root: B256) -> Header {
    Header {
        parent_hash: B256::ZERO,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: genesis.coinbase,
        state_root,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        difficulty: genesis.difficulty,
        gas_limit: genesis.gas_limit,
        timestamp: genesis.timestamp,
        extra_data: genesis.extra_data.clone(),
        mix_hash: genesis.mix_hash,
        nonce: genesis.nonce.to_be_bytes().into(),
        base_fee_per_gas: genesis
            .base_fee_per_gas
            .map(|fee| u64::try_from(fee).unwrap_or(u64::MAX)),
        withdrawals_root: Some(EMPTY_ROOT_HASH),
        blob_gas_used: Some(genesis.blob_gas_used.unwrap_or_default()),
        excess_blob_gas: Some(genesis.excess_blob_gas.unwrap_or_default()),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

fn blocks(mut bytes: &[u8]) -> Result<Vec<Block<TxEnvelope>>, ChainError> {
    let mut blocks = Vec::new();
    while !bytes.is_empty() {
        let block = Block::decode(&mut bytes).map_err(|source| ChainError::Blocks {
            blocks: blocks.len(),
            source,
        })?;
        blocks.push(block);
    }
    Ok(blocks)
}
