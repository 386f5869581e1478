// A network by its documented commands alone, a process for each city: four institutions found it, a fifth is proposed,
// voted in, follows the hub and hosts an application, and is removed by vote; an application is placed in one
// transaction, takes transactions and changes its cities while it does. What is refused says why, with an exit code
// for scripts.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { toQuantity } from "ethers";
import { created, specification } from "./applications.mjs";
import { City, Network, newKey, pause, receiptEverywhere, signed } from "./cities.mjs";
import { commands } from "./commands.mjs";
import { binary, PROGRAM, run, until } from "./harness.mjs";

/** Numbers that differ from the defaults; nothing else here looks at them. */
const AGREED = ["successorDelay=259200", "creationsPerDay=900"];
const PLACES = ["CN SHA", "CN HGH", "CN NKG", "CN HFE"];
const REFUSED = 1;
const USAGE = 2;
const UNREACHABLE = 3;
/** How long the hub stands still, in milliseconds; an hour in the long tests. */
const HALT = 1_000 * Number(process.env.HUB_HALT_SECONDS ?? 15);
/** Between two transactions meanwhile, in milliseconds. */
const PACE = 50;

let network;

let causeway, done, ends, authority, idsOf, at, goesOn, tell;

before(async () => {
  if (PROGRAM.skip) return;
  const agreed = AGREED.map((parameter) => ["--parameter", parameter]).flat();
  network = await Network.create("commands", PLACES.length, PLACES, agreed);
  await network.start();
  ({ causeway, done, ends, authority, idsOf, at, goesOn, tell } = commands(network));
});

after(() => network?.end());

test("the network begins with the numbers that its founders agreed on", PROGRAM, async () => {
  const { parameters } = await done(["governance", "parameters"]);
  assert.equal(parameters.successorDelay.value, 259_200);
  assert.equal(parameters.creationsPerDay.value, 900);
  assert.equal(parameters.nameRest.value, 90 * 86_400, "the others are as they are");
});

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

