// Which cities are the hub's validators: the rule by tables, its refusals and bounds, and random sequences from a printed
// seed against the model; `HUB_SEED` repeats one.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { concat, keccak256, toBeHex, toBigInt } from "ethers";
import { ADDRESSES, Hub, NETWORK, newCity, onChain, randomness, refused, setHash } from "./hub.mjs";
import {
  ACTIVE,
  NONE,
  Network,
  REMOVED,
  SERVES,
  SUSPENDED,
  TAKES_OVER,
  WAITS,
} from "./hub-validators-model.mjs";
import { told } from "./hub-validators-model.mjs";

const SEED = Number(process.env.HUB_SEED ?? Date.now() % 2 ** 32);
/** What one renewal, and the word of a city that is ready, may cost. */
const MOST_GAS = 3_000_000n;
/** How many wait where gas is measured; `HUB_WAITING=992` has all that there can be. */
const WAITING = Number(process.env.HUB_WAITING ?? 80);

/** Four founders and seven further members; 31 founders and fourteen. */
let small;
let large;
const fresh = {};
before(async () => {
  small = await Network.begin(4, 7);
  large = await Network.begin(31, 14);
  fresh.small = small.save();
  fresh.large = large.save();
});

const onSmall = (name, body) => test(name, () => (fresh.small(), body(small)));
const onLarge = (name, body) => test(name, () => (fresh.large(), body(large)));

const ready = (network, ...cities) => each(cities, (city) => network.step({ op: "ready", city }));
const withdraw = (network, city, by = "node") => network.step({ op: "withdraw", city, by });
/** Acts of the members on cities or, with `of: "member"`, on members. */
const act = (network, status, cities, of = "city") =>
  each(cities, (id) => network.step({ op: "act", [of]: id, status }));
/** Renews in the next block, and says what that did. */
async function renew(network, blocks = 1) {
  network.pass(blocks);
  const { events } = await network.step({ op: "renew" });
  await network.compare();
  return told(events);
}
async function each(list, body) {
  for (const item of list) await body(item);
}
const refuses = (network, error, operation, ...args) => refused(error, network.perform(operation), ...args);
const nodeOf = (network, city) => toBigInt(network.cities[city - 1].node.address);
const byNode = (network, cities) =>
  [...cities].sort((one, other) => (nodeOf(network, one) < nodeOf(network, other) ? -1 : 1));
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const sorted = (list) => [...list].sort((one, other) => one - other);
const servingOf = async (network) =>
  sorted((await network.hub.ask("Validators", "serving")).map(({ city }) => Number(city)));
const standingOf = async (network, city) =>
  Number((await network.hub.ask("Validators", "candidate", city)).standing);

onSmall("the founders' cities serve, each for its member, and there is nothing to renew", async (network) => {
  await network.compare();
  assert.deepEqual(await servingOf(network), [1, 2, 3, 4]);
  for (const id of range(1, 4)) {
    assert.equal(await network.hub.ask("Validators", "isServing", id), true);
    assert.equal(await network.hub.ask("Validators", "candidateOf", id), BigInt(id));
  }
  assert.equal(await network.hub.ask("Validators", "isServing", 5), false);
  const { left, joined } = await renew(network, 5000);
  assert.deepEqual([left, joined], [[], []]);
  assert.deepEqual((await network.tell(ADDRESSES.Members, "Validators", "renew")).events, []);
});

