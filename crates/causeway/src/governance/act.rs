//! What a proposal does: its kind and arguments as the contracts have them, and in words.

use std::fmt;

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolValue as _;
use hub::abi::Card;
use serde_json::{Value, json};

use crate::hub_client::abi::Proposal;
use crate::hub_client::words::{day, parameter_name};

/// What a proposal does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A new member and its first city.
    Admit { card: Box<Card>, proof: Bytes },
    /// A member's status.
    Member { change: Change, id: u32 },
    /// Somebody else speaks for a member.
    Authority { member: u32, authority: Address },
    /// A city's status.
    City { change: Change, id: u32 },
    /// A number that members agree on.
    Parameter { name: B256, value: u64 },
    /// Rules that hold from a time on.
    Fork { name: String, activation: u64 },
    /// What this program does not know, or cannot read.
    Unknown { kind: u8 },
}

/// What becomes of a member or a city.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Out of force, until restored.
    Suspend,
    /// In force again.
    Restore,
    /// Out of force for ever.
    Remove,
}

impl Change {
    const fn name(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Restore => "restore",
            Self::Remove => "remove",
        }
    }

    /// Added to the first kind of its three.
    const fn offset(self) -> u8 {
        match self {
            Self::Suspend => 0,
            Self::Restore => 1,
            Self::Remove => 2,
        }
    }

    const fn at(offset: u8) -> Self {
        match offset {
            0 => Self::Suspend,
            1 => Self::Restore,
            _ => Self::Remove,
        }
    }
}

/// First kind of the three that change a member.
const MEMBER_KINDS: u8 = 2;
/// First kind of the three that change a city.
const CITY_KINDS: u8 = 6;

impl Act {
    /// What this proposal does.
    pub(crate) fn of(proposal: &Proposal) -> Self {
        Self::decode(proposal.kind, &proposal.payload).unwrap_or(Self::Unknown {
            kind: proposal.kind,
        })
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        let id = || Some(<(u32,)>::abi_decode_params(payload).ok()?.0);
        match kind {
            1 => {
                let (card, proof) = <(Card, Bytes)>::abi_decode_params(payload).ok()?;
                let card = Box::new(card);
                Some(Self::Admit { card, proof })
            }
            MEMBER_KINDS..=4 => Some(Self::Member {
                change: Change::at(kind - MEMBER_KINDS),
                id: id()?,
            }),
            5 => {
                let (member, authority) = <(u32, Address)>::abi_decode_params(payload).ok()?;
                Some(Self::Authority { member, authority })
            }
            CITY_KINDS..=8 => Some(Self::City {
                change: Change::at(kind - CITY_KINDS),
                id: id()?,
            }),
            9 => {
                let (name, value) = <(B256, u64)>::abi_decode_params(payload).ok()?;
                Some(Self::Parameter { name, value })
            }
            10 => {
                let (name, activation) = <(String, u64)>::abi_decode_params(payload).ok()?;
                Some(Self::Fork { name, activation })
            }
            _ => None,
        }
    }

    /// The kind's number and the arguments' bytes, as `Governance.propose` takes them.
    pub(crate) fn encode(&self) -> (u8, Bytes) {
        let payload = match self {
            Self::Admit { card, proof } => {
                (card.as_ref().clone(), proof.clone()).abi_encode_params()
            }
            Self::Member { id, .. } | Self::City { id, .. } => (*id,).abi_encode_params(),
            Self::Authority { member, authority } => (*member, *authority).abi_encode_params(),
            Self::Parameter { name, value } => (*name, *value).abi_encode_params(),
            Self::Fork { name, activation } => (name.clone(), *activation).abi_encode_params(),
            Self::Unknown { .. } => Vec::new(),
        };
        (self.kind_number(), payload.into())
    }

