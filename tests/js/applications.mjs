// Applications as tests place them: small, free, open to everybody.

export const APPLICATIONS = "0x000000000000000000000000000000000000ca02";

/** What an application of `owner` is to be, on these cities by their numbers. */
export const specification = (owner, name, cities, more = {}) => ({
  name,
  cities,
  owner,
  gasLimit: 0,
  gasPerSecond: 1_000_000,
  bytesStored: 1_000_000,
  blocksPerSecond: 10,
  feeRule: 0,
  admission: 0,
  readers: 0,
  minimumIntervalMs: 0,
  allowConcentration: false,
  ...more,
});

/** Places an application by one transaction; gives `{chainId, receipt, n}`. */
export async function place(registry, wanted) {
  // More than an estimate: another placement may come before it.
  const sent = await registry.create(wanted, { gasLimit: 4_000_000 });
  const receipt = await sent.wait();
  const created = receipt.logs
    .map((log) => registry.interface.parseLog(log))
    .find((log) => log?.name === "Created");
  return { n: created.args.n, chainId: Number(created.args.chainId), receipt };
}
