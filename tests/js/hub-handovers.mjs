// Handover blocks of the hub's applications, with their certificates, as a chain's cities would make them: real keys
// sign a real header. The header's other fields mean nothing to the contracts.

import { ZeroAddress, ZeroHash, hexlify, keccak256, randomBytes, toBigInt } from "ethers";
import { encodeHeader, encodeRequests, requestsHash, voteHash } from "./certificate.mjs";
import { NETWORK } from "./hub.mjs";

/** The header of a block at `height` whose requests hash is this one. */
const newHeader = (height, requests) =>
  encodeHeader({
    parentHash: hexlify(randomBytes(32)),
    sha3Uncles: ZeroHash,
    miner: ZeroAddress,
    stateRoot: hexlify(randomBytes(32)),
    transactionsRoot: ZeroHash,
    receiptsRoot: ZeroHash,
    logsBloom: `0x${"00".repeat(256)}`,
    difficulty: 0n,
    number: height,
    gasLimit: 60_000_000n,
    gasUsed: 0n,
    timestamp: 1_767_225_600n,
    extraData: "0x0000019b7605f400",
    mixHash: ZeroHash,
    nonce: "0x0000000000000000",
    baseFeePerGas: 0n,
    withdrawalsRoot: ZeroHash,
    blobGasUsed: 0n,
    excessBlobGas: 0n,
    parentBeaconBlockRoot: ZeroHash,
    requestsHash: requests,
  });

/** A handover block of application `n`, which names what the hub names now, signed by the keys `signers`; `changes`
 * replace what the block or the certificate says. */
export async function newHandover(hub, n, signers, changes = {}) {
  const shown = await hub.ask("Applications", "application", n);
  const { setHash, recordHash, chainId } = { ...shown.toObject(), ...changes };
  const { height = 1n, round = 0n, outboxRoot = ZeroHash, networkId = NETWORK, from = height + 1n } = changes;
  const requests = requestsHash(encodeRequests({ outboxRoot, setHash, recordHash, from }));
  const header = changes.header ?? newHeader(height, requests);
  const signed = { height, round, blockHash: keccak256(header), ...changes.signed };
  const digest = voteHash({ chainId, networkId }, "Commit", signed);
  const ascending = signers.toSorted((a, b) => (toBigInt(a.address) < toBigInt(b.address) ? -1 : 1));
  return {
    n,
    height,
    round,
    header,
    outboxRoot: changes.shownRoot ?? outboxRoot,
    signers: ascending.map(({ address }) => address),
    signatures: ascending.map((key) => key.signingKey.sign(digest).serialized),
  };
}

export const handoverTuple = (handover) => Object.values(handover);

/** Shows handovers; anybody may. */
export const show = (hub, ...handovers) =>
  hub.tell(ZeroAddress, "Applications", "show", handovers.map(handoverTuple));
