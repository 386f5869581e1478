// The JavaScript and the Solidity verifier of certificates: they agree with each other over good and bad
// certificates, and with the golden vectors.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import {
  Contract,
  ContractFactory,
  JsonRpcProvider,
  TypedDataEncoder,
  Wallet,
  ZeroHash,
  computeAddress,
  concat,
  dataLength,
  dataSlice,
  encodeRlp,
  hexlify,
  id,
  getBytes,
  keccak256,
  randomBytes,
  toBeHex,
} from "ethers";
import * as verifier from "./certificate.mjs";
import { artifact, here, startChain } from "./harness.mjs";

const network = { chainId: 31337n, networkId: id("a network") };
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const wallets = Array.from({ length: 4 }, () => Wallet.createRandom()).sort((a, b) =>
  a.address.toLowerCase() < b.address.toLowerCase() ? -1 : 1,
);
const set = wallets.map(({ address }) => ({ address, power: 1n }));

let chain;
let contract;

before(async () => {
  chain = await startChain();
  const provider = new JsonRpcProvider(chain.rpc, undefined, { cacheTimeout: -1 });
  const { abi, bytecode } = artifact("CertificateVerifier");
  const signer = new Wallet(chain.accounts[0].private_key, provider);
  const deployed = await new ContractFactory(abi, bytecode, signer).deploy();
  await deployed.waitForDeployment();
  contract = new Contract(await deployed.getAddress(), abi, provider);
});
after(async () => {
  contract?.runner.destroy();
  await chain?.stop();
});

/** A certificate for a random block by `signers`, places in the set. */
async function certify(signers, { height = 9n, round = 0n, blockHash = hexlify(randomBytes(32)) } = {}) {
  const vote = { height, round, blockHash };
  const signatures = [];
  for (const place of signers) {
    const signature = await verifier.signCommit(network, wallets[place], vote);
    signatures.push({ address: wallets[place].address, signature });
  }
  return { ...vote, signatures };
}

const onChain = (validators) => validators.map(({ address, power }) => [address, power]);
const asked = ({ chainId, networkId }) => [chainId, networkId];

/** What both verifiers say: `true`, or the name of the contract's error. */
async function verdict(encoded, { of = network, under = set } = {}) {
  let inJavaScript = true;
  try {
    verifier.verifyCertificate(of, under, verifier.decodeCertificate(encoded));
  } catch (error) {
    assert.ok(error instanceof verifier.Invalid, error);
    inJavaScript = false;
  }
  let inSolidity = true;
  try {
    await contract.verify(asked(of), onChain(under), encoded);
  } catch (error) {
    inSolidity = error.revert?.name ?? error;
  }
  assert.equal(inJavaScript, inSolidity === true, `the verifiers differ: ${inSolidity}`);
  return inSolidity;
}

test("three of four are a quorum, at every form of height and round", async () => {
  for (const [height, round] of [
    [1n, 0n],
    [127n, 1n],
    [128n, 127n],
    [2n ** 64n - 1n, 2n ** 20n],
  ]) {
    const certificate = await certify([0, 2, 3], { height, round });
    const encoded = verifier.encodeCertificate(certificate);
    assert.equal(await verdict(encoded), true);
    assert.deepEqual(
      [...(await contract.verify(asked(network), onChain(set), encoded))],
      [height, certificate.blockHash],
    );
  }
});

