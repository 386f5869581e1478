// The hub's contracts in an EVM of this process: their real code at their fixed addresses, founded by the one system
// call, with a clock that tests set. Nothing of the program runs here; the formats are written from their description.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { Common, Hardfork, Mainnet } from "@ethereumjs/common";
import { createEVM } from "@ethereumjs/evm";
import { SimpleStateManager } from "@ethereumjs/statemanager";
import { Account, createAddressFromString, hexToBytes } from "@ethereumjs/util";
import { AbiCoder, Interface, TypedDataEncoder, Wallet, ZeroHash, concat, encodeRlp, getBytes } from "ethers";
import { hexlify, id as hashOf, keccak256, toBeArray, toBeHex, toBigInt, encodeBytes32String } from "ethers";
import { artifact, here } from "./harness.mjs";

export const ADDRESSES = {
  Members: "0x000000000000000000000000000000000000ca00",
  Cities: "0x000000000000000000000000000000000000ca01",
  Applications: "0x000000000000000000000000000000000000ca02",
  Governance: "0x000000000000000000000000000000000000ca03",
  Validators: "0x000000000000000000000000000000000000ca04",
};
export const SYSTEM = "0xfffffffffffffffffffffffffffffffffffffffe";
export const NETWORK = hashOf("a network of many cities");
export const PREFIX = 123_456n;
/** The hub's record means nothing to the contracts, which keep its bytes. */
export const HUB_RECORD = "0xf84601";
/** 2026-01-01. */
export const START = 1_767_225_600n;
export const DAY = 86_400n;

export const KIND = {
  AdmitMember: [1, ["tuple(uint64,bytes32,string,address,string,address,bytes32,string,string)", "bytes"]],
  SuspendMember: [2, ["uint32"]],
  RestoreMember: [3, ["uint32"]],
  RemoveMember: [4, ["uint32"]],
  RestoreAuthority: [5, ["uint32", "address"]],
  SuspendCity: [6, ["uint32"]],
  RestoreCity: [7, ["uint32"]],
  RemoveCity: [8, ["uint32"]],
  SetParameter: [9, ["bytes32", "uint64"]],
  ActivateFork: [10, ["string", "uint64"]],
};

const CARD_TYPES = {
  CityCard: [
    { name: "version", type: "uint64" },
    { name: "network", type: "bytes32" },
    { name: "member", type: "string" },
    { name: "authority", type: "address" },
    { name: "place", type: "string" },
    { name: "node", type: "address" },
    { name: "tlsFingerprint", type: "bytes32" },
    { name: "endpoint", type: "string" },
    { name: "rpc", type: "string" },
  ],
};
const CARD_DOMAIN = { name: "Causeway", version: "1" };
const GAS = 30_000_000n;

/** The ABI of all five: an error may come from another contract than the one that was called. */
const fragments = Object.keys(ADDRESSES).flatMap((name) => artifact(`hub/${name}`).abi);
export const errors = new Interface(fragments.filter(({ type }) => type === "error"));
const interfaces = Object.fromEntries(
  Object.keys(ADDRESSES).map((name) => [name, new Interface(artifact(`hub/${name}`).abi)]),
);

/** A contract refused: `name` and `args` of its error. */
export class Refused extends Error {
  constructor(what, data) {
    const parsed = data.length > 2 ? errors.parseError(data) : null;
    super(`${what}: ${parsed ? `${parsed.name}(${parsed.args.join(", ")})` : data}`);
    this.error = parsed?.name ?? data;
    this.args = parsed ? [...parsed.args] : [];
  }
}

/** Asserts that something is refused with this error and, where given, its first arguments. */
export async function refused(name, promise, ...args) {
  const error = await promise.then(
    () => assert.fail(`not refused with ${name}`),
    (reason) => reason,
  );
  assert.ok(error instanceof Refused, error.stack);
  assert.equal(error.error, name, error.message);
  assert.deepEqual(error.args.slice(0, args.length), args, name);
}

/** State in maps with a log of what was there before: a checkpoint costs nothing, however much there is. */
class JournaledState extends SimpleStateManager {
  checkpointSync() {
    this.undo ??= [];
    this.marks ??= [];
    this.rows ??= { account: new Map(), code: new Map(), storage: new Map() };
    this.marks.push(this.undo.length);
  }
  async commit() {
    this.marks.pop();
  }
  async revert() {
    const mark = this.marks.pop();
    while (this.undo.length > mark) {
      const [rows, key, before] = this.undo.pop();
      if (before === undefined) rows.delete(key);
      else rows.set(key, before);
    }
  }
  write(rows, key, value) {
    this.undo.push([rows, key, rows.get(key)]);
    rows.set(key, value);
  }
  async getAccount(address) {
    const account = this.rows.account.get(address.toString());
    return account && Object.assign(Object.create(Object.getPrototypeOf(account)), account);
  }
  async putAccount(address, account) {
    this.write(this.rows.account, address.toString(), account);
  }
  async deleteAccount(address) {
    this.write(this.rows.account, address.toString(), undefined);
  }
  async getCode(address) {
    return this.rows.code.get(address.toString()) ?? new Uint8Array(0);
  }
  async putCode(address, code) {
    this.write(this.rows.code, address.toString(), code);
    if (!(await this.getAccount(address))) await this.putAccount(address, new Account());
    await this.modifyAccountFields(address, { codeHash: getBytes(keccak256(code)) });
  }
  async getStorage(address, key) {
    return this.rows.storage.get(`${address}_${hexlify(key)}`) ?? new Uint8Array(0);
  }
  async putStorage(address, key, value) {
    this.write(this.rows.storage, `${address}_${hexlify(key)}`, value);
  }
}

