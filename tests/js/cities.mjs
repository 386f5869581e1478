// Chains of several cities, for scenarios: four cities in one process (`DevelopmentCities`), or a process each
// (`Network`), which are killed, wiped, stopped and brought back; what they all have to agree on; and a load with a
// witness of everything that any of them showed.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Wallet, hexlify, randomBytes, toBigInt, toQuantity } from "ethers";
import * as verifier from "./certificate.mjs";
import { artifact, binary, Chain, Process, run, until } from "./harness.mjs";

/** How many requests one city is asked at a time. */
const AT_A_TIME = 100;
/** Part of the offered load that counts as full throughput, measured over a second. */
const FULL = 0.8;

/** Waits; for pace and for the length of a fault, never in place of a condition. */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A key that owns nothing; on a chain with free gas it can send. */
export const newKey = () => new Wallet(hexlify(randomBytes(32)));

/** A signed transaction without value, from `wallet`. */
export const signed = (wallet, { chainId }, fields = {}) =>
  wallet.signTransaction({ chainId, nonce: 0, to: wallet.address, gasLimit: 100_000, ...fields });

/** One city of a chain, asked over its own port. */
export class City extends Chain {
  constructor({ address, ...ready }, process) {
    super(ready, process);
    this.address = address;
    this.patience = 5_000;
  }

  /** Sends a signed transaction and gives its hash. */
  send(transaction) {
    return this.call("eth_sendRawTransaction", transaction);
  }

  /** Results of many requests, in order. */
  async all(requests) {
    const results = [];
    for (let from = 0; from < requests.length; from += AT_A_TIME) {
      const part = requests.slice(from, from + AT_A_TIME);
      results.push(...(await Promise.all(part.map(([method, ...params]) => this.call(method, ...params)))));
    }
    return results;
  }
}

/** Four cities in one process. */
export class DevelopmentCities {
  static async start(...args) {
    const process = new Process(binary(), ["dev", "--cities", "4", "--port", "0", "--json", ...args]);
    const ready = await process.line((line) => JSON.parse(line), 30_000);
    return new DevelopmentCities(ready, process);
  }

  constructor(ready, process) {
    this.ready = ready;
    this.process = process;
    this.chainId = ready.chain_id;
    this.accounts = ready.accounts;
    const { chain_id, accounts } = ready;
    this.cities = ready.cities.map((city) => new City({ ...city, chain_id, accounts }, process));
  }

  /** City `number`, from 1. */
  city(number) {
    return this.cities[number - 1];
  }

  stop(signal) {
    return this.process.stop(signal);
  }
}

/** A city that is a process of its own. */
export class CityProcess extends City {
  constructor(network, number, data, ports) {
    super({}, undefined);
    Object.assign(this, { network, number, data, ports });
    /** It runs and is not stopped. */
    this.up = false;
    /** How often it lost its data. */
    this.wipes = 0;
    /** What its process finds in its environment besides. */
    this.environment = {};
  }

  /** Makes its keys and its card; `city join` with `--network` in place of `city init` where `genesis` is given. */
  async init(where = "CN SHA", genesis = undefined) {
    const { listen, rpc } = this.ports;
    const place = ["--place", where, "--member", `Member ${this.number}`];
    const ports = ["--listen", `127.0.0.1:${listen}`, "--rpc", `127.0.0.1:${rpc}`];
    const command = genesis === undefined ? ["init"] : ["join", "--network", genesis];
    await succeeds("city", ...command, "--data", this.data, ...place, ...ports);
    this.address = JSON.parse(readFileSync(join(this.data, "card.json"), "utf8")).address;
  }

  /** Arguments that run it, under `genesis`. */
  runArguments(genesis = this.network.genesis) {
    return ["city", "run", "--data", this.data, "--genesis", genesis, "--json"];
  }

  /** Starts it and waits until it is ready. */
  async start() {
    const env = { ...process.env, ...this.environment };
    this.process = new Process(binary(), this.runArguments(), { env });
    const ready = await this.process.line((line) => JSON.parse(line), 30_000);
    Object.assign(this, { rpc: ready.rpc, ws: ready.ws, chainId: ready.chain_id, ready, up: true });
  }

  /** Ends it as a loss of its process does. */
  async kill() {
    this.up = false;
    await this.process.stop("SIGKILL");
  }

