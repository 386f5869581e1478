// The rules of the hub's contracts, one after the other: who may found, join, vote and place, what is refused and with
// which words, and that record and set are the bytes that cities agree on.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import { AbiCoder, Wallet, ZeroAddress, ZeroHash, concat, hexlify, keccak256, randomBytes } from "ethers";
import { TypedDataEncoder, dataSlice, toBeHex, toBigInt } from "ethers";
import { ADDRESSES, DAY, HUB_RECORD, Hub, KIND, NETWORK, PREFIX, SYSTEM } from "./hub.mjs";
import { encodeRecord, newCities, newCity, newKey, newOffer, newSpecification, offerTuple } from "./hub.mjs";
import { onChain, onChainSpecification, parameterName, payload, refused, setHash, signCard } from "./hub.mjs";
import { here } from "./harness.mjs";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const MAX_CODE = 24_576;
/** What one creation on four cities may cost. */
const CREATION_GAS = 700_000n;
/** The cap of a transaction (EIP-7825), and of a system call (EIP-4788). */
const TRANSACTION_GAS = 16_777_216n;
const SYSTEM_GAS = 30_000_000n;

let hub;
let founders;
before(async () => {
  hub = await Hub.founded(4);
  founders = hub.founders;
});

/** Runs a test on the founded hub and takes back what it did. */
const onHub = (name, body) =>
  test(name, async () => {
    const moment = hub.save();
    try {
      await body();
    } finally {
      hub.load(moment);
    }
  });

const joining = (words = {}, as) => newCity({ network: NETWORK, ...words }, as);
const admit = async (city) => {
  await hub.decide(founders, "AdmitMember", onChain(city.card), city.proof);
  return city;
};

test("a network is founded once, by the system alone, and with sound cards", async () => {
  const cities = newCities(4);
  const empty = await Hub.installed();
  const again = newCity({}, { node: cities[0].node });
  const cases = [
    ["NotAllowed", { from: cities[0].authority.address }],
    ["NoNetworkId", { networkId: ZeroHash }],
    ["FounderCount", { cities: [] }],
    ["FounderCount", { cities: newCities(32) }],
    ["OutOfRange", { prefix: 1n }],
    ["OutOfRange", { prefix: 2n ** 31n - 1n }],
    ["WrongNetwork", { cities: [...cities, newCity({ network: NETWORK })] }],
    ["NodeKeyUsed", { cities: [...cities, again] }],
    ["AuthorityTaken", { cities: [...cities, newCity({}, { authority: cities[0].authority })] }],
    ["NameTaken", { cities: [...cities, newCity({ member: cities[0].card.member.toUpperCase() })] }],
    ["UnknownMember", { offer: newOffer({ policy: 2n, listed: [5n] }) }],
    ["TooMany", { record: hexlify(new Uint8Array(4097)) }],
  ];
  for (const [error, founding] of cases) await refused(error, empty.found({ cities, ...founding }));
  await empty.found({ cities });
  await refused("FoundedAlready", empty.found({ cities }));
  for (const [contract, method, args] of [
    ["Members", "admit", ["Bank", SYSTEM]],
    ["Members", "setStatus", [1, 2]],
    ["Members", "restoreAuthority", [1, SYSTEM]],
    ["Members", "countCreation", [cities[0].authority.address]],
    ["Cities", "setStatus", [1, 2]],
    ["Cities", "memberChanged", [1, 2]],
    ["Cities", "admit", [1, onChain(cities[0].card), cities[0].proof]],
    ["Cities", "found", [NETWORK, offerTuple(newOffer())]],
    ["Cities", "take", [1, [1], [1, 1, 1, 1]]],
    ["Cities", "release", [[1], [1, 1, 1, 1]]],
    ["Applications", "found", [PREFIX, HUB_RECORD, [1]]],
    ["Applications", "setHub", [[1]]],
    ["Validators", "found", [[1]]],
  ]) {
    for (const from of [SYSTEM, cities[0]]) {
      await refused("NotAllowed", empty.tell(from, contract, method, ...args));
    }
  }
});