test("a change waits for a city that does not run, and is called off", PROGRAM, async () => {
  const { cities } = await done(["city", "list", "--place", "CN CAN"]);
  const capacity = ["--gas-per-second", "1000000", "--bytes", "10000000000", "--blocks-per-second", "10"];
  await done(["city", "offer", `${cities[0].id}`, ...capacity], authority(5));
  const before = await done(["app", "show", "demo"]);
  assert.equal(before.change, null);
  const change = ["app", "change", "demo", "--remove", "CN HFE", "--add", "CN CAN", "--yes"];
  const sent = await done([...change, "--no-wait"], authority(1));
  assert.deepEqual([sent.status, sent.handover], ["changing", null]);
  const shown = await done(["app", "show", "demo"]);
  assert.deepEqual(shown.cities, before.cities);
  const { since, ...stage } = shown.change;
  assert.ok(Math.abs(since - Date.now() / 1000) < 60);
  const wanted = { stage: "taking in", joining: sent.joining, ready: [], leaving: sent.leaving };
  assert.deepEqual(stage, wanted);
  const { stdout } = await causeway(["app", "show", "demo"], { json: false });
  assert.match(stdout, /Change: joining cities take in the chain\n/);
  assert.match(stdout, /Joins: \d+, CN CAN, member \d+: takes it in\n/);
  assert.match(stdout, /Leaves: \d+, CN HFE/);
  for (const [args, wanted] of [
    [change, /demo is changing: wait until its cities have changed, or call that off/],
    [["app", "suspend", "demo", "--yes"], /demo is changing/],
    [["app", "resume", "demo", "--yes"], /only a suspended application is resumed/],
  ]) {
    assert.match(await ends(REFUSED, args, authority(1)), wanted);
  }
  await goesOn(shown, [1, 2, 3, 4]);
  const cancel = ["app", "cancel", "demo"];
  assert.match(await ends(USAGE, cancel, authority(1)), /--yes/);
  assert.match(await ends(REFUSED, [...cancel, "--yes"], authority(2)), /demo is owned by 0x/);
  const after = await done([...cancel, "--yes"], authority(1));
  assert.deepEqual([after.status, after.change, after.cities], ["active", null, before.cities]);
  const again = await ends(REFUSED, [...cancel, "--yes"], authority(1));
  assert.match(again, /demo is active: there is no change of its cities to call off/);
  // Whoever waits for a change is told what became of it.
  const waiting = causeway(change, { key: authority(1) });
  await until("it is changing", async () => (await done(["app", "show", "demo"])).change);
  await done([...cancel, "--yes"], authority(1));
  const { code, stderr } = await waiting;
  assert.equal(code, REFUSED, stderr);
  assert.match(stderr, /\[1\/3\] tell the hub: in the hub's block \d+\n/);
  assert.match(stderr, /the change was called off meanwhile/);
});

test("the fifth follows the hub and hosts an application", PROGRAM, async () => {
  const fifth = network.city(5);
  await fifth.start();
  const [first] = network.cities;
  await until(
    "the fifth has the hub's latest block",
    async () => (await fifth.height()) === (await first.height()),
    30_000,
  );
  // What is given to it is on the hub: it votes on nothing, and its clients are served.
  const hash = await fifth.send(await signed(newKey(), { chainId: first.chainId }));
  await receiptEverywhere(network.cities, hash, 10_000);
  const create = ["app", "create", "--name", "with-the-fifth", "--cities", "CN SHA,CN HGH,CN NKG,CN CAN"];
  const app = await done([...create, "--yes", "--readers", "anyone"], authority(5));
  assert.ok(app.rpc.some((rpc) => rpc.startsWith(fifth.rpc)));
  await goesOn(app, [5, 1, 2, 3]);
});

test("cities change by command while transactions flow, and nothing is lost", PROGRAM, async () => {
  const before = await done(["app", "show", "demo"]);
  const hashes = [];
  let flows = true;
  const flow = (async () => {
    while (flows) {
      const city = at(before, 1 + (hashes.length % 3));
      hashes.push(await city.send(await signed(newKey(), { chainId: before.chain_id })));
    }
  })();
  const change = ["app", "change", "demo", "--remove", "CN HFE", "--add", "CN CAN", "--yes"];
  const { code, stdout, stderr } = await causeway(change, { key: authority(1) });
  flows = false;
  await flow;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /stays +city \d+: CN SHA, Member 1\n/);
  assert.match(stderr, /leaves +city \d+: CN HFE, Member 4\n/);
  assert.match(stderr, /joins +city \d+: CN CAN, Member 5\n/);
  assert.match(stderr, /may fail before: 1 of 4 cities, 1 of 4 institutions\n/);
  assert.match(stderr, /may fail after: 1 of 4 cities, 1 of 4 institutions\n/);
  assert.match(stderr, /\[2\/3\] cities take the chain in: 1 of 1 after/);
  assert.match(stderr, /\[3\/3\] the chain hands over: with block \d+, 0x[0-9a-f]{64}, shown to the hub/);
  const changed = JSON.parse(stdout);
  assert.equal(changed.status, "active");
  assert.deepEqual(changed.before.may_fail, { cities: 1, institutions: 1 });
  assert.deepEqual(changed.before.cities, before.cities);
  const after = await done(["app", "show", "demo"]);
  assert.deepEqual(after.cities.toSorted(), changed.after.cities.toSorted());
  assert.deepEqual(after.handover, changed.handover);
  assert.deepEqual([after.status, after.change], ["active", null]);
  assert.ok(hashes.length > 10, `${hashes.length} transactions`);
  const cities = [1, 2, 3, 5].map((number) => at(before, number));
  for (const hash of hashes) await receiptEverywhere(cities, hash, 20_000);
  assert.equal(
    (await cities[3].call("eth_getBlockByNumber", toQuantity(changed.handover.height), false)).hash,
    changed.handover.block_hash,
  );
  await goesOn(before, [5, 1, 2, 3]);
});