test("what is not a certificate is refused by both, each for its reason", async () => {
  const good = await certify([0, 1, 2]);
  const [first, second, third] = good.signatures;
  const stranger = Wallet.createRandom();
  const resigned = async (change) => (await certify([0, 1, 2], { ...good, ...change })).signatures;
  const bytes = getBytes(first.signature);
  const highS = concat([
    bytes.slice(0, 32),
    toBeHex(ORDER - BigInt(hexlify(bytes.slice(32, 64))), 32),
    toBeHex(55 - bytes[64]),
  ]);
  const withFirst = (signature) => ({ ...good, signatures: [{ ...first, signature }, second, third] });
  const high = { height: good.height, round: 2n ** 20n + 1n, blockHash: good.blockHash };
  const cases = [
    ["two of four", { ...good, signatures: [first, second] }, "NoQuorum"],
    ["nobody", { ...good, signatures: [] }, "NoQuorum"],
    ["one twice", { ...good, signatures: [first, first, second] }, "NotAscending"],
    ["out of order", { ...good, signatures: [second, first, third] }, "NotAscending"],
    ["another height", { ...good, height: 10n }, "BadSignature"],
    ["another round", { ...good, round: 1n }, "BadSignature"],
    ["another block", { ...good, blockHash: id("other") }, "BadSignature"],
    ["high s", withFirst(highS), "BadSignature"],
    ["v of 0 or 1", withFirst(concat([bytes.slice(0, 64), toBeHex(bytes[64] - 27, 1)])), "BadSignature"],
    ["64 bytes", withFirst(hexlify(bytes.slice(0, 64))), "UnknownEncoding"],
    ["no signature", withFirst("0x"), "UnknownEncoding"],
    ["zeros", withFirst(toBeHex(27, 65)), "BadSignature"],
    [
      "the nil block",
      { ...good, blockHash: ZeroHash, signatures: await resigned({ blockHash: ZeroHash }) },
      "NotCertifiable",
    ],
    ["genesis", { ...good, height: 0n, signatures: await resigned({ height: 0n }) }, "NotCertifiable"],
    ["a round too high", { ...high, signatures: await resigned(high) }, "NotCertifiable"],
  ];
  for (const [name, certificate, reason] of cases) {
    assert.equal(await verdict(verifier.encodeCertificate(certificate)), reason, name);
  }
  const encoded = verifier.encodeCertificate(good);
  const others = set.map((member, place) =>
    place === 2 ? { ...member, address: stranger.address } : member,
  );
  const sorted = others.sort((a, b) => (a.address.toLowerCase() < b.address.toLowerCase() ? -1 : 1));
  assert.equal(await verdict(encoded, { under: sorted }), "NotAValidator");
  assert.equal(await verdict(encoded, { under: [...set].reverse() }), "NotAscending");
  assert.equal(await verdict(encoded, { of: { ...network, chainId: 1n } }), "BadSignature");
  assert.equal(
    await verdict(encoded, { of: { ...network, networkId: id("another network") } }),
    "BadSignature",
  );
});

test("a quorum is more than two thirds of the power, not of the heads", async () => {
  const weighted = (...powers) => set.map((member, place) => ({ ...member, power: powers[place] }));
  const encoded = verifier.encodeCertificate(await certify([0]));
  assert.equal(await verdict(encoded, { under: weighted(64n, 30n, 1n, 0n) }), "PowerOutOfRange");
  assert.equal(await verdict(encoded, { under: weighted(65n, 1n, 1n, 1n) }), "PowerOutOfRange");
  assert.equal(await verdict(encoded, { under: weighted(64n, 30n, 1n, 1n) }), "NoQuorum");
  assert.equal(await verdict(encoded, { under: weighted(64n, 29n, 1n, 1n) }), true);
});

/** RLP of a list of items that are encoded already, well or badly. */
function list(...items) {
  const body = concat(items);
  const length = dataLength(body);
  if (length <= 55) return concat([toBeHex(0xc0 + length), body]);
  const width = length > 0xff ? 2 : 1;
  return concat([toBeHex(0xf7 + width), toBeHex(length, width), body]);
}

