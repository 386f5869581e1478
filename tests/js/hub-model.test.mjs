// The hub's contracts against the model: random sequences from a printed seed (`HUB_SEED` repeats one), and all
// sequences of a small alphabet, where each state is entered once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Hub, NETWORK, newCities, newCity, newOffer, offerTuple, onChain, randomness } from "./hub.mjs";
import { Model, compare, step } from "./hub-model.mjs";

const SEED = Number(process.env.HUB_SEED ?? Date.now() % 2 ** 32);
const SEQUENCES = 5;
const STEPS = 60;
const DAY = 86_400;
/** Little enough that it runs out. */
const OFFER = {
  gasPerSecond: 10,
  bytesStored: 12,
  chains: 4,
  blocksPerSecond: 9,
  policy: 1,
  listed: [],
};

/** A network of `founders`, then members admitted by vote up to `all`, each with one city; and its model. */
async function begin(founders, all) {
  const cities = newCities(founders);
  const offer = newOffer({ ...OFFER, pricePerGasSecond: 0 });
  const hub = await Hub.founded(cities, { offer });
  const model = new Model(founders, OFFER);
  for (let id = founders + 1; id <= all; ++id) {
    const city = newCity({ network: NETWORK });
    await hub.decide(cities, "AdmitMember", onChain(city.card), city.proof);
    await hub.tell(city, "Cities", "setOffer", id, offerTuple(offer));
    cities.push(city);
    model.members.push({ status: 1 });
    model.cities.push({ ...structuredClone(model.cities[0]), member: id });
    model.placed.push([]);
    // Proposals that admitted members are none of the model's: they stand before its own.
    hub.offset = id - founders;
  }
  model.peak = all;
  return { hub: shifted(hub), cities, model };
}

/** The hub with numbers of proposals that begin after those that built it. */
function shifted(hub) {
  const offset = hub.offset ?? 0;
  if (offset === 0) return hub;
  const { ask, tell } = hub;
  const shift = (contract, method, args) =>
    contract === "Governance" && ["proposal", "vote", "execute"].includes(method)
      ? [args[0] + offset, ...args.slice(1)]
      : args;
  hub.ask = (contract, method, ...args) => ask.call(hub, contract, method, ...shift(contract, method, args));
  hub.tell = (from, contract, method, ...args) =>
    tell.call(hub, from, contract, method, ...shift(contract, method, args));
  return hub;
}

const KINDS = ["SuspendMember", "RestoreMember", "RemoveMember", "SuspendCity", "RestoreCity", "RemoveCity"];

/** Any operation, mostly one that could be meant. */
function anyOperation({ next, pick }, model) {
  const by = 1 + next(model.members.length);
  const n = 1 + next(model.applications.length + 1);
  const city = 1 + next(model.cities.length);
  const id = 1 + next(model.proposals.length + 1);
  const several = () => {
    const all = model.cities.map((_, index) => index + 1);
    const few = Array.from({ length: 1 + next(5) }, () => pick(all));
    return next(8) === 0 ? few : [...new Set([...few, ...all.slice(0, next(all.length + 1))])];
  };
  const want = { gasPerSecond: 1 + next(4), bytesStored: 1 + next(4), blocksPerSecond: 1 + next(3) };
  switch (next(14)) {
    case 0:
    case 1:
    case 2:
      return {
        op: "create",
        by,
        name: `name-${next(12)}`,
        cities: several(),
        want,
        concentrated: next(2) === 1,
      };
    case 3:
      return { op: pick(["suspend", "resume", "close"]), by: model.applications[n - 1]?.owner ?? by, n };
    case 4:
      return { op: pick(["suspend", "resume", "close"]), by, n };
    case 5: {
      const policy = next(3);
      const listed = policy === 2 ? [1 + next(2), 3 + next(2)] : [];
      const offer = { chains: next(6), gasPerSecond: next(14), policy, listed };
      return { op: "offer", by: next(4) === 0 ? by : (model.cities[city - 1]?.member ?? by), city, offer };
    }
    case 6:
      return { op: "retire", by: model.cities[city - 1]?.member ?? by, city };
    case 7:
      return { op: "propose", by, kind: pick(KINDS), target: 1 + next(model.members.length + 1) };
    case 8:
      return { op: "forget", by: 1, city, index: next(4) };
    case 9:
      return { op: "wait", seconds: pick([1, 3600, 2 * DAY, 8 * DAY, 31 * DAY]) };
    case 10:
      return { op: "execute", id };
    default:
      return { op: "vote", by, id, support: next(4) > 0 };
  }
}