test("a network is founded with other parameters than the defaults, within their bounds", async () => {
  const cities = newCities(4);
  const empty = await Hub.installed();
  const founding = [NETWORK, PREFIX, HUB_RECORD, cities.map((it) => [onChain(it.card), it.proof])];
  const found = (settings, from = SYSTEM) => {
    const named = settings.map(([name, value]) => [parameterName(name), value]);
    return empty.tell(from, "Governance", "foundWith", [...founding, offerTuple(newOffer())], named);
  };
  const cases = [
    ["ParameterOutOfRange", [["threshold", 499n]], [parameterName("threshold"), 499n, 500n, 999n]],
    ["ParameterOutOfRange", [["quorum", 1_001n]]],
    ["ParameterOutOfRange", [["timeLock", 90n * DAY + 1n]]],
    ["ParameterOutOfRange", [["votingPeriod", 0n]]],
    ["ParameterOutOfRange", [["minimumMembers", 5n]], [parameterName("minimumMembers"), 5n, 1n, 4n]],
    ["UnknownParameter", [["colour", 1n]], [parameterName("colour")]],
    [
      "PayloadNotCanonical",
      [
        ["timeLock", 1n],
        ["timeLock", 2n],
      ],
    ],
    [
      "PayloadNotCanonical",
      [
        ["votingPeriod", DAY],
        ["timeLock", 2n],
      ],
    ],
    ["PayloadNotCanonical", [["", 1n]]],
  ];
  for (const [error, settings, args = []] of cases) await refused(error, found(settings), ...args);
  await refused("NotAllowed", found([], cities[0].authority.address));
  const chosen = { quorum: 0n, threshold: 666n, timeLock: 2n * DAY, votingPeriod: 3n * DAY };
  const { events } = await found(Object.entries(chosen));
  const set = events.filter(({ name }) => name === "ParameterSet").map(({ args }) => args);
  assert.deepEqual(
    set,
    Object.entries(chosen).map(([name, value]) => [parameterName(name), value]),
  );
  const defaults = await hub.ask("Governance", "parameters");
  for (const [index, { name, value }] of (await empty.ask("Governance", "parameters")).entries()) {
    const own = Object.entries(chosen).find(([text]) => parameterName(text) === name);
    assert.equal(value, own?.[1] ?? defaults[index].value);
  }
  await refused("FoundedAlready", found([]));
  await refused("FoundedAlready", empty.found({ cities }));
  const id = await empty.propose(cities[0], "SuspendCity", 1);
  for (const city of cities.slice(0, 3)) await empty.vote(city, id);
  await refused("TimeLocked", empty.tell(cities[0], "Governance", "execute", id), id, empty.now + 2n * DAY);
});

test("31 founders are a network within the gas of a system call; code is within EIP-170", async () => {
  const large = await Hub.installed();
  const { gas } = await large.found({ cities: newCities(31) });
  console.log(`founding by 31: ${gas} gas`);
  assert.ok(gas < SYSTEM_GAS);
  for (const address of Object.values(ADDRESSES)) {
    const code = [...large.state.rows.code].find(([key]) => key === address)[1];
    assert.ok(code.length > 0 && code.length <= MAX_CODE, address);
  }
});

onHub("the hub is application 0, with the founders' cities as validators", async () => {
  const shown = await hub.ask("Applications", "application", 0);
  const ascending = founders
    .map(({ card }) => card.node)
    .sort((a, b) => (toBigInt(a) < toBigInt(b) ? -1 : 1));
  assert.deepEqual([...shown.validators], ascending);
  assert.equal(shown.setHash, setHash(ascending.map((node) => [node, 1n])));
  assert.equal(shown.record, HUB_RECORD);
  assert.equal(shown.recordHash, keccak256(HUB_RECORD));
  assert.equal(shown.chainId, PREFIX << 21n);
  assert.equal(await hub.ask("Applications", "count"), 0n);
  assert.equal(await hub.ask("Members", "count"), 4n);
});

test("the formats of this suite are those of the vectors", () => {
  const vectors = JSON.parse(readFileSync(here("../../tests/vectors/formats.json"), "utf8"));
  const record = {
    chainId: 0xfcde41b2n,
    genesisMs: 1_767_225_600_123n,
    gasLimit: 60_000_000n,
    feeRule: 1n,
    admission: [1n, `0x${"aa".repeat(32)}`],
    readers: [1n, ZeroHash],
    timeouts: [50n, 60_000n],
    minimumIntervalMs: 250n,
    forks: [["first", 1_800_000_000n]],
    development: 0n,
  };
  assert.equal(encodeRecord(record), vectors.record.encoded);
  assert.equal(keccak256(encodeRecord(record)), vectors.record.hash);
  assert.equal(setHash(vectors.validators.set), vectors.validators.hash);
});

