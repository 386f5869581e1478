// JSON-RPC as clients rely on it below their libraries: batches, filters, subscriptions, tags, pool, fees, headers.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { after, before, test } from "node:test";
import { Interface, Wallet, id, keccak256, toBeHex, toBigInt, toQuantity, zeroPadValue } from "ethers";
import { WebSocket } from "ws";
import { artifact, METAMASK_FEE, OURS, post, startChain, until } from "./harness.mjs";
import { Socket } from "./socket.mjs";

const TRANSFER = id("Transfer(address,address,uint256)");
const token = new Interface(artifact("Token").abi);
const environment = new Interface(artifact("Environment").abi);
let chain;
let first;
let second;

before(async () => {
  chain = await startChain();
  [first, second] = chain.accounts.map(({ address }) => address);
});
after(() => chain?.stop());

/** Sends from an unlocked account and gives the receipt, of a transaction that has to succeed. */
async function send(transaction) {
  const receipt = await chain.receipt(
    await chain.call("eth_sendTransaction", { from: first, ...transaction }),
  );
  assert.equal(receipt.status, "0x1");
  return receipt;
}
const deploy = async (name, ...args) => {
  const { abi, bytecode } = artifact(name);
  const data = bytecode + new Interface(abi).encodeDeploy(args).slice(2);
  return (await send({ data })).contractAddress;
};
const deployToken = () => deploy("Token", "Token", "TOK", 1000n);
const transfer = (to, value) => token.encodeFunctionData("transfer", [to, value]);
const topic = (address) => zeroPadValue(address, 32).toLowerCase();

test("answers a batch request by request, failures among them", async () => {
  const ask = (number, method, ...params) => ({ jsonrpc: "2.0", id: number, method, params });
  const batch = [ask(1, "eth_chainId"), ask("two", "no_such"), ask(3, "eth_getBalance", first, "latest")];
  const { body } = await post(chain.rpc, JSON.stringify(batch));
  const answers = new Map(body.map((answer) => [answer.id, answer]));
  assert.equal(answers.size, 3);
  assert.equal(answers.get(1).result, toQuantity(chain.chainId));
  assert.equal(answers.get("two").error.code, -32601);
  assert.ok(toBigInt(answers.get(3).result) > 0n);
});

test("says who and where it is", async () => {
  assert.equal(await chain.call("eth_chainId"), toQuantity(chain.chainId));
  assert.equal(await chain.call("net_version"), String(chain.chainId));
  assert.equal(await chain.call("net_listening"), true);
  assert.equal(await chain.call("eth_syncing"), false);
  assert.equal(await chain.call("web3_sha3", "0x68656c6c6f"), keccak256("0x68656c6c6f"));
  const accounts = await chain.call("eth_accounts");
  assert.deepEqual(
    accounts.map(toBigInt),
    chain.accounts.map(({ address }) => toBigInt(address)),
  );
});

test("names itself by version, and has no peers", OURS, async () => {
  assert.equal(await chain.call("net_peerCount"), "0x0");
  assert.match(await chain.call("web3_clientVersion"), /^causeway\/v?\d+\.\d+\.\d+/i);
});

test("sends from unlocked accounts and from no other", async () => {
  const before = toBigInt(await chain.call("eth_getBalance", second, "latest"));
  const receipt = await send({ to: second, value: "0x5" });
  assert.deepEqual([toBigInt(receipt.from), receipt.status], [toBigInt(first), "0x1"]);
  assert.equal(toBigInt(await chain.call("eth_getBalance", second, "latest")), before + 5n);
  await chain.refusal("eth_sendTransaction", { from: Wallet.createRandom().address, to: second });
});

