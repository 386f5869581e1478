// The links of an idle chain of four cities: one keep-alive a link in ten seconds, counted by the kernel.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { here, PROGRAM, run } from "./harness.mjs";

/** How long is counted, in seconds. */
const SECONDS = 30;
/** Silence of a link after which a keep-alive is sent, in seconds. */
const KEEP_ALIVE = 10;
/** Pairs of four cities. */
const LINKS = 6;
/** A keep-alive and its acknowledgement. */
const EACH = 2;

/** A network that has nothing but its loopback, and this program in it. */
const ALONE = ["--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"'];
const possible = spawnSync("unshare", [...ALONE, "true"]).status === 0;

test(
  "the links of an idle chain send a keep-alive and its acknowledgement, and nothing else",
  { skip: PROGRAM.skip || (!possible && "needs unshare and ip, and the right to use them") },
  async () => {
    const command = [process.execPath, here("idle-links.mjs"), String(SECONDS)];
    const { code, stdout, stderr } = await run("unshare", [...ALONE, ...command], { ms: 90_000 });
    assert.equal(code, 0, stderr);
    const { busy, idle, unchanged } = JSON.parse(stdout);
    console.log(`four cities: ${busy} datagrams for four blocks, then ${idle} in ${SECONDS} s`);
    assert.ok(busy > 4 * LINKS, "the blocks were agreed on over the links");
    assert.ok(unchanged, "no block was added");
    // The first of them may be due at once.
    const most = LINKS * EACH * (Math.floor(SECONDS / KEEP_ALIVE) + 1);
    assert.ok(idle <= most, `${idle} datagrams, at most ${most} are keep-alives`);
  },
);