/** A hub that can be asked, told, and taken back to an earlier moment. */
export class Hub {
  /** Code at the five addresses, not founded; `patch(name, code)` may give other code. */
  static async installed() {
    const hub = new Hub();
    const common = new Common({ chain: Mainnet, hardfork: Hardfork.Prague });
    hub.state = new JournaledState({ common });
    // Asked at every instruction: one answer an EIP is enough.
    const answers = new Map();
    const isActivated = common.isActivatedEIP.bind(common);
    common.isActivatedEIP = (eip) => {
      if (!answers.has(eip)) answers.set(eip, isActivated(eip));
      return answers.get(eip);
    };
    hub.evm = await createEVM({ common, stateManager: hub.state });
    hub.now = START;
    hub.height = 1n;
    for (const [name, address] of Object.entries(ADDRESSES)) {
      await hub.install(address, artifact(`hub/${name}`).deployedBytecode);
    }
    return hub;
  }

  /** Founded by `founders` (their number, or cities made by `newCity`). */
  static async founded(founders = 4, founding = {}) {
    const hub = await Hub.installed();
    hub.founders = typeof founders === "number" ? newCities(founders) : founders;
    await hub.found({ cities: hub.founders, ...founding });
    return hub;
  }

  async install(address, code) {
    const account = createAddressFromString(address);
    await this.state.putAccount(account, new Account());
    await this.state.putCode(account, hexToBytes(code));
  }

  /** Gas of the call, with the transaction's own. */
  async found({
    networkId = NETWORK,
    prefix = PREFIX,
    record = HUB_RECORD,
    cities,
    offer = newOffer(),
    ...as
  }) {
    const signed = cities.map((city) => [onChain(city.card), city.proof]);
    const founding = [networkId, prefix, record, signed, onChainOffer(offer)];
    return this.tell(as.from ?? SYSTEM, "Governance", "found", founding);
  }

  async call(from, contract, method, args) {
    const data = interfaces[contract].encodeFunctionData(method, args);
    const header = {
      number: this.height,
      timestamp: this.now,
      gasLimit: 60_000_000n,
      cliqueSigner: () => createAddressFromString(SYSTEM),
      coinbase: createAddressFromString(`0x${"00".repeat(20)}`),
      difficulty: 0n,
      prevRandao: new Uint8Array(32),
      baseFeePerGas: 0n,
      getBlobGasPrice: () => 1n,
    };
    // What a slot held before the transaction decides what a write costs (EIP-2200).
    this.state.originalStorageCache.clear();
    const { execResult } = await this.evm.runCall({
      caller: createAddressFromString(from),
      to: createAddressFromString(ADDRESSES[contract]),
      data: getBytes(data),
      gasLimit: GAS,
      block: { header },
    });
    await this.evm.journal.cleanup();
    const output = hexlify(execResult.returnValue);
    if (execResult.exceptionError) {
      const { error } = execResult.exceptionError;
      if (error !== "revert") throw new Error(`${contract}.${method} halts: ${error}`);
      throw new Refused(`${contract}.${method}`, output);
    }
    const used = execResult.executionGasUsed + intrinsicGas(data);
    const refund = execResult.gasRefund ?? 0n;
    return { output, gas: used - (refund < used / 5n ? refund : used / 5n), logs: execResult.logs ?? [] };
  }

  /** A transaction: the result, with `gas` and parsed `events`. */
  async tell(from, contract, method, ...args) {
    const { output, gas, logs } = await this.call(addressOf(from), contract, method, args);
    this.height += 1n;
    const events = logs.map(([address, topics, data]) => {
      const at = Object.entries(ADDRESSES).find(([, known]) => known === hexlify(address))[0];
      const log = { topics: topics.map((topic) => hexlify(topic)), data: hexlify(data) };
      const { name, args: values } = interfaces[at].parseLog(log);
      return { contract: at, name, args: [...values] };
    });
    const decoded = interfaces[contract].decodeFunctionResult(method, output);
    return { result: decoded.length > 0 ? decoded[0] : undefined, gas, events };
  }

  /** A question, which changes nothing. */
  async ask(contract, method, ...args) {
    return this.askAs(SYSTEM, contract, method, ...args);
  }

  async askAs(from, contract, method, ...args) {
    const mark = await this.mark();
    try {
      const { output } = await this.call(addressOf(from), contract, method, args);
      const decoded = interfaces[contract].decodeFunctionResult(method, output);
      return decoded.length === 1 ? decoded[0] : decoded;
    } finally {
      await mark.restore();
    }
  }

