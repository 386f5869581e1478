// Who are the hub's validators, as the rule says it: plain lists that are sorted anew for every question. `apply` gives
// the name of the error that the contract has to refuse with, or null. And a network that both are played on.

import assert from "node:assert/strict";
import { toBigInt } from "ethers";
import { ADDRESSES, Hub, NETWORK, Refused, newCities, newCity, newKey, onChain, setHash } from "./hub.mjs";

export const [ACTIVE, SUSPENDED, REMOVED] = [1, 2, 3];
export const [NONE, WAITS, SERVES, TAKES_OVER] = [0, 1, 2, 3];
const SEATS = 31;
const PERIOD = 1024;
/** Of those that wait, one renewal looks at so many. */
const LOOKS = 40;

const longestFirst = (one, other) =>
  one.since - other.since || (toBigInt(one.node) < toBigInt(other.node) ? -1 : 1);

export class ValidatorsModel {
  constructor(nodes, height) {
    this.members = nodes.map(() => ({ status: ACTIVE }));
    this.cities = nodes.map((node, index) => ({ member: index + 1, node, status: ACTIVE, withdrew: 0 }));
    /** Entries: city, node, since; of one that serves also `heir`, who takes over from it. */
    this.serving = nodes.map((node, index) => ({ city: index + 1, node, since: height, heir: 0 }));
    this.waiting = [];
    this.period = 0;
    this.renewed = height;
  }

  apply(operation) {
    return this[operation.op](operation);
  }

  addMember(node) {
    this.members.push({ status: ACTIVE });
    this.cities.push({ member: this.members.length, node, status: ACTIVE, withdrew: 0 });
  }

  city(id) {
    return this.cities[id - 1];
  }

  isActive(id) {
    const { status, member } = this.city(id);
    return Math.max(status, this.members[member - 1].status) === ACTIVE;
  }

  /** Where a member has a city: the one that waits, that is to take over, or that serves. */
  candidateOf(member) {
    const of = (id) => id !== 0 && this.city(id).member === member;
    const heir = this.serving.find((it) => of(it.heir))?.heir;
    return heir ?? [...this.waiting, ...this.serving].find((it) => of(it.city))?.city ?? 0;
  }

  standing(id) {
    if (this.serving.some(({ city }) => city === id)) return SERVES;
    if (this.waiting.some(({ city }) => city === id)) return WAITS;
    return this.serving.some(({ heir }) => heir === id) ? TAKES_OVER : NONE;
  }

  ready({ city: id, height }) {
    const city = this.city(id);
    if (!this.isActive(id)) return "CityNotActive";
    if (city.withdrew === 2) return "IsWithdrawn";
    if (this.standing(id) !== NONE) {
      city.withdrew = 0;
      return null;
    }
    const present = this.candidateOf(city.member);
    const followers = [];
    for (let next = present; next && followers.length < 64; next = this.city(next).successor)
      followers.push(this.city(next).successor);
    if (present !== 0 && this.isActive(present) && !followers.includes(id)) return "CandidateAlready";
    city.withdrew = 0;
    this.waiting = this.waiting.filter((it) => it.city !== present);
    const own = this.serving.find((it) => this.city(it.city).member === city.member);
    if (own) own.heir = id;
    else this.waiting.push({ city: id, node: city.node, since: height });
    return null;
  }

  withdraw({ city: id, by }) {
    const city = this.city(id);
    const allowed = by === "node" || (by === city.member && this.members[by - 1].status !== REMOVED);
    if (!allowed) return "NotTheCitysMember";
    city.withdrew = Math.max(city.withdrew, by === "node" ? 1 : 2);
    this.waiting = this.waiting.filter((it) => it.city !== id);
    for (const entry of this.serving) if (entry.heir === id) entry.heir = 0;
    return null;
  }

  readmit({ city: id, by }) {
    const city = this.city(id);
    if (by !== city.member || this.members[by - 1].status === REMOVED) return "NotTheCitysMember";
    if (city.withdrew === 2) city.withdrew = 0;
    return null;
  }

  /** An act of the members, unless it keeps too many of those that serve away. */
  act({ member, city, status }) {
    const hit = (id) => id === city || this.city(id).member === member;
    const ids = this.serving.map((it) => it.city);
    const missing = ids.filter((id) => hit(id) || !this.isActive(id)).length;
    if (status !== ACTIVE && ids.some(hit) && missing > Math.floor((ids.length - 1) / 3)) return "HubAtRisk";
    const row = member ? this.members[member - 1] : this.city(city);
    row.status = status;
    return null;
  }

  rotate({ city: id, node }) {
    this.cities.push({ member: this.city(id).member, node, status: ACTIVE, withdrew: 0 });
    this.city(id).successor = this.cities.length;
    return null;
  }

