// Run by `idle-links.test.mjs` in a network of its own, where every datagram is one of the four cities': counts what
// they send while the chain is idle, and prints it as JSON.

import { readFileSync } from "node:fs";
import { DevelopmentCities, newKey, pause, receiptEverywhere, settled, signed } from "./cities.mjs";
import { until } from "./harness.mjs";

const SECONDS = Number(process.argv[2]);

/** UDP datagrams sent in this network so far; a link on loopback sends what it receives. */
function datagrams() {
  const [names, values] = readFileSync("/proc/self/net/snmp", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("Udp:"))
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("OutDatagrams")]);
}

const net = await DevelopmentCities.start();
try {
  for (const city of net.cities) {
    await receiptEverywhere(net.cities, await city.send(await signed(newKey(), net)), 5_000);
  }
  const { hash } = await settled(net.cities);
  const busy = datagrams();
  let last = { count: busy, at: Date.now() };
  await until(
    "the links are quiet for a second",
    () => {
      const count = datagrams();
      if (count !== last.count) last = { count, at: Date.now() };
      return Date.now() - last.at >= 1_000;
    },
    20_000,
  );
  const before = datagrams();
  await pause(SECONDS * 1000);
  const idle = datagrams() - before;
  const after = await settled(net.cities);
  console.log(JSON.stringify({ busy, idle, unchanged: after.hash === hash }));
} finally {
  await net.stop();
}
