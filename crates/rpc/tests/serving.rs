//! A real city, asked over real sockets as wallets ask it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says where"
)]

#[path = "serving/city.rs"]
mod city;
#[path = "serving/wire.rs"]
mod wire;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use serde_json::{Value, json};

use city::{City, transfer};
use wire::{Http, WebSocket};

/// Init code of a contract that logs its calldata's first word as a topic, and reverts with `Error("no")` for calldata
/// that begins with 0xff.
///
/// ```text
/// CALLDATASIZE? no: PUSH0 CALLDATALOAD; PUSH0 BYTE 0xff? -> revert; else LOG1(0, 0, word); RETURN word
/// ```
fn contract() -> Vec<u8> {
    let mut revert = vec![0; 4];
    revert[..4].copy_from_slice(&keccak256("Error(string)")[..4]);
    revert.extend(U256::from(32).to_be_bytes::<32>());
    revert.extend(U256::from(2).to_be_bytes::<32>());
    let mut text = [0; 32];
    text[..2].copy_from_slice(b"no");
    revert.extend(text);
    let size = u8::try_from(revert.len()).unwrap();
    // 0: word = calldata[0]; 2: if byte(0, word) == 0xff jump to 0x18
    let mut code = vec![
        0x5f, 0x35, 0x80, 0x5f, 0x1a, 0x60, 0xff, 0x14, 0x60, 0x18, 0x57,
    ];
    // 0x0b: log1(0, 0, word); mstore(0, word); return(0, 32)
    code.extend([
        0x80, 0x5f, 0x5f, 0xa1, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3, 0x00, 0x00, 0x00,
    ]);
    // 0x18: codecopy(0, 0x24, size); revert(0, size)
    code.extend([
        0x5b, 0x60, size, 0x60, 0x24, 0x5f, 0x39, 0x60, size, 0x5f, 0xfd, 0x00,
    ]);
    assert_eq!(code.len(), 0x24);
    code.extend(revert);
    let size = u8::try_from(code.len()).unwrap();
    // codecopy(0, 10, size); return(0, size)
    let mut init = vec![0x60, size, 0x80, 0x60, 0x0a, 0x5f, 0x39, 0x5f, 0xf3, 0x00];
    init.extend(code);
    init
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    alloy_primitives::hex::encode_prefixed(bytes)
}

