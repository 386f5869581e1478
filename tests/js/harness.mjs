// What every suite shares: starting the program, asking it in plain JSON-RPC, waiting for a condition, and the
// contracts that are deployed. It knows no client library but for keys.
//
// What is tested is `CAUSEWAY_BIN`; with `CAUSEWAY_TEST_URL` (and `CAUSEWAY_TEST_WS`) a chain that already
// runs; with `ANVIL=1` anvil, to try the suites themselves: tests of what is Causeway's own are skipped then.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { HDNodeWallet, Mnemonic } from "ethers";

const require = createRequire(import.meta.url);

/** The suites run against anvil. */
export const ANVIL = Boolean(process.env.ANVIL);
/** Option of a test that only Causeway can pass. */
export const OURS = { skip: ANVIL && "anvil differs here" };
/** Option of a test that starts the program itself, with arguments of its own. */
export const PROGRAM = { skip: !process.env.CAUSEWAY_BIN && "needs CAUSEWAY_BIN" };
/** What MetaMask fills in, in wei, whatever the chain answers. */
export const METAMASK_FEE = 1_500_000_000n;

/** The program under test. */
export function binary() {
  assert.ok(process.env.CAUSEWAY_BIN, "set CAUSEWAY_BIN to the program under test");
  return process.env.CAUSEWAY_BIN;
}

/** Path of a file, relative to this folder. */
export const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** A contract of ours. */
export const artifact = (name) =>
  JSON.parse(readFileSync(here(`../../contracts/artifacts/${name}.json`), "utf8"));

/** A contract of OpenZeppelin's, compiled by them. */
export const openzeppelin = (name) => require(`@openzeppelin/contracts/build/contracts/${name}.json`);

