//! Load: one thread an account sends bursts of transactions and asks for their receipts until the
//! program is gone. What it was told stays in the accounts; a broken connection is no failure.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::PATIENCE;
use super::check::number;
use super::ledger::Account;
use crate::client::{Client, ClientError};
use crate::power_cut::PowerCutError;

/// The pool takes 16 of one sender.
const MAX_BURST: usize = 8;
/// How long a thread leaves the program alone before it asks for receipts again.
const PAUSE: Duration = Duration::from_millis(1);
/// After the cut the program is still asked for so long: it must not promise anything new then.
const AFTERMATH: Duration = Duration::from_millis(40);

/// One load on a running program.
pub(super) struct Load<'a> {
    pub(super) url: &'a str,
    pub(super) span: Duration,
    pub(super) seed: u64,
}

/// What a load came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) sent: u64,
    pub(super) receipts: u64,
    /// The highest block that was shown.
    pub(super) height: u64,
}

impl Load<'_> {
    /// Runs the load; at its end calls `crash`, and stops asking a moment later.
    pub(super) fn run(
        &self,
        accounts: &mut [Account],
        crash: impl FnOnce() -> Result<(), PowerCutError>,
    ) -> Result<Sum, PowerCutError> {
        let stop = AtomicBool::new(false);
        let before: Vec<_> = accounts.iter().map(Account::promises).collect();
        thread::scope(|scope| {
            for (number, account) in (0..).zip(&mut *accounts) {
                let (stop, url) = (&stop, self.url);
                let rng = StdRng::seed_from_u64(self.seed.wrapping_mul(31).wrapping_add(number));
                // It ends when the program goes away or `stop` is set, whichever comes first.
                scope.spawn(move || send_until(stop, url, account, rng));
            }
            wait(self.span);
            let crashed = crash();
            wait(AFTERMATH);
            stop.store(true, Ordering::Relaxed);
            crashed
        })?;
        let mut sum = Sum::default();
        for (account, (sent, receipts)) in accounts.iter().zip(before) {
            let (sent_now, receipts_now) = account.promises();
            sum.sent += sent_now - sent;
            sum.receipts += receipts_now - receipts;
            sum.height = sum.height.max(account.shown);
        }
        Ok(sum)
    }
}

/// Lets time pass: a load's length is its definition, not a condition that could be waited for.
fn wait(span: Duration) {
    let until = Instant::now() + span;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

fn send_until(stop: &AtomicBool, url: &str, account: &mut Account, mut rng: StdRng) {
    // Errors end the thread: the program is crashed under it, and what it said before counts.
    let Ok(mut client) = Client::connect(url, PATIENCE) else {
        return;
    };
    while !stop.load(Ordering::Relaxed) {
        if burst(stop, &mut client, account, &mut rng).is_err() {
            return;
        }
    }
}

fn burst(
    stop: &AtomicBool,
    client: &mut Client,
    account: &mut Account,
    rng: &mut StdRng,
) -> Result<(), ClientError> {
    let first = account.sent.len();
    for _ in 0..rng.random_range(1..=MAX_BURST) {
        // One by one: a nonce is in the log before the next one is sent. A refusal ends the load,
        // as the nonces after it would never be executed.
        let hash = client.call("eth_sendTransaction", &json!([account.next(rng)]))?;
        let sent = account.sent.last_mut().expect("was just noted");
        sent.hash = Some(serde_json::from_value(hash)?);
    }
    while account
        .sent
        .iter()
        .skip(first)
        .any(|sent| sent.receipt.is_none())
    {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let open = account
            .sent
            .iter_mut()
            .skip(first)
            .filter(|sent| sent.receipt.is_none());
        let open: Vec<_> = open.collect();
        let mut calls = vec![("eth_blockNumber", json!([]))];
        calls.extend(
            open.iter()
                .map(|sent| ("eth_getTransactionReceipt", json!([sent.hash]))),
        );
        let mut answers = client.batch(&calls)?.into_iter();
        let height = answers.next().expect("one answer a call")?;
        for (sent, receipt) in open.into_iter().zip(answers) {
            sent.receipt = Some(receipt?).filter(Value::is_object);
        }
        account.shown = account.shown.max(number(&height).unwrap_or(0));
        thread::park_timeout(PAUSE);
    }
    Ok(())
}
