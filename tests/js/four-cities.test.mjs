// Four cities in one process, one chain: what is given to one is final in all, and each proves what it says.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Contract, ContractFactory, Interface, JsonRpcProvider, Wallet, toBigInt, toQuantity } from "ethers";
import { assertSameBlocks, DevelopmentCities, LightClient, newKey, pause } from "./cities.mjs";
import { receiptEverywhere, settled, signed } from "./cities.mjs";
import { artifact, PROGRAM, until } from "./harness.mjs";
import { Socket } from "./socket.mjs";
import { checkStateProof } from "./state-proof.mjs";

/** Clock ticks a second in /proc; Linux says 100 to every program. */
const TICKS = 100;
/** How long the idle chain is watched, in seconds. */
const IDLE = 15;

let net;
let cities;

before(async () => {
  if (PROGRAM.skip) return;
  net = await DevelopmentCities.start();
  ({ cities } = net);
});
after(() => net?.stop());

/** Opens ethers on a city, until the test ends. */
function ethersAt(context, number) {
  const provider = new JsonRpcProvider(net.city(number).rpc, undefined, { cacheTimeout: -1 });
  context.after(() => provider.destroy());
  return new Wallet(net.accounts[0].private_key, provider);
}

test("one line of JSON names four cities, each with its own key and port", PROGRAM, async () => {
  const { event, rpc, ws, chain_id: chainId, accounts, cities: told } = net.ready;
  assert.deepEqual([event, chainId, accounts.length, told.length], ["ready", 31337, 10, 4]);
  assert.deepEqual({ rpc, ws }, { rpc: told[0].rpc, ws: told[0].ws });
  for (const field of ["address", "rpc", "ws"]) {
    assert.equal(new Set(told.map((city) => city[field])).size, 4, field);
  }
  const networks = await Promise.all(cities.map((city) => city.call("causeway_getNetwork")));
  for (const network of networks) assert.deepEqual(network, networks[0]);
  const { set } = await LightClient.of(net.city(1));
  assert.deepEqual(
    set.map(({ address, power }) => [toBigInt(address), power]).sort(),
    told.map(({ address }) => [toBigInt(address), 1n]).sort(),
    "the cities are the validators, of equal power",
  );
  assert.equal(net.process.stdout.trim().split("\n").length, 1);
});

test("a transaction that is sent as soon as they are ready is final in all", PROGRAM, async () => {
  const started = Date.now();
  await receiptEverywhere(cities, await net.city(1).send(await signed(newKey(), net)), 8_000);
  console.log(`the first transaction was final in all cities after ${Date.now() - started} ms`);
});

test(
  "a contract that one city deploys and calls is the same in all within a second",
  PROGRAM,
  async (context) => {
    const { abi, bytecode } = artifact("Token");
    const owner = ethersAt(context, 1);
    const deployed = await new ContractFactory(abi, bytecode, owner).deploy("Token", "TOK", 1000n);
    const creation = await receiptEverywhere(cities, deployed.deploymentTransaction().hash);
    const token = new Contract(creation.contractAddress, abi, owner);
    const call = await token.transfer(net.accounts[1].address, 300n);
    const { status, blockHash } = await receiptEverywhere(cities, call.hash);
    assert.equal(status, "0x1");
    const blocks = await Promise.all(cities.map((city) => city.call("eth_getBlockByHash", blockHash, true)));
    for (const block of blocks) assert.deepEqual(block, blocks[0]);
    for (const number of [1, 2, 3, 4]) {
      const reader = token.connect(ethersAt(context, number));
      assert.equal(await reader.balanceOf(net.accounts[1].address), 300n);
    }
  },
);

test(
  "a certificate from one city and a proof from another show a balance to who trusts neither",
  PROGRAM,
  async () => {
    const client = await LightClient.of(net.city(1));
    const [{ address: from }, , { address: to }] = net.accounts;
    const before = toBigInt(await net.city(4).call("eth_getBalance", to, "latest"));
    const hash = await net.city(2).call("eth_sendTransaction", { from, to, value: "0x7" });
    const { blockNumber } = await receiptEverywhere(cities, hash);
    const { header, signers } = await client.block(net.city(3), blockNumber);
    assert.ok(signers.size >= 3, `${signers.size} cities signed`);
    const shown = await net.city(1).call("eth_getBlockByNumber", blockNumber, false);
    assert.equal(shown.stateRoot, header.stateRoot);
    const answer = await net.city(4).call("eth_getProof", to, [], blockNumber);
    await checkStateProof(shown.stateRoot, to, [], answer);
    assert.equal(toBigInt(answer.balance), before + 7n);
  },
);

