// Bad input over RPC: each gets its standard error, changes nothing, and leaves the chain serving.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import {
  Interface,
  Transaction,
  Wallet,
  concat,
  encodeRlp,
  id,
  keccak256,
  toBeArray,
  toQuantity,
} from "ethers";
import { WebSocket } from "ws";
import { artifact, METAMASK_FEE, OURS, post, startChain, until } from "./harness.mjs";

const GAS_CAP = 16_777_216n;
const reverter = new Interface(artifact("Reverter").abi);
let chain;
let first;
let target;

before(async () => {
  chain = await startChain();
  [{ address: first }] = chain.accounts;
  const hash = await chain.call("eth_sendTransaction", { from: first, data: artifact("Reverter").bytecode });
  target = (await chain.receipt(hash)).contractAddress;
});
after(async () => {
  await chain?.assertServes();
  await chain?.stop();
});

/** Checks that `act` leaves height and pool as they were, and the chain serving. */
async function changesNothing(act) {
  const state = async () => [await chain.height(), await chain.call("txpool_status")];
  const before = await state();
  await act();
  assert.deepEqual(await state(), before);
}

const request = (method, params, number = 1) => ({ jsonrpc: "2.0", id: number, method, params });
const code = async (body) => (await post(chain.rpc, body)).body.error?.code;

test("what is not JSON, or not a request, is refused by its code", OURS, async () => {
  await changesNothing(async () => {
    for (const body of [
      "{",
      "",
      '{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": [}',
      "\u0000",
      "[1,",
    ]) {
      assert.equal(await code(body), -32700, body);
    }
    for (const body of ["[]", '{"id": 1}', '"text"', "1", "null", '{"jsonrpc":"2.0","id":1,"method":7}']) {
      const answer = await code(body);
      assert.ok([-32600, -32700].includes(answer), `${body}: ${answer}`);
    }
  });
});

test("an unknown method is -32601", async () => {
  for (const method of ["eth_noSuchMethod", "no", "", "admin_stop", "debug_setHead", "engine_newPayloadV4"]) {
    assert.equal(await code(JSON.stringify(request(method, []))), -32601, method);
  }
});

test("wrong counts and types of parameters are -32602", OURS, async () => {
  const cases = [
    ["eth_getBalance", []],
    ["eth_getBalance", ["0x1234", "latest"]],
    ["eth_getBalance", [`${first}00`, "latest"]],
    ["eth_getBalance", [first, "newest"]],
    ["eth_getBalance", [first, -1]],
    ["eth_getBalance", [first, "latest", "more"]],
    ["eth_getBlockByNumber", ["0xzz", false]],
    ["eth_getBlockByNumber", ["latest", "yes"]],
    ["eth_getBlockByHash", ["0x12", false]],
    ["eth_getTransactionByHash", [7]],
    ["eth_getStorageAt", [first, "slot", "latest"]],
    ["eth_call", []],
    ["eth_call", ["0x"]],
    ["eth_call", [{ to: "nobody" }, "latest"]],
    ["eth_call", [{ to: first, data: "0x123" }, "latest"]],
    ["eth_call", [{ to: first, value: "-0x1" }, "latest"]],
    ["eth_estimateGas", [[]]],
    ["eth_getLogs", [{ fromBlock: "x" }]],
    ["eth_getLogs", [{ address: "0x1" }]],
    ["eth_getLogs", [{ blockHash: id("x"), fromBlock: "0x0" }]],
    ["eth_feeHistory", ["many", "latest", []]],
    ["eth_sendRawTransaction", ["xyz"]],
    ["eth_getProof", [first]],
    ["causeway_getBlockProof", [{}]],
  ];
  await changesNothing(async () => {
    for (const [method, params] of cases) {
      const sent = JSON.stringify(request(method, params));
      assert.equal(await code(sent), -32602, sent);
    }
    assert.equal(await code(JSON.stringify(request("eth_getBalance", { address: first }))), -32602);
  });
});

