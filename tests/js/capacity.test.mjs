// A chain takes no more of its cities than the hub gave it: of their time in bursts, then as it is given; of their disks what
// its bytes are. No neighbour notices.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Contract, JsonRpcProvider, NonceManager, Wallet } from "ethers";
import { APPLICATIONS, place, specification } from "./applications.mjs";
import { artifact, binary, Chain, PROGRAM, Process, until } from "./harness.mjs";

const GAS = 21_000;
/** Transfers that the chain is given gas for in a second. */
const EACH_SECOND = 20;
/** For how many seconds a chain may take its gas at once. */
const BURST = 10;
/** What the second chain is given to fill. */
const BYTES = 400_000;
/** Bytes of data in each of its transactions. */
const DATA = 20_000;
/** What the burst does not hold. */
const MORE = 100;

let process_;
let ready;
let provider;

before(async () => {
  if (PROGRAM.skip) return;
  process_ = new Process(binary(), [..."dev --hub --cities 4 --strict-capacity --port 0 --json".split(" ")]);
  ready = await process_.line((line) => {
    const event = JSON.parse(line);
    return event.event === "ready" && event;
  });
  provider = new JsonRpcProvider(ready.rpc, undefined, { cacheTimeout: -1 });
});
after(async () => {
  provider?.destroy();
  await process_?.stop();
});

const chainAt = (chainId, city) =>
  new Chain({ rpc: `${ready.cities[city].rpc}/chain/${chainId}`, chain_id: chainId });

test(
  "a chain takes its gas in a burst, then as it is given, and keeps no other waiting",
  PROGRAM,
  async () => {
    const wallet = new NonceManager(new Wallet(ready.accounts[0].private_key, provider));
    const registry = new Contract(APPLICATIONS, artifact("hub/Applications").abi, wallet);
    const owner = ready.accounts[0].address;
    const busy = await place(
      registry,
      specification(owner, "busy", [1, 2, 3, 4], { gasPerSecond: EACH_SECOND * GAS, blocksPerSecond: 1_000 }),
    );
    const calm = await place(registry, specification(owner, "calm", [1, 2, 3, 4]));
    const chain = chainAt(busy.chainId, 0);
    const neighbour = chainAt(calm.chainId, 0);
    const signer = new Wallet(ready.accounts[5].private_key);
    const transfer = (nonce) =>
      signer.signTransaction({
        chainId: busy.chainId,
        nonce,
        gasLimit: GAS,
        gasPrice: 0,
        to: owner,
        type: 0,
      });
    await until("the chain is there", () => chain.call("eth_chainId").catch(() => undefined));
    const count = EACH_SECOND * BURST + MORE;
    const hashes = [];
    for (let nonce = 0; nonce < count; nonce += 1) {
      hashes.push(await chain.call("eth_sendRawTransaction", await transfer(nonce)));
    }
    // Whoever waits is the busy chain alone.
    await until("the neighbour is there", () => neighbour.call("eth_chainId").catch(() => undefined));
    const from = ready.accounts[9].address;
    const sent = Date.now();
    await neighbour.receipt(await neighbour.call("eth_sendTransaction", { from, to: from, value: "0x0" }));
    assert.ok(Date.now() - sent < 1_000, `the neighbour took ${Date.now() - sent} ms`);

    await until(
      "the last one is final",
      () => chain.call("eth_getTransactionReceipt", hashes.at(-1)),
      60_000,
    );
    const last = await chain.height();
    let [gas, first, latest] = [0];
    for (let number = 1; number <= last; number += 1) {
      const block = await chain.call("eth_getBlockByNumber", `0x${number.toString(16)}`, false);
      latest = Number(block.extraData);
      first ??= latest;
      gas += Number(block.gasUsed);
      // A burst, what time has paid, and the transfer that exceeds it.
      const allowed = EACH_SECOND * GAS * (BURST + (latest - first) / 1_000) + GAS;
      assert.ok(gas <= allowed, `block ${number}: ${gas} gas, ${allowed} allowed`);
    }
    assert.equal(gas, count * GAS);
    console.log(`${count} transfers in ${latest - first} ms, ${last} blocks`);
  },
);

test(
  "a chain that has used up its bytes takes nothing more, answers, and keeps no other from going on",
  PROGRAM,
  async () => {
    const wallet = new NonceManager(new Wallet(ready.accounts[0].private_key, provider));
    const registry = new Contract(APPLICATIONS, artifact("hub/Applications").abi, wallet);
    const owner = ready.accounts[0].address;
    const full = await place(registry, specification(owner, "full", [1, 2, 3, 4], { bytesStored: BYTES }));
    const calm = await place(registry, specification(owner, "quiet", [1, 2, 3, 4]));
    const [chain, neighbour] = [full, calm].map(({ chainId }) => chainAt(chainId, 0));
    for (const one of [chain, neighbour]) {
      await until("the chain is there", () => one.call("eth_chainId").catch(() => undefined));
    }
    const signer = new Wallet(ready.accounts[6].private_key);
    /** Gives a transaction of much data to a city; the receipt, or why it was refused. */
    const give = async (city, nonce) => {
      const raw = await signer.signTransaction({
        chainId: full.chainId,
        nonce,
        gasLimit: 21_000 + 40 * DATA,
        gasPrice: 0,
        to: owner,
        type: 0,
        data: `0x${"5a".repeat(DATA)}`,
      });
      const hash = await chainAt(full.chainId, city)
        .call("eth_sendRawTransaction", raw)
        .catch((error) => error);
      return hash instanceof Error ? hash : chain.receipt(hash);
    };
    const hashes = [];
    let refused;
    for (let nonce = 0; nonce < BYTES / DATA + 1 && !refused; nonce += 1) {
      const given = await give(0, nonce);
      if (given instanceof Error) refused = given;
      else hashes.push(given.transactionHash);
    }
    // One block more than fits, at most.
    const [least, most] = [(BYTES / DATA) * 0.8, BYTES / DATA + 1];
    assert.ok(hashes.length >= least && hashes.length <= most, `${hashes.length} transactions`);
    assert.match(refused?.message, /used up the bytes that it was given on this city, \d+ of 400000,/);
    for (const city of [1, 2, 3]) {
      const said = await give(city, hashes.length);
      assert.match(said.message, /used up the bytes/, `city ${city + 1}`);
    }
    const height = await chain.height();
    const last = await chain.call("eth_getTransactionByHash", hashes.at(-1));
    assert.equal(Number(last.blockNumber), height);
    assert.equal(
      await chain.call("eth_getTransactionCount", signer.address, "latest"),
      `0x${hashes.length.toString(16)}`,
    );

    const from = ready.accounts[9].address;
    const sent = await neighbour.call("eth_sendTransaction", { from, to: from, value: "0x0" });
    assert.equal((await neighbour.receipt(sent)).status, "0x1");
    assert.equal(await chain.height(), height);
    console.log(`${hashes.length} transactions of ${DATA} bytes in ${BYTES}`);
  },
);
