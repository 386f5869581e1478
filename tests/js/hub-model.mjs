// What the hub's contracts should do, as a small model: plain values, one rule after the other, written from the
// description. `apply` gives the name of the error that the contracts have to refuse with, or null.
//
// Governance is the whole of it; of an application it knows name, cities, their change, and capacity.

import assert from "node:assert/strict";
import { newHandover, show } from "./hub-handovers.mjs";
import {
  Hub,
  NETWORK,
  Refused,
  newCities,
  newCity,
  newOffer,
  newSpecification,
  offerTuple,
  onChain,
  setHash,
} from "./hub.mjs";

const ACTIVE = 1;
const SUSPENDED = 2;
const REMOVED = 3;
const CHANGING = 2;
const CHAIN_SUSPENDED = 3;
const CLOSED = 4;
const [VOTING, PASSED, REJECTED, EXECUTED, EXPIRED] = [1, 2, 3, 4, 5];
const LEAST_MEMBERS = 4;
const VOTING_PERIOD = 7 * 86_400;
const EXECUTION_PERIOD = 30 * 86_400;
const CLOSED_DATA_KEPT = 30 * 86_400;
const NAME_REST = 90 * 86_400;
/** The order in which a city's capacity is looked at. */
const RESOURCES = ["gasPerSecond", "bytesStored", "chains", "blocksPerSecond"];
const STATUS_AFTER = { Suspend: SUSPENDED, Restore: ACTIVE, Remove: REMOVED };
const GRAVE = new Set(["RemoveMember", "RemoveCity"]);

/** Little enough that it runs out. */
const OFFER = {
  gasPerSecond: 10,
  bytesStored: 12,
  chains: 4,
  blocksPerSecond: 9,
  policy: 1,
  listed: [],
};

const mayFail = (cities) => Math.floor((cities.length - 1) / 3);

export class Model {
  constructor(founders, offer) {
    this.founders = founders;
    this.now = 0;
    this.peak = founders;
    this.members = Array.from({ length: founders }, () => ({ status: ACTIVE }));
    this.cities = this.members.map((_, index) => city(index + 1, offer));
    this.applications = [];
    this.placed = this.cities.map(() => []);
    this.proposals = [];
  }

  /** Everything there is, as a text: two models with the same text are in the same state. */
  key() {
    return JSON.stringify(this);
  }

  copy() {
    return Object.setPrototypeOf(JSON.parse(this.key()), Model.prototype);
  }

  apply(operation) {
    return this[operation.op](operation);
  }

  member(id) {
    return this.members[id - 1];
  }

  active() {
    return this.members.filter(({ status }) => status === ACTIVE).length;
  }

  cityStatus({ status, member }) {
    return Math.max(status, this.member(member).status);
  }

  /** Why a member cannot act. A removed one's address is a stranger's. */
  caller(id) {
    const member = this.member(id);
    if (!member || member.status === REMOVED) return "NotAMember";
    return member.status === ACTIVE ? null : "MemberNotActive";
  }

  wait({ seconds }) {
    this.now += seconds;
    return null;
  }

  create({ by, name, cities, want, concentrated }) {
    const wanted = { chains: 1, ...want };
    const refused = this.caller(by);
    if (refused) return refused;
    const holder = this.applications.findLast((other) => other.name === name);
    if (holder && !(holder.status === CLOSED && this.now >= holder.closedAt + NAME_REST)) {
      return "ApplicationNameTaken";
    }
    if (cities.length === 0) return "NoCities";
    const lacking = this.lacking(cities, by, wanted) ?? this.concentration(cities, concentrated);
    if (lacking) return lacking;
    const words = { first: cities, wanted, status: ACTIVE, closedAt: 0, change: null, height: 0 };
    this.applications.push({ name, owner: by, cities, allowed: Boolean(concentrated), ...words });
    this.place(this.applications.length, cities);
    return null;
  }

