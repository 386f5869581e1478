// The hub's contracts against the model: all sequences of a small alphabet of operations, up to a stated length.

import assert from "node:assert/strict";
import { test } from "node:test";
import { begin, compare, step } from "./hub-model.mjs";

const DAY = 86_400;

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

test("every sequence of 5 votes, executions and waits on a suspension and a removal of five members' fifth", async () => {
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
  const figures = await exhaust(network, alphabet, 5);
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

test("every sequence of 5 steps of a change on four cities of six, where one that joins has room for one", async () => {
  const network = await begin(4, 6);
  const vote = (by) => ({ op: "vote", by, id: 1, support: true });
  const before = [
    { op: "offer", by: 5, city: 5, offer: { chains: 1 } },
    {
      op: "create",
      by: 1,
      name: "one",
      cities: [1, 2, 3, 4],
      want: { gasPerSecond: 1, bytesStored: 1, blocksPerSecond: 1 },
    },
    { op: "propose", by: 1, kind: "RemoveCity", target: 4 },
    ...[1, 2, 3, 5].map(vote),
  ];
  for (const operation of before) await step(network.hub, network.cities, network.model, operation);
  const change = (leaving, joining) => ({ op: "change", by: 1, n: 1, leaving, joining, concentrated: true });
  const alphabet = [
    change([3], [5]),
    change([3, 4], [5, 6]),
    change([1], [6]),
    change([3], []),
    { op: "cancelChange", by: 1, n: 1 },
    { op: "ready", city: 5, ns: [1] },
    { op: "ready", city: 6, ns: [1] },
    { op: "show", n: 1, height: 1, signed: [1, 2, 3] },
    { op: "show", n: 1, height: 2, signed: [1, 2, 4, 5] },
    { op: "execute", by: 1, id: 1 },
    { op: "expel", by: 2, city: 4, ns: [1] },
    { op: "close", by: 1, n: 1 },
    {
      op: "create",
      by: 1,
      name: "two",
      cities: [1, 2, 5, 6],
      want: { gasPerSecond: 1, bytesStored: 1, blocksPerSecond: 1 },
    },
  ];
  const figures = await exhaust(network, alphabet, 5);
  console.log(shown(figures));
  for (const outcome of [
    "change: done",
    "change: NoCapacity",
    "change: TooManyLeave",
    "cancelChange: done",
    "cancelChange: TooLateToCancel",
    "ready: done",
    "show: done",
    "show: NotProven",
    "expel: done",
    "expel: CityNotRemoved",
    "close: done",
    "create: NoCapacity",
  ]) {
    assert.ok(figures.outcomes.get(outcome) > 0, outcome);
  }
});

test("every sequence of 4 steps of a rotation on four cities of five, beside what its owner and members do", async () => {
  const network = await begin(4, 5);
  const want = { gasPerSecond: 1, bytesStored: 1, blocksPerSecond: 1 };
  const before = [
    { op: "offer", by: 4, city: 4, offer: { chains: 1 } },
    { op: "create", by: 1, name: "one", cities: [1, 2, 3, 4], want },
    { op: "rotateCity", by: 4, city: 4 },
    { op: "propose", by: 1, kind: "RemoveCity", target: 4 },
    ...[1, 2, 3, 5].map((by) => ({ op: "vote", by, id: 1, support: true })),
  ];
  for (const operation of before) await step(network.hub, network.cities, network.model, operation);
  const change = (leaving, joining) => ({ op: "change", by: 1, n: 1, leaving, joining, concentrated: true });
  const alphabet = [
    { op: "rotate", by: 2, city: 4, ns: [1] },
    { op: "rotate", by: 2, city: 3, ns: [1] },
    { op: "ready", city: 6, ns: [1] },
    { op: "show", n: 1, height: 1, signed: [1, 2, 3] },
    { op: "show", n: 1, height: 2, signed: [1, 2, 6] },
    change([1], [5]),
    change([4], [6]),
    { op: "offer", by: 4, city: 6, offer: { chains: 1, policy: 1 } },
    { op: "cancelChange", by: 1, n: 1 },
    { op: "suspend", by: 1, n: 1 },
    { op: "suspend", by: 2, n: 1 },
    { op: "close", by: 1, n: 1 },
    { op: "execute", by: 1, id: 1 },
    { op: "expel", by: 2, city: 4, ns: [1] },
    { op: "create", by: 4, name: "two", cities: [1, 2, 3, 6], want },
  ];
  const figures = await exhaust(network, alphabet, 4);
  console.log(shown(figures));
  for (const outcome of [
    "rotate: done",
    "rotate: UnknownCity",
    "rotate: NoCapacity",
    "ready: done",
    "show: done",
    "show: NotProven",
    "change: done",
    "suspend: done",
    "suspend: NotTheOwner",
    "cancelChange: done",
    "close: done",
    "expel: done",
    "create: NoCapacity",
  ]) {
    assert.ok(figures.outcomes.get(outcome) > 0, outcome);
  }
});
