// The hub's contracts against the model: random sequences from a printed seed; `HUB_SEED` repeats one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { randomness } from "./hub.mjs";
import { begin, compare, step } from "./hub-model.mjs";

const SEED = Number(process.env.HUB_SEED ?? Date.now() % 2 ** 32);
const SEQUENCES = 5;
const STEPS = 120;
const DAY = 86_400;

const KINDS = ["SuspendMember", "RestoreMember", "RemoveMember", "SuspendCity", "RestoreCity", "RemoveCity"];

/** Any step of a change of cities, mostly the one that is due. */
function anyChange({ next, pick }, model, { by, n }) {
  const application = model.applications[n - 1] ?? model.applications[0];
  const { cities, change, owner, height } = application;
  const all = model.cities.map((_, index) => index + 1);
  const city = pick(all);
  const ns = [n, 1 + next(model.applications.length)];
  const few = (list, most) => [...new Set(Array.from({ length: next(most + 1) }, () => pick(list)))];
  const removed = all.filter((id) => model.cityStatus(model.cities[id - 1]) === 3);
  const rotated = all.filter((id) => model.cities[id - 1].successor);
  if (rotated.length > 0 && next(5) === 0) return { op: "rotate", by, city: pick(rotated), ns };
  if (removed.length > 0 && next(6) === 0) return { op: "expel", by, city: pick(removed), ns };
  switch (next(12)) {
    case 11:
      return { op: "rotate", by, city, ns };
    case 10:
      // Each is a city that offers nothing any more.
      if (next(3) > 0) break;
      return { op: "rotateCity", by: next(4) === 0 ? by : model.cities[city - 1].member, city };
    case 0:
      return { op: "expel", by, city, ns };
    case 1:
      return { op: "cancelChange", by: next(4) === 0 ? by : owner, n };
    case 2:
      return { op: "ready", city, ns };
    case 3:
      return { op: "show", n, height: height + next(2), signed: few(all, 5) };
    case 4: {
      const own = next(4) === 0 ? by : owner;
      return { op: "change", by: own, n, leaving: few(all, 2), joining: few(all, 2), concentrated: true };
    }
    default:
      break;
  }
  if (change !== null && next(8) === 0) return { op: "close", by: owner, n };
  if (change?.stage === 1 && next(4) === 0) return { op: "cancelChange", by: owner, n };
  if (change?.stage === 1) return { op: "ready", city: pick(change.joining), ns };
  if (change?.stage === 2) {
    const signed = next(4) === 0 ? cities : change.before.slice(next(Math.ceil(change.before.length / 3)));
    return { op: "show", n, height: height + 1 - Number(next(8) === 0), signed };
  }
  const others = all.filter((id) => !cities.includes(id));
  const leaving = few(cities, 2).slice(0, 1 + next(2));
  const joining = others.length > 0 ? few(others, 2) : [];
  return { op: "change", by: owner, n, leaving, joining, concentrated: next(4) > 0 };
}

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
  if (model.applications.length > 0 && next(2) === 0) return anyChange({ next, pick }, model, { by, n });
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
  // A test that only ever met refusals would show nothing. What ends an application or a change is rare enough to be
  // missing by chance: the exhaustive sequences have it.
  for (const op of ["create", "offer", "propose", "vote", "change", "ready", "show", "rotateCity"])
    assert.ok(results.get(`${op}: done`) > 0, op);
  console.log(`seed ${SEED}: ${[...results].map(([key, count]) => `${key} ${count}`).join(", ")}`);
});