test("gives a transaction, its block and its receipt alike by every method", async () => {
  const {
    transactionHash: hash,
    blockHash,
    blockNumber,
    transactionIndex: index,
  } = await send({ to: second });
  const found = await chain.call("eth_getTransactionByHash", hash);
  assert.deepEqual([found.blockHash, found.blockNumber, found.hash], [blockHash, blockNumber, hash]);
  const indexed = await chain.call("eth_getTransactionByBlockHashAndIndex", blockHash, index);
  assert.deepEqual(indexed, found);
  assert.deepEqual(await chain.call("eth_getTransactionByBlockNumberAndIndex", blockNumber, index), found);
  assert.equal(await chain.call("eth_getTransactionByBlockNumberAndIndex", blockNumber, "0x9"), null);
  const full = await chain.call("eth_getBlockByHash", blockHash, true);
  assert.deepEqual(full.transactions[Number(index)], found);
  const slim = await chain.call("eth_getBlockByNumber", blockNumber, false);
  assert.deepEqual({ ...full, transactions: undefined }, { ...slim, transactions: undefined });
  assert.deepEqual(slim.transactions, [hash]);
  assert.equal(await chain.call("eth_getBlockTransactionCountByNumber", blockNumber), "0x1");
  assert.equal(await chain.call("eth_getBlockTransactionCountByHash", blockHash), "0x1");
  assert.equal(await chain.call("eth_getUncleCountByBlockNumber", blockNumber), "0x0");
  const receipts = await chain.call("eth_getBlockReceipts", blockNumber);
  assert.deepEqual(receipts, [await chain.call("eth_getTransactionReceipt", hash)]);
});

test("answers null for what it does not know", async () => {
  const unknown = id("unknown");
  assert.equal(await chain.call("eth_getTransactionByHash", unknown), null);
  assert.equal(await chain.call("eth_getTransactionReceipt", unknown), null);
  assert.equal(await chain.call("eth_getBlockByHash", unknown, false), null);
  assert.equal(await chain.call("eth_getBlockByNumber", "0xffffff", false), null);
  assert.equal(await chain.call("eth_getBlockReceipts", "0xffffff"), null);
});

test("knows the block tags", OURS, async () => {
  await send({ to: second });
  const latest = await chain.call("eth_getBlockByNumber", "latest", false);
  for (const tag of ["safe", "finalized"]) {
    assert.deepEqual(await chain.call("eth_getBlockByNumber", tag, false), latest);
  }
  assert.equal((await chain.call("eth_getBlockByNumber", "earliest", false)).number, "0x0");
  const pending = await chain.call("eth_getBlockByNumber", "pending", false);
  for (const field of ["hash", "nonce", "miner", "stateRoot", "receiptsRoot", "transactionsRoot"]) {
    assert.equal(pending[field], null, field);
  }
  assert.deepEqual(pending.transactions, []);
  assert.equal(toBigInt(pending.number), toBigInt(latest.number) + 1n);
  assert.equal(pending.parentHash, latest.hash);
  assert.ok(Math.abs(Number(pending.timestamp) - Date.now() / 1000) <= 2, "pending is now");
});

test("answers of past blocks stay what they were", async () => {
  const address = await deployToken();
  const then = toQuantity(await chain.height());
  await send({ to: address, data: transfer(second, 9n) });
  const balanceOf = { to: address, data: token.encodeFunctionData("balanceOf", [second]) };
  const { blockHash } = await chain
    .call("eth_getBlockByNumber", then, false)
    .then(({ hash }) => ({ blockHash: hash }));
  assert.equal(toBigInt(await chain.call("eth_call", balanceOf, then)), 0n);
  assert.equal(toBigInt(await chain.call("eth_call", balanceOf, { blockHash })), 0n);
  assert.equal(toBigInt(await chain.call("eth_call", balanceOf, { blockNumber: then })), 0n);
  assert.equal(toBigInt(await chain.call("eth_call", balanceOf)), 9n);
  assert.equal(await chain.call("eth_getCode", address, "0x0"), "0x");
  const nonce = async (tag) => toBigInt(await chain.call("eth_getTransactionCount", first, tag));
  assert.equal(await nonce("latest"), (await nonce(then)) + 1n);
});