onSmall(
  "a city says that it is ready by its node key, may repeat it, and one a member does",
  async (network) => {
    const { hub, cities } = network;
    const stranger = cities[4].authority.address;
    await refused("NotAllowed", hub.tell(stranger, "Validators", "ready"), stranger);
    await act(network, SUSPENDED, [5]);
    await refuses(network, "CityNotActive", { op: "ready", city: 5 }, 5n, 2n);
    await act(network, ACTIVE, [5]);
    await act(network, SUSPENDED, [6], "member");
    await refuses(network, "CityNotActive", { op: "ready", city: 6 }, 6n, 2n);
    // The second city of a member that waits, and of one that serves.
    await each([5, 1], async (id) => {
      const { card, authority } = cities[id - 1];
      const second = newCity({ network: NETWORK, member: card.member }, { authority });
      await network.tell(authority.address, "Cities", "register", onChain(second.card), second.proof);
      cities.push(second);
      network.model.cities.push({ member: id, node: second.node.address, status: ACTIVE, withdrew: 0 });
    });
    await ready(network, 5);
    await refuses(network, "CandidateAlready", { op: "ready", city: 12 }, 5n, 5n);
    await refuses(network, "CandidateAlready", { op: "ready", city: 13 }, 1n, 1n);
    const { since } = await hub.ask("Validators", "candidate", 5);
    network.pass();
    const again = await network.step({ op: "ready", city: 5 });
    assert.deepEqual(again.events, []);
    assert.deepEqual((await network.step({ op: "ready", city: 1 })).events, []);
    assert.equal((await hub.ask("Validators", "candidate", 5)).since, since);
    // The one before is suspended: it gives way, and waits no more when it is back.
    await act(network, SUSPENDED, [5]);
    await ready(network, 12);
    await network.compare();
    assert.deepEqual([await standingOf(network, 5), await standingOf(network, 12)], [NONE, WAITS]);
    await act(network, ACTIVE, [5]);
    await refuses(network, "CandidateAlready", { op: "ready", city: 5 }, 5n, 12n);
  },
);

test("a network grows by f cities a block, and by one where f is 0", async () => {
  const network = await Network.begin(1, 13);
  await ready(network, ...range(2, 14));
  const sizes = [];
  for (;;) {
    const { joined } = await renew(network);
    if (joined.length === 0) break;
    sizes.push((await servingOf(network)).length);
    // Not twice in a block.
    assert.deepEqual((await network.step({ op: "renew" })).events, []);
  }
  assert.deepEqual(sizes, [2, 3, 4, 5, 6, 7, 9, 11, 14]);
});

onSmall(
  "those that waited longest join first, of those of one block the lower node address",
  async (network) => {
    const blocks = [[8], [5, 11, 7], [10, 6, 9]];
    await each(blocks, async (cities) => {
      network.pass();
      await ready(network, ...cities);
      await network.compare();
    });
    const order = blocks.flatMap((cities) => byNode(network, cities));
    assert.deepEqual(
      (await network.waiting()).map(({ city }) => Number(city)),
      order,
    );
    // Pages of every size are the same list.
    await each([1, 2, 3, 6, 7, 300], async (limit) => {
      assert.deepEqual(
        (await network.waiting(limit)).map(({ city }) => Number(city)),
        order,
      );
    });
    // One out of the middle, of either end.
    await each([order[3], order[0], order[6]], (city) => withdraw(network, city));
    await network.compare();
    const joined = [];
    while (joined.length < 4) joined.push(...(await renew(network)).joined);
    assert.deepEqual(joined, [order[1], order[2], order[4], order[5]]);
  },
);

onLarge("where all seats are taken, f leave by turn in every period of 1,024 blocks", async (network) => {
  network.pass(4);
  await ready(network, ...range(32, 45));
  const founders = byNode(network, range(1, 31));
  const order = byNode(network, range(32, 45));
  network.pass(1023 - network.height - 1);
  assert.deepEqual((await renew(network)).left, []);
  assert.equal(network.height, 1023);
  // The first block of the next period: ten of 31 leave, and ten that wait join.
  const first = await renew(network);
  assert.equal(network.height, 1024);
  assert.deepEqual(first, {
    left: founders.slice(0, 10),
    turned: founders.slice(0, 10),
    joined: order.slice(0, 10),
    dropped: [],
  });
  // They wait behind those that wait still, in the order of their addresses.
  assert.deepEqual(
    (await network.waiting()).map(({ city }) => Number(city)),
    [...order.slice(10), ...founders.slice(0, 10)],
  );
  assert.deepEqual((await renew(network, 1023)).left, []);
  // Late in its period; and those that served longest are founders again.
  const second = await renew(network, 300);
  assert.deepEqual(second.turned, founders.slice(10, 20));
  assert.deepEqual(second.joined, [...order.slice(10), ...founders.slice(0, 6)]);
  // A period that was missed is not made up for.
  const third = await renew(network, 3 * 1024);
  assert.deepEqual(third.turned.length, 10);
  assert.deepEqual((await renew(network)).left, []);
});

