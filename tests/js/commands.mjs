// What operators do to a network of processes, by the documented commands, and applications as its cities have them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Wallet } from "ethers";
import { APPLICATIONS, GAS, REGISTRY } from "./applications.mjs";
import { City, newKey, receiptEverywhere, signed } from "./cities.mjs";
import { binary, run } from "./harness.mjs";

/** The commands against the hub of `network`, by its city 1. */
export function commands(network) {
  /** Runs a command with the hub and, where there is one, a member's key; gives code, result and what it said. */
  async function causeway(args, { key, json = true } = {}) {
    const hub = ["--hub", network.city(1).rpc];
    const more = [...hub, ...(key ? ["--key", key] : []), ...(json ? ["--json"] : [])];
    const { code, stdout, stderr } = await run(binary(), [...args, ...more], { ms: 90_000 });
    assert.doesNotMatch(stderr, /panicked/);
    return { code, stdout, stderr };
  }

  /** A command that has to be done, and its JSON. */
  async function done(args, key) {
    const { code, stdout, stderr } = await causeway(args, { key });
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** A command that has to end with `wanted`, and what it said. */
  async function ends(wanted, args, key) {
    const { code, stdout, stderr } = await causeway(args, { key });
    assert.equal(code, wanted, `${args.join(" ")}: ${stdout}${stderr}`);
    assert.equal(stdout, "");
    return stderr;
  }

  /** The key that speaks for member `number`. */
  const authority = (number) => join(network.folder, `city-${number}`, "authority.key");

  /** What the hub calls the cities with these numbers. */
  async function idsOf(numbers) {
    const { cities } = await done(["city", "list"]);
    return numbers.map((number) => cities.find(({ node }) => node === network.city(number).address).id);
  }

  /** Proposes this, and has `voters` vote for it in turn, the first of whom proposes, until it is executed. */
  async function decide(voters, ...act) {
    const propose = ["governance", "propose", ...act, "--vote"];
    const { id, ...proposal } = await done(propose, authority(voters[0]));
    let { status } = proposal;
    for (const voter of voters.slice(1)) {
      if (status !== "in the vote") break;
      ({ status } = await done(["governance", "vote", `${id}`, "--yes"], authority(voter)));
    }
    return done(["governance", "execute", `${id}`], authority(voters[0]));
  }

  /** An application as a city of this number has it. */
  const at = ({ chain_id }, number) =>
    new City({ rpc: `${network.city(number).rpc}/chain/${chain_id}`, chain_id });

  /** Sends a transaction through one city, and waits until all of these have it. */
  async function goesOn(app, numbers) {
    const cities = numbers.map((number) => at(app, number));
    const hash = await cities[0].send(await signed(newKey(), { chainId: app.chain_id }));
    return receiptEverywhere(cities, hash, 10_000);
  }

  /** Sends what member `number` tells the registry of applications through city `through`, and waits for nothing; gives
   * the transaction's hash. */
  async function tell({ number, through = 1, nonce }, method, ...args) {
    const city = network.city(through);
    const wallet = new Wallet(readFileSync(authority(number), "utf8").trim());
    nonce ??= Number(await city.call("eth_getTransactionCount", wallet.address, "pending"));
    const data = REGISTRY.encodeFunctionData(method, args);
    return city.send(await signed(wallet, city, { nonce, to: APPLICATIONS, data, gasLimit: GAS }));
  }

  return { causeway, done, ends, authority, idsOf, decide, at, goesOn, tell };
}
