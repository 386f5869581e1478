// Cities go on under new keys by the documented commands: of a network of five, the fifth while one of its applications is
// used, one is parked and one is suspended; then a founder's, whose key is lost. Nobody but the cities' members does
// anything, nothing that was accepted is lost, and the city before is retired when nothing is on it.

import assert from "node:assert/strict";
import { appendFileSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before } from "node:test";
import { toBigInt, toQuantity } from "ethers";
import { decodeCertificate } from "./certificate.mjs";
import { CityProcess, freePort, Network, newKey, pause, receiptEverywhere, signed } from "./cities.mjs";
import { commands } from "./commands.mjs";
import { binary, PROGRAM, run, story, until } from "./harness.mjs";

const PLACES = ["CN SHA", "CN HGH", "CN NKG", "CN HFE"];
const FIFTH = "CN CAN";
const REFUSED = 1;
const USAGE = 2;
/** Between two transactions of the flow, in milliseconds. */
const PACE = 30;

const told = story(PROGRAM);
const { scenario } = told;

let network;
let causeway, done, ends, authority, idsOf, decide, at, goesOn;
/** Applications by their names. */
const apps = {};
/** The fifth and the founder's fourth on the hub, and those as which they go on. */
let fifth, fourth, sixth, seventh;
/** What the used application accepted. */
const accepted = [];
let flows = true;
let flowing;
/** Through which cities the flow goes. */
let through = [1, 2, 3, 5];

before(async () => {
  if (PROGRAM.skip) return;
  network = await Network.create("rotation", PLACES.length, PLACES);
  await network.start();
  ({ causeway, done, ends, authority, idsOf, decide, at, goesOn } = commands(network));
});
after(async () => {
  flows = false;
  await Promise.allSettled([flowing]);
  if (told.failed) {
    for (const { number, process } of network.cities) console.log(`city ${number}: ${process?.stderr}`);
  }
  await network?.end();
});

/** Makes the keys and the card of the next city, which is to go on for member `member`'s in `place`. */
async function newKeyFor(member, place) {
  const number = network.cities.length + 1;
  const ports = { listen: await freePort("udp"), rpc: await freePort("tcp") };
  const data = join(network.folder, `city-${number}`);
  const city = new CityProcess(network, number, data, ports);
  const { members } = await done(["member", "list"]);
  const speaks = members.find(({ name }) => name === `Member ${member}`).authority;
  const words = ["--member", `Member ${member}`, "--authority", speaks, "--place", place];
  const listens = ["--listen", `127.0.0.1:${ports.listen}`, "--rpc", `127.0.0.1:${ports.rpc}`];
  const args = ["city", "join", "--network", network.genesis, "--data", data, ...words, ...listens];
  const { code, stderr } = await run(binary(), args);
  assert.equal(code, 0, stderr);
  city.address = JSON.parse(readFileSync(join(data, "card.json"), "utf8")).address;
  network.cities.push(city);
  return city;
}

const card = (number) => ["--card", join(network.folder, `city-${number}`, "card.json")];
const ids = async (numbers) => (await idsOf(numbers)).toSorted((a, b) => a - b);
const citiesOf = async (name) => (await done(["app", "show", name])).cities.toSorted((a, b) => a - b);

/** Places an application on the cities with these numbers. */
async function create(name, numbers, ...more) {
  const cities = (await idsOf(numbers)).join(",");
  const args = ["app", "create", "--name", name, "--cities", cities, "--readers", "anyone", "--yes", ...more];
  apps[name] = await done(args, authority(1));
  await goesOn(apps[name], numbers);
}

/** Transactions to the used application, through one of its cities after the other. */
async function use() {
  for (; flows; await pause(PACE)) {
    const city = at(apps.used, through[accepted.length % through.length]);
    accepted.push(await city.send(await signed(newKey(), { chainId: apps.used.chain_id })));
  }
}

/** Waits until the flow has brought this many more. */
function flowsOn(count) {
  const before = accepted.length;
  return until("the flow goes on", () => accepted.length >= before + count);
}

/** Waits until an application runs on the cities with these numbers, and none else. */
async function isOn(name, numbers) {
  const wanted = await ids(numbers);
  await until(
    `${name} is on ${numbers.join(", ")}`,
    async () => {
      const { status, change, cities } = await done(["app", "show", name]);
      return status === "active" && !change && `${cities.toSorted((a, b) => a - b)}` === `${wanted}`;
    },
    60_000,
  );
}

/** The application takes transactions, and it is these cities that sign. */
async function isCertifiedBy(name, numbers) {
  const { blockNumber } = await goesOn(apps[name], numbers);
  const { certificate } = await at(apps[name], numbers[0]).call("causeway_getBlockProof", blockNumber);
  const signers = decodeCertificate(certificate).signatures.map(({ address }) => toBigInt(address));
  const cities = numbers.map((number) => toBigInt(network.city(number).address));
  assert.ok(signers.length >= 3 && signers.every((signer) => cities.includes(signer)));
}