test("shows contracts a block made now, free of charge", OURS, async () => {
  const address = await deploy("Environment");
  const view = async (tag) => {
    const data = environment.encodeFunctionData("current");
    const result = await chain.call(
      "eth_call",
      { to: address, data, gasPrice: toQuantity(METAMASK_FEE) },
      tag,
    );
    return environment.decodeFunctionResult("current", result)[0];
  };
  const latest = await chain.call("eth_getBlockByNumber", "latest", false);
  const now = await view("pending");
  assert.equal(now.number, toBigInt(latest.number) + 1n);
  assert.ok(Math.abs(Number(now.timestamp) - Date.now() / 1000) <= 2);
  assert.equal(toBigInt(now.coinbase), 0n);
  assert.equal(now.parentHash, latest.hash);
  assert.equal(toBeHex(now.prevRandao, 32), keccak256(`${latest.hash}${toBeHex(now.number, 32).slice(2)}`));
  assert.deepEqual([now.gasPrice, now.baseFee, now.gasLimit], [0n, 0n, 60_000_000n]);
  const last = await view("latest");
  assert.deepEqual([last.number, last.timestamp], [toBigInt(latest.number), toBigInt(latest.timestamp)]);

  const fee = toQuantity(METAMASK_FEE);
  const data = environment.encodeFunctionData("record");
  const receipt = await send({
    to: address,
    data,
    maxFeePerGas: fee,
    maxPriorityFeePerGas: fee,
  });
  const recorded = environment.decodeFunctionResult(
    "recorded",
    await chain.call("eth_call", { to: address, data: environment.encodeFunctionData("recorded") }),
  );
  const block = await chain.call("eth_getBlockByHash", receipt.blockHash, false);
  assert.deepEqual([recorded.gasPrice, recorded.baseFee], [0n, 0n]);
  assert.equal(toBigInt(recorded.coinbase), toBigInt(block.miner));
  assert.equal(recorded.timestamp, toBigInt(block.timestamp));
});

test("fees are zero", OURS, async () => {
  assert.equal(await chain.call("eth_gasPrice"), "0x0");
  assert.equal(await chain.call("eth_maxPriorityFeePerGas"), "0x0");
  await send({ to: second });
  const history = await chain.call("eth_feeHistory", "0x2", "latest", [10, 50]);
  assert.deepEqual(history.baseFeePerGas.map(toBigInt), [0n, 0n, 0n]);
  assert.deepEqual(history.reward.flat().map(toBigInt), [0n, 0n, 0n, 0n]);
  assert.equal(history.gasUsedRatio.length, 2);
  assert.equal(toBigInt(history.oldestBlock), BigInt((await chain.height()) - 1));
});

test("makes access lists", async () => {
  const address = await deployToken();
  const call = { from: first, to: address, data: transfer(second, 1n) };
  const { accessList, gasUsed } = await chain.call("eth_createAccessList", call);
  const [entry] = accessList.filter((item) => toBigInt(item.address) === toBigInt(address));
  assert.equal(entry.storageKeys.length, 2);
  assert.ok(toBigInt(gasUsed) > 21_000n);
});

test("finds logs by range, hash, address and topic", async () => {
  const [one, other] = [await deployToken(), await deployToken()];
  const { blockHash, blockNumber } = await send({ to: one, data: transfer(second, 1n) });
  await send({ to: other, data: transfer(second, 2n) });
  const values = async (filter) => (await chain.call("eth_getLogs", filter)).map(({ data }) => Number(data));
  const fromBlock = blockNumber;
  assert.deepEqual(await values({ fromBlock }), [1, 2]);
  assert.deepEqual(await values({ fromBlock, toBlock: blockNumber }), [1]);
  assert.deepEqual(await values({ blockHash }), [1]);
  assert.deepEqual(await values({ fromBlock, address: other }), [2]);
  assert.deepEqual(
    await values({ fromBlock, address: [one, other], topics: [TRANSFER, null, topic(second)] }),
    [1, 2],
  );
  assert.deepEqual(await values({ fromBlock, topics: [[id("Other()"), TRANSFER], topic(first)] }), [1, 2]);
  assert.deepEqual(await values({ fromBlock, topics: [TRANSFER, topic(second)] }), []);
  assert.deepEqual(await values({ address: other }), [2], "the default is the latest block");
});