    const fn kind_number(&self) -> u8 {
        match self {
            Self::Admit { .. } => 1,
            Self::Member { change, .. } => MEMBER_KINDS + change.offset(),
            Self::Authority { .. } => 5,
            Self::City { change, .. } => CITY_KINDS + change.offset(),
            Self::Parameter { .. } => 9,
            Self::Fork { .. } => 10,
            Self::Unknown { kind } => *kind,
        }
    }

    /// The kind's name, for programs.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Admit { .. } => String::from("admit"),
            Self::Member { change, .. } => format!("{}_member", change.name()),
            Self::Authority { .. } => String::from("authority"),
            Self::City { change, .. } => format!("{}_city", change.name()),
            Self::Parameter { .. } => String::from("parameter"),
            Self::Fork { .. } => String::from("fork"),
            Self::Unknown { kind } => format!("unknown_{kind}"),
        }
    }

    /// The arguments, for programs.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Admit { card, .. } => json!({
                "member": card.member,
                "authority": card.authority,
                "place": card.place,
                "node": card.node,
                "tls_fingerprint": card.tlsFingerprint,
                "endpoint": card.endpoint,
                "rpc": card.rpc,
            }),
            Self::Member { id, .. } => json!({ "member": id }),
            Self::Authority { member, authority } => {
                json!({ "member": member, "authority": authority })
            }
            Self::City { id, .. } => json!({ "city": id }),
            Self::Parameter { name, value } => {
                json!({ "name": parameter_name(*name), "value": value })
            }
            Self::Fork { name, activation } => json!({ "name": name, "activation": activation }),
            Self::Unknown { .. } => Value::Null,
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admit { card, .. } => write!(
                f,
                "admit {} with its city {} in {}; {} speaks for it",
                card.member.escape_debug(),
                card.node,
                card.place.escape_debug(),
                card.authority
            ),
            Self::Member { change, id } => write!(f, "{} member {id}", change.name()),
            Self::Authority { member, authority } => {
                write!(f, "let {authority} speak for member {member}")
            }
            Self::City { change, id } => write!(f, "{} city {id}", change.name()),
            Self::Parameter { name, value } => {
                write!(f, "set {} to {value}", parameter_name(*name))
            }
            Self::Fork { name, activation } => write!(
                f,
                "activate the fork {} at {}",
                name.escape_debug(),
                day(*activation)
            ),
            Self::Unknown { kind } => write!(f, "what this program does not know (kind {kind})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Act, Change};
    use crate::cities::card::tests::card;
    use alloy_primitives::{Address, B256};

    #[test]
    fn what_is_proposed_is_what_is_shown() {
        let (card, proof) = card(1).to_abi();
        let card = Box::new(card);
        let acts = [
            (Act::Admit { card, proof }, 1, "admit Member 1 with"),
            (member(Change::Suspend), 2, "suspend member 7"),
            (member(Change::Restore), 3, "restore member 7"),
            (member(Change::Remove), 4, "remove member 7"),
            (
                Act::Authority {
                    member: 7,
                    authority: Address::repeat_byte(1),
                },
                5,
                "speak for member 7",
            ),
            (city(Change::Suspend), 6, "suspend city 8"),
            (city(Change::Restore), 7, "restore city 8"),
            (city(Change::Remove), 8, "remove city 8"),
            (
                Act::Parameter {
                    name: B256::right_padding_from(b"timeLock"),
                    value: 60,
                },
                9,
                "set timeLock to 60",
            ),
            (
                Act::Fork {
                    name: String::from("next"),
                    activation: 0,
                },
                10,
                "activate the fork next at 1970",
            ),
        ];
        for (act, kind, words) in acts {
            let (number, payload) = act.encode();
            assert_eq!(number, kind);
            assert!(act.to_string().contains(words), "{act}");
            assert_eq!(Act::decode(number, &payload), Some(act));
        }
        assert_eq!(Act::decode(11, &[]), None);
        assert_eq!(Act::decode(1, &[1, 2, 3]), None);
    }

    fn member(change: Change) -> Act {
        Act::Member { change, id: 7 }
    }

    fn city(change: Change) -> Act {
        Act::City { change, id: 8 }
    }
}