onHub("record and set of an application are the bytes that cities agree on", async () => {
  const choices = [
    {},
    { gasLimit: 1_000_000n, feeRule: 1n, admission: 0n, readers: 0n, minimumIntervalMs: 3_600_000n },
    { minimumIntervalMs: 127n },
    { minimumIntervalMs: 128n, gasLimit: 1_000_000_000n },
  ];
  for (const choice of choices) {
    const specification = newSpecification({ cities: [4n, 2n, 1n, 3n], ...choice });
    const { result: n, events } = await hub.create(founders[1], specification);
    const shown = await hub.ask("Applications", "application", n);
    const record = {
      chainId: (PREFIX << 21n) + n,
      genesisMs: hub.now * 1000n,
      gasLimit: specification.gasLimit || 60_000_000n,
      feeRule: specification.feeRule,
      admission: [specification.admission, ZeroHash],
      readers: [specification.readers, ZeroHash],
      timeouts: [50n, 60_000n],
      minimumIntervalMs: specification.minimumIntervalMs,
      forks: [],
      development: 0n,
    };
    assert.equal(shown.record, encodeRecord(record));
    assert.equal(shown.recordHash, keccak256(shown.record));
    assert.equal(shown.setHash, setHash(shown.validators.map((node) => [node, 1n])));
    const sorted = shown.validators.toSorted((a, b) => (toBigInt(a) < toBigInt(b) ? -1 : 1));
    assert.deepEqual([...shown.validators], sorted);
    for (const [place, id] of shown.cities.entries()) {
      assert.equal((await hub.ask("Cities", "city", id)).node, shown.validators[place]);
    }
    const placed = events.filter(({ name }) => name === "Placed").map(({ args }) => args);
    assert.deepEqual(
      placed,
      shown.cities.map((id) => [n, id]),
    );
    const created = events.filter(({ name }) => name === "Created").map(({ args }) => args);
    assert.deepEqual(created, [[n, record.chainId, shown.owner, specification.name]]);
    hub.now += 1n;
  }
});

onHub("one creation on four cities costs less than 700,000 gas, the first as the later ones", async () => {
  const gas = [];
  for (let i = 0; i < 5; ++i) gas.push((await hub.create(founders[0], newSpecification())).gas);
  console.log(`creations on four cities: ${gas.join(", ")} gas`);
  for (const used of gas) assert.ok(used < CREATION_GAS, `${used}`);
});

onHub("a creation on 100 cities fits into a transaction; one more city is refused", async () => {
  const member = founders[0];
  await hub.decide(founders, "SetParameter", parameterName("citiesPerMember"), 200n);
  for (let i = 0; i < 97; ++i) {
    const city = joining({ member: member.card.member }, { authority: member.authority });
    const { result: id } = await hub.tell(member, "Cities", "register", onChain(city.card), city.proof);
    await hub.tell(member, "Cities", "setOffer", id, offerTuple(newOffer()));
  }
  const all = Array.from({ length: 101 }, (_, index) => BigInt(index + 1));
  const words = { allowConcentration: true, name: "x".repeat(40) };
  await refused("TooMany", hub.create(member, newSpecification({ ...words, cities: all })), 101n, 100n);
  const wide = newSpecification({ ...words, cities: all.slice(0, 100).reverse() });
  const { gas, result: n } = await hub.create(member, wide);
  console.log(`creation on 100 cities: ${gas} gas`);
  assert.ok(gas < TRANSACTION_GAS);
  const shown = await hub.ask("Applications", "application", n);
  assert.equal(shown.setHash, setHash(shown.validators.map((node) => [node, 1n])));
  const { institutions, institutionsMayFail } = await hub.askAs(
    member.authority.address,
    "Applications",
    "quote",
    onChainSpecification({ ...wide, name: "another" }),
  );
  assert.deepEqual([institutions, institutionsMayFail], [4n, 0n]);
});

onHub("specifications that are not sound are refused, by the quote too", async () => {
  const stranger = newKey();
  await hub.create(founders[0], newSpecification({ name: "taken" }));
  await hub.tell(founders[3], "Cities", "setOffer", 4, offerTuple(newOffer({ policy: 0n })));
  const three = { cities: [1n, 2n, 3n], allowConcentration: true };
  const cases = [
    ["ApplicationNameTaken", { name: "taken" }, ["taken", 1n]],
    ...["ab", "x".repeat(41), "-abc", "abc-", "a--b", "Abc", "a b", "a_b", "äbc", "123", "0xab", "hub"].map(
      (name) => ["BadApplicationName", { name }, [name]],
    ),
    ["NoOwner", { owner: ZeroAddress }],
    ["NoCities", { cities: [] }],
    ["UnknownCity", { cities: [1n, 2n, 3n, 9n] }, [9n]],
    ["UnknownCity", { cities: [0n] }, [0n]],
    ["NotOffered", {}, [4n, 1n]],
    ["CityTwice", { cities: [1n, 2n, 3n, 1n] }, [1n]],
    ["Concentrated", { cities: [1n] }],
    ["Concentrated", { cities: [1n, 2n, 3n] }],
    ["OutOfRange", { gasLimit: 999_999n }, [0n, 999_999n]],
    ["OutOfRange", { gasLimit: 1_000_000_001n }, [0n]],
    ["OutOfRange", { gasPerSecond: 0n }, [1n, 0n]],
    ["OutOfRange", { bytesStored: 0n }, [2n, 0n]],
    ["OutOfRange", { blocksPerSecond: 0n }, [3n, 0n]],
    ["OutOfRange", { blocksPerSecond: 1_001n }, [3n]],
    ["OutOfRange", { feeRule: 2n }, [4n]],
    ["OutOfRange", { admission: 1n }, [5n]],
    ["OutOfRange", { readers: 2n }, [6n]],
    ["OutOfRange", { minimumIntervalMs: 3_600_001n }, [7n]],
    ["NoCapacity", { ...three, gasPerSecond: 10n ** 9n }, [1n, 0n, 10n ** 9n, 10n ** 9n - 1_000_000n]],
    ["NoCapacity", { ...three, bytesStored: 2n ** 64n - 1n }, [1n, 1n]],
  ];
  for (const [error, words, args = []] of cases) {
    const specification = newSpecification(words);
    await refused(error, hub.create(founders[0], specification), ...args);
    const asked = hub.askAs(founders[0], "Applications", "quote", onChainSpecification(specification));
    await refused(error, asked, ...args);
  }
  await refused("NotAMember", hub.create(stranger.address, newSpecification(three)), stranger.address);
  await hub.create(founders[0], newSpecification(three));
});

