// A network in one process: an application is placed on its cities by one transaction on the hub, and runs there.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Contract, JsonRpcProvider, Wallet, ZeroAddress } from "ethers";
import { APPLICATIONS, place, specification } from "./applications.mjs";
import { artifact, binary, Chain, post, PROGRAM, Process, until } from "./harness.mjs";

let folder;
let process_;
let ready;

async function start() {
  const args = ["dev", "--hub", "--cities", "4", "--port", "0", "--json", "--data", folder];
  process_ = new Process(binary(), args);
  ready = await process_.line((line) => {
    const event = JSON.parse(line);
    return event.event === "ready" && event;
  });
}

before(async () => {
  if (PROGRAM.skip) return;
  folder = mkdtempSync(join(tmpdir(), "causeway-network-"));
  await start();
});
after(async () => {
  await process_?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** The registry of applications, for the member with this number (from 0). */
function applications(context, member) {
  const provider = new JsonRpcProvider(ready.rpc, undefined, { cacheTimeout: -1 });
  context.after(() => provider.destroy());
  const wallet = new Wallet(ready.accounts[member].private_key, provider);
  return new Contract(APPLICATIONS, artifact("hub/Applications").abi, wallet);
}

const specified = (name, more) => specification(ready.accounts[0].address, name, [1, 2, 3, 4], more);

/** The chain at every city, once it is there. */
async function everywhere(chainId) {
  const chains = ready.cities.map(
    ({ rpc }) => new Chain({ rpc: `${rpc}/chain/${chainId}`, chain_id: chainId }),
  );
  for (const chain of chains) {
    await until(`chain ${chainId} at ${chain.rpc}`, async () => {
      const { status } = await post(
        chain.rpc,
        JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId" }),
      );
      return status === 200;
    });
  }
  return chains;
}

/** Sends nothing to itself from an account that every city holds, and gives the receipt of each city. */
async function useIt(chains, from) {
  const hash = await chains[0].call("eth_sendTransaction", { from, to: from, value: "0x0" });
  return Promise.all(chains.map((chain) => chain.receipt(hash)));
}

test("an application is placed by one transaction and runs on its four cities", PROGRAM, async (context) => {
  const registry = applications(context, 0);
  const started = Date.now();
  const { chainId, receipt } = await place(registry, specified("first-light"));
  const chains = await everywhere(chainId);
  const there = Date.now() - started;
  const receipts = await useIt(chains, ready.accounts[3].address);
  console.log(
    `there after ${there} ms, its first transaction final everywhere after ${Date.now() - started} ms`,
  );
  assert.equal(new Set(receipts.map(({ blockHash }) => blockHash)).size, 1);
  for (const chain of chains) {
    assert.equal(Number(await chain.call("eth_chainId")), chainId);
    for (const number of ["0x0", "0x1"]) {
      const block = await chain.call("eth_getBlockByNumber", number, false);
      assert.equal(block.parentBeaconBlockRoot, receipt.blockHash, "it cites the hub block that created it");
    }
    const [genesis, first] = await Promise.all(
      ["0x0", "0x1"].map((number) => chain.call("causeway_getBlockProof", number)),
    );
    assert.equal(genesis.certificate, "0x");
    assert.notEqual(first.certificate, "0x");
  }
});

test("what is not there is not found, and what is no number neither", PROGRAM, async () => {
  const request = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId" });
  for (const asked of ["4503599627370476", "1", "x", "", "99999999999999999999999"]) {
    const { status, body } = await post(`${ready.rpc}/chain/${asked}`, request);
    assert.equal(status, 404, asked);
    assert.match(body, /no chain/);
  }
});

test("the hub refuses a placement with a reason, and nothing begins", PROGRAM, async (context) => {
  const registry = applications(context, 0);
  const refused = [
    specified("first-light"),
    specified("x"),
    specified("no-cities", { cities: [] }),
    specified("unknown-city", { cities: [1, 2, 3, 9] }),
    specified("twice", { cities: [1, 2, 3, 3] }),
    specified("two-cities", { cities: [1, 2] }),
    specified("nobody", { owner: ZeroAddress }),
    specified("too-much", { gasPerSecond: 2n ** 63n }),
  ];
  const before = await registry.count();
  for (const one of refused) {
    await assert.rejects(registry.create.staticCall(one), (error) => {
      assert.equal(error.code, "CALL_EXCEPTION", one.name);
      // Four bytes at least: the name of an error of one of the four contracts.
      assert.match(error.data, /^0x[0-9a-f]{8}/, one.name);
      return true;
    });
  }
  const stranger = applications(context, 9);
  await assert.rejects(stranger.create.staticCall(specified("a-stranger-s")), { code: "CALL_EXCEPTION" });
  assert.equal(await registry.count(), before);
});

test(
  "a dozen applications run beside each other, and are there after a restart",
  PROGRAM,
  async (context) => {
    const registry = applications(context, 1);
    const placed = [];
    for (let index = 0; index < 12; index += 1) {
      placed.push(await place(registry, specified(`application-${index}`)));
    }
    assert.equal(new Set(placed.map(({ chainId }) => chainId)).size, 12);
    for (const { chainId } of placed) {
      const receipts = await useIt(await everywhere(chainId), ready.accounts[4].address);
      assert.deepEqual(new Set(receipts.map(({ blockNumber }) => blockNumber)), new Set(["0x1"]));
    }
    await process_.stop();
    await start();
    for (const { chainId } of placed) {
      const chains = await everywhere(chainId);
      for (const chain of chains) assert.equal(await chain.height(), 1);
    }
    const receipts = await useIt(await everywhere(placed[7].chainId), ready.accounts[4].address);
    assert.deepEqual(new Set(receipts.map(({ blockNumber }) => blockNumber)), new Set(["0x2"]));
  },
);