  /** Why cities would not host something for a member. */
  lacking(cities, by, wanted) {
    for (const id of cities) {
      const city = this.cities[id - 1];
      if (!city) return "UnknownCity";
      if (this.cityStatus(city) !== ACTIVE) return "CityNotActive";
      const { policy, listed } = city.offer;
      const offered =
        by === 0 || policy === 1 || (policy === 2 && (city.member === by || listed.includes(by)));
      if (!offered) return "NotOffered";
      const short = RESOURCES.some(
        (resource) => city.taken[resource] + wanted[resource] > city.offer[resource],
      );
      if (short) return "NoCapacity";
    }
    return new Set(cities).size < cities.length ? "CityTwice" : null;
  }

  concentration(cities, allowed) {
    const held = {};
    for (const id of cities) held[this.cities[id - 1].member] = (held[this.cities[id - 1].member] ?? 0) + 1;
    return !allowed && Math.max(...Object.values(held)) > mayFail(cities) ? "Concentrated" : null;
  }

  /** Capacity of cities taken for an application, and its number in their lists. */
  place(n, cities) {
    const { wanted } = this.applications[n - 1];
    for (const id of cities) {
      for (const resource of RESOURCES) this.cities[id - 1].taken[resource] += wanted[resource];
      this.placed[id - 1].push(n);
    }
  }

  release(n, cities) {
    const { wanted } = this.applications[n - 1];
    for (const id of cities) {
      for (const resource of RESOURCES) this.cities[id - 1].taken[resource] -= wanted[resource];
    }
  }

  /** Capacity given back, and the number gone from lists, where the last one takes its place. */
  leave(n, cities) {
    this.release(n, cities);
    for (const id of cities) this.drop(this.placed[id - 1], this.placed[id - 1].indexOf(n));
  }

  drop(list, index) {
    list[index] = list.at(-1);
    list.pop();
  }

  /** A rotation whose new key does not hold the chain yet gives way to what the owner does, if that is possible. */
  givenWay({ by, n }, act) {
    const before = this.copy();
    const { change, owner } = this.applications[n - 1] ?? {};
    if (owner === by && change?.rotation && change.stage === 1) this.cancel(n);
    const refused = this.owned({ by, n }, [ACTIVE]) ?? act();
    if (refused) Object.assign(this, before);
    return refused;
  }

  change(operation) {
    return this.givenWay(operation, () => this.changeNow(operation));
  }

  changeNow({ n, leaving, joining, concentrated }) {
    const application = this.applications[n - 1];
    const { cities, wanted, owner } = application;
    if (leaving.length + joining.length === 0) return "NothingChanges";
    if (leaving.length > Math.max(1, mayFail(cities))) return "TooManyLeave";
    if (cities.length === leaving.length && joining.length === 0) return "NoCityLeft";
    if (joining.some((id) => cities.includes(id))) return "PlacedAlready";
    if (new Set(leaving).size < leaving.length || !leaving.every((id) => cities.includes(id))) {
      return "NotPlaced";
    }
    const next = [...cities.filter((id) => !leaving.includes(id)), ...joining];
    const lacking = this.lacking(joining, owner, wanted) ?? this.concentration(next, concentrated);
    if (lacking) return lacking;
    this.place(n, joining);
    application.status = CHANGING;
    application.change = { stage: 1, leaving, joining, ready: [], allowed: Boolean(concentrated) };
    if (joining.length === 0) this.name(application);
    return null;
  }

  /** The new set is what the hub names from now on; the one before has to sign. */
  name(application) {
    const { change, cities } = application;
    change.stage = 2;
    change.before = cities;
    application.allowed = change.allowed;
    application.cities = [...cities.filter((id) => !change.leaving.includes(id)), ...change.joining];
  }

  cancelChange({ by, n }) {
    const refused = this.owned({ by, n }, [CHANGING]);
    if (refused) return refused;
    if (this.applications[n - 1].change.stage !== 1) return "TooLateToCancel";
    this.cancel(n);
    return null;
  }

