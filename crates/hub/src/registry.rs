//! Reading the registry in a city's own copy of the hub.

use alloy_primitives::{Address, Log};
use alloy_sol_types::{SolCall, SolEvent as _};
use chain::{Genesis, Moment, ReadError};
use execution::{Call, CallError, CallStatus, Simulation};
use types::genesis::HubBlock;
use types::{ChainId, NetworkId, Record, Validator, ValidatorSet};

use crate::abi::{APPLICATIONS, Application, CITIES, City, IApplications, ICities};

/// Entries that one question asks for.
const PAGE: u32 = 100;
/// Most cities that are read: more than any network has.
const MOST_CITIES: u32 = 4_096;
/// The status of what is in force.
const ACTIVE: u8 = 1;

/// The registry as one block of the hub left it.
#[derive(Debug)]
pub struct Registry<'a> {
    moment: &'a Moment,
}

/// An application on this city.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Its number in the network.
    pub n: u64,
    /// Its chain.
    pub chain_id: ChainId,
    /// How its chain begins; `None` when it is not to run.
    pub genesis: Option<Genesis>,
}

/// What one block of the hub changed, as far as a city has to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Something about cities: whom to meet.
    pub cities: bool,
    /// Applications that were placed on this city.
    pub placed: Vec<u64>,
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
        let head = &self.moment.head().header;
        let view = self.moment.view(head.number)?;
        let env = self.moment.env(head);
        let rules = &self.moment.profile().rules;
        let call = Call {
            to: Some(contract),
            data: question.abi_encode().into(),
            ..Call::default()
        };
        let outcome = Simulation::new(rules, env, &view, self.moment).call(&call)?;
        if outcome.status != CallStatus::Success || outcome.output.is_empty() {
            return Err(RegistryError::NoAnswer { contract });
        }
        C::abi_decode_returns(&outcome.output)
            .map_err(|source| RegistryError::Form { contract, source })
    }

    /// All cities that are in force, in the order in which they came.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub fn cities(&self) -> Result<Vec<City>, RegistryError> {
        let count = self.ask(CITIES, &ICities::countCall {})?.min(MOST_CITIES);
        let mut cities = Vec::new();
        for from in (1..=count).step_by(PAGE as usize) {
            let page = self.ask(CITIES, &ICities::citiesCall { from, limit: PAGE })?;
            cities.extend(page.into_iter().filter(|city| city.status == ACTIVE));
        }
        Ok(cities)
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

    /// Application `n`, and how its chain begins.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub fn placement(&self, n: u64, network_id: NetworkId) -> Result<Placement, RegistryError> {
        let application = self.ask(APPLICATIONS, &IApplications::applicationCall { n })?;
        let wrong = |what| RegistryError::Application { n, what };
        let chain_id = ChainId::new(application.chainId).map_err(|_range| wrong("chain id"))?;
        let genesis = if application.status == ACTIVE {
            Some(self.genesis(&application, chain_id, network_id)?)
        } else {
            None
        };
        Ok(Placement {
            n,
            chain_id,
            genesis,
        })
    }

    fn genesis(
        &self,
        application: &Application,
        chain_id: ChainId,
        network_id: NetworkId,
    ) -> Result<Genesis, RegistryError> {
        let n = application.n;
        let wrong = |what| RegistryError::Application { n, what };
        let record = Record::decode(&application.record).map_err(|_other| wrong("record"))?;
        if record.chain_id != chain_id || record.hash() != application.recordHash {
            return Err(wrong("record"));
        }
        let validators = application
            .validators
            .iter()
            .zip(&application.powers)
            .map(|(&address, &power)| Validator { address, power })
            .collect();
        let validators =
            ValidatorSet::new(validators).map_err(|_unsound| wrong("set of validators"))?;
        if validators.hash() != application.setHash {
            return Err(wrong("set of validators"));
        }
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

impl Changed {
    /// What a block of the hub with these receipts changed for the city with number `own`; all there is when the city has no
    /// number yet.
    #[must_use]
    pub fn by(receipts: &[alloy_consensus::ReceiptEnvelope], own: Option<u32>) -> Self {
        let mut changed = Self::default();
        for log in receipts.iter().flat_map(|receipt| receipt.logs()) {
            changed.add(log, own);
        }
        changed
    }

    fn add(&mut self, log: &Log, own: Option<u32>) {
        if log.address == CITIES {
            self.cities = true;
        }
        if log.address == APPLICATIONS
            && let Ok(placed) = IApplications::Placed::decode_log(log)
            && own == Some(placed.city)
        {
            self.placed.push(placed.n);
        }
    }
}
