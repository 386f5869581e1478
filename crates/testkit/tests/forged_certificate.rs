//! A validator that lies to a running city over a real link: certificates that nobody signed, or too few, are refused and
//! counted, and whoever does not stop is cut off; one that is signed is believed, whoever brings it.

#![expect(clippy::unwrap_used, reason = "a test says why by failing")]

use std::net::SocketAddr;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use chain::{Genesis, PeerMessage};
use link::{Class, Event, Identity, Limits, Links, Peer, PeerId};
use node::{Cities, Host, Options, Seat, SystemClock};
use tokio::sync::mpsc;
use types::certificate::CommitSignature;
use types::{Certificate, ChainId, Domain, NetworkId, NodeKey, Record, Validator, ValidatorSet};

const CHAIN: u64 = 40_001;
const NETWORK: NetworkId = NetworkId(B256::repeat_byte(3));
const PATIENCE: Duration = Duration::from_secs(20);
/// More than a city says by mistake.
const MANY: u8 = 200;

/// A city of four, and one of the other three at its link.
struct Setting {
    host: Host,
    liar: Links,
    events: mpsc::Receiver<Event>,
    /// The keys of the other three; the liar's is the first.
    others: Vec<NodeKey>,
    _folder: tempfile::TempDir,
}

fn id(address: Address) -> PeerId {
    PeerId(address.into_array())
}

