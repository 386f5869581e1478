//! Reading the registry in a city's own copy of the hub.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Log};
use alloy_sol_types::{SolCall, SolEventInterface as _};
use chain::{Genesis, Moment, Quota, ReadError};
use execution::{Call, CallError, CallOutcome, CallStatus, Simulation};
use types::genesis::HubBlock;
use types::{ChainId, NetworkId, Record, Validator, ValidatorSet};

use crate::abi::{
    APPLICATIONS, CITIES, Capacity, City, GOVERNANCE, IApplications, ICities, IGovernance,
    IValidators, VALIDATORS,
};

/// Entries that one question asks for.
const PAGE: u32 = 100;
/// Most cities that are read: more than any network has.
const MOST_CITIES: u32 = 4_096;
/// The status of what is in force.
pub const ACTIVE: u8 = 1;
/// The status of a city that is none any more.
pub const REMOVED: u8 = 3;
/// The status of an application whose cities change.
const CHANGING: u8 = 2;
const SUSPENDED: u8 = 3;
const CLOSED: u8 = 4;
/// The stage of a change at which the hub names the new set.
const NAMED: u8 = 2;

/// The registry as one block of the hub left it.
#[derive(Debug)]
pub struct Registry<'a> {
    moment: &'a Moment,
}

/// What an application is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It runs.
    Runs,
    /// It is suspended: it answers reads, and takes nothing.
    Stands,
    /// It ended for ever.
    Closed,
}

/// An application, as it concerns the cities that keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Its number in the network.
    pub n: u64,
    /// Its chain.
    pub chain_id: ChainId,
    /// What it is to do.
    pub status: Status,
    /// Numbers of its cities, as the hub names them now.
    pub cities: Vec<u32>,
    /// Node keys of these, ascending.
    pub validators: Vec<Address>,
    /// Hash of their set.
    pub set_hash: B256,
    /// What it takes of each of its cities.
    pub taken: Capacity,
    /// A change of its cities that is not over.
    pub change: Option<Changing>,
}

impl Placement {
    /// Whether the city with number `own` has something to do with the chain: it is one of its cities, joins them, or leaves
    /// and may have to sign the handover.
    #[must_use]
    pub fn concerns(&self, own: u32) -> bool {
        let takes_part =
            |change: &Changing| change.joining.contains(&own) || change.leaving.contains(&own);
        self.cities.contains(&own) || self.change.as_ref().is_some_and(takes_part)
    }

    /// Node keys of all who may have something of the chain to say: its cities, those that join them, and those that leave. Of
    /// them all, who leaves may be the only one with blocks that a city which was away does not have.
    #[must_use]
    pub fn named(&self) -> BTreeSet<Address> {
        let change = self.change.iter();
        let changing =
            change.flat_map(|change| change.joining_nodes.iter().chain(&change.leaving_nodes));
        self.validators.iter().chain(changing).copied().collect()
    }

    /// What each of its cities gives it.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        Quota {
            gas_per_second: self.taken.gasPerSecond,
            blocks_per_second: self.taken.blocksPerSecond,
            bytes: self.taken.bytesStored,
        }
    }
}

/// A change of an application's cities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changing {
    /// Whether the hub names the new set already, so that the handover block is to be made and shown.
    pub is_named: bool,
    /// Numbers of the cities that leave.
    pub leaving: Vec<u32>,
    /// Node keys of these.
    pub leaving_nodes: Vec<Address>,
    /// Numbers of the cities that join.
    pub joining: Vec<u32>,
    /// Node keys of these.
    pub joining_nodes: Vec<Address>,
    /// Those of `joining` that said that they hold the chain.
    pub ready: Vec<u32>,
}

/// What one block of the hub changed, as far as a city has to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Something about cities: whom to meet.
    pub cities: bool,
    /// Applications that were placed here or anywhere else changed, ascending.
    pub applications: BTreeSet<u64>,
    /// Something about the hub's validators.
    pub validators: bool,
}

/// How a city stands towards being one of the hub's validators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it neither serves nor waits, and the registry would have it wait if it said that it is ready.
    pub may_serve: bool,
    /// Whether the hub's validators are to be renewed.
    pub is_due: bool,
    /// Its place among those that serve; one behind the last if it does not.
    pub rank: u32,
}