onHub("how many institutions may fail is what trying all of them says", async () => {
  const owners = [1, 2, 3, 4];
  for (const owner of [1, 1, 2, 3]) {
    const { authority, card } = founders[owner - 1];
    const city = joining({ member: card.member }, { authority });
    const { result } = await hub.tell(
      authority.address,
      "Cities",
      "register",
      onChain(city.card),
      city.proof,
    );
    await hub.tell(authority.address, "Cities", "setOffer", result, offerTuple(newOffer()));
    owners.push(owner);
  }
  for (let bits = 1; bits < 2 ** owners.length; bits += 3) {
    const cities = owners.map((_, index) => index + 1).filter((id) => (bits >> (id - 1)) & 1);
    const held = {};
    for (const id of cities) held[owners[id - 1]] = (held[owners[id - 1]] ?? 0) + 1;
    const f = Math.floor((cities.length - 1) / 3);
    // All subsets of institutions: the greatest size of which none holds more than f cities.
    const sums = Object.values(held).reduce(
      (sets, size) => [...sets, ...sets.map((it) => [...it, size])],
      [[]],
    );
    const unsafe = sums.filter((sizes) => sizes.reduce((a, b) => a + b, 0) > f).map(({ length }) => length);
    const mayFail = Math.min(...unsafe) - 1;
    const specification = onChainSpecification(newSpecification({ cities, allowConcentration: true }));
    const quote = await hub.askAs(founders[0], "Applications", "quote", specification);
    const seen = [quote.cities, quote.institutions, quote.citiesMayFail, quote.institutionsMayFail];
    assert.deepEqual(seen.map(Number), [cities.length, Object.keys(held).length, f, mayFail], `${cities}`);
    assert.equal(quote.price, BigInt(cities.length) * 7n);
    const strict = onChainSpecification(newSpecification({ cities }));
    const asked = hub.askAs(founders[0], "Applications", "quote", strict);
    if (mayFail === 0) await refused("Concentrated", asked);
    else await asked;
  }
});

onHub("cards that are forged, replayed, for another network or of odd words bring in nobody", async () => {
  const city = joining();
  const propose = (card, proof) => hub.propose(founders[0], "AdmitMember", onChain(card), proof);
  const [r, s, v] = [dataSlice(city.proof, 0, 32), dataSlice(city.proof, 32, 64), dataSlice(city.proof, 64)];
  const highS = concat([r, toBeHex(ORDER - toBigInt(s), 32), toBeHex(55 - Number(v))]);
  const { card, node } = city;
  const changes = {
    network: hexlify(randomBytes(32)),
    member: "Another Bank",
    authority: newKey().address,
    place: "CN HGH",
    node: newKey().address,
    tlsFingerprint: hexlify(randomBytes(32)),
    endpoint: "other.example:7000",
    rpc: "",
    version: 1n,
  };
  for (const [field, value] of Object.entries(changes)) {
    const error = { network: "WrongNetwork", version: "UnknownCardVersion" }[field] ?? "CardNotProven";
    await refused(error, propose({ ...card, [field]: value }, city.proof));
  }
  const proofs = [
    highS,
    dataSlice(city.proof, 0, 64),
    `${city.proof}00`,
    concat([r, s, "0x1d"]),
    `0x${"00".repeat(65)}`,
  ];
  for (const proof of proofs) await refused("CardNotProven", propose(card, proof));
  await refused("CardNotProven", propose({ ...card, node: ZeroAddress }, proofs.at(-1)));
  const words = [
    [
      "BadMemberName",
      "member",
      ["", " a", "a ", "a  b", "x".repeat(65), "a\u202eb", "a\u0007", "a\u00a0b", "\u3000"],
    ],
    ["BadPlace", "place", ["CNSHA", "cn SHA", "CN SH1", "CN SHAX", "C1 SHA", ""]],
    [
      "BadEndpoint",
      "endpoint",
      ["", "host", ":1", "host:", "host:0", "host:65536", "ho st:1", "h:1x", `${"h".repeat(255)}:1`],
    ],
    ["BadRpc", "rpc", ["ftp://x", "http://", "https://", "x", "https://a b", `https://${"h".repeat(249)}`]],
    ["NoAuthority", "authority", [ZeroAddress]],
    ["NoFingerprint", "tlsFingerprint", [ZeroHash]],
  ];
  for (const [error, field, values] of words) {
    for (const value of values) {
      const odd = { ...card, [field]: value };
      const refusedAs = field === "authority" ? "BadAuthority" : error;
      await refused(refusedAs, propose(odd, signCard(node, odd)));
    }
  }
  for (const member of ["上海银行", "Bänk “of” Köln – 2", "O'Neill"]) {
    await propose({ ...card, member }, signCard(node, { ...card, member }));
  }
  await refused("BadAuthority", propose({ ...card, authority: ADDRESSES.Cities }, city.proof));

  await admit(city);
  assert.equal(await hub.ask("Cities", "idOf", card.node), 5n);
  await refused("NameTaken", propose(card, city.proof));
  const fresh = { ...card, member: "Bank B", authority: newKey().address };
  await refused("NodeKeyUsed", propose(fresh, signCard(node, fresh)), card.node, 5n);
  const otherNode = newKey();
  const sameTls = { ...fresh, node: otherNode.address };
  await refused("FingerprintUsed", propose(sameTls, signCard(otherNode, sameTls)), card.tlsFingerprint, 5n);
  // Removed: name and authority are free again, keys are not, ever.
  await hub.decide(founders, "RemoveMember", 5);
  await refused("NodeKeyUsed", propose(card, city.proof));
  await admit(joining({ member: card.member }, { authority: city.authority }));
  assert.equal(await hub.ask("Members", "idOf", card.authority), 6n);
});