test("applications go on while the hub stands still, and what waited for it is done", PROGRAM, async () => {
  const create = ["app", "create", "--name", "without-the-hub", "--cities", "CN SHA,CN HFE,CN CAN"];
  // An hour of blocks of one transaction takes more bytes than are booked by default. Of three cities none may fail.
  const app = await done(
    [...create, "--bytes", "1000000000", "--allow-concentration", "--yes"],
    authority(1),
  );
  await goesOn(app, [1, 4, 5]);
  const ids = await idsOf([1, 2, 3, 4]);
  const owner = network.city(1).address;
  const [first, second, third, , fifth] = network.cities;
  // Two of its four validators hang.
  for (const city of [second, third]) city.freeze();
  const began = Date.now();
  const hashes = {
    placed: await tell({ number: 1 }, "create", specification(owner, "late", ids)),
    changed: await tell({ number: 1 }, "change", app.n, [], [ids[2]], false),
  };
  const through = [1, 4, 5];
  let sent = 0;
  const flow = async (ms) => {
    for (const end = Date.now() + ms; Date.now() < end; sent += 1, await pause(PACE)) {
      await goesOn(app, [...through.slice(sent % 3), ...through.slice(0, sent % 3)]);
    }
  };
  await flow(HALT / 2);
  const height = await first.height();
  // A city starts without the hub, from its own copy.
  await fifth.stop();
  await fifth.start();
  await flow(HALT / 2);
  console.log(`${sent} transactions in ${Date.now() - began} ms without the hub`);
  assert.ok(sent > 10);
  for (const hash of Object.values(hashes)) {
    assert.equal(await first.call("eth_getTransactionReceipt", hash), null);
  }
  assert.equal(await first.height(), height);
  for (const city of [second, third]) city.thaw();
  const placed = await receiptEverywhere(network.cities, hashes.placed, 30_000);
  const late = created(placed);
  await until("what was placed goes on", () => goesOn(late, [2, 1, 3, 4]).catch(() => false));
  assert.equal((await receiptEverywhere(network.cities, hashes.changed, 30_000)).status, "0x1");
  await until(
    "its cities have changed",
    async () => {
      const { status, cities } = await done(["app", "show", "without-the-hub"]);
      return status === "active" && cities.length === 4;
    },
    // Who joins takes in every block first.
    30_000 + 5 * sent,
  );
  await goesOn(app, [3, 1, 4, 5]);
});

