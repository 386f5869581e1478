// Four cities, a process each, under a steady load, one of them with a clock that is wrong: set wrong while it runs, or
// wrong when it starts. The others go on, no block has its time, it says what is wrong with it, and when its clock is
// right again it takes its part, without which there would be no block.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { toBigInt, toQuantity } from "ethers";
import { Load, Network, Witness } from "./cities.mjs";
import { SETTABLE, WrongClock } from "./clock.mjs";
import { commands } from "./commands.mjs";
import { PROGRAM, story, until } from "./harness.mjs";

/** Transactions a second that are offered. */
const RATE = 40;
/** Blocks for which a clock stays wrong: its city would have made a quarter of them. */
const BLOCKS = 40;
/** What a fresh block may be ahead of a clock that is right, in milliseconds. */
const AHEAD = 500;
/** How far blocks of a chain under load may lie behind, in milliseconds: rounds that come to nothing take their time. */
const BEHIND = 5_000;
/** How soon a city makes a block again, in milliseconds: who missed 64 turns is tried again in the next 64. */
const PROPOSES = 40_000;
const YEAR = 365 * 24 * 3_600 * 1_000;
const OFFSETS = { "a year ahead": YEAR, "a year behind": -YEAR, "three seconds ahead": 3_000 };
const OPTIONS = { skip: PROGRAM.skip || SETTABLE.skip };
const FAR = "this city's clock is far from the median of the others";
const SET_BACK = "the clock is behind the latest block";

let net;
let clock;
let wrong;
let load;
let witness;
let app;
let goesOn;
const told = story(OPTIONS);
const { scenario } = told;

before(async () => {
  if (OPTIONS.skip) return;
  net = await Network.create("a wrong clock");
  clock = await WrongClock.make(net.folder);
  wrong = net.city(4);
  wrong.environment = clock.environment;
  await net.start();
  const { done, authority, ...more } = commands(net);
  goesOn = more.goesOn;
  const cities = net.cities.map(({ number }) => number).join(",");
  const create = ["app", "create", "--name", "timed", "--cities", cities, "--readers", "anyone", "--yes"];
  app = await done(create, authority(1));
  witness = new Witness(net);
  load = new Load(net, RATE);
  await witness.full(load, Date.now());
});
after(async () => {
  if (told.failed)
    for (const { number, process } of net.cities) console.log(`city ${number}: ${process?.stderr}`);
  await load?.stop();
  await witness?.stop();
  await net?.end();
  clock?.close();
});

/** Blocks of `city` from `first` to `last`: proposer, and time in milliseconds. */
async function blocksOf(city, first, last) {
  const numbers = Array.from({ length: last - first + 1 }, (_, index) => toQuantity(first + index));
  const blocks = await city.all(numbers.map((number) => ["eth_getBlockByNumber", number, false]));
  return blocks.map(({ miner, extraData }) => ({ proposer: toBigInt(miner), ms: Number(extraData) }));
}

/** Waits until the city whose clock was wrong makes a block above `height`. */
const makesBlock = (height) => {
  let next = height + 1;
  return until(
    "it makes a block",
    async () => {
      const latest = await wrong.height();
      const blocks = await blocksOf(wrong, next, latest);
      next = latest + 1;
      return blocks.some(({ proposer }) => proposer === toBigInt(wrong.address));
    },
    PROPOSES,
  );
};

/** How a clock becomes wrong. */
const WAYS = {
  async "is set"(ms) {
    clock.set(ms);
  },
  async "is found, at a start,"(ms) {
    await wrong.kill();
    clock.set(ms);
    await wrong.start();
  },
};

let scenarios = 0;
for (const [name, ms] of Object.entries(OFFSETS)) {
  for (const [way, become] of Object.entries(WAYS)) {
    const other = 1 + (scenarios++ % 3);
    scenario(`a clock ${way} ${name}: the others go on, and with the right time its city signs`, async () => {
      const [first] = net.cities;
      const before = wrong.process.stderr.length;
      const began = Date.now();
      await become(ms);
      const said = (what) => {
        const text = wrong.process.stderr.slice(way === "is set" ? before : 0);
        return text.split("\n").filter((line) => line.includes(what));
      };
      const set = Date.now();
      // Blocks that were under way have what time they have; a city that came back just now does not know them yet.
      const heights = await Promise.all(net.cities.map((city) => city.height()));
      const from = Math.max(...heights) + 3;
      await witness.full(load, set);
      await until("it says what is wrong with it", () => said(FAR).length > 0);
      const last = await until("it stays wrong for some blocks", async () => {
        const height = await first.height();
        return height >= from + BLOCKS && height;
      });
      for (const number of [4, 1, 2, 3]) await goesOn(app, [number, 1, 2, 3, 4]);
      for (const { proposer, ms } of await blocksOf(first, from, last)) {
        assert.notEqual(proposer, toBigInt(wrong.address), "a block of a wrong clock");
        const isNow = ms >= began - BEHIND && ms <= Date.now() + AHEAD;
        assert.ok(isNow, `a block of ${new Date(ms).toISOString()}`);
      }
      assert.ok(last - (await wrong.height()) < BLOCKS, "it follows");
      assert.equal(
        said(SET_BACK).length,
        ms < 0 ? 1 : 0,
        "once for all chains, however often it would propose",
      );

      clock.set(0);
      const right = Date.now();
      const height = await first.height();
      await wrong.signs(height + 1, 20_000);
      const signs = Date.now() - right;
      await makesBlock(height);
      console.log(
        `signs ${signs} ms after its clock was set right, makes a block after ${Date.now() - right} ms`,
      );
      assert.equal(said(FAR).length, 1, "once for all chains");
      // Now all of the three are needed.
      await net.city(other).kill();
      await witness.full(load, Date.now());
      await net.city(other).start();
      await goesOn(app, [1, 2, 3, 4]);
      for (const { process } of net.cities) assert.doesNotMatch(process.stderr, /panicked/);
    });
  }
}

scenario("nothing that was shown or accepted is lost", () => witness.assertNothingLost(load));
