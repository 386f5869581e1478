// Hardhat 2: compiles, deploys and tests the project in `hardhat/` on the chain, from an account that owns nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Wallet } from "ethers";
import { here, run, startChain } from "./harness.mjs";

const poor = Wallet.createRandom();
let chain;

before(async () => {
  chain = await startChain();
  await chain.assertPoor(poor.address);
});
after(() => chain?.stop());

test("a project's tests pass on the chain", async (context) => {
  const { code, stdout, stderr } = await run(here("node_modules/.bin/hardhat"), ["test"], {
    cwd: here("hardhat"),
    env: {
      ...process.env,
      CAUSEWAY_TEST_URL: chain.rpc,
      CAUSEWAY_TEST_KEY: poor.privateKey,
      HARDHAT_DISABLE_TELEMETRY_PROMPT: "true",
      // Not the runner of this file: mocha's own output is read below.
      NODE_TEST_CONTEXT: undefined,
    },
    ms: 120_000,
  });
  assert.equal(code, 0, stdout + stderr);
  const passing = Number(/(\d+) passing/.exec(stdout)?.[1]);
  const pending = Number(/(\d+) pending/.exec(stdout)?.[1] ?? 0);
  context.diagnostic(`${passing} of Hardhat's tests pass`);
  assert.equal(passing + pending, 7, stdout);
});
