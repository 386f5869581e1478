//! What two cities tell each other of the chains that both keep, whenever they are connected: a parked chain has nobody
//! who would.
//!
//! ```text
//!  connected ─▶ digest ─▶ the same? ── yes: nothing
//!                            └─ no: tips, both ways ─▶ a chain that is behind is opened and asks
//! ```
//!
//! Messages go under chain id 0, which is no chain's: version (1 byte) ‖ kind (1 byte) ‖ RLP.
//! Kind 1, digest: keccak256 of all tips, ascending by chain id, 8 ‖ 8 ‖ 32 bytes each. Kind 2, tips: `[[chain id, number,
//! hash]…]`, at most [`PAGE`] of them. A tip is a claim: it makes this city ask, and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, Keccak256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use chain::PeerClass;
use chain::genesis::HostedTip;
use store::TablesError;
use tokio::sync::{mpsc, watch};
use types::{ChainId, ValidatorSet};

use crate::hosting::{Hosting, NO_CHAIN};

/// The version of all messages here.
const VERSION: u8 = 1;
const DIGEST: u8 = 1;
const TIPS: u8 = 2;
/// Most tips of one message; 46 KiB.
const PAGE: usize = 1_024;
/// Most bytes of a message that is read.
const MOST_BYTES: usize = 64 << 10;
/// Messages that wait; what comes when there are more is lost, and told again at the next connection.
pub(crate) const WAITING: usize = 1_024;
/// How long one chain may take to catch up before the next one begins.
const TURN: Duration = Duration::from_secs(2);

/// What the task is told.
#[derive(Debug)]
pub(crate) enum ToTips {
    /// There is a connection, perhaps anew.
    Connected(Address),
    /// A message under chain id 0.
    Message(Address, Bytes),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
struct TipBody {
    chain: u64,
    number: u64,
    hash: B256,
}

/// A message, read.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Digest(B256),
    Tips(Vec<TipBody>),
}

/// Answers digests and tips, one message after the other.
pub(crate) async fn run(
    hosting: Hosting,
    mut inbox: mpsc::Receiver<ToTips>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let told = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            told = inbox.recv() => told,
        };
        let (peer, said) = match told {
            None => return,
            Some(ToTips::Connected(peer)) => (peer, None),
            Some(ToTips::Message(peer, payload)) => match read(&payload) {
                Some(said) => (peer, Some(said)),
                None => {
                    tracing::debug!(%peer, "no message of tips");
                    continue;
                }
            },
        };
        if let Err(error) = hear(&hosting, peer, said).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "tips were not compared"
            );
        }
    }
}

async fn hear(hosting: &Hosting, peer: Address, said: Option<Said>) -> Result<(), TablesError> {
    let all = hosting.clone();
    let read = move || {
        // Those that both keep, and those whose set changes, as far as the hub says so.
        let concern =
            |chain_id, set: &ValidatorSet| set.get(peer).is_some() || all.names(chain_id, peer);
        chain::genesis::hosted_tips(&*all.common().tables, concern)
    };
    // A panic there is a bug that the next connection tries again.
    let Ok(tips) = tokio::task::spawn_blocking(read).await else {
        return Ok(());
    };
    let tips = tips?;
    let send = |payload| {
        let common = hosting.common();
        common.peers.send_city(peer, PeerClass::Sync, payload);
    };
    match said {
        None if tips.is_empty() => {}
        None => send(digest_message(digest(&tips))),
        Some(Said::Digest(theirs)) if theirs == digest(&tips) => {}
        Some(Said::Digest(_)) => {
            // The other one does not know yet that they differ, and answers with its own.
            for page in tips.chunks(PAGE) {
                send(tips_message(page));
            }
        }
        Some(Said::Tips(theirs)) => compare(hosting, peer, &tips, theirs, send).await,
    }
    Ok(())
}

