// What the chain proves of itself: state by `eth_getProof`, blocks by their hash, and finality by certificates.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MerklePatriciaTrie, createMPTFromProof } from "@ethereumjs/mpt";
import { hexToBytes } from "@ethereumjs/util";
import {
  AbiCoder,
  Contract,
  ContractFactory,
  JsonRpcProvider,
  Wallet,
  Transaction,
  concat,
  encodeRlp,
  hexlify,
  keccak256,
  toBeArray,
  toBeHex,
  toBigInt,
} from "ethers";
import * as verifier from "./certificate.mjs";
import { artifact, OURS, startChain } from "./harness.mjs";
import { checkStateProof, EMPTY_TRIE, proven } from "./state-proof.mjs";

let chain;
let owner;
let token;

before(async () => {
  chain = await startChain();
  const provider = new JsonRpcProvider(chain.rpc, undefined, { cacheTimeout: -1 });
  owner = new Wallet(chain.accounts[0].private_key, provider);
  token = await deploy("Token", "Token", "TOK", 1000n);
  await (await token.transfer(chain.accounts[1].address, 300n)).wait();
});
after(async () => {
  owner?.provider.destroy();
  await chain?.stop();
});

async function deploy(name, ...args) {
  const { abi, bytecode } = artifact(name);
  const contract = await new ContractFactory(abi, bytecode, owner).deploy(...args);
  await contract.waitForDeployment();
  return new Contract(await contract.getAddress(), abi, owner);
}

/** Slot of `balanceOf[account]`, which is the third variable in storage. */
const balanceSlot = (account) =>
  keccak256(AbiCoder.defaultAbiCoder().encode(["address", "uint256"], [account, 2]));

/** Asks for a proof, checks all of it against the block's state root and gives the answer. */
async function verified(address, slots, tag) {
  const { stateRoot } = await chain.call("eth_getBlockByNumber", tag, false);
  const answer = await chain.call("eth_getProof", address, slots, tag);
  await checkStateProof(stateRoot, address, slots, answer);
  return answer;
}

test("an account and its slots, there and absent, are proven against the state root", async () => {
  const [first, second] = chain.accounts;
  const stranger = Wallet.createRandom().address;
  const slots = [
    balanceSlot(first.address),
    balanceSlot(second.address),
    balanceSlot(stranger),
    toBeHex(0, 32),
  ];
  const target = await token.getAddress();
  const { storageProof, codeHash } = await verified(target, slots, "latest");
  assert.deepEqual(
    storageProof.slice(0, 3).map(({ value }) => value),
    ["0x2bc", "0x12c", "0x0"],
  );
  assert.equal(codeHash, keccak256(await chain.call("eth_getCode", target, "latest")));
});

test("an absent account, and a slot of an account without storage, are proven absent", async () => {
  await verified(Wallet.createRandom().address, [toBeHex(1, 32)], "latest");
  await verified(chain.accounts[5].address, [toBeHex(1, 32)], "latest");
});

test("past blocks are proven as they were", OURS, async () => {
  const before = await chain.height();
  const slot = balanceSlot(chain.accounts[1].address);
  await (await token.transfer(chain.accounts[1].address, 1n)).wait();
  const target = await token.getAddress();
  const then = await verified(target, [slot], toBeHex(before));
  const now = await verified(target, [slot], "latest");
  assert.deepEqual(
    [then, now].map(({ storageProof }) => storageProof[0].value),
    ["0x12c", "0x12d"],
  );
  assert.equal((await verified(target, [slot], "0x0")).storageHash, EMPTY_TRIE);
});

test("a proof that was tampered with is refused", async () => {
  const address = await token.getAddress();
  const { stateRoot } = await chain.call("eth_getBlockByNumber", "latest", false);
  const { accountProof } = await chain.call("eth_getProof", address, [], "latest");
  const last = hexToBytes(accountProof.at(-1));
  last[last.length - 1] ^= 1;
  await assert.rejects(() => proven(stateRoot, address, [...accountProof.slice(0, -1), hexlify(last)]));
  await assert.rejects(() =>
    createMPTFromProof(accountProof.map(hexToBytes), { root: hexToBytes(EMPTY_TRIE) }),
  );
});

test("slots may be named as short numbers", OURS, async () => {
  await verified(await token.getAddress(), ["0x0", "0x1"], "latest");
});

test("pending state has no proof", OURS, async () => {
  await chain.refusal("eth_getProof", chain.accounts[0].address, [], "pending");
});

test("every block's hash follows from the raw answer, genesis included", async () => {
  for (let number = 0; number <= (await chain.height()); number++) {
    const { hash } = await chain.call("eth_getBlockByNumber", toBeHex(number), false);
    const block = await chain.call("eth_getBlockByHash", hash, false);
    assert.equal(keccak256(verifier.encodeHeader(block)), hash, `block ${number}`);
  }
});

/** Root of the trie that holds `items` (RLP) by their index. */
async function rootOf(items) {
  const trie = new MerklePatriciaTrie();
  for (const [index, item] of items.entries()) {
    await trie.put(hexToBytes(encodeRlp(toBeArray(index))), hexToBytes(item));
  }
  return hexlify(trie.root());
}

