/** Kernel peers over IPv6, and fragments of both families. */
import { expect, test } from "vitest";
import { example } from "./support/clone.js";
import { DEVICE, KERNEL_ADDRESS_V6, TestHost, WEIR_ADDRESS, WEIR_ADDRESS_V6 } from "./support/host.js";
import { peer } from "./support/peers.js";
import { shared } from "./support/scope.js";

const MIB = 1_048_576;
const ECHO_PORT = 7;

const running = shared(async () => {
  const host = await TestHost.start({
    port: `gateways = ["10.44.0.1", "${KERNEL_ADDRESS_V6}"]`,
  });
  for (const app of ["echo", "udp-echo", "hello"]) await host.deploy(example(app));
  // Duplicate address detection takes up to two seconds.
  await host.waitForPort(ECHO_PORT, undefined, WEIR_ADDRESS_V6);
  return host;
});

/** The bytes that came back for each size. */
async function ping(address: string, sizes: readonly number[]): Promise<number[]> {
  const script = `for size in ${sizes.join(" ")}; do ping -n -c 1 -W 10 -s $size ${address}; done`;
  const { stdout, stderr } = await running().execute(["sh", "-c", script]);
  expect(stdout + stderr).not.toMatch(/wrong|truncated|DUP|bad/);
  return [...stdout.matchAll(/^(\d+) bytes from /gm)].map(([, bytes]) => Number(bytes) - 8);
}

test("ping -6 answers every size, in one frame and in fragments", async () => {
  const sizes = [0, 1, 8, 56, 127, 1_000, 1_451, 1_452, 1_453, 2_000, 4_096, 20_000, 65_000];
  expect(await ping(WEIR_ADDRESS_V6, sizes)).toEqual(sizes);
});

test("ping answers IPv4 in fragments", async () => {
  const sizes = [1_472, 1_473, 2_952, 9_000, 65_507];
  expect(await ping(WEIR_ADDRESS, sizes)).toEqual(sizes);
});

test("its link-local address and the group of all nodes answer", async () => {
  const { stdout } = await running().execute(["ping", "-n", "-c", "2", "-W", "5", `ff02::1%${DEVICE}`]);
  const others = [...stdout.matchAll(/from (fe80::[0-9a-f:]+)%/g)].map(([, address]) => address);
  const { stdout: own } = await running().execute(["ip", "-6", "address", "show", "dev", DEVICE]);
  const weir = others.find((address) => !own.includes(`${address}/`));
  expect(weir).toBeDefined();
  const { code } = await running().execute(["ping", "-n", "-c", "1", "-W", "5", `${weir}%${DEVICE}`]);
  expect(code).toBe(0);
});

test("curl -6 gets a page", async () => {
  const url = `http://[${WEIR_ADDRESS_V6}]/users/7`;
  const { stdout, code } = await running().execute(["curl", "-6", "-sS", "-g", "-m", "10", url]);
  expect([code, stdout]).toEqual([0, expect.stringContaining("7")]);
});

test("10 MiB go through the TCP echo and back over IPv6", async () => {
  type Found = { received: number; sentSha256: string; receivedSha256: string };
  const where = { host: WEIR_ADDRESS_V6, port: ECHO_PORT };
  const found = await peer<Found>(running().namespace, "stream", { ...where, bytes: 10 * MIB });
  expect(found.received).toBe(10 * MIB);
  expect(found.receivedSha256).toBe(found.sentSha256);
});

test("UDP datagrams of every size come back over IPv6 as they were", async () => {
  const sizes = [0, 1, 100, 1_452, 1_453, 4_000];
  const found = await peer(running().namespace, "datagrams", { host: WEIR_ADDRESS_V6, port: ECHO_PORT, sizes });
  expect(found).toEqual({ echoed: sizes.length });
});

test("a closed port says so", async () => {
  const { stderr } = await running().execute(["nc", "-v", "-w", "3", WEIR_ADDRESS_V6, "9"]);
  expect(stderr).toMatch(/refused/);
});