/// Why the registry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The chain could not be read.
    #[error("the hub could not be read")]
    Read(#[from] ReadError),
    /// The state is not there.
    #[error("the hub's state could not be read")]
    View(#[from] state::ViewError),
    /// The contract was not run.
    #[error("the registry could not be asked")]
    Call(#[from] CallError),
    /// The contract did not answer.
    #[error("the contract {contract} does not answer; is this chain a hub?")]
    NoAnswer {
        /// Which.
        contract: Address,
    },
    /// The contract answered something else.
    #[error("the contract {contract} answered in another form")]
    Form {
        /// Which.
        contract: Address,
        /// Why.
        source: alloy_sol_types::Error,
    },
    /// An application's record, set or creation contradicts the formats: this program does not know it.
    #[error("application {n} cannot be hosted by this release: its {what} is not as it should be")]
    Application {
        /// Its number.
        n: u64,
        /// Which part.
        what: &'static str,
    },
}

impl<'a> Registry<'a> {
    /// The registry after the latest block of `moment`.
    #[must_use]
    pub const fn new(moment: &'a Moment) -> Self {
        Self { moment }
    }

    fn ask<C: SolCall>(&self, contract: Address, question: &C) -> Result<C::Return, RegistryError> {
        let outcome = self.call(Address::ZERO, contract, question)?;
        if outcome.status != CallStatus::Success || outcome.output.is_empty() {
            return Err(RegistryError::NoAnswer { contract });
        }
        C::abi_decode_returns(&outcome.output)
            .map_err(|source| RegistryError::Form { contract, source })
    }

    fn call<C: SolCall>(
        &self,
        from: Address,
        contract: Address,
        question: &C,
    ) -> Result<CallOutcome, RegistryError> {
        let head = &self.moment.head().header;
        let view = self.moment.view(head.number)?;
        let env = self.moment.env(head);
        let rules = &self.moment.profile().rules;
        let call = Call {
            from,
            to: Some(contract),
            data: question.abi_encode().into(),
            ..Call::default()
        };
        Ok(Simulation::new(rules, env, &view, self.moment).call(&call)?)
    }

    /// How city `own` with this node key stands towards being one of the hub's validators.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub fn standing(&self, own: u32, node: Address) -> Result<Standing, RegistryError> {
        let candidate = self.ask(VALIDATORS, &IValidators::candidateCall { city: own })?;
        let is_idle = candidate.standing == 0 && candidate.withdrew == 0;
        let may_serve = is_idle && {
            let outcome = self.call(node, VALIDATORS, &IValidators::readyCall {})?;
            outcome.status == CallStatus::Success
        };
        let is_due = self.ask(VALIDATORS, &IValidators::dueCall {})?;
        let mut rank = 0;
        if is_due {
            let serving = self.ask(VALIDATORS, &IValidators::servingCall {})?;
            let before = serving.iter().take_while(|other| other.city != own);
            rank = u32::try_from(before.count()).unwrap_or(u32::MAX);
        }
        Ok(Standing {
            may_serve,
            is_due,
            rank,
        })
    }

    /// All cities that there ever were, in the order in which they came.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub fn cities(&self) -> Result<Vec<City>, RegistryError> {
        let count = self.ask(CITIES, &ICities::countCall {})?.min(MOST_CITIES);
        let mut cities = Vec::new();
        for from in (1..=count).step_by(PAGE as usize) {
            let page = self.ask(CITIES, &ICities::citiesCall { from, limit: PAGE })?;
            cities.extend(page);
        }
        Ok(cities)
    }

    /// City `id`.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub fn city(&self, id: u32) -> Result<City, RegistryError> {
        self.ask(CITIES, &ICities::cityCall { id })
    }

    /// Those of `cities`, which are all that there are, that go on under a new key, with the city as which each does. Asks for
    /// no city but those after which their member registered another one at the same place: no other has a successor.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub fn successors(&self, cities: &[City]) -> Result<BTreeMap<u32, u32>, RegistryError> {
        let mut last: BTreeMap<(u32, &str), u32> = BTreeMap::new();
        for city in cities {
            let last = last.entry((city.member, &city.place)).or_default();
            *last = city.id.max(*last);
        }
        let has_later = |city: &&City| last[&(city.member, city.place.as_str())] > city.id;
        let mut successors = BTreeMap::new();
        for city in cities.iter().filter(has_later) {
            let id = city.id;
            let successor = self.ask(CITIES, &ICities::successorOfCall { id })?;
            if successor > 0 {
                successors.insert(id, successor);
            }
        }
        Ok(successors)
    }

    /// The number of the city with this node key; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub fn city_id(&self, node: Address) -> Result<Option<u32>, RegistryError> {
        let id = self.ask(CITIES, &ICities::idOfCall { node })?;
        Ok((id > 0).then_some(id))
    }

    /// The numbers of all applications on a city.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub fn placed_on(&self, city: u32) -> Result<Vec<u64>, RegistryError> {
        let count = self.ask(APPLICATIONS, &IApplications::placedCountCall { city })?;
        let mut placed = Vec::new();
        for from in (0..count).step_by(PAGE as usize) {
            let limit = PAGE.into();
            let page = IApplications::placedOnCall { city, from, limit };
            placed.extend(self.ask(APPLICATIONS, &page)?);
        }
        Ok(placed)
    }

    /// Application `n`, as it concerns its cities.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub fn placement(&self, n: u64) -> Result<Placement, RegistryError> {
        let application = self.ask(APPLICATIONS, &IApplications::applicationCall { n })?;
        let wrong = |what| RegistryError::Application { n, what };
        let chain_id = ChainId::new(application.chainId).map_err(|_range| wrong("chain id"))?;
        let status = match application.status {
            ACTIVE | CHANGING => Status::Runs,
            SUSPENDED => Status::Stands,
            CLOSED => Status::Closed,
            _ => return Err(wrong("status")),
        };
        let change = if application.status == CHANGING {
            Some(self.changing(n)?)
        } else {
            None
        };
        Ok(Placement {
            n,
            chain_id,
            status,
            cities: application.cities,
            validators: application.validators,
            set_hash: application.setHash,
            taken: application.taken,
            change,
        })
    }

    fn changing(&self, n: u64) -> Result<Changing, RegistryError> {
        let change = self.ask(APPLICATIONS, &IApplications::changeOfCall { n })?;
        let nodes = |ids: &[u32]| {
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let ids = ids.to_vec();
            self.ask(CITIES, &ICities::nodesCall { ids })
        };
        Ok(Changing {
            is_named: change.stage == NAMED,
            leaving_nodes: nodes(&change.leaving)?,
            joining_nodes: nodes(&change.joining)?,
            leaving: change.leaving,
            joining: change.joining,
            ready: change.ready,
        })
    }

    /// The set that the hub names for application `n` now, whose hash is known.
    ///
    /// # Errors
    ///
    /// [`RegistryError`], also when it has another hash.
    pub fn validators(&self, n: u64, hash: B256) -> Result<ValidatorSet, RegistryError> {
        let application = self.ask(APPLICATIONS, &IApplications::applicationCall { n })?;
        set_of(n, &application.validators, &application.powers)
            .ok()
            .filter(|set| set.hash() == hash)
            .ok_or(RegistryError::Application {
                n,
                what: "set of validators",
            })
    }

    /// For how many seconds cities keep the data of what is over.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub fn data_kept(&self) -> Result<u64, RegistryError> {
        let name = B256::right_padding_from(b"closedDataKept");
        self.ask(GOVERNANCE, &IGovernance::parameterCall { name })
    }

    /// Height and hash of the last handover block of application `n` that the hub was shown; `None` when there was none.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub fn handover(&self, n: u64) -> Result<Option<(u64, B256)>, RegistryError> {
        let last = self.ask(APPLICATIONS, &IApplications::handoverOfCall { n })?;
        Ok((last.height > 0).then_some((last.height, last.blockHash)))
    }

    /// How the chain of application `n` begins.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub fn genesis(&self, n: u64, network_id: NetworkId) -> Result<Genesis, RegistryError> {
        let application = self.ask(APPLICATIONS, &IApplications::applicationCall { n })?;
        let first = self.ask(APPLICATIONS, &IApplications::genesisOfCall { n })?;
        let wrong = |what| RegistryError::Application { n, what };
        let record = Record::decode(&first.record).map_err(|_other| wrong("record"))?;
        if record.chain_id.get() != application.chainId {
            return Err(wrong("record"));
        }
        let validators = set_of(n, &first.validators, &first.powers)?;
        let creator = self
            .moment
            .header(application.createdBlock)?
            .ok_or_else(|| wrong("creating block"))?;
        let ms = types::header::time_ms(&creator.header).ok_or_else(|| wrong("creating block"))?;
        Ok(Genesis {
            record,
            validators,
            network_id,
            creator: Some(HubBlock {
                hash: creator.hash,
                ms,
            }),
            registry: None,
        })
    }
}