onHub("a member registers further cities itself, and only its own", async () => {
  const [first, second] = founders;
  const own = joining({ member: first.card.member }, { authority: first.authority });
  const register = (from, city) => hub.tell(from, "Cities", "register", onChain(city.card), city.proof);
  await refused("NotTheCardsMember", register(second, own));
  await refused("NotAMember", register(newKey().address, own));
  const misnamed = joining({ member: second.card.member }, { authority: first.authority });
  await refused("NotTheCardsMember", register(first, misnamed));
  await register(first, own);
  await refused("NodeKeyUsed", register(first, own));
  await refused(
    "NotOffered",
    hub.create(first, newSpecification({ cities: [5n], allowConcentration: true })),
  );
  await refused("NotTheCitysMember", hub.tell(second, "Cities", "setOffer", 5, offerTuple(newOffer())), 5n);
  await refused("BadEndpoint", hub.tell(first, "Cities", "setEndpoint", 5, "nowhere", ""));
  await hub.tell(first, "Cities", "setEndpoint", 5, "[::1]:7000", "");
  const shown = await hub.ask("Cities", "city", 5);
  assert.deepEqual([shown.endpoint, shown.rpc, shown.member], ["[::1]:7000", "", 1n]);
  await hub.decide(founders, "SetParameter", parameterName("citiesPerMember"), 2n);
  const third = joining({ member: first.card.member }, { authority: first.authority });
  await refused("TooMany", register(first, third), 3n, 2n);
  await hub.tell(first, "Cities", "retire", 5);
  assert.equal((await hub.ask("Cities", "city", 5)).status, 3n);
  await refused("TooMany", register(first, third));
});

onHub("offers of absurd numbers or odd lists are refused", async () => {
  const offer = (words) => hub.tell(founders[0], "Cities", "setOffer", 1, offerTuple(newOffer(words)));
  for (const [field, words] of [
    [0n, { gasPerSecond: 10n ** 12n + 1n }],
    [1n, { bytesStored: 2n ** 60n + 1n }],
    [2n, { chains: 1_000_001n }],
    [3n, { blocksPerSecond: 1_000_000_001n }],
    [4n, { pricePerGasSecond: 10n ** 36n + 1n }],
    [5n, { policy: 3n }],
  ]) {
    await refused("AbsurdOffer", offer(words), field);
  }
  await refused("BadList", offer({ policy: 1n, listed: [1n] }), 0n);
  await refused("BadList", offer({ policy: 2n, listed: [2n, 2n] }), 1n);
  await refused("BadList", offer({ policy: 2n, listed: [0n] }), 0n);
  await refused("UnknownMember", offer({ policy: 2n, listed: [2n, 9n] }), 9n);
  const many = Array.from({ length: 257 }, (_, index) => BigInt(index + 1));
  await refused("TooMany", offer({ policy: 2n, listed: many }), 257n, 256n);

  await offer({ policy: 2n, listed: [2n, 4n] });
  for (const [member, allowed] of [true, true, false, true].entries()) {
    const placing = hub.create(founders[member], newSpecification());
    if (allowed) await placing;
    else await refused("NotOffered", placing, 1n, BigInt(member + 1));
  }
});

