// The program from start to end: what it prints, how it stops, and what a data folder brings back.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Wallet, toBigInt, toQuantity } from "ethers";
import { WebSocket } from "ws";
import {
  artifact,
  binary,
  Chain,
  developmentAccounts,
  Process,
  PROGRAM,
  run,
  startChain,
  until,
} from "./harness.mjs";

/** A folder that is gone after the test. */
function folder(context) {
  const path = mkdtempSync(join(tmpdir(), "causeway-test-"));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Starts a chain that ends with the test at the latest. */
async function start(context, ...args) {
  const chain = await startChain(...args);
  context.after(() => chain.stop("SIGKILL"));
  return chain;
}

const send = async (chain, transaction = {}) => {
  const [{ address: from }, { address: to }] = chain.accounts;
  return chain.receipt(await chain.call("eth_sendTransaction", { from, to, value: "0x1", ...transaction }));
};

test("prints its version", PROGRAM, async () => {
  const { code, stdout, stderr } = await run(binary(), ["--version"]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /^causeway \d+\.\d+\.\d+\S* \(?[0-9a-f]{7,40}/);
});

test(
  "says in one line of JSON where it serves, with the usual accounts, funded",
  PROGRAM,
  async (context) => {
    const chain = await start(context);
    const event = JSON.parse(chain.process.stdout);
    assert.deepEqual(Object.keys(event).sort(), ["accounts", "chain_id", "event", "rpc", "ws"]);
    assert.equal(event.chain_id, 31337);
    const known = (accounts) => accounts.map((account) => [toBigInt(account.address), account.private_key]);
    assert.deepEqual(known(event.accounts), known(developmentAccounts()));
    for (const { address } of event.accounts) {
      assert.ok(toBigInt(await chain.call("eth_getBalance", address, "latest")) >= 10n ** 18n);
    }
    await send(chain);
    assert.equal(chain.process.stdout.trim().split("\n").length, 1);
  },
);

test("without --json it prints a table with keys and addresses", PROGRAM, async (context) => {
  const child = new Process(binary(), ["dev", "--port", "0"]);
  context.after(() => child.stop("SIGKILL"));
  const [{ address, private_key: key }] = developmentAccounts();
  await child.line((line) => line.toLowerCase().includes(key));
  assert.ok(child.stdout.includes(address));
  assert.match(child.stdout, /http:\/\/127\.0\.0\.1:\d+/);
  assert.equal((await child.stop()).code, 0);
  assert.match(child.stdout + child.stderr, /temporary/, "it says that nothing is kept");
});

test("SIGTERM and Ctrl-C end it within a second, also with a client connected", PROGRAM, async (context) => {
  for (const signal of ["SIGTERM", "SIGINT"]) {
    const chain = await start(context, "--data", folder(context));
    const socket = new WebSocket(chain.ws);
    await new Promise((resolve) => (socket.onopen = resolve));
    socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_subscribe", params: ["newHeads"] }));
    await send(chain);
    const { code, signal: killed, ms } = await chain.stop(signal);
    assert.deepEqual([code, killed], [0, null], chain.process.stderr);
    assert.ok(ms < 1_000, `${signal} took ${ms} ms`);
    socket.close();
  }
});

for (const [name, signal] of [
  ["a clean end", "SIGTERM"],
  ["a kill", "SIGKILL"],
]) {
  test(`a data folder brings back chain, receipts and pool after ${name}`, PROGRAM, async (context) => {
    const data = folder(context);
    const before = await start(context, "--data", data);
    const receipt = await send(before, { to: undefined, value: "0x0", data: artifact("Box").bytecode });
    const wallet = Wallet.createRandom();
    const sign = (nonce) =>
      wallet.signTransaction({ chainId: before.chainId, nonce, to: wallet.address, gasLimit: 21_000 });
    const waiting = await before.call("eth_sendRawTransaction", await sign(1));
    // A receipt promises durability, a transaction's hash does not: one block after it makes sure of both.
    const last = await send(before);
    const block = await before.call("eth_getBlockByNumber", "latest", true);
    await before.stop(signal);

    const after = await start(context, "--data", data);
    assert.deepEqual(await after.call("eth_getBlockByNumber", "latest", true), block);
    assert.deepEqual(await after.call("eth_getTransactionReceipt", receipt.transactionHash), receipt);
    assert.deepEqual(await after.call("eth_getTransactionReceipt", last.transactionHash), last);
    assert.equal(
      await after.call("eth_getCode", receipt.contractAddress, "latest"),
      artifact("Box").deployedBytecode,
    );
    assert.equal((await after.call("eth_getTransactionByHash", waiting)).blockNumber, null);
    await after.call("eth_sendRawTransaction", await sign(0));
    assert.equal((await after.receipt(waiting)).status, "0x1");
    assert.equal(
      (await after.call("eth_getBlockByNumber", toQuantity(toBigInt(block.number) + 1n), false)).parentHash,
      block.hash,
    );
    assert.equal((await after.stop()).code, 0);
  });
}

test("without transactions there are no blocks, and hardly any work", PROGRAM, async (context) => {
  const chain = await start(context);
  await send(chain);
  const height = await chain.height();
  const began = Date.now();
  // The passing of two seconds is what this test is about: it asks nothing meanwhile.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  assert.ok(Date.now() - began >= 2_000);
  assert.equal(await chain.height(), height);
});

test("another chain id is used everywhere", PROGRAM, async (context) => {
  const chain = await start(context, "--chain-id", "4242");
  assert.equal(chain.chainId, 4242);
  assert.equal(await chain.call("eth_chainId"), "0x1092");
  assert.equal(await chain.call("net_version"), "4242");
  assert.equal(Number((await chain.call("causeway_getNetwork")).chainId), 4242);
  const [{ address: to }] = chain.accounts;
  const wallet = Wallet.createRandom();
  const sign = (chainId) => wallet.signTransaction({ chainId, nonce: 0, to, gasLimit: 21_000 });
  await chain.refusal("eth_sendRawTransaction", await sign(31337));
  await chain.receipt(await chain.call("eth_sendRawTransaction", await sign(4242)));
});

test("a block interval is a minimum between blocks, and makes none of its own", PROGRAM, async (context) => {
  const chain = await start(context, "--block-interval", "700");
  const blocks = [];
  for (let count = 0; count < 3; count++) {
    const { blockHash } = await send(chain);
    blocks.push(await chain.call("eth_getBlockByHash", blockHash, false));
  }
  for (let place = 1; place < blocks.length; place++) {
    const [before, after] = [blocks[place - 1], blocks[place]];
    assert.equal(after.parentHash, before.hash);
    assert.ok(toBigInt(after.extraData) - toBigInt(before.extraData) >= 700n);
  }
});

test("a data folder is checked, running and stopped", PROGRAM, async (context) => {
  const data = folder(context);
  const chain = await start(context, "--data", data);
  const { blockHash: hash } = await send(chain);
  const asked = await run(binary(), ["admin", "--data", data, "admin_verify"]);
  assert.equal(asked.code, 0, asked.stderr);
  assert.equal(JSON.parse(asked.stdout).hash, hash);
  await chain.stop();
  const { code, stdout, stderr } = await run(binary(), ["verify", "--data", data, "--json"]);
  assert.equal(code, 0, stderr);
  const { ok, height, hash: latest } = JSON.parse(stdout);
  assert.deepEqual([ok, height, latest], [true, 1, hash]);

  const gone = await run(binary(), ["admin", "--data", data, "admin_nodeInfo"]);
  assert.notEqual(gone.code, 0);
  assert.ok(gone.stderr.includes(data));
  assert.equal(gone.stderr.trim().split("\n").length, 1);
});

test("the demonstration shows each of its steps, and ends", PROGRAM, async () => {
  const { code, stdout, stderr } = await run(binary(), ["demo", "--exit", "--port", "0"], { ms: 60_000 });
  assert.equal(code, 0, stderr);
  // Nothing but steps: what cities log of a removed one is not for whoever looks.
  const steps = stderr.trimEnd().split("\n");
  for (const [index, step] of steps.entries()) {
    assert.match(step, new RegExp(`^ok \\[${index + 1}/${steps.length}\\] .+: .+ \\(\\d+ ms\\)$`));
  }
  for (const [number, wanted] of [
    [1, /4 members, cities in CN SHA, CN HGH, CN NKG, CN HFE/],
    [2, /member 5, by 3 of 4 votes/],
    [6, /signed by [34] of 4 cities, balance by its proof/],
    [9, /by vote: 4 of 5 members/],
    [10, /tickets to 1, 2, 3 with block \d+; cargo to 1, 2, 5 with block \d+/],
    [11, /connected with no city/],
    [12, /signed by 3 of 3 and 3 of 3 cities/],
    [13, /tickets to 1, 2, 3, 5 with block \d+; block \d+ signed by [34] of 4 cities/],
  ]) {
    assert.match(steps[number - 1] ?? "nothing", wanted);
  }
  assert.equal(steps.length, 13, stderr);
  assert.match(stdout, /^Hub +chain \d+\n/);
  assert.match(stdout, /^tickets +chain \d+, token 0x[0-9a-fA-F]{40}$/m);
});

test("the demonstration stays up, and its cities answer where it says", PROGRAM, async (context) => {
  const child = new Process(binary(), ["demo", "--port", "0"]);
  context.after(() => child.stop("SIGKILL"));
  const tickets = await child.line((line) => /^tickets +chain (\d+), token (0x\w{40})$/.exec(line), 60_000);
  const [, id, token] = tickets;
  const cities = [];
  for (let city = 0; city < 4; city += 1) {
    const rpc = await child.line((line) => /^ +(http:\/\/\S+)$/.exec(line)?.[1]);
    assert.ok(rpc.endsWith(`/chain/${id}`), rpc);
    cities.push(new Chain({ rpc, chain_id: Number(id) }));
  }
  const wallet = Wallet.createRandom();
  const transaction = { chainId: Number(id), nonce: 0, to: wallet.address, gasLimit: 21_000 };
  const hash = await cities[3].call("eth_sendRawTransaction", await wallet.signTransaction(transaction));
  for (const city of cities) {
    assert.equal((await city.receipt(hash)).status, "0x1");
    assert.notEqual(await city.call("eth_getCode", token, "latest"), "0x");
  }
  const { code } = await child.stop();
  assert.equal(code, 0, child.stderr);
});

test("a demonstration that is interrupted ends in order", PROGRAM, async (context) => {
  const child = new Process(binary(), ["demo", "--port", "0"]);
  context.after(() => child.stop("SIGKILL"));
  await until("it has begun", () => child.stderr.includes("[1/"), 30_000);
  const { code } = await child.stop("SIGINT");
  assert.equal(code, 0, child.stderr);
  assert.doesNotMatch(child.stderr, /panicked/);
});
