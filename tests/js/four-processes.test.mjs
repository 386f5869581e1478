// Four cities, a process each, under a steady load: each in turn is killed, wiped and stopped, and comes back. No
// transaction that any city showed as final is lost, and all cities agree. With two cities down the others make no
// block, answer reads and say why.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { toBigInt, toQuantity } from "ethers";
import { assertSameBlocks, LightClient, Load, Network, newKey, pause, Witness } from "./cities.mjs";
import { receiptEverywhere, sendNoise, settled, signed } from "./cities.mjs";
import { artifact, binary, PROGRAM, run, story, until } from "./harness.mjs";

/** Transactions a second that are offered. */
const RATE = 40;
/** How soon throughput has to be full after a city's return, in milliseconds. */
const RECOVERY = 5_000;
/** How long a stopped city hangs, in milliseconds. */
const HANG = 3_000;
/** How long a network without a quorum is watched, in milliseconds. */
const STALL = 2_000;
/** How soon its cities have to say what is missing, in milliseconds. */
const SAID = 10_000;

let net;
let load;
let witness;
/** Whether the cities of a network without a quorum said so. */
let saidWhy;
const told = story(PROGRAM);
const { scenario } = told;

before(async () => {
  if (PROGRAM.skip) return;
  net = await Network.create("four processes");
  await net.start();
});
after(async () => {
  if (told.failed)
    for (const { number, process } of net.cities) console.log(`city ${number}: ${process?.stderr}`);
  await load?.stop();
  await witness?.stop();
  await net?.end();
});

/** Waits until transactions become final that were not when this was called. */
async function progress(ms = 10_000) {
  const now = Date.now();
  await until("transactions become final", () => witness.since(now) >= RATE / 2, ms);
}

scenario("four folders make a network, and its cities agree on who they are", async () => {
  const networks = await Promise.all(net.cities.map((city) => city.call("causeway_getNetwork")));
  for (const network of networks) assert.deepEqual(network, networks[0]);
  const { set } = await LightClient.of(net.city(1));
  assert.deepEqual(
    set.map(({ address }) => toBigInt(address)).sort(),
    net.cities.map(({ address }) => toBigInt(address)).sort(),
  );
  for (const city of net.cities) assert.ok(toBigInt(city.chainId) === toBigInt(networks[0].chainId));
});

scenario("an account that owns nothing deploys through one city, and is answered by all", async () => {
  const { bytecode, deployedBytecode } = artifact("Box");
  const raw = await signed(newKey(), net.city(1), { to: undefined, data: bytecode, gasLimit: 1_000_000 });
  const { contractAddress, status } = await receiptEverywhere(net.cities, await net.city(1).send(raw), 5_000);
  assert.equal(status, "0x1");
  for (const city of net.cities) {
    assert.equal(await city.call("eth_getCode", contractAddress, "latest"), deployedBytecode);
  }
});

scenario("a steady load becomes final as it is offered", async () => {
  witness = new Witness(net);
  load = new Load(net, RATE);
  await witness.full(load, Date.now());
});

scenario("noise at the ports of the links stops nobody", async () => {
  const now = Date.now();
  await Promise.all(net.cities.map((city) => sendNoise(city, 2_000)));
  await witness.full(load, now);
});

/** What is done to a city, and undone. */
const FAULTS = {
  async killed(city) {
    await city.kill();
    await progress();
    return () => city.start();
  },
  async wiped(city) {
    await city.kill();
    city.wipe("log", "tables");
    await progress();
    return () => city.start();
  },
  async "stopped for three seconds"(city) {
    city.freeze();
    await pause(HANG);
    return () => city.thaw();
  },
};

for (const number of [1, 2, 3, 4]) {
  for (const [name, fault] of Object.entries(FAULTS)) {
    scenario(`city ${number} is ${name} and returns: the others go on, and it signs again`, async () => {
      const city = net.city(number);
      const comeBack = await fault(city);
      const returned = Date.now();
      await comeBack();
      const ms = await witness.full(load, returned, RECOVERY);
      const others = net.cities.filter((other) => other !== city);
      const height = Math.max(...(await Promise.all(others.map((other) => other.height()))));
      await city.signs(height, 20_000);
      console.log(
        `city ${number}, ${name}: full throughput ${ms} ms after its return, signs after ${Date.now() - returned} ms`,
      );
    });
  }
}

