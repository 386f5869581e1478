// The guide `docs/guides/found-a-network.md`, run as it stands: every command of it, in its order, in one shell.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { freePort } from "./cities.mjs";
import { binary, here, PROGRAM, run } from "./harness.mjs";

/** The guide's commands, with ports that are free here in place of its own. */
async function commands() {
  const guide = readFileSync(here("../../docs/guides/found-a-network.md"), "utf8");
  let script = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block).join("");
  const ports = new Map();
  for (const [, port] of script.matchAll(/127\.0\.0\.1:(\d+)/g)) {
    if (!ports.has(port)) ports.set(port, await freePort(port.startsWith("7") ? "udp" : "tcp"));
  }
  assert.equal(ports.size, 10, "five cities with two ports each");
  script = script.replace(/127\.0\.0\.1:(\d+)/g, (_, port) => `127.0.0.1:${ports.get(port)}`);
  return { script, port: (written) => ports.get(written) };
}

test("the guide founds a network, as it says", PROGRAM, async () => {
  const folder = mkdtempSync(join(tmpdir(), "causeway-guide-"));
  try {
    mkdirSync(join(folder, "bin"));
    symlinkSync(binary(), join(folder, "bin", "causeway"));
    mkdirSync(join(folder, "work"));
    const { script } = await commands();
    const whole = `set -eu\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n${script}`;
    const { code, stdout, stderr } = await run("bash", ["-c", whole], {
      cwd: join(folder, "work"),
      env: { ...process.env, PATH: `${join(folder, "bin")}:${process.env.PATH}` },
      ms: 180_000,
    });
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /panicked/);
    const words = ["Bank of Shanghai", "tickets", "cargo", "executed", "removed", "Handed over: with block"];
    for (const wanted of [...words, "may fail after: 1 of 4 cities, 1 of 4 institutions"]) {
      assert.ok(stdout.includes(wanted) || stderr.includes(wanted), `${wanted}:\n${stdout}\n${stderr}`);
    }
    const changes = stderr.match(/the chain hands over: with block \d+, 0x[0-9a-f]{64}, shown to the hub/g);
    assert.equal(changes?.length, 3, stderr);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
