// Cities of an application change: while transactions flow, while it is parked, and because a city was removed by vote.
// A network of six cities in one process; every step is asked of the chains themselves, and proven as a light client would.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Contract, getAddress, JsonRpcProvider, NonceManager, Wallet } from "ethers";
import { APPLICATIONS, place as placeOn, specification } from "./applications.mjs";
import { decodeCertificate, decodeSet, verifyBlockProof } from "./certificate.mjs";
import { artifact, binary, Chain, post, PROGRAM, Process, until } from "./harness.mjs";
import { KIND, parameterName, payload } from "./hub.mjs";

const GOVERNANCE = "0x000000000000000000000000000000000000ca03";
const [ACTIVE, CHANGING, SUSPENDED] = [1n, 2n, 3n];
/** Chains of a removed city; 3,000 in the long tests. */
const REMOVED_FROM = Number(process.env.HANDOVERS ?? 8);

let folder;
let process_;
let ready;
let provider;

async function start() {
  const args = ["dev", "--hub", "--cities", "6", "--port", "0", "--json", "--data", folder];
  process_ = new Process(binary(), args);
  ready = await process_.line((line) => {
    const event = JSON.parse(line);
    return event.event === "ready" && event;
  });
  provider = new JsonRpcProvider(ready.rpc, undefined, { cacheTimeout: -1 });
}