/// Opens the chains that are behind, one after the other; tells the other city of those where it is.
async fn compare(
    hosting: &Hosting,
    peer: Address,
    tips: &[HostedTip],
    theirs: Vec<TipBody>,
    send: impl Fn(Bytes),
) {
    let own: BTreeMap<u64, &HostedTip> = tips.iter().map(|tip| (tip.chain_id.get(), tip)).collect();
    let (mut ahead, mut behind) = (Vec::new(), Vec::new());
    for theirs in theirs {
        match own.get(&theirs.chain) {
            Some(own) if own.number < theirs.number => behind.push(own.chain_id),
            Some(own) if own.number > theirs.number => ahead.push((*own).clone()),
            Some(_) | None => {}
        }
    }
    if !ahead.is_empty() {
        send(tips_message(&ahead));
    }
    for chain_id in behind {
        catch_up(hosting, chain_id, peer).await;
    }
}

async fn catch_up(hosting: &Hosting, chain_id: ChainId, peer: Address) {
    let chain = match hosting.open(chain_id).await {
        Ok(Some(chain)) => chain,
        Ok(None) => return,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a chain stays behind"
            );
            return;
        }
    };
    let mut heads = chain.heads();
    hosting.connected_on(chain_id.get(), peer).await;
    // Held until the first block came, so that it is not parked before; further ones keep it awake.
    drop(tokio::time::timeout(TURN, heads.recv()).await);
}

fn digest(tips: &[HostedTip]) -> B256 {
    let mut hasher = Keccak256::new();
    for tip in tips {
        hasher.update(tip.chain_id.get().to_be_bytes());
        hasher.update(tip.number.to_be_bytes());
        hasher.update(tip.hash);
    }
    hasher.finalize()
}

fn digest_message(digest: B256) -> Bytes {
    let mut out = vec![VERSION, DIGEST];
    out.extend_from_slice(&alloy_rlp::encode(digest));
    out.into()
}

fn tips_message(tips: &[HostedTip]) -> Bytes {
    let bodies: Vec<TipBody> = tips
        .iter()
        .map(|tip| TipBody {
            chain: tip.chain_id.get(),
            number: tip.number,
            hash: tip.hash,
        })
        .collect();
    let mut out = vec![VERSION, TIPS];
    alloy_rlp::encode_list(&bodies, &mut out);
    out.into()
}

fn read(payload: &[u8]) -> Option<Said> {
    if payload.len() > MOST_BYTES {
        return None;
    }
    match payload {
        [VERSION, DIGEST, body @ ..] => alloy_rlp::decode_exact(body).ok().map(Said::Digest),
        [VERSION, TIPS, body @ ..] => {
            let tips: Vec<TipBody> = alloy_rlp::decode_exact(body).ok()?;
            (tips.len() <= PAGE).then_some(Said::Tips(tips))
        }
        _ => None,
    }
}

/// Whether a message under this chain id is for the task of this module.
pub(crate) const fn is_mine(chain: u64) -> bool {
    chain == NO_CHAIN
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use chain::genesis::HostedTip;
    use types::ChainId;

    use super::{PAGE, Said, TipBody, digest, digest_message, read, tips_message};

    fn tip(n: u64) -> HostedTip {
        HostedTip {
            chain_id: ChainId::new(n).unwrap(),
            number: n * 2,
            hash: B256::with_last_byte(7),
        }
    }

    #[test]
    fn what_is_said_is_read() {
        let tips: Vec<_> = (1..=PAGE as u64).map(tip).collect();
        let wanted = tips.iter().map(|tip| TipBody {
            chain: tip.chain_id.get(),
            number: tip.number,
            hash: tip.hash,
        });
        assert_eq!(
            read(&tips_message(&tips)),
            Some(Said::Tips(wanted.collect()))
        );
        let same = digest(&tips);
        assert_eq!(read(&digest_message(same)), Some(Said::Digest(same)));
        assert_ne!(digest(&tips[1..]), same);
    }

    #[test]
    fn what_is_no_message_is_not_read() {
        let long: Vec<_> = (1..=PAGE as u64 + 1).map(tip).collect();
        assert_eq!(read(&tips_message(&long)), None);
        for bytes in [&[][..], &[1], &[2, 1], &[1, 9, 0x80], &[1, 2, 0xff]] {
            assert_eq!(read(bytes), None);
        }
    }
}
