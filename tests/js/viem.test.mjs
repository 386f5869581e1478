// viem 2 with default settings, and an account that owns nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  defineChain,
  encodeFunctionData,
  http,
  webSocket,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { artifact, METAMASK_FEE, OURS, openzeppelin, startChain, until } from "./harness.mjs";

let chain;
let reader;
let poor;
const friend = privateKeyToAccount(generatePrivateKey()).address;

before(async () => {
  chain = await startChain();
  const definition = defineChain({
    id: chain.chainId,
    name: "Causeway",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [chain.rpc], webSocket: [chain.ws] } },
  });
  reader = createPublicClient({ chain: definition, transport: http() });
  const account = privateKeyToAccount(generatePrivateKey());
  poor = createWalletClient({ account, chain: definition, transport: http() });
  await chain.assertPoor(account.address);
});
after(() => chain?.stop());

const mined = async (sent) => {
  const hash = await sent;
  // viem looks once and then every 4 s: it is asked when there is something to see.
  await chain.receipt(hash);
  const receipt = await reader.waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, "success");
  return receipt;
};
const deploy = async ({ abi, bytecode }, ...args) => {
  const { contractAddress: address } = await mined(poor.deployContract({ abi, bytecode, args }));
  return { abi, address };
};
const write = (contract, functionName, ...args) =>
  mined(poor.writeContract({ ...contract, functionName, args }));
const read = (contract, functionName, ...args) => reader.readContract({ ...contract, functionName, args });
/** Whether `error` is viem's for a revert with the custom error `name` (or, for a string, with that reason). */
const reverted = (check) => (error) => {
  const cause = error instanceof BaseError && error.walk((e) => e instanceof ContractFunctionRevertedError);
  assert.ok(cause, error);
  return check(cause);
};

test("deploys an ERC-20, transfers and reads its logs", async () => {
  const token = await deploy(openzeppelin("ERC20PresetMinterPauser"), "Paper", "PPR");
  await write(token, "mint", poor.account.address, 1000n);
  const { blockHash, transactionHash } = await write(token, "transfer", friend, 42n);
  assert.equal(await read(token, "balanceOf", friend), 42n);
  const args = { to: friend };
  const logs = await reader.getContractEvents({ ...token, eventName: "Transfer", args, fromBlock: 0n });
  assert.deepEqual(
    logs.map((log) => [log.args.value, log.transactionHash, log.blockHash]),
    [[42n, transactionHash, blockHash]],
  );
});

test("deploys an ERC-721 and moves a token", async () => {
  const tokens = await deploy(openzeppelin("ERC721PresetMinterPauserAutoId"), "Deeds", "DEED", "deed:");
  await write(tokens, "mint", poor.account.address);
  await write(tokens, "transferFrom", poor.account.address, friend, 0n);
  assert.equal(await read(tokens, "ownerOf", 0n), friend);
});

test("deploys a proxy, and an upgradeable one that it upgrades", async () => {
  const box = await deploy(artifact("Box"));
  const initialize = encodeFunctionData({
    ...box,
    functionName: "initialize",
    args: [poor.account.address, 7n],
  });
  const plain = await deploy(openzeppelin("ERC1967Proxy"), box.address, initialize);
  await write({ ...plain, abi: box.abi }, "store", 8n);
  assert.equal(await read({ ...plain, abi: box.abi }, "value"), 8n);

  const admin = await deploy(openzeppelin("ProxyAdmin"));
  const target = [box.address, admin.address, initialize];
  const proxy = await deploy(openzeppelin("TransparentUpgradeableProxy"), ...target);
  const second = await deploy(artifact("BoxV2"));
  await write(admin, "upgrade", proxy.address, second.address);
  const upgraded = { ...proxy, abi: second.abi };
  assert.deepEqual([await read(upgraded, "version"), await read(upgraded, "value")], [2n, 7n]);
});