scenario(
  "a fifth joins, and hosts an application that is used, one that is parked and one that is suspended",
  async () => {
    const city = await network.join(FIFTH);
    const admit = ["admit", ...card(5), "--reason", "It runs a city in Canton."];
    await decide([1, 2, 3], ...admit);
    const metrics = await freePort("tcp");
    appendFileSync(join(city.data, "city.toml"), `\n[metrics]\nlisten = "127.0.0.1:${metrics}"\n`);
    await city.start();
    [fifth, fourth] = await idsOf([5, 4]);
    const capacity = ["--gas-per-second", "10000000", "--bytes", "1000000000", "--blocks-per-second", "100"];
    await done(["city", "offer", `${fifth}`, "--to", "members", "--chains", "10", ...capacity], authority(5));
    await create("used", [1, 2, 3, 5]);
    await create("parked", [1, 2, 4, 5]);
    await create("suspended", [1, 3, 4, 5]);
    // Of these all have to sign.
    await create("two", [3, 5], "--allow-concentration");
    await create("one", [5], "--allow-concentration");
    await done(["app", "suspend", "suspended", "--yes"], authority(1));
    const shown = await done(["app", "show", "used"]);
    assert.deepEqual(shown.safety, {
      safe: true,
      cities: 4,
      missing: 0,
      institutions: 4,
      may_fail: { cities: 1, institutions: 1 },
      allow_concentration: false,
      advice: null,
    });
    const { stdout } = await causeway(["app", "show", "used"], { json: false });
    assert.match(stdout, /May fail: 1 of 4 cities, 1 of 4 institutions\nSafe: yes\n/);
    // What has nothing to do is not opened at a start.
    await Promise.all(network.cities.map((each) => each.stop()));
    await network.start();
    await until("nothing but the hub is awake", async () => {
      const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
      return /^causeway_awake_chains 1$/m.test(text);
    });
    flowing = use();
    await flowsOn(10);
  },
);

