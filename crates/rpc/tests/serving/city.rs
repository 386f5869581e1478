//! A city of one chain in a temporary folder, with its server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, TxKind, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use chain::Genesis;
use node::{Clock, Host, Options};
use rpc::{Config, NetworkInfo, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use types::{ChainId, Domain, NetworkId, Record, ValidatorSet};

use crate::wire::Http;

/// 2026-01-01, Unix milliseconds.
const BEGIN_MS: u64 = 1_767_225_600_000;

/// Time that a test moves; it also ticks by itself, since blocks need time between them.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

pub(crate) struct City {
    pub(crate) host: Host,
    pub(crate) address: SocketAddr,
    pub(crate) config: Config,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) http: Http,
    server: Server,
    _folder: TempDir,
}

impl City {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(AtomicU64::new(BEGIN_MS)));
        let options = Options::development(Arc::clone(&clock) as Arc<dyn Clock>);
        let network_id = NetworkId(B256::repeat_byte(0xc));
        let host = tokio::task::block_in_place(|| {
            Host::start(folder.path(), &options, None, |key| Genesis {
                record: Record::development(ChainId::DEVELOPMENT, BEGIN_MS),
                validators: ValidatorSet::single(key.address()),
                network_id,
                creator: None,
                registry: None,
            })
        })
        .unwrap();
        let network = NetworkInfo {
            network_id: network_id.0,
            name: String::from("test"),
        };
        let mut config = Config::new("127.0.0.1:0".parse().unwrap(), network);
        config.hosts = vec![String::from("city.example")];
        config.accounts = vec![first_account()];
        let server = Server::start(config.clone(), host.chain().clone())
            .await
            .unwrap();
        let address = server.local_addr();
        config.listen = address;
        let http = Http::open(address).await;
        Self {
            host,
            address,
            config,
            clock,
            http,
            server,
            _folder: folder,
        }
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
        self.host.stop().await;
    }

    /// The whole answer.
    pub(crate) async fn raw(&self, method: &str, params: Value) -> Value {
        let ask = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.http.post(&ask).await.json()
    }

    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        let answer = self.raw(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    pub(crate) async fn error(&self, method: &str, params: Value) -> Value {
        let answer = self.raw(method, params).await;
        assert!(answer.get("result").is_none(), "{method}: {answer}");
        answer["error"].clone()
    }

    pub(crate) async fn number(&self, method: &str, params: Value) -> U256 {
        let answer = self.call(method, params).await;
        U256::from_str_radix(&answer.as_str().unwrap()[2..], 16).unwrap()
    }

    /// Waits for the receipt of a transaction.
    pub(crate) async fn receipt(&self, hash: &Value) -> Value {
        let mut heads = self.host.chain().heads();
        loop {
            let receipt = self.call("eth_getTransactionReceipt", json!([hash])).await;
            if !receipt.is_null() {
                return receipt;
            }
            let head = tokio::time::timeout(Duration::from_secs(20), heads.recv()).await;
            head.expect("a block within 20 s").expect("a running chain");
        }
    }

    pub(crate) fn domain(&self, network: &Value) -> Domain {
        let network_id: B256 = serde_json::from_value(network["networkId"].clone()).unwrap();
        Domain::new(ChainId::DEVELOPMENT, NetworkId(network_id))
    }
}

/// The key of the first account of the usual test mnemonic.
fn first_account() -> PrivateKeySigner {
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
        .parse()
        .unwrap()
}

/// A transaction with a wallet's 1.5 gwei, as bytes.
pub(crate) fn signed(
    from: &PrivateKeySigner,
    nonce: u64,
    to: Option<Address>,
    value: U256,
    input: Vec<u8>,
) -> Vec<u8> {
    let transaction = TxEip1559 {
        chain_id: ChainId::DEVELOPMENT.get(),
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 1_500_000_000,
        max_priority_fee_per_gas: 1_500_000_000,
        to: to.map_or(TxKind::Create, TxKind::Call),
        value,
        input: input.into(),
        ..TxEip1559::default()
    };
    let signature = from.sign_hash_sync(&transaction.signature_hash()).unwrap();
    TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()
}

pub(crate) fn transfer(from: &PrivateKeySigner, nonce: u64, to: Address, value: U256) -> Vec<u8> {
    signed(from, nonce, Some(to), value, Vec::new())
}
