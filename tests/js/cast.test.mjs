// Foundry's cast with default settings, and an account that owns nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { AbiCoder, Interface, Wallet, id } from "ethers";
import {
  artifact,
  here,
  METAMASK_FEE,
  OURS,
  openzeppelin,
  Process,
  run,
  startChain,
  until,
} from "./harness.mjs";

const CAST = here("node_modules/@foundry-rs/cast-linux-amd64/bin/cast");
const poor = Wallet.createRandom();
const friend = Wallet.createRandom().address;
let chain;

before(async () => {
  chain = await startChain();
  await chain.assertPoor(poor.address);
});
after(() => chain?.stop());

/** Runs `cast` against the chain: what it prints. Failing is an error with its `stderr`. */
async function cast(command, ...args) {
  const { code, stdout, stderr } = await run(CAST, [command, "--rpc-url", chain.rpc, ...args]);
  if (code !== 0) throw Object.assign(new Error(`cast ${command}: ${stderr}`), { stderr });
  return stdout.trim();
}

async function send(...args) {
  const receipt = JSON.parse(await cast("send", "--private-key", poor.privateKey, "--json", ...args));
  assert.equal(receipt.status, "0x1");
  return receipt;
}

async function deploy({ abi, bytecode }, ...args) {
  const data = new Interface(abi).encodeDeploy(args);
  return (await send("--create", bytecode + data.slice(2))).contractAddress;
}

test("deploys an ERC-20, transfers and reads its logs", async () => {
  const token = await deploy(openzeppelin("ERC20PresetMinterPauser"), "Paper", "PPR");
  await send(token, "mint(address,uint256)", poor.address, "1000");
  const { transactionHash } = await send(token, "transfer(address,uint256)", friend, "42");
  assert.equal(await cast("call", token, "balanceOf(address)(uint256)", friend), "42");
  const filter = ["Transfer(address indexed,address indexed,uint256)", "", friend];
  const logs = JSON.parse(await cast("logs", "--json", "--from-block", "0", "--address", token, ...filter));
  assert.deepEqual(
    logs.map((log) => [log.transactionHash, BigInt(log.data)]),
    [[transactionHash, 42n]],
  );
});

test("deploys an ERC-721 and moves a token", async () => {
  const tokens = await deploy(openzeppelin("ERC721PresetMinterPauserAutoId"), "Deeds", "DEED", "deed:");
  await send(tokens, "mint(address)", poor.address);
  await send(tokens, "transferFrom(address,address,uint256)", poor.address, friend, "0");
  assert.equal(await cast("call", tokens, "ownerOf(uint256)(address)", "0"), friend);
});

test("deploys a proxy and writes through it", async () => {
  const box = await deploy(artifact("Box"));
  const initialize = new Interface(artifact("Box").abi).encodeFunctionData("initialize", [poor.address, 7n]);
  const proxy = await deploy(openzeppelin("ERC1967Proxy"), box, initialize);
  await send(proxy, "store(uint256)", "8");
  assert.equal(await cast("call", proxy, "value()(uint256)"), "8");
  assert.equal(BigInt(await cast("implementation", proxy)), BigInt(box));
});

test("subscribes to logs", async () => {
  const token = await deploy(artifact("Token"), "Token", "TOK", 1000n);
  const live = new Process(CAST, [
    "logs",
    "--subscribe",
    "--json",
    "--rpc-url",
    chain.ws,
    "--address",
    token,
  ]);
  // It does not say when it listens: what is sent until it hears is sent again.
  await until("a log", async () => {
    if (!live.stdout) await send(token, "transfer(address,uint256)", friend, "5");
    return live.stdout.includes(id("Transfer(address,address,uint256)").slice(2));
  });
  await live.stop("SIGINT");
});

test("gives the reason of a revert, in words and as a custom error", async () => {
  const reverter = await deploy(artifact("Reverter"));
  for (const attempt of [
    () => send(reverter, "withReason(string)", "not today"),
    () => cast("call", reverter, "withReason(string)", "not today"),
    () => cast("estimate", reverter, "withReason(string)", "not today"),
  ]) {
    await assert.rejects(attempt, ({ stderr }) => /execution reverted: not today/.test(stderr));
  }
  const data = AbiCoder.defaultAbiCoder().encode(["address", "uint256"], [poor.address, 9n]).slice(2);
  await assert.rejects(
    () => send(reverter, "withError(uint256)", "9"),
    ({ stderr }) => stderr.includes(data),
  );
});

test("pays nothing, whatever fees are filled in", OURS, async () => {
  const fee = METAMASK_FEE.toString();
  for (const fees of [
    [],
    ["--legacy"],
    ["--legacy", "--gas-price", fee],
    ["--gas-price", fee, "--priority-gas-price", fee],
  ]) {
    assert.equal((await send(friend, ...fees)).effectiveGasPrice, "0x0", fees.join(" "));
  }
  assert.equal(await cast("balance", poor.address), "0");
});

test("releases a time lock that expired while the chain was parked", async () => {
  const { timestamp } = await chain.call("eth_getBlockByNumber", "latest", false);
  const unlocksAt = Math.max(Number(timestamp), Math.floor(Date.now() / 1000)) + 2;
  const lock = await deploy(artifact("TimeLock"), friend, unlocksAt);
  const height = await chain.height();
  await assert.rejects(() => send(lock, "release()"));
  await until("the lock's time", () =>
    cast("estimate", "--block", "pending", lock, "release()").then(
      () => true,
      () => false,
    ),
  );
  assert.equal(await chain.height(), height, "no block was made meanwhile");
  await assert.rejects(
    () => cast("call", "--block", "latest", lock, "release()"),
    "`latest` is the last block's time",
  );
  await send(lock, "release()");
  assert.equal(await cast("call", lock, "released()(bool)"), "true");
});
