// What a developer's own tests do on the network of the configuration, by Hardhat and its ethers plugin.

const assert = require("node:assert/strict");
const { ethers, network } = require("hardhat");

const FRIEND = ethers.Wallet.createRandom().address;
const METAMASK_FEE = 1_500_000_000n;
let poor;

before(async () => {
  [poor] = await ethers.getSigners();
});

/** Asks until the answer to a request is neither an error nor null. */
async function answered(method, params) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const answer = await network.provider.send(method, params).catch(() => null);
    if (answer !== null) return answer;
    assert.ok(Date.now() < deadline, `${method} was not answered in time`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const mined = async (sent) => {
  const transaction = await sent;
  // `wait` may look only every 4 s: it is asked when there is something to see.
  await answered("eth_getTransactionReceipt", [transaction.hash]);
  const receipt = await transaction.wait();
  assert.equal(receipt.status, 1);
  return receipt;
};
const deploy = async (name, ...args) => {
  const contract = await ethers.deployContract(name, args);
  await mined(contract.deploymentTransaction());
  return contract;
};

it("deploys an ERC-20, transfers and reads its logs", async () => {
  const coin = await deploy("Coin", 1000n);
  const receipt = await mined(coin.transfer(FRIEND, 42n));
  assert.equal(await coin.balanceOf(FRIEND), 42n);
  const logs = await coin.queryFilter(coin.filters.Transfer(poor.address, FRIEND));
  assert.deepEqual(
    logs.map((log) => [log.args.value, log.transactionHash]),
    [[42n, receipt.hash]],
  );
});

it("deploys an ERC-721 and moves a token", async () => {
  const deed = await deploy("Deed");
  await mined(deed.mint(7n));
  await mined(deed.transferFrom(poor.address, FRIEND, 7n));
  assert.equal(await deed.ownerOf(7n), FRIEND);
});

it("deploys a proxy and writes through it", async () => {
  const shelf = await deploy("Shelf");
  const proxy = await deploy("Forwarder", await shelf.getAddress());
  const behind = await ethers.getContractAt("Shelf", await proxy.getAddress());
  await mined(behind.store(8n));
  assert.deepEqual([await behind.value(), await shelf.value()], [8n, 0n]);
});

it("hears of a log that it listens to", async () => {
  const coin = await deploy("Coin", 1000n);
  const heard = new Promise((resolve) => coin.once("Transfer", (_from, _to, value) => resolve(value)));
  await mined(coin.transfer(FRIEND, 5n));
  assert.equal(await heard, 5n);
});

it("gives the reason of a revert, in words and as a custom error", async () => {
  const coin = await deploy("Coin", 1n);
  for (const attempt of [() => coin.transfer(FRIEND, 2n), () => coin.transfer.staticCall(FRIEND, 2n)]) {
    await assert.rejects(attempt, /ERC20: transfer amount exceeds balance/);
  }
  await assert.rejects(
    () => coin.refuse(9n),
    ({ data }) => {
      const { name, args } = coin.interface.parseError(data);
      assert.deepEqual([name, ...args], ["Never", poor.address, 9n]);
      return true;
    },
  );
});

it("pays nothing, whatever fees are filled in", async function () {
  if (process.env.ANVIL) this.skip();
  for (const fees of [
    {},
    { gasPrice: METAMASK_FEE },
    { maxFeePerGas: METAMASK_FEE, maxPriorityFeePerGas: METAMASK_FEE },
  ]) {
    assert.equal((await mined(poor.sendTransaction({ to: FRIEND, ...fees }))).gasPrice, 0n);
  }
  assert.equal(await ethers.provider.getBalance(poor), 0n);
});

it("opens a gate whose time came while the chain was parked", async () => {
  const { timestamp } = await ethers.provider.getBlock("latest");
  const opensAt = Math.max(timestamp, Math.floor(Date.now() / 1000)) + 2;
  const gate = await deploy("Gate", opensAt);
  const height = await ethers.provider.getBlockNumber();
  await assert.rejects(() => gate.push());
  const [to, data] = [await gate.getAddress(), gate.interface.encodeFunctionData("push")];
  await answered("eth_estimateGas", [{ from: poor.address, to, data }]);
  assert.equal(await ethers.provider.getBlockNumber(), height, "no block was made meanwhile");
  await mined(gate.push());
  assert.equal(await gate.open(), true);
});