impl Setting {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let others: Vec<_> = (11..14_u8)
            .map(|n| NodeKey::from_bytes(&[n; 32]).unwrap())
            .collect();
        let anywhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let [own, liars] = [(), ()].map(|()| Identity::generate().unwrap());
        let (prints, address) = (
            (own.fingerprint(), liars.fingerprint()),
            others[0].address(),
        );
        let (liar, events) = Links::start(link::Config {
            identity: liars,
            own: id(address),
            network: NETWORK.0.0,
            listen: anywhere,
            peers: Vec::new(),
            limits: Limits::default(),
        })
        .unwrap();
        let cities = Cities {
            identity: own,
            listen: anywhere,
            peers: vec![Peer {
                id: id(address),
                fingerprint: prints.1,
                endpoint: liar.local_addr().unwrap().to_string(),
            }],
            endpoints: std::collections::BTreeMap::new(),
            network: None,
        };
        let seat = Seat::take(folder.path()).unwrap();
        let options = Options::development(std::sync::Arc::new(SystemClock));
        let validators = |key: &NodeKey| {
            let all = others.iter().chain([key]);
            let all = all.map(|key| Validator {
                address: key.address(),
                power: 1,
            });
            ValidatorSet::new(all.collect()).unwrap()
        };
        let host = Host::launch(seat, &options, None, Some(cities), |key| {
            Some(Genesis {
                record: Record::development(ChainId::new(CHAIN).unwrap(), 1_700_000_000_000),
                validators: validators(key),
                network_id: NETWORK,
                creator: None,
                registry: None,
            })
        })
        .unwrap();
        liar.set_peers(vec![Peer {
            id: id(host.key().address()),
            fingerprint: prints.0,
            endpoint: host.links().unwrap().local_addr().unwrap().to_string(),
        }]);
        let mut setting = Self {
            host,
            liar,
            events,
            others,
            _folder: folder,
        };
        setting
            .hear("the link is up", |event| matches!(event, Event::Up { .. }))
            .await;
        setting
    }

    /// Waits for an event at the liar's end.
    async fn hear(&mut self, what: &str, is_it: impl Fn(&Event) -> bool) {
        let wait = async {
            while let Some(event) = self.events.recv().await {
                if is_it(&event) {
                    return;
                }
            }
            panic!("the links ended");
        };
        assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{what}");
    }

    fn send(&self, message: &PeerMessage) {
        let to = id(self.host.key().address());
        self.liar
            .send(to, CHAIN, Class::Consensus, message.encode().into());
    }

    /// A certificate of block 1 with this hash by these keys.
    fn certificate<'a>(
        block_hash: B256,
        signers: impl IntoIterator<Item = (Address, &'a NodeKey)>,
    ) -> Certificate {
        let domain = Domain::new(ChainId::new(CHAIN).unwrap(), NETWORK);
        let digest = domain.commit_hash(1, 0, block_hash);
        let mut signatures: Vec<_> = signers
            .into_iter()
            .map(|(address, key)| CommitSignature {
                address,
                signature: key.sign(digest),
            })
            .collect();
        signatures.sort_by_key(|signature| signature.address);
        Certificate {
            height: 1,
            round: 0,
            block_hash,
            signatures,
        }
    }

    /// How many messages were refused for this reason.
    fn refused(&self, reason: &str) -> u64 {
        let mut registry = prometheus_client::registry::Registry::default();
        self.host.metrics().register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let label = format!("reason=\"{reason}\"");
        text.lines()
            .find(|line| line.starts_with("refused_messages") && line.contains(&label))
            .and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or_default()
    }

    async fn end(self) {
        assert_eq!(
            self.host
                .chain()
                .reader()
                .moment()
                .unwrap()
                .head()
                .header
                .number,
            0
        );
        self.liar.stop().await;
        self.host.stop().await;
    }
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_prove_nothing_are_refused_and_counted() {
    let setting = Setting::new().await;
    let own = setting.host.key().address();
    let keys = &setting.others;
    let honest = |count: usize| keys.iter().take(count).map(|key| (key.address(), key));
    let strangers: Vec<_> = (30..33_u8)
        .map(|n| NodeKey::from_bytes(&[n; 32]).unwrap())
        .collect();
    let block = B256::repeat_byte(7);
    let forged = [
        ("two of four signed", Setting::certificate(block, honest(2))),
        (
            "one signed for three",
            Setting::certificate(block, keys.iter().map(|key| (key.address(), &keys[0]))),
        ),
        (
            "strangers signed",
            Setting::certificate(block, strangers.iter().map(|key| (key.address(), key))),
        ),
        (
            "somebody else signed for this very city",
            Setting::certificate(block, honest(2).chain([(own, &keys[2])])),
        ),
        (
            "another block was signed",
            Certificate {
                block_hash: B256::repeat_byte(8),
                ..Setting::certificate(block, honest(3))
            },
        ),
    ];
    for (count, (what, certificate)) in (1..).zip(forged) {
        setting.send(&PeerMessage::Certificate(certificate));
        until(what, || setting.refused("certificate") == count).await;
    }
    setting.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_signed_is_believed_and_its_block_asked_for() {
    let mut setting = Setting::new().await;
    let signers = setting.others.iter().map(|key| (key.address(), key));
    let block_hash = B256::repeat_byte(7);
    let certificate = Setting::certificate(block_hash, signers);
    setting.send(&PeerMessage::Certificate(certificate));
    let is_wish = |event: &Event| match event {
        Event::Received { payload, .. } => matches!(
            PeerMessage::decode(payload),
            Ok(PeerMessage::GetBlocks { from: 1 } | PeerMessage::GetOutline { .. })
        ),
        _ => false,
    };
    setting.hear("it asks for the block", is_wish).await;
    assert_eq!(setting.refused("certificate"), 0);
    setting.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_stop_is_cut_off() {
    let mut setting = Setting::new().await;
    for n in 0..MANY {
        let certificate = Setting::certificate(
            B256::repeat_byte(n | 1),
            [(setting.others[1].address(), &setting.others[0])],
        );
        setting.send(&PeerMessage::Certificate(certificate));
    }
    setting
        .hear("the link is cut", |event| {
            matches!(event, Event::Down { .. })
        })
        .await;
    let refused = setting.refused("certificate");
    assert!((64..u64::from(MANY)).contains(&refused), "{refused}");
    setting.end().await;
}
