//! Who may enter the pool: judged by the chain's rules and by what it says of the sender at *now*.

use std::collections::HashMap;
use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, U256};
use execution::{Transaction, validate_form};
use parking_lot::RwLock;
use state::StateError;

use crate::{Moment, Pool, PoolError, Reader, SenderState};

/// What became of transactions that were given to the chain.
#[derive(Debug, Default)]
pub struct Admitted {
    /// One for each, in order.
    pub verdicts: Vec<Result<B256, PoolError>>,
    /// Payloads to append to the log before the verdicts are told.
    pub entries: Vec<Vec<u8>>,
    /// Those that were taken in.
    pub accepted: Vec<Arc<Transaction>>,
}

/// Judges transactions that came by the city `entry`, at `now_ms`, and takes the good ones into `pool`.
pub fn admit(
    reader: &Reader,
    pool: &RwLock<Pool>,
    entry: Address,
    transactions: Vec<Transaction>,
    now_ms: u64,
) -> Admitted {
    let mut admitted = Admitted::default();
    // Before the moment: a block that is decided meanwhile is either seen by the moment, or forgets what enters here.
    let mut pool = pool.write();
    let moment = match reader.moment() {
        Ok(moment) => moment,
        Err(unreadable) => {
            let unreadable = Arc::new(unreadable);
            let refused = |_| Err(PoolError::State(Box::new(Arc::clone(&unreadable))));
            admitted.verdicts = transactions.iter().map(refused).collect();
            return admitted;
        }
    };
    let rules = &reader.profile().rules;
    let env = moment.pending_env(now_ms);
    let mut senders = Senders::new(&moment);
    for transaction in transactions {
        let transaction = Arc::new(transaction);
        let verdict = validate_form(rules, &transaction, env.gas_limit)
            .map_err(PoolError::from)
            .and_then(|()| {
                let raw = transaction.encoded_2718();
                let known = senders.known(&transaction, rules.is_free())?;
                pool.insert(Arc::clone(&transaction), entry, raw.len(), known)?;
                Ok(raw)
            });
        admitted.verdicts.push(verdict.map(|raw| {
            admitted.entries.push(crate::entry::transaction_entry(&raw));
            let hash = *transaction.hash();
            admitted.accepted.push(transaction);
            hash
        }));
    }
    admitted
}

/// What the chain says of senders, each asked once for a batch.
#[derive(Debug)]
struct Senders<'a> {
    moment: &'a Moment,
    view: Option<state::View>,
    known: HashMap<Address, (u64, U256)>,
}

impl<'a> Senders<'a> {
    fn new(moment: &'a Moment) -> Self {
        Self {
            moment,
            view: None,
            known: HashMap::new(),
        }
    }

    fn known(
        &mut self,
        transaction: &Transaction,
        is_free: bool,
    ) -> Result<SenderState, PoolError> {
        let address = transaction.signer();
        let (nonce, balance) = match self.known.get(&address) {
            Some(known) => *known,
            None => {
                let account = self.account(address)?;
                let known =
                    account.map_or((0, U256::ZERO), |account| (account.nonce, account.balance));
                self.known.insert(address, known);
                known
            }
        };
        let gas = if is_free {
            U256::ZERO
        } else {
            U256::from(transaction.gas_limit()) * U256::from(transaction.max_fee_per_gas())
        };
        let cost = transaction.value().saturating_add(gas);
        Ok(SenderState {
            nonce,
            balance,
            cost,
        })
    }

    fn account(&mut self, address: Address) -> Result<Option<state::Account>, PoolError> {
        let view = match &self.view {
            Some(view) => view,
            None => {
                let view = self.moment.view(self.moment.head().header.number);
                self.view
                    .insert(view.map_err(|error| PoolError::State(Box::new(error)))?)
            }
        };
        view.account(address)
            .map_err(|error: StateError| PoolError::State(Box::new(error)))
    }
}