scenario("all four are killed at once and return, and the load goes on", async () => {
  await Promise.all(net.cities.map((city) => city.kill()));
  const returned = Date.now();
  await Promise.all(net.cities.map((city) => city.start()));
  const ms = await witness.full(load, returned, 2 * RECOVERY);
  console.log(`all four, killed: full throughput ${ms} ms after their return`);
});

scenario("what any city showed is in all, and what it accepted, unless it lost its disk", () =>
  witness.assertNothingLost(load),
);

const complained = (cities) => cities.every(({ process }) => /no agreement/.test(process.stderr));

scenario(
  "with two cities down there is no block, reads are answered, and one that returns is enough",
  async () => {
    const [first, second, third, fourth] = net.cities;
    const living = [first, second];
    const before = await settled(net.cities);
    const [hash] = witness.shown.keys();
    await Promise.all([third.kill(), fourth.kill()]);

    const wallet = newKey();
    const waiting = await first.send(await signed(wallet, first));
    const start = Date.now();
    while (Date.now() < start + STALL) {
      for (const city of living) {
        assert.equal(toBigInt(await city.call("eth_blockNumber")), toBigInt(before.number));
        assert.equal((await city.call("eth_getTransactionReceipt", hash)).status, "0x1");
        assert.equal(await city.call("eth_getTransactionReceipt", waiting), null);
        assert.equal(await city.call("eth_getBalance", wallet.address, "latest"), "0x0");
      }
    }
    while (Date.now() < start + SAID && !complained(living)) await pause(50);
    saidWhy = complained(living);

    await third.start();
    const receipt = await receiptEverywhere([first, second, third], waiting, 10_000);
    assert.equal(toBigInt(receipt.blockNumber), toBigInt(before.number) + 1n);
    await fourth.start();
    await receiptEverywhere(net.cities, waiting, 10_000);
    await assertSameBlocks(net.cities);
  },
);

scenario("a second process with the same folder is refused in one line", async () => {
  const { code, stdout, stderr } = await run(binary(), net.city(2).runArguments(), { ms: 10_000 });
  assert.notEqual(code, 0);
  assert.equal(stdout, "");
  assert.match(stderr, /lock|in use|already/i);
  assert.equal(stderr.trim().split("\n").length, 1, stderr);
  await receiptEverywhere(net.cities, await net.city(2).send(await signed(newKey(), net.city(2))), 5_000);
});

scenario("a folder of one network is refused under another's genesis, and unharmed", async () => {
  const another = await net.found("another network");
  const city = net.city(3);
  const { number } = await settled(net.cities);
  assert.equal((await city.stop()).code, 0);
  const { code, stdout, stderr } = await run(binary(), city.runArguments(another), { ms: 10_000 });
  assert.notEqual(code, 0);
  assert.equal(stdout, "");
  assert.match(stderr, /network|genesis/i);
  assert.equal(stderr.trim().split("\n").length, 1, stderr);
  await city.start();
  await city.call("eth_getBlockByNumber", toQuantity(number), false);
  await receiptEverywhere(net.cities, await city.send(await signed(newKey(), city)), 5_000);
});

scenario("a copy of a city's keys elsewhere stops both, and the others go on", async () => {
  const city = net.city(4);
  const { number } = await settled(net.cities);
  const twin = await city.twin();
  try {
    await twin.start();
    await until("both say that their key is used elsewhere", () =>
      [city, twin].every(({ process }) => /another process uses this city's key/.test(process.stderr)),
    );
    const others = net.cities.filter((other) => other !== city);
    await receiptEverywhere(others, await others[0].send(await signed(newKey(), city)), 10_000);
    assert.equal(await city.height(), Number(number), "it takes part in nothing");
  } finally {
    await twin.kill();
  }
  await city.kill();
  await city.start();
  await receiptEverywhere(net.cities, await city.send(await signed(newKey(), city)), 10_000);
});

scenario("the cities that were left said why there was no block", () => {
  assert.ok(saidWhy, "no line of a city without a quorum says what is missing");
});

scenario("a city that lost its log, and kept its tables, knows that it lost it", async () => {
  const city = net.city(2);
  await city.stop();
  city.wipe("log");
  await city.start();
  await until("it says so", () => /its log is not here/.test(city.process.stderr), 3_000);
});
