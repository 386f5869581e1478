// A network by its documented commands alone, a process for each city: four institutions found it, a fifth is proposed,
// voted in, follows the hub and hosts an application, and is removed by vote; an application is placed in one
// transaction and takes a transaction. What is refused
// says why, with an exit code for scripts.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { toQuantity } from "ethers";
import { City, Network, newKey, receiptEverywhere, signed } from "./cities.mjs";
import { binary, PROGRAM, run, until } from "./harness.mjs";

const PLACES = ["CN SHA", "CN HGH", "CN NKG", "CN HFE"];
const REFUSED = 1;
const USAGE = 2;
const UNREACHABLE = 3;

let network;

/** Runs a command with the hub and, where there is one, a member's key; gives code, result and what it said. */
async function causeway(args, { key, json = true } = {}) {
  const hub = ["--hub", network.city(1).rpc];
  const more = [...hub, ...(key ? ["--key", key] : []), ...(json ? ["--json"] : [])];
  const { code, stdout, stderr } = await run(binary(), [...args, ...more], { ms: 90_000 });
  assert.doesNotMatch(stderr, /panicked/);
  return { code, stdout, stderr };
}

/** A command that has to be done, and its JSON. */
async function done(args, key) {
  const { code, stdout, stderr } = await causeway(args, { key });
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return JSON.parse(stdout);
}

/** A command that has to end with `wanted`, and what it said. */
async function ends(wanted, args, key) {
  const { code, stdout, stderr } = await causeway(args, { key });
  assert.equal(code, wanted, `${args.join(" ")}: ${stdout}${stderr}`);
  assert.equal(stdout, "");
  return stderr;
}

/** The key that speaks for member `number`. */
const authority = (number) => join(network.folder, `city-${number}`, "authority.key");

before(async () => {
  if (PROGRAM.skip) return;
  network = await Network.create("commands", PLACES.length, PLACES);
  await network.start();
});

after(() => network?.end());

test("the hub knows its founders and their cities", PROGRAM, async () => {
  const { members } = await done(["member", "list"]);
  const { cities } = await done(["city", "list"]);
  assert.deepEqual(
    members.map(({ name, status }) => [name, status]).sort(),
    [1, 2, 3, 4].map((number) => [`Member ${number}`, "active"]),
  );
  assert.deepEqual(cities.map(({ place }) => place).sort(), [...PLACES].sort());
  for (const city of cities) {
    assert.equal(city.offer.chains, 10_000);
    assert.equal(city.taken.chains, 0);
    const card = network.cities.find(({ address }) => address === city.node);
    assert.equal(city.rpc, card.rpc);
  }
  const { stdout } = await causeway(["city", "list", "--place", "CN HGH"], { json: false });
  const [names, one, ...more] = stdout.trim().split("\n");
  assert.equal(names.split("\t")[1], "Place");
  assert.equal(one.split("\t")[1], "CN HGH");
  assert.deepEqual(more, []);
});