/** A transaction as ethers has it, from its JSON. */
function transaction({ gas, input, r, s, yParity, v, gasPrice, type, nonce, ...rest }) {
  const fees = type === "0x0" ? { gasPrice } : {};
  const signature = { r, s, v: type === "0x0" ? v : yParity };
  const { from, ...unsigned } = { ...rest, ...fees, data: input, gasLimit: gas };
  return Transaction.from({ ...unsigned, type: Number(type), nonce: Number(nonce), signature });
}

/** A receipt as it is hashed, from its JSON. */
function encodeReceipt({ type, status, cumulativeGasUsed, logsBloom, logs }) {
  const entries = logs.map(({ address, topics, data }) => [address, topics, data]);
  const fields = [toBeArray(status), toBeArray(cumulativeGasUsed), logsBloom, entries];
  return concat([toBeArray(type), encodeRlp(fields)]);
}

test("transactions and receipts hash to the roots of their block", async () => {
  const fees = { maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 0n };
  await (await token.transfer(chain.accounts[2].address, 1n, fees)).wait();
  await (await token.transfer(chain.accounts[2].address, 1n, { gasPrice: 10n ** 10n })).wait();
  for (let number = 1; number <= (await chain.height()); number++) {
    const block = await chain.call("eth_getBlockByNumber", toBeHex(number), true);
    const transactions = block.transactions.map(transaction);
    assert.deepEqual(
      transactions.map(({ hash, from }) => [hash, from.toLowerCase()]),
      block.transactions.map(({ hash, from }) => [hash, from.toLowerCase()]),
    );
    assert.equal(await rootOf(transactions.map(({ serialized }) => serialized)), block.transactionsRoot);
    const receipts = await chain.call("eth_getBlockReceipts", block.hash);
    assert.equal(await rootOf(receipts.map(encodeReceipt)), block.receiptsRoot);
  }
});

test("headers are as the format says", OURS, async () => {
  const latest = await chain.height();
  let parent;
  for (let number = 0; number <= latest; number++) {
    const block = await chain.call("eth_getBlockByNumber", toBeHex(number), false);
    const milliseconds = toBigInt(block.extraData);
    assert.equal(block.extraData.length, 2 + 16);
    assert.equal(toBigInt(block.timestamp), milliseconds / 1000n);
    assert.equal(toBigInt(block.gasLimit), 60_000_000n);
    for (const zero of ["difficulty", "nonce", "blobGasUsed", "excessBlobGas", "baseFeePerGas"]) {
      assert.equal(toBigInt(block[zero]), 0n, zero);
    }
    assert.equal(toBigInt(block.parentBeaconBlockRoot), 0n, "no hub is cited");
    assert.deepEqual([block.withdrawals, block.uncles], [[], []]);
    if (parent) {
      assert.equal(block.parentHash, parent.hash);
      assert.ok(milliseconds > toBigInt(parent.extraData));
      assert.equal(block.mixHash, keccak256(`${parent.hash}${toBeHex(number, 32).slice(2)}`));
    } else {
      assert.deepEqual([block.gasUsed, toBigInt(block.miner), toBigInt(block.mixHash)], ["0x0", 0n, 0n]);
    }
    parent = block;
  }
});

test("certificates verify in JavaScript and in Solidity, from genesis on", OURS, async () => {
  const { networkId, chainId, genesisHash } = await chain.call("causeway_getNetwork");
  const network = { networkId, chainId: toBigInt(chainId) };
  const contract = await deploy("CertificateVerifier");
  const genesis = await chain.call("causeway_getBlockProof", "0x0");
  let { hash, next } = verifier.verifyBlockProof(network, [], genesis);
  assert.equal(hash, genesisHash);
  assert.equal(hash, (await chain.call("eth_getBlockByNumber", "0x0", false)).hash);
  assert.ok(next.set && genesis.record, "genesis shows the set and record that it names");
  let set = next.set;
  const latest = await chain.height();
  for (let number = 1; number <= latest; number++) {
    const proof = await chain.call("causeway_getBlockProof", toBeHex(number));
    const proven = verifier.verifyBlockProof(network, set, proof);
    assert.equal(proven.header.parentHash, hash);
    assert.ok(set.some(({ address }) => toBigInt(address) === toBigInt(proven.header.miner)));
    const requests = await contract.verifyHeader(
      [network.chainId, networkId],
      set.map(({ address, power }) => [address, power]),
      proof.certificate,
      proof.header,
    );
    const { outboxRoot, setHash, recordHash, from } = proven.next;
    assert.equal(requests, await contract.requestsHash(outboxRoot, setHash, recordHash, from));
    assert.equal(await contract.setHash(set.map(({ address, power }) => [address, power])), setHash);
    ({ hash, next } = proven);
    set = next.set ?? set;
  }
  const another = { ...network, chainId: network.chainId + 1n };
  const proof = await chain.call("causeway_getBlockProof", toBeHex(latest));
  assert.throws(() => verifier.verifyBlockProof(another, set, proof), verifier.Invalid);
});