test("filters tell what is new, once", async () => {
  const address = await deployToken();
  const logs = await chain.call("eth_newFilter", { address, topics: [TRANSFER] });
  const blocks = await chain.call("eth_newBlockFilter");
  const pending = await chain.call("eth_newPendingTransactionFilter");
  const changes = (filter) => chain.call("eth_getFilterChanges", filter);
  assert.deepEqual([await changes(logs), await changes(blocks)], [[], []]);
  const receipt = await send({ to: address, data: transfer(second, 3n) });
  assert.deepEqual(
    (await changes(logs)).map(({ transactionHash }) => transactionHash),
    [receipt.transactionHash],
  );
  assert.deepEqual(await changes(blocks), [receipt.blockHash]);
  assert.deepEqual(await changes(pending), [receipt.transactionHash]);
  assert.deepEqual([await changes(logs), await changes(blocks), await changes(pending)], [[], [], []]);
  assert.equal((await chain.call("eth_getFilterLogs", logs)).length, 1);
  for (const filter of [logs, blocks, pending]) {
    assert.equal(await chain.call("eth_uninstallFilter", filter), true);
    assert.equal(await chain.call("eth_uninstallFilter", filter), false);
  }
});

test("a filter that does not exist is refused", OURS, async () => {
  const error = await chain.refusal("eth_getFilterChanges", "0xabcdef0123456789");
  assert.deepEqual([error.code, error.message], [-32000, "filter not found"]);
});

test("subscriptions tell of heads, logs and pending transactions until they are ended", async () => {
  const address = await deployToken();
  const socket = await Socket.open(chain.ws);
  const heads = await socket.call("eth_subscribe", "newHeads");
  const logs = await socket.call("eth_subscribe", "logs", { address });
  const pending = await socket.call("eth_subscribe", "newPendingTransactions");
  const receipt = await send({ to: address, data: transfer(second, 4n) });
  await until("an event of each", () =>
    [heads, logs, pending].every((name) => socket.events(name).length > 0),
  );
  const [head] = socket.events(heads);
  const block = await chain.call("eth_getBlockByHash", receipt.blockHash, false);
  for (const field of [
    "hash",
    "parentHash",
    "number",
    "stateRoot",
    "timestamp",
    "logsBloom",
    "baseFeePerGas",
  ]) {
    assert.equal(head[field], block[field], field);
  }
  assert.deepEqual(socket.events(logs), receipt.logs);
  assert.deepEqual(socket.events(pending), [receipt.transactionHash]);
  assert.equal(await socket.call("eth_unsubscribe", logs), true);
  const later = await send({ to: address, data: transfer(second, 4n) });
  await until("the next head", () => socket.events(heads).some(({ hash }) => hash === later.blockHash));
  assert.equal(socket.events(logs).length, 1);
  await assert.rejects(() => socket.call("eth_subscribe", "no such thing"));
  socket.close();
});

test("the pool shows what waits for a nonce, and sends it when that comes", OURS, async () => {
  const wallet = Wallet.createRandom();
  const sign = (nonce) =>
    wallet.signTransaction({ chainId: chain.chainId, nonce, to: second, gasLimit: 21_000 });
  const count = async (tag) => Number(await chain.call("eth_getTransactionCount", wallet.address, tag));
  const later = await chain.call("eth_sendRawTransaction", await sign(1));
  assert.equal(await count("pending"), 0, "a gap is not counted over");
  assert.deepEqual(await chain.call("txpool_status"), { pending: "0x0", queued: "0x1" });
  const { pending, queued } = await chain.call("txpool_content");
  assert.deepEqual(Object.keys(pending), []);
  const [[address, byNonce]] = Object.entries(queued);
  assert.equal(toBigInt(address), toBigInt(wallet.address));
  assert.equal(byNonce["1"].hash, later);
  assert.equal(byNonce["1"].blockHash, null);
  assert.equal((await chain.call("txpool_contentFrom", wallet.address)).queued["1"].hash, later);
  assert.match(Object.values((await chain.call("txpool_inspect")).queued)[0]["1"], /21000 gas/);
  const waiting = await chain.call("eth_getTransactionByHash", later);
  assert.deepEqual([waiting.hash, waiting.blockNumber], [later, null]);
  const sooner = await chain.call("eth_sendRawTransaction", await sign(0));
  for (const hash of [sooner, later]) assert.equal((await chain.receipt(hash)).status, "0x1");
  assert.deepEqual([await count("latest"), await count("pending")], [2, 2]);
  assert.deepEqual(await chain.call("txpool_status"), { pending: "0x0", queued: "0x0" });
});

