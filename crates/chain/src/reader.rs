//! The read side of a chain: what a city answers from.
//!
//! A [`Moment`] is one snapshot with the latest block in it: whatever is asked of one moment fits together, however many
//! blocks are made meanwhile. Take one for a request and drop it.

use std::sync::Arc;

use alloy_consensus::{Header, ReceiptEnvelope};
use alloy_primitives::{Address, B256, Bytes};
use consensus::Equivocation;
use execution::{BlockEnv, BlockHashes};
use state::{State, View, ViewError};
use store::tables::{Snapshot, Tables, TablesError};
use types::{BlockProof, BlockRequests, FeeRule, ValidatorSet};

use crate::rows::{self, Block, Keys, Seal, Table, Tip};
use crate::{Beside, Profile, entry};

/// Reads one chain. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    profile: Arc<Profile>,
    tables: Arc<dyn Tables>,
    state: Arc<State>,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The tables could not be read.
    #[error("the chain could not be read")]
    Tables(#[from] TablesError),
    /// A row that must be there is not, or has a form that nothing writes.
    #[error("the chain is damaged: the {what} row of block {number} is missing or malformed")]
    Damaged {
        /// Which row.
        what: &'static str,
        /// Of which block.
        number: u64,
    },
    /// The chain has no genesis yet.
    #[error("the chain has no genesis yet")]
    NoGenesis,
}

impl Reader {
    /// Reads the chain `profile` in `tables`; `state` is shared with whoever writes it.
    #[must_use]
    pub fn new(profile: Arc<Profile>, tables: Arc<dyn Tables>, state: Arc<State>) -> Self {
        Self {
            profile,
            tables,
            state,
        }
    }

    /// What the chain is.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What an engine works on.
    pub(crate) fn parts(&self) -> (Arc<Profile>, Arc<dyn Tables>, Arc<State>) {
        let Self {
            profile,
            tables,
            state,
        } = self;
        (Arc::clone(profile), Arc::clone(tables), Arc::clone(state))
    }

    /// The chain as it is now.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn moment(&self) -> Result<Moment, ReadError> {
        let snapshot = self.tables.snapshot();
        let keys = Keys(self.profile.chain_id);
        let tip = snapshot.get(&keys.tip())?.ok_or(ReadError::NoGenesis)?;
        let tip = Tip::from_row(&tip).ok_or(ReadError::Damaged {
            what: "tip",
            number: 0,
        })?;
        let row = snapshot.get(&keys.at(Table::Header, tip.number))?;
        let (hash, header) = row
            .and_then(|row| rows::header_from_row(&row))
            .filter(|(hash, _)| *hash == tip.hash)
            .ok_or(ReadError::Damaged {
                what: "header",
                number: tip.number,
            })?;
        let head = Head { hash, header };
        Ok(Moment {
            profile: Arc::clone(&self.profile),
            state: Arc::clone(&self.state),
            snapshot,
            keys,
            head,
            size: tip.size,
        })
    }
}

/// The latest block's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its hash.
    pub hash: B256,
    /// The header.
    pub header: Header,
}

/// A chain at one moment. Cheap to clone; hold it for seconds.
#[derive(Clone, Debug)]
pub struct Moment {
    profile: Arc<Profile>,
    state: Arc<State>,
    snapshot: Arc<dyn Snapshot>,
    keys: Keys,
    head: Head,
    size: u64,
}