test("only the canonical encoding is read", async () => {
  const certificate = await certify([0, 1, 2]);
  const encoded = verifier.encodeCertificate(certificate);
  const { blockHash, signatures } = certificate;
  const precommits = signatures.map(({ address, signature }) => [encodeRlp(address), encodeRlp(signature)]);
  const build = ({
    version = "0x01",
    height = "0x09",
    round = "0x80",
    hash = encodeRlp(blockHash),
    more = [],
    first = [],
  }) => {
    const [head, ...rest] = precommits;
    const signed = list(list(...head, ...first), ...rest.map((items) => list(...items)));
    return list(version, height, round, hash, signed, ...more);
  };
  assert.equal(build({}), encoded, "the test encodes as the verifier does");
  const lengthened = concat(["0xfa00", `0x${encoded.slice(4)}`]);
  const cases = [
    ["bytes after it", concat([encoded, "0x00"]), "UnknownEncoding"],
    ["a byte too few", encoded.slice(0, -2), "RlpTruncated"],
    ["nothing", "0x", "RlpTruncated"],
    ["no list", "0x01", "RlpUnexpectedKind"],
    ["an empty list", "0xc0", "RlpTruncated"],
    ["a length with a leading zero", lengthened, "RlpNotCanonical"],
    ["a short length in the long form", build({ hash: concat(["0xb820", blockHash]) }), "RlpNotCanonical"],
    ["a small byte as a string", build({ height: "0x8109" }), "RlpNotCanonical"],
    ["zero as a byte", build({ round: "0x00" }), "RlpNotCanonical"],
    ["a leading zero", build({ height: "0x820009" }), "RlpNotCanonical"],
    ["a height of 9 bytes", build({ height: "0x89010000000000000000" }), "RlpOutOfRange"],
    ["a round of 5 bytes", build({ round: "0x850100000000" }), "RlpOutOfRange"],
    ["a hash of 31 bytes", build({ hash: encodeRlp(dataSlice(blockHash, 1)) }), "RlpOutOfRange"],
    ["a list as height", build({ height: "0xc109" }), "RlpUnexpectedKind"],
    ["version 2", build({ version: "0x02" }), "UnknownEncoding"],
    ["a field too many", build({ more: ["0x01"] }), "UnknownEncoding"],
    ["a field too many in a precommit", build({ first: ["0x01"] }), "UnknownEncoding"],
  ];
  for (const [name, bytes, reason] of cases) assert.equal(await verdict(bytes), reason, name);
});

test("sets hash alike in both, from one validator to a hundred", async () => {
  for (const size of [1, 2, 3, 11, 12, 100]) {
    const members = Array.from({ length: size }, (_, place) => ({
      address: toBeHex(place + 1, 20),
      power: BigInt((place % 64) + 1),
    }));
    assert.equal(await contract.setHash(onChain(members)), verifier.setHash(members), `${size} validators`);
  }
});

test("a header is read alike in both, and requests hash alike", async () => {
  const requests = {
    outboxRoot: ZeroHash,
    setHash: verifier.setHash(set),
    recordHash: id("record"),
    from: 258n,
  };
  const expected = verifier.requestsHash(verifier.encodeRequests(requests));
  const { outboxRoot, setHash, recordHash, from } = requests;
  assert.equal(await contract.requestsHash(outboxRoot, setHash, recordHash, from), expected);

  const block = await chain.call("eth_getBlockByNumber", "latest", false);
  const header = verifier.encodeHeader({ ...block, number: toBeHex(300), requestsHash: expected });
  const certificate = await certify([1, 2, 3], { height: 300n, blockHash: keccak256(header) });
  const encoded = verifier.encodeCertificate(certificate);
  assert.equal(await contract.verifyHeader(asked(network), onChain(set), encoded, header), expected);
  const proof = { header, requests: verifier.encodeRequests(requests), certificate: encoded };
  assert.equal(verifier.verifyBlockProof(network, set, proof).next.setHash, setHash);

  const other = verifier.encodeHeader({ ...block, number: toBeHex(301), requestsHash: expected });
  const changed = verifier.encodeHeader({ ...block, number: toBeHex(300), requestsHash: setHash });
  const wrong = await certify([1, 2, 3], { height: 300n, blockHash: keccak256(other) });
  for (const [given, shown] of [
    [certificate, changed],
    [wrong, other],
  ]) {
    const bytes = verifier.encodeCertificate(given);
    await assert.rejects(
      () => contract.verifyHeader(asked(network), onChain(set), bytes, shown),
      (error) => error.revert.name === "WrongHeader",
    );
    assert.throws(
      () => verifier.verifyBlockProof(network, set, { ...proof, certificate: bytes, header: shown }),
      verifier.Invalid,
    );
  }
});

