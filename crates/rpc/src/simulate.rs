//! Questions to the EVM that change nothing: calls, estimates, access lists.

mod request;

use alloy_eips::eip2930::AccessList;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, Bytes, U64};
use alloy_rpc_types_eth::state::StateOverride;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest};
use chain::Moment;
use execution::{Call, CallOutcome, CallStatus, Simulation};
use serde::Serialize;

pub(crate) use request::data;

use crate::api::Api;
use crate::arguments::Arguments;
use crate::error::Failure;
use crate::tags::Place;

/// `eth_call`: in the environment of the latest block unless another is named.
pub(crate) fn call(api: &Api, arguments: &mut Arguments<'_>) -> Result<Bytes, Failure> {
    let question = Question::read(arguments, BlockNumberOrTag::Latest)?;
    let outcome = question.ask(api, |simulation, call| Ok(simulation.call(call)?))?;
    output(outcome)
}

/// `eth_estimateGas`: in a block made now unless an older one is named, since that is where the transaction will be.
/// Tools that ask at `latest` (web3.py, cast) mean the same.
pub(crate) fn estimate_gas(api: &Api, arguments: &mut Arguments<'_>) -> Result<U64, Failure> {
    let question = Question::read(arguments, BlockNumberOrTag::Pending)?.of_a_transaction();
    question.ask(api, |simulation, call| {
        Ok(U64::from(simulation.estimate_gas(call)?))
    })
}

/// Gas for a transaction made of `request`, in a block made now.
pub(crate) fn gas_now(api: &Api, request: &TransactionRequest) -> Result<u64, Failure> {
    let question = Question {
        request: request.clone(),
        block: None,
        otherwise: BlockNumberOrTag::Pending,
        accounts: None,
        overrides: None,
        proposed: true,
    };
    question.ask(api, |simulation, call| Ok(simulation.estimate_gas(call)?))
}

/// What a call touches.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccessListAnswer {
    access_list: AccessList,
    /// Why the call failed with this list; the list holds nevertheless.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    gas_used: U64,
}

/// `eth_createAccessList`: in a block made now unless an older one is named.
pub(crate) fn create_access_list(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<AccessListAnswer, Failure> {
    let question = Question::read(arguments, BlockNumberOrTag::Pending)?.of_a_transaction();
    let touched = question.ask(api, |simulation, call| {
        Ok(simulation.create_access_list(call)?)
    })?;
    Ok(AccessListAnswer {
        access_list: touched.access_list,
        gas_used: U64::from(touched.outcome.gas_used),
        error: output(touched.outcome)
            .err()
            .map(|failure| failure.to_string()),
    })
}

/// A call, and where it is asked.
#[derive(Debug)]
struct Question {
    request: TransactionRequest,
    block: Option<BlockId>,
    otherwise: BlockNumberOrTag,
    accounts: Option<StateOverride>,
    overrides: Option<BlockOverrides>,
    /// Whether the block made now has a proposer.
    proposed: bool,
}

/// The proposer in estimates on a chain that has no block yet. `pending` has none, and a contract that keeps the address
/// of the coinbase would be estimated at the price of writing a zero over a zero.
const SOME_PROPOSER: Address = Address::repeat_byte(0xff);

impl Question {
    fn read(arguments: &mut Arguments<'_>, otherwise: BlockNumberOrTag) -> Result<Self, Failure> {
        let question = Self {
            request: arguments.required()?,
            block: arguments.optional()?,
            otherwise,
            accounts: arguments.optional()?,
            overrides: arguments.optional()?,
            proposed: false,
        };
        arguments.end()?;
        Ok(question)
    }

    /// A question about a transaction that will be sent: the latest block is asked about as one made now, by a proposer.
    fn of_a_transaction(mut self) -> Self {
        use BlockNumberOrTag::{Finalized, Latest, Safe};
        if let Some(BlockId::Number(Latest | Safe | Finalized)) = self.block {
            self.block = None;
        }
        self.proposed = true;
        self
    }

    fn ask<T>(
        self,
        api: &Api,
        ask: impl FnOnce(&Simulation<'_>, &Call) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let moment: Moment = api.moment()?;
        let rules = &moment.profile().rules;
        let call = request::call(self.request, rules.chain_id)?;
        let overrides = request::overrides(self.accounts, self.overrides)?;
        let place = Place::of(&moment, self.block, self.otherwise)?;
        let view = place.view(&moment)?;
        let mut env = place.env(&moment, api.chain.now_ms());
        if self.proposed && env.beneficiary.is_zero() {
            let before = moment.head().header.beneficiary;
            env.beneficiary = if before.is_zero() {
                SOME_PROPOSER
            } else {
                before
            };
        }
        let simulation = Simulation::new(rules, env, &view, &moment).with_overrides(overrides);
        ask(&simulation, &call)
    }
}

/// What a call returned, or why it failed.
fn output(outcome: CallOutcome) -> Result<Bytes, Failure> {
    match outcome.status {
        CallStatus::Success => Ok(outcome.output),
        CallStatus::Revert => Err(Failure::Reverted {
            output: outcome.output,
        }),
        CallStatus::Halt(reason) => Err(Failure::Halted { reason }),
    }
}