onLarge("no more leave by turn than wait, and nobody while a seat is free", async (network) => {
  network.pass(1024);
  await ready(network, 32, 33, 34);
  await act(network, SUSPENDED, [33]);
  const { turned, joined, dropped } = await renew(network);
  assert.deepEqual([turned.length, joined, dropped.includes(33)], [2, byNode(network, [32, 34]), true]);
  // Seats are filled first; what is left of ten leaves by turn in the same renewal.
  await ready(network, ...range(35, 45));
  await act(network, SUSPENDED, [32, 34]);
  const next = await renew(network, 1024);
  assert.equal(next.left.length, 10);
  assert.equal(next.turned.length, 8);
  assert.equal(next.joined.length, 10);
});

test("nobody leaves by turn while the network grows to its seats", async () => {
  const network = await Network.begin(22, 20);
  network.pass(2000);
  await ready(network, ...range(23, 42));
  const { joined, left } = await renew(network);
  assert.deepEqual([joined.length, left], [7, []]);
  // Now the seats are filled, and as many as may leave do.
  const { joined: rest, turned } = await renew(network);
  assert.deepEqual([rest.length, turned.length], [11, 9]);
  assert.equal((await servingOf(network)).length, 31);
});

onSmall("who is away or withdrew leaves, at most f a block, who is away first", async (network) => {
  await ready(network, ...range(5, 10));
  for (let index = 0; index < 5; ++index) await renew(network);
  assert.equal((await servingOf(network)).length, 10);
  // f of ten is three: two that are away and one that withdrew, though others that withdrew served longer.
  const founders = byNode(network, range(1, 4));
  await each(founders.slice(0, 3), (city) => withdraw(network, city));
  await act(network, SUSPENDED, [9]);
  await act(network, REMOVED, [10], "member");
  assert.deepEqual(sorted((await renew(network)).left), sorted([9, 10, founders[0]]));
  // Two of seven, then one of six.
  assert.deepEqual((await renew(network)).left, founders.slice(1, 3));
  assert.deepEqual((await renew(network)).left, []);
  // Restored, it says that it is ready, and waits.
  await act(network, ACTIVE, [9]);
  assert.deepEqual((await renew(network)).joined, []);
  await ready(network, 9);
  assert.deepEqual((await renew(network)).joined, [9]);
});

onSmall("somebody stays, whoever withdraws", async (network) => {
  await each(range(1, 4), (city) => withdraw(network, city));
  const sizes = [];
  for (let index = 0; index < 5; ++index) {
    await renew(network);
    sizes.push((await servingOf(network)).length);
  }
  assert.deepEqual(sizes, [3, 2, 1, 1, 1]);
  assert.equal(await network.hub.ask("Validators", "due"), false);
  // With somebody to serve it leaves too: first the one joins, then the other goes.
  await ready(network, 7);
  assert.deepEqual((await renew(network)).joined, [7]);
  assert.equal((await renew(network)).left.length, 1);
  assert.deepEqual(await servingOf(network), [7]);
});

onSmall("a city under a new key takes over in one renewal, and waits nowhere", async (network) => {
  await network.step({ op: "rotate", city: 2 });
  await network.step({ op: "rotate", city: 12 });
  // The first new key is passed over: the second goes on for the city before it too.
  await ready(network, 13);
  await network.compare();
  assert.equal(await standingOf(network, 13), TAKES_OVER);
  await refuses(network, "CandidateAlready", { op: "ready", city: 12 }, 2n, 13n);
  // Called off and said anew.
  await withdraw(network, 13);
  await network.compare();
  assert.equal(await network.hub.ask("Validators", "due"), false);
  await ready(network, 12);
  await network.compare();
  await ready(network, 13);
  await network.compare();
  assert.deepEqual([await standingOf(network, 12), await standingOf(network, 2)], [NONE, SERVES]);
  // One that is suspended does not take over; the city before serves on.
  await act(network, SUSPENDED, [13]);
  assert.equal(await network.hub.ask("Validators", "due"), false);
  assert.deepEqual((await renew(network)).left, []);
  await act(network, ACTIVE, [13]);
  await ready(network, 5);
  const { left, joined } = await renew(network);
  assert.deepEqual([left, sorted(joined)], [[2], [5, 13]]);
  assert.deepEqual(await servingOf(network), [1, 3, 4, 5, 13]);
  // It has the time that the one before served, so that nobody escapes its turn.
  assert.equal((await network.hub.ask("Validators", "candidate", 13)).since, 1n);
  await network.tell(network.cities[1].authority.address, "Cities", "retire", 2);
  // One that waits gives way at once, and the other waits from then on.
  await ready(network, 6);
  await network.step({ op: "rotate", city: 6 });
  await ready(network, 14);
  await network.compare();
  assert.deepEqual([await standingOf(network, 6), await standingOf(network, 14)], [NONE, WAITS]);
});