  cancel(n) {
    const application = this.applications[n - 1];
    this.leave(n, application.change.joining);
    Object.assign(application, { status: ACTIVE, change: null });
  }

  ready({ city, ns }) {
    for (const n of ns) {
      const application = this.applications[n - 1];
      const change = application?.change;
      if (change?.stage !== 1 || !change.joining.includes(city) || change.ready.includes(city)) continue;
      // In the order of joining, so that who was first makes no other state.
      change.ready = change.joining.filter((id) => id === city || change.ready.includes(id));
      if (change.ready.length === change.joining.length) this.name(application);
    }
    return null;
  }

  expel({ city, ns }) {
    if (!this.cities[city - 1]) return "UnknownCity";
    if (this.cityStatus(this.cities[city - 1]) !== REMOVED) return "CityNotRemoved";
    for (const n of ns) {
      const application = this.applications[n - 1];
      if (!application || !application.cities.includes(city) || application.cities.length === 1) continue;
      if (application.change?.stage === 1) this.cancel(n);
      if (application.status !== ACTIVE) continue;
      application.status = CHANGING;
      application.change = { leaving: [city], joining: [], ready: [], allowed: application.allowed };
      this.name(application);
    }
    return null;
  }

  /** The city goes on as a new one, which offers what it offered. */
  rotateCity(operation) {
    const refused = this.ownCity(operation);
    if (refused) return refused;
    const old = this.cities[operation.city - 1];
    this.cities.push(city(old.member, old.offer));
    this.placed.push([]);
    old.successor = this.cities.length;
    Object.assign(old.offer, { policy: 0, listed: [] });
    return null;
  }

  rotate({ city, ns }) {
    const successor = this.cities[city - 1]?.successor;
    if (!successor) return "UnknownCity";
    const before = this.copy();
    for (const n of ns) {
      const application = this.applications[n - 1];
      if (application?.status !== ACTIVE) continue;
      const { cities, wanted, allowed } = application;
      if (!cities.includes(city) || cities.includes(successor)) continue;
      const lacking = this.lacking([successor], 0, wanted);
      if (lacking) {
        Object.assign(this, before);
        return lacking;
      }
      this.place(n, [successor]);
      const change = { stage: 1, leaving: [city], joining: [successor], ready: [], allowed, rotation: true };
      Object.assign(application, { status: CHANGING, change });
    }
    return null;
  }

  /** What the cities of an application bear: tried out, one set of institutions after the other. */
  safety({ cities, allowed }) {
    const members = [...new Set(cities.map((id) => this.cities[id - 1].member))];
    const citiesMayFail = mayFail(cities);
    const bears = (count) =>
      subsets(members, count).every(
        (failed) =>
          cities.filter((id) => failed.includes(this.cities[id - 1].member)).length <= citiesMayFail,
      );
    let institutionsMayFail = 0;
    while (institutionsMayFail < members.length && bears(institutionsMayFail + 1)) ++institutionsMayFail;
    const missing = cities.filter((id) => this.cityStatus(this.cities[id - 1]) !== ACTIVE).length;
    return {
      safe: missing <= citiesMayFail && (institutionsMayFail > 0 || allowed),
      allowConcentration: allowed,
      cities: cities.length,
      missing,
      citiesMayFail,
      institutions: members.length,
      institutionsMayFail,
    };
  }

  show({ n, height, signed }) {
    const application = this.applications[n - 1];
    if (application?.change?.stage !== 2) return null;
    const { before, leaving } = application.change;
    const proven =
      height > application.height &&
      3 * signed.length > 2 * before.length &&
      signed.every((id) => before.includes(id));
    if (!proven) return "NotProven";
    this.leave(n, leaving);
    Object.assign(application, { status: ACTIVE, change: null, height });
    return null;
  }

  /** Cities on which an application is placed that are not among its cities. */
  apart({ change }) {
    return change === null ? [] : change.stage === 1 ? change.joining : change.leaving;
  }