test("what the hub would not take is refused before anybody is asked", PROGRAM, async () => {
  const change = (...args) => ["app", "change", "demo", "--yes", ...args];
  for (const [args, wanted, key = authority(1)] of [
    [change("--add", "CN HFE"), /demo is owned by 0x[0-9a-fA-F]{40}, and --key is of 0x/, authority(2)],
    [change("--add", "CN CAN"), /5: the application is on this city already \(CN CAN\)/],
    [change("--add", "DE HAM"), /DE HAM: no city is there; places that have one: /],
    [change("--add", "99"), /99: there is no city of this number/],
    [change("--remove", "CN HFE"), /CN HFE: the application is not on this city; it is on \d+ \(CN /],
    [change("--remove", "CN SHA,CN SHA"), /the city is named twice/],
    [change("--remove", "CN SHA,CN HGH"), /2 of 4 cities would leave at once, and at most 1 may/],
    [
      change("--remove", "CN SHA"),
      /would run 1 of the 3 cities, of which only 0 may fail: .*--allow-concentration/,
    ],
    [["app", "resume", "demo", "--yes"], /demo is active: only a suspended application is resumed/],
    [
      ["app", "owner", "demo", "0x0000000000000000000000000000000000000001", "--yes"],
      /owned by/,
      authority(3),
    ],
  ]) {
    assert.match(await ends(REFUSED, args, key), wanted);
  }
  for (const [args, wanted] of [
    [change(), /nothing would change: name cities with --add, --remove or both/],
    [change("--add", ""), /--add names no city/],
    [["app", "change", "nobody", "--yes", "--add", "CN HFE"], /there is no application "nobody"/],
    [["app", "change", "demo", "--add", "CN HFE"], /nobody can be asked .* --yes/],
    [["app", "owner", "demo", `0x${"0".repeat(40)}`, "--yes"], /the zero address is nobody/],
  ]) {
    const { code, stderr } = await causeway(args, { key: authority(1) });
    assert.equal(code, args.includes("") ? REFUSED : USAGE, stderr);
    assert.match(stderr, wanted);
  }
  // Only the hub knows what a city has left.
  const offer = ["city", "offer", "4", "--chains", "0"];
  const { cities } = await done(["city", "list", "--place", "CN HFE"]);
  offer[2] = `${cities[0].id}`;
  await done(offer, authority(4));
  const full = await ends(REFUSED, change("--add", "CN HFE"), authority(1));
  assert.match(full, /is the one in CN HFE/);
  assert.match(full, /city \d+ has 0 of chains left/);
  await done([...offer.slice(0, 3), "--chains", "10000"], authority(4));
  assert.equal((await done(["app", "show", "demo"])).status, "active");
});

test("an owner suspends, resumes, gives away and closes its application", PROGRAM, async () => {
  const create = ["app", "create", "--name", "short", "--cities", PLACES.join(","), "--yes"];
  const app = await done([...create, "--readers", "anyone"], authority(2));
  await goesOn(app, [1, 2, 3, 4]);
  const act = (name, ...more) => ["app", name, "short", ...more, "--yes"];
  assert.equal((await done(act("suspend"), authority(2))).status, "suspended");
  await until("it takes nothing", () =>
    goesOn(app, [1]).then(
      () => false,
      () => true,
    ),
  );
  assert.match(await ends(REFUSED, act("suspend"), authority(2)), /short is suspended/);
  const change = act("change", "--add", "CN CAN");
  assert.match(await ends(REFUSED, change, authority(2)), /short is suspended: .*`causeway app resume`/);
  assert.equal((await done(act("resume"), authority(2))).status, "active");
  await until("it takes a transaction", () => goesOn(app, [1, 2, 3, 4]).catch(() => false));
  const { members } = await done(["member", "list"]);
  const third = members.find(({ name }) => name === "Member 3").authority;
  assert.equal((await done(act("owner", third), authority(2))).owner, third);
  assert.match(await ends(REFUSED, act("close"), authority(2)), /short is owned by/);
  assert.match(await ends(REFUSED, act("owner", third), authority(3)), /owns short already/);
  assert.match(await ends(USAGE, ["app", "close", "short"], authority(3)), /--yes/);
  assert.equal((await done(act("close"), authority(3))).status, "closed");
  assert.equal((await done(["app", "show", "short"])).safety, null);
  for (const name of ["close", "suspend", "resume"]) {
    assert.match(await ends(REFUSED, act(name), authority(3)), /short is closed/);
  }
});

test("members remove the fifth: its chains go on without it, and it is shut out", PROGRAM, async () => {
  const fifth = network.city(5);
  const [first] = network.cities;
  const { cities } = await done(["city", "list", "--place", "CN CAN"]);
  const [{ id: city }] = cities;
  const apps = await Promise.all(["demo", "with-the-fifth"].map((name) => done(["app", "show", name])));
  for (const app of apps) assert.ok(app.cities.includes(city));
  const propose = ["governance", "propose", "remove", "--city", `${city}`, "--reason", "It was sold."];
  const { id } = await done([...propose, "--vote"], authority(1));
  for (const member of [2, 3, 4]) await done(["governance", "vote", `${id}`, "--yes"], authority(member));
  assert.equal((await done(["governance", "execute", `${id}`], authority(1))).status, "executed");
  for (const { name } of apps) {
    await until(
      `the city has left ${name}`,
      async () => {
        const { status, cities, change, handover } = await done(["app", "show", name]);
        return status === "active" && !cities.includes(city) && !change && handover;
      },
      60_000,
    );
  }
  for (const app of apps) await goesOn(app, [1, 2, 3]);
  const { safety } = await done(["app", "show", "demo"]);
  assert.deepEqual(
    [safety.safe, safety.missing, safety.may_fail],
    [false, 0, { cities: 0, institutions: 0 }],
  );
  const { stdout } = await causeway(["app", "show", "demo"], { json: false });
  assert.match(
    stdout,
    /Safe: no: when one institution fails the chain stops, .* causeway app change demo --add LIST\n/,
  );
  const isAlone = () =>
    until("nobody is connected with it", async () => (await fifth.call("net_peerCount")) === "0x0", 20_000);
  await isAlone();
  const before = await fifth.height();
  // Nobody lets it in when it comes back, either.
  await fifth.stop();
  await fifth.start();
  const hash = await first.send(await signed(newKey(), { chainId: first.chainId }));
  await receiptEverywhere(network.cities.slice(0, 4), hash, 10_000);
  for (const app of apps) await goesOn(app, [3, 2, 1]);
  await isAlone();
  assert.equal(await fifth.height(), before, "it learns of no block after its removal");
  for (const app of apps) {
    const through = at(app, 5);
    const sent = await through.send(await signed(newKey(), { chainId: app.chain_id })).catch(() => undefined);
    if (sent) assert.equal(await through.call("eth_getTransactionReceipt", sent), null);
  }
});

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
