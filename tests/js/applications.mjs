// Applications as tests place them: small, free, open to everybody.

import { Interface } from "ethers";
import { artifact } from "./harness.mjs";

export const APPLICATIONS = "0x000000000000000000000000000000000000ca02";
export const REGISTRY = new Interface(artifact("hub/Applications").abi);
/** More than an estimate: another placement may come before it. */
export const GAS = 4_000_000;

/** What an application of `owner` is to be, on these cities by their numbers. */
export const specification = (owner, name, cities, more = {}) => ({
  name,
  cities,
  owner,
  gasLimit: 0,
  gasPerSecond: 1_000_000,
  bytesStored: 100_000_000,
  blocksPerSecond: 10,
  feeRule: 0,
  admission: 0,
  readers: 0,
  minimumIntervalMs: 0,
  allowConcentration: false,
  ...more,
});

/** What a receipt says of the application that was created: `{n, chain_id}`. */
export function created({ logs }) {
  const { args } = logs.map((log) => REGISTRY.parseLog(log)).find((log) => log?.name === "Created");
  return { n: Number(args.n), chain_id: Number(args.chainId) };
}

/** Places an application by one transaction; gives `{chainId, receipt, n}`. */
export async function place(registry, wanted) {
  const sent = await registry.create(wanted, { gasLimit: GAS });
  const receipt = await sent.wait();
  const { n, chain_id: chainId } = created(receipt);
  return { n, chainId, receipt };
}
