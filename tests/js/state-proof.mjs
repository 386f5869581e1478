// Checks answers to `eth_getProof` against a state root, by a trie of others' code.

import assert from "node:assert/strict";
import { verifyMerkleProof } from "@ethereumjs/mpt";
import { hexToBytes } from "@ethereumjs/util";
import { decodeRlp, keccak256, toBeHex, toBigInt } from "ethers";

/** Root of a trie that holds nothing. */
export const EMPTY_TRIE = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";

/** What a proof shows to lie under `key`, as RLP, or null for nothing; an invalid proof is thrown. */
export async function proven(root, key, proof) {
  // Of an empty trie there is nothing to show but, as some nodes do, its root: RLP of nothing.
  if (root === EMPTY_TRIE && proof.every((node) => keccak256(node) === EMPTY_TRIE)) return null;
  const options = { root: hexToBytes(root), useKeyHashing: true };
  const value = await verifyMerkleProof(hexToBytes(key), proof.map(hexToBytes), options);
  return value && decodeRlp(value);
}

/** Checks the whole `answer` to `eth_getProof(address, slots, …)` against a state root. */
export async function checkStateProof(stateRoot, address, slots, answer) {
  const account = await proven(stateRoot, address, answer.accountProof);
  if (account === null) {
    assert.deepEqual([answer.nonce, answer.balance, answer.storageHash], ["0x0", "0x0", EMPTY_TRIE]);
  } else {
    const [nonce, balance, storageHash, codeHash] = account;
    const number = (bytes) => (bytes === "0x" ? 0n : toBigInt(bytes));
    assert.deepEqual([number(nonce), number(balance)], [toBigInt(answer.nonce), toBigInt(answer.balance)]);
    assert.deepEqual([storageHash, codeHash], [answer.storageHash, answer.codeHash]);
  }
  assert.equal(answer.storageProof.length, slots.length);
  for (const [index, { key, value, proof }] of answer.storageProof.entries()) {
    assert.equal(toBigInt(key), toBigInt(slots[index]));
    const shown = await proven(answer.storageHash, toBeHex(toBigInt(key), 32), proof);
    assert.equal(shown === null ? 0n : toBigInt(shown), toBigInt(value));
  }
}