test("subscribes to blocks, logs and pending transactions", async (context) => {
  const socket = createPublicClient({ chain: reader.chain, transport: webSocket() });
  const token = await deploy(artifact("Token"), "Token", "TOK", 1000n);
  const heard = { blocks: [], logs: [], pending: [] };
  const onError = (error) => context.diagnostic(`subscription: ${error.message}`);
  const unwatch = [
    socket.watchBlockNumber({ onBlockNumber: (number) => heard.blocks.push(number), onError }),
    socket.watchContractEvent({ ...token, onLogs: (logs) => heard.logs.push(...logs), onError }),
    socket.watchPendingTransactions({ onTransactions: (hashes) => heard.pending.push(...hashes), onError }),
  ];
  // The watchers subscribe in the background: what is sent until all three hear is sent again.
  const hashes = [];
  const all = () => Object.values(heard).every((events) => events.length > 0);
  await until("one event of each kind", async () => {
    if (!all()) hashes.push((await write(token, "transfer", friend, 5n)).transactionHash);
    return all();
  });
  assert.ok(hashes.includes(heard.logs[0].transactionHash));
  assert.ok(hashes.includes(heard.pending[0]));
  assert.deepEqual(heard.logs[0].args, { from: poor.account.address, to: friend, value: 5n });
  for (const stop of unwatch) stop();
  (await socket.transport.getRpcClient()).close();
});

test("gives the reason of a revert, in words and as a custom error", async () => {
  const reverter = await deploy(artifact("Reverter"));
  const attempt = (functionName, ...args) => ({ ...reverter, functionName, args, account: poor.account });
  const inWords = reverted(({ reason }) => reason === "not today");
  await assert.rejects(() => poor.writeContract(attempt("withReason", "not today")), inWords);
  await assert.rejects(() => reader.simulateContract(attempt("withReason", "not today")), inWords);
  await assert.rejects(
    () => reader.simulateContract(attempt("withError", 9n)),
    reverted(({ data }) => {
      assert.deepEqual([data.errorName, data.args], ["Refused", [poor.account.address, 9n]]);
      return true;
    }),
  );
  const gas = 100_000n;
  const hash = await poor.writeContract({ ...attempt("withReason", "mined"), gas });
  await chain.receipt(hash);
  assert.equal((await reader.waitForTransactionReceipt({ hash })).status, "reverted");
});

test("pays nothing, whatever fees are filled in", OURS, async () => {
  for (const fees of [
    {},
    { gasPrice: METAMASK_FEE },
    { maxFeePerGas: METAMASK_FEE, maxPriorityFeePerGas: METAMASK_FEE },
  ]) {
    const receipt = await mined(poor.sendTransaction({ to: friend, ...fees }));
    assert.equal(receipt.effectiveGasPrice, 0n);
    const kept = await reader.getTransaction({ hash: receipt.transactionHash });
    const { maxFeePerGas = kept.gasPrice, gasPrice } = fees;
    assert.equal(kept.type === "legacy" ? kept.gasPrice : kept.maxFeePerGas, gasPrice ?? maxFeePerGas ?? 0n);
  }
  assert.equal(await reader.getBalance({ address: poor.account.address }), 0n);
});

test("releases a time lock that expired while the chain was parked", async () => {
  const { timestamp } = await reader.getBlock();
  const unlocksAt = Math.max(Number(timestamp), Math.floor(Date.now() / 1000)) + 2;
  const lock = await deploy(artifact("TimeLock"), friend, unlocksAt);
  const height = await chain.height();
  const release = { ...lock, functionName: "release", account: poor.account };
  const tooEarly = reverted(({ data }) => data.errorName === "TooEarly");
  await assert.rejects(() => poor.writeContract(release), tooEarly);
  await until("the lock's time", () =>
    reader.estimateContractGas(release).then(
      () => true,
      () => false,
    ),
  );
  assert.equal(await chain.height(), height, "no block was made meanwhile");
  // A simulation's default is `latest`: the time of the last block.
  await assert.rejects(() => reader.simulateContract(release), tooEarly);
  await write(lock, "release");
  assert.equal(await read(lock, "released"), true);
});
