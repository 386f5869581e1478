//! What is counted, for Prometheus.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chain::Block;
use link::{Class, Links, Refused};
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use store::{Log, Tables};
use tokio::time::Instant;
use types::ChainId;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    chain: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    chain: u64,
    reason: String,
}

type Seconds = Family<Labels, Histogram>;

/// The metrics of a city.
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    blocks: Family<Labels, Counter>,
    transactions: Family<Labels, Counter>,
    gas: Family<Labels, Counter>,
    height: Family<Labels, Gauge>,
    size: Family<Labels, Gauge>,
    pool: Family<Labels, Gauge>,
    build: Seconds,
    heard: Seconds,
    root: Seconds,
    sync: Seconds,
    commit: Seconds,
    refused: Family<Refusal, Counter>,
    evidence: Family<Labels, Counter>,
    late_rounds: Family<Labels, Counter>,
    awake: Gauge,
    lost: Counter,
    /// Chains that have labels of their own; a lock because chains start on several threads.
    labelled: Arc<Mutex<BTreeSet<u64>>>,
    log: Arc<dyn Log>,
    tables: Arc<dyn Tables>,
    links: Option<Links>,
}

/// The metrics of one chain.
#[derive(Clone, Debug)]
pub(crate) struct ChainMetrics {
    all: NodeMetrics,
    labels: Labels,
}

/// Chains that have labels of their own.
const LABELLED_CHAINS: usize = 64;

/// From 50 µs to 6.5 s, doubling.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 18))
}

impl NodeMetrics {
    pub(crate) fn new(log: Arc<dyn Log>, tables: Arc<dyn Tables>, links: Option<Links>) -> Self {
        Self {
            blocks: Family::default(),
            transactions: Family::default(),
            gas: Family::default(),
            height: Family::default(),
            size: Family::default(),
            pool: Family::default(),
            build: Family::new_with_constructor(seconds),
            heard: Family::new_with_constructor(seconds),
            sync: Family::new_with_constructor(seconds),
            commit: Family::new_with_constructor(seconds),
            root: Family::new_with_constructor(seconds),
            refused: Family::default(),
            evidence: Family::default(),
            late_rounds: Family::default(),
            awake: Gauge::default(),
            lost: Counter::default(),
            labelled: Arc::default(),
            log,
            tables,
            links,
        }
    }