onSmall("a removed city of a member gives way to another of its own", async (network) => {
  const { card, authority } = network.cities[0];
  const second = newCity({ network: NETWORK, member: card.member }, { authority });
  await network.tell(authority.address, "Cities", "register", onChain(second.card), second.proof);
  network.cities.push(second);
  network.model.cities.push({ member: 1, node: second.node.address, status: ACTIVE, withdrew: 0 });
  await act(network, REMOVED, [1]);
  await ready(network, 12);
  const { left, joined } = await renew(network);
  assert.deepEqual([left, joined, await servingOf(network)], [[1], [12], [2, 3, 4, 12]]);
});

onLarge("the one that leaves by turn takes with it whom it waited for", async (network) => {
  const [first] = byNode(network, range(1, 31));
  await network.step({ op: "rotate", city: first });
  await ready(network, 46, 32);
  await act(network, SUSPENDED, [46]);
  const { turned, joined } = await renew(network, 1024);
  assert.deepEqual([turned, joined], [[first], [32]]);
  assert.deepEqual([await standingOf(network, first), await standingOf(network, 46)], [WAITS, NONE]);
  // Of one that waits, it takes the place as any does.
  await act(network, ACTIVE, [46]);
  await ready(network, 46);
  await network.compare();
  assert.deepEqual([await standingOf(network, first), await standingOf(network, 46)], [NONE, WAITS]);
});

onSmall(
  "a city is withdrawn by its node key until it is ready, by its member until it says so",
  async (network) => {
    const { hub } = network;
    await refused("UnknownCity", hub.tell(ADDRESSES.Members, "Validators", "withdraw", 99), 99n);
    await refused("UnknownCity", hub.tell(ADDRESSES.Members, "Validators", "withdraw", 0), 0n);
    await refuses(network, "NotTheCitysMember", { op: "withdraw", city: 1, by: 2 }, 1n);
    await refuses(network, "NotTheCitysMember", { op: "withdraw", city: 1, by: "stranger" }, 1n);
    await refuses(network, "NotTheCitysMember", { op: "readmit", city: 1, by: "node" }, 1n);
    // The node key's own word is taken back by the next one.
    await withdraw(network, 1);
    await ready(network, 1);
    assert.equal(await hub.ask("Validators", "due"), false);
    // The member's is not: not before the city left, nor after.
    await withdraw(network, 1, 1);
    await withdraw(network, 1);
    await refuses(network, "IsWithdrawn", { op: "ready", city: 1 }, 1n);
    const retire = () => network.tell(network.cities[0].authority.address, "Cities", "retire", 1);
    await refused("HubValidator", retire(), 1n);
    assert.deepEqual((await renew(network)).left, [1]);
    await refuses(network, "IsWithdrawn", { op: "ready", city: 1 }, 1n);
    await network.step({ op: "readmit", city: 1, by: 1 });
    await ready(network, 1);
    assert.deepEqual((await renew(network)).joined, [1]);
    // A suspended member may withdraw its city too.
    await act(network, SUSPENDED, [5], "member");
    await network.step({ op: "withdraw", city: 5, by: 5 });
    await withdraw(network, 1, 1);
    await renew(network);
    await retire();
    await network.compare();
  },
);

test("votes keep away f of those that serve, and as many of others as there are", async () => {
  const network = await Network.begin(4, 4);
  const { hub, cities } = network;
  const propose = (kind, id) => hub.propose(cities[2], kind, id);
  await ready(network, 5);
  await renew(network);
  await each(["SuspendCity", "RemoveCity", "SuspendMember", "RemoveMember"], async (kind) => {
    await propose(kind, 5);
  });
  await act(network, SUSPENDED, [1]);
  await each(["SuspendCity", "RemoveCity", "SuspendMember", "RemoveMember"], async (kind) => {
    await refused("HubAtRisk", propose(kind, 2), 2n, 1n);
    await refused("HubAtRisk", propose(kind, 5), 2n, 1n);
    // Who is away already may be removed, and who does not serve.
    if (kind.startsWith("Remove")) await propose(kind, 1);
    await propose(kind, 6);
  });
  assert.deepEqual((await renew(network)).left, [1]);
  // It does not serve any more, so the hub does not need it.
  await propose("RemoveMember", 1);
  await propose("SuspendCity", 2);
});

