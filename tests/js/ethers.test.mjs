// ethers 6 with default settings, and an account that owns nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  Contract,
  ContractFactory,
  Interface,
  JsonRpcProvider,
  Wallet,
  WebSocketProvider,
  isError,
} from "ethers";
import { artifact, METAMASK_FEE, OURS, openzeppelin, startChain, until } from "./harness.mjs";

let chain;
let provider;
let poor;
const friend = Wallet.createRandom().address;

before(async () => {
  chain = await startChain();
  provider = new JsonRpcProvider(chain.rpc);
  poor = Wallet.createRandom(provider);
  await chain.assertPoor(poor.address);
});
after(async () => {
  provider?.destroy();
  await chain?.stop();
});

const deploy = async ({ abi, bytecode }, ...args) => {
  const contract = await new ContractFactory(abi, bytecode, poor).deploy(...args);
  await mined(contract.deploymentTransaction());
  return contract;
};
/** Waits until ethers would send the next transaction with the next nonce: by default it keeps every answer, a
 * nonce too, for 250 ms, in which this chain has long made the block. */
const settled = ({ nonce }) =>
  until("ethers asks for the nonce again", async () => (await poor.getNonce("pending")) > nonce);
const mined = async (sent) => {
  const transaction = await sent;
  // `wait` looks once and then every 4 s: it is asked when there is something to see.
  await chain.receipt(transaction.hash);
  const receipt = await transaction.wait();
  assert.equal(receipt.status, 1);
  await settled(transaction);
  return receipt;
};

test("deploys an ERC-20, transfers and reads its logs", async () => {
  const token = await deploy(openzeppelin("ERC20PresetMinterPauser"), "Paper", "PPR");
  assert.equal(await token.symbol(), "PPR");
  await mined(token.mint(poor.address, 1000n));
  const receipt = await mined(token.transfer(friend, 42n));
  assert.equal(await token.balanceOf(friend), 42n);
  const logs = await token.queryFilter(token.filters.Transfer(poor.address, friend), 0, "latest");
  assert.deepEqual(
    logs.map((log) => [log.args.value, log.transactionHash, log.blockHash]),
    [[42n, receipt.hash, receipt.blockHash]],
  );
});

test("deploys an ERC-721 and moves a token", async () => {
  const tokens = await deploy(openzeppelin("ERC721PresetMinterPauserAutoId"), "Deeds", "DEED", "deed:");
  await mined(tokens.mint(poor.address));
  assert.equal(await tokens.tokenURI(0n), "deed:0");
  await mined(tokens.transferFrom(poor.address, friend, 0n));
  assert.equal(await tokens.ownerOf(0n), friend);
  assert.equal((await tokens.queryFilter("Transfer")).length, 2);
});

test("deploys a proxy, and an upgradeable one that it upgrades", async () => {
  const box = await deploy(artifact("Box"));
  const initialize = new Interface(artifact("Box").abi).encodeFunctionData("initialize", [poor.address, 7n]);
  const plain = await deploy(openzeppelin("ERC1967Proxy"), await box.getAddress(), initialize);
  const viaPlain = new Contract(await plain.getAddress(), artifact("Box").abi, poor);
  await mined(viaPlain.store(8n));
  assert.equal(await viaPlain.value(), 8n);

  const admin = await deploy(openzeppelin("ProxyAdmin"));
  const target = [await box.getAddress(), await admin.getAddress(), initialize];
  const proxy = await deploy(openzeppelin("TransparentUpgradeableProxy"), ...target);
  const second = await deploy(artifact("BoxV2"));
  await mined(admin.upgrade(await proxy.getAddress(), await second.getAddress()));
  const upgraded = new Contract(await proxy.getAddress(), artifact("BoxV2").abi, poor);
  assert.deepEqual([await upgraded.version(), await upgraded.value()], [2n, 7n]);
});

