//! What the hub's contracts refuse with, in words.

use std::fmt;

use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{Revert, SolError as _, SolInterface as _};

use super::abi::IRefusals::IRefusalsErrors as Error;
use super::words::{
    application_status, city_status, day, member_status, parameter_name, proposal_status,
};

/// Why a contract of the hub did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    data: Bytes,
}

impl Refusal {
    /// From what the contract gave back.
    pub(crate) const fn new(data: Bytes) -> Self {
        Self { data }
    }

    /// The error that it is, if this program knows it.
    pub(crate) fn error(&self) -> Option<Error> {
        Error::abi_decode(&self.data).ok()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = self.error() {
            return f.write_str(&words(&error));
        }
        if let Ok(revert) = Revert::abi_decode(&self.data) {
            return write!(f, "{:?}", revert.reason);
        }
        match self.data.len() {
            0 => f.write_str("it gives no reason"),
            // A selector and seven words.
            1..=228 => write!(
                f,
                "for a reason that this program does not know: {}",
                self.data
            ),
            length => write!(
                f,
                "for a reason that this program does not know, of {length} bytes"
            ),
        }
    }
}

/// What a number stands for, or that it is out of the list.
fn named(names: &[&'static str], index: u8) -> &'static str {
    names.get(usize::from(index)).copied().unwrap_or("a number")
}

#[expect(clippy::too_many_lines, reason = "a table of errors and their words")]
fn words(error: &Error) -> String {
    match error {
        Error::NotAllowed(e) => format!("{} may not do this", e.caller),
        Error::NotAMember(e) => format!(
            "{} speaks for no member, and none sponsors it any further",
            e.account
        ),
        Error::MemberNotActive(e) => {
            format!("member {} is {}", e.member, member_status(e.status))
        }
        Error::UnknownMember(e) => format!("there is no member {}", e.member),
        Error::UnknownCity(e) => format!("there is no city {}", e.city),
        Error::UnknownApplication(e) => format!("there is no application {}", e.n),
        Error::TooMany(e) => format!("{} are too many; at most {} are taken", e.given, e.most),
        Error::ApplicationNameTaken(e) => {
            format!("the name {:?} is application {}'s", e.name, e.n)
        }
        Error::NoOwner(_) => {
            String::from("an application needs an owner; the zero address is nobody")
        }
        Error::OutOfRange(e) => format!(
            "{} of {} is out of bounds",
            named(
                &[
                    "a gas limit",
                    "gas a second",
                    "bytes",
                    "blocks a second",
                    "a fee rule",
                    "an admission",
                    "readers",
                    "a minimum interval",
                    "a chain id prefix"
                ],
                e.field
            ),
            e.value
        ),
        Error::Concentrated(e) => format!(
            "member {} would run {} of the cities, of which only {} may fail: it alone could stop the chain; choose cities of \
             more members, or allow it with --allow-concentration",
            e.member, e.held, e.mayFail
        ),
        Error::DailyLimit(e) => format!(
            "member {} created {} applications today, and may not create more",
            e.member, e.most
        ),
        Error::ChainIdsExhausted(_) => String::from("all chain ids of the network are given out"),
        Error::NotTheOwner(e) => format!("{} does not own application {}", e.caller, e.n),
        Error::WrongApplicationStatus(e) => format!(
            "application {} is {} and cannot become {}",
            e.n,
            application_status(e.present),
            application_status(e.wanted)
        ),
        Error::SponsoredElsewhere(e) => {
            format!("{} is member {}'s already", e.account, e.member)
        }
        Error::NotYet(e) if e.from == 0 => format!("application {} is not closed", e.n),
        Error::NotYet(e) => format!("application {} is kept until {}", e.n, day(e.from)),
        Error::NothingThere(e) => {
            format!(
                "nothing lies at place {} of the list of city {}",
                e.index, e.city
            )
        }
        Error::NothingChanges(e) => {
            format!("nobody would leave or join application {}", e.n)
        }
        Error::TooManyLeave(e) => format!(
            "{} cities would leave application {} at once, and at most {} may: the others certify the handover",
            e.leaving, e.n, e.most
        ),
        Error::NotPlaced(e) => format!(
            "application {} is not on city {}, or it is named twice",
            e.n, e.city
        ),
        Error::PlacedAlready(e) => format!("application {} is on city {} already", e.n, e.city),
        Error::NoCityLeft(e) => format!("no city would be left to application {}", e.n),
        Error::TooLateToCancel(e) => format!(
            "the new cities of application {} are named, and its chain may have gone over to them: wait until it is \
             active, then change it back",
            e.n
        ),
        Error::CityNotRemoved(e) => format!(
            "only a removed city is expelled; city {} is {}",
            e.city,
            city_status(e.status)
        ),
        Error::NotProven(e) => format!(
            "the handover of application {} is not proven: {}",
            e.n,
            named(
                &[
                    "its block is not above the last one shown",
                    "its header does not name the new cities and the rules",
                    "too few cities sign it",
                    "its signers do not ascend",
                    "a signer is none of the cities before",
                    "a signature is not its signer's"
                ],
                e.rule
            )
        ),
        Error::UnknownCardVersion(e) => format!("a card of version {} is not known", e.version),
        Error::WrongNetwork(e) => format!(
            "the card is for the network {}, this one is {}: make it with `causeway city join --network` and this network's file",
            e.network, e.expected
        ),
        Error::NoAuthority(_) => String::from("the card names nobody who speaks for the member"),
        Error::NoFingerprint(_) => String::from("the card has no TLS fingerprint"),
        Error::CardNotProven(e) => format!(
            "the card's proof is not of its node key {} but of {}: the card was changed",
            e.node, e.signer
        ),
        Error::NodeKeyUsed(e) => format!(
            "the node key {} is or was city {}'s; a key is used once for ever",
            e.node, e.city
        ),
        Error::FingerprintUsed(e) => format!(
            "the TLS fingerprint {} is or was city {}'s; a key is used once for ever",
            e.tlsFingerprint, e.city
        ),
        Error::NotTheCardsMember(e) => format!(
            "the card is of member {:?} with the authority {}: a member registers its own cities, with its own key",
            e.member, e.authority
        ),
        Error::NotTheCitysMember(e) => format!(
            "{} does not speak for the member that runs city {}",
            e.caller, e.city
        ),
        Error::CityNotActive(e) => format!("city {} is {}", e.city, city_status(e.status)),
        Error::WrongCityStatus(e) => format!(
            "city {} is {} and cannot become {}",
            e.city,
            city_status(e.present),
            city_status(e.wanted)
        ),
        Error::AbsurdOffer(e) => format!(
            "no city can keep an offer with {} of {}",
            named(
                &[
                    "gas a second",
                    "bytes",
                    "chains",
                    "blocks a second",
                    "a price",
                    "a policy"
                ],
                e.field
            ),
            e.value
        ),
        Error::BadList(e) => format!(
            "the list of members is not ascending at place {}, or is there without the policy `listed`",
            e.index
        ),
        Error::NotOffered(e) => {
            format!(
                "city {} does not offer itself to member {}",
                e.city, e.member
            )
        }
        Error::NoCapacity(e) => format!(
            "city {} has {} of {} left, {} are wanted",
            e.city,
            e.left,
            named(
                &["gas a second", "bytes", "chains", "blocks a second"],
                e.resource
            ),
            e.wanted
        ),
        Error::CityTwice(e) => format!("city {} is named twice", e.city),
        Error::NoCities(_) => String::from("an application needs a city"),
        Error::StillPlaced(e) => {
            format!("{} chains are placed on city {}", e.chains, e.city)
        }
        Error::HubValidator(e) => format!("city {} is a validator of the hub", e.city),
        Error::HubAtRisk(e) => format!(
            "the hub would miss {} of its validators, and stands still when more than {} do",
            e.missing, e.mayFail
        ),
        Error::NameTaken(e) => format!("the name {:?} is member {}'s", e.name, e.member),
        Error::AuthorityTaken(e) => {
            format!("{} speaks for member {} already", e.authority, e.member)
        }
        Error::BadAuthority(e) => format!("{} cannot speak for a member", e.authority),
        Error::WrongMemberStatus(e) => format!(
            "member {} is {} and cannot become {}",
            e.member,
            member_status(e.present),
            member_status(e.wanted)
        ),
        Error::TooFewMembers(e) => format!(
            "{} active members would be left, and the network keeps at least {}",
            e.left, e.least
        ),
        Error::NotTheSuccessor(e) => {
            format!(
                "{} is not whom member {} named as its successor",
                e.account, e.member
            )
        }
        Error::TooEarly(e) => format!("the successor may not before {}", day(e.from)),
        Error::BadMemberName(e) => format!("{:?} is no member's name", e.name),
        Error::BadPlace(e) => format!("{:?} is no place (UN/LOCODE)", e.place),
        Error::BadEndpoint(e) => format!("{:?} is no endpoint", e.endpoint),
        Error::BadRpc(e) => format!("{:?} is no RPC address", e.rpc),
        Error::BadApplicationName(e) => format!("{:?} is no application's name", e.name),
        Error::FoundedAlready(_) => String::from("the network was founded before"),
        Error::FounderCount(e) => format!("{} founders found no network", e.count),
        Error::NoNetworkId(_) => String::from("the zero hash is no network"),
        Error::UnknownProposal(e) => format!("there is no proposal {}", e.id),
        Error::UnknownKind(e) => format!("there is no kind {} of proposal", e.kind),
        Error::PayloadNotCanonical(_) => {
            String::from("the proposal's payload is not as its kind's arguments are encoded")
        }
        Error::ProposalLimit(e) => format!(
            "member {} made {} proposals today, and may not make more",
            e.member, e.most
        ),
        Error::VotedAlready(e) => {
            format!("member {} voted on proposal {} already", e.member, e.id)
        }
        Error::NotVoting(e) => format!(
            "nobody votes on proposal {} any more: it is {}",
            e.id,
            proposal_status(e.status)
        ),
        Error::NotPassed(e) => format!(
            "proposal {} cannot be executed: it is {}",
            e.id,
            proposal_status(e.status)
        ),
        Error::TimeLocked(e) => {
            format!("proposal {} is locked until {}", e.id, day(e.earliest))
        }
        Error::BadVoteSignature(e) => {
            format!(
                "the signature is not of what speaks for member {}",
                e.member
            )
        }
        Error::UnknownParameter(e) => format!("there is no parameter {}", name(e.name)),
        Error::ParameterOutOfRange(e) => format!(
            "{} cannot be {}: it is {} to {}",
            name(e.name),
            e.value,
            e.least,
            e.most
        ),
        Error::ForkInThePast(e) => {
            format!(
                "the fork {:?} cannot begin at {}, which is past",
                e.name,
                day(e.activation)
            )
        }
        Error::ForkKnown(e) => format!("the fork {:?} was activated already", e.name),
    }
}

fn name(name: B256) -> String {
    parameter_name(name)
}

#[cfg(test)]
mod tests {
    use super::Refusal;
    use crate::hub_client::abi::IRefusals;
    use alloy_primitives::{Bytes, U256, keccak256};
    use alloy_sol_types::{Revert, SolError as _, SolInterface as _};

    /// Of the contracts as they are compiled: a new error there has to get words here.
    #[test]
    fn every_error_of_the_contracts_is_known() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/artifacts/hub");
        let mut known = 0;
        for name in ["Applications", "Cities", "Governance", "Members"] {
            let text = std::fs::read_to_string(format!("{folder}/{name}.json")).expect("there");
            let artifact: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            for entry in artifact["abi"].as_array().expect("a list") {
                if entry["type"] != "error" {
                    continue;
                }
                let inputs = entry["inputs"].as_array().expect("a list");
                let types: Vec<&str> = inputs
                    .iter()
                    .map(|input| input["type"].as_str().expect("a type"))
                    .collect();
                let signature = format!(
                    "{}({})",
                    entry["name"].as_str().expect("a name"),
                    types.join(",")
                );
                let selector = keccak256(&signature)[..4].try_into().expect("four bytes");
                assert!(
                    IRefusals::IRefusalsErrors::valid_selector(selector),
                    "{signature}"
                );
                known += 1;
            }
        }
        assert!(known > 50, "{known}");
    }

    #[test]
    fn errors_of_the_contracts_have_words() {
        let concentrated = IRefusals::Concentrated {
            member: 3,
            held: 2,
            mayFail: 1,
        };
        let capacity = IRefusals::NoCapacity {
            city: 7,
            resource: 1,
            wanted: 20,
            left: 4,
        };
        let range = IRefusals::OutOfRange {
            field: 200,
            value: U256::from(9),
        };
        let table = [
            (
                concentrated.abi_encode(),
                "member 3 would run 2 of the cities, of which only 1 may fail",
            ),
            (
                capacity.abi_encode(),
                "city 7 has 4 of bytes left, 20 are wanted",
            ),
            (range.abi_encode(), "a number of 9 is out of bounds"),
            (Revert::from("because\n").abi_encode(), "\"because\\n\""),
            (Vec::new(), "no reason"),
            (vec![1, 2, 3, 4], "does not know: 0x01020304"),
            (vec![1; 1_000], "of 1000 bytes"),
        ];
        for (data, wanted) in table {
            let words = Refusal::new(Bytes::from(data)).to_string();
            assert!(words.contains(wanted), "{words}");
        }
    }
}