  /** Who leaves, joins, leaves by turn, and is dropped, if the set were renewed now. */
  plan(height) {
    const most = Math.max(1, Math.floor((this.serving.length - 1) / 3));
    const serving = [...this.serving].sort(longestFirst);
    const waiting = [...this.waiting].sort(longestFirst);
    const replaced = ({ heir }) => heir !== 0 && this.isActive(heir);
    const away = serving.filter(({ city }) => !this.isActive(city));
    const wishes = serving.filter(
      (entry) => !away.includes(entry) && (this.city(entry.city).withdrew > 0 || replaced(entry)),
    );
    const leaving = [];
    for (const entry of [...away, ...wishes]) {
      if (leaving.length === most) break;
      const gone = leaving.filter((it) => !replaced(it)).length;
      if (replaced(entry) || serving.length - gone > 1) leaving.push(entry);
    }
    const heirs = leaving.filter(replaced).map(({ heir }) => heir);
    const size = serving.length - leaving.length + heirs.length;
    const seats = Math.min(SEATS - size, most);
    const full = size + seats === SEATS;
    const turns = full && Math.floor(height / PERIOD) > this.period ? most - leaving.length : 0;
    const [joining, dropped] = [[], []];
    for (const { city } of waiting.slice(0, LOOKS)) {
      if (joining.length === seats + turns) break;
      (this.isActive(city) ? joining : dropped).push(city);
    }
    const turned = serving
      .filter((entry) => !leaving.includes(entry))
      .slice(0, Math.max(0, joining.length - seats));
    return { most, leaving, heirs, joining, turned, dropped };
  }

  due(height) {
    const { leaving, joining, dropped } = this.plan(height);
    return leaving.length + joining.length + dropped.length > 0;
  }

  renew({ height }) {
    if (height <= this.renewed || !this.due(height)) return null;
    const { leaving, heirs, joining, turned, dropped } = this.plan(height);
    this.renewed = height;
    if (turned.length > 0) this.period = Math.floor(height / PERIOD);
    const gone = new Set([...leaving, ...turned].map(({ city }) => city));
    this.serving = this.serving.filter(({ city }) => !gone.has(city));
    this.waiting = this.waiting.filter(({ city }) => ![...joining, ...dropped].includes(city));
    const since = (city) => ({ city, node: this.city(city).node, since: height });
    for (const city of joining) this.serving.push({ ...since(city), heir: 0 });
    // Another city of the same member goes on with its time.
    for (const entry of leaving.filter(({ heir }) => heirs.includes(heir)))
      this.serving.push({ ...since(entry.heir), since: entry.since, heir: 0 });
    for (const { city } of turned) this.waiting.push(since(city));
    return null;
  }
}

/** A network whose members are made active, suspended, … by the word of `Governance` itself, without votes, and whose
 * blocks pass only when they are told to. */
export class Network {
  /** `founders` serve; `more` members with a city each do not. */
  static async begin(founders, more = 0) {
    const network = new Network();
    network.cities = newCities(founders);
    network.hub = await Hub.founded(network.cities);
    network.hub.height = 1n;
    network.model = new ValidatorsModel(
      network.cities.map(({ node }) => node.address),
      1,
    );
    for (let index = 0; index < more; ++index) await network.admit();
    return network;
  }

  /** Another beginning of the same network: what one does the other does not see. */
  save() {
    const state = this.hub.save();
    const model = structuredClone({ ...this.model });
    const { length } = this.cities;
    return () => {
      this.hub.load(state);
      this.model = Object.assign(Object.create(ValidatorsModel.prototype), structuredClone(model));
      this.cities.length = length;
    };
  }

  get height() {
    return Number(this.hub.height);
  }

  pass(blocks = 1) {
    this.hub.height += BigInt(blocks);
  }

  async tell(from, contract, method, ...args) {
    const told = await this.hub.tell(from, contract, method, ...args);
    this.hub.height -= 1n;
    return told;
  }

  async admit() {
    const city = newCity({ network: NETWORK });
    const as = ADDRESSES.Governance;
    const { result: member } = await this.tell(as, "Members", "admit", city.card.member, city.card.authority);
    await this.tell(as, "Cities", "admit", member, onChain(city.card), city.proof);
    this.cities.push(city);
    this.model.addMember(city.node.address);
    return this.cities.length;
  }

  /** One operation of the model, on the contracts: what it did, or a refusal. */
  async perform({ op, city, member, by, status, key }) {
    const node = city && this.cities[city - 1].node.address;
    const from = by === "node" ? node : by === "stranger" ? ADDRESSES.Members : this.authority(by);
    switch (op) {
      case "ready":
        return this.tell(node, "Validators", "ready");
      case "withdraw":
      case "readmit":
        return this.tell(from, "Validators", op, city);
      case "renew":
        return this.tell(ADDRESSES.Members, "Validators", "renew");
      case "rotate": {
        const { card, authority } = this.cities[city - 1];
        const words = { network: NETWORK, member: card.member };
        const next = newCity(words, { authority, node: key });
        this.cities.push(next);
        return this.tell(authority.address, "Cities", "rotate", city, onChain(next.card), next.proof);
      }
      default: {
        if (status !== ACTIVE) await this.hub.ask("Validators", "checkHub", member ?? 0, city ?? 0);
        const contract = member ? "Members" : "Cities";
        return this.tell(ADDRESSES.Governance, contract, "setStatus", member ?? city, status);
      }
    }
  }