  /** Ends it in order. */
  async stop() {
    this.up = false;
    return this.process.stop();
  }

  /** Takes its data, log and tables or one of them; keys and configuration stay. It must not be running. */
  wipe(...folders) {
    for (const folder of folders) rmSync(join(this.data, folder), { recursive: true });
    this.wipes += 1;
  }

  /** Another city with the same keys, in a folder and at ports of its own, as a copied machine has. */
  async twin() {
    const ports = { listen: await freePort("udp"), rpc: await freePort("tcp") };
    const data = `${this.data}-twin`;
    mkdirSync(data, { mode: 0o700 });
    for (const file of ["node.key", "tls.key", "card.json"]) {
      copyFileSync(join(this.data, file), join(data, file));
    }
    const configuration = readFileSync(join(this.data, "city.toml"), "utf8")
      .replace(`:${this.ports.listen}"`, `:${ports.listen}"`)
      .replace(`:${this.ports.rpc}"`, `:${ports.rpc}"`);
    writeFileSync(join(data, "city.toml"), configuration, { mode: 0o600 });
    return new CityProcess(this.network, this.number, data, ports);
  }

  /** Stops it where it is, as a hanging machine does. */
  freeze() {
    this.up = false;
    this.process.child.kill("SIGSTOP");
  }

  /** Lets it go on. */
  thaw() {
    this.process.child.kill("SIGCONT");
    this.up = true;
  }

  /** Waits until a block that it holds is certified by its own signature as well, from `height` on. */
  async signs(height, ms) {
    await until(
      `city ${this.number} signs`,
      async () => {
        const latest = await this.height();
        if (latest < height) return false;
        const { certificate } = await this.call("causeway_getBlockProof", toQuantity(latest));
        const { signatures } = verifier.decodeCertificate(certificate);
        return signatures.some(({ address }) => toBigInt(address) === toBigInt(this.address));
      },
      ms,
    );
  }
}

/** Four cities, a process each, and their genesis. */
export class Network {
  /** Makes the keys of `count` cities and the genesis of their network, in `places` one after the other; starts
   * nothing. */
  static async create(name, count = 4, places = [], more = []) {
    const folder = mkdtempSync(join(tmpdir(), "causeway-cities-"));
    const network = new Network(folder);
    for (let number = 1; number <= count; number++) {
      const ports = { listen: await freePort("udp"), rpc: await freePort("tcp") };
      const city = new CityProcess(network, number, join(folder, `city-${number}`), ports);
      await city.init(places[number - 1]);
      network.cities.push(city);
    }
    network.genesis = await network.found(name, more);
    return network;
  }

  constructor(folder) {
    this.folder = folder;
    this.cities = [];
  }

  /** Makes the keys of a city that is to join, in `place`, and a card for this network; starts nothing. */
  async join(place) {
    const number = this.cities.length + 1;
    const ports = { listen: await freePort("udp"), rpc: await freePort("tcp") };
    const city = new CityProcess(this, number, join(this.folder, `city-${number}`), ports);
    await city.init(place, this.genesis);
    this.cities.push(city);
    return city;
  }

  /** Makes the genesis of a network called `name` of these cities, with `more` arguments, and gives its path. */
  async found(name, more = []) {
    const genesis = join(this.folder, `${name}.json`);
    const cards = this.cities.map(({ data }) => join(data, "card.json"));
    const files = ["--cards", ...cards, "--out", genesis];
    await succeeds("network", "create", "--name", name, ...files, ...more);
    return genesis;
  }

  /** City `number`, from 1. */
  city(number) {
    return this.cities[number - 1];
  }

  /** The cities that run. */
  get living() {
    return this.cities.filter(({ up }) => up);
  }

  async start() {
    await Promise.all(this.cities.map((city) => city.start()));
  }

