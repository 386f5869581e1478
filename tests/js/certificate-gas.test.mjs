// Certificates of 4, 11 and 100 cities in Solidity: what is accepted, what is refused, and that the gas is what
// `docs/certificates.md` says.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { ContractFactory, JsonRpcProvider, Wallet, concat, dataLength, hexlify, id } from "ethers";
import { dataSlice, randomBytes, toBeHex, toBigInt } from "ethers";
import * as verifier from "./certificate.mjs";
import { artifact, here, startChain } from "./harness.mjs";

const network = { chainId: 31337n, networkId: id("a network of many cities") };
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
/** How far the gas may be from the documented one, in percent: bytes of zero in keys and hashes cost less. */
const TOLERANCE = 10n;
const SIZES = [
  { signing: 3, cities: 4 },
  { signing: 8, cities: 11 },
  { signing: 67, cities: 100 },
];

let chain;
let provider;
let sender;
let contract;
let meter;

before(async () => {
  chain = await startChain();
  provider = new JsonRpcProvider(chain.rpc, undefined, { cacheTimeout: -1 });
  sender = new Wallet(chain.accounts[0].private_key, provider);
  contract = await deploy("CertificateVerifier");
  meter = await deploy("Meter");
});
after(async () => {
  provider?.destroy();
  await chain?.stop();
});

async function deploy(name) {
  const { abi, bytecode } = artifact(name);
  const deployed = await new ContractFactory(abi, bytecode, sender).deploy();
  return deployed.waitForDeployment();
}

const byAddress = (a, b) => (toBigInt(a.address) < toBigInt(b.address) ? -1 : 1);
const newKey = () => new Wallet(hexlify(randomBytes(32)));
const newCities = (count) => Array.from({ length: count }, newKey).sort(byAddress);
/** The set of `cities`, each with the power that `powerAt` gives for its place. */
const setOf = (cities, powerAt = () => 1n) =>
  cities.map(({ address }, place) => ({ address, power: powerAt(place) }));

/** A certificate by `cities` for a random block of height 9. */
async function certify(cities) {
  const vote = { height: 9n, round: 0n, blockHash: hexlify(randomBytes(32)) };
  const signatures = [];
  for (const city of cities) {
    const signature = await verifier.signCommit(network, city, vote);
    signatures.push({ address: city.address, signature });
  }
  return { ...vote, signatures };
}

const onChain = (set) => set.map(({ address, power }) => [address, power]);
const verifyArguments = (set, certificate) => [
  [network.chainId, network.networkId],
  onChain(set),
  verifier.encodeCertificate(certificate),
];

/** What the contract says, `true` or the name of its error; the JavaScript verifier has to agree. */
async function verdict(set, certificate) {
  let inSolidity = true;
  try {
    await contract.verify(...verifyArguments(set, certificate));
  } catch (error) {
    inSolidity = error.revert?.name ?? error;
  }
  const check = () => verifier.verifyCertificate(network, set, certificate);
  if (inSolidity === true) check();
  else assert.throws(check, verifier.Invalid, `only Solidity refuses it: ${inSolidity}`);
  return inSolidity;
}

/** The certificate with the signature at `place` changed by `change`, which is given r, s and v. */
function forged(certificate, place, change) {
  const signatures = certificate.signatures.map(({ address, signature }, index) => {
    if (index !== place) return { address, signature };
    const [r, s, v] = [dataSlice(signature, 0, 32), dataSlice(signature, 32, 64), dataSlice(signature, 64)];
    return { address, signature: change(r, toBigInt(s), Number(v)) };
  });
  return { ...certificate, signatures };
}
const flippedV = (r, s, v) => concat([r, toBeHex(s, 32), toBeHex(55 - v)]);
const highS = (r, s, v) => concat([r, toBeHex(ORDER - s, 32), toBeHex(55 - v)]);

/** The gas that the documentation gives for so many cities: of a transaction, of a call, of hashing the set. */
function documented(signing, cities) {
  const text = readFileSync(here("../../docs/certificates.md"), "utf8");
  const row = text.split("\n").find((line) => line.startsWith(`| ${signing} of ${cities} |`));
  assert.ok(row, `docs/certificates.md has no row for ${signing} of ${cities}`);
  const [, , bytes, transaction, call, setHash] = row
    .split("|")
    .map((cell) => BigInt(cell.replace(/\D/g, "")));
  return { bytes, transaction, call, setHash };
}

