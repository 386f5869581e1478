// A small light client in JavaScript: checks Causeway certificates and what headers commit to, on ethers alone.
// It follows the chain's format from its description, and shares no code with the program or the contracts.

import {
  concat,
  decodeRlp,
  encodeRlp,
  getAddress,
  getBytes,
  hexlify,
  isHexString,
  keccak256,
  recoverAddress,
  sha256,
  toBeArray,
  toBeHex,
  toBigInt,
  TypedDataEncoder,
  ZeroHash,
} from "ethers";

const TYPES = {
  Commit: [
    { name: "height", type: "uint64" },
    { name: "round", type: "uint32" },
    { name: "blockHash", type: "bytes32" },
  ],
  Prevote: [
    { name: "height", type: "uint64" },
    { name: "round", type: "uint32" },
    { name: "blockHash", type: "bytes32" },
  ],
  Proposal: [
    { name: "height", type: "uint64" },
    { name: "round", type: "uint32" },
    { name: "polRound", type: "int64" },
    { name: "blockHash", type: "bytes32" },
  ],
};
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
const MAX_ROUND = 1n << 20n;
const MAX_POWER = 64n;

/** Fields of a header, in the order in which they are hashed, under the names of JSON-RPC. */
export const HEADER_FIELDS = [
  "parentHash",
  "sha3Uncles",
  "miner",
  "stateRoot",
  "transactionsRoot",
  "receiptsRoot",
  "logsBloom",
  "difficulty",
  "number",
  "gasLimit",
  "gasUsed",
  "timestamp",
  "extraData",
  "mixHash",
  "nonce",
  "baseFeePerGas",
  "withdrawalsRoot",
  "blobGasUsed",
  "excessBlobGas",
  "parentBeaconBlockRoot",
  "requestsHash",
];
const QUANTITIES = new Set(
  "difficulty number gasLimit gasUsed timestamp baseFeePerGas blobGasUsed excessBlobGas".split(" "),
);

/** What is wrong with what was to be checked. */
export class Invalid extends Error {}

function require(condition, message) {
  if (!condition) throw new Invalid(message);
}

/** The EIP-712 domain of every vote on a chain: `network` is `{chainId, networkId}`. */
export const domain = ({ chainId, networkId }) => ({
  name: "Causeway",
  version: "1",
  chainId,
  salt: networkId,
});

/** The digest that a validator signs for a vote of kind `Commit`, `Prevote` or `Proposal`. */
export const voteHash = (network, kind, vote) =>
  TypedDataEncoder.hash(domain(network), { [kind]: TYPES[kind] }, vote);

/** Signs a commit, as a validator does: for tests that need certificates of their own. */
export const signCommit = (network, wallet, vote) =>
  wallet.signTypedData(domain(network), { Commit: TYPES.Commit }, vote);

/** A validator set, `[{address, power}]`, as RLP. */
export const encodeSet = (set) => encodeRlp(set.map(({ address, power }) => [address, toBeArray(power)]));

/** A validator set from RLP. */
export const decodeSet = (encoded) =>
  decodeRlp(encoded).map(([address, power]) => ({ address: getAddress(address), power: integer(power) }));

/** The hash by which headers name a set. */
export const setHash = (set) => keccak256(encodeSet(set));

/** `[{address, signature}]` and what they sign, as RLP. */
export const encodeCertificate = ({ height, round, blockHash, signatures }) =>
  encodeRlp([
    toBeArray(1),
    toBeArray(height),
    toBeArray(round),
    blockHash,
    signatures.map(({ address, signature }) => [address, signature]),
  ]);

/** Reads a certificate; only its one canonical encoding is read. */
export function decodeCertificate(encoded) {
  let certificate;
  try {
    const [version, height, round, blockHash, signatures, ...more] = decodeRlp(encoded);
    require(version === "0x01" && more.length === 0, "not a certificate of version 1");
    certificate = {
      height: integer(height),
      round: integer(round),
      blockHash,
      signatures: signatures.map(([address, signature]) => ({ address: getAddress(address), signature })),
    };
  } catch (error) {
    throw new Invalid(`not a certificate: ${error.message}`);
  }
  require(certificate.height < 1n << 64n && certificate.round < 1n << 32n, "a number out of range");
  require(isHexString(certificate.blockHash, 32), "not a hash");
  require(encodeCertificate(certificate) === hexlify(encoded), "not encoded canonically");
  return certificate;
}

