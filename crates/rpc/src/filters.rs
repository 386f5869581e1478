//! Filters that clients install and ask again and again what is new.
//!
//! A filter that nobody asks for a while is gone. Nothing runs for that: it is noticed when filters are next touched, so
//! that an idle process stays asleep.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use chain::Moment;
use execution::Transaction;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::Instant;

use crate::api::Api;
use crate::arguments::Arguments;
use crate::error::Failure;
use crate::logs::{self, Found, LogAnswer, LogFilter, Span};
use crate::transactions::TransactionAnswer;
use alloy_eips::BlockNumberOrTag;

/// The installed filters of one server.
#[derive(Debug)]
pub(crate) struct Filters {
    /// A lock and not a task: it is held for a look-up alone.
    installed: Mutex<HashMap<String, Installed>>,
    most: usize,
    lifetime: Duration,
}

#[derive(Debug)]
struct Installed {
    used: Instant,
    /// Locked by whoever asks what is new, so that two who ask at once do not both get it. On worker threads alone.
    filter: Arc<Mutex<Filter>>,
}

#[derive(Debug)]
enum Filter {
    /// Hashes of blocks from this one on.
    Blocks { next: u64 },
    /// Logs of blocks from `next` on.
    Logs { filter: Box<LogFilter>, next: u64 },
    /// Transactions that enter the pool.
    Pending {
        transactions: Receiver<Arc<Transaction>>,
        full: bool,
    },
}

/// What is new.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Changes {
    Hashes(Vec<B256>),
    Logs(Vec<LogAnswer>),
    Transactions(Vec<TransactionAnswer>),
}

impl Filters {
    pub(crate) fn new(most: usize, lifetime: Duration) -> Self {
        Self {
            installed: Mutex::default(),
            most,
            lifetime,
        }
    }

    /// Installs a filter under a name that nobody can guess.
    fn install(&self, filter: Filter) -> Result<String, Failure> {
        let id = format!("{:#034x}", rand::random::<u128>());
        let filter = Arc::new(Mutex::new(filter));
        let now = Instant::now();
        let mut installed = self.installed.lock();
        installed.retain(|_, installed| now < installed.used + self.lifetime);
        if installed.len() >= self.most {
            return Err(Failure::Limit {
                what: "too many filters are installed",
                most: self.most as u64,
            });
        }
        installed.insert(id.clone(), Installed { used: now, filter });
        Ok(id)
    }

    fn get(&self, id: &str) -> Result<Arc<Mutex<Filter>>, Failure> {
        let now = Instant::now();
        let mut installed = self.installed.lock();
        installed.retain(|_, installed| now < installed.used + self.lifetime);
        let found = installed.get_mut(id).ok_or(Failure::NoFilter)?;
        found.used = now;
        Ok(Arc::clone(&found.filter))
    }

    fn remove(&self, id: &str) -> bool {
        self.installed.lock().remove(id).is_some()
    }
}

/// `eth_newFilter`
pub(crate) fn new_logs(api: &Api, arguments: &mut Arguments<'_>) -> Result<String, Failure> {
    let filter: LogFilter = arguments.required()?;
    arguments.end()?;
    filter.check(&api.limits)?;
    let next = next_block(&api.moment()?);
    api.filters.install(Filter::Logs {
        filter: Box::new(filter),
        next,
    })
}

/// `eth_newBlockFilter`
pub(crate) fn new_blocks(api: &Api, arguments: &mut Arguments<'_>) -> Result<String, Failure> {
    arguments.end()?;
    let next = next_block(&api.moment()?);
    api.filters.install(Filter::Blocks { next })
}

/// `eth_newPendingTransactionFilter`, of hashes unless whole transactions are asked for.
pub(crate) fn new_pending(api: &Api, arguments: &mut Arguments<'_>) -> Result<String, Failure> {
    let full: Option<bool> = arguments.optional()?;
    arguments.end()?;
    let transactions = api.chain.pending();
    api.filters.install(Filter::Pending {
        transactions,
        full: full.unwrap_or_default(),
    })
}

/// `eth_uninstallFilter`
pub(crate) fn uninstall(api: &Api, arguments: &mut Arguments<'_>) -> Result<bool, Failure> {
    let id: String = arguments.required()?;
    arguments.end()?;
    Ok(api.filters.remove(&id))
}