test("questions that are too large are refused before they cost anything", OURS, async () => {
  const refused = ({ status, body }) => status === 413 || [body].flat().every(({ error }) => error);
  await changesNothing(async () => {
    const batch = Array.from({ length: 20_000 }, (_, number) => request("eth_chainId", [], number));
    assert.ok(refused(await post(chain.rpc, JSON.stringify(batch))), "a batch of 20,000");
    const large = JSON.stringify(request("web3_sha3", [`0x${"00".repeat(24 << 20)}`]));
    // The server may close while the body is still being sent: then there is no answer to read.
    const answer = await post(chain.rpc, large).catch(() => ({ status: 413 }));
    assert.ok(refused(answer), "a body of 48 MiB");
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    assert.ok(refused(await post(chain.rpc, deep)), "lists 100,000 deep");
    const history = await chain.ask("eth_feeHistory", ["0xffffffff", "latest", [1]]);
    assert.ok(history.error || history.result.gasUsedRatio.length <= (await chain.height()) + 1);
    await chain.refusal("eth_getLogs", { fromBlock: "0x2", toBlock: "0x1" });
    await chain.refusal("eth_feeHistory", "0x1", "latest", [50, 10]);
    await chain.refusal("eth_getBalance", first, "0xffffff");
  });
});

test("a WebSocket outlives bad messages, or is closed alone", OURS, async () => {
  const socket = new WebSocket(chain.ws);
  await once(socket, "open");
  const answers = [];
  socket.on("message", (data) => answers.push(JSON.parse(data)));
  for (const message of [
    "{",
    "[]",
    JSON.stringify(request("no_such", [])),
    JSON.stringify(request("eth_chainId", [], 7)),
  ]) {
    socket.send(message);
  }
  await until("an answer to each", () => answers.length === 4);
  assert.equal(answers.find((answer) => answer.id === 7).result, toQuantity(chain.chainId));
  const closed = once(socket, "close");
  socket.on("error", () => {});
  socket.send("0".repeat(64 << 20));
  await until(
    "the message of 64 MiB is refused",
    async () => socket.readyState === WebSocket.CLOSED || answers.length > 4,
  );
  socket.terminate();
  await closed;
  await chain.assertServes();
});