onSmall("what is not in force is dropped where it would join, 40 in a renewal", async (network) => {
  await ready(network, ...range(5, 9));
  await act(network, SUSPENDED, [5, 6, 7]);
  const order = byNode(network, range(5, 9));
  const { joined, dropped } = await renew(network);
  assert.deepEqual(joined, [order.find((id) => id > 7)]);
  assert.ok(dropped.every((id) => id <= 7));
  await renew(network);
  await renew(network);
  assert.deepEqual(await servingOf(network), [1, 2, 3, 4, 8, 9]);
  assert.equal((await network.waiting()).length, 0);
  assert.equal(await network.hub.ask("Validators", "candidateOf", 5), 0n);
});

onSmall("the hash that cities prove is where it was, and how the hub began stays known", async (network) => {
  const { hub } = network;
  const slot = (place) => keccak256(concat([toBeHex(0, 32), toBeHex(place, 32)]));
  const at = async (place) => {
    const rows = hub.state.rows.storage.get(`${ADDRESSES.Applications}_${slot(place)}`);
    return toBeHex(toBigInt(rows), 32);
  };
  const [began, record] = [await hub.ask("Applications", "genesisOf", 0), await at(1)];
  await ready(network, 5, 6);
  await renew(network);
  await withdraw(network, 1);
  await renew(network);
  const nodes = byNode(network, await servingOf(network)).map((id) => network.cities[id - 1].node.address);
  assert.equal(await at(0), setHash(nodes.map((node) => [node, 1n])));
  assert.equal(await at(1), record);
  assert.deepEqual(await hub.ask("Applications", "genesisOf", 0), began);
  assert.equal(began.validators.length, 4);
  await refused("NotAllowed", hub.tell(network.cities[0], "Applications", "setHub", [1n]));
});

test(`random sequences do what the model says, seed ${SEED}`, async () => {
  const random = randomness(SEED);
  const counts = {};
  const begin = [fresh.small, fresh.small, fresh.large];
  for (const [index, load] of begin.entries()) {
    load();
    const network = index < 2 ? small : large;
    const done = [];
    // All seats of the larger one are taken, and a turn is due, which few sequences would come to by chance.
    if (network === large) {
      await ready(network, ...range(32, 38));
      network.pass(1024);
      counts.turned = (counts.turned ?? 0) + (await renew(network)).turned.length;
    }
    try {
      for (let step = 0; step < 100; ++step) {
        const operation = anyOperation(random, network.model);
        done.push(operation);
        const result =
          operation.op === "pass" ? network.pass(operation.blocks) : await network.step(operation);
        const key = `${operation.op}: ${result === null ? "refused" : "done"}`;
        counts[key] = (counts[key] ?? 0) + 1;
        for (const [what, list] of Object.entries(told(result?.events ?? [])))
          counts[what] = (counts[what] ?? 0) + list.length;
        if (step % 12 === 11) await network.compare();
      }
    } catch (error) {
      error.message += `\nseed ${SEED}, sequence ${index}:\n${done.map((it) => JSON.stringify(it)).join("\n")}`;
      throw error;
    }
  }
  for (const what of ["ready: done", "withdraw: done", "rotate: done", "left", "turned", "joined"])
    assert.ok(counts[what] > 0, what);
  console.log(`seed ${SEED}: ${JSON.stringify(counts)}`);
});

