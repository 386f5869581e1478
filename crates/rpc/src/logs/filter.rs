//! Which logs a caller asks for.

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256, Bloom, BloomInput, Log};
use serde::Deserialize;

use crate::error::Failure;
use crate::limits::Limits;

/// Which logs.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Asked")]
pub(crate) struct LogFilter {
    /// Of which blocks.
    pub(crate) span: Span,
    /// By whom; empty: anybody.
    addresses: Vec<Address>,
    /// By position; an empty position takes anything, also none.
    topics: Vec<Vec<B256>>,
}

/// Of which blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// One block.
    Block(B256),
    /// From one to another, both included; the latest where nobody says.
    Range {
        from: Option<BlockNumberOrTag>,
        to: Option<BlockNumberOrTag>,
    },
}

/// A filter as clients write it. Unknown fields are let be, as on go-ethereum.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    from_block: Option<BlockNumberOrTag>,
    to_block: Option<BlockNumberOrTag>,
    block_hash: Option<B256>,
    address: Option<OneOrMany<Address>>,
    topics: Option<Vec<Option<OneOrMany<Option<B256>>>>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::Many(many) => many,
            Self::One(one) => vec![one],
        }
    }
}

/// Why a filter means nothing.
#[derive(Debug, thiserror::Error)]
enum FilterError {
    #[error("cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other")]
    BlockAndRange,
    #[error("more than four topics, which no log has")]
    TooManyTopics,
}

impl TryFrom<Asked> for LogFilter {
    type Error = FilterError;

    fn try_from(asked: Asked) -> Result<Self, FilterError> {
        let span = match (asked.block_hash, asked.from_block, asked.to_block) {
            (Some(hash), None, None) => Span::Block(hash),
            (Some(_), _, _) => return Err(FilterError::BlockAndRange),
            (None, from, to) => Span::Range { from, to },
        };
        let topics: Vec<_> = asked.topics.unwrap_or_default();
        if topics.len() > 4 {
            return Err(FilterError::TooManyTopics);
        }
        // A `null` among alternatives takes anything, and so does the position then.
        let position = |alternatives: Option<OneOrMany<Option<B256>>>| {
            let alternatives = alternatives.map(OneOrMany::into_vec).unwrap_or_default();
            alternatives
                .into_iter()
                .collect::<Option<Vec<B256>>>()
                .unwrap_or_default()
        };
        Ok(Self {
            span,
            addresses: asked.address.map(OneOrMany::into_vec).unwrap_or_default(),
            topics: topics.into_iter().map(position).collect(),
        })
    }
}

impl LogFilter {
    /// Every log.
    pub(crate) const fn all() -> Self {
        Self {
            span: Span::Range {
                from: None,
                to: None,
            },
            addresses: Vec::new(),
            topics: Vec::new(),
        }
    }

    /// Refuses more alternatives than a search may compare with each log.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Failure> {
        let most = limits.log_alternatives;
        if self.addresses.len() > most || self.topics.iter().any(|position| position.len() > most) {
            let what = "too many addresses, or topics in one position";
            return Err(Failure::Limit {
                what,
                most: most as u64,
            });
        }
        Ok(())
    }

    /// Whether a block with this bloom may have a match.
    pub(crate) fn may_match(&self, bloom: &Bloom) -> bool {
        let has = |bytes: &[u8]| bloom.contains_input(BloomInput::Raw(bytes));
        let any = |list: &[B256]| list.is_empty() || list.iter().any(|topic| has(topic.as_slice()));
        let address = self.addresses.is_empty()
            || self.addresses.iter().any(|address| has(address.as_slice()));
        address && self.topics.iter().all(|position| any(position))
    }

    /// Whether `log` is one of those.
    pub(crate) fn matches(&self, log: &Log) -> bool {
        let topics = log.topics();
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && topics.len() >= self.topics.len()
            && self
                .topics
                .iter()
                .zip(topics)
                .all(|(position, topic)| position.is_empty() || position.contains(topic))
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256, Bloom, Bytes, Log, logs_bloom};
    use serde_json::{Value, json};

    use super::{LogFilter, Span};

    const A: Address = Address::repeat_byte(0xa);

    fn filter(value: Value) -> LogFilter {
        serde_json::from_value(value).unwrap()
    }

    fn log(topics: &[u8]) -> Log {
        let topics = topics.iter().map(|byte| B256::repeat_byte(*byte)).collect();
        Log::new_unchecked(A, topics, Bytes::new())
    }

    #[test]
    fn topics_match_by_position_with_alternatives_and_holes() {
        let (one, two, three) = (
            B256::repeat_byte(1),
            B256::repeat_byte(2),
            B256::repeat_byte(3),
        );
        let cases = [
            (json!({}), true),
            (json!({"address": A}), true),
            (json!({"address": [A, Address::ZERO]}), true),
            (json!({"address": []}), true),
            (json!({"address": Address::ZERO}), false),
            (json!({"topics": []}), true),
            (json!({"topics": [one]}), true),
            (json!({"topics": [two]}), false),
            (json!({"topics": [null, two]}), true),
            (json!({"topics": [[], [two, three]]}), true),
            (json!({"topics": [[three, null], two]}), true),
            (json!({"topics": [one, three]}), false),
            // A position that takes anything still asks for a topic there.
            (json!({"topics": [one, two, null]}), false),
        ];
        let log = log(&[1, 2]);
        let bloom = logs_bloom([&log]);
        for (asked, expected) in cases {
            let filter = filter(asked.clone());
            assert_eq!(filter.matches(&log), expected, "{asked}");
            if expected {
                assert!(filter.may_match(&bloom), "{asked}");
            }
        }
        assert!(!filter(json!({"topics": [one]})).may_match(&Bloom::ZERO));
        assert!(!filter(json!({"address": A})).may_match(&Bloom::ZERO));
    }

    #[test]
    fn a_block_and_a_range_exclude_each_other() {
        let hash = B256::repeat_byte(7);
        assert_eq!(
            filter(json!({"blockHash": hash, "fromBlock": null})).span,
            Span::Block(hash)
        );
        let both =
            serde_json::from_value::<LogFilter>(json!({"blockHash": hash, "fromBlock": "0x1"}));
        assert!(
            both.unwrap_err()
                .to_string()
                .contains("cannot specify both BlockHash and FromBlock/ToBlock")
        );
        let five =
            serde_json::from_value::<LogFilter>(json!({"topics": [null, null, null, null, null]}));
        assert!(five.is_err());
    }
}
