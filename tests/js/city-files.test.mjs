// The files of cities and networks: what `city init`, `city check`, `network create` and `network show` write and
// refuse. Cards and keystores are held against ethers, which knows nothing of the program.

import assert from "node:assert/strict";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { encodeRlp, keccak256, toBeHex, toUtf8Bytes, hexlify, verifyTypedData, Wallet } from "ethers";
import { binary, PROGRAM, run, startChain } from "./harness.mjs";

/** What a card's proof signs, as docs/cities.md says. */
const CARD_DOMAIN = { name: "Causeway", version: "1" };
const CARD_TYPES = {
  CityCard: [
    { name: "version", type: "uint64" },
    { name: "network", type: "bytes32" },
    { name: "member", type: "string" },
    { name: "authority", type: "address" },
    { name: "place", type: "string" },
    { name: "node", type: "address" },
    { name: "tlsFingerprint", type: "bytes32" },
    { name: "endpoint", type: "string" },
    { name: "rpc", type: "string" },
  ],
};

/** A folder that is gone after the test. */
function folder(context) {
  const path = mkdtempSync(join(tmpdir(), "causeway-files-"));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const causeway = (...args) => run(binary(), args, { ms: 30_000 });
const mode = (path) => statSync(path).mode & 0o777;
const json = (path) => JSON.parse(readFileSync(path, "utf8"));

/** Runs a command that has to succeed, and gives its JSON. */
async function succeeds(...args) {
  const { code, stdout, stderr } = await causeway(...args, "--json");
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return JSON.parse(stdout);
}

/** Runs a command that has to fail, and gives its one line. */
async function fails(...args) {
  const { code, signal, stdout, stderr } = await causeway(...args);
  assert.equal(signal, null, stderr);
  assert.notEqual(code, 0, `${args.join(" ")} was taken: ${stdout}`);
  assert.equal(stdout, "");
  assert.equal(stderr.trim().split("\n").length, 1, stderr);
  assert.doesNotMatch(stderr, /panicked|backtrace/i);
  return stderr;
}

/** Arguments that make city `number` below `root`; later ones go before. */
const initArguments = (root, number, ...more) => [
  ...["city", "init", "--data", join(root, `city-${number}`), "--place", "CN SHA"],
  ...["--member", `Member ${number}`, "--listen", `127.0.0.1:${7000 + number}`, ...more],
];

/** Makes cities 1 to `count` and gives the paths of their cards. */
async function cities(root, count) {
  const cards = [];
  for (let number = 1; number <= count; number++) {
    cards.push((await succeeds(...initArguments(root, number))).card_file);
  }
  return cards;
}

const create = (genesis, cards, ...more) => [
  ...["network", "create", "--name", "Test net", "--cards", ...cards, "--out", genesis, ...more],
];

test("a city's files have their modes, and its card proves its key", PROGRAM, async (context) => {
  const root = folder(context);
  const made = await succeeds(...initArguments(root, 1, "--rpc", "127.0.0.1:8545"));
  const { card, card_file, key_file, authority_file } = made;
  const data = join(root, "city-1");
  assert.deepEqual(json(card_file), card);
  assert.equal(mode(data), 0o700);
  const speaks = new Wallet(`0x${readFileSync(authority_file, "utf8").trim()}`);
  assert.equal(card.authority, speaks.address.toLowerCase());
  assert.equal(BigInt(card.network), 0n);
  for (const file of ["node.key", "tls.key", "city.toml", "authority.key"])
    assert.equal(mode(join(data, file)), 0o600, file);
  assert.equal(mode(card_file), 0o644 & ~process.umask());
  assert.deepEqual(
    [card.version, card.member, card.place, card.endpoint, card.rpc],
    [2, "Member 1", "CN SHA", "127.0.0.1:7001", "http://127.0.0.1:8545"],
  );
  const wallet = new Wallet(`0x${readFileSync(key_file, "utf8").trim()}`);
  assert.equal(card.address, wallet.address.toLowerCase());
  const { version, network, member, authority, place, address: node } = card;
  const { tls_fingerprint: tlsFingerprint, endpoint, rpc } = card;
  const signed = { version, network, member, authority, place, node, tlsFingerprint, endpoint, rpc };
  assert.equal(verifyTypedData(CARD_DOMAIN, CARD_TYPES, signed, card.proof), wallet.address);
  assert.match(readFileSync(join(data, "tls.key"), "utf8"), /^-----BEGIN PRIVATE KEY-----\n/);
  const { ok, address } = await succeeds("city", "check", "--data", data);
  assert.deepEqual([ok, address], [true, card.address]);
});

test("an initialised folder is refused and left alone", PROGRAM, async (context) => {
  const root = folder(context);
  await cities(root, 1);
  const data = join(root, "city-1");
  const files = () => readdirSync(data).map((file) => [file, readFileSync(join(data, file), "utf8")]);
  const before = files();
  const line = await fails(...initArguments(root, 1));
  assert.ok(line.includes(data), line);
  assert.match(line, /initialised already/);
  assert.deepEqual(files(), before);
  // A development chain's folder has a key as well.
  const chain = await startChain("--data", join(root, "city-2"));
  await chain.stop();
  assert.match(await fails(...initArguments(root, 2)), /initialised already/);
});

test("what makes no city is refused before anything is written", PROGRAM, async (context) => {
  const root = folder(context);
  const empty = join(root, "empty");
  writeFileSync(empty, "\n");
  const table = [
    [["--listen", "0.0.0.0:7001"], /--endpoint/],
    [["--listen", "[::]:7001"], /--endpoint/],
    [["--listen", "127.0.0.1:0"], /port 0/],
    [["--rpc", "127.0.0.1:0"], /port 0/],
    [["--authority", `0x${"00".repeat(20)}`], /--authority: .*nobody has the key/],
    [["--key-password-file", join(root, "nowhere")], /nowhere.*No such file/],
    [["--key-password-file", empty], /empty/],
    [["--key-command", "exit 3"], /exit status: 3/],
    [["--key-command", "true"], /no password/],
  ];
  for (const [args, wanted] of table) assert.match(await fails(...initArguments(root, 1, ...args)), wanted);
  for (const args of [
    ["--place", "Shanghai"],
    ["--place", "CN SH1"],
    ["--member", ""],
    ["--member", "x".repeat(65)],
    ["--member", "a\u202eb"],
    ["--listen", "city.example:7001"],
    ["--endpoint", "0.0.0.0:7001"],
    ["--endpoint", "city.example"],
    ["--key-command", "echo x", "--key-password-file", empty],
  ]) {
    const { code, stdout, stderr } = await causeway(...initArguments(root, 1, ...args));
    assert.equal(code, 2, `${args.join(" ")}: ${stdout}${stderr}`);
    assert.equal(stdout, "");
  }
  assert.deepEqual(readdirSync(root), ["empty"]);
});

test("a key under a password is a keystore that wallets read", PROGRAM, async (context) => {
  const root = folder(context);
  const password = join(root, "password");
  writeFileSync(password, "correct horse\n");
  const { card, key_file } = await succeeds(...initArguments(root, 1, "--key-password-file", password));
  const data = join(root, "city-1");
  assert.equal(key_file, join(data, "node.key.json"));
  assert.equal(mode(key_file), 0o600);
  assert.ok(!existsSync(join(data, "node.key")));
  const wallet = Wallet.fromEncryptedJsonSync(readFileSync(key_file, "utf8"), "correct horse");
  assert.equal(wallet.address.toLowerCase(), card.address);
  // The configuration remembers where the password is; the command line goes before.
  assert.equal((await succeeds("city", "check", "--data", data)).ok, true);
  const command = (text) => ["city", "check", "--data", data, "--key-command", text];
  assert.equal((await succeeds(...command("echo correct horse"))).ok, true);
  const line = await fails(...command("echo battery staple"));
  assert.match(line, /node\.key\.json: the password is wrong/);
  assert.doesNotMatch(line, /battery/);
  rmSync(password);
  assert.match(await fails("city", "check", "--data", data), /password.*No such file/);
});

test("a city whose files do not fit together is told", PROGRAM, async (context) => {
  const root = folder(context);
  await cities(root, 2);
  const [one, two] = [join(root, "city-1"), join(root, "city-2")];
  const check = () => fails("city", "check", "--data", one);
  const swap = async (file, wanted) => {
    const good = readFileSync(join(one, file));
    copyFileSync(join(two, file), join(one, file));
    assert.match(await check(), wanted);
    writeFileSync(join(one, file), good);
  };
  await swap("node.key", /address: the card is of/);
  await swap("tls.key", /tls_fingerprint: the card names/);
  await swap("card.json", /address: the card is of/);
  chmodSync(join(one, "node.key"), 0o644);
  assert.match(await check(), /node\.key can be read by others \(mode 0644\).*chmod 600/);
  chmodSync(join(one, "node.key"), 0o600);
  rmSync(join(one, "tls.key"));
  assert.match(await check(), /tls\.key.*No such file/);
  copyFileSync(join(two, "tls.key"), join(one, "tls.key"));
  rmSync(join(one, "node.key"));
  assert.match(await check(), /no node key/);
  assert.ok(!existsSync(join(one, "node.key")), "none was made");
});

test("all errors of a configuration are told at once", PROGRAM, async (context) => {
  const root = folder(context);
  await cities(root, 1);
  const data = join(root, "city-1");
  writeFileSync(join(data, "city.toml"), 'lisen = "127.0.0.1:1"\nlog = "a=loud"\n[rpc]\nlisten = 8545\n');
  const { code, stderr } = await causeway("city", "check", "--data", data);
  assert.equal(code, 1);
  const keys = stderr
    .trim()
    .split("\n")
    .map((line) => /city\.toml: ([a-z.]+):/.exec(line)?.[1]);
  assert.deepEqual(keys, ["listen", "log", "lisen", "rpc.listen"], stderr);
});

test("a network of four: its ids follow from the founders' record", PROGRAM, async (context) => {
  const root = folder(context);
  const cards = await cities(root, 4);
  const path = join(root, "genesis.json");
  const made = await succeeds(...create(path, cards));
  const { founding, record } = json(path);
  const number = (value) => (value === 0 ? "0x" : toBeHex(value));
  const text = (value) => hexlify(toUtf8Bytes(value));
  const encoded = encodeRlp([
    number(1),
    text(founding.name),
    number(founding.founded_ms),
    founding.members,
    founding.cities,
    founding.validators.map(({ address, power }) => [address, number(power)]),
    Object.entries(founding.parameters).map(([name, value]) => [text(name), number(value)]),
  ]);
  assert.equal(made.network_id, keccak256(encoded));
  const prefix = 2n ** 11n + (BigInt(made.network_id.slice(0, 18)) % (2n ** 31n - 2n ** 11n - 1n));
  assert.equal(BigInt(made.chain_id), prefix << 21n);
  assert.equal(record.chain_id, made.chain_id);
  const addresses = cards.map((card) => json(card).address).sort();
  assert.deepEqual(founding.cities, addresses);
  assert.deepEqual(founding.members, cards.map((card) => json(card).authority).sort());
  assert.equal(founding.parameters.offer_chains, 10_000);
  assert.ok(founding.validators.every(({ power }) => power === 1));
  assert.deepEqual([made.cities, made.institutions], [4, 4]);
  assert.deepEqual(made.may_fail, { cities: 1, institutions: 1 });
  assert.deepEqual(await succeeds("network", "show", "--genesis", path), made);
  const checked = await succeeds("city", "check", "--data", join(root, "city-3"), "--genesis", path);
  assert.equal(checked.network_id, made.network_id);
  // Another name or another time is another network.
  const other = await succeeds(...create(join(root, "other.json"), cards));
  assert.notEqual(other.network_id, made.network_id);
});

test("a city joins with a card that is for one network", PROGRAM, async (context) => {
  const root = folder(context);
  const cards = await cities(root, 2);
  const [path, other] = [join(root, "genesis.json"), join(root, "other.json")];
  const { network_id } = await succeeds(...create(path, cards));
  await succeeds(...create(other, cards));
  const data = join(root, "city-3");
  const authority = `0x${"ab".repeat(20)}`;
  const [, , ...more] = initArguments(root, 3, "--authority", authority);
  const { card, card_file, authority_file } = await succeeds("city", "join", "--network", path, ...more);
  assert.deepEqual([card.network, card.authority, authority_file], [network_id, authority, null]);
  assert.ok(!existsSync(join(data, "authority.key")));
  const check = ["city", "check", "--data", data, "--genesis"];
  assert.equal((await succeeds(...check, path)).network_id, network_id);
  assert.match(await fails(...check, other), /its network is 0x.*the city's card is for/);
  assert.match(await fails(...create(join(root, "new.json"), [card_file])), /network: the card is for/);
});

test("a card of an earlier version is refused", PROGRAM, async (context) => {
  const root = folder(context);
  const [path] = await cities(root, 1);
  const { network: _network, authority: _authority, ...old } = json(path);
  writeFileSync(path, JSON.stringify({ ...old, version: 1 }));
  const line = await fails(...create(join(root, "genesis.json"), [path]));
  assert.match(line, /card\.json: version: 1 is not read any more.*run `causeway city init` again/);
});

test("how much of a network may fail is said", PROGRAM, async (context) => {
  const root = folder(context);
  const cards = await cities(root, 7);
  for (const [count, may_fail] of [
    [1, 0],
    [2, 0],
    [3, 0],
    [4, 1],
    [6, 1],
    [7, 2],
  ]) {
    const path = join(root, `${count}.json`);
    const { code, stdout, stderr } = await causeway(...create(path, cards.slice(0, count)));
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      new RegExp(`May fail: ${may_fail} of ${count} cities, ${may_fail} of ${count} inst`),
    );
    assert.equal(/tolerates nothing/.test(stderr), may_fail === 0, stderr);
  }
});

test("cards that make no network are refused, and nothing is written", PROGRAM, async (context) => {
  const root = folder(context);
  const cards = await cities(root, 2);
  const path = join(root, "genesis.json");
  await succeeds(...initArguments(root, 3, "--member", "MEMBER 1"));
  await succeeds(...initArguments(root, 4, "--listen", "127.0.0.1:7001"));
  const card = (number) => join(root, `city-${number}`, "card.json");
  const bad = join(root, "bad.json");
  const table = [
    [[cards[0], cards[0]], /same address/],
    [[cards[0], card(3)], /same member/],
    [[cards[0], card(4)], /same endpoint/],
    [[cards[0], join(root, "nowhere.json")], /nowhere\.json: No such file/],
    [[cards[0], bad], /bad\.json: proof: it is not of the card's address/],
  ];
  writeFileSync(bad, JSON.stringify({ ...json(cards[1]), place: "DE HAM" }));
  for (const [of, wanted] of table) assert.match(await fails(...create(path, of)), wanted);
  writeFileSync(bad, JSON.stringify({ ...json(cards[1]), more: 1 }));
  assert.match(await fails(...create(path, [bad])), /bad\.json: .*more/);
  assert.ok(!existsSync(path));
  for (const name of ["", "x".repeat(65), "a\u001b[2Jb"]) {
    const { code } = await causeway("network", "create", "--name", name, "--cards", ...cards, "--out", path);
    assert.equal(code, 2);
  }
});

test("a genesis file is written over only when asked, and refused when changed", PROGRAM, async (context) => {
  const root = folder(context);
  const cards = await cities(root, 2);
  const path = join(root, "genesis.json");
  await succeeds(...create(path, cards));
  const text = readFileSync(path, "utf8");
  assert.match(await fails(...create(path, cards)), /there already; --force/);
  assert.equal(readFileSync(path, "utf8"), text);
  await succeeds(...create(path, cards, "--force"));
  assert.notEqual(readFileSync(path, "utf8"), text);
  const table = [
    [(file) => (file.founding.name += "x"), /record\.chain_id: /],
    [(file) => (file.founding.founded_ms += 1), /record\.chain_id: /],
    [(file) => (file.founding.validators[0].power = 2), /founding\.validators: /],
    [(file) => (file.founding.parameters.gas_limit += 1), /record\.chain_id: /],
    [(file) => file.cards.pop(), /founding\.members: /],
    [(file) => (file.cards[1].endpoint = "127.0.0.1:1"), /cards\[1\]: proof: /],
    [(file) => (file.record.gas_limit += 1), /record\.gas_limit: /],
    [(file) => (file.record.chain_id += 1), /record\.chain_id: /],
    [(file) => (file.version = 3), /version: 3 is not known/],
    [(file) => (file.version = 1), /run `causeway network create` again/],
    [(file) => delete file.record, /missing field `record`/],
  ];
  for (const [change, wanted] of table) {
    const file = JSON.parse(text);
    change(file);
    writeFileSync(path, `${JSON.stringify(file, null, 2)}\n`);
    const line = await fails("network", "show", "--genesis", path);
    assert.ok(line.includes(path), line);
    assert.match(line, wanted);
  }
  writeFileSync(path, ` ${text}`);
  assert.match(await fails("network", "show", "--genesis", path), /not as .* wrote it, from byte 0 on/);
  writeFileSync(path, text);
  const stranger = folder(context);
  await cities(stranger, 1);
  const data = join(stranger, "city-1");
  assert.match(
    await fails("city", "check", "--data", data, "--genesis", path),
    /genesis\.json: the city 0x[0-9a-fA-F]{40} is none of this network's/,
  );
});
