//! Rows of a chain in the tables: blocks, receipts, certificates and their indexes.
//!
//! Key = chain id (8 bytes) ‖ table (1 byte) ‖ key, all big-endian. State has the tables below `0x40`, see `state`.
//! Every table's rows follow from the log; the [`Table::Tip`] row says how far they got.

use alloy_consensus::{
    Block as AlloyBlock, BlockBody, Header, Receipt, ReceiptEnvelope, TxEnvelope, TxType,
};
use alloy_primitives::{Address, B256, Bytes, Log};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use types::ChainId;

/// Version of all rows of this module but the tip's.
pub(crate) const VERSION: u8 = 1;

/// Version of the tip row, its first byte.
const TIP_VERSION: u8 = 2;

/// The tip row before, which says no size.
const TIP_WITHOUT_SIZE: u8 = 1;

/// Which kind of row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    /// `()` → the latest block.
    Tip = 0x40,
    /// number → hash ‖ RLP header.
    Header = 0x41,
    /// hash → number.
    Number = 0x42,
    /// number → RLP `[block without header, senders]`.
    Body = 0x43,
    /// number → RLP list of receipts without bloom.
    Receipts = 0x44,
    /// transaction hash → number ‖ index.
    Transaction = 0x45,
    /// number → RLP `[certificate, [request…]]`.
    Seal = 0x46,
    /// hash → preimage of a set or a record.
    Preimage = 0x47,
    /// height ‖ round ‖ step ‖ validator → RLP `[message, message]` that contradict each other.
    Evidence = 0x48,
}

/// Key of a hosted chain among the city's own rows: chain id 0 is no chain's.
pub(crate) fn hosted_key(chain: ChainId) -> Vec<u8> {
    let mut key = HOSTED.to_vec();
    key.extend_from_slice(&chain.get().to_be_bytes());
    key
}

/// What the keys of all hosted chains begin with, and what comes after them.
pub(crate) const HOSTED: [u8; 9] = [0, 0, 0, 0, 0, 0, 0, 0, 1];
/// The first key after those of the hosted chains.
pub(crate) const HOSTED_END: [u8; 9] = [0, 0, 0, 0, 0, 0, 0, 0, 2];

/// Key of what is kept in mind of a chain that is over here, among the city's own rows.
pub(crate) fn over_key(chain: ChainId) -> Vec<u8> {
    let mut key = OVER.to_vec();
    key.extend_from_slice(&chain.get().to_be_bytes());
    key
}

/// What the keys of all chains that are over begin with, and what comes after them.
pub(crate) const OVER: [u8; 9] = HOSTED_END;
/// The first key after those of the chains that are over.
pub(crate) const OVER_END: [u8; 9] = [0, 0, 0, 0, 0, 0, 0, 0, 3];

/// Makes keys of one chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys(pub(crate) ChainId);

impl Keys {
    pub(crate) fn key(self, table: Table, rest: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(9 + rest.len());
        key.extend_from_slice(&self.0.get().to_be_bytes());
        key.push(table as u8);
        key.extend_from_slice(rest);
        key
    }

    /// The first key after those of `table`.
    pub(crate) fn after(self, table: Table) -> Vec<u8> {
        let mut key = self.key(table, &[]);
        if let Some(last) = key.last_mut() {
            *last += 1;
        }
        key
    }

    /// The first key of all the chain's rows, the state's among them, and the first after them.
    pub(crate) fn all(self) -> (Vec<u8>, Vec<u8>) {
        let id = self.0.get();
        (id.to_be_bytes().to_vec(), (id + 1).to_be_bytes().to_vec())
    }

    pub(crate) fn tip(self) -> Vec<u8> {
        self.key(Table::Tip, &[])
    }

    pub(crate) fn at(self, table: Table, number: u64) -> Vec<u8> {
        self.key(table, &number.to_be_bytes())
    }

    pub(crate) fn evidence(self, evidence: &consensus::Equivocation) -> Vec<u8> {
        let (step, validator) = match &evidence.first {
            consensus::Message::Proposal(proposal) => (0, proposal.proposer),
            consensus::Message::Vote(vote) => (vote.kind as u8, vote.validator),
            consensus::Message::Polka(_) | consensus::Message::Round(_) => (u8::MAX, Address::ZERO),
        };
        let mut rest = evidence.first.height().to_be_bytes().to_vec();
        rest.extend_from_slice(&evidence.first.round().to_be_bytes());
        rest.push(step);
        rest.extend_from_slice(validator.as_slice());
        self.key(Table::Evidence, &rest)
    }

    pub(crate) fn of(self, table: Table, hash: &B256) -> Vec<u8> {
        self.key(table, hash.as_slice())
    }
}

/// The latest block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    /// Bytes of the chain's rows, see `quota`; of blocks that a release before wrote nothing is counted.
    pub(crate) size: u64,
}

