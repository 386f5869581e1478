// The hub's own validators change, a process for each city: an institution that joins serves without being asked, one that
// is removed by vote does not any more, and applications cite the hub across all that. A light client that believes
// genesis alone follows every change by certificates.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before } from "node:test";
import { Interface, toBigInt, toQuantity } from "ethers";
import { decodeCertificate, verifyBlockProof } from "./certificate.mjs";
import { Network } from "./cities.mjs";
import { commands } from "./commands.mjs";
import { PROGRAM, artifact, story, until } from "./harness.mjs";

const PLACES = ["CN SHA", "CN HGH", "CN NKG", "CN HFE"];
const VALIDATORS = "0x000000000000000000000000000000000000ca04";
const CONTRACT = new Interface(artifact("hub/Validators").abi);

const told = story(PROGRAM);
const { scenario } = told;

let network;
let done, ends, authority, idsOf, decide, at, goesOn;
let app;
/** What the light client knows: the network, its last block of the hub, and who signs the next. */
let light;

before(async () => {
  if (PROGRAM.skip) return;
  network = await Network.create("hub-set", PLACES.length, PLACES);
  await network.start();
  ({ done, ends, authority, idsOf, decide, at, goesOn } = commands(network));
});
after(async () => {
  if (told.failed) {
    for (const { number, process } of network.cities) console.log(`city ${number}: ${process?.stderr}`);
  }
  await network?.end();
});

/** Numbers of the cities that serve, as a city of this number reads its copy of the hub. */
async function serving(number) {
  const data = CONTRACT.encodeFunctionData("serving");
  const answer = await network.city(number).call("eth_call", { to: VALIDATORS, data }, "latest");
  const nodes = CONTRACT.decodeFunctionResult("serving", answer)[0].map(({ node }) => toBigInt(node));
  return network.cities
    .filter(({ address }) => nodes.includes(toBigInt(address)))
    .map((city) => city.number)
    .sort();
}

/** Waits until all of these say that exactly these cities serve. */
const serve = (numbers, readers) =>
  until(
    `${numbers.join(", ")} serve`,
    async () => {
      const read = await Promise.all(readers.map(serving));
      return read.every((found) => `${found}` === `${numbers}`);
    },
    30_000,
  );

/** Follows the hub from where the light client is to its newest block, each block by its certificate; says who signed. */
async function follow(number) {
  const city = network.city(number);
  if (!light) {
    const { networkId, chainId } = await city.call("causeway_getNetwork");
    const known = { networkId, chainId: toBigInt(chainId) };
    const genesis = verifyBlockProof(known, [], await city.call("causeway_getBlockProof", "0x0"));
    light = { network: known, height: 0, set: genesis.next.set, signers: new Set(), sizes: [4] };
  }
  const newest = await city.height();
  while (light.height < newest) {
    light.height += 1;
    const proof = await city.call("causeway_getBlockProof", toQuantity(light.height));
    const { next } = verifyBlockProof(light.network, light.set, proof);
    const { signatures } = decodeCertificate(proof.certificate);
    light.signers = new Set(signatures.map(({ address }) => toBigInt(address)));
    if (next.set) light.set = next.set;
    if (light.set.length !== light.sizes.at(-1)) light.sizes.push(light.set.length);
  }
}

/** Makes a block of the hub, which a city of this number takes in. */
async function write(number, text) {
  const [id] = await idsOf([number]);
  await done(["city", "offer", `${id}`, "--to", "members", "--chains", text], authority(number));
}

scenario("an application is there before the hub's validators change", async () => {
  const create = ["app", "create", "--name", "steady", "--cities", PLACES.join(",")];
  app = await done([...create, "--readers", "anyone", "--yes"], authority(1));
  await goesOn(app, [1, 2, 3, 4]);
  await follow(1);
  assert.equal(light.set.length, 4);
});

scenario("a fifth is voted in, follows, and serves", async () => {
  const fifth = await network.join("CN CAN");
  const card = join(fifth.data, "card.json");
  await decide([1, 2, 3], "admit", "--card", card, "--reason", "It runs a city in Canton.");
  await fifth.start();
  await serve([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]);
  assert.deepEqual(await idsOf([5]), [5]);
  await follow(2);
  assert.deepEqual(light.sizes, [4, 5]);
});

scenario("the fifth signs, and any one of five may be away", async () => {
  await network.city(4).stop();
  for (const chains of ["11", "12", "13"]) await write(1, chains);
  await follow(5);
  assert.deepEqual(
    [...light.signers].sort(),
    [1, 2, 3, 5].map((number) => toBigInt(network.city(number).address)).sort(),
  );
  await goesOn(app, [1, 2, 3]);
});

scenario("who is removed by vote serves no more, while it is away", async () => {
  const [fourth] = await idsOf([4]);
  await decide([1, 2, 3, 5], "remove", "--city", `${fourth}`, "--reason", "It closed.");
  await serve([1, 2, 3, 5], [1, 2, 3, 5]);
  await write(1, "14");
  await follow(5);
  assert.deepEqual(light.sizes, [4, 5, 4]);
});

scenario("applications go on across the changes, and one of the four may be away again", async () => {
  const [fourth] = await idsOf([4]);
  await until(
    "city 4 left the application",
    async () => {
      const { status, cities, change } = await done(["app", "show", "steady"]);
      return status === "active" && !cities.includes(fourth) && !change;
    },
    60_000,
  );
  await goesOn(app, [1, 2, 3]);
  // It cites a block of the hub that the fifth city, which is no founder's, may have certified.
  const { parentBeaconBlockRoot: cites } = await at(app, 1).call("eth_getBlockByNumber", "latest", false);
  const cited = await network.city(1).call("eth_getBlockByHash", cites, false);
  const { certificate } = await network.city(1).call("causeway_getBlockProof", cited.number);
  const signed = decodeCertificate(certificate).signatures.length;
  assert.ok(signed === 3 || signed === 4, `${signed} of four`);
  await network.city(3).stop();
  await write(1, "15");
  await network.city(3).start();
  await follow(1);
});

scenario("a city that begins from genesis follows through every change, and serves", async () => {
  const sixth = await network.join("CN SZX");
  const card = join(sixth.data, "card.json");
  await decide([1, 2, 3], "admit", "--card", card, "--reason", "It runs a city in Shenzhen.");
  await sixth.start();
  await serve([1, 2, 3, 5, 6], [1, 2, 3, 5, 6]);
  await follow(6);
  assert.deepEqual(light.sizes, [4, 5, 4, 5]);
});

scenario("a member withdraws its city: it serves no more, and may be retired", async () => {
  const retire = ["city", "retire", "6"];
  assert.match(await ends(1, retire, authority(6)), /validator of the hub/);
  assert.match(await ends(1, ["city", "withdraw", "6"], authority(1)), /does not speak for the member/);
  assert.equal((await done(["city", "withdraw", "6"], authority(6))).hub.withdrawn, true);
  await serve([1, 2, 3, 5], [1, 2, 3, 5, 6]);
  assert.equal((await done(["city", "show", "6"])).hub.standing, "no validator");
  await done(["city", "readmit", "6"], authority(6));
  await serve([1, 2, 3, 5, 6], [1, 2, 3, 5, 6]);
  await done(["city", "withdraw", "6"], authority(6));
  await serve([1, 2, 3, 5], [1, 2, 3, 5, 6]);
  assert.equal((await done(retire, authority(6))).status, "removed");
  await follow(1);
  assert.deepEqual(light.sizes, [4, 5, 4, 5, 4, 5, 4]);
});