test("subscribes to blocks, logs and pending transactions", async () => {
  const socket = new WebSocketProvider(chain.ws);
  const token = await deploy(artifact("Token"), "Token", "TOK", 1000n);
  const heard = { blocks: [], logs: [], pending: [] };
  const live = token.connect(socket);
  await socket.on("block", (number) => heard.blocks.push(number));
  await socket.on("pending", (hash) => heard.pending.push(hash));
  await live.on("Transfer", (from, to, value) => heard.logs.push([from, to, value]));
  // `on` returns before the subscription is answered; what is asked after it on the same socket is answered later.
  await socket.getBlockNumber();

  const receipt = await mined(token.transfer(friend, 5n));
  await until("one event of each kind", () => Object.values(heard).every((events) => events.length > 0));
  assert.ok(heard.blocks.includes(receipt.blockNumber));
  assert.deepEqual(heard.logs, [[poor.address, friend, 5n]]);
  assert.ok(heard.pending.includes(receipt.hash));
  await socket.destroy();
});

test("gives the reason of a revert, in words and as a custom error", async () => {
  const reverter = await deploy(artifact("Reverter"));
  for (const attempt of [
    () => reverter.withReason("not today"),
    () => reverter.withReason.staticCall("not today"),
  ]) {
    await assert.rejects(
      attempt,
      (error) => isError(error, "CALL_EXCEPTION") && error.reason === "not today",
    );
  }
  const refused = (revert) =>
    revert.name === "Refused" && revert.args[0] === poor.address && revert.args[1] === 9n;
  await assert.rejects(
    () => reverter.withError.staticCall(9n),
    (error) => refused(error.revert),
  );
  // On sending, ethers leaves it to its user to read the data of the estimate's refusal.
  await assert.rejects(
    () => reverter.withError(9n),
    (error) => refused(reverter.interface.parseError(error.data)),
  );
  await assert.rejects(
    () => reverter.withPanic.staticCall(1n),
    (error) => error.revert.name === "Panic" && Number(error.revert.args[0]) === 0x11,
  );
  const failed = await reverter.withReason("mined", { gasLimit: 100_000n });
  await chain.receipt(failed.hash);
  await assert.rejects(
    () => failed.wait(),
    (error) => error.receipt.status === 0,
  );
  await settled(failed);
});

test("sends legacy by default and EIP-1559 when both fees are given, free of charge", OURS, async () => {
  const dynamic = { maxFeePerGas: METAMASK_FEE, maxPriorityFeePerGas: METAMASK_FEE };
  for (const [type, fees] of [
    [0, {}],
    [2, dynamic],
  ]) {
    const sent = await poor.sendTransaction({ to: friend, ...fees });
    assert.equal(sent.type, type);
    assert.equal((await mined(sent)).gasPrice, 0n);
    const kept = await provider.getTransaction(sent.hash);
    assert.deepEqual(
      [kept.maxFeePerGas, kept.maxPriorityFeePerGas],
      type === 2 ? Object.values(dynamic) : [null, null],
    );
  }
  assert.equal(await provider.getBalance(poor), 0n);
});

test("keeps a legacy gas price and an access list as they were signed", OURS, async () => {
  const accessList = [{ address: friend, storageKeys: [] }];
  for (const extra of [{ type: 0 }, { type: 1, accessList }]) {
    const sent = await poor.sendTransaction({ to: friend, gasPrice: METAMASK_FEE, ...extra });
    assert.equal((await mined(sent)).gasPrice, 0n);
    assert.equal((await provider.getTransaction(sent.hash)).gasPrice, METAMASK_FEE);
  }
});

test("releases a time lock that expired while the chain was parked", async () => {
  const { timestamp } = await provider.getBlock("latest");
  const unlocksAt = Math.max(timestamp, Math.floor(Date.now() / 1000)) + 2;
  const lock = await deploy(artifact("TimeLock"), friend, unlocksAt);
  const height = await chain.height();
  await assert.rejects(
    () => lock.release(),
    (error) => lock.interface.parseError(error.data).name === "TooEarly",
  );
  await until("the lock's time", () =>
    lock.release.estimateGas().then(
      () => true,
      () => false,
    ),
  );
  assert.equal(await chain.height(), height, "no block was made meanwhile");
  // A call's default is `latest`: the time of the last block.
  await assert.rejects(
    () => lock.release.staticCall(),
    (error) => error.revert.name === "TooEarly",
  );
  await mined(lock.release());
  assert.equal(await lock.released(), true);
});
