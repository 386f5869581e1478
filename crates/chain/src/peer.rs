//! What cities of one chain say to each other, and its bytes on a link.
//!
//! ```text
//!  message = version (1 byte) ‖ kind (1 byte) ‖ body
//!  kind 1   consensus        a message of `consensus`, with its own version and kind
//!  kind 2   outline          RLP [header, [request…], [transaction hash…], beside?]: a proposed block, its transactions by hash
//!  kind 3   get outline      RLP [block hash]
//!  kind 4   get bodies       RLP [block hash, [index…]]: transactions of a proposed block that are not here
//!  kind 5   bodies           RLP [block hash, [[index, transaction as signed]…]]
//!  kind 6   tip              RLP [number, block hash]
//!  kind 7   certificate      a certificate of the sender's latest block
//!  kind 8   get blocks       RLP [first number]
//!  kind 9   blocks           RLP [[block, [request…], certificate, beside?]…]: ascending, without a gap
//!  kind 10  transactions     RLP [transaction as signed…]: for the pool
//!  kind 11  get certificate  RLP []: of the latest block; answered by kind 7, or by kind 6 where there is only genesis
//! ```
//!
//! Decoding bounds everything: the whole by the class of the message, lists by what a block may hold. Whether a message is
//! true is the engine's matter.

use alloy_consensus::{Block as AlloyBlock, Header, TxEnvelope};
use alloy_primitives::{B256, Bytes};
use alloy_rlp::{Encodable, RlpDecodable, RlpEncodable};
use types::Certificate;

use crate::Beside;
use crate::candidate::{MAX_BLOCK_BYTES, MAX_LOOKED_AT};

/// The version of all messages.
const VERSION: u8 = 1;

/// The largest message that carries blocks or parts of them: a block's transactions, and a mebibyte for what is beside
/// them.
pub const MAX_BLOCKS_BYTES: usize = MAX_BLOCK_BYTES + (1 << 20);

/// The largest message of transactions for the pool.
pub const MAX_TRANSACTIONS_BYTES: usize = 1 << 20;

/// Most transactions for the pool in one message.
pub const MAX_TRANSACTIONS: usize = 4_096;

/// Most blocks in one message.
pub const MAX_BLOCKS: usize = 64;

/// Requests of one block: an outbox and what the next height holds. A later fork may add some.
const MAX_REQUESTS: usize = 16;

/// A message between two cities of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage {
    /// A message of consensus.
    Consensus(consensus::Message),
    /// A proposed block.
    Outline(Box<Outline>),
    /// A wish for the outline of a proposed block.
    GetOutline {
        /// The block.
        block_hash: B256,
    },
    /// A wish for transactions of a proposed block.
    GetBodies {
        /// The block.
        block_hash: B256,
        /// Their places in the block, ascending.
        indexes: Vec<u32>,
    },
    /// Transactions of a proposed block.
    Bodies {
        /// The block.
        block_hash: B256,
        /// Each with its place in the block.
        bodies: Vec<Body>,
    },
    /// The sender's latest block.
    Tip {
        /// Its number.
        number: u64,
        /// Its hash.
        hash: B256,
    },
    /// The certificate of the sender's latest block: the answer to a late vote.
    Certificate(Certificate),
    /// A wish for decided blocks.
    GetBlocks {
        /// The first of them.
        from: u64,
    },
    /// Decided blocks.
    Blocks(Vec<Certified>),
    /// Transactions for the pool.
    Transactions(Vec<Bytes>),
    /// A wish for the certificate of the latest block.
    GetCertificate,
}

/// A block whose transactions are named by their hashes.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
#[rlp(trailing)]
pub struct Outline {
    /// The header.
    pub header: Header,
    /// The requests beside it.
    pub requests: Vec<Bytes>,
    /// Its transactions, in order.
    pub transactions: Vec<B256>,
    /// What it carries when it cites another hub block than its parent.
    pub beside: Option<Beside>,
}

/// One transaction of a block.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Body {
    /// Its place in the block.
    pub index: u32,
    /// The transaction as signed.
    pub raw: Bytes,
}

/// A decided block with what proves it.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
#[rlp(trailing)]
pub struct Certified {
    /// The block as Ethereum encodes it.
    pub block: AlloyBlock<TxEnvelope>,
    /// Its requests.
    pub requests: Vec<Bytes>,
    /// Its certificate, encoded.
    pub certificate: Bytes,
    /// The set from the next height on, when the block names another than its parent.
    pub beside: Option<Beside>,
}