  /** Ends everything and removes the folder. */
  async end() {
    await Promise.all(this.cities.map(({ process }) => process?.stop("SIGKILL")));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function succeeds(...args) {
  const { code, stderr } = await run(binary(), args);
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
}

/** A port of 127.0.0.1 that nobody uses now. */
export async function freePort(kind) {
  const socket =
    kind === "udp" ? createSocket("udp4").bind(0, "127.0.0.1") : createServer().listen(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

/** Sends a city's links what no city sends: noise, and the beginnings of QUIC connections with noise in them. */
export async function sendNoise(city, count) {
  const socket = createSocket("udp4");
  for (let sent = 0; sent < count; sent++) {
    const bytes = randomBytes(sent % 2 === 0 ? 1 + Math.floor(Math.random() * 1_400) : 1_200);
    // A long header of QUIC version 1, a first packet, with a connection id of 8 bytes.
    if (sent % 2 === 1) bytes.set([0xc0, 0, 0, 0, 1, 8]);
    await new Promise((resolve, reject) =>
      socket.send(bytes, city.ports.listen, "127.0.0.1", (error) => (error ? reject(error) : resolve())),
    );
  }
  socket.close();
  await once(socket, "close");
}

/** The receipt of a transaction from every city, within `ms`; they have to be the same. */
export async function receiptEverywhere(cities, hash, ms = 1_000) {
  const receipts = await Promise.all(
    cities.map((city) =>
      until(`a receipt for ${hash} from ${city.rpc}`, () => city.call("eth_getTransactionReceipt", hash), ms),
    ),
  );
  for (const receipt of receipts) assert.deepEqual(receipt, receipts[0]);
  return receipts[0];
}

/** Waits until all cities have the same head and nothing to do, and gives that block. */
export function settled(cities, ms = 15_000) {
  return until(
    "all cities have the same head and nothing to do",
    async () => {
      const heads = await Promise.all(
        cities.map((city) => city.call("eth_getBlockByNumber", "latest", false)),
      );
      const pools = await Promise.all(cities.map((city) => city.call("txpool_status")));
      const same = heads.every(({ hash }) => hash === heads[0].hash);
      return same && pools.every(({ pending }) => pending === "0x0") && heads[0];
    },
    ms,
  );
}

/** Every block, from genesis to the head, is the same in all cities: hash, state root and all else. */
export async function assertSameBlocks(cities) {
  const { number } = await settled(cities);
  const requests = Array.from({ length: Number(number) + 1 }, (_, height) => [
    "eth_getBlockByNumber",
    toQuantity(height),
    false,
  ]);
  const [first, ...others] = await Promise.all(cities.map((city) => city.all(requests)));
  for (const blocks of others) assert.deepEqual(blocks, first);
  for (const [height, block] of first.entries()) {
    if (height > 0) assert.equal(block.parentHash, first[height - 1].hash);
  }
}

/** Believes genesis, as one city tells it, and from then on nothing without a certificate. The chain's validators
 * must not change meanwhile. */
export class LightClient {
  static async of(city) {
    const { networkId, chainId, genesisHash } = await city.call("causeway_getNetwork");
    const network = { networkId, chainId: toBigInt(chainId) };
    const genesis = await city.call("causeway_getBlockProof", "0x0");
    const { hash, next } = verifier.verifyBlockProof(network, [], genesis);
    assert.equal(hash, genesisHash);
    return new LightClient(network, next.set, next.setHash);
  }

  constructor(network, set, setHash) {
    Object.assign(this, { network, set, setHash });
  }

  /** Checks the block that `city` shows at `tag`: `{header, hash, signers}`. */
  async block(city, tag) {
    const proof = await city.call("causeway_getBlockProof", tag);
    const { header, hash, next } = verifier.verifyBlockProof(this.network, this.set, proof);
    assert.equal(next.setHash, this.setHash, "the validators are the same");
    const { signatures } = verifier.decodeCertificate(proof.certificate);
    return { header, hash, signers: new Set(signatures.map(({ address }) => address)) };
  }
}

/** Watches everything that the cities of a network show: each block of each of them, as soon as it is shown. */
export class Witness {
  constructor(network) {
    this.network = network;
    /** Transactions that some city gave a receipt for: hash to `{blockHash, at}`. */
    this.shown = new Map();
    /** Hash of the block at a height, from the first city that showed it. */
    this.blocks = new Map();
    /** Heights at which two cities showed different blocks. */
    this.forks = [];
    /** Up to which height each city was looked at. */
    this.heights = new Map(network.cities.map((city) => [city, 0]));
    this.running = true;
    this.watches = network.cities.map((city) => this.watch(city));
  }

  async watch(city) {
    let next = 1;
    while (this.running) {
      try {
        const latest = city.up ? await city.height() : 0;
        for (; next <= latest && this.running; next++) {
          await this.look(city, next);
          this.heights.set(city, next);
        }
      } catch {
        // The city is down, or went down in the middle; what it showed before counts.
      }
      await pause(20);
    }
  }

  /** The height up to which every city's blocks were seen. */
  get seen() {
    return Math.min(...this.heights.values());
  }

  async look(city, height) {
    const receipts = await city.call("eth_getBlockReceipts", toQuantity(height));
    const at = Date.now();
    for (const { transactionHash, blockHash } of receipts) {
      const known = this.blocks.get(height) ?? blockHash;
      this.blocks.set(height, known);
      if (known !== blockHash) this.forks.push({ height, known, blockHash, city: city.number });
      if (!this.shown.has(transactionHash)) this.shown.set(transactionHash, { blockHash, at });
    }
  }

  /** How many transactions were first shown since a moment. */
  since(at) {
    let count = 0;
    // The newest ones are the last.
    for (const shown of [...this.shown.values()].reverse()) {
      if (shown.at < at) break;
      count += 1;
    }
    return count;
  }

  /** Waits until, over a second that began no sooner than `since`, as much became final as `load` offers; gives the
   * milliseconds since then. */
  async full(load, since, ms = 10_000) {
    await until(
      "full throughput",
      () => {
        const from = Date.now() - 1_000;
        return from >= since && this.since(from) >= FULL * load.perSecond;
      },
      ms,
    );
    return Date.now() - since;
  }

  /** Ends `load` and this. All cities hold the same chain, and in it everything that any of them ever showed and all that
   * was accepted, unless the city that accepted it lost its disk. */
  async assertNothingLost(load) {
    await load.stop();
    const { cities } = this.network;
    const { number } = await settled(cities);
    await until("the witness saw all", () => this.seen >= Number(number));
    await this.stop();
    assert.deepEqual(this.forks, []);
    await assertSameBlocks(cities);
    const shown = [...this.shown];
    assert.ok(shown.length > 10 * load.perSecond, "there was a load");
    for (const city of cities) {
      const receipts = await city.all(shown.map(([hash]) => ["eth_getTransactionReceipt", hash]));
      for (const [place, receipt] of receipts.entries()) {
        assert.equal(
          receipt?.blockHash,
          shown[place][1].blockHash,
          `city ${city.number}: ${shown[place][0]}`,
        );
      }
    }
    const lost = [...load.accepted].filter(([hash]) => !this.shown.has(hash));
    console.log(
      `${load.sent} sent, ${load.accepted.size} accepted, ${shown.length} final, ${lost.length} lost with a disk`,
    );
    const unexplained = lost.filter(([, { city, wipes }]) => city.wipes === wipes);
    assert.deepEqual(
      unexplained.map(([hash]) => hash),
      [],
    );
    assert.deepEqual(load.refused, [], "nothing was refused");
  }

  async stop() {
    this.running = false;
    await Promise.all(this.watches);
  }
}

/** Steady transactions, each from a new key, to all living cities in turn; every tenth makes a contract. */
export class Load {
  constructor(network, perSecond) {
    this.network = network;
    this.perSecond = perSecond;
    /** Transactions whose hash a city answered: hash to the city and its number of wipes then. */
    this.accepted = new Map();
    this.refused = [];
    this.sent = 0;
    this.underWay = new Set();
    this.running = true;
    this.loop = this.send();
  }

  async send() {
    const started = Date.now();
    while (this.running) {
      const due = ((Date.now() - started) * this.perSecond) / 1000;
      const { living } = this.network;
      if (living.length > 0 && this.sent < due && this.underWay.size < 200) {
        const sending = this.one(living[this.sent++ % living.length]);
        this.underWay.add(sending);
        sending.finally(() => this.underWay.delete(sending));
      }
      await pause(this.sent < due ? 0 : 1000 / this.perSecond);
    }
  }

  async one(city) {
    const creation = { to: undefined, data: artifact("Box").bytecode, gasLimit: 1_000_000 };
    const transaction = await signed(newKey(), city, this.sent % 10 === 0 ? creation : {});
    const { wipes } = city;
    try {
      this.accepted.set(await city.send(transaction), { city, wipes });
    } catch (error) {
      // A city that goes down in the middle answers nothing; a refusal has a code of JSON-RPC.
      if (error.code < 0 && city.up) this.refused.push(error);
    }
  }

  async stop() {
    this.running = false;
    await this.loop;
    await Promise.all(this.underWay);
  }
}