async fn deployed(city: &City, from: &PrivateKeySigner) -> Address {
    let raw = city::signed(from, 0, None, U256::ZERO, contract());
    let hash = city.call("eth_sendRawTransaction", json!([hex(raw)])).await;
    let receipt = city.receipt(&hash).await;
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    serde_json::from_value(receipt["contractAddress"].clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_any_balance_deploys_calls_and_reads_back() {
    let city = City::start().await;
    let signer = PrivateKeySigner::random();
    let contract = deployed(&city, &signer).await;
    assert_eq!(
        city.call(
            "eth_getTransactionCount",
            json!([signer.address(), "latest"])
        )
        .await,
        "0x1"
    );

    let word = B256::repeat_byte(0x11);
    let answer = city
        .call("eth_call", json!([{"to": contract, "data": word}]))
        .await;
    assert_eq!(answer, json!(word));
    let gas = city
        .call(
            "eth_estimateGas",
            json!([{"from": signer.address(), "to": contract, "data": word}]),
        )
        .await;
    assert!(gas.as_str().unwrap().starts_with("0x"), "{gas}");

    // A wallet's 1.5 gwei change nothing.
    let raw = city::signed(&signer, 1, Some(contract), U256::ZERO, word.to_vec());
    let hash = city.call("eth_sendRawTransaction", json!([hex(raw)])).await;
    let receipt = city.receipt(&hash).await;
    assert_eq!(receipt["effectiveGasPrice"], "0x0");
    assert_eq!(receipt["logs"][0]["topics"], json!([word]));
    assert_eq!(receipt["logs"][0]["removed"], false);
    let mined = city.call("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(mined["gasPrice"], "0x0");
    assert_eq!(mined["maxFeePerGas"], "0x59682f00");
    assert_eq!(mined["blockNumber"], receipt["blockNumber"]);

    let block = receipt["blockNumber"].clone();
    let logs = city
        .call(
            "eth_getLogs",
            json!([{"fromBlock": "0x0", "topics": [[word]]}]),
        )
        .await;
    assert_eq!(logs.as_array().unwrap().len(), 1, "{logs}");
    assert_eq!(logs[0], receipt["logs"][0]);
    let by_hash = city
        .call("eth_getLogs", json!([{"blockHash": receipt["blockHash"]}]))
        .await;
    assert_eq!(by_hash, logs);
    let full = city
        .call("eth_getBlockByNumber", json!([block, true]))
        .await;
    assert_eq!(full["transactions"][0], mined);
    assert_eq!(full["baseFeePerGas"], "0x0");
    let receipts = city.call("eth_getBlockReceipts", json!([block])).await;
    assert_eq!(receipts, json!([receipt]));
    let again = city
        .call("eth_getBlockByHash", json!([full["hash"], true]))
        .await;
    assert_eq!(again, full);

    // What was before is still answered as it was.
    let before = city
        .call("eth_getTransactionCount", json!([signer.address(), "0x1"]))
        .await;
    assert_eq!(before, "0x1");
    let genesis = city
        .call("eth_getCode", json!([contract, {"blockNumber": "0x0"}]))
        .await;
    assert_eq!(genesis, "0x");
    city.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_is_code_3_with_reason_and_data_where_libraries_look() {
    let city = City::start().await;
    let contract = deployed(&city, &PrivateKeySigner::random()).await;
    for method in ["eth_call", "eth_estimateGas"] {
        let error = city
            .error(method, json!([{"to": contract, "data": "0xff"}]))
            .await;
        assert_eq!(error["code"], 3, "{method}");
        assert_eq!(error["message"], "execution reverted: no", "{method}");
        assert!(
            error["data"].as_str().unwrap().starts_with("0x08c379a0"),
            "{method}: {error}"
        );
    }
    let touched = city
        .call(
            "eth_createAccessList",
            json!([{"to": contract, "data": "0xff"}]),
        )
        .await;
    assert_eq!(touched["error"], "execution reverted: no");
    let replaced = json!([{"to": contract}, "latest", {contract.to_string(): {"code": "0x4260005260206000f3"}}, {"time": "0x7b"}]);
    let time = city.call("eth_call", replaced).await;
    assert_eq!(
        U256::from_str_radix(&time.as_str().unwrap()[2..], 16).unwrap(),
        U256::from(123)
    );
    city.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_refuses_in_the_words_that_libraries_know() {
    let city = City::start().await;
    let signer = PrivateKeySigner::random();
    let send = async |nonce, value: u64| {
        let raw = transfer(&signer, nonce, Address::ZERO, U256::from(value));
        city.raw("eth_sendRawTransaction", json!([hex(raw)])).await
    };
    let poor = send(0, 1).await;
    assert_eq!(poor["error"]["code"], -32000);
    assert!(
        poor["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("insufficient funds"),
        "{poor}"
    );
    let first = send(0, 0).await["result"].clone();
    city.receipt(&first).await;
    let low = send(0, 0).await;
    assert!(
        low["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("nonce too low"),
        "{low}"
    );
    let gap = send(5, 0).await["result"].clone();
    let known = send(5, 0).await;
    assert_eq!(known["error"]["message"], "already known");
    // Behind a gap it waits, and is found waiting.
    let waiting = city.call("eth_getTransactionByHash", json!([gap])).await;
    assert_eq!(
        (&waiting["blockHash"], &waiting["blockNumber"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        city.call("txpool_status", json!([])).await,
        json!({"pending": "0x0", "queued": "0x1"})
    );
    let content = city.call("txpool_content", json!([])).await;
    assert_eq!(
        content["queued"][signer.address().to_checksum(None)]["5"],
        waiting
    );
    let content = city
        .call("txpool_contentFrom", json!([signer.address()]))
        .await;
    assert_eq!(content["queued"]["5"], waiting);
    assert_eq!(
        city.call("eth_getTransactionReceipt", json!([gap])).await,
        Value::Null
    );
    // Only what has no gap below it counts.
    assert_eq!(
        city.call(
            "eth_getTransactionCount",
            json!([signer.address(), "pending"])
        )
        .await,
        "0x1"
    );
    for (raw, message) in [("0x", "not a transaction"), ("0x02c0", "not a transaction")] {
        let error = city.error("eth_sendRawTransaction", json!([raw])).await;
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!(-32000), &json!(message))
        );
    }
    city.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_transactions_is_answered_one_by_one_and_in_order() {
    let city = City::start().await;
    let signer = PrivateKeySigner::random();
    let mut batch: Vec<Value> = (0..200)
        .map(|nonce| json!([hex(transfer(&signer, nonce, Address::ZERO, U256::ZERO))]))
        .enumerate()
        .map(|(id, params)| json!({"jsonrpc": "2.0", "id": id, "method": "eth_sendRawTransaction", "params": params}))
        .collect();
    batch[7]["params"] = json!(["0x00"]);
    batch[8]["params"] = json!([]);
    batch.insert(
        100,
        json!({"jsonrpc": "2.0", "id": "chain", "method": "eth_chainId"}),
    );
    batch.insert(
        101,
        json!({"jsonrpc": "2.0", "id": "none", "method": "eth_nothing"}),
    );
    batch.insert(102, json!(17));
    let answers = city.http.post(&Value::from(batch.clone())).await.json();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), batch.len());
    for (answer, asked) in answers.iter().zip(&batch) {
        assert_eq!(answer["id"], asked["id"]);
    }
    assert_eq!(answers[7]["error"]["code"], -32000);
    assert_eq!(answers[8]["error"]["code"], -32602);
    assert_eq!(answers[100]["result"], "0x7a69");
    assert_eq!(answers[101]["error"]["code"], -32601);
    assert_eq!(answers[102]["error"]["code"], -32600);
    for (place, answer) in answers
        .iter()
        .enumerate()
        .filter(|(place, _)| ![7, 8, 100, 101, 102].contains(place))
    {
        assert!(answer["result"].is_string(), "{place}: {answer}");
    }
    // Those up to the first that failed have no gap below them.
    let receipt = city.receipt(&answers[6]["result"]).await;
    assert_eq!(receipt["status"], "0x1");
    city.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_logs_and_pending_transactions_come_over_a_websocket() {
    let city = City::start().await;
    let signer = PrivateKeySigner::random();
    let contract = deployed(&city, &signer).await;
    let mut socket = WebSocket::open(city.address, None).await.unwrap();
    let heads = socket.call("eth_subscribe", json!(["newHeads"])).await;
    let logs = socket
        .call("eth_subscribe", json!(["logs", {"address": contract}]))
        .await;
    let pending = socket
        .call("eth_subscribe", json!(["newPendingTransactions"]))
        .await;
    let full = socket
        .call("eth_subscribe", json!(["newPendingTransactions", true]))
        .await;
    let word = B256::repeat_byte(0x22);
    let raw = city::signed(&signer, 1, Some(contract), U256::ZERO, word.to_vec());
    let hash = socket
        .call("eth_sendRawTransaction", json!([hex(raw)]))
        .await;
    let receipt = city.receipt(&hash).await;
    assert_eq!(socket.message(&pending).await, hash);
    assert_eq!(socket.message(&full).await["hash"], hash);
    let head = socket.message(&heads).await;
    assert_eq!(head["hash"], receipt["blockHash"]);
    assert_eq!(head["number"], receipt["blockNumber"]);
    assert!(head.get("transactions").is_none());
    assert_eq!(socket.message(&logs).await, receipt["logs"][0]);
    assert_eq!(socket.call("eth_unsubscribe", json!([heads])).await, true);
    assert_eq!(socket.call("eth_unsubscribe", json!([heads])).await, false);
    let wrong = socket.raw("eth_subscribe", json!(["nothing"])).await;
    assert_eq!(wrong["error"]["code"], -32602);
    city.stop().await;
    assert!(socket.closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_say_what_is_new_once() {
    let city = City::start().await;
    let signer = PrivateKeySigner::random();
    let contract = deployed(&city, &signer).await;
    let blocks = city.call("eth_newBlockFilter", json!([])).await;
    let logs = city
        .call("eth_newFilter", json!([{"address": contract}]))
        .await;
    let pending = city
        .call("eth_newPendingTransactionFilter", json!([]))
        .await;
    let word = B256::repeat_byte(0x33);
    let raw = city::signed(&signer, 1, Some(contract), U256::ZERO, word.to_vec());
    let hash = city.call("eth_sendRawTransaction", json!([hex(raw)])).await;
    let receipt = city.receipt(&hash).await;
    let expected = [
        (&blocks, json!([receipt["blockHash"]])),
        (&logs, receipt["logs"].clone()),
        (&pending, json!([hash])),
    ];
    for (filter, new) in expected {
        assert_eq!(
            city.call("eth_getFilterChanges", json!([filter])).await,
            new
        );
        assert_eq!(
            city.call("eth_getFilterChanges", json!([filter])).await,
            json!([])
        );
    }
    assert_eq!(
        city.call("eth_getFilterLogs", json!([logs])).await,
        receipt["logs"]
    );
    assert_eq!(city.call("eth_uninstallFilter", json!([logs])).await, true);
    assert_eq!(
        city.error("eth_getFilterChanges", json!([logs])).await["message"],
        "filter not found"
    );
    city.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unlocked_accounts_send_many_at_once_without_taking_one_nonce_twice() {
    let city = City::start().await;
    let accounts = city.call("eth_accounts", json!([])).await;
    let from = accounts[0].clone();
    let sends = (0..16).map(|value| {
        let request =
            json!({"from": from, "to": Address::repeat_byte(9), "value": format!("{value:#x}")});
        city.call("eth_sendTransaction", json!([request]))
    });
    let hashes = futures::future::join_all(sends).await;
    for hash in &hashes {
        assert_eq!(city.receipt(hash).await["status"], "0x1");
    }
    assert_eq!(
        city.call("eth_getTransactionCount", json!([from, "latest"]))
            .await,
        "0x10"
    );
    assert_eq!(
        city.call("eth_getBalance", json!([Address::repeat_byte(9), "latest"]))
            .await,
        "0x78"
    );
    let unknown = json!([{"from": Address::repeat_byte(9), "to": Address::ZERO}]);
    assert!(
        city.error("eth_sendTransaction", unknown).await["message"]
            .as_str()
            .unwrap()
            .contains("unknown account")
    );
    city.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_is_now_and_has_no_proof() {
    let city = City::start().await;
    let latest = city
        .call("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    let pending = city
        .call("eth_getBlockByNumber", json!(["pending", true]))
        .await;
    for field in [
        "hash",
        "nonce",
        "miner",
        "stateRoot",
        "transactionsRoot",
        "receiptsRoot",
    ] {
        assert_eq!(pending[field], Value::Null, "{field}");
    }
    assert_eq!(
        (&pending["number"], &pending["parentHash"]),
        (&json!("0x1"), &latest["hash"])
    );
    assert_eq!(pending["transactions"], json!([]));
    for tag in ["safe", "finalized", "earliest"] {
        assert_eq!(
            city.call("eth_getBlockByNumber", json!([tag, false])).await,
            latest,
            "{tag}"
        );
    }
    // TIMESTAMP and NUMBER, returned.
    let time = |block| json!([{"data": "0x425f5260205ff3"}, block]);
    city.clock.advance_ms(3_600_000);
    let now = city.host.chain().now_ms() / 1000;
    assert_eq!(
        city.number("eth_call", time("pending")).await,
        U256::from(now)
    );
    let parent = U256::from(now - 3_600);
    assert!(city.number("eth_call", time("latest")).await <= parent);
    let error = city
        .error("eth_getProof", json!([Address::ZERO, [], "pending"]))
        .await;
    assert_eq!(error["code"], -32000);
    let proof = city
        .call(
            "eth_getProof",
            json!([Address::repeat_byte(1), ["0x0"], "latest"]),
        )
        .await;
    assert_eq!(proof["balance"], "0x0");
    assert_eq!(
        proof["storageProof"][0],
        json!({"key": "0x0", "value": "0x0", "proof": []})
    );
    city.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fees_are_0_where_gas_is_free() {
    let city = City::start().await;
    for method in ["eth_gasPrice", "eth_maxPriorityFeePerGas"] {
        assert_eq!(city.call(method, json!([])).await, "0x0", "{method}");
    }
    let history = city
        .call("eth_feeHistory", json!(["0xa", "latest", [10, 90]]))
        .await;
    assert_eq!(history["oldestBlock"], "0x0");
    assert_eq!(history["baseFeePerGas"], json!(["0x0", "0x0"]));
    assert_eq!(history["reward"], json!([["0x0", "0x0"]]));
    assert_eq!(
        city.error("eth_feeHistory", json!(["0x1", "latest", [90, 10]]))
            .await["code"],
        -32602
    );
    city.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_proof_is_verified_by_the_types_alone() {
    let city = City::start().await;
    let hash = city
        .call(
            "eth_sendRawTransaction",
            json!([hex(transfer(
                &PrivateKeySigner::random(),
                0,
                Address::ZERO,
                U256::ZERO
            ))]),
        )
        .await;
    city.receipt(&hash).await;
    let genesis: types::BlockProof =
        serde_json::from_value(city.call("causeway_getBlockProof", json!(["0x0"])).await).unwrap();
    let proof: types::BlockProof =
        serde_json::from_value(city.call("causeway_getBlockProof", json!(["latest"])).await)
            .unwrap();
    let set = genesis
        .next_set()
        .unwrap()
        .expect("genesis names the first set");
    let network = city.call("causeway_getNetwork", json!([])).await;
    let latest = city
        .call("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    let proven = proof.verify(&city.domain(&network), &set).unwrap();
    assert_eq!(json!(proven.hash), latest["hash"]);
    assert_eq!(
        city.call("causeway_getBlockProof", json!(["0x99"])).await,
        Value::Null
    );
    city.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gets_its_standard_error_and_the_server_goes_on() {
    let city = City::start().await;
    let parse = city.http.post_text("{\"jsonrpc\":").await.json();
    assert_eq!(parse["error"]["code"], -32700);
    let cases = [
        ("eth_nothing", json!([]), -32601),
        ("eth_getBalance", json!([]), -32602),
        ("eth_getBalance", json!(["0x12"]), -32602),
        (
            "eth_getBalance",
            json!([Address::ZERO, "latest", 1]),
            -32602,
        ),
        ("eth_getBalance", json!({"address": Address::ZERO}), -32602),
        ("eth_getBalance", json!([Address::ZERO, "0x99"]), -32000),
        ("eth_getBalance", json!([Address::ZERO, B256::ZERO]), -32000),
        (
            "eth_getStorageAt",
            json!([Address::ZERO, "0xasdf", "latest"]),
            -32602,
        ),
        (
            "eth_getLogs",
            json!([{"fromBlock": "0x1", "toBlock": "0x0"}]),
            -32602,
        ),
        (
            "eth_getLogs",
            json!([{"fromBlock": "0x0", "toBlock": "0x99"}]),
            -32602,
        ),
        ("eth_getLogs", json!([{"blockHash": B256::ZERO}]), -32000),
        (
            "eth_call",
            json!([{"to": Address::ZERO, "chainId": "0x1"}]),
            -32000,
        ),
        (
            "eth_call",
            json!([{"value": "0x1", "to": Address::ZERO}, "latest"]),
            -32000,
        ),
    ];
    for (method, params, code) in cases {
        assert_eq!(
            city.error(method, params.clone()).await["code"],
            code,
            "{method} {params}"
        );
    }
    assert_eq!(city.call("eth_chainId", json!([])).await, "0x7a69");
    city.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_null_and_what_is_too_much_names_the_bound() {
    let city = City::start().await;
    for (method, params) in [
        ("eth_getBlockByHash", json!([B256::ZERO, false])),
        ("eth_getBlockByNumber", json!(["0x99", false])),
        ("eth_getTransactionByHash", json!([B256::ZERO])),
        ("eth_getTransactionReceipt", json!([B256::ZERO])),
        (
            "eth_getTransactionByBlockNumberAndIndex",
            json!(["latest", "0x5"]),
        ),
    ] {
        assert_eq!(
            city.call(method, params.clone()).await,
            Value::Null,
            "{method} {params}"
        );
    }
    let most = rpc::Limits::default();
    let long = Value::from(vec![
        json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"});
        most.batch as usize + 1
    ]);
    let refused = city.http.post(&long).await.json();
    assert_eq!(refused["error"]["code"], -32010);
    assert!(
        refused["error"]["data"].as_str().unwrap().contains("1000"),
        "{refused}"
    );
    let large = city
        .http
        .post_text(&" ".repeat(most.request_bytes as usize + 1))
        .await;
    assert_eq!(large.status, 413);
    assert_eq!(city.call("eth_chainId", json!([])).await, "0x7a69");
    city.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_hosts_are_refused_and_foreign_pages_read_nothing() {
    let city = City::start().await;
    let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_accounts"}).to_string();
    let post = async |host: &str, origin: Option<&str>| {
        let mut http = Http::open(city.address).await;
        http.send("POST", host, origin, &ask).await
    };
    assert_eq!(post("evil.example", None).await.status, 403);
    let local = post("localhost:1", Some("http://localhost:3000")).await;
    assert_eq!(
        local.header("access-control-allow-origin"),
        Some("http://localhost:3000")
    );
    assert!(!local.json()["result"].as_array().unwrap().is_empty());
    let foreign = post("localhost", Some("https://evil.example")).await;
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    // A served name that is not loopback's opens no account.
    let named = post("city.example", None).await;
    assert_eq!(named.json()["result"], json!([]));
    let mut http = Http::open(city.address).await;
    let preflight = http
        .send("OPTIONS", "localhost", Some("http://127.0.0.1:5173"), "")
        .await;
    assert_eq!(preflight.status, 200);
    assert_eq!(
        preflight.header("access-control-allow-origin"),
        Some("http://127.0.0.1:5173")
    );
    assert!(
        WebSocket::open(city.address, Some("https://evil.example"))
            .await
            .is_err()
    );
    assert!(
        WebSocket::open(city.address, Some("http://localhost:3000"))
            .await
            .is_ok()
    );
    city.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_bounded_and_holds_up_nobody() {
    let city = City::start().await;
    let mut greedy = WebSocket::open(city.address, None).await.unwrap();
    // 64 KiB of calldata for a contract that returns 1 MiB of zeros.
    let (to, data) = (Address::repeat_byte(9), hex(vec![0; 64 << 10]));
    let code = json!({to.to_string(): {"code": "0x621000005ff3"}});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": to, "data": data}, "latest", code]});
    let answer = city.call("eth_call", call["params"].clone()).await;
    assert_eq!(answer.as_str().map(str::len), Some(2 + (2 << 20)));
    // What it may have under way, answered or not, is less than what it would send.
    let sent = greedy.send_until_stuck(&call.to_string(), 1_024).await;
    assert!(sent < 1_024, "{sent}");
    assert_eq!(city.call("eth_chainId", json!([])).await, "0x7a69");
    city.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_one_clear_line() {
    let city = City::start().await;
    let second = rpc::Server::start(city.config.clone(), city.host.chain().clone()).await;
    let error = second.expect_err("the port is taken").to_string();
    assert!(
        error.contains("another program") && !error.contains('\n'),
        "{error}"
    );
    city.stop().await;
}