test(`random sequences do what the model says, seed ${SEED}`, async () => {
  const random = randomness(SEED);
  const results = new Map();
  for (let sequence = 0; sequence < SEQUENCES; ++sequence) {
    const { hub, cities, model } = await begin(4 + random.next(2), 6 + random.next(2));
    const done = [];
    try {
      for (let index = 0; index < STEPS; ++index) {
        const operation = anyOperation(random, model);
        done.push(operation);
        const result = await step(hub, cities, model, operation);
        const key = `${operation.op}: ${result ?? "done"}`;
        results.set(key, (results.get(key) ?? 0) + 1);
        if (index % 30 === 29) await compare(hub, model);
      }
    } catch (error) {
      error.message += `\nseed ${SEED}, sequence ${sequence}:\n${done.map((it) => JSON.stringify(it)).join("\n")}`;
      throw error;
    }
  }
  // A test that only ever met refusals would show nothing.
  for (const op of ["create", "close", "offer", "propose", "vote"])
    assert.ok(results.get(`${op}: done`) > 0, op);
  console.log(`seed ${SEED}: ${[...results].map(([key, count]) => `${key} ${count}`).join(", ")}`);
});

/** Does all sequences of `alphabet` up to `depth` operations, shorter ones first. A refused operation changes nothing,
 * and a state that a sequence as short led to is not gone on from again: what is left out leads nowhere new. */
async function exhaust({ hub, cities, model }, alphabet, depth) {
  const figures = { states: 1, steps: 0, outcomes: new Map() };
  const met = new Set([model.key()]);
  let front = [{ model, moment: hub.save() }];
  for (let length = 1; length <= depth && front.length > 0; ++length) {
    const reached = [];
    for (const { model, moment } of front) {
      for (const operation of alphabet) {
        hub.load(moment);
        const next = model.copy();
        const result = await step(hub, cities, next, operation);
        const outcome = `${operation.op}: ${result ?? "done"}`;
        figures.steps += 1;
        figures.outcomes.set(outcome, (figures.outcomes.get(outcome) ?? 0) + 1);
        if (result !== null || met.has(next.key())) continue;
        met.add(next.key());
        figures.states += 1;
        await compare(hub, next);
        reached.push({ model: next, moment: hub.save() });
      }
    }
    front = reached;
  }
  return figures;
}

const shown = ({ states, steps, outcomes }) =>
  `${states} states, ${steps} steps; ${[...outcomes].map(([key, count]) => `${key} ${count}`).join(", ")}`;

test("every sequence of 6 votes, executions and waits on a suspension and a removal of five members' fifth", async () => {
  const network = await begin(4, 5);
  const vote = (by, id, support) => ({ op: "vote", by, id, support });
  const before = [
    { op: "propose", by: 1, kind: "SuspendMember", target: 5 },
    { op: "propose", by: 1, kind: "RemoveMember", target: 5 },
    vote(1, 1, true),
    vote(1, 2, true),
    vote(2, 2, true),
  ];
  for (const operation of before) await step(network.hub, network.cities, network.model, operation);
  const alphabet = [
    vote(2, 1, true),
    vote(3, 1, true),
    vote(5, 1, false),
    vote(5, 2, true),
    vote(3, 2, true),
    { op: "execute", by: 1, id: 1 },
    { op: "execute", by: 1, id: 2 },
    { op: "wait", seconds: 8 * DAY },
  ];
  const figures = await exhaust(network, alphabet, 6);
  console.log(shown(figures));
  for (const outcome of ["execute: done", "execute: NotPassed", "vote: VotedAlready", "vote: NotVoting"]) {
    assert.ok(figures.outcomes.get(outcome) > 0, outcome);
  }
});

test("every sequence of 4 creations, ends and offers on four cities with room for two", async () => {
  const network = await begin(4, 4);
  for (const city of [1, 4]) {
    const narrow = { op: "offer", by: city, city, offer: { chains: 2, gasPerSecond: 3 } };
    await step(network.hub, network.cities, network.model, narrow);
  }
  const create = (name, cities, gas, concentrated = false) => ({
    op: "create",
    by: 1,
    name,
    cities,
    want: { gasPerSecond: gas, bytesStored: 1, blocksPerSecond: 1 },
    concentrated,
  });
  const alphabet = [
    create("one", [1, 2, 3, 4], 1),
    create("two", [4, 3, 2, 1], 2),
    create("three", [1], 1, true),
    create("four", [1, 2, 3], 1),
    { op: "close", by: 1, n: 1 },
    { op: "suspend", by: 1, n: 1 },
    { op: "forget", by: 1, city: 1, index: 0 },
    { op: "wait", seconds: 31 * DAY },
  ];
  const figures = await exhaust(network, alphabet, 4);
  console.log(shown(figures));
  for (const outcome of ["create: done", "create: NoCapacity", "create: Concentrated", "forget: done"]) {
    assert.ok(figures.outcomes.get(outcome) > 0, outcome);
  }
});
