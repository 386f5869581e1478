// Two of four cities of a parked chain are replaced, one after the other, and each that left is gone with all its data.
// A process for each city. The hub stands still then, two of its six being gone: the chain needs neither.

import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { after, before } from "node:test";
import { toBigInt, toQuantity } from "ethers";
import { decodeCertificate } from "./certificate.mjs";
import { Network } from "./cities.mjs";
import { commands } from "./commands.mjs";
import { PROGRAM, story, until } from "./harness.mjs";

const PLACES = ["CN SHA", "CN HGH", "CN NKG", "CN HFE", "CN SZH", "CN CAN"];

const told = story(PROGRAM);
const { scenario } = told;

let network;
let done, authority, at, goesOn;
let app;

before(async () => {
  if (PROGRAM.skip) return;
  network = await Network.create("replaced", PLACES.length, PLACES);
  await network.start();
  ({ done, authority, at, goesOn } = commands(network));
});
after(async () => {
  if (told.failed) {
    for (const { number, process } of network.cities) console.log(`city ${number}: ${process?.stderr}`);
  }
  await network?.end();
});

scenario("a chain of four cities takes a transaction, and is parked", async () => {
  const create = ["app", "create", "--name", "parked", "--cities", PLACES.slice(0, 4).join(",")];
  app = await done([...create, "--readers", "anyone", "--yes"], authority(1));
  await goesOn(app, [1, 2, 3, 4]);
});

for (const [leaving, joining] of [
  [3, 5],
  [4, 6],
]) {
  scenario(`city ${leaving} is replaced by city ${joining}, stopped and wiped`, async () => {
    const height = await at(app, 1).height();
    const [remove, add] = [leaving, joining].map((number) => PLACES[number - 1]);
    const change = ["app", "change", "parked", "--remove", remove, "--add", add, "--yes"];
    assert.equal((await done(change, authority(1))).status, "active");
    const city = network.city(leaving);
    await city.stop();
    rmSync(city.data, { recursive: true });
    assert.ok(!existsSync(city.data));
    // A block for the handover, and none else.
    await until("who joined has it", async () => (await at(app, joining).height()) === height + 1);
    assert.equal(await at(app, 1).height(), height + 1);
  });
}

/** Sends a transaction through the first of these, and waits until all have it, in a block that three of the four that
 * are its cities now have signed. */
async function isCertifiedBy(numbers) {
  const { blockNumber } = await goesOn(app, numbers);
  const { certificate } = await at(app, numbers[0]).call("causeway_getBlockProof", blockNumber);
  const signers = decodeCertificate(certificate).signatures.map(({ address }) => toBigInt(address));
  const cities = [1, 2, 5, 6].map((number) => toBigInt(network.city(number).address));
  assert.ok(signers.length >= 3 && signers.every((signer) => cities.includes(signer)));
  return Number(blockNumber);
}

scenario("the chain takes a transaction through a city that joined", async () => {
  const number = await isCertifiedBy([6, 1, 2, 5]);
  assert.equal(number, 4);
  for (let height = 0; height <= number; height += 1) {
    const ask = (city) => at(app, city).call("eth_getBlockByNumber", toQuantity(height), true);
    const [first, ...others] = await Promise.all([1, 2, 5, 6].map(ask));
    for (const block of others) assert.deepEqual(block, first);
  }
});

scenario("one of the first four is killed as well, and it takes another", async () => {
  await network.city(1).kill();
  await isCertifiedBy([5, 2, 6]);
});
