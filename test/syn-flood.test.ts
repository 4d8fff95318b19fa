/** Half-open connections by the thousand, from stations that do not exist: who really connects is served. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CLONE, example } from "./support/clone.js";
import { DEVICE, KERNEL_ADDRESS, KERNEL_ADDRESS_V6, TestHost, WEIR_ADDRESS, WEIR_ADDRESS_V6 } from "./support/host.js";
import { peer } from "./support/peers.js";
import { until } from "./support/processes.js";
import { shared } from "./support/scope.js";
import { statsOf } from "./support/stats.js";

const BUILD = join(CLONE, "native", "build");
const ECHO_PORT = 7;
const STREAM_BYTES = 262_144;
const SYNS = 30_000;
const RATE_PER_S = 10_000;
/** What half-open connections, waiting packets and a few streams may take. */
const MAX_GROWTH_BYTES = 64 * 1_048_576;

const running = shared(async () => {
  execFileSync("ninja", ["-C", BUILD, "syn_flood"], { stdio: "ignore" });
  const host = await TestHost.start({ port: `gateways = ["${KERNEL_ADDRESS}", "${KERNEL_ADDRESS_V6}"]` });
  await host.deploy(example("echo"));
  await host.waitForPort(ECHO_PORT);
  await host.waitForPort(ECHO_PORT, undefined, WEIR_ADDRESS_V6);
  return host;
});

/** Resident memory of the dataplane's process. */
async function residentBytes(host: TestHost): Promise<number> {
  const { pid } = (await statsOf(host)).dataplane;
  const status = await host.namespace.mustExecute(["cat", `/proc/${pid}/status`]);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

test.each([
  { name: "from everywhere", address: WEIR_ADDRESS, sources: "0.0.0.0/0" },
  { name: "from the link", address: WEIR_ADDRESS, sources: `${KERNEL_ADDRESS}/24` },
  { name: "from more stations of an IPv6 link than are remembered", address: WEIR_ADDRESS_V6, sources: "fd44::/64" },
])("a client connects during a flood $name", async ({ address, sources }) => {
  const host = running();
  const neighbor = await host.namespace.mustExecute(["ip", "neigh", "show", address, "dev", DEVICE]);
  const linkAddress = /lladdr (\S+)/.exec(neighbor)?.[1] ?? "";
  const [before, bytesBefore] = [await statsOf(host), await residentBytes(host)];
  const flood = host.namespace.start([
    join(BUILD, "syn_flood"),
    ...["--device", DEVICE, "--link-address", linkAddress, "--to", address, "--port", String(ECHO_PORT)],
    ...["--rate", String(RATE_PER_S), "--count", String(SYNS), "--sources", sources],
  ]);
  const sentCookies = async () => (await statsOf(host)).counter("tcp_cookies_tx") > before.counter("tcp_cookies_tx");
  await until("the first cookie", sentCookies);
  let streams = 0;
  do {
    type Found = { received: number; sentSha256: string; receivedSha256: string };
    const found = await peer<Found>(host.namespace, "stream", { host: address, port: ECHO_PORT, bytes: STREAM_BYTES });
    expect(found.received).toBe(STREAM_BYTES);
    expect(found.receivedSha256).toBe(found.sentSha256);
    streams++;
  } while (!flood.hasEnded);
  const { code, stdout, stderr } = await flood.end();
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect((JSON.parse(stdout) as { sent: number }).sent).toBeGreaterThanOrEqual(SYNS);
  const after = await statsOf(host);
  const grew = (name: string) => after.counter(name) - before.counter(name);
  expect(grew("tcp_cookies_taken")).toBeGreaterThan(0);
  expect(grew("tcp_accepted")).toBeGreaterThanOrEqual(streams);
  expect(after.app("echo").failures).toBe(0);
  expect((await residentBytes(host)) - bytesBefore).toBeLessThan(MAX_GROWTH_BYTES);
});