/** Asks `condition` until it gives something true, and returns that; fails after `ms` milliseconds. */
export async function until(what, condition, ms = 10_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, `not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Scenarios of which each goes on where the one before ended: `{scenario, failed}`. After a failure there is nothing
 * to go on with: `failed` is the name of the one that failed, the others are skipped. */
export function story(options) {
  const told = {
    failed: undefined,
    scenario(name, body) {
      test(name, options, async (context) => {
        if (told.failed) return context.skip(`after the failure of "${told.failed}"`);
        told.failed = name;
        await body(context);
        told.failed = undefined;
      });
    },
  };
  return told;
}

/** A running child process whose output is kept. */
export class Process {
  constructor(command, args, options = {}) {
    this.child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    this.stdout = "";
    this.stderr = "";
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
    this.child.stdout.on("data", (data) => (this.stdout += data));
    this.child.stderr.on("data", (data) => (this.stderr += data));
    this.exited = once(this.child, "close").then(([code, signal]) => ({ code, signal }));
    this.exited.catch(() => {});
  }

  /** The next line of standard output for which `parse` gives something; fails when the output ends. */
  async line(parse, ms = 20_000) {
    const timer = setTimeout(() => this.child.kill("SIGKILL"), ms);
    try {
      for (;;) {
        const { value, done } = await this.lines.next();
        assert.ok(!done, `the program ended before it was ready: ${this.stderr}`);
        const parsed = parse(value);
        if (parsed) return parsed;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the process and gives `{code, signal, ms}`; after `ms` it is killed. */
  async stop(signal = "SIGTERM", ms = 5_000) {
    const started = Date.now();
    if (this.child.exitCode === null) this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill("SIGKILL"), ms);
    const end = await this.exited;
    clearTimeout(timer);
    return { ...end, ms: Date.now() - started };
  }
}

/** Runs a command to its end: `{code, signal, stdout, stderr}`. */
export async function run(command, args, { ms = 60_000, ...options } = {}) {
  const process = new Process(command, args, options);
  const timer = setTimeout(() => process.child.kill("SIGKILL"), ms);
  const end = await process.exited;
  clearTimeout(timer);
  return { ...end, stdout: process.stdout, stderr: process.stderr };
}

/** A chain under test. */
export class Chain {
  constructor({ rpc, ws, chain_id, accounts }, process) {
    this.rpc = rpc;
    this.ws = ws;
    this.chainId = chain_id;
    this.accounts = accounts;
    this.process = process;
    /** How long one request may take, in milliseconds. */
    this.patience = 60_000;
  }

  /** The whole answer to one request. */
  async ask(method, params = []) {
    const request = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const { body } = await post(this.rpc, request, {}, this.patience);
    return body;
  }

  /** The result of one request; an error is thrown with `code` and `data`. */
  async call(method, ...params) {
    const { result, error } = await this.ask(method, params);
    if (error) throw Object.assign(new Error(`${method}: ${error.message}`), error);
    return result;
  }

  /** The error of one request that has to fail. */
  async refusal(method, ...params) {
    const answer = await this.ask(method, params);
    assert.ok(answer.error, `${method} was not refused: ${JSON.stringify(answer)}`);
    return answer.error;
  }

  /** The receipt of a transaction, once there is one. */
  receipt(hash) {
    return until(`a receipt for ${hash}`, () => this.call("eth_getTransactionReceipt", hash));
  }

  /** Number of the latest block. */
  async height() {
    return Number(await this.call("eth_blockNumber"));
  }

  /** Makes sure that an account owns nothing, as the suites want it; on anvil, where gas has a price, gives it
   * some money. */
  async assertPoor(address) {
    if (ANVIL) await this.call("anvil_setBalance", address, "0xde0b6b3a7640000");
    else assert.equal(await this.call("eth_getBalance", address, "latest"), "0x0");
  }

  /** The chain still takes in a transaction and makes a block of it. */
  async assertServes() {
    const [{ address }] = this.accounts;
    const hash = await this.call("eth_sendTransaction", { from: address, to: address, value: "0x1" });
    assert.equal((await this.receipt(hash)).status, "0x1");
  }

  async stop(signal) {
    return this.process?.stop(signal);
  }
}

/** Sends one HTTP request, which may take `ms` milliseconds: `{status, headers, body}`, the body parsed where it is
 * JSON. */
export async function post(url, body, headers = {}, ms = 60_000) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
    signal: AbortSignal.timeout(ms),
  });
  const text = await response.text();
  let parsed = text;
  try {
    parsed = JSON.parse(text);
  } catch {
    // Not JSON: the text is what there is.
  }
  return { status: response.status, headers: response.headers, body: parsed };
}

/** Starts a chain for tests; `args` are further arguments of `causeway dev`. */
export async function startChain(...args) {
  if (process.env.CAUSEWAY_TEST_URL) return externalChain();
  if (ANVIL) return startAnvil();
  const child = new Process(binary(), ["dev", "--port", "0", "--json", ...args]);
  const ready = await child.line((line) => {
    const event = JSON.parse(line);
    return event.event === "ready" && event;
  });
  return new Chain(ready, child);
}

function externalChain() {
  const rpc = process.env.CAUSEWAY_TEST_URL;
  const ws = process.env.CAUSEWAY_TEST_WS ?? rpc.replace(/^http/, "ws");
  return new Chain({ rpc, ws, chain_id: 31337, accounts: developmentAccounts() });
}

async function startAnvil() {
  const child = new Process(here("node_modules/.bin/anvil"), ["--port", "0"]);
  const address = await child.line((line) => /Listening on (\S+)/.exec(line)?.[1]);
  const ready = { rpc: `http://${address}`, ws: `ws://${address}`, chain_id: 31337 };
  return new Chain({ ...ready, accounts: developmentAccounts() }, child);
}

/** The ten accounts of the mnemonic that development tools share. */
export function developmentAccounts() {
  const mnemonic = Mnemonic.fromPhrase(`${"test ".repeat(11)}junk`);
  return Array.from({ length: 10 }, (_, index) => {
    const { address, privateKey } = HDNodeWallet.fromMnemonic(mnemonic, `m/44'/60'/0'/0/${index}`);
    return { address, private_key: privateKey };
  });
}