    /// Adds everything to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("blocks", "Blocks made final", self.blocks.clone());
        registry.register(
            "transactions",
            "Transactions made final",
            self.transactions.clone(),
        );
        registry.register("gas", "Gas used by final transactions", self.gas.clone());
        registry.register("height", "Number of the latest block", self.height.clone());
        registry.register_with_unit(
            "rows",
            "What the chain's rows have, as what it may have is counted",
            Unit::Bytes,
            self.size.clone(),
        );
        registry.register(
            "pool_transactions",
            "Transactions waiting",
            self.pool.clone(),
        );
        registry.register(
            "refused_messages",
            "Messages of other cities that were refused, by reason",
            self.refused.clone(),
        );
        registry.register(
            "double_signings",
            "Proofs that a validator signed twice",
            self.evidence.clone(),
        );
        registry.register(
            "late_blocks",
            "Blocks that were not decided in round 0",
            self.late_rounds.clone(),
        );
        registry.register(
            "awake_chains",
            "Chains with a running task; all others are parked",
            self.awake.clone(),
        );
        registry.register(
            "lost_messages",
            "Messages of other cities for which a slow chain had no room; it is told what it missed",
            self.lost.clone(),
        );
        self.register_times(registry);
        if let Some(links) = &self.links {
            registry.register_collector(Box::new(LinkFigures(links.clone())));
        }
        let store = Store {
            log: Arc::clone(&self.log),
            tables: Arc::clone(&self.tables),
        };
        registry.register_collector(Box::new(store));
    }

    fn register_times(&self, registry: &mut Registry) {
        let mut timed = |name: &str, help: &str, metric: &Seconds| {
            registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
        };
        timed(
            "block_build",
            "Building, executing and hashing one block with its state root",
            &self.build,
        );
        timed(
            "message",
            "Taking in one message of another city, with the execution of its block",
            &self.heard,
        );
        timed(
            "state_root",
            "Computing the state root of one block, and what is to be stored for it",
            &self.root,
        );
        timed("log_sync", "Making the log durable", &self.sync);
        timed(
            "block_commit",
            "Writing the rows of one block",
            &self.commit,
        );
    }

    /// The metrics of one chain. The first chains of a process have labels of their own; those of all others are added up
    /// under 0, so that thousands of chains are not thousands of series.
    pub(crate) fn chain(&self, chain_id: ChainId) -> ChainMetrics {
        let mut labelled = self.labelled.lock();
        if labelled.len() < LABELLED_CHAINS {
            labelled.insert(chain_id.get());
        }
        let is_labelled = labelled.contains(&chain_id.get());
        ChainMetrics {
            all: self.clone(),
            labels: Labels {
                chain: if is_labelled { chain_id.get() } else { 0 },
            },
        }
    }

    /// A message of another city found no room.
    pub(crate) fn message_lost(&self) {
        self.lost.inc();
    }

    /// How many chains have a running task.
    pub(crate) fn awake(&self, count: usize) {
        self.awake.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

impl state::Meter for ChainMetrics {
    fn root(&self, work: &mut dyn FnMut()) {
        let started = Instant::now();
        work();
        self.all
            .root
            .get_or_create(&self.labels)
            .observe(started.elapsed().as_secs_f64());
    }
}

impl ChainMetrics {
    pub(crate) fn built(&self, took: Duration) {
        self.all
            .build
            .get_or_create(&self.labels)
            .observe(took.as_secs_f64());
    }

    pub(crate) fn synced(&self, took: Duration) {
        self.all
            .sync
            .get_or_create(&self.labels)
            .observe(took.as_secs_f64());
    }

    pub(crate) fn heard(&self, took: Duration) {
        self.all
            .heard
            .get_or_create(&self.labels)
            .observe(took.as_secs_f64());
    }

    /// `reason` is one of a few words of ours.
    pub(crate) fn refused(&self, reason: &str) {
        let refusal = Refusal {
            chain: self.labels.chain,
            reason: reason.to_owned(),
        };
        self.all.refused.get_or_create(&refusal).inc();
    }

    pub(crate) fn evidence(&self) {
        self.all.evidence.get_or_create(&self.labels).inc();
    }

    pub(crate) fn committed(&self, took: Duration, block: &Block, round: u32) {
        let labels = &self.labels;
        if round > 0 {
            self.all.late_rounds.get_or_create(labels).inc();
        }
        self.all
            .commit
            .get_or_create(labels)
            .observe(took.as_secs_f64());
        self.all.blocks.get_or_create(labels).inc();
        self.all
            .transactions
            .get_or_create(labels)
            .inc_by(block.body.transactions.len() as u64);
        self.all
            .gas
            .get_or_create(labels)
            .inc_by(block.header.gas_used);
        self.all
            .height
            .get_or_create(labels)
            .set(i64::try_from(block.header.number).unwrap_or(i64::MAX));
    }

    /// The chain's rows have so many bytes.
    pub(crate) fn holds(&self, bytes: u64) {
        // Chains without labels of their own have no size together.
        if self.labels.chain == 0 {
            return;
        }
        self.all
            .size
            .get_or_create(&self.labels)
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn pool(&self, waiting: usize) {
        self.all
            .pool
            .get_or_create(&self.labels)
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}

/// Reads the store's own counters when somebody asks.
#[derive(Debug)]
struct Store {
    log: Arc<dyn Log>,
    tables: Arc<dyn Tables>,
}

impl Collector for Store {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (log, tables) = (self.log.figures(), self.tables.figures());
        let counters = [
            ("log_records", "Records appended to the log", log.records),
            ("log_bytes", "Bytes appended to the log", log.bytes),
            ("log_syncs", "Syncs of the log", log.syncs),
            ("tables_commits", "Commits to the tables", tables.commits),
            ("tables_flushes", "Flushes of a memtable", tables.flushes),
            ("tables_compactions", "Compactions", tables.compactions),
            ("tables_gets", "Rows looked up", tables.gets),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        let gauges = [
            ("log_segments", "Segment files of the log", log.segments),
            (
                "tables_open_snapshots",
                "Snapshots held",
                tables.open_snapshots,
            ),
            (
                "tables_memtable_bytes",
                "Bytes in memtables",
                tables.memtable_bytes,
            ),
            (
                "tables_disk_bytes",
                "Bytes of the tables on disk",
                tables.disk_bytes,
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

/// Reads the counters of the links when somebody asks.
#[derive(Debug)]
struct LinkFigures(Links);

impl Collector for LinkFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let figures = self.0.figures();
        let connected = ConstGauge::new(i64::try_from(figures.connected).unwrap_or(i64::MAX));
        connected.encode(encoder.encode_descriptor(
            "links_connected",
            "Cities that are connected",
            None,
            connected.metric_type(),
        )?)?;
        let dropped = [
            ("full", figures.dropped.full),
            ("too_long", figures.dropped.too_long),
            ("unconnected", figures.dropped.unconnected),
            ("unknown_peer", figures.unknown_peer),
        ];
        let refused = Refused::ALL.map(|reason| (reason.code(), figures.refused(reason)));
        let of_class = |class: Class| match class {
            Class::Consensus => "consensus",
            Class::Transactions => "transactions",
            Class::Sync => "sync",
        };
        let bytes = |traffic: &[link::Traffic; 3]| {
            let classes = Class::ALL.into_iter().map(of_class);
            classes
                .zip(traffic.map(|traffic| traffic.bytes))
                .collect::<Vec<_>>()
        };
        let families = [
            (
                "links_dropped",
                "Payloads for other cities that were not sent, by reason",
                "reason",
                dropped.to_vec(),
            ),
            (
                "links_refused",
                "Peers, callers or bytes of theirs that were refused, by reason",
                "reason",
                refused.to_vec(),
            ),
            (
                "links_sent_bytes",
                "Bytes of payloads sent, by class",
                "class",
                bytes(&figures.sent),
            ),
            (
                "links_received_bytes",
                "Bytes of payloads received, by class",
                "class",
                bytes(&figures.received),
            ),
        ];
        for (name, help, label, values) in families {
            let kind = ConstCounter::new(0_u64).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (value, count) in values {
                ConstCounter::new(count).encode(family.encode_family(&[(label, value)])?)?;
            }
        }
        Ok(())
    }
}
