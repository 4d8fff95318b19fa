/** A port that belongs to one tenant alone: what comes in is received into its apps' windows. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { CLONE, example } from "./support/clone.js";
import { KERNEL_ADDRESS, TestHost } from "./support/host.js";
import { peer, startPeer } from "./support/peers.js";
import { atEnd, shared } from "./support/scope.js";
import { type HostStats, statsOf } from "./support/stats.js";

const MESSAGE_BYTES = 1_400;
const CONNECTIONS = 20;

const COPIES = ["copied_rx_bytes", "copied_tx_bytes", "copied_segment_bytes"] as const;
const copiesOf = (stats: HostStats): number[] => COPIES.map((name) => stats.counter(name));

/** Frames as they are on a wire: one payload, one buffer. */
const host = shared(async () => {
  const made = await TestHost.start({ port: 'tenant = "acme"\noffload = false' });
  for (const name of ["echo", "proxy"]) await made.deploy(example(name), "acme");
  return made;
});

test("an echo of 1,400 bytes is not copied", async () => {
  await peer(host().namespace, "many", { port: 7, count: CONNECTIONS, bytes: MESSAGE_BYTES });
  const stats = await statsOf(host());
  expect(copiesOf(stats)).toEqual([0, 0, 0]);
  expect(stats.counter("kept_rx_bytes")).toBe(CONNECTIONS * MESSAGE_BYTES);
  expect(stats.counter("referenced_tx_bytes")).toBe(CONNECTIONS * MESSAGE_BYTES);
});

test("what is relayed between two connections is not copied", async () => {
  const server = startPeer(host().namespace, "serve", { host: KERNEL_ADDRESS, port: 9_000, greeting: "" });
  atEnd(() => server.stop("SIGKILL"));
  await server.output(/listening/);
  const before = await statsOf(host());
  await peer(host().namespace, "many", { port: 9_000, count: CONNECTIONS, bytes: MESSAGE_BYTES });
  const after = await statsOf(host());
  expect(copiesOf(after)).toEqual(copiesOf(before));
  const kept = after.counter("kept_rx_bytes") - before.counter("kept_rx_bytes");
  expect(kept).toBe(2 * CONNECTIONS * MESSAGE_BYTES);
});

test("megabytes both ways", async () => {
  await peer(host().namespace, "many", { port: 7, count: 8, bytes: 400_000 });
  await peer(host().namespace, "stream", { port: 7, bytes: 8 * 1_048_576 });
  expect((await statsOf(host())).app("echo").failures).toBe(0);
});

test("no other tenant may use it", async () => {
  const refused = await host().weir("deploy", example("udp-echo"), "--tenant", "other");
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('the port "lan" belongs to the tenant "acme" alone');
});

test("where tenants share a port, payload is copied once", async () => {
  const sharing = await TestHost.start({ port: "offload = false" });
  await sharing.deploy(example("echo"));
  await peer(sharing.namespace, "many", { port: 7, count: CONNECTIONS, bytes: MESSAGE_BYTES });
  const bytes = CONNECTIONS * MESSAGE_BYTES;
  const stats = await statsOf(sharing);
  expect(copiesOf(stats)).toEqual([bytes, 0, 0]);
  expect(stats.counter("referenced_tx_bytes")).toBe(bytes);
});

test("several workers, packets longer than a frame, and both at once", async () => {
  const large = await TestHost.start({ port: 'tenant = "acme"', tables: "[workers]\ncount = 2" });
  await large.deploy(example("echo"), "acme");
  await peer(large.namespace, "many", { port: 7, count: 20, bytes: 100_000 });
  const stats = await statsOf(large);
  expect(stats.counter("kept_rx_bytes")).toBeGreaterThan(1_000_000);
  expect(stats.app("echo").failures).toBe(0);
});

test("bytes that are fixed are served without a copy", async () => {
  await host().deploy(join(CLONE, "test", "apps", "fixed"), "acme");
  const sent = async () => (await statsOf(host())).counter("referenced_tx_bytes");
  const before = await sent();
  const { stdout } = await host().execute([
    "curl",
    "-sS",
    "--max-time",
    "20",
    "http://10.44.0.2/",
    "http://10.44.0.2/",
  ]);
  expect(stdout).toBe("0123456789".repeat(2_000));
  expect((await sent()) - before).toBe(20_000);
  for (const [index, isFixed] of [
    [0, true],
    [100, true],
    [199, false],
  ] as const) {
    const earlier = await sent();
    const script = `(printf '${index}'; sleep 1) | nc -q 1 10.44.0.2 7001 | wc -c`;
    expect((await host().execute(["sh", "-c", script])).stdout.trim()).toBe("10000");
    expect((await sent()) - earlier).toBe(isFixed ? 10_000 : 0);
  }
});