onHub("a sponsored address creates as many as it was given, on its member's account", async () => {
  const guest = newKey().address;
  const create = (from) => hub.create(from, newSpecification());
  const sponsor = (from, creations) => hub.tell(from, "Members", "sponsor", guest, creations);
  await refused("NotAMember", create(guest), guest);
  await sponsor(founders[0], 2);
  await refused("SponsoredElsewhere", sponsor(founders[1], 1), guest, 1n);
  await refused("TooMany", sponsor(founders[0], 10_001));
  const own = hub.tell(founders[0], "Members", "sponsor", founders[1].authority.address, 1);
  await refused("SponsoredElsewhere", own);
  const { result: n } = await create(guest);
  assert.deepEqual([...(await hub.ask("Applications", "history", n))].slice(1), [0n, 1n]);
  await create(guest);
  await refused("NotAMember", create(guest), guest);
  await sponsor(founders[1], 1);
  await hub.tell(guest, "Members", "renounce");
  await sponsor(founders[2], 5);
  await hub.decide(founders, "SetParameter", parameterName("creationsPerDay"), 2n);
  await create(guest);
  await create(founders[2]);
  await refused("DailyLimit", create(guest), 3n, 2n);
  const quote = hub.askAs(guest, "Applications", "quote", onChainSpecification(newSpecification()));
  await refused("DailyLimit", quote, 3n, 2n);
  hub.now += DAY;
  await create(guest);
});

onHub("an application is its owner's: suspended, resumed, closed for ever, its name at rest", async () => {
  const [owner, other] = founders;
  const specification = newSpecification({ owner: owner.authority.address });
  const { result: n } = await hub.create(other, specification);
  const by = (who, method, ...args) => hub.tell(who, "Applications", method, n, ...args);
  for (const method of ["suspend", "resume", "close"]) await refused("NotTheOwner", by(other, method), n);
  await refused("WrongApplicationStatus", by(owner, "resume"), n, 1n, 1n);
  await by(owner, "suspend");
  await refused("WrongApplicationStatus", by(owner, "suspend"), n, 3n, 3n);
  assert.equal((await hub.ask("Cities", "city", 1)).taken.chains, 1n);
  await by(owner, "resume");
  await refused("NoOwner", by(owner, "setOwner", ZeroAddress));
  await by(owner, "setOwner", other.authority.address);
  assert.equal((await hub.ask("Applications", "application", n)).member, 2n);
  await refused("NotTheOwner", by(owner, "close"));
  await by(other, "close");
  for (const method of ["suspend", "resume", "close"]) {
    await refused("WrongApplicationStatus", by(other, method), n, 4n);
  }
  assert.deepEqual([...(await hub.ask("Cities", "city", 1)).taken], [0n, 0n, 0n, 0n]);
  const forget = () => hub.tell(newKey().address, "Applications", "forget", 1, 0);
  await refused("NotYet", forget(), n, hub.now + 30n * DAY);
  await refused("ApplicationNameTaken", hub.create(other, specification));
  hub.now += 30n * DAY;
  await forget();
  assert.equal(await hub.ask("Applications", "placedCount", 1), 0n);
  await refused("NothingThere", forget(), 1n, 0n);
  hub.now += 60n * DAY;
  const { result: next } = await hub.create(other, specification);
  assert.equal(next, n + 1n);
  assert.equal(await hub.ask("Applications", "byName", specification.name), next);
  await refused("UnknownApplication", hub.ask("Applications", "application", next + 1n), next + 1n);
});

onHub("a successor waits, a lost key is replaced by vote, and an address speaks for one member", async () => {
  const [first, second] = founders;
  const heir = newKey().address;
  const name = (who, successor) => hub.tell(who, "Members", "nameSuccessor", successor);
  await refused("AuthorityTaken", name(first, second.authority.address));
  await name(first, heir);
  await refused("TooEarly", hub.tell(heir, "Members", "succeed", 1), hub.now + 2n * DAY);
  await refused("NotTheSuccessor", hub.tell(second, "Members", "succeed", 1));
  await refused("NotTheSuccessor", hub.tell(heir, "Members", "succeed", 2));
  hub.now += 2n * DAY;
  await hub.tell(heir, "Members", "succeed", 1);
  assert.equal(await hub.ask("Members", "idOf", heir), 1n);
  assert.equal(await hub.ask("Members", "idOf", first.authority.address), 0n);
  await refused("NotAMember", hub.create(first, newSpecification()));
  await hub.create(heir, newSpecification());
  await name(heir, first.authority.address);
  await name(heir, ZeroAddress);
  hub.now += 2n * DAY;
  await refused("NotTheSuccessor", hub.tell(first, "Members", "succeed", 1));
  await refused("AuthorityTaken", hub.propose(second, "RestoreAuthority", 1, second.authority.address));
  await hub.decide(founders.slice(1), "RestoreAuthority", 1, first.authority.address);
  assert.equal(await hub.ask("Members", "idOf", first.authority.address), 1n);
});