/** Any operation, mostly one that could be meant. */
function anyOperation({ next, pick }, model) {
  const all = model.cities.map((_, index) => index + 1);
  const city = pick(all);
  const member = 1 + next(model.members.length);
  const idle = all.filter((id) => model.isActive(id) && model.standing(id) === NONE);
  switch (next(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return { op: "ready", city: idle.length > 0 ? pick(idle) : city };
    case 4:
      return { op: "ready", city };
    case 5:
      return { op: "withdraw", city, by: pick(["node", model.city(city).member, member, "stranger"]) };
    case 6: {
      const withdrawn = all.filter((id) => model.city(id).withdrew === 2);
      const of = withdrawn.length > 0 ? pick(withdrawn) : city;
      return { op: "readmit", city: of, by: next(4) === 0 ? member : model.city(of).member };
    }
    case 7:
    case 8:
      return anyAct({ next, pick }, model, { city, member });
    case 9:
      return model.isActive(city) && !model.city(city).successor && model.cities.length < 60
        ? { op: "rotate", city }
        : { op: "pass", blocks: 1 };
    case 10:
      return { op: "pass", blocks: pick([1, 1, 2, 100, 1024, 2500]) };
    case 11:
    case 12:
      return { op: "pass", blocks: 1 };
    default:
      return { op: "renew" };
  }
}

/** What members may decide of a member or a city as it stands now; what is away mostly comes back. */
function anyAct({ next, pick }, model, { city, member }) {
  const ofMember = next(2) === 0;
  const rows = ofMember ? model.members : model.cities;
  const suspended = rows.flatMap(({ status }, index) => (status === SUSPENDED ? [index + 1] : []));
  const id = suspended.length > 2 ? pick(suspended) : ofMember ? member : city;
  const { status: present } = rows[id - 1];
  const active = model.members.filter(({ status }) => status === ACTIVE).length;
  if (present === REMOVED || (ofMember && present === ACTIVE && active <= 4))
    return { op: "pass", blocks: 1 };
  const status = next(12) === 0 ? REMOVED : present === ACTIVE ? SUSPENDED : ACTIVE;
  return { op: "act", [ofMember ? "member" : "city"]: id, status };
}

test("a renewal and a ready city cost less than 3 million gas, with 31 that serve and 992 that wait", async () => {
  const network = await Network.begin(31, WAITING);
  const founders = byNode(network, range(1, 31));
  const waiting = byNode(network, range(32, 31 + WAITING));
  // All in one block, and the last word is to be put before all others: the worst there is, and the one thing that
  // grows with those that wait.
  const words = [];
  for (const city of [...waiting.slice(1), waiting[0]])
    words.push((await network.perform({ op: "ready", city })).gas);
  const step = (words.at(-1) - words.at(-2)) / BigInt(WAITING - 1);
  const last = words.at(-2) + step * 991n;
  const shown = (await network.waiting(256)).map(({ city }) => Number(city));
  assert.deepEqual(shown, waiting);
  const moment = network.hub.save();
  const renewal = async () => {
    network.hub.height = 1024n;
    const { gas, events } = await network.perform({ op: "renew" });
    return { gas, ...told(events) };
  };
  const turn = await renewal();
  assert.deepEqual(turn.turned, founders.slice(0, 10));
  assert.deepEqual(turn.joined, waiting.slice(0, 10));
  // Ten are suspended, ten of those that wait join, and as many are not in force as one renewal looks at.
  network.hub.load(moment);
  for (const city of [...founders.slice(0, 10), ...waiting.slice(0, 30)])
    await network.tell(ADDRESSES.Governance, "Cities", "setStatus", city, SUSPENDED);
  const away = await renewal();
  assert.deepEqual([away.left.length, away.joined.length, away.dropped.length], [10, 10, 30]);
  // All that are looked at are dropped.
  network.hub.load(moment);
  for (const city of waiting.slice(0, 45))
    await network.tell(ADDRESSES.Governance, "Cities", "setStatus", city, SUSPENDED);
  const drops = await renewal();
  assert.deepEqual([drops.left.length, drops.joined.length, drops.dropped.length], [0, 0, 40]);
  network.hub.height += 1n;
  const rest = told((await network.perform({ op: "renew" })).events);
  assert.deepEqual([rest.turned.length, rest.joined.length, rest.dropped.length], [10, 10, 5]);
  const gas = { ready: words.at(-2), last, turn: turn.gas, away: away.gas, drops: drops.gas };
  console.log(`gas: ${Object.entries(gas).map(([what, used]) => `${what} ${used}`)}`);
  for (const used of Object.values(gas)) assert.ok(used < MOST_GAS);
  const few = await Network.begin(4, 1);
  const { gas: first } = await few.perform({ op: "ready", city: 5 });
  few.pass();
  const { gas: joins } = await few.perform({ op: "renew" });
  console.log(`gas of four: ready ${first}, renewal ${joins}`);
});