test("both agree with the golden vectors", async () => {
  const pinned = JSON.parse(readFileSync(here("../vectors/formats.json"), "utf8"));
  const of = { chainId: BigInt(pinned.domain.chainId), networkId: pinned.domain.networkId };
  assert.equal(keccak256(pinned.founding.encoded), pinned.founding.networkId);
  assert.equal(TypedDataEncoder.hashDomain(verifier.domain(of)), pinned.domain.separator);

  const { height, round, polRound, blockHash, ...digests } = pinned.votes;
  const hash = (kind, change) => verifier.voteHash(of, kind, { height, round, blockHash, ...change });
  assert.deepEqual(digests, {
    commit: hash("Commit"),
    commitNil: hash("Commit", { blockHash: ZeroHash }),
    prevote: hash("Prevote"),
    proposal: hash("Proposal", { polRound }),
    proposalWithoutPolka: hash("Proposal", { polRound: -1 }),
  });
  assert.equal(await contract.commitDigest(asked(of), height, round, blockHash), digests.commit);

  const validators = verifier.decodeSet(pinned.validators.encoded);
  assert.deepEqual(
    validators.map(({ address, power }) => [address.toLowerCase(), Number(power)]),
    pinned.validators.set.map(([address, power]) => [address.toLowerCase(), power]),
  );
  assert.equal(verifier.encodeSet(validators), pinned.validators.encoded);
  assert.equal(verifier.setHash(validators), pinned.validators.hash);
  assert.equal(await contract.setHash(onChain(validators)), pinned.validators.hash);
  for (const record of [pinned.record, pinned.developmentRecord]) {
    assert.equal(keccak256(record.encoded), record.hash);
  }

  const { list: requests, hash: requestsHash, outboxRoot, setHash, recordHash, from } = pinned.requests;
  assert.deepEqual(verifier.encodeRequests(pinned.requests), requests);
  assert.equal(verifier.requestsHash(requests), requestsHash);
  assert.equal(await contract.requestsHash(outboxRoot, setHash, recordHash, from), requestsHash);

  const certificate = verifier.decodeCertificate(pinned.certificate.encoded);
  assert.deepEqual(
    [certificate.height, certificate.round, certificate.blockHash],
    [BigInt(height), BigInt(round), blockHash],
  );
  assert.equal(await verdict(pinned.certificate.encoded, { of, under: validators }), true);
  assert.equal(await verdict(pinned.certificate.encoded, { under: validators }), "BadSignature");
  // The keys of the vectors make these very signatures: ECDSA here is that of RFC 6979.
  for (const { address, signature } of certificate.signatures) {
    const key = pinned.keys.find((candidate) => computeAddress(candidate) === address);
    assert.equal(await verifier.signCommit(of, new Wallet(key), { height, round, blockHash }), signature);
  }

  const { header, hash: genesis, stateRoot } = pinned.genesis;
  assert.equal(keccak256(header), genesis);
  assert.equal(verifier.decodeHeader(header).stateRoot, stateRoot);
  const { parentHash, number, value } = pinned.prevRandao;
  assert.equal(keccak256(concat([parentHash, toBeHex(number, 32)])), value);
  assert.equal(toBeHex(pinned.time.milliseconds, 8), pinned.time.extraData);
});
