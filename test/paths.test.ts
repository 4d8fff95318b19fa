/** Ways through routers to weir: who is on them, what length of packets they take, and clients that share an address. */
import { expect, test } from "vitest";
import { example } from "./support/clone.js";
import { expectNothingHeld } from "./support/health.js";
import { KERNEL_ADDRESS, KERNEL_ADDRESS_V6, TestHost, WEIR_ADDRESS, WEIR_ADDRESS_V6 } from "./support/host.js";
import { makeNat, makePath, type Path } from "./support/networks.js";
import { shared } from "./support/scope.js";
import { statsOf } from "./support/stats.js";

const MIB = 1_048_576;
const ECHO_PORT = 7;
const WEB_PORT = 80;
const SMALL_MTU = 1_300;
const ADDRESSES = [WEIR_ADDRESS, WEIR_ADDRESS_V6];

const running = shared(async () => {
  const host = await TestHost.start({ port: `gateways = ["${KERNEL_ADDRESS}", "${KERNEL_ADDRESS_V6}"]` });
  for (const app of ["echo", "udp-echo", "hello"]) await host.deploy(example(app));
  await host.waitForPort(ECHO_PORT);
  await host.waitForPort(ECHO_PORT, undefined, WEIR_ADDRESS_V6);
  return host;
});

const lowered = async () => (await statsOf(running())).counter("path_mtu_lowered");

/** Sends 1 MiB there and back from the far end; both directions of the path have long segments. */
async function expectStream({ far }: Path, host: string): Promise<void> {
  type Found = { received: number; sentSha256: string; receivedSha256: string };
  const found = await far.peer<Found>("stream", { host, port: ECHO_PORT, bytes: MIB });
  expect(found.received).toBe(MIB);
  expect(found.receivedSha256).toBe(found.sentSha256);
}

test("traceroute finds the routers and then weir, by UDP, ICMP and TCP", async () => {
  const { far, routers, routersV6 } = await makePath(running().namespace, 0, 1_500);
  const trace = async (...options: string[]) => {
    const { stdout } = await far.execute(["traceroute", "-n", "-q", "2", "-w", "5", "-m", "6", ...options]);
    const hops = [...stdout.matchAll(/^ *\d+ +(\S+)/gm)].map(([, address]) => address);
    return [hops, stdout];
  };
  for (const method of [[], ["-I"], ["-T", "-p", String(WEB_PORT)], ["-T", "-p", "9"], ["-U", "-p", "9"]]) {
    const [hops, report] = await trace(...method, WEIR_ADDRESS);
    expect(hops, String(report)).toEqual([...routers, WEIR_ADDRESS]);
    const [hops6, report6] = await trace("-6", ...method, WEIR_ADDRESS_V6);
    expect(hops6, String(report6)).toEqual([...routersV6, WEIR_ADDRESS_V6]);
  }
});

test("TCP goes through a link that takes less, by what its routers say", async () => {
  const path = await makePath(running().namespace, 1, SMALL_MTU);
  for (const address of ADDRESSES) {
    const before = await lowered();
    await expectStream(path, address);
    expect(await lowered()).toBe(before + 1);
  }
});

test("UDP finds out, too", async () => {
  const { far } = await makePath(running().namespace, 2, SMALL_MTU);
  for (const host of ADDRESSES) {
    const before = await lowered();
    const where = { host, port: ECHO_PORT };
    // The first is too long for the way there and the echo of the second for the way back: each is lost, and tells.
    for (let i = 0; i < 2; i++)
      await far.peer("datagrams", { ...where, sizes: [1_400], timeoutMs: 2_000 }).catch(() => {});
    expect(await lowered()).toBe(before + 1);
    expect(await far.peer("datagrams", { ...where, sizes: [1_400, 3_000] })).toEqual({ echoed: 2 });
  }
});

test("TCP goes through it although the routers say nothing", async () => {
  const path = await makePath(running().namespace, 3, SMALL_MTU);
  const silence = `
    nft -f - << END
    table inet silent {
      chain out {
        type filter hook output priority 0
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
      }
    }
END`;
  await running().namespace.mustExecute(["sh", "-e", "-c", silence]);
  await path.middle.script(silence);
  // RFC 4821 is switched off in Linux unless somebody asks for it.
  await path.far.script("sysctl -qw net.ipv4.tcp_mtu_probing=1");
  const before = (await statsOf(running())).counter("tcp_segments_shrunk");
  for (const address of ADDRESSES) await expectStream(path, address);
  expect((await statsOf(running())).counter("tcp_segments_shrunk") - before).toBeGreaterThanOrEqual(2);
  await running().namespace.mustExecute(["nft", "delete", "table", "inet", "silent"]);
});

test("clients behind one address, whose ports come back at once with other clocks", async () => {
  // Each connection is closed by the server, so that it is the one who waits; a port is used again by another client,
  // whose timestamps have nothing to do with those of the one before.
  const [clients, perClient, ports] = [3, 25, "50000-50023"];
  const before = await statsOf(running());
  const nat = await makeNat(running().namespace, clients, ports);
  const where = { host: WEIR_ADDRESS, port: WEB_PORT, count: perClient, patienceMs: 20_000 };
  const found = await Promise.all(nat.clients.map((client) => client.peer("fetch-again", where)));
  expect(found).toEqual(Array.from({ length: clients }, () => ({ fetched: perClient })));
  const after = await statsOf(running());
  const grew = (name: string) => after.counter(name) - before.counter(name);
  expect(grew("tcp_accepted")).toBeGreaterThanOrEqual(clients * perClient);
  // Some were told that their SYN looked old, and said that they knew nothing of it.
  expect(grew("tcp_resets_rx")).toBeGreaterThan(0);
});

test("clients behind one address stream side by side", async () => {
  const nat = await makeNat(running().namespace, 2, "51000-51003");
  type Found = { sentSha256: string; receivedSha256: string };
  const where = { host: WEIR_ADDRESS, port: ECHO_PORT, bytes: 4 * MIB };
  for (const found of await Promise.all(nat.clients.map((client) => client.peer<Found>("stream", where))))
    expect(found.receivedSha256).toBe(found.sentSha256);
});

test("nothing is held afterwards", async () => {
  await expectNothingHeld(running());
});
