/** Several workers behind one port: every flow has its own, whichever queue its packets come by. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, expect, test } from "vitest";
import { CLONE, example } from "./support/clone.js";
import { DEVICE, KERNEL_ADDRESS, TestHost, TestNamespace, WEIR_ADDRESS, WEIR_ADDRESS_V6 } from "./support/host.js";
import { peer, startPeer } from "./support/peers.js";
import { mustExecute, PYTHON, weirCommand } from "./support/processes.js";
import { atEnd, shared, start, temporaryFolder } from "./support/scope.js";
import { type HostStats, statsOf } from "./support/stats.js";

const BUILD = join(CLONE, "native", "build");
const WORKERS = 3;
const STOPPED_MS = 50;
const ATTEMPTS = 20;
const TABLES = `[workers]\ncount = ${WORKERS}`;

beforeAll(() => {
  execFileSync("ninja", ["-C", BUILD, "weir_load"], { stdio: "ignore" });
});

const host = shared(async () => {
  const made = await TestHost.start({ tables: TABLES });
  for (const name of ["echo", "udp-echo", "proxy"]) await made.deploy(example(name));
  return made;
});

/** Of each worker. */
const each = (stats: HostStats, group: string, name: string): number[] =>
  stats.workers.map((worker) => worker[group]?.[name] ?? 0);

test("many connections of both families, on all workers; nothing is reset", async () => {
  for (const address of [WEIR_ADDRESS, WEIR_ADDRESS_V6]) {
    await peer(host().namespace, "many", { host: address, port: 7, count: 60, bytes: 20_000 });
  }
  await host().namespace.mustExecute(["ping", "-q", "-c", "5", "-i", "0.2", "-W", "5", WEIR_ADDRESS]);
  await host().namespace.mustExecute(["ping", "-6", "-q", "-c", "5", "-i", "0.2", "-W", "5", WEIR_ADDRESS_V6]);
  const stats = await statsOf(host());
  expect(stats.workers).toHaveLength(WORKERS);
  for (const accepted of each(stats, "tcp", "tcp_accepted")) expect(accepted).toBeGreaterThan(5);
  expect(stats.app("echo").counters.connections_accepted).toBe(120);
  expect(stats.counter("tcp_resets_tx")).toBe(0);
  // Only the first one speaks for the addresses.
  expect(each(stats, "link", "mld_tx").slice(1)).toEqual([0, 0]);
  expect((await host().weir("stats")).stdout).toMatch(/WORKER +FRAMES IN/);
});

test("datagrams, whole and in fragments", async () => {
  await peer(host().namespace, "datagrams", { port: 7, sizes: [0, 1, 1_400, 1_472, 4_000, 9_000] });
});

test("connections out come home, whoever opened them", async () => {
  const server = startPeer(host().namespace, "serve", { host: KERNEL_ADDRESS, port: 9_000, greeting: "" });
  atEnd(() => server.stop("SIGKILL"));
  await server.output(/listening/);
  await peer(host().namespace, "many", { port: 9_000, count: 30, bytes: 50_000 });
  const out = each(await statsOf(host()), "tcp", "tcp_connected");
  expect(out.reduce((sum, count) => sum + count, 0)).toBe(30);
  expect(Math.min(...out)).toBeGreaterThan(1);
});

test("segments whose ports can only be seen when their fragments are together", async () => {
  // The kernel has it, so that answers find somebody.
  await host().namespace.mustExecute(["ip", "address", "add", "10.44.0.77/24", "dev", DEVICE]);
  const script = join(CLONE, "test", "support", "fragmented_syns.py");
  const output = await host().namespace.mustExecute([
    ...[PYTHON, script, DEVICE, "10.44.0.77", WEIR_ADDRESS, "7", "40"],
  ]);
  expect(JSON.parse(output)).toEqual({ answered: 40, reset: 0 });
  // One worker put all together, and most are others'.
  const steered = each(await statsOf(host()), "port", "steered_out");
  expect(Math.max(...steered)).toBeGreaterThan(10);
});

test("time that a worker does not run although it would is counted", async () => {
  const spinning = await TestHost.start({ tables: "[workers]\nspin_us = 1000000" });
  await spinning.deploy(example("echo"));
  const before = await statsOf(spinning);
  const { pid } = before.dataplane;
  const sinceThen = async (name: string): Promise<number> =>
    (await statsOf(spinning)).counter(name) - before.counter(name);
  // Stopped while it looks for more to do. On a busy machine that may have ended before.
  for (let attempt = 0; attempt < ATTEMPTS && (await sinceThen("stalled_us")) < STOPPED_MS * 500; attempt++) {
    await spinning.namespace.mustExecute(["ping", "-q", "-c", "1", "-W", "5", WEIR_ADDRESS]);
    process.kill(pid, "SIGSTOP");
    await sleep(STOPPED_MS);
    process.kill(pid, "SIGCONT");
    await sleep(STOPPED_MS);
  }
  expect(await sinceThen("stalled_us")).toBeGreaterThanOrEqual(STOPPED_MS * 500);
  expect(await sinceThen("stalls")).toBeGreaterThan(0);
});

