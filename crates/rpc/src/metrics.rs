//! Counts and times of calls, by method.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Metrics of one or more servers. Clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<Request, Counter>,
    seconds: Family<Method, Histogram>,
}

/// Labels of a count.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    /// A method of this server, or `unknown`: what clients make up never becomes a label.
    method: &'static str,
    /// 0, or the JSON-RPC error code.
    code: i32,
}

/// Labels of a time.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            // From 0.1 ms to 26 s.
            seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.0001, 4.0, 10))
            }),
        }
    }
}

impl Metrics {
    /// Adds the families to `registry`, under `rpc_requests_total` and `rpc_request_seconds`.
    pub fn register(&self, registry: &mut Registry) {
        let requests = self.requests.clone();
        registry.register(
            "rpc_requests",
            "JSON-RPC calls answered, by method and error code (0: none)",
            requests,
        );
        registry.register(
            "rpc_request_seconds",
            "Seconds to answer a JSON-RPC call",
            self.seconds.clone(),
        );
    }

    pub(crate) fn record(&self, method: &'static str, code: i32, seconds: f64) {
        self.requests.get_or_create(&Request { method, code }).inc();
        self.seconds
            .get_or_create(&Method { method })
            .observe(seconds);
    }
}