impl Tip {
    pub(crate) fn to_row(self) -> Vec<u8> {
        let mut row = vec![TIP_VERSION];
        row.extend_from_slice(&self.number.to_be_bytes());
        row.extend_from_slice(self.hash.as_slice());
        row.extend_from_slice(&self.size.to_be_bytes());
        row
    }

    pub(crate) fn from_row(row: &[u8]) -> Option<Self> {
        let (version, rest) = row.split_first()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (hash, rest) = rest.split_first_chunk::<32>()?;
        let size = match (*version, rest) {
            (TIP_WITHOUT_SIZE, []) => 0,
            (TIP_VERSION, size) => u64::from_be_bytes(size.try_into().ok()?),
            _ => return None,
        };
        Some(Self {
            number: u64::from_be_bytes(*number),
            hash: B256::from(*hash),
            size,
        })
    }
}

/// A block with its hash and the senders of its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// The header's hash.
    pub hash: B256,
    /// Transactions; withdrawals are empty on our chains.
    pub body: BlockBody<TxEnvelope>,
    /// One for each transaction.
    pub senders: Vec<Address>,
}

impl Block {
    /// The whole block as Ethereum encodes it.
    #[must_use]
    pub fn to_rlp(&self) -> Vec<u8> {
        alloy_rlp::encode(AlloyBlock {
            header: self.header.clone(),
            body: self.body.clone(),
        })
    }
}

pub(crate) fn header_row(hash: B256, header: &Header) -> Vec<u8> {
    let mut row = Vec::with_capacity(32 + header.length());
    row.extend_from_slice(hash.as_slice());
    header.encode(&mut row);
    row
}

pub(crate) fn header_from_row(row: &[u8]) -> Option<(B256, Header)> {
    let (hash, rlp) = row.split_first_chunk::<32>()?;
    Some((B256::from(*hash), alloy_rlp::decode_exact(rlp).ok()?))
}

/// A body as it is kept.
#[derive(RlpEncodable, RlpDecodable)]
struct BodyRow {
    body: BlockBody<TxEnvelope>,
    senders: Vec<Address>,
}

pub(crate) fn body_row(block: &Block) -> Vec<u8> {
    let body = BodyRow {
        body: block.body.clone(),
        senders: block.senders.clone(),
    };
    alloy_rlp::encode(body)
}

pub(crate) fn body_from_row(row: &[u8]) -> Option<(BlockBody<TxEnvelope>, Vec<Address>)> {
    let BodyRow { body, senders } = alloy_rlp::decode_exact(row).ok()?;
    (body.transactions.len() == senders.len()).then_some((body, senders))
}

/// A receipt without its bloom, which follows from the logs.
#[derive(RlpEncodable, RlpDecodable)]
struct ReceiptRow {
    kind: u8,
    success: bool,
    cumulative_gas_used: u64,
    logs: Vec<Log>,
}

pub(crate) fn receipts_row(receipts: &[ReceiptEnvelope]) -> Vec<u8> {
    let rows: Vec<ReceiptRow> = receipts
        .iter()
        .map(|receipt| ReceiptRow {
            kind: receipt.tx_type() as u8,
            success: receipt.is_success(),
            cumulative_gas_used: receipt.cumulative_gas_used(),
            logs: receipt.logs().to_vec(),
        })
        .collect();
    alloy_rlp::encode(rows)
}

pub(crate) fn receipts_from_row(mut row: &[u8]) -> Option<Vec<ReceiptEnvelope>> {
    let rows = Vec::<ReceiptRow>::decode(&mut row).ok()?;
    rows.into_iter()
        .map(|row| {
            let kind = TxType::try_from(row.kind).ok()?;
            let receipt = Receipt {
                status: row.success.into(),
                cumulative_gas_used: row.cumulative_gas_used,
                logs: row.logs,
            };
            Some(ReceiptEnvelope::from_typed(kind, receipt))
        })
        .collect()
}

/// What stands beside a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Seal {
    /// The encoded certificate; empty for genesis.
    pub certificate: Bytes,
    /// The block's requests, each with its type byte.
    pub requests: Vec<Bytes>,
}

pub(crate) fn seal_from_row(row: &[u8]) -> Option<Seal> {
    alloy_rlp::decode_exact(row).ok()
}

/// Number and index of a transaction.
pub(crate) fn place_row(number: u64, index: u32) -> Vec<u8> {
    let mut row = number.to_be_bytes().to_vec();
    row.extend_from_slice(&index.to_be_bytes());
    row
}

pub(crate) fn place_from_row(row: &[u8]) -> Option<(u64, u32)> {
    let (number, index) = row.split_first_chunk::<8>()?;
    Some((
        u64::from_be_bytes(*number),
        u32::from_be_bytes(index.try_into().ok()?),
    ))
}

pub(crate) fn number_from_row(row: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(row.try_into().ok()?))
}
