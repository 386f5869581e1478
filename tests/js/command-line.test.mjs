// Bad input on the command line: ports and data folders that cannot be used. Each gets one clear line on stderr and
// an exit code other than 0, and a chain that already runs goes on.

import assert from "node:assert/strict";
import {
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
  openSync,
  closeSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { binary, PROGRAM, run, startChain, until } from "./harness.mjs";

const ROOT = { skip: PROGRAM.skip || (process.getuid() !== 0 && "needs root, to mount a file system") };

/** A folder that is gone after the test, with what was mounted on it. */
function folder(context) {
  const path = mkdtempSync(join(tmpdir(), "causeway-test-"));
  context.after(async () => {
    if (ROOT.skip === false) await run("umount", ["-l", path]);
    rmSync(path, { recursive: true, force: true });
  });
  return path;
}

async function start(context, ...args) {
  const chain = await startChain(...args);
  context.after(() => chain.stop("SIGKILL"));
  return chain;
}

/** Runs `causeway dev` where it has to fail: its one line on stderr. */
async function failure(...args) {
  const { code, signal, stdout, stderr } = await run(binary(), ["dev", "--json", ...args], {
    ms: 20_000,
  });
  assert.equal(signal, null, `it went on: ${stdout}${stderr}`);
  assert.notEqual(code, 0);
  assert.equal(stdout, "");
  const lines = stderr.trim().split("\n");
  assert.equal(lines.length, 1, stderr);
  assert.doesNotMatch(stderr, /panicked|backtrace/i);
  return stderr;
}

/** Mounts a tmpfs on a folder. */
const tmpfs = (path, options) => mount("-t", "tmpfs", "-o", options, "tmpfs", path);
async function mount(...args) {
  const { code, stderr } = await run("mount", args);
  assert.equal(code, 0, stderr);
}

test("a port in use", PROGRAM, async (context) => {
  const chain = await start(context);
  const { port } = new URL(chain.rpc);
  const line = await failure("--port", port);
  assert.ok(line.includes(port), line);
  assert.match(line, /in use|another program/);
  await chain.assertServes();
});

test("options that make no sense", PROGRAM, async () => {
  for (const args of [["--port", "99999"], ["--chain-id", "0"], ["--chain-id", "x"], ["--no-such-option"]]) {
    const { code, stdout } = await run(binary(), ["dev", "--json", ...args], { ms: 10_000 });
    assert.notEqual(code, 0, args.join(" "));
    assert.equal(stdout, "");
  }
});

test("a data folder in use by another process", PROGRAM, async (context) => {
  const data = folder(context);
  const chain = await start(context, "--data", data);
  const line = await failure("--port", "0", "--data", data);
  assert.ok(line.includes(data), line);
  assert.match(line, /in use|another process|locked/);
  await chain.assertServes();
});

test("a data folder that is a file, or below one", PROGRAM, async (context) => {
  const file = join(folder(context), "file");
  writeFileSync(file, "not a folder");
  assert.ok((await failure("--port", "0", "--data", file)).includes(file));
  assert.ok((await failure("--port", "0", "--data", join(file, "data"))).includes(file));
  assert.equal(readFileSync(file, "utf8"), "not a folder");
});

test("a data folder of another chain id", PROGRAM, async (context) => {
  const data = folder(context);
  const chain = await start(context, "--data", data);
  await chain.stop();
  assert.match(await failure("--port", "0", "--data", data, "--chain-id", "4242"), /31337|4242/);
});

test("a data folder that is read-only", ROOT, async (context) => {
  const data = folder(context);
  await tmpfs(data, "size=512m");
  const chain = await start(context, "--data", data);
  await chain.assertServes();
  assert.equal((await chain.stop()).code, 0);
  await mount("-o", "remount,ro", data);
  const line = await failure("--port", "0", "--data", data);
  assert.ok(line.includes(data), line);
  assert.match(line, /read-only/i);
  await mount("-o", "remount,rw", data);
  await (await start(context, "--data", data)).assertServes();
});

test("a data folder that is full from the start", ROOT, async (context) => {
  const data = folder(context);
  await tmpfs(data, "size=64k");
  assert.match(await failure("--port", "0", "--data", data), /no space|full/i);
});

test("a data folder that fills up: reads go on, and a restart with room resumes", ROOT, async (context) => {
  const data = folder(context);
  await tmpfs(data, "size=512m");
  const chain = await start(context, "--data", data);
  const [{ address }] = chain.accounts;
  const send = (extra) => chain.ask("eth_sendTransaction", [{ from: address, to: address, ...extra }]);
  const first = (await send()).result;
  const receipt = await chain.receipt(first);
  const ballast = join(data, "ballast");
  fill(ballast);
  // Calldata that a block and the log have to hold, until the log has no room for more.
  const input = `0x${"ab".repeat(100_000)}`;
  await until(
    "a refusal for want of room",
    async () => (await send({ data: input, gas: "0x989680" })).error,
    60_000,
  );
  assert.deepEqual(await chain.call("eth_getTransactionReceipt", first), receipt);
  assert.match(chain.process.stderr, /no space|full/i);
  const height = await chain.height();
  await chain.stop();
  rmSync(ballast);
  const again = await start(context, "--data", data);
  assert.ok((await again.height()) >= height);
  assert.deepEqual(await again.call("eth_getTransactionReceipt", first), receipt);
  await again.assertServes();
});

/** Writes a file that takes all room that is left. */
function fill(path) {
  const file = openSync(path, "w");
  const chunk = Buffer.alloc(1 << 20);
  try {
    for (;;) writeSync(file, chunk);
  } catch (error) {
    assert.equal(error.code, "ENOSPC");
  } finally {
    closeSync(file);
  }
}

test("a data folder of a newer version", PROGRAM, async (context) => {
  const data = folder(context);
  const chain = await start(context, "--data", data);
  await chain.stop();
  const format = join(data, "format");
  const known = readFileSync(format, "utf8");
  writeFileSync(format, `${Number(known) + 1}\n`);
  const line = await failure("--port", "0", "--data", data);
  assert.ok(line.includes(data), line);
  assert.match(line, /newer/);
  writeFileSync(format, known);
  await (await start(context, "--data", data)).assertServes();
});

test("the operator's socket is for its owner alone, and outlives bad input", PROGRAM, async (context) => {
  const data = folder(context);
  const chain = await start(context, "--data", data);
  const { stdout } = await run("find", [data, "-type", "s"]);
  const path = stdout.trim();
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const socket = connect(path);
  context.after(() => socket.destroy());
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  const ask = async (line) => {
    socket.write(`${line}\n`);
    return JSON.parse((await lines.next()).value);
  };
  const request = (method) => JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: [] });
  await chain.assertServes();
  const { result } = await ask(request("admin_nodeInfo"));
  assert.deepEqual([result.chainId, result.height], [31337, await chain.height()]);
  assert.equal((await ask("{")).error.code, -32700);
  assert.equal((await ask(request("admin_noSuchMethod"))).error.code, -32601);
  assert.equal((await ask(request("admin_verify"))).result.ok, true);
});