  authority(member) {
    return member && this.cities[member - 1].authority.address;
  }

  /** Does an operation on both; they have to agree. The contract's answer, or null where it refused. */
  async step(asked) {
    const { height } = this;
    const key = asked.op === "rotate" ? newKey() : undefined;
    const operation = { ...asked, node: key?.address };
    const before = operation.op === "renew" ? this.model.plan(height) : null;
    const isFirst = height > this.model.renewed;
    const expected = this.model.apply({ ...operation, height });
    const told = await this.perform({ ...operation, key }).catch((error) => {
      if (error instanceof Refused) return error;
      throw error;
    });
    assert.equal(told instanceof Refused ? told.error : null, expected, JSON.stringify(operation));
    if (told instanceof Refused) return null;
    if (before && isFirst) assertPlan(told.events, before);
    return told;
  }

  /** Asserts that the contracts show what the model says, and what always has to be. */
  async compare() {
    const { hub, model } = this;
    const shown = (await hub.ask("Validators", "serving")).map((it) => it.toObject());
    const brief = ({ city, node, since, other, heir }) => [
      Number(city),
      node,
      Number(since),
      Number(other ?? heir ?? 0),
    ];
    const byCity = ([one], [other]) => one - other;
    assert.deepEqual(shown.map(brief).sort(byCity), model.serving.map(brief).sort(byCity), "who serves");
    const waiting = await this.waiting();
    assert.deepEqual(waiting.map(brief), [...model.waiting].sort(longestFirst).map(brief), "who waits");
    assert.equal(Number(await hub.ask("Validators", "waitingCount")), waiting.length);
    // Of many a fourth, in turns.
    const isAsked = (index) => model.cities.length < 20 || (index + this.height) % 4 === 0;
    for (const [index, { withdrew }] of model.cities.entries()) {
      if (!isAsked(index)) continue;
      const { standing, withdrew: by } = await hub.ask("Validators", "candidate", index + 1);
      assert.deepEqual([Number(standing), Number(by)], [model.standing(index + 1), withdrew], `${index + 1}`);
    }
    for (const [index] of model.members.entries()) {
      if (!isAsked(index)) continue;
      const of = Number(await hub.ask("Validators", "candidateOf", index + 1));
      assert.equal(of, model.candidateOf(index + 1), `member ${index + 1}`);
    }
    assert.equal(await hub.ask("Validators", "due"), model.due(this.height), "due");
    const [number, period] = await hub.ask("Validators", "lastRenewal");
    assert.deepEqual([Number(number), Number(period)], [model.renewed, model.period]);
    // Not from the model.
    assert.ok(shown.length >= 1 && shown.length <= SEATS, `${shown.length} serve`);
    const members = [...shown, ...waiting].map(({ city }) => model.city(Number(city)).member);
    assert.equal(new Set(members).size, members.length, "one city a member");
    const nodes = shown
      .map(({ node }) => node)
      .sort((one, other) => (toBigInt(one) < toBigInt(other) ? -1 : 1));
    const hash = setHash(nodes.map((node) => [node, 1n]));
    assert.equal(await hub.ask("Applications", "setHashOf", 0), hash, "the hash is of those that serve");
    const { validators } = await hub.ask("Applications", "application", 0);
    assert.deepEqual([...validators], nodes);
    const { missing, citiesMayFail } = await hub.ask("Applications", "safetyOf", 0);
    assert.ok(missing <= citiesMayFail, `${missing} of ${shown.length} are missing`);
  }

  /** All that wait, page by page. */
  async waiting(limit = 7) {
    const all = [];
    for (;;) {
      const behind = all.at(-1)?.city ?? 0;
      const page = await this.hub.ask("Validators", "waiting", behind, limit);
      all.push(...page.map((it) => it.toObject()));
      if (page.length < limit) return all;
    }
  }
}

/** Which cities events name that tell of one renewal. */
export function told(events) {
  const of = (name, why) =>
    events
      .filter((it) => it.name === name && (why === undefined || Number(it.args[1]) === why))
      .map(({ args }) => Number(args[0]));
  return { left: of("LeftHub"), turned: of("LeftHub", 3), joined: of("Joined"), dropped: of("Dropped") };
}

function assertPlan(events, { most, leaving, heirs, joining, turned, dropped }) {
  const sorted = (list) => [...list].sort((one, other) => one - other);
  const is = told(events);
  const left = [...leaving, ...turned].map(({ city }) => city);
  assert.ok(is.left.length <= most, `${is.left.length} leave at once, more than ${most}`);
  assert.deepEqual(sorted(is.left), sorted(left), "who leaves");
  assert.deepEqual(sorted(is.joined), sorted([...heirs, ...joining]), "who joins");
  assert.deepEqual(is.dropped, dropped, "who is dropped");
}