test("a waiting transaction is replaced by one with higher fees", OURS, async () => {
  const wallet = Wallet.createRandom();
  const sign = (nonce, fee, to) =>
    wallet.signTransaction({
      type: 2,
      chainId: chain.chainId,
      nonce,
      to,
      gasLimit: 21_000,
      maxFeePerGas: fee,
      maxPriorityFeePerGas: fee,
    });
  const replaced = await chain.call("eth_sendRawTransaction", await sign(1, 100n, first));
  const refused = await chain.refusal("eth_sendRawTransaction", await sign(1, 109n, second));
  assert.equal(refused.code, -32000);
  assert.match(refused.message, /^replacement transaction underpriced/);
  const replacing = await chain.call("eth_sendRawTransaction", await sign(1, 110n, second));
  await chain.call("eth_sendRawTransaction", await sign(0, 0n, first));
  assert.equal((await chain.receipt(replacing)).status, "0x1");
  assert.equal(await chain.call("eth_getTransactionByHash", replaced), null);
});

test("a name that is not loopback is refused as Host", OURS, async () => {
  const status = async (host) => {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] });
    const headers = { host, "content-type": "application/json" };
    const sent = request(chain.rpc, { method: "POST", headers });
    sent.end(body);
    const [response] = await once(sent, "response");
    response.resume();
    return response.statusCode;
  };
  const { port } = new URL(chain.rpc);
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, "localhost"]) {
    assert.equal(await status(host), 200, host);
  }
  for (const host of [
    "evil.example",
    `evil.example:${port}`,
    `localhost.evil.example:${port}`,
    "192.0.2.1",
  ]) {
    assert.equal(await status(host), 403, host);
  }
});

test("pages of loopback origins may read answers, others may not", OURS, async () => {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] });
  const allowed = async (origin) =>
    (await post(chain.rpc, body, { origin })).headers.get("access-control-allow-origin");
  for (const origin of [
    "http://localhost:3000",
    "http://127.0.0.1:5173",
    "https://localhost",
    "http://[::1]:8080",
  ]) {
    assert.ok([origin, "*"].includes(await allowed(origin)), origin);
    const headers = {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type",
    };
    const preflight = await fetch(chain.rpc, { method: "OPTIONS", headers });
    assert.ok(preflight.ok, origin);
    assert.ok([origin, "*"].includes(preflight.headers.get("access-control-allow-origin")), origin);
    assert.match(preflight.headers.get("access-control-allow-headers"), /content-type|\*/i);
  }
  for (const origin of ["https://evil.example", "http://localhost.evil.example", "null"]) {
    assert.equal(await allowed(origin), null, origin);
  }
});

test("pages of other origins cannot open a WebSocket", OURS, async () => {
  const open = async (options) => {
    const socket = new WebSocket(chain.ws, options);
    const outcome = await Promise.race([
      once(socket, "open").then(() => 101),
      once(socket, "unexpected-response").then(([, response]) => response.statusCode),
    ]);
    socket.on("error", () => {});
    socket.terminate();
    return outcome;
  };
  assert.equal(await open({}), 101);
  assert.equal(await open({ origin: "http://localhost:3000" }), 101);
  assert.equal(await open({ origin: "https://evil.example" }), 403);
  assert.equal(await open({ headers: { host: "evil.example" } }), 403);
});

test("a connection has a bounded number of subscriptions", OURS, async () => {
  const socket = await Socket.open(chain.ws);
  let taken = 0;
  const take = async () => {
    for (; taken < 10_000; taken++) await socket.call("eth_subscribe", "newHeads");
  };
  await assert.rejects(take);
  assert.ok(taken >= 16, `only ${taken}`);
  assert.equal(await socket.call("eth_chainId"), toQuantity(chain.chainId));
  socket.close();
});

test("a form of another site cannot send a request", OURS, async () => {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] });
  assert.equal((await post(chain.rpc, body, { "content-type": "text/plain" })).status, 415);
});
