//! What a chain writes to the log.
//!
//! ```text
//!  payload = version (1 byte) ‖ kind (1 byte) ‖ body
//!  kind 1  genesis      RLP [record, validators, network id, [creator…], [contract…], calldata]
//!  kind 2  body         RLP [block, [request…], beside?]: before anything is signed for it
//!  kind 3  consensus    a record of `consensus`
//!  kind 4  decided      a certificate: the block is final once this is durable
//!  kind 5  transaction  as signed: it waits in the pool
//!  kind 6  silence      RLP [height]: this city lost its log and signs nothing up to there; 0 while it does not know
//!  kind 7  elsewhere    a message with this city's signature that it did not make: it signs nothing more
//!  kind 8  evidence     RLP [message, message]: one validator's, contradicting each other
//! ```

use alloy_consensus::{Block as AlloyBlock, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{Encodable, RlpDecodable, RlpEncodable};
use types::genesis::HubBlock;
use types::{Certificate, NetworkId, Record, ValidatorSet};

use crate::Beside;
use crate::candidate::Candidate;

/// The version of all entries.
const VERSION: u8 = 1;

/// One entry of a chain in the log.
#[derive(Clone, Debug)]
pub enum Entry {
    /// The chain began.
    Genesis(Box<Genesis>),
    /// A block that may be decided.
    Body {
        /// The block as Ethereum encodes it.
        block: Box<AlloyBlock<TxEnvelope>>,
        /// Its requests.
        requests: Vec<Bytes>,
        /// What it carries when it cites another hub block than its parent.
        beside: Option<Box<Beside>>,
    },
    /// What consensus must remember.
    Consensus(consensus::Record),
    /// A decision.
    Decided(Certificate),
    /// A transaction in the pool, as signed.
    Transaction(Bytes),
    /// This city lost its log.
    Silence {
        /// Up to which height it signs nothing; 0 while it does not know yet.
        until: u64,
    },
    /// Somebody else signs with this city's key.
    Elsewhere(consensus::Message),
    /// A validator signed two different messages for one step.
    Evidence(consensus::Equivocation),
}

/// What a chain's genesis follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The rules of height 1.
    pub record: Record,
    /// The validators of height 1.
    pub validators: ValidatorSet,
    /// The network.
    pub network_id: NetworkId,
    /// The hub's block that created the chain; `None` for a hub, and for a chain without one.
    pub creator: Option<HubBlock>,
    /// What a hub begins with; `None` for all other chains.
    pub registry: Option<Registry>,
}

/// The contracts that a hub begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// Where each lies, and its code as it runs.
    pub contracts: Vec<(Address, Bytes)>,
    /// Which of them is called once, by EIP-4788's system address, before block 0 has a state root.
    pub called: Address,
    /// With what.
    pub input: Bytes,
}