impl Moment {
    /// Bytes of the chain's rows, as [`Quota`](crate::Quota) counts them.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What the chain is.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The latest block.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Hash and header of a block; `None` above the latest.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn header(&self, number: u64) -> Result<Option<Head>, ReadError> {
        if number == self.head.header.number {
            return Ok(Some(self.head.clone()));
        }
        if number > self.head.header.number {
            return Ok(None);
        }
        let (hash, header) =
            self.required(Table::Header, number, "header", rows::header_from_row)?;
        Ok(Some(Head { hash, header }))
    }

    /// The number of the block with this hash.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn number(&self, hash: B256) -> Result<Option<u64>, ReadError> {
        let row = self.snapshot.get(&self.keys.of(Table::Number, &hash))?;
        Ok(row.and_then(|row| rows::number_from_row(&row)))
    }

    /// A whole block; `None` above the latest.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn block(&self, number: u64) -> Result<Option<Block>, ReadError> {
        let Some(Head { hash, header }) = self.header(number)? else {
            return Ok(None);
        };
        let (body, senders) = self.required(Table::Body, number, "body", rows::body_from_row)?;
        Ok(Some(Block {
            header,
            hash,
            body,
            senders,
        }))
    }

    /// The receipts of a block, in order; `None` above the latest.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn receipts(&self, number: u64) -> Result<Option<Vec<ReceiptEnvelope>>, ReadError> {
        if number > self.head.header.number {
            return Ok(None);
        }
        self.required(Table::Receipts, number, "receipts", rows::receipts_from_row)
            .map(Some)
    }

    /// Block number and index of a mined transaction.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn transaction(&self, hash: B256) -> Result<Option<(u64, u32)>, ReadError> {
        let row = self
            .snapshot
            .get(&self.keys.of(Table::Transaction, &hash))?;
        Ok(row.and_then(|row| rows::place_from_row(&row)))
    }

    /// Certificate and requests of a block.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn seal(&self, number: u64) -> Result<Option<Seal>, ReadError> {
        if number > self.head.header.number {
            return Ok(None);
        }
        self.required(Table::Seal, number, "seal", rows::seal_from_row)
            .map(Some)
    }

    /// A block with all that proves it. `None` above the latest, and on chains without certificates.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn proof(&self, number: u64) -> Result<Option<BlockProof>, ReadError> {
        let Some(head) = self.header(number)? else {
            return Ok(None);
        };
        let Some(seal) = self.seal(number)? else {
            return Ok(None);
        };
        let Some(requests) = BlockRequests::from_requests(&seal.requests) else {
            return Ok(None);
        };
        // Preimages travel with the block that first names them: the one before they hold.
        let is_new = requests.from_height == number + 1;
        let preimage = |hash| {
            if is_new {
                self.preimage(hash)
            } else {
                Ok(None)
            }
        };
        Ok(Some(BlockProof {
            header: alloy_rlp::encode(&head.header).into(),
            requests: seal.requests,
            certificate: seal.certificate,
            validators: preimage(requests.set_hash)?,
            record: preimage(requests.record_hash)?,
        }))
    }

    /// The validators of the next height.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn validators(&self) -> Result<ValidatorSet, ReadError> {
        let number = self.head.header.number;
        let damaged = |what| ReadError::Damaged { what, number };
        let seal = self.seal(number)?.ok_or(damaged("seal"))?;
        let requests =
            BlockRequests::from_requests(&seal.requests).ok_or_else(|| damaged("seal"))?;
        self.set(requests.set_hash)?.ok_or(damaged("validators"))
    }

    /// What a decided block carries to whoever takes it in: the set that it names first.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn beside(&self, number: u64) -> Result<Option<Beside>, ReadError> {
        let Some(seal) = self.seal(number)? else {
            return Ok(None);
        };
        let Some(requests) = BlockRequests::from_requests(&seal.requests) else {
            return Ok(None);
        };
        if number == 0 || requests.from_height != number + 1 {
            return Ok(None);
        }
        let set = self.set(requests.set_hash)?;
        Ok(Some(Beside { proof: None, set }))
    }

    fn set(&self, hash: B256) -> Result<Option<ValidatorSet>, ReadError> {
        let Some(preimage) = self.preimage(hash)? else {
            return Ok(None);
        };
        let set = alloy_rlp::decode_exact(&preimage);
        let number = self.head.header.number;
        let what = "validators";
        set.map(Some)
            .map_err(|_malformed| ReadError::Damaged { what, number })
    }

    /// Proofs that validators signed twice, at or above height `from`, ascending; at most `limit`.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn evidence(&self, from: u64, limit: usize) -> Result<Vec<Equivocation>, ReadError> {
        let first = self.keys.at(Table::Evidence, from);
        let end = self.keys.after(Table::Evidence);
        let mut found = Vec::new();
        for row in self.snapshot.range(&first, &end).take(limit) {
            let (_key, row) = row?;
            let damaged = ReadError::Damaged {
                what: "evidence",
                number: from,
            };
            found.push(entry::evidence_from_row(&row).map_err(|_malformed| damaged)?);
        }
        Ok(found)
    }

    /// The encoded set or record of this hash.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn preimage(&self, hash: B256) -> Result<Option<Bytes>, ReadError> {
        let row = self.snapshot.get(&self.keys.of(Table::Preimage, &hash))?;
        Ok(row.map(|row| Bytes::copy_from_slice(&row)))
    }

    /// The state after block `number`.
    ///
    /// # Errors
    ///
    /// [`ViewError`] when it is not there, or not kept any more.
    pub fn view(&self, number: u64) -> Result<View, ViewError> {
        self.state
            .view(Arc::clone(&self.snapshot), self.head.header.number, number)
    }

    /// What execution sees in the block with this header.
    #[must_use]
    pub fn env(&self, header: &Header) -> BlockEnv {
        env_of(header)
    }

    /// What execution sees in a block made at `now_ms` on the latest: `pending`.
    #[must_use]
    pub fn pending_env(&self, now_ms: u64) -> BlockEnv {
        next_env(&self.profile, &self.head, Address::ZERO, now_ms)
    }

    fn required<T>(
        &self,
        table: Table,
        number: u64,
        what: &'static str,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, ReadError> {
        let row = self.snapshot.get(&self.keys.at(table, number))?;
        row.and_then(|row| read(&row))
            .ok_or(ReadError::Damaged { what, number })
    }
}