before(async () => {
  if (PROGRAM.skip) return;
  folder = mkdtempSync(join(tmpdir(), "causeway-handover-"));
  await start();
});
after(async () => {
  provider?.destroy();
  await process_?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

const contract = (name, address, member) =>
  new Contract(
    address,
    artifact(`hub/${name}`).abi,
    new NonceManager(new Wallet(ready.accounts[member].private_key, provider)),
  );
const applications = () => contract("Applications", APPLICATIONS, 0);

/** Places an application on these cities, by their numbers. */
const place = (registry, name, cities) =>
  placeOn(registry, specification(ready.accounts[0].address, name, cities));

/** The chain as the city with this number has it. */
const at = (chainId, city) =>
  new Chain({ rpc: `${ready.cities[city - 1].rpc}/chain/${chainId}`, chain_id: chainId });

async function serves(chain) {
  const request = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId" });
  return (await post(chain.rpc, request)).status === 200;
}

/** Sends nothing to itself through one city. */
async function send(chain, account = 9) {
  const from = ready.accounts[account].address;
  return chain.call("eth_sendTransaction", { from, to: from, value: "0x0" });
}

const isSettled = (registry, n) =>
  until(
    `application ${n} is active again`,
    async () => (await registry.application(n)).status === ACTIVE,
    30_000,
  );

/** Follows a chain from its genesis as a light client: every block certified by the set that the one before names. Gives
 * the sets, each with the height from which it holds. */
async function provenSets(chain, networkId) {
  const network = { chainId: BigInt(chain.chainId), networkId };
  const sets = [];
  let set;
  const last = await chain.height();
  for (let number = 0; number <= last; number += 1) {
    const proof = await chain.call("causeway_getBlockProof", `0x${number.toString(16)}`);
    const { next } = verifyBlockProof(network, set, proof);
    if (proof.validators) {
      set = decodeSet(proof.validators);
      sets.push({ from: number + 1, addresses: set.map(({ address }) => getAddress(address)) });
    }
  }
  return sets;
}

/** Members propose, vote and execute. */
async function decide(kind, ...values) {
  const governance = [0, 1, 2, 3, 4].map((member) => contract("Governance", GOVERNANCE, member));
  await (await governance[0].propose(KIND[kind][0], payload(kind, ...values), "It is to be.")).wait();
  const id = await governance[0].count();
  for (const voter of governance) {
    // Once it has passed, nobody votes on it any more.
    if ((await voter.proposal(id)).status === 1n) await (await voter.vote(id, true)).wait();
  }
  await (await governance[0].execute(id)).wait();
}

test("a city is replaced while transactions flow, and nothing is lost", PROGRAM, async () => {
  const registry = applications();
  const { n, chainId } = await place(registry, "in-use", [1, 2, 3, 4]);
  await until("the chain is there", () => serves(at(chainId, 1)));
  const hashes = [];
  let flows = true;
  const flow = (async () => {
    while (flows) {
      hashes.push(await send(at(chainId, 1 + (hashes.length % 3))));
    }
  })();
  await until("some transactions", async () => (await at(chainId, 1).height()) > 3);
  const { blockNumber } = await (await registry.change(n, [4], [5], false)).wait();
  // By now it may be over already.
  const changing = await registry.application(n, { blockTag: blockNumber });
  assert.equal(changing.status, CHANGING);
  await isSettled(registry, n);
  const handed = await registry.handoverOf(n);
  await until(
    "some more transactions",
    async () => (await at(chainId, 1).height()) > Number(handed.height) + 3,
  );
  flows = false;
  await flow;
  for (const city of [1, 2, 3, 5]) {
    for (const hash of hashes) await at(chainId, city).receipt(hash);
  }
  const { networkId } = await registry.runner.provider
    .call({ to: "0x000000000000000000000000000000000000ca01", data: "0x9025e64c" })
    .then((networkId) => ({ networkId }));
  const sets = await provenSets(at(chainId, 5), networkId);
  const nodes = (await registry.application(n)).validators;
  assert.equal(sets.length, 2);
  assert.equal(sets[1].from, Number(handed.height) + 1);
  assert.deepEqual(sets[1].addresses, [...nodes]);
  assert.equal(sets[0].addresses.filter((address) => sets[1].addresses.includes(address)).length, 3);
  console.log(`${hashes.length} transactions, handed over at height ${handed.height}`);
  // Whoever left answers for what it has, and takes nothing any more.
  const left = at(chainId, 4);
  await until("the city that left stands still", async () =>
    send(left).then(
      () => false,
      () => true,
    ),
  );
  assert.ok((await left.height()) <= (await at(chainId, 1).height()));
});

test("two of four cities of a parked chain are replaced, and it takes a transaction", PROGRAM, async () => {
  const registry = applications();
  const { n, chainId } = await place(registry, "parked", [1, 2, 3, 4]);
  await until("the chain is there", () => serves(at(chainId, 1)));
  await at(chainId, 1).receipt(await send(at(chainId, 1)));
  for (const [leaving, joining] of [
    [3, 5],
    [4, 6],
  ]) {
    await (await registry.change(n, [leaving], [joining], false)).wait();
    await isSettled(registry, n);
  }
  // A block for each handover, and none else.
  assert.equal(await at(chainId, 1).height(), 3);
  const hash = await send(at(chainId, 6));
  const receipts = await Promise.all([1, 2, 5, 6].map((city) => at(chainId, city).receipt(hash)));
  assert.equal(new Set(receipts.map(({ blockHash }) => blockHash)).size, 1);
  assert.equal(receipts[0].blockNumber, "0x4");
});

test("a city that is added to a chain that nobody used takes it in", PROGRAM, async () => {
  const registry = applications();
  const { n, chainId } = await place(registry, "unused", [1, 2, 3, 4]);
  await (await registry.change(n, [], [5, 6], false)).wait();
  await isSettled(registry, n);
  const hash = await send(at(chainId, 5));
  for (const city of [1, 2, 3, 4, 5, 6]) await at(chainId, city).receipt(hash);
  assert.equal((await registry.application(n)).validators.length, 6);
});

test("a suspended application answers reads alone, and goes on when it is resumed", PROGRAM, async () => {
  const registry = applications();
  const { n, chainId } = await place(registry, "paused", [1, 2, 3, 4]);
  await until("the chain is there", () => serves(at(chainId, 1)));
  await at(chainId, 1).receipt(await send(at(chainId, 1)));
  await (await registry.suspend(n)).wait();
  assert.equal((await registry.application(n)).status, SUSPENDED);
  for (const city of [1, 2, 3, 4]) {
    await until(`city ${city} takes nothing`, () =>
      send(at(chainId, city)).then(
        () => false,
        () => true,
      ),
    );
    assert.equal(await at(chainId, city).height(), 1);
  }
  await (await registry.resume(n)).wait();
  const hash = await until("it takes a transaction", () => send(at(chainId, 2)).catch(() => undefined));
  for (const city of [1, 2, 3, 4]) await at(chainId, city).receipt(hash);
});

test("a removed city leaves every chain, and they go on without it", PROGRAM, async () => {
  const registry = applications();
  const placed = [];
  // Each member creates a part: a day allows so many and no more.
  const creators = [0, 1, 2, 3, 4].map((member) => contract("Applications", APPLICATIONS, member));
  while (placed.length < REMOVED_FROM) {
    const batch = Math.min(50, REMOVED_FROM - placed.length);
    const places = Array.from({ length: batch }, (_, index) => {
      const number = placed.length + index;
      return place(creators[number % creators.length], `left-${number}`, [2, 3, 4, 6]);
    });
    placed.push(...(await Promise.all(places)));
  }
  // Of three cities all must sign the handover, the removed one as well: it is met for that, and for nothing else.
  const wanted = specification(ready.accounts[0].address, "of-three", [2, 3, 6], {
    allowConcentration: true,
  });
  const ofThree = await placeOn(registry, wanted);
  placed.push(ofThree);
  const used = [...placed.slice(0, 3), ofThree];
  for (const { chainId } of used) {
    await until("the chain is there", () => serves(at(chainId, 2)));
    await at(chainId, 2).receipt(await send(at(chainId, 2)));
  }
  const started = Date.now();
  await decide("RemoveCity", 6);
  for (const { n } of placed) {
    await until(
      `city 6 has left application ${n}`,
      async () => {
        const { status, cities } = await registry.application(n);
        return status === ACTIVE && !cities.includes(6n);
      },
      60_000 + 100 * placed.length,
    );
  }
  console.log(`${placed.length} chains handed over ${Date.now() - started} ms after the vote`);
  for (const { chainId } of placed.filter((one) => one !== ofThree).slice(0, 50)) {
    const hash = await send(at(chainId, 3));
    for (const city of [2, 3, 4]) await at(chainId, city).receipt(hash);
  }
  const hash = await send(at(ofThree.chainId, 3));
  for (const city of [2, 3]) await at(ofThree.chainId, city).receipt(hash);
});

test("what is over is removed when its time is over, and only that", PROGRAM, async () => {
  await decide("SetParameter", parameterName("closedDataKept"), 0);
  const registry = applications();
  const closed = await place(registry, "closed", [1, 2, 3, 4]);
  await until("the chain is there", () => serves(at(closed.chainId, 1)));
  await at(closed.chainId, 1).receipt(await send(at(closed.chainId, 1)));
  await (await registry.close(closed.n)).wait();
  for (const city of [1, 2, 3, 4]) {
    await until(`city ${city} has removed it`, async () => !(await serves(at(closed.chainId, city))));
  }
});

test("a city that left a chain, and lost its data, joins it again and signs", PROGRAM, async () => {
  const registry = applications();
  const { n, chainId } = await place(registry, "come-and-go", [1, 2, 3, 4]);
  await until("the chain is there", () => serves(at(chainId, 4)));
  for (const city of [1, 2, 3, 4]) await at(chainId, 1).receipt(await send(at(chainId, city)));
  await (await registry.change(n, [4], [5], false)).wait();
  await isSettled(registry, n);
  await until("city 4 has removed it", async () => !(await serves(at(chainId, 4))));
  await at(chainId, 5).receipt(await send(at(chainId, 5)));
  await (await registry.change(n, [5], [4], false)).wait();
  await isSettled(registry, n);
  const key = getAddress(ready.cities[3].address);
  await until("city 4 signs", async () => {
    const hash = await send(at(chainId, 4));
    const { blockNumber } = await at(chainId, 4).receipt(hash);
    const { certificate } = await at(chainId, 1).call("causeway_getBlockProof", blockNumber);
    const { signatures } = decodeCertificate(certificate);
    return signatures.some(({ address }) => getAddress(address) === key);
  });
});

test("all is there after a restart", PROGRAM, async () => {
  const registry = applications();
  const count = Number(await registry.count());
  provider.destroy();
  await process_.stop();
  await start();
  const again = applications();
  for (let n = 1; n <= Math.min(count, 40); n += 1) {
    const { status, chainId, cities, name } = await again.application(n);
    if (name === "closed") {
      assert.equal(await serves(at(Number(chainId), 1)), false, "it is not here again");
      continue;
    }
    assert.equal(status, ACTIVE, `application ${n}`);
    const city = Number(cities[0]);
    const hash = await until(`application ${n} takes a transaction`, () =>
      send(at(Number(chainId), city)).catch(() => undefined),
    );
    for (const one of cities) await at(Number(chainId), Number(one)).receipt(hash);
  }
});