  owned({ by, n }, statuses) {
    const application = this.applications[n - 1];
    if (!application) return "UnknownApplication";
    if (application.owner !== by) return "NotTheOwner";
    return statuses.includes(application.status) ? null : "WrongApplicationStatus";
  }

  suspend(operation) {
    return this.givenWay(operation, () => {
      this.applications[operation.n - 1].status = CHAIN_SUSPENDED;
      return null;
    });
  }

  resume(operation) {
    const refused = this.owned(operation, [CHAIN_SUSPENDED]);
    if (!refused) this.applications[operation.n - 1].status = ACTIVE;
    return refused;
  }

  close(operation) {
    const refused = this.owned(operation, [ACTIVE, CHANGING, CHAIN_SUSPENDED]);
    if (refused) return refused;
    const application = this.applications[operation.n - 1];
    this.release(operation.n, [...application.cities, ...this.apart(application)]);
    Object.assign(application, { status: CLOSED, closedAt: this.now, change: null });
    return null;
  }

  forget({ city, index }) {
    const list = this.placed[city - 1] ?? [];
    if (index >= list.length) return "NothingThere";
    const { status, closedAt } = this.applications[list[index] - 1];
    if (status !== CLOSED || this.now < closedAt + CLOSED_DATA_KEPT) return "NotYet";
    this.drop(list, index);
    return null;
  }

  ownCity({ by, city: id }) {
    const city = this.cities[id - 1];
    if (!city) return "UnknownCity";
    const refused = this.caller(by);
    if (refused) return refused;
    if (city.member !== by) return "NotTheCitysMember";
    return city.status === ACTIVE ? null : "CityNotActive";
  }

  offer(operation) {
    const refused = this.ownCity(operation);
    if (!refused) Object.assign(this.cities[operation.city - 1].offer, operation.offer);
    return refused;
  }

  retire(operation) {
    const refused = this.ownCity(operation);
    if (refused) return refused;
    const city = this.cities[operation.city - 1];
    if (operation.city <= this.founders) return "HubValidator";
    if (city.taken.chains > 0) return "StillPlaced";
    city.status = REMOVED;
    return null;
  }

  /** Why an act is not possible now. */
  refusal(kind, target) {
    const [, act, on] = /^(Suspend|Restore|Remove)(Member|City)$/.exec(kind);
    const object = on === "Member" ? this.member(target) : this.cities[target - 1];
    if (!object) return `Unknown${on}`;
    const from = { Suspend: [ACTIVE], Restore: [SUSPENDED], Remove: [ACTIVE, SUSPENDED] }[act];
    if (!from.includes(object.status)) return `Wrong${on}Status`;
    if (act === "Restore") return null;
    if (on === "Member" && object.status === ACTIVE) {
      const least = this.peak >= LEAST_MEMBERS ? LEAST_MEMBERS : 1;
      if (this.active() - 1 < least) return "TooFewMembers";
    }
    if (target > this.founders) return null;
    const missing = this.cities
      .slice(0, this.founders)
      .filter((city, index) => index + 1 === target || this.cityStatus(city) !== ACTIVE).length;
    return missing > Math.floor((this.founders - 1) / 3) ? "HubAtRisk" : null;
  }

  propose({ by, kind, target }) {
    const refused = this.caller(by) ?? this.refusal(kind, target);
    if (refused) return refused;
    const [deadline, voted] = [this.now + VOTING_PERIOD, {}];
    this.proposals.push({ kind, target, deadline, voted, status: VOTING, latest: 0 });
    return null;
  }

  proposalStatus({ status, deadline, latest }) {
    if (status === VOTING && this.now > deadline) return EXPIRED;
    if (status === PASSED && this.now > latest) return EXPIRED;
    return status;
  }