onHub(
  "votes are counted once, of members alone, until the outcome is fixed or the time is over",
  async () => {
    const stranger = newKey().address;
    await refused("NotAMember", hub.propose(stranger, "SuspendCity", 1), stranger);
    const id = await hub.propose(founders[0], "SuspendCity", 1);
    const proposal = () => hub.ask("Governance", "proposal", id);
    await refused("NotAMember", hub.vote(stranger, id));
    await refused("UnknownProposal", hub.vote(founders[0], 9), 9n);
    await hub.vote(founders[0], id);
    await refused("VotedAlready", hub.vote(founders[0], id, false), id, 1n);
    await hub.vote(founders[1], id);
    let { votesFor, needed, status } = await proposal();
    assert.deepEqual([votesFor, needed, status], [2n, 3n, 1n]);
    await refused("NotPassed", hub.tell(stranger, "Governance", "execute", id), id, 1n);
    await hub.vote(founders[3], id);
    await refused("NotVoting", hub.vote(founders[2], id, false), id, 2n);
    assert.equal((await proposal()).earliest, hub.now);
    await hub.tell(stranger, "Governance", "execute", id);
    await refused("NotPassed", hub.tell(stranger, "Governance", "execute", id), id, 4n);
    assert.equal((await hub.ask("Cities", "city", 1)).status, 2n);
    await refused("HubAtRisk", hub.propose(founders[0], "SuspendCity", 2), 2n, 1n);

    const lost = await hub.propose(founders[0], "RestoreCity", 1);
    await hub.vote(founders[0], lost, false);
    await hub.vote(founders[1], lost, false);
    ({ status } = await hub.ask("Governance", "proposal", lost));
    assert.equal(status, 3n);
    const late = await hub.propose(founders[0], "RestoreCity", 1);
    hub.now += 7n * DAY;
    await hub.vote(founders[0], late);
    hub.now += 1n;
    await refused("NotVoting", hub.vote(founders[1], late), late, 5n);
  },
);

onHub("a time lock holds an act back, and what passed lapses", async () => {
  await hub.decide(founders, "SetParameter", parameterName("timeLock"), 2n * DAY);
  const ids = [];
  for (let i = 0; i < 2; ++i) {
    const id = await hub.propose(founders[0], "SuspendCity", 1);
    for (const founder of founders.slice(0, 3)) await hub.vote(founder, id);
    ids.push(id);
  }
  const execute = (id) => hub.tell(founders[0], "Governance", "execute", id);
  await refused("TimeLocked", execute(ids[0]), ids[0], hub.now + 2n * DAY);
  hub.now += 2n * DAY;
  await execute(ids[0]);
  // Passed, and not possible any more: nothing happens, and it stays passed until it lapses.
  await refused("WrongCityStatus", execute(ids[1]), 1n, 2n, 2n);
  hub.now += 30n * DAY + 1n;
  await refused("NotPassed", execute(ids[1]), ids[1], 5n);
});

onHub("what is grave needs two thirds of all members, suspended ones too", async () => {
  for (let i = 0; i < 3; ++i) await admit(joining());
  const members = [...founders];
  await hub.decide(members, "SuspendMember", 7);
  await hub.decide(members, "SuspendMember", 6);
  const id = await hub.propose(members[0], "RemoveMember", 7);
  const { electorate, needed } = await hub.ask("Governance", "proposal", id);
  assert.deepEqual([electorate, needed], [7n, 5n]);
  for (const member of members) await hub.vote(member, id);
  assert.equal((await hub.ask("Governance", "proposal", id)).status, 1n);
  const suspended = await hub.ask("Members", "member", 7);
  await refused("MemberNotActive", hub.vote(suspended.authority, id), 7n, 2n);
});

onHub("the network keeps the members that it needs", async () => {
  await refused("TooFewMembers", hub.propose(founders[0], "RemoveMember", 1), 3n, 4n);
  const set = (value) => hub.propose(founders[0], "SetParameter", parameterName("minimumMembers"), value);
  await refused("ParameterOutOfRange", set(5n), parameterName("minimumMembers"), 5n, 1n, 4n);
  await admit(joining());
  const passed = [];
  for (const [kind, target] of [
    ["SuspendMember", 5],
    ["SuspendMember", 1],
  ]) {
    const id = await hub.propose(founders[0], kind, target);
    for (const founder of founders.slice(0, 3)) await hub.vote(founder, id);
    passed.push(id);
  }
  await hub.tell(founders[0], "Governance", "execute", passed[0]);
  await refused("TooFewMembers", hub.tell(founders[0], "Governance", "execute", passed[1]), 3n, 4n);
});