test("every block of every city is certified by three of the four", PROGRAM, async () => {
  const client = await LightClient.of(net.city(1));
  const { number } = await settled(cities);
  for (let height = 1; height <= Number(number); height++) {
    const told = await Promise.all(cities.map((city) => client.block(city, toQuantity(height))));
    for (const { hash, signers } of told) {
      assert.equal(hash, told[0].hash);
      assert.ok(signers.size >= 3);
    }
  }
});

test("transactions given to all four at once are all final in all", PROGRAM, async () => {
  const hashes = await Promise.all(
    Array.from({ length: 80 }, async (_, place) => cities[place % 4].send(await signed(newKey(), net))),
  );
  assert.equal(new Set(hashes).size, 80);
  for (const hash of hashes) {
    assert.equal((await receiptEverywhere(cities, hash, 10_000)).status, "0x1");
  }
  await assertSameBlocks(cities);
});

test("consecutive nonces of one account may be given to different cities", PROGRAM, async () => {
  const wallet = newKey();
  const transactions = await Promise.all(
    Array.from({ length: 16 }, (_, nonce) => signed(wallet, net, { nonce })),
  );
  const hashes = await Promise.all(transactions.map((raw, nonce) => cities[nonce % 4].send(raw)));
  const receipts = [];
  for (const hash of hashes) receipts.push(await receiptEverywhere(cities, hash, 10_000));
  const order = receipts.map(({ blockNumber, transactionIndex }) =>
    [blockNumber, transactionIndex].map(Number),
  );
  assert.deepEqual(
    order,
    order.toSorted(([a, b], [c, d]) => a - c || b - d),
    "they are in the order of their nonces",
  );
});

test("a transaction that waits in one city's pool waits in the others' too", PROGRAM, async () => {
  const wallet = newKey();
  const later = await net.city(1).send(await signed(wallet, net, { nonce: 1 }));
  await Promise.all(
    cities.map((city) =>
      until("it is in the pool", async () => {
        const { queued } = await city.call("txpool_contentFrom", wallet.address);
        return queued["1"]?.hash === later;
      }),
    ),
  );
  const sooner = await net.city(3).send(await signed(wallet, net));
  for (const hash of [sooner, later]) await receiptEverywhere(cities, hash, 10_000);
});

test("subscribers of one city hear of what another city took in", PROGRAM, async (context) => {
  const { abi, bytecode } = artifact("Token");
  const owner = newKey();
  const creation = new Interface(abi).encodeDeploy(["Token", "TOK", 1000n]);
  const data = bytecode + creation.slice(2);
  const made = await net.city(3).send(await signed(owner, net, { to: undefined, data, gasLimit: 3_000_000 }));
  const { contractAddress: address } = await receiptEverywhere(cities, made);

  const socket = await Socket.open(net.city(2).ws);
  context.after(() => socket.close());
  const heads = await socket.call("eth_subscribe", "newHeads");
  const logs = await socket.call("eth_subscribe", "logs", { address });
  const transfer = new Interface(abi).encodeFunctionData("transfer", [newKey().address, 1n]);
  const raw = await signed(owner, net, { nonce: 1, to: address, data: transfer });
  const receipt = await receiptEverywhere(cities, await net.city(3).send(raw));
  await until("its head and its log", () =>
    [
      socket.events(heads).some(({ hash }) => hash === receipt.blockHash),
      socket.events(logs).length > 0,
    ].every(Boolean),
  );
  assert.deepEqual(socket.events(logs), receipt.logs);
});

test("reads make no block in any city", PROGRAM, async () => {
  const before = await settled(cities);
  const [{ address }] = net.accounts;
  for (const city of cities) {
    await city.call("eth_call", { from: address, to: address }, "pending");
    await city.call("eth_estimateGas", { from: address, to: address });
    await city.call("eth_getProof", address, [], "latest");
  }
  assert.equal((await settled(cities)).hash, before.hash);
});

/** CPU seconds that the process used so far. */
function cpuSeconds() {
  // What follows the name, which may hold blanks, begins with field 3; 14 and 15 are user and system time.
  const stat = readFileSync(`/proc/${net.process.child.pid}/stat`, "utf8");
  const fields = stat.split(") ").at(-1).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

test("an idle chain of four cities adds nothing, and hardly any work", PROGRAM, async () => {
  const head = await settled(cities);
  const before = cpuSeconds();
  await pause(IDLE * 1000);
  const cpu = cpuSeconds() - before;
  console.log(`four idle cities: ${cpu.toFixed(2)} s of CPU in ${IDLE} s`);
  assert.equal((await settled(cities)).hash, head.hash);
  assert.ok(cpu <= 0.01 * IDLE, `${cpu} s of CPU in ${IDLE} s`);
});

test("SIGTERM ends all four in order, soon", PROGRAM, async () => {
  const { code, ms } = await net.process.stop("SIGTERM", 10_000);
  assert.equal(code, 0, net.process.stderr);
  console.log(`four cities ended after ${ms} ms`);
  assert.ok(ms < 5_000, `${ms} ms`);
});