  tally({ kind, voted }) {
    const counted = (wanted) =>
      Object.entries(voted).filter(([id, yes]) => yes === wanted && this.member(id).status === ACTIVE).length;
    const present = this.members.filter(({ status }) => status !== REMOVED).length;
    const electorate = GRAVE.has(kind) ? present : this.active();
    const needed = GRAVE.has(kind) ? Math.ceil((electorate * 2) / 3) : Math.floor(electorate / 2) + 1;
    return { votesFor: counted(true), votesAgainst: counted(false), electorate, needed };
  }

  settle(proposal) {
    if (this.proposalStatus(proposal) !== VOTING) return;
    const tally = this.tally(proposal);
    if (tally.votesFor >= tally.needed) {
      Object.assign(proposal, { status: PASSED, latest: this.now + EXECUTION_PERIOD, tally });
    } else if (tally.electorate - tally.votesAgainst < tally.needed) {
      Object.assign(proposal, { status: REJECTED, tally });
    }
  }

  vote({ by, id, support }) {
    const refused = this.caller(by);
    if (refused) return refused;
    const proposal = this.proposals[id - 1];
    if (!proposal) return "UnknownProposal";
    if (this.proposalStatus(proposal) !== VOTING) return "NotVoting";
    if (by in proposal.voted) return "VotedAlready";
    proposal.voted[by] = support;
    // A fixed order of keys, so that the same votes are the same state.
    proposal.voted = Object.fromEntries(Object.entries(proposal.voted).sort());
    this.settle(proposal);
    return null;
  }

  execute({ id }) {
    const proposal = this.proposals[id - 1];
    if (!proposal) return "UnknownProposal";
    const before = this.copy();
    this.settle(proposal);
    const refused =
      this.proposalStatus(proposal) === PASSED ? this.refusal(proposal.kind, proposal.target) : "NotPassed";
    if (refused) {
      Object.assign(this, before);
      return refused;
    }
    proposal.status = EXECUTED;
    const [, act, on] = /^(Suspend|Restore|Remove)(Member|City)$/.exec(proposal.kind);
    const object = on === "Member" ? this.member(proposal.target) : this.cities[proposal.target - 1];
    object.status = STATUS_AFTER[act];
    this.peak = Math.max(this.peak, this.active());
    return null;
  }
}

/** All ways to pick `count` of a list. */
function subsets(list, count) {
  if (count === 0) return [[]];
  return list.flatMap((first, index) =>
    subsets(list.slice(index + 1), count - 1).map((it) => [first, ...it]),
  );
}

const city = (member, offer) => ({
  member,
  status: ACTIVE,
  offer: { ...offer },
  taken: Object.fromEntries(RESOURCES.map((resource) => [resource, 0])),
});

