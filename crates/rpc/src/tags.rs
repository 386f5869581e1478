//! Which block a caller means.
//!
//! `latest`, `safe` and `finalized` are one: a block is final when it is shown. `pending` is a block made *now* on the
//! latest, without transactions.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::B256;
use chain::{Head, Moment};
use execution::BlockEnv;
use state::View;

use crate::error::Failure;

/// What a caller means.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A block of the chain.
    Block(Box<Head>),
    /// A block made now on the latest.
    Pending,
}

/// Finds the block that `id` names; `None` where there is none.
pub(crate) fn find(moment: &Moment, id: BlockId) -> Result<Option<Place>, Failure> {
    match id {
        BlockId::Number(BlockNumberOrTag::Pending) => Ok(Some(Place::Pending)),
        BlockId::Number(tag) => {
            Ok(find_number(moment, tag)?.map(|head| Place::Block(Box::new(head))))
        }
        // Every block that is shown is canonical: `requireCanonical` changes nothing.
        BlockId::Hash(hash) => {
            Ok(find_hash(moment, hash.block_hash)?.map(|head| Place::Block(Box::new(head))))
        }
    }
}

/// The block of a hash.
pub(crate) fn find_hash(moment: &Moment, hash: B256) -> Result<Option<Head>, Failure> {
    if moment.head().hash == hash {
        return Ok(Some(moment.head().clone()));
    }
    let Some(number) = moment.number(hash)? else {
        return Ok(None);
    };
    Ok(moment.header(number)?.filter(|head| head.hash == hash))
}

/// The block of a number or tag, `pending` taken as `latest`.
pub(crate) fn find_number(moment: &Moment, tag: BlockNumberOrTag) -> Result<Option<Head>, Failure> {
    match tag {
        BlockNumberOrTag::Latest
        | BlockNumberOrTag::Safe
        | BlockNumberOrTag::Finalized
        | BlockNumberOrTag::Pending => Ok(Some(moment.head().clone())),
        BlockNumberOrTag::Earliest => Ok(moment.header(0)?),
        BlockNumberOrTag::Number(number) => Ok(moment.header(number)?),
    }
}

impl Place {
    /// What `id` names; `otherwise` where nobody says.
    pub(crate) fn of(
        moment: &Moment,
        id: Option<BlockId>,
        otherwise: BlockNumberOrTag,
    ) -> Result<Self, Failure> {
        find(moment, id.unwrap_or(BlockId::Number(otherwise)))?.ok_or(Failure::NoHeader)
    }

    /// The state there.
    pub(crate) fn view(&self, moment: &Moment) -> Result<View, Failure> {
        let number = match self {
            Self::Block(head) => head.header.number,
            Self::Pending => moment.head().header.number,
        };
        Ok(moment.view(number)?)
    }

    /// What execution sees there.
    pub(crate) fn env(&self, moment: &Moment, now_ms: u64) -> BlockEnv {
        match self {
            Self::Block(head) => moment.env(&head.header),
            Self::Pending => moment.pending_env(now_ms),
        }
    }

    /// The block, for methods that have nothing to say of one that is not there yet.
    pub(crate) fn block(self) -> Result<Head, Failure> {
        match self {
            Self::Block(head) => Ok(*head),
            Self::Pending => Err(Failure::PendingRefused),
        }
    }
}
