// Compiles every contract of this folder and of `test/` into `artifacts/NAME.json`, and those of `hub/` into
// `artifacts/hub/NAME.json`: what Rust, the tests and other tools load. The same sources give the same bytes
// everywhere: source names are relative, the compiler is pinned and its metadata hash is left out.
//
//   node build.mjs           writes the artifacts
//   node build.mjs --check   writes nothing and fails when they differ from what is there

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const solc = createRequire(import.meta.url)("solc");
const here = fileURLToPath(new URL(".", import.meta.url));
const artifacts = `${here}artifacts`;
/** Where sources lie, and the folder of their artifacts. */
const FOLDERS = { "": "", "test/": "", "hub/": "hub/" };
/** Most bytes of a contract's code (EIP-170). The hub's would be installed all the same, but not run elsewhere. */
const MAX_CODE = 24_576;

const settings = {
  // What chains of ours run is newer; code for this version runs there and on most others.
  evmVersion: "prague",
  optimizer: { enabled: true, runs: 200 },
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: {
    "*": { "": ["ast"], "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode"] },
  },
};

function sources() {
  const found = {};
  for (const folder of Object.keys(FOLDERS)) {
    for (const name of readdirSync(here + folder).sort()) {
      if (name.endsWith(".sol"))
        found[folder + name] = { content: readFileSync(here + folder + name, "utf8") };
    }
  }
  return found;
}

/** Fails when a contract is too large, or when one of the hub needs what a genesis cannot give it. */
function assertInstallable(sourceName, contractName, { object, immutableReferences }) {
  const length = object.length / 2;
  if (length > MAX_CODE) throw new Error(`${contractName} has ${length} bytes of code, above ${MAX_CODE}`);
  if (sourceName.startsWith("hub/") && Object.keys(immutableReferences ?? {}).length > 0) {
    throw new Error(`${contractName} has immutables, which only a constructor sets`);
  }
}

/** All artifacts as a map from file name to content. */
function compile() {
  const input = { language: "Solidity", sources: sources(), settings };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const problems = output.errors ?? [];
  if (problems.length > 0) {
    // Warnings are failures too: the sources are ours.
    throw new Error(problems.map((problem) => problem.formattedMessage).join("\n"));
  }
  const { outputSelection: _, ...compilerSettings } = settings;
  const files = new Map();
  for (const [sourceName, source] of Object.entries(output.sources)) {
    const whole = ({ contractKind, abstract }) => contractKind === "contract" && !abstract;
    const installed = new Set(source.ast.nodes.filter(whole).map(({ name }) => name));
    for (const [contractName, contract] of Object.entries(output.contracts[sourceName] ?? {})) {
      if (!installed.has(contractName)) continue;
      assertInstallable(sourceName, contractName, contract.evm.deployedBytecode);
      const artifact = {
        contractName,
        sourceName,
        compiler: { version: solc.version(), settings: compilerSettings },
        abi: contract.abi,
        bytecode: `0x${contract.evm.bytecode.object}`,
        deployedBytecode: `0x${contract.evm.deployedBytecode.object}`,
      };
      const folder = FOLDERS[sourceName.slice(0, sourceName.lastIndexOf("/") + 1)];
      files.set(`${folder}${contractName}.json`, `${JSON.stringify(artifact, null, 2)}\n`);
    }
  }
  return files;
}

function present() {
  const found = new Map();
  for (const folder of new Set(Object.values(FOLDERS))) {
    mkdirSync(`${artifacts}/${folder}`, { recursive: true });
    for (const name of readdirSync(`${artifacts}/${folder}`)) {
      if (name.endsWith(".json"))
        found.set(folder + name, readFileSync(`${artifacts}/${folder}${name}`, "utf8"));
    }
  }
  return found;
}

const wanted = compile();
const existing = present();
const stale = [...new Set([...wanted.keys(), ...existing.keys()])].filter(
  (name) => wanted.get(name) !== existing.get(name),
);

if (process.argv.includes("--check")) {
  if (stale.length > 0) {
    console.error(
      `artifacts differ from their sources: ${stale.join(", ")}; run 'npm run build' in contracts/`,
    );
    process.exitCode = 1;
  }
} else {
  for (const name of stale) {
    if (wanted.has(name)) writeFileSync(`${artifacts}/${name}`, wanted.get(name));
    else rmSync(`${artifacts}/${name}`);
  }
  console.log(`${wanted.size} artifacts, ${stale.length} of them changed`);
}