/** Does an operation on the contracts; `actors` are members' cities by number from 1. The error's name, or null. */
export async function perform(hub, actors, operation) {
  const from = actors[operation.by - 1] ?? actors[0];
  try {
    switch (operation.op) {
      case "wait":
        hub.now += BigInt(operation.seconds);
        break;
      case "create": {
        const { name, cities, want, concentrated } = operation;
        const owner = from.authority.address;
        const words = { name, cities, owner, allowConcentration: Boolean(concentrated), ...want };
        await hub.create(from, newSpecification(words));
        break;
      }
      case "suspend":
      case "resume":
      case "close":
        await hub.tell(from, "Applications", operation.op, operation.n);
        break;
      case "change": {
        const { n, leaving, joining, concentrated } = operation;
        await hub.tell(from, "Applications", "change", n, leaving, joining, Boolean(concentrated));
        break;
      }
      case "cancelChange":
        await hub.tell(from, "Applications", "cancelChange", operation.n);
        break;
      case "ready":
        await hub.tell(actors[operation.city - 1].node.address, "Applications", "ready", operation.ns);
        break;
      case "expel":
      case "rotate":
        await hub.tell(from, "Applications", operation.op, operation.city, operation.ns);
        break;
      case "rotateCity": {
        const member = actors[operation.by - 1];
        const words = { network: NETWORK, member: member.card.member };
        const next = newCity(words, { authority: member.authority });
        await hub.tell(from, "Cities", "rotate", operation.city, onChain(next.card), next.proof);
        // The actors are members' first cities, then further ones by number.
        actors.push(next);
        break;
      }
      case "show": {
        const { n, height, signed } = operation;
        // Of a chain that does not exist there is nothing to name.
        const count = await hub.ask("Applications", "count");
        const signers = signed.map((id) => actors[id - 1].node);
        const block = await newHandover(hub, Math.min(n, Number(count)), signers, { height: BigInt(height) });
        await show(hub, { ...block, n });
        break;
      }
      case "forget":
        await hub.tell(from, "Applications", "forget", operation.city, operation.index);
        break;
      case "offer": {
        const present = (await hub.ask("Cities", "city", operation.city)).offer.toObject();
        const offer = newOffer({ ...present, listed: [...present.listed], ...operation.offer });
        await hub.tell(from, "Cities", "setOffer", operation.city, offerTuple(offer));
        break;
      }
      case "retire":
        await hub.tell(from, "Cities", "retire", operation.city);
        break;
      case "propose":
        await hub.propose(from, operation.kind, operation.target);
        break;
      case "vote":
        await hub.vote(from, operation.id, operation.support);
        break;
      case "execute":
        await hub.tell(from, "Governance", "execute", operation.id);
        break;
      default:
        assert.fail(`unknown operation ${operation.op}`);
    }
    return null;
  } catch (error) {
    if (error instanceof Refused) return error.error;
    throw error;
  }
}

/** Asserts that the contracts show what the model has, and what has to hold whatever the model says. */
export async function compare(hub, model) {
  const members = await hub.ask("Members", "members", 1, 256);
  assert.deepEqual(
    members.map(({ status }) => Number(status)),
    model.members.map(({ status }) => status),
    "members",
  );
  const cities = await hub.ask("Cities", "cities", 1, 256);
  const placedOn = cities.map(() => []);
  const taken = cities.map(() => ({ gasPerSecond: 0n, bytesStored: 0n, chains: 0n, blocksPerSecond: 0n }));
  assert.equal(await hub.ask("Applications", "count"), BigInt(model.applications.length));
  for (const [index, expected] of model.applications.entries()) {
    const shown = await hub.ask("Applications", "application", index + 1);
    assert.equal(Number(shown.status), expected.status, `application ${index + 1}`);
    assert.deepEqual(ascending(shown.cities), ascending(expected.cities));
    const named = shown.validators.map((node) => [node, 1n]);
    assert.equal(shown.setHash, setHash(named), `set of application ${index + 1}`);
    const apart = await compareChange(hub, index + 1, expected, shown);
    const safety = (await hub.ask("Applications", "safetyOf", index + 1)).toObject();
    for (const [what, value] of Object.entries(model.safety(expected)))
      assert.equal(
        typeof value === "number" ? Number(safety[what]) : safety[what],
        value,
        `${what} of ${index + 1}`,
      );
    if (expected.status === CLOSED) continue;
    for (const id of [...expected.cities, ...apart]) {
      placedOn[id - 1].push(index + 1);
      for (const resource of RESOURCES) taken[id - 1][resource] += shown.taken[resource];
    }
  }
  for (const [index, expected] of model.cities.entries()) {
    const shown = cities[index];
    assert.equal(Number(shown.status), model.cityStatus(expected), `city ${index + 1}`);
    for (const resource of RESOURCES) {
      assert.equal(Number(shown.taken[resource]), expected.taken[resource], `${resource} of ${index + 1}`);
      // Not from the model: what is taken is what the applications there take.
      assert.equal(shown.taken[resource], taken[index][resource], `sum of ${resource} of ${index + 1}`);
    }
    // Nothing was ever placed where there is no application.
    if (model.applications.length === 0) continue;
    const list = (await hub.ask("Applications", "placedOn", index + 1, 0, 256)).map(Number);
    assert.deepEqual(list, model.placed[index], `list of city ${index + 1}`);
    for (const n of placedOn[index]) assert.ok(list.includes(n));
  }
  for (const [index, expected] of model.proposals.entries()) {
    const shown = await hub.ask("Governance", "proposal", index + 1);
    const tally = expected.tally ?? model.tally(expected);
    assert.equal(Number(shown.status), model.proposalStatus(expected), `proposal ${index + 1}`);
    for (const [what, value] of Object.entries(tally)) {
      assert.equal(Number(shown[what]), value, `${what} of proposal ${index + 1}`);
    }
  }
}