test("a core that is not there is named", async () => {
  const namespace = await TestNamespace.create();
  const cores = ["--cores", "0,1000"];
  const { code, stderr } = await namespace.execute(weirCommand("run", example("echo"), "--port", "tap:w0", ...cores));
  expect(code).toBe(1);
  expect(stderr).toContain("there is no core 1000 that this process may use");
});

test("an app goes from all workers, and comes back", async () => {
  await host().weir("rm", "echo");
  expect((await host().execute(["nc", "-z", "-w", "1", WEIR_ADDRESS, "7"])).code).not.toBe(0);
  await host().deploy(example("echo"));
  await peer(host().namespace, "many", { port: 7, count: 20, bytes: 1_000 });
});

test("an address by DHCP is all workers'", async () => {
  const leased = await TestHost.start({ addresses: [], port: "dhcp = true", tables: TABLES });
  await leased.deploy(example("echo"));
  const configuration = join(temporaryFolder(), "dnsmasq.conf");
  const lines = [
    "port=0",
    `interface=${DEVICE}`,
    "bind-interfaces",
    "leasefile-ro",
    "dhcp-range=10.44.0.100,10.44.0.100,255.255.255.0,2m",
  ];
  writeFileSync(configuration, `${lines.join("\n")}\n`);
  const dnsmasq = leased.namespace.start(["dnsmasq", "--keep-in-foreground", "-C", configuration]);
  atEnd(() => dnsmasq.stop("SIGKILL"));
  await leased.waitForPort(7, 60_000, "10.44.0.100");
  await peer(leased.namespace, "many", { host: "10.44.0.100", port: 7, count: 30, bytes: 1_000 });
  const stats = await statsOf(leased);
  expect(each(stats, "dhcp", "dhcp_leases")).toEqual([1, 0, 0]);
  for (const accepted of each(stats, "tcp", "tcp_accepted")) expect(accepted).toBeGreaterThan(0);
});

test("a port with one queue: the first worker receives and sends for the others", async () => {
  const path = join(temporaryFolder(), "memif.sock");
  const options = ["--port", `memif:${path}`, "--ip", "10.45.0.2/16", "--workers", "2", "--json"];
  const weir = start(weirCommand("run", example("echo"), ...options));
  const [, socket] = await weir.output(/"event":"running".*"socket":"([^"]+)"/);
  const load = ["--server", "10.45.0.2", "--seconds", "0.3", "--windows", "1", "--connections", "200"];
  for (const bytes of ["64", "20000"]) {
    const args = ["--port", `memif:${path}`, ...load, "--bytes", bytes];
    const window = JSON.parse(execFileSync(join(BUILD, "weir_load"), args, { encoding: "utf8" }));
    expect(window).toMatchObject({ wrong: 0, resets: 0 });
    expect(window.messages).toBeGreaterThan(100);
  }
  const stats = JSON.parse(await mustExecute(weirCommand("stats", "--json", "--socket", String(socket))));
  const [first, second] = stats.workers;
  expect(second.port.rx_frames).toBe(0);
  expect(second.port.relayed_out).toBeGreaterThan(100);
  expect(second.tcp.tcp_accepted).toBeGreaterThan(20);
  expect(first.tcp.tcp_accepted).toBeGreaterThan(20);
});

const PORTS = ["af_packet:weir0", "af_xdp:weir0", "pci:net_af_packet0,iface=weir0,qpairs=2"];
test.each(PORTS)("a queue for each worker at an interface of the kernel: %s", async (port) => {
  const namespace = await TestNamespace.create();
  const queues = "numrxqueues 2 numtxqueues 2";
  const lines = [
    `ip link add weir0 ${queues} type veth peer name kernel0 ${queues}`,
    "ethtool -K kernel0 tx off tso off gso off",
    "ip address add 10.48.0.1/24 dev kernel0",
    "ip link set kernel0 up",
    "ip link set weir0 up",
  ];
  await namespace.mustExecute(["sh", "-c", lines.join(" && ")]);
  const options = ["--port", port, "--ip", "10.48.0.2/24", "--workers", "2", "--json"];
  const weir = start(namespace.enter(weirCommand("run", example("echo"), ...options)));
  const [, socket] = await weir.output(/"event":"running".*"socket":"([^"]+)"/);
  await peer(namespace, "many", { host: "10.48.0.2", port: 7, count: 40, bytes: 5_000 });
  const stats = JSON.parse(await mustExecute(weirCommand("stats", "--json", "--socket", String(socket))));
  for (const { port } of stats.workers) expect(port.tx_frames).toBeGreaterThan(10);
  expect(stats.worker.port.relayed_out).toBe(0);
});