impl BlockHashes for Moment {
    fn block_hash(&self, number: u64) -> Option<B256> {
        self.header(number).ok().flatten().map(|head| head.hash)
    }
}

/// What execution sees in the block with this header. Withdrawals and ommers are not in a header: an importer adds them.
pub(crate) fn env_of(header: &Header) -> BlockEnv {
    BlockEnv {
        number: header.number,
        beneficiary: header.beneficiary,
        timestamp: header.timestamp,
        gas_limit: header.gas_limit,
        base_fee: header.base_fee_per_gas.unwrap_or_default(),
        prev_randao: header.mix_hash,
        difficulty: header.difficulty,
        parent_beacon_block_root: header.parent_beacon_block_root,
        parent_hash: header.parent_hash,
        excess_blob_gas: header.excess_blob_gas,
        withdrawals: Vec::new(),
        ommers: Vec::new(),
    }
}

/// What execution sees in a block made on `parent` by `beneficiary` at `now_ms`; its time is never before the parent's
/// plus one millisecond.
pub(crate) fn next_env(
    profile: &Profile,
    parent: &Head,
    beneficiary: Address,
    now_ms: u64,
) -> BlockEnv {
    let header = &parent.header;
    let number = header.number + 1;
    let (timestamp, gas_limit, base_fee) = match profile.record() {
        Some(record) => (
            next_time_ms(header, now_ms) / 1000,
            record.gas_limit,
            types::header::next_base_fee(record.fee_rule, header),
        ),
        None => (
            (now_ms / 1000).max(header.timestamp + 1),
            header.gas_limit,
            types::header::next_base_fee(FeeRule::Eip1559, header),
        ),
    };
    BlockEnv {
        number,
        beneficiary,
        timestamp,
        gas_limit,
        base_fee,
        prev_randao: types::header::prev_randao(parent.hash, number),
        // The parent's citation: always allowed, and it needs no proof.
        parent_beacon_block_root: Some(header.parent_beacon_block_root.unwrap_or_default()),
        parent_hash: parent.hash,
        excess_blob_gas: Some(0),
        ..BlockEnv::default()
    }
}

/// Milliseconds of a block made on `parent` at `now_ms`.
pub(crate) fn next_time_ms(parent: &Header, now_ms: u64) -> u64 {
    let parent_ms = types::header::time_ms(parent).unwrap_or(parent.timestamp.saturating_mul(1000));
    now_ms.max(parent_ms.saturating_add(1))
}