/** Asserts that the contracts show the same change of an application, and that it is one that may be. The cities on
 * which the application is placed besides its own. */
async function compareChange(hub, n, expected, { status, cities }) {
  const shown = await hub.ask("Applications", "changeOf", n);
  const [stage, leaving, joining] = [Number(shown.stage), ascending(shown.leaving), ascending(shown.joining)];
  const change = expected.change ?? { stage: 0, leaving: [], joining: [], ready: [] };
  assert.equal(stage, change.stage, `stage of ${n}`);
  assert.deepEqual(leaving, ascending(change.leaving), `leaving ${n}`);
  assert.deepEqual(joining, ascending(change.joining), `joining ${n}`);
  assert.deepEqual(ascending(shown.ready), ascending(change.ready), `ready of ${n}`);
  const { height } = await hub.ask("Applications", "handoverOf", n);
  assert.equal(Number(height), expected.height, `handover of ${n}`);
  const { validators } = await hub.ask("Applications", "genesisOf", n);
  const first = await hub.ask("Cities", "nodes", expected.first);
  assert.deepEqual([...validators].sort(), [...first].sort(), `first cities of ${n}`);
  // Not from the model: a change is over or not, and leaves the cities before a quorum that stays.
  assert.equal(stage !== 0, Number(status) === CHANGING);
  const before = stage === 2 ? cities.length - joining.length + leaving.length : cities.length;
  const most = Math.max(1, Math.floor((before - 1) / 3));
  assert.ok(leaving.length <= most, `too many leave ${n}`);
  // All that a change names: what a set may hold, and those that may leave it.
  assert.ok(new Set([...cities, ...leaving, ...joining]).size <= 100 + most, `too many for ${n}`);
  return stage === 1 ? joining : leaving;
}

const ascending = (numbers) => [...numbers].map(Number).sort((a, b) => a - b);

/** Does one operation on both, and asserts that they agree on it. */
export async function step(hub, actors, model, operation) {
  const { op } = operation;
  const moved = ["change", "ready", "expel", "rotate", "show"].includes(op)
    ? await named(hub, operation)
    : [];
  const expected = model.apply(operation);
  const found = await perform(hub, actors, operation);
  assert.equal(found, expected, JSON.stringify(operation));
  for (const { n, stage, set } of moved) {
    // A set that is named stays until its handover was shown; showing it names no other.
    if (stage !== 2n && op !== "show") continue;
    assert.equal(
      await hub.ask("Applications", "setHashOf", n),
      set,
      `another set for ${n} before its handover`,
    );
  }
  if (found === null && ["create", "change"].includes(op)) {
    for (const id of operation.cities ?? operation.joining) {
      const { offer, taken } = await hub.ask("Cities", "city", id);
      for (const resource of RESOURCES) assert.ok(taken[resource] <= offer[resource], "oversold");
    }
  }
  return found;
}

/** Stage and set of the applications that an operation is about. */
async function named(hub, { n, ns = [n] }) {
  const count = Number(await hub.ask("Applications", "count"));
  const all = [];
  for (const n of ns.filter((n) => n <= count)) {
    const { stage } = await hub.ask("Applications", "changeOf", n);
    all.push({ n, stage, set: await hub.ask("Applications", "setHashOf", n) });
  }
  return all;
}

/** A network of `founders`, then members admitted by vote up to `all`, each with one city; and its model. */
export async function begin(founders, all) {
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
