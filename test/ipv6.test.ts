/** Kernel peers over IPv6, and what IP does for both families: fragments and path MTU. */
import { expect, test } from "vitest";
import { example } from "./support/clone.js";
import { DEVICE, KERNEL_ADDRESS_V6, TestHost, WEIR_ADDRESS, WEIR_ADDRESS_V6 } from "./support/host.js";
import { peer } from "./support/peers.js";
import { until } from "./support/processes.js";
import { shared } from "./support/scope.js";
import { statsOf } from "./support/stats.js";

const MIB = 1_048_576;
const ECHO_PORT = 7;
/** The prefix and addresses of a network behind a router of the kernel's. */
const FAR_V6 = "fd55::9";
const FAR = "10.55.0.9";
const SMALL_MTU = 1_300;

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

test("UDP and TCP find out what a path takes", async () => {
  const { namespace } = running();
  // Another network namespace behind a link of a smaller MTU; the first one's kernel is the router.
  const script = `
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    unshare --net sleep infinity > /dev/null 2>&1 &
    far=$!
    sleep 0.2
    ip link add near mtu ${SMALL_MTU} type veth peer name far mtu ${SMALL_MTU} netns $far
    ip address add 10.55.0.1/24 dev near; ip address add fd55::1/64 dev near nodad; ip link set near up
    inside() { nsenter --net=/proc/$far/ns/net "$@"; }
    inside ip address add ${FAR}/24 dev far; inside ip address add ${FAR_V6}/64 dev far nodad; inside ip link set far up
    inside ip link set lo up
    inside ip route add default via 10.55.0.1; inside ip -6 route add default via fd55::1
    echo $far`;
  const far = (await namespace.mustExecute(["sh", "-e", "-c", script])).trim();
  const farPeer = (address: string, role: string, more: object) =>
    namespace.mustExecute([
      ...["nsenter", `--net=/proc/${far}/ns/net`, process.execPath],
      ...[new URL("./support/kernel-peer.js", import.meta.url).pathname, role],
      JSON.stringify({ host: address, port: ECHO_PORT, ...more }),
    ]);
  for (const address of [WEIR_ADDRESS, WEIR_ADDRESS_V6]) {
    const before = (await statsOf(running())).counter("path_mtu_lowered");
    // The echo of this one is too long for the way back: the first is lost, and tells.
    await farPeer(address, "datagrams", { sizes: [1_400], timeoutMs: 2_000 }).catch(() => {});
    expect((await statsOf(running())).counter("path_mtu_lowered")).toBe(before + 1);
    await farPeer(address, "datagrams", { sizes: [1_400, 3_000] });
    const found = JSON.parse(await farPeer(address, "stream", { bytes: MIB })) as { received: number };
    expect(found.received).toBe(MIB);
  }
  await until("the end of all connections", async () => {
    const { apps } = await statsOf(running());
    return apps.every(({ counters }) => counters.connections_open === 0);
  });
});