onHub("parameters stay in their bounds and payloads have one form", async () => {
  const propose = (kind, bytes) => hub.tell(founders[0], "Governance", "propose", kind, bytes, "");
  await refused("UnknownParameter", hub.propose(founders[0], "SetParameter", parameterName("colour"), 1n));
  for (const { name, least, most } of await hub.ask("Governance", "parameters")) {
    for (const value of [least - 1n, most + 1n]) {
      if (value < 0n) continue;
      await refused(
        "ParameterOutOfRange",
        hub.propose(founders[0], "SetParameter", name, value),
        name,
        value,
      );
    }
  }
  for (const kind of [0, 11, 255]) await refused("UnknownKind", propose(kind, "0x"), BigInt(kind));
  const { card, proof } = joining();
  const good = {
    AdmitMember: payload("AdmitMember", onChain(card), proof),
    SuspendCity: payload("SuspendCity", 1),
    RestoreAuthority: payload("RestoreAuthority", 1, newKey().address),
    SetParameter: payload("SetParameter", parameterName("timeLock"), 1n),
    ActivateFork: payload("ActivateFork", "first", hub.now + 1n),
  };
  for (const [name, bytes] of Object.entries(good)) {
    const [kind] = KIND[name];
    for (const odd of [
      "0x",
      `${bytes}00`,
      dataSlice(bytes, 0, bytes.length / 2 - 2),
      concat([bytes, ZeroHash]),
    ]) {
      await refused("PayloadNotCanonical", propose(kind, odd));
    }
    await propose(kind, bytes);
  }
  await refused("PayloadNotCanonical", propose(2, toBeHex(2n ** 32n, 32)));
  await refused("TooMany", propose(2, hexlify(new Uint8Array(4097))), 4097n, 4096n);
  const wordy = hub.tell(founders[0], "Governance", "propose", 6, good.SuspendCity, "x".repeat(1025));
  await refused("TooMany", wordy, 1025n, 1024n);
  await refused("ForkInThePast", hub.propose(founders[0], "ActivateFork", "first", hub.now));
  await hub.decide(founders, "ActivateFork", "first", hub.now + 1n);
  await refused("ForkKnown", hub.propose(founders[0], "ActivateFork", "first", hub.now + 9n));
  await hub.decide(founders, "SetParameter", parameterName("proposalsPerDay"), 1n);
  await refused("ProposalLimit", hub.propose(founders[0], "SuspendCity", 1), 1n, 1n);
});

onHub("a vote by signature counts as its member's, of a key or a contract, and once", async () => {
  const contract = "0x00000000000000000000000000000000000c0de1";
  await hub.decide(founders, "RestoreAuthority", 4, contract);
  const id = await hub.propose(founders[0], "SuspendCity", 1);
  const domain = { name: "Causeway", version: "1", chainId: 1, verifyingContract: ADDRESSES.Governance };
  const types = { Vote: ["proposal", "support"].map((name, i) => ({ name, type: ["uint32", "bool"][i] })) };
  const digest = TypedDataEncoder.hash(domain, types, { proposal: id, support: true });
  const sign = (key) => key.signingKey.sign(digest).serialized;
  const bring = (member, support, signature) =>
    hub.tell(newKey().address, "Governance", "voteBySignature", id, member, support, signature);
  const good = sign(founders[1].authority);
  await refused("BadVoteSignature", bring(2, false, good), 2n);
  await refused("BadVoteSignature", bring(1, true, good), 1n);
  await refused("UnknownMember", bring(9, true, good), 9n);
  await bring(2, true, good);
  await refused("VotedAlready", bring(2, true, good), id, 2n);
  await refused("VotedAlready", hub.vote(founders[1], id), id, 2n);

  // Without code nobody answers; then a contract that says no, nothing, too little; then yes to this digest alone.
  await refused("BadVoteSignature", bring(4, true, "0x"), 4n);
  const answer = (word) => `0x7f${word.slice(2)}60005260206000f3`;
  const yes = `0x1626ba7e${"00".repeat(28)}`;
  for (const code of [
    answer(ZeroHash),
    "0x00",
    "0x60206000fd",
    "0x631626ba7e60e01b60005260046000f3",
    "0xfe",
  ]) {
    await hub.install(contract, code);
    await refused("BadVoteSignature", bring(4, true, "0x"), 4n);
  }
  // calldataload(4) == digest ? yes : nothing
  await hub.install(contract, `0x7f${digest.slice(2)}60043514602957005b${answer(yes).slice(2)}`);
  await refused("BadVoteSignature", bring(4, false, "0x"), 4n);
  await bring(4, true, "0x");
  assert.equal(await hub.ask("Governance", "voteOf", id, 4), 1n);
  assert.equal((await hub.ask("Governance", "proposal", id)).votesFor, 2n);
});