/// `eth_getFilterLogs`: all that the filter names, new or not.
pub(crate) fn all_logs(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Vec<LogAnswer>, Failure> {
    let id: String = arguments.required()?;
    arguments.end()?;
    let found = api.filters.get(&id)?;
    let filter = match &*found.lock() {
        Filter::Logs { filter, .. } => filter.clone(),
        Filter::Blocks { .. } | Filter::Pending { .. } => return Err(Failure::NoFilter),
    };
    logs::find(&api.moment()?, &filter, &api.limits)
}

/// `eth_getFilterChanges`: what is new since the last time.
pub(crate) fn changes(api: &Api, arguments: &mut Arguments<'_>) -> Result<Changes, Failure> {
    let id: String = arguments.required()?;
    arguments.end()?;
    let found = api.filters.get(&id)?;
    let mut found = found.lock();
    match &mut *found {
        Filter::Blocks { next } => {
            let moment = api.moment()?;
            let until = next_block(&moment).min(next.saturating_add(api.limits.log_blocks));
            let mut hashes = Vec::new();
            for number in *next..until {
                hashes.extend(moment.header(number)?.map(|head| head.hash));
            }
            *next = until.max(*next);
            Ok(Changes::Hashes(hashes))
        }
        Filter::Logs { filter, next } => new_matches(api, filter, next).map(Changes::Logs),
        Filter::Pending { transactions, full } => {
            let result = drain(transactions, *full);
            if result.is_err() {
                api.filters.remove(&id);
            }
            result
        }
    }
}

/// Logs of the blocks since `next`, as many blocks and logs as one search may give; the rest is new the next time.
/// A single block with too many is an error once.
fn new_matches(api: &Api, filter: &LogFilter, next: &mut u64) -> Result<Vec<LogAnswer>, Failure> {
    let moment = api.moment()?;
    let until = next_block(&moment).min(next.saturating_add(api.limits.log_blocks));
    let mut found = Found::new(&api.limits);
    while *next < until {
        let before = found.logs.len();
        let taken = if wants(filter, *next) {
            found.take(&moment, *next, filter)
        } else {
            Ok(())
        };
        match taken {
            Err(Failure::Limit { .. }) if before > 0 => {
                found.logs.truncate(before);
                break;
            }
            taken => {
                *next += 1;
                taken?;
            }
        }
    }
    Ok(found.logs)
}

/// Whether block `number` is among those that the filter was installed for.
fn wants(filter: &LogFilter, number: u64) -> bool {
    match filter.span {
        // A block that is there already brings nothing new.
        Span::Block(_) => false,
        Span::Range { from, to } => {
            let from = from
                .and_then(|tag| BlockNumberOrTag::as_number(&tag))
                .unwrap_or(0);
            let to = to
                .and_then(|tag| BlockNumberOrTag::as_number(&tag))
                .unwrap_or(u64::MAX);
            (from..=to).contains(&number)
        }
    }
}

/// What has entered the pool since the last time; bounded by the channel.
fn drain(transactions: &mut Receiver<Arc<Transaction>>, full: bool) -> Result<Changes, Failure> {
    let mut new = Vec::new();
    loop {
        match transactions.try_recv() {
            Ok(transaction) => new.push(transaction),
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            Err(TryRecvError::Lagged(missed)) => return Err(Failure::FilterBehind { missed }),
        }
    }
    Ok(if full {
        let answers = new
            .iter()
            .map(|new| TransactionAnswer::waiting(new.inner(), new.signer()));
        Changes::Transactions(answers.collect())
    } else {
        Changes::Hashes(new.iter().map(|new| *new.tx_hash()).collect())
    })
}

const fn next_block(moment: &Moment) -> u64 {
    moment.head().header.number + 1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Filter, Filters};
    use crate::error::Failure;

    const LIFETIME: Duration = Duration::from_secs(300);

    #[tokio::test(start_paused = true)]
    async fn a_filter_lives_as_long_as_it_is_asked() {
        let filters = Filters::new(10, LIFETIME);
        let asked = filters.install(Filter::Blocks { next: 0 }).unwrap();
        let forgotten = filters.install(Filter::Blocks { next: 0 }).unwrap();
        for _ in 0..3 {
            tokio::time::advance(LIFETIME / 2).await;
            filters.get(&asked).unwrap();
        }
        assert!(matches!(filters.get(&forgotten), Err(Failure::NoFilter)));
        tokio::time::advance(LIFETIME).await;
        assert!(matches!(filters.get(&asked), Err(Failure::NoFilter)));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_filters_than_allowed_and_old_ones_make_room() {
        let filters = Filters::new(2, LIFETIME);
        let first = filters.install(Filter::Blocks { next: 0 }).unwrap();
        filters.install(Filter::Blocks { next: 0 }).unwrap();
        let refused = filters.install(Filter::Blocks { next: 0 });
        assert!(matches!(refused, Err(Failure::Limit { most: 2, .. })));
        assert!(filters.remove(&first));
        assert!(!filters.remove(&first));
        filters.install(Filter::Blocks { next: 0 }).unwrap();
        tokio::time::advance(LIFETIME).await;
        filters.install(Filter::Blocks { next: 0 }).unwrap();
    }
}