#[derive(RlpEncodable, RlpDecodable)]
struct GenesisBody {
    record: Bytes,
    validators: ValidatorSet,
    network_id: B256,
    /// None or one.
    creator: Vec<HubBlockBody>,
    /// None or one.
    registry: Vec<RegistryBody>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct HubBlockBody {
    hash: B256,
    ms: u64,
}

#[derive(RlpEncodable, RlpDecodable)]
struct RegistryBody {
    contracts: Vec<ContractBody>,
    called: Address,
    input: Bytes,
}

#[derive(RlpEncodable, RlpDecodable)]
struct ContractBody {
    address: Address,
    code: Bytes,
}

#[derive(RlpEncodable, RlpDecodable)]
struct SilenceBody {
    until: u64,
}

#[derive(RlpEncodable, RlpDecodable)]
struct EvidenceBody {
    first: Bytes,
    second: Bytes,
}

#[derive(RlpEncodable, RlpDecodable)]
#[rlp(trailing)]
struct BlockBody {
    block: AlloyBlock<TxEnvelope>,
    requests: Vec<Bytes>,
    beside: Option<Beside>,
}

/// Why bytes are no entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Another version or kind.
    #[error("an entry of version {version} and kind {kind} is not known to this program")]
    Unknown {
        /// First byte.
        version: u8,
        /// Second byte.
        kind: u8,
    },
    /// Fewer than two bytes.
    #[error("an entry is too short")]
    TooShort,
    /// Not RLP of the right form.
    #[error("an entry is not well-formed")]
    Rlp(#[from] alloy_rlp::Error),
    /// Not a record of consensus.
    #[error("a consensus record is not well-formed")]
    Consensus(#[from] consensus::DecodeError),
    /// Not a certificate.
    #[error("a certificate is not well-formed")]
    Certificate(#[from] types::CertificateError),
    /// Not a chain's record.
    #[error("a chain's record is not well-formed")]
    Record(#[from] types::record::RecordError),
}

impl GenesisBody {
    fn read(self) -> Result<Genesis, EntryError> {
        Ok(Genesis {
            record: Record::decode(&self.record)?,
            validators: self.validators,
            network_id: NetworkId(self.network_id),
            creator: self
                .creator
                .first()
                .map(|&HubBlockBody { hash, ms }| HubBlock { hash, ms }),
            registry: self.registry.into_iter().next().map(RegistryBody::read),
        })
    }
}

impl RegistryBody {
    fn of(registry: &Registry) -> Self {
        let contract = |(address, code): &(Address, Bytes)| ContractBody {
            address: *address,
            code: code.clone(),
        };
        Self {
            contracts: registry.contracts.iter().map(contract).collect(),
            called: registry.called,
            input: registry.input.clone(),
        }
    }

    fn read(self) -> Registry {
        let Self {
            contracts,
            called,
            input,
        } = self;
        let contract = |ContractBody { address, code }| (address, code);
        Registry {
            contracts: contracts.into_iter().map(contract).collect(),
            called,
            input,
        }
    }
}

impl Genesis {
    /// The entry's bytes.
    #[must_use]
    pub fn to_entry(&self) -> Vec<u8> {
        let mut out = vec![VERSION, 1];
        let creator = self
            .creator
            .map(|HubBlock { hash, ms }| HubBlockBody { hash, ms });
        GenesisBody {
            record: self.record.encode().into(),
            validators: self.validators.clone(),
            network_id: self.network_id.0,
            creator: creator.into_iter().collect(),
            registry: self.registry.iter().map(RegistryBody::of).collect(),
        }
        .encode(&mut out);
        out
    }
}

/// The entry of a block's body.
#[must_use]
pub(crate) fn body_entry(candidate: &Candidate) -> Vec<u8> {
    let mut out = vec![VERSION, 2];
    let block = &candidate.block;
    let block = AlloyBlock {
        header: block.header.clone(),
        body: block.body.clone(),
    };
    BlockBody {
        block,
        requests: candidate.requests.clone(),
        beside: candidate.beside.as_deref().cloned(),
    }
    .encode(&mut out);
    out
}

/// The entry of a consensus record.
#[must_use]
pub(crate) fn consensus_entry(record: &consensus::Record) -> Vec<u8> {
    let mut out = vec![VERSION, 3];
    out.extend(record.encode());
    out
}

/// The entry of a decision.
#[must_use]
pub(crate) fn decided_entry(certificate: &Certificate) -> Vec<u8> {
    let mut out = vec![VERSION, 4];
    out.extend(certificate.encode());
    out
}

/// The entry of a waiting transaction.
#[must_use]
pub(crate) fn transaction_entry(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + raw.len());
    out.extend_from_slice(&[VERSION, 5]);
    out.extend_from_slice(raw);
    out
}

/// The entry of a silence.
#[must_use]
pub(crate) fn silence_entry(until: u64) -> Vec<u8> {
    let mut out = vec![VERSION, 6];
    SilenceBody { until }.encode(&mut out);
    out
}

/// The entry of a message that somebody else made with this city's key.
#[must_use]
pub(crate) fn elsewhere_entry(message: &consensus::Message) -> Vec<u8> {
    [&[VERSION, 7], message.encode().as_slice()].concat()
}

/// The entry of two messages that contradict each other.
#[must_use]
pub(crate) fn evidence_entry(evidence: &consensus::Equivocation) -> Vec<u8> {
    let mut out = vec![VERSION, 8];
    evidence_body(evidence).encode(&mut out);
    out
}

/// The row of two messages that contradict each other.
#[must_use]
pub(crate) fn evidence_row(evidence: &consensus::Equivocation) -> Vec<u8> {
    alloy_rlp::encode(evidence_body(evidence))
}

/// Reads [`evidence_row`].
pub(crate) fn evidence_from_row(row: &[u8]) -> Result<consensus::Equivocation, EntryError> {
    let EvidenceBody { first, second } = alloy_rlp::decode_exact(row)?;
    Ok(consensus::Equivocation {
        first: consensus::Message::decode(&first)?,
        second: consensus::Message::decode(&second)?,
    })
}

fn evidence_body(evidence: &consensus::Equivocation) -> EvidenceBody {
    EvidenceBody {
        first: evidence.first.encode().into(),
        second: evidence.second.encode().into(),
    }
}

impl Entry {
    /// What a city writes first that has its key and nothing else: it may have signed before, and lost what.
    #[must_use]
    pub fn lost_log() -> Vec<u8> {
        silence_entry(0)
    }

    /// What the log of a city that lost an earlier one says of no chain in particular: chains that began before Unix
    /// millisecond `ms` may have votes of this city in the log that is lost.
    #[must_use]
    pub fn lost_log_at(ms: u64) -> Vec<u8> {
        silence_entry(ms)
    }

    /// Reads one payload of the log.
    ///
    /// # Errors
    ///
    /// [`EntryError`].
    pub fn decode(payload: &[u8]) -> Result<Self, EntryError> {
        let &[version, kind, ref body @ ..] = payload else {
            return Err(EntryError::TooShort);
        };
        match (version, kind) {
            (VERSION, 1) => {
                let genesis: GenesisBody = alloy_rlp::decode_exact(body)?;
                Ok(Self::Genesis(Box::new(genesis.read()?)))
            }
            (VERSION, 2) => {
                let BlockBody {
                    block,
                    requests,
                    beside,
                } = alloy_rlp::decode_exact(body)?;
                Ok(Self::Body {
                    block: Box::new(block),
                    requests,
                    beside: beside.map(Box::new),
                })
            }
            (VERSION, 3) => Ok(Self::Consensus(consensus::Record::decode(body)?)),
            (VERSION, 4) => Ok(Self::Decided(Certificate::decode(body)?)),
            (VERSION, 5) => Ok(Self::Transaction(Bytes::copy_from_slice(body))),
            (VERSION, 6) => {
                let SilenceBody { until } = alloy_rlp::decode_exact(body)?;
                Ok(Self::Silence { until })
            }
            (VERSION, 7) => Ok(Self::Elsewhere(consensus::Message::decode(body)?)),
            (VERSION, 8) => Ok(Self::Evidence(evidence_from_row(body)?)),
            (version, kind) => Err(EntryError::Unknown { version, kind }),
        }
    }
}