test("an institution joins by vote, and offers its city", PROGRAM, async () => {
  const fifth = await network.join("CN CAN");
  const card = join(fifth.data, "card.json");
  const admit = ["governance", "propose", "admit", "--card", card, "--reason", "It runs a city in Canton."];
  assert.match(await ends(REFUSED, admit, authority(5)), /speaks for no member/);
  const proposal = await done([...admit, "--vote"], authority(1));
  assert.deepEqual(
    [proposal.kind, proposal.act.member, proposal.status],
    ["admit", "Member 5", "in the vote"],
  );
  assert.deepEqual([proposal.for, proposal.needed], [1, 3]);
  const id = `${proposal.id}`;
  assert.match(await ends(REFUSED, ["governance", "execute", id], authority(1)), /it is in the vote/);
  const vote = ["governance", "vote", id, "--yes"];
  assert.match(await ends(REFUSED, vote, authority(1)), /voted on proposal \d+ already/);
  await done(vote, authority(2));
  assert.equal((await done(vote, authority(3))).status, "passed");
  assert.match(await ends(REFUSED, vote, authority(4)), /nobody votes .* any more/);
  assert.equal((await done(["governance", "execute", id], authority(4))).status, "executed");
  assert.match(await ends(REFUSED, admit, authority(1)), /the name "Member 5" is member 5's/);
  const { cities } = await done(["city", "list", "--place", "CN CAN"]);
  assert.deepEqual([cities.length, cities[0].node, cities[0].status], [1, fifth.address, "active"]);
  assert.equal(cities[0].offer.to, "nobody");
  const offer = ["city", "offer", `${cities[0].id}`, "--to", "members", "--chains", "10"];
  assert.match(await ends(REFUSED, offer, authority(1)), /does not speak for the member/);
  assert.equal((await done(offer, authority(5))).offer.chains, 10);
});

test("an application is placed in one transaction, and takes transactions", PROGRAM, async () => {
  const create = (name, cities = PLACES.join(",")) => ["app", "create", "--name", name, "--cities", cities];
  assert.match(await ends(USAGE, create("demo"), authority(1)), /--yes/);
  const yes = (...args) => [...create(...args), "--yes", "--readers", "anyone"];
  const app = await done(yes("demo"), authority(1));
  assert.deepEqual(app.may_fail, { cities: 1, institutions: 1 });
  assert.equal(app.rpc.length, 4);
  const hub = await done(["app", "show", "demo"]);
  assert.deepEqual([hub.n, hub.chain_id, hub.status], [app.n, app.chain_id, "active"]);
  const cities = app.rpc.map((rpc) => new City({ rpc, chain_id: app.chain_id }));
  for (const city of cities) assert.equal(await city.call("eth_chainId"), toQuantity(app.chain_id));
  const hash = await cities[0].send(await signed(newKey(), { chainId: app.chain_id }));
  const receipt = await receiptEverywhere(cities, hash, 10_000);
  assert.deepEqual([receipt.status, receipt.blockNumber], ["0x1", "0x1"]);
  for (const [args, wanted] of [
    [yes("demo"), /the name "demo" is application \d+'s/],
    [yes("few", "CN SHA,CN HGH"), /--allow-concentration/],
    [yes("nowhere", "DE HAM,CN SHA"), /DE HAM: no city is there; places that have one: .*CN SHA/],
    [yes("twice", "CN SHA,CN SHA"), /the city is named twice/],
    [[...yes("greedy"), "--gas-per-second", "2000000000"], /city \d+ has \d+ of gas a second left/],
  ]) {
    assert.match(await ends(REFUSED, args, authority(1)), wanted);
  }
  assert.match(await ends(USAGE, yes("0xbad"), authority(1)), /mislead/);
  const { applications } = await done(["app", "list"]);
  assert.deepEqual(
    applications.map(({ name }) => name),
    ["demo"],
  );
});

test(
  "the fifth follows the hub, hosts an application, and is shut out when members remove it",
  PROGRAM,
  async () => {
    const fifth = network.city(5);
    await fifth.start();
    const [first] = network.cities;
    const height = () => first.height();
    await until(
      "the fifth has the hub's latest block",
      async () => (await fifth.height()) === (await height()),
      30_000,
    );
    // What is given to it is on the hub: it votes on nothing, and its clients are served.
    const hash = await fifth.send(await signed(newKey(), { chainId: first.chainId }));
    await receiptEverywhere(network.cities, hash, 10_000);
    const { cities: found } = await done(["city", "list", "--place", "CN CAN"]);
    const capacity = ["--gas-per-second", "1000000", "--bytes", "100000000", "--blocks-per-second", "10"];
    await done(["city", "offer", `${found[0].id}`, ...capacity], authority(5));
    const create = ["app", "create", "--name", "with-the-fifth", "--cities", "CN SHA,CN HGH,CN NKG,CN CAN"];
    const app = await done([...create, "--yes", "--readers", "anyone"], authority(5));
    const cities = app.rpc.map((rpc) => new City({ rpc, chain_id: app.chain_id }));
    assert.ok(cities.some(({ rpc }) => rpc.startsWith(fifth.rpc)));
    await receiptEverywhere(
      cities,
      await cities[0].send(await signed(newKey(), { chainId: app.chain_id })),
      10_000,
    );

    const remove = [
      "governance",
      "propose",
      "remove",
      "--city",
      `${found[0].id}`,
      "--reason",
      "It was sold.",
    ];
    const { id } = await done([...remove, "--vote"], authority(1));
    for (const member of [2, 3, 4]) await done(["governance", "vote", `${id}`, "--yes"], authority(member));
    assert.equal((await done(["governance", "execute", `${id}`], authority(1))).status, "executed");
    await until(
      "nobody is connected with it",
      async () => (await fifth.call("net_peerCount")) === "0x0",
      20_000,
    );
    const before = await fifth.height();
    await receiptEverywhere(
      network.cities.slice(0, 4),
      await first.send(await signed(newKey(), { chainId: first.chainId })),
      10_000,
    );
    assert.equal(await fifth.height(), before, "it learns of no block after its removal");
  },
);

test("a hub that is not there is told from one that refuses", PROGRAM, async () => {
  const nobody = await run(binary(), ["member", "list", "--hub", "http://127.0.0.1:1"]);
  assert.equal(nobody.code, UNREACHABLE, nobody.stderr);
  assert.match(nobody.stderr, /cannot reach http:\/\/127\.0\.0\.1:1/);
  assert.match(await ends(REFUSED, ["member", "show", "99"]), /there is no member 99/);
  await ends(USAGE, ["governance", "vote", "1"], authority(1));
  // The key never shows, whatever is wrong with it.
  const secret = readFileSync(join(network.folder, "city-1", "tls.key"), "utf8");
  const line = await ends(REFUSED, ["governance", "execute", "1"], join(network.folder, "city-1", "tls.key"));
  assert.ok(!line.includes(secret.split("\n")[1]), line);
});
