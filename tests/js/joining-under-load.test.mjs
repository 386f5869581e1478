// A sixth city joins a network of five by the documented commands, hosts an application, and is removed by vote, while
// transactions flow: to an application, and to the hub, on which one application is placed after the other. Nothing that
// was accepted is lost, and who was removed is shut out.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before } from "node:test";
import { toBigInt, toQuantity } from "ethers";
import { created, specification } from "./applications.mjs";
import { decodeCertificate } from "./certificate.mjs";
import { Network, newKey, pause, receiptEverywhere, signed } from "./cities.mjs";
import { commands } from "./commands.mjs";
import { PROGRAM, story, until } from "./harness.mjs";

const PLACES = ["CN SHA", "CN HGH", "CN NKG", "CN HFE", "CN SZH"];
const VOTERS = [1, 2, 3, 4];
/** Whose account the applications of the flow are. */
const CREATOR = 5;
/** Between two transactions of a flow, in milliseconds. */
const PACE = 40;
/** Blocks of a chain in which a removed city has no part. */
const WITHOUT = 20;

const told = story(PROGRAM);
const { scenario } = told;

let network;
let done, authority, idsOf, decide, at, goesOn, tell;
let busy;
let sixth;
let hosted;
/** The sixth by its number on the hub. */
let number;
let flows = true;
/** Hashes of what the application and what the hub accepted. */
const accepted = { busy: [], hub: [] };
let flowing = [];

before(async () => {
  if (PROGRAM.skip) return;
  network = await Network.create("joining", PLACES.length, PLACES);
  await network.start();
  ({ done, authority, idsOf, decide, at, goesOn, tell } = commands(network));
  busy = await create("busy", PLACES);
  flowing = [use(), placeOneAfterTheOther()];
});
after(async () => {
  flows = false;
  await Promise.allSettled(flowing);
  if (told.failed) {
    for (const { number, process } of network.cities) console.log(`city ${number}: ${process?.stderr}`);
  }
  await network?.end();
});

const create = (name, places) =>
  done(
    ["app", "create", "--name", name, "--cities", places.join(","), "--readers", "anyone", "--yes"],
    authority(1),
  );

/** Transactions to the application that is there, through one city after the other. */
async function use() {
  for (; flows; await pause(PACE)) {
    const city = at(busy, 1 + (accepted.busy.length % PLACES.length));
    accepted.busy.push(await city.send(await signed(newKey(), { chainId: busy.chain_id })));
  }
}

/** Applications on the founders' cities, one after the other. */
async function placeOneAfterTheOther() {
  const ids = await idsOf([1, 2, 3, 4]);
  for (; flows; await pause(PACE)) {
    const wanted = specification(network.city(CREATOR).address, `flow-${accepted.hub.length}`, ids);
    const through = 1 + (accepted.hub.length % PLACES.length);
    const hash = await tell({ number: CREATOR, through }, "create", wanted);
    accepted.hub.push(hash);
    await receiptEverywhere([network.city(through)], hash, 10_000);
  }
}

/** Waits until both flows have brought this many more. */
function goOn(count) {
  const [used, placed] = [accepted.busy.length, accepted.hub.length];
  return until(
    "both flows go on",
    () => accepted.busy.length >= used + count && accepted.hub.length >= placed + count,
  );
}

scenario("both flow", () => goOn(10));

scenario("a sixth is proposed, voted in, started, and follows the hub", async () => {
  sixth = await network.join("CN CAN");
  const card = join(sixth.data, "card.json");
  await decide(VOTERS, "admit", "--card", card, "--reason", "It runs a city in Canton.");
  await sixth.start();
  [number] = await idsOf([6]);
  const capacity = ["--gas-per-second", "1000000", "--bytes", "1000000000", "--blocks-per-second", "10"];
  await done(["city", "offer", `${number}`, "--to", "members", "--chains", "10", ...capacity], authority(6));
  const height = await network.city(1).height();
  await until("it follows the hub", async () => (await sixth.height()) >= height, 30_000);
  await goOn(10);
});

scenario("an application is created on it, and takes transactions there", async () => {
  hosted = await create("hosted", ["CN SHA", "CN HGH", "CN NKG", "CN CAN"]);
  assert.ok(hosted.rpc.some((rpc) => rpc.startsWith(sixth.rpc)));
  for (let sent = 0; sent < 8; sent += 1) await goesOn(hosted, sent % 2 === 0 ? [6, 1, 2, 3] : [1, 2, 3, 6]);
  await goOn(10);
});

scenario("it is removed by vote, and its application goes on without it", async () => {
  await decide(VOTERS, "remove", "--city", `${number}`, "--reason", "It was sold.");
  await until(
    "it has left its application",
    async () => {
      const { status, cities, change } = await done(["app", "show", "hosted"]);
      return status === "active" && !cities.includes(number) && !change;
    },
    60_000,
  );
  await goesOn(hosted, [1, 2, 3]);
  await goOn(10);
});

scenario("it cannot connect, sign or read what is new, after a start neither", async () => {
  const isAlone = () =>
    until("nobody is connected with it", async () => (await sixth.call("net_peerCount")) === "0x0", 20_000);
  await isAlone();
  const [knows, has] = [await sixth.height(), await at(hosted, 6).height()];
  await sixth.stop();
  await sixth.start();
  const [first] = network.cities;
  const [hub, app] = [await first.height(), await at(hosted, 1).height()];
  while ((await first.height()) < hub + WITHOUT || (await at(hosted, 1).height()) < app + WITHOUT) {
    await goesOn(hosted, [1, 2, 3]);
    assert.equal(await sixth.call("net_peerCount"), "0x0");
  }
  assert.equal(await first.call("net_peerCount"), toQuantity(PLACES.length - 1));
  assert.equal(await sixth.height(), knows);
  assert.equal(await at(hosted, 6).height(), has);
  const sent = await at(hosted, 6)
    .send(await signed(newKey(), { chainId: hosted.chain_id }))
    .catch(() => undefined);
  for (let height = app; height <= app + WITHOUT; height += 1) {
    const { certificate } = await at(hosted, 1).call("causeway_getBlockProof", toQuantity(height));
    const { signatures } = decodeCertificate(certificate);
    assert.ok(signatures.every(({ address }) => toBigInt(address) !== toBigInt(sixth.address)));
  }
  for (const city of sent ? [6, 1] : []) {
    assert.equal(await at(hosted, city).call("eth_getTransactionReceipt", sent), null);
  }
  await isAlone();
});

scenario("nothing that was accepted is lost", async () => {
  flows = false;
  await Promise.all(flowing);
  console.log(`${accepted.busy.length} transactions, ${accepted.hub.length} applications`);
  const all = [1, 2, 3, 4, 5];
  const chains = all.map((city) => at(busy, city));
  for (const hash of accepted.busy)
    assert.equal((await receiptEverywhere(chains, hash, 10_000)).status, "0x1");
  const cities = all.map((city) => network.city(city));
  for (const hash of accepted.hub) {
    const app = created(await receiptEverywhere(cities, hash, 10_000));
    await goesOn(app, [1, 2, 3, 4]);
  }
});