/** Checks a certificate under the set of its height. */
export function verifyCertificate(network, set, certificate) {
  const { height, round, blockHash, signatures } = certificate;
  require(height > 0n && blockHash !== ZeroHash && round <= MAX_ROUND, "nothing that can be certified");
  require(ascending(set), "the set is not ascending");
  require(set.every(({ power }) => power >= 1n && power <= MAX_POWER), "a power out of range");
  require(ascending(signatures), "the signers are not ascending");
  const digest = voteHash(network, "Commit", { height, round, blockHash });
  const powers = new Map(set.map(({ address, power }) => [address, power]));
  let signed = 0n;
  for (const { address, signature } of signatures) {
    require(powers.has(address), `${address} is no validator`);
    require(recover(digest, signature) === address, `not a signature of ${address}`);
    signed += powers.get(address);
  }
  const total = set.reduce((sum, { power }) => sum + power, 0n);
  require(3n * signed > 2n * total, `power ${signed} of ${total} is no quorum`);
}

/** Checks a block's proof, as `causeway_getBlockProof` gives it, under the set of its height; genesis, which
 * nobody certifies, by its hash, which the caller has to know. Gives header, hash, and what is named for the
 * next height: hashes of set and record, and the two themselves where they are new. */
export function verifyBlockProof(network, set, proof) {
  const header = decodeHeader(proof.header);
  const hash = keccak256(proof.header);
  if (header.number > 0n) {
    const certificate = decodeCertificate(proof.certificate);
    require(certificate.blockHash === hash && certificate.height === header.number, "of another block");
    verifyCertificate(network, set, certificate);
  }
  require(requestsHash(proof.requests) === header.requestsHash, "other requests than the header's");
  const next = decodeRequests(proof.requests);
  if (proof.validators) {
    require(keccak256(proof.validators) === next.setHash, "another set than the one named");
    next.set = decodeSet(proof.validators);
  }
  require(!proof.record || keccak256(proof.record) === next.recordHash, "another record than the one named");
  return { header, hash, next };
}

/** EIP-7685 over requests, each with its type byte. */
export const requestsHash = (requests) => sha256(concat(requests.map((request) => sha256(request))));

/** The two requests of a block. */
export const encodeRequests = ({ outboxRoot, setHash, recordHash, from }) => [
  concat(["0xc0", outboxRoot]),
  concat(["0xc1", setHash, recordHash, toBeHex(from, 8)]),
];

function decodeRequests(requests) {
  require(requests.length === 2, "not the two requests of a block");
  const [outbox, next] = requests.map((request) => getBytes(request));
  require(outbox.length === 33 && outbox[0] === 0xc0, "not an outbox root");
  require(next.length === 73 && next[0] === 0xc1, "not a set and record");
  return {
    outboxRoot: hexlify(outbox.slice(1)),
    setHash: hexlify(next.slice(1, 33)),
    recordHash: hexlify(next.slice(33, 65)),
    from: toBigInt(next.slice(65)),
  };
}

/** A header from RLP; numbers as `bigint`. */
export function decodeHeader(encoded) {
  const fields = decodeRlp(encoded);
  require(fields.length === HEADER_FIELDS.length, "not a header of this chain");
  return Object.fromEntries(
    HEADER_FIELDS.map((name, index) => [name, QUANTITIES.has(name) ? integer(fields[index]) : fields[index]]),
  );
}

/** A header as RLP, from an answer to `eth_getBlockByHash`. */
export const encodeHeader = (block) =>
  encodeRlp(HEADER_FIELDS.map((name) => (QUANTITIES.has(name) ? toBeArray(block[name]) : block[name])));

/** A number as RLP has it: zero is no bytes. */
function integer(bytes) {
  return bytes === "0x" ? 0n : toBigInt(bytes);
}

function ascending(list) {
  return list.every(
    ({ address }, index) => index === 0 || toBigInt(list[index - 1].address) < toBigInt(address),
  );
}

/** Who made a signature, or undefined unless it is in the one allowed form: r ‖ s ‖ v, low s, v 27 or 28. */
function recover(digest, signature) {
  const bytes = getBytes(signature);
  if (bytes.length !== 65 || ![27, 28].includes(bytes[64])) return undefined;
  if (toBigInt(bytes.slice(32, 64)) > HALF_ORDER) return undefined;
  try {
    return recoverAddress(digest, signature);
  } catch {
    return undefined;
  }
}