  /** This moment; `restore` comes back to it, once. Inner ones have to be restored first. */
  async mark() {
    const { now, height } = this;
    await this.state.checkpoint();
    return {
      restore: async () => {
        await this.state.revert();
        Object.assign(this, { now, height });
      },
    };
  }

  /** All of this moment, which `load` comes back to as often as wanted. */
  save() {
    const { account, code, storage } = this.state.rows;
    const { now, height } = this;
    return { account: new Map(account), code, storage: new Map(storage), now, height };
  }

  load({ account, code, storage, now, height }) {
    this.state.rows = { account: new Map(account), code, storage: new Map(storage) };
    this.state.undo = [];
    this.state.marks = [0];
    Object.assign(this, { now, height });
  }

  propose(from, name, ...args) {
    const [kind] = KIND[name];
    return this.tell(from, "Governance", "propose", kind, payload(name, ...args), "because").then(
      ({ result }) => result,
    );
  }

  vote(from, id, support = true) {
    return this.tell(from, "Governance", "vote", id, support);
  }

  /** Proposed, voted by all `voters` until it passed, executed. */
  async decide(voters, name, ...args) {
    const id = await this.propose(voters[0], name, ...args);
    for (const voter of voters) {
      const { status } = await this.ask("Governance", "proposal", id);
      if (status === 1n) await this.vote(voter, id);
    }
    return this.tell(voters[0], "Governance", "execute", id);
  }

  create(from, specification) {
    return this.tell(from, "Applications", "create", onChainSpecification(specification));
  }
}

const addressOf = (from) => (typeof from === "string" ? from : from.authority.address);

/** What a transaction costs before the first instruction (EIP-2028). */
function intrinsicGas(data) {
  return getBytes(data).reduce((sum, byte) => sum + (byte === 0 ? 4n : 16n), 21_000n);
}

export const payload = (name, ...args) => AbiCoder.defaultAbiCoder().encode(KIND[name][1], args);
export const parameterName = (text) => encodeBytes32String(text);

let keys = 0;
/** A key that no other call gives. */
export const newKey = () => new Wallet(hashOf(`key ${(keys += 1)}`));

/** A city with its keys and a signed card; `words` replace what the card says, before it is signed. */
export function newCity(words = {}, { authority = newKey(), node = newKey() } = {}) {
  const card = {
    version: 2n,
    network: ZeroHash,
    member: `Bank ${keys}`,
    authority: authority.address,
    place: "CN SHA",
    node: node.address,
    tlsFingerprint: keccak256(node.address),
    endpoint: "city.example:7000",
    rpc: "https://rpc.example",
    ...words,
  };
  return { authority, node, card, proof: signCard(node, card) };
}

export const newCities = (count) => Array.from({ length: count }, () => newCity());

/** The node key's signature of a card. */
export const signCard = (key, card) =>
  key.signingKey.sign(TypedDataEncoder.hash(CARD_DOMAIN, CARD_TYPES, card)).serialized;

export const onChain = (card) => CARD_TYPES.CityCard.map(({ name }) => card[name]);

export const newOffer = (changes = {}) => ({
  gasPerSecond: 1_000_000_000n,
  bytesStored: 1n << 40n,
  chains: 10_000n,
  blocksPerSecond: 1_000_000n,
  pricePerGasSecond: 7n,
  policy: 1n,
  listed: [],
  ...changes,
});
const onChainOffer = (offer) => Object.values(offer);
export const offerTuple = onChainOffer;

export const newSpecification = (changes = {}) => ({
  name: `app-${(keys += 1)}`,
  cities: [1n, 2n, 3n, 4n],
  owner: "0x00000000000000000000000000000000000000aa",
  gasLimit: 0n,
  gasPerSecond: 1_000_000n,
  bytesStored: 1n << 20n,
  blocksPerSecond: 10n,
  feeRule: 0n,
  admission: 2n,
  readers: 1n,
  minimumIntervalMs: 0n,
  allowConcentration: false,
  ...changes,
});
export const onChainSpecification = (specification) => Object.values(specification);

const number = (value) => (toBigInt(value) === 0n ? "0x" : hexlify(toBeArray(value)));

/** The record's canonical encoding, from its description. */
export function encodeRecord(record) {
  const listing = ([kind, root]) => [number(kind), root];
  return encodeRlp([
    number(1),
    number(record.chainId),
    number(record.genesisMs),
    number(record.gasLimit),
    number(record.feeRule),
    listing(record.admission),
    listing(record.readers),
    record.timeouts.map(number),
    number(record.minimumIntervalMs),
    record.forks.map(([name, activation]) => [hexlify(Buffer.from(name)), number(activation)]),
    number(record.development),
  ]);
}

/** keccak256(RLP [[address, power], …]). */
export const setHash = (set) =>
  keccak256(encodeRlp(set.map(([address, power]) => [address.toLowerCase(), number(power)])));

/** Numbers from a printed seed: xorshift of 32 bits. */
export function randomness(seed) {
  let state = seed >>> 0 || 1;
  const next = (bound) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % bound;
  };
  return { next, pick: (list) => list[next(list.length)] };
}