scenario("what the hub would not take is refused before", async () => {
  await newKeyFor(5, FIFTH);
  const rotate = (id, number = 6, ...more) => ["city", "rotate", `${id}`, ...card(number), "--yes", ...more];
  for (const [args, key, wanted] of [
    [rotate(fifth), 1, /city 5 is run by member 5, and --key does not speak for it/],
    [rotate(fourth), 5, /city \d is run by member \d, and --key does not speak for it/],
    [rotate(fifth, 1), 5, /the card's authority is 0x[0-9a-fA-F]{40}, --key has 0x/],
    [rotate(fifth, 5), 5, /the node key 0x[0-9a-fA-F]{40} is or was city 5's; a key is used once for ever/],
    [rotate(99), 5, /there is no city 99/],
  ]) {
    assert.match(await ends(REFUSED, args, authority(key)), wanted);
  }
  const without = rotate(fifth).filter((word) => word !== "--yes");
  assert.match(await ends(USAGE, without, authority(5)), /nobody can be asked .* --yes/);
  const elsewhere = await newKeyFor(5, "CN SZH");
  network.cities.pop();
  const moved = ["city", "rotate", `${fifth}`, "--card", join(elsewhere.data, "card.json"), "--yes"];
  assert.match(
    await ends(REFUSED, moved, authority(5)),
    /the card's place is "CN SZH", and city 5 has "CN CAN": they have to be the same/,
  );
  rmSync(elsewhere.data, { recursive: true });
  assert.deepEqual(await citiesOf("used"), await ids([1, 2, 3, 5]));
});

scenario("the fifth goes on under a new key while an application is used", async () => {
  // It waits to be let in.
  await network.city(6).start();
  await flowsOn(10);
  through = [1, 2, 3];
  const { code, stdout, stderr } = await causeway(["city", "rotate", `${fifth}`, ...card(6), "--yes"], {
    key: authority(5),
  });
  assert.equal(code, 0, stderr);
  const { address } = network.city(6);
  for (const wanted of [
    `City ${fifth} (${FIFTH}, Member 5) goes on under the key`,
    `goes over  used (application ${apps.used.n})\n`,
    `goes over  parked (application ${apps.parked.n})\n`,
    `city ${fifth} must be running for two (application ${apps.two.n}), one (application ${apps.one.n}).\n`,
    `later      suspended (application ${apps.suspended.n}): when its owner resumes it\n`,
    `\`causeway city retire ${fifth}\` ends it for ever`,
    "[2/2] its applications go over: 4 of 4 after",
  ]) {
    assert.ok(stderr.includes(wanted), `${wanted}: ${stderr}`);
  }
  assert.match(stderr, /City \d is a validator of the hub\. Keep it running until the new key took over/);
  assert.doesNotMatch(stderr, /raise the offer/);
  const rotated = JSON.parse(stdout);
  sixth = rotated.successor;
  assert.deepEqual([rotated.city, rotated.node, rotated.place], [fifth, address, FIFTH]);
  assert.deepEqual(
    rotated.gone_over,
    ["used", "parked", "two", "one"].map((name) => apps[name].n),
  );
  assert.deepEqual(
    rotated.not_yet.map(({ name }) => name),
    ["suspended"],
  );
  assert.equal(rotated.keeps_the_hub, true);
  for (const [name, numbers] of [
    ["used", [1, 2, 3, 6]],
    ["parked", [1, 2, 4, 6]],
    ["two", [3, 6]],
    ["one", [6]],
  ]) {
    await isOn(name, numbers);
    assert.equal((await done(["app", "show", name])).safety.safe, true);
  }
  through = [6, 1, 2, 3];
  await flowsOn(20);
  await isCertifiedBy("parked", [6, 1, 2, 4]);
  await goesOn(apps.two, [6, 3]);
  await goesOn(apps.one, [6]);
  const offers = async (id) => (await done(["city", "show", `${id}`])).offer.to;
  assert.deepEqual([await offers(fifth), await offers(sixth)], ["nobody", "members"]);
});

scenario("what is suspended goes over when it is resumed, and then the city before is retired", async () => {
  const retire = ["city", "retire", `${fifth}`];
  assert.match(await ends(REFUSED, retire, authority(5)), /1 chains are placed on city 5/);
  assert.deepEqual(await citiesOf("suspended"), await ids([1, 3, 4, 5]));
  await done(["app", "resume", "suspended", "--yes"], authority(1));
  await isOn("suspended", [1, 3, 4, 6]);
  await isCertifiedBy("suspended", [6, 1, 3, 4]);
  const retired = await done(retire, authority(5));
  assert.deepEqual([retired.status, retired.taken.chains], ["removed", 0]);
  await network.city(5).stop();
  for (const name of ["used", "parked", "suspended"]) await isCertifiedBy(name, await on(name));
  await goesOn(apps.two, [6, 3]);
  await goesOn(apps.one, [6]);
});

/** The cities of an application by their numbers here, the new one first. */
async function on(name) {
  const { cities } = await done(["app", "show", name]);
  const { cities: all } = await done(["city", "list"]);
  const nodes = cities.map((id) => all.find((city) => city.id === id).node);
  return nodes.map((node) => network.cities.find(({ address }) => address === node).number).toReversed();
}

scenario("a founder's city whose key is lost goes on, on the hub as well", async () => {
  // Room for one of the two that are on it.
  await done(["city", "offer", `${fourth}`, "--chains", "1"], authority(4));
  await network.city(4).kill();
  await newKeyFor(4, PLACES[3]);
  const rotate = ["city", "rotate", `${fourth}`, ...card(7), "--yes"];
  const { code, stdout, stderr } = await causeway([...rotate, "--no-wait"], { key: authority(4) });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /More is taken of city \d than it offers now, .* raise the offer first/);
  const rotated = JSON.parse(stdout);
  seventh = rotated.successor;
  assert.deepEqual([rotated.keeps_the_hub, rotated.gone_over], [true, []]);
  assert.ok(seventh > sixth);
  // The cities that are left begin it, and it waits for the new key.
  await until("it changes", async () => (await done(["app", "show", "parked"])).change, 90_000);
  const { change } = await done(["app", "show", "parked"]);
  assert.deepEqual([change.stage, change.leaving, change.joining], ["taking in", [fourth], [seventh]]);
  await goesOn(apps.parked, [1, 2, 6]);
  await network.city(7).start();
  await isOn("parked", [1, 2, 6, 7]);
  // What finds no room stays, and keeps nothing else.
  const { status, change: none } = await done(["app", "show", "suspended"]);
  assert.deepEqual([status, none], ["active", null]);
  assert.deepEqual(await citiesOf("suspended"), await ids([1, 3, 4, 6]));
  await done(["city", "offer", `${seventh}`, "--chains", "2"], authority(4));
  await isOn("suspended", [1, 3, 6, 7]);
  await isCertifiedBy("parked", [7, 1, 2, 6]);
  await isCertifiedBy("suspended", [7, 1, 3, 6]);
  const standing = async (id) => (await done(["city", "show", `${id}`])).hub.standing;
  await until("the new key took over on the hub", async () => (await standing(seventh)) === "validator");
  assert.equal(await standing(fourth), "no validator");
  // The same card again is none, and nothing is left to go over.
  assert.match(await ends(REFUSED, rotate, authority(4)), /a key is used once for ever/);
  assert.equal((await done(["city", "show", `${fourth}`])).taken.chains, 0);
  assert.equal((await done(["city", "retire", `${fourth}`], authority(4))).status, "removed");
});

scenario("nothing that was accepted is lost", async () => {
  flows = false;
  await flowing;
  console.log(`${accepted.length} transactions`);
  const chains = [1, 2, 3, 6].map((number) => at(apps.used, number));
  for (const hash of accepted) assert.equal((await receiptEverywhere(chains, hash, 10_000)).status, "0x1");
  const height = await chains[0].height();
  for (let number = 0; number <= height; number += 1) {
    const blocks = await Promise.all(
      chains.map((chain) => chain.call("eth_getBlockByNumber", toQuantity(number), false)),
    );
    for (const block of blocks) assert.equal(block.hash, blocks[0].hash);
  }
});