/** What a call of the verifier costs the contract that makes it. */
async function measured(method, ...args) {
  const data = contract.interface.encodeFunctionData(method, args);
  const { success, used } = await meter.measure.staticCall(await contract.getAddress(), data);
  assert.ok(success);
  return used;
}

for (const { signing, cities: count } of SIZES) {
  const name = `${signing} of ${count} cities`;

  test(`${name} are a quorum, for the gas that is documented`, async () => {
    // Keys are random, so that signers lie anywhere in the set.
    const keys = Array.from({ length: count }, newKey);
    const set = setOf(keys.toSorted(byAddress));
    const certificate = await certify(keys.slice(0, signing).sort(byAddress));
    assert.equal(await verdict(set, certificate), true);

    const sent = await contract.verify.send(...verifyArguments(set, certificate));
    const { status, gasUsed } = await sent.wait();
    assert.equal(status, 1);
    const gas = {
      bytes: BigInt(dataLength(verifier.encodeCertificate(certificate))),
      transaction: gasUsed,
      call: await measured("verify", ...verifyArguments(set, certificate)),
      setHash: await measured("setHash", onChain(set)),
    };
    console.log(
      `${name}: ${Object.entries(gas)
        .map((entry) => entry.join(" "))
        .join(", ")}`,
    );
    for (const [what, figure] of Object.entries(documented(signing, count))) {
      const off = gas[what] > figure ? gas[what] - figure : figure - gas[what];
      assert.ok(100n * off <= TOLERANCE * figure, `${name}, ${what}: ${gas[what]}, documented ${figure}`);
    }
  });

  test(`${name}: what is no certificate is refused for its reason`, async () => {
    const cities = newCities(count);
    const set = setOf(cities);
    const good = await certify(cities.slice(0, signing));
    const { signatures } = good;
    const last = signatures.length - 1;
    const swapped = [...signatures.slice(0, last - 1), signatures[last], signatures[last - 1]];
    const stranger = newKey();
    const outsider = {
      address: stranger.address,
      signature: await verifier.signCommit(network, stranger, good),
    };
    const cases = [
      ["one signature too few", { ...good, signatures: signatures.slice(1) }, "NoQuorum"],
      ["wrong order", { ...good, signatures: swapped }, "NotAscending"],
      [
        "one twice",
        { ...good, signatures: [...signatures.slice(0, last), signatures[last - 1]] },
        "NotAscending",
      ],
      ["another height", { ...good, height: 10n }, "BadSignature"],
      ["high s", forged(good, last, highS), "BadSignature"],
      ["flipped v", forged(good, last, flippedV), "BadSignature"],
      [
        "an outsider",
        { ...good, signatures: [...signatures.slice(0, last), outsider].sort(byAddress) },
        "NotAValidator",
      ],
    ];
    assert.equal(await verdict(set, good), true);
    for (const [what, certificate, reason] of cases) {
      assert.equal(await verdict(set, certificate), reason, what);
    }
  });

  test(`${name}: what counts is power, not how many sign`, async () => {
    const cities = newCities(count);
    const heavy = count - 1;
    const set = setOf(cities, (place) => (place === heavy ? 64n : 1n));
    const many = await certify(cities.slice(0, signing));
    assert.equal(await verdict(set, many), "NoQuorum", "two thirds of the cities, but not of the power");

    // The heavy one and as many others as are just enough, and one less.
    const total = 64n + BigInt(heavy);
    const others = Math.max(0, Number((2n * total) / 3n + 1n - 64n));
    assert.ok(others + 1 < signing);
    const few = await certify([...cities.slice(0, others), cities[heavy]]);
    assert.equal(await verdict(set, few), true, "fewer cities than two thirds, with the power");
    const less = { ...few, signatures: few.signatures.slice(1) };
    if (others > 0) assert.equal(await verdict(set, less), "NoQuorum");
  });
}
