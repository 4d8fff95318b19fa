/** A port over AF_XDP: the kernel keeps the interface, here one end of a veth, and clients are at the other end. */
import { expect, test } from "vitest";
import { example } from "./support/clone.js";
import { TestNamespace } from "./support/host.js";
import { peer } from "./support/peers.js";
import { weirCommand } from "./support/processes.js";
import { shared, start } from "./support/scope.js";

const ADDRESS = "10.48.0.2";
const KERNEL_ADDRESS = "10.48.0.1";

const namespace = shared(async () => {
  const made = await TestNamespace.create();
  const lines = [
    "ip link add xdp0 type veth peer name kernel0",
    // What a veth leaves to the card that is not there: checksums, and the cutting of long packets.
    "ethtool -K kernel0 tx off tso off gso off",
    `ip address add ${KERNEL_ADDRESS}/24 dev kernel0`,
    "ip link set kernel0 up",
    "ip link set xdp0 up",
  ];
  await made.mustExecute(["sh", "-c", lines.join(" && ")]);
  return made;
});

/** Runs an example on the interface until the test ends. */
async function run(name: string) {
  const options = ["--port", "af_xdp:xdp0", "--ip", `${ADDRESS}/24`];
  const weir = start(namespace().enter(weirCommand("run", example(name), ...options)));
  await weir.output(new RegExp(`${name} running at`));
  return weir;
}

const programOf = () => namespace().mustExecute(["ip", "link", "show", "xdp0"]);

test("ping, a megabyte of TCP, and many requests; the program goes with the process", async () => {
  const echo = await run("echo");
  expect(await programOf()).toContain("prog/xdp");
  await namespace().mustExecute(["ping", "-q", "-c", "3", "-i", "0.2", "-s", "1400", "-W", "5", ADDRESS]);
  type Found = { received: number; sentSha256: string; receivedSha256: string };
  const found = await peer<Found>(namespace(), "stream", { host: ADDRESS, port: 7, bytes: 1_048_576 });
  expect(found.received).toBe(1_048_576);
  expect(found.receivedSha256).toBe(found.sentSha256);
  await echo.stop("SIGTERM");
  expect(await programOf()).not.toContain("prog/xdp");

  const hello = await run("hello");
  const text = await namespace().mustExecute(["wrk", "-t1", "-c50", "-d1", `http://${ADDRESS}/`]);
  expect(text).not.toMatch(/Socket errors|Non-2xx/);
  expect(Number(/(\d+) requests in/.exec(text)?.[1])).toBeGreaterThan(100);
  // An interface has one owner.
  const second = await namespace().execute(
    weirCommand("run", example("echo"), "--port", "af_xdp:xdp0", "--ip", "10.48.0.3/24"),
  );
  expect(second.code).toBe(1);
  expect(second.stderr).toContain("cannot open the interface xdp0 by AF_XDP");
  // Killed, it leaves nothing behind either.
  await hello.stop("SIGKILL");

  const memcached = await run("memcached");
  const load = ["-T", "2", "-c", "16", "-x", "20000", "-v", "1.0"];
  const report = await namespace().mustExecute(["memcaslap", "-s", `${ADDRESS}:11211`, ...load]);
  expect(report).toMatch(/^get_misses: 0$/m);
  expect(report).toMatch(/^verify_failed: 0$/m);
  await memcached.stop("SIGTERM");
});

test("what is wrong is said", async () => {
  const missing = await namespace().execute(
    weirCommand("run", example("echo"), "--port", "af_xdp:nosuch0", "--ip", `${ADDRESS}/24`),
  );
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain("cannot open the interface nosuch0 by AF_XDP: No such device");
});