/// How urgent a message is: which queue of a link it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerClass {
    /// What a height waits for.
    Consensus,
    /// Transactions for the pool.
    Transactions,
    /// Blocks for a city that was away.
    Sync,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Wanted {
    block_hash: B256,
}

#[derive(RlpEncodable, RlpDecodable)]
struct WantedBodies {
    block_hash: B256,
    indexes: Vec<u32>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Bodies {
    block_hash: B256,
    bodies: Vec<Body>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Tip {
    number: u64,
    hash: B256,
}

#[derive(RlpEncodable, RlpDecodable)]
struct First {
    from: u64,
}

/// Bytes that are no message.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Fewer than the two bytes before the body.
    #[error("it ends before it begins")]
    TooShort,
    /// More than a message of its kind may have.
    #[error("{bytes} bytes are more than a message of kind {kind} has")]
    TooLarge {
        /// The kind.
        kind: u8,
        /// How many.
        bytes: usize,
    },
    /// A version or kind that this release does not know.
    #[error("version {version} and kind {kind} are not known to this release")]
    Unknown {
        /// First byte.
        version: u8,
        /// Second byte.
        kind: u8,
    },
    /// Not the RLP of that kind, or something after it.
    #[error("not the encoding of its kind")]
    Rlp(#[from] alloy_rlp::Error),
    /// Not a message of consensus.
    #[error("not a message of consensus")]
    Consensus(#[from] consensus::DecodeError),
    /// Not a certificate.
    #[error("not a certificate")]
    Certificate(#[from] types::CertificateError),
    /// A list longer than it can be.
    #[error("{count} {what} are too many")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
    },
}

impl PeerMessage {
    /// Which queue of a link it takes. Requests go where their answers go, so that one cannot overtake the other.
    #[must_use]
    pub const fn class(&self) -> PeerClass {
        match self {
            Self::Consensus(_)
            | Self::Outline(_)
            | Self::GetOutline { .. }
            | Self::GetBodies { .. }
            | Self::Bodies { .. }
            | Self::Tip { .. }
            | Self::GetCertificate
            | Self::Certificate(_) => PeerClass::Consensus,
            Self::GetBlocks { .. } | Self::Blocks(_) => PeerClass::Sync,
            Self::Transactions(_) => PeerClass::Transactions,
        }
    }

    /// Whether it is about a height that is being agreed on, and so of use to who votes.
    #[must_use]
    pub const fn is_of_a_height(&self) -> bool {
        match self {
            Self::Consensus(_)
            | Self::Outline(_)
            | Self::GetOutline { .. }
            | Self::GetBodies { .. }
            | Self::Bodies { .. } => true,
            Self::Tip { .. }
            | Self::GetCertificate
            | Self::Certificate(_)
            | Self::GetBlocks { .. }
            | Self::Blocks(_)
            | Self::Transactions(_) => false,
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let of = |kind: u8, body: &dyn Encodable| {
            let mut out = Vec::with_capacity(2 + body.length());
            out.extend([VERSION, kind]);
            body.encode(&mut out);
            out
        };
        match self {
            Self::Consensus(message) => [&[VERSION, 1], message.encode().as_slice()].concat(),
            Self::Outline(outline) => of(2, outline),
            Self::GetOutline { block_hash } => of(
                3,
                &Wanted {
                    block_hash: *block_hash,
                },
            ),
            Self::GetBodies {
                block_hash,
                indexes,
            } => of(
                4,
                &WantedBodies {
                    block_hash: *block_hash,
                    indexes: indexes.clone(),
                },
            ),
            Self::Bodies { block_hash, bodies } => of(
                5,
                &Bodies {
                    block_hash: *block_hash,
                    bodies: bodies.clone(),
                },
            ),
            Self::Tip { number, hash } => of(
                6,
                &Tip {
                    number: *number,
                    hash: *hash,
                },
            ),
            Self::Certificate(certificate) => {
                [&[VERSION, 7], certificate.encode().as_slice()].concat()
            }
            Self::GetBlocks { from } => of(8, &First { from: *from }),
            Self::Blocks(blocks) => of(9, blocks),
            Self::Transactions(transactions) => of(10, transactions),
            Self::GetCertificate => of(11, &Vec::<u8>::new()),
        }
    }

    /// Reads one message that fills `bytes`. Never panics.
    ///
    /// # Errors
    ///
    /// [`PeerError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, PeerError> {
        let &[version, kind, ref body @ ..] = bytes else {
            return Err(PeerError::TooShort);
        };
        if version != VERSION || !(1..=11).contains(&kind) {
            return Err(PeerError::Unknown { version, kind });
        }
        if body.len() > most_bytes(kind) {
            let bytes = body.len();
            return Err(PeerError::TooLarge { kind, bytes });
        }
        let message = match kind {
            1 => Self::Consensus(consensus::Message::decode(body)?),
            2 => Self::Outline(Box::new(alloy_rlp::decode_exact(body)?)),
            3 => {
                let Wanted { block_hash } = alloy_rlp::decode_exact(body)?;
                Self::GetOutline { block_hash }
            }
            4 => {
                let WantedBodies {
                    block_hash,
                    indexes,
                } = alloy_rlp::decode_exact(body)?;
                Self::GetBodies {
                    block_hash,
                    indexes,
                }
            }
            5 => {
                let Bodies { block_hash, bodies } = alloy_rlp::decode_exact(body)?;
                Self::Bodies { block_hash, bodies }
            }
            6 => {
                let Tip { number, hash } = alloy_rlp::decode_exact(body)?;
                Self::Tip { number, hash }
            }
            7 => Self::Certificate(Certificate::decode(body)?),
            8 => {
                let First { from } = alloy_rlp::decode_exact(body)?;
                Self::GetBlocks { from }
            }
            9 => Self::Blocks(alloy_rlp::decode_exact(body)?),
            10 => Self::Transactions(alloy_rlp::decode_exact(body)?),
            _ => match body {
                [alloy_rlp::EMPTY_LIST_CODE] => Self::GetCertificate,
                _ => return Err(alloy_rlp::Error::Custom("more than an empty list").into()),
            },
        };
        message.check_lengths()?;
        Ok(message)
    }

    fn check_lengths(&self) -> Result<(), PeerError> {
        let at_most = |what, count: usize, most: usize| {
            if count <= most {
                Ok(())
            } else {
                Err(PeerError::TooMany { what, count })
            }
        };
        match self {
            Self::Outline(outline) => {
                at_most("requests", outline.requests.len(), MAX_REQUESTS)?;
                at_most("transactions", outline.transactions.len(), MAX_LOOKED_AT)
            }
            Self::GetBodies { indexes, .. } => at_most("indexes", indexes.len(), MAX_LOOKED_AT),
            Self::Bodies { bodies, .. } => at_most("transactions", bodies.len(), MAX_LOOKED_AT),
            Self::Blocks(blocks) => {
                at_most("blocks", blocks.len(), MAX_BLOCKS)?;
                blocks
                    .iter()
                    .try_for_each(|block| at_most("requests", block.requests.len(), MAX_REQUESTS))
            }
            Self::Transactions(transactions) => {
                at_most("transactions", transactions.len(), MAX_TRANSACTIONS)
            }
            Self::Consensus(_)
            | Self::GetOutline { .. }
            | Self::Tip { .. }
            | Self::Certificate(_)
            | Self::GetCertificate
            | Self::GetBlocks { .. } => Ok(()),
        }
    }
}

/// Packs transactions in order into messages for the pool, each as full as can be and small enough to be read.
pub fn packed(transactions: impl IntoIterator<Item = Bytes>) -> impl Iterator<Item = PeerMessage> {
    // An RLP string has a head of at most four bytes here; the list and the message's own head take a few more.
    const HEAD: usize = 4;
    const MESSAGE_HEAD: usize = 16;
    let mut left = transactions.into_iter().peekable();
    std::iter::from_fn(move || {
        let (mut batch, mut bytes) = (Vec::from_iter(left.next()), MESSAGE_HEAD);
        bytes += batch.first()?.len() + HEAD;
        while batch.len() < MAX_TRANSACTIONS
            && let Some(raw) =
                left.next_if(|raw| bytes + raw.len() + HEAD <= MAX_TRANSACTIONS_BYTES)
        {
            bytes += raw.len() + HEAD;
            batch.push(raw);
        }
        Some(PeerMessage::Transactions(batch))
    })
}

/// How large the body of a message of this kind may be.
const fn most_bytes(kind: u8) -> usize {
    match kind {
        // 16,384 hashes or indexes, a header, and what stands beside it.
        2 | 4 | 10 => MAX_TRANSACTIONS_BYTES,
        5 | 9 => MAX_BLOCKS_BYTES,
        1 => consensus::MAX_MESSAGE_BYTES,
        _ => types::certificate::MAX_CERTIFICATE_BYTES,
    }
}

#[cfg(test)]
mod tests;