/** Fields of a transaction that would be fine. */
const fine = (change) => ({
  type: 2,
  chainId: chain.chainId,
  nonce: 0,
  to: first,
  gasLimit: 21_000,
  maxFeePerGas: 0,
  maxPriorityFeePerGas: 0,
  ...change,
});
/** An EIP-1559 transaction with any signature, or none, also one that ethers would not encode. */
function encodeByHand(change, signature = []) {
  const { chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gasLimit, to } = fine(change);
  const numbers = [chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gasLimit].map((number) =>
    toBeArray(number),
  );
  const [value, data, accessList] = ["0x", "0x", []];
  const end = signature.map((number) => toBeArray(number));
  return concat(["0x02", encodeRlp([...numbers, to, value, data, accessList, ...end])]);
}
function signByHand(change, wallet = Wallet.createRandom()) {
  const { yParity, r, s } = wallet.signingKey.sign(keccak256(encodeByHand(change)));
  return encodeByHand(change, [yParity, r, s]);
}
const refusedRaw = async (raw, message, codes = [-32000]) => {
  const error = await chain.refusal("eth_sendRawTransaction", raw);
  assert.match(error.message, message);
  assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`);
};
const refused = async (change, message, wallet = Wallet.createRandom()) =>
  refusedRaw(await wallet.signTransaction(fine(change)), message);

test("transactions that no block may hold are refused, each for its reason", OURS, async () => {
  await changesNothing(async () => {
    await refused({ chainId: 1 }, /chain/i);
    await refused({ value: 1n }, /insufficient funds/);
    await refusedRaw(
      signByHand({ maxPriorityFeePerGas: 2n, maxFeePerGas: 1n }),
      /max priority fee per gas higher than max fee per gas/,
    );
    await refused({ gasLimit: 20_999 }, /intrinsic gas too low/);
    await refused({ gasLimit: 100_000, data: `0x${"ff".repeat(10_000)}` }, /floor|intrinsic gas too low/);
    await refused({ gasLimit: GAS_CAP + 1n }, /16777216/);
    await refused({ gasLimit: 2n ** 64n - 1n }, /16777216/);
    await refused({ nonce: 1_000_000_000 }, /nonce/);
    await refused({ to: null, gasLimit: GAS_CAP, data: `0x${"00".repeat(49_153)}` }, /init ?code/i);
  });
});

test("a plain transfer of a poor account is accepted with any fee", OURS, async () => {
  const fee = 2n ** 100n;
  const raw = await Wallet.createRandom().signTransaction(
    fine({ maxFeePerGas: fee, maxPriorityFeePerGas: fee }),
  );
  const receipt = await chain.receipt(await chain.call("eth_sendRawTransaction", raw));
  assert.equal(receipt.effectiveGasPrice, "0x0");
});

test("signatures and encodings that are none are refused", OURS, async () => {
  const wallet = Wallet.createRandom();
  const raw = await wallet.signTransaction(fine({}));
  assert.equal(signByHand({}, wallet), raw, "the test signs as ethers does");
  const { r, s, yParity } = Transaction.from(raw).signature;
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const noSignature = /invalid|signature|sender/i;
  const malformed = [-32000, -32602];
  await changesNothing(async () => {
    await refusedRaw(encodeByHand({}, [1 - yParity, r, order - BigInt(s)]), noSignature);
    await refusedRaw(encodeByHand({}, [yParity, 0n, 0n]), noSignature);
    await refusedRaw(encodeByHand({}, [yParity, order, s]), noSignature);
    await refusedRaw(encodeByHand({}, [7, r, s]), /./, malformed);
    for (const broken of [
      "0x",
      "0x02",
      raw.slice(0, -2),
      `${raw}00`,
      "0xc0",
      "0x7f01",
      `0x04${raw.slice(4)}`,
    ]) {
      await refusedRaw(broken, /./, malformed);
    }
  });
});

test("a blob transaction is refused as a type that is not supported", OURS, async () => {
  const wallet = Wallet.createRandom();
  const blob = { type: 3, maxFeePerBlobGas: 1, blobVersionedHashes: [`0x01${"00".repeat(31)}`] };
  await changesNothing(async () => {
    await refused(blob, /blob|type not supported/i, wallet);
  });
});

test(
  "nonces too low, known transactions and underpriced replacements are named as geth names them",
  OURS,
  async () => {
    const wallet = Wallet.createRandom();
    const used = await wallet.signTransaction(fine({}));
    await chain.receipt(await chain.call("eth_sendRawTransaction", used));
    await refused({ to: null, gasLimit: 100_000 }, /nonce too low/, wallet);
    await refusedRaw(used, /nonce too low|already known/);
    const fees = { maxFeePerGas: METAMASK_FEE, maxPriorityFeePerGas: METAMASK_FEE };
    const waiting = await wallet.signTransaction(fine({ nonce: 2, ...fees }));
    await chain.call("eth_sendRawTransaction", waiting);
    await changesNothing(async () => {
      await refusedRaw(waiting, /already known/);
      const underpriced = /replacement transaction underpriced/;
      await refused({ nonce: 2, value: 0n, gasLimit: 30_000, ...fees }, underpriced, wallet);
      const higher = METAMASK_FEE * 2n;
      await refused(
        { nonce: 2, maxFeePerGas: higher, maxPriorityFeePerGas: METAMASK_FEE },
        underpriced,
        wallet,
      );
    });
  },
);

test("one sender cannot fill the pool", OURS, async () => {
  const from = chain.accounts.at(-1).address;
  const batch = async (method, params) => {
    const requests = params.map((param, place) => request(method, [param], place));
    const { body } = await post(chain.rpc, JSON.stringify(requests));
    return body.sort((one, other) => one.id - other.id);
  };
  let accepted = 0;
  let error;
  for (let start = 1; start < 10_000 && !error; start += 500) {
    const nonces = Array.from({ length: 500 }, (_, place) => toQuantity(start + place));
    const fees = { maxFeePerGas: "0x0", maxPriorityFeePerGas: "0x0" };
    const unsigned = nonces.map((nonce) => ({ from, to: first, gas: "0x5208", nonce, ...fees }));
    const signed = await batch("eth_signTransaction", unsigned);
    const answers = await batch(
      "eth_sendRawTransaction",
      signed.map(({ result }) => result.raw),
    );
    accepted += answers.filter(({ result }) => result).length;
    ({ error } = answers.find((answer) => answer.error) ?? {});
  }
  assert.ok(error, "10,000 transactions of one sender were taken");
  assert.equal(error.code, -32000);
  assert.match(error.message, /full|nonce too high/);
  assert.ok(accepted >= 16, `only ${accepted} were taken: ${error.message}`);
});

test("a nonce cannot be replaced for ever", OURS, async () => {
  const wallet = Wallet.createRandom();
  let fee = 1_000n;
  const replace = async () => {
    fee *= 2n;
    const raw = await wallet.signTransaction(
      fine({ nonce: 1, maxFeePerGas: fee, maxPriorityFeePerGas: fee }),
    );
    return chain.ask("eth_sendRawTransaction", [raw]);
  };
  for (let count = 0; count <= 16; count++) assert.ok((await replace()).result, `replacement ${count}`);
  assert.match((await replace()).error.message, /replacement transaction underpriced/);
});

test("a revert is code 3 with its data, in calls and estimates", async () => {
  const words = { from: first, to: target, data: reverter.encodeFunctionData("withReason", ["not today"]) };
  const custom = { from: first, to: target, data: reverter.encodeFunctionData("withError", [9]) };
  for (const method of ["eth_call", "eth_estimateGas"]) {
    const inWords = await chain.refusal(method, words);
    assert.equal(inWords.code, 3);
    assert.equal(inWords.message, "execution reverted: not today");
    assert.equal(
      inWords.data,
      new Interface(["error Error(string)"]).encodeErrorResult("Error", ["not today"]),
    );
    const asError = await chain.refusal(method, custom);
    assert.equal(asError.code, 3);
    assert.match(asError.message, /^execution reverted/);
    assert.equal(asError.data, reverter.encodeErrorResult("Refused", [first, 9]));
  }
});

test("a revert without data is told too", OURS, async () => {
  const call = { from: first, to: target, data: reverter.encodeFunctionData("withNothing") };
  for (const method of ["eth_call", "eth_estimateGas"]) {
    const { message } = await chain.refusal(method, call);
    assert.match(message, /^execution reverted/);
  }
});

test("gas above what a transaction may use is refused by name of the cap", OURS, async () => {
  const call = { from: first, to: target, data: reverter.encodeFunctionData("forever") };
  const estimate = await chain.refusal("eth_estimateGas", call);
  assert.match(estimate.message, /16777216/);
  const endless = await chain.refusal("eth_call", call);
  assert.match(endless.message, /out of gas|gas/i);
  await chain.refusal("eth_call", { ...call, data: reverter.encodeFunctionData("withInvalid") });
  await chain.refusal("eth_sendTransaction", { ...call, gas: toQuantity(GAS_CAP + 1n) });
});

test("an estimate of what cannot be paid for names the balance", OURS, async () => {
  const poor = Wallet.createRandom().address;
  const { message } = await chain.refusal("eth_estimateGas", { from: poor, to: first, value: "0x1" });
  assert.match(message, /insufficient funds/);
  const call = await chain.refusal("eth_call", { from: poor, to: first, value: "0x1" }, "latest");
  assert.match(call.message, /insufficient funds/);
});

test("code that is too large is not deployed", OURS, async () => {
  // Returns 24,577 bytes of zeros as code, one more than EIP-170 allows.
  const data = "0x6160015ff3";
  const hash = await chain.call("eth_sendTransaction", { from: first, data, gas: toQuantity(10_000_000) });
  assert.equal((await chain.receipt(hash)).status, "0x0");
  await chain.refusal("eth_estimateGas", { from: first, data });
});