/// A set of these validators.
fn set_of(n: u64, validators: &[Address], powers: &[u64]) -> Result<ValidatorSet, RegistryError> {
    let validators = validators
        .iter()
        .zip(powers)
        .map(|(&address, &power)| Validator { address, power })
        .collect();
    ValidatorSet::new(validators).map_err(|_unsound| RegistryError::Application {
        n,
        what: "set of validators",
    })
}

impl Changed {
    /// What a block of the hub with these receipts changed.
    #[must_use]
    pub fn by(receipts: &[alloy_consensus::ReceiptEnvelope]) -> Self {
        let mut changed = Self::default();
        for log in receipts.iter().flat_map(|receipt| receipt.logs()) {
            if log.address == CITIES {
                changed.cities = true;
            }
            if log.address == VALIDATORS {
                changed.validators = true;
            }
            // All of its events that concern a city name the application first.
            if log.address == APPLICATIONS
                && let Some(n) = named(log)
            {
                changed.applications.insert(n);
            }
        }
        changed
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// The application of an event after which its cities look again.
fn named(log: &Log) -> Option<u64> {
    type Events = IApplications::IApplicationsEvents;
    Some(match Events::decode_log(log).ok()?.data {
        Events::Placed(event) => event.n,
        Events::Left(event) => event.n,
        Events::Changing(event) => event.n,
        Events::Ready(event) => event.n,
        Events::HandedOver(event) => event.n,
        Events::ApplicationStatus(event) => event.n,
        Events::Created(_) => return None,
    })
}
