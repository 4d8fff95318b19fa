/** Addresses that a port learns from real daemons: DHCP and router advertisements from dnsmasq, advertisements from radvd. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { example } from "./support/clone.js";
import { DEVICE, KERNEL_ADDRESS, TestHost } from "./support/host.js";
import { makePath } from "./support/networks.js";
import { signalInside } from "./support/peers.js";
import { until } from "./support/processes.js";
import { atEnd, temporaryFolder } from "./support/scope.js";
import { statsOf } from "./support/stats.js";

const ECHO_PORT = 7;
const TAKEN = "10.44.0.50";
const LEASED = "10.44.0.100";
const LEARNING_TIMEOUT_MS = 60_000;

/** A host without an address of its own, and dnsmasq on the kernel's side of its TAP. */
async function learningHost(port: string): Promise<TestHost> {
  const host = await TestHost.start({ addresses: [], port: `dhcp = true\naccept_ra = true\n${port}` });
  await host.deploy(example("echo"));
  const folder = temporaryFolder();
  writeFileSync(
    join(folder, "dnsmasq.conf"),
    `port=0
interface=${DEVICE}
bind-interfaces
leasefile-ro
dhcp-range=${LEASED},${LEASED},255.255.255.0,2m
dhcp-option=option:router,${KERNEL_ADDRESS}
dhcp-option=option:dns-server,${KERNEL_ADDRESS}
enable-ra
dhcp-range=fd44::,ra-only,64,2m
`,
  );
  const dnsmasq = host.namespace.start(["dnsmasq", "--keep-in-foreground", "-C", join(folder, "dnsmasq.conf")]);
  atEnd(() => dnsmasq.stop("SIGKILL"));
  return host;
}

/** The address that weir makes of the advertised prefix, from its link address. */
function autoconfigured(linkAddress: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = linkAddress.split(":").map((part) => Number.parseInt(part, 16));
  const group = (high: number, low: number): string => (high * 256 + low).toString(16);
  return `fd44::${group(a ^ 2, b)}:${group(c, 0xff)}:${group(0xfe, d)}:${group(e, f)}`;
}

test("an address by DHCP, and one by router advertisements", async () => {
  const host = await learningHost("detect_conflicts = true");
  await host.waitForPort(ECHO_PORT, LEARNING_TIMEOUT_MS, LEASED);
  const { stdout } = await host.execute(["ip", "neighbor", "show", LEASED, "dev", DEVICE]);
  const linkAddress = /lladdr (\S+)/.exec(stdout)?.[1] ?? "";
  await host.waitForPort(ECHO_PORT, LEARNING_TIMEOUT_MS, autoconfigured(linkAddress));
  const stats = await statsOf(host);
  expect(stats.counter("dhcp_leases")).toBeGreaterThanOrEqual(1);
  const logged = async () => (await host.weir("logs")).stdout.includes(`address ${LEASED} is used from now on`);
  await until("the log line about the address", logged);
});

test("radvd: a prefix and a router, which goes when it says so", async () => {
  const host = await TestHost.start({ addresses: [], port: "accept_ra = true" });
  await host.deploy(example("echo"));
  const folder = temporaryFolder();
  // Whoever advertises routes.
  await host.namespace.mustExecute(["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"]);
  const { far } = await makePath(host.namespace, 0, 1_500);
  writeFileSync(
    join(folder, "radvd.conf"),
    `interface ${DEVICE} {
  AdvSendAdvert on;
  MinRtrAdvInterval 3;
  MaxRtrAdvInterval 4;
  AdvDefaultLifetime 30;
  AdvLinkMTU 1400;
  prefix fd44::/64 { AdvValidLifetime 120; AdvPreferredLifetime 60; };
};
`,
  );
  const radvd = host.namespace.start([
    ...["radvd", "--nodaemon", "-C", join(folder, "radvd.conf")],
    ...["-p", join(folder, "radvd.pid"), "-m", "stderr", "-u", "root"],
  ]);
  atEnd(() => radvd.stop("SIGKILL"));
  const { stdout } = await host.execute(["ip", "-6", "-o", "address", "show", "dev", DEVICE]);
  expect(stdout).toContain("fe80::");
  const neighbors = async () => (await host.execute(["ip", "-6", "neighbor", "show", "dev", DEVICE])).stdout;
  const { stdout: device } = await host.execute(["ip", "-o", "link", "show", "dev", DEVICE]);
  // weir's link address is in what it says to the link; the kernel hears itself, too.
  const linkAddress = await until("a neighbor on the link", async () => {
    await host.execute(["ping", "-n", "-c", "1", "-W", "1", `ff02::1%${DEVICE}`]);
    const heard = (await neighbors()).matchAll(/fe80::\S+ lladdr (\S+)/g);
    return [...heard].map(([, each]) => each).find((each) => each !== undefined && !device.includes(each));
  });
  const address = autoconfigured(linkAddress);
  await host.waitForPort(ECHO_PORT, LEARNING_TIMEOUT_MS, address);
  // Behind the router that it advertises, and with the MTU that it advertises.
  type Found = { received: number };
  const found = await far.peer<Found>("stream", { host: address, port: ECHO_PORT, bytes: 262_144 });
  expect(found.received).toBe(262_144);
  // At its end radvd says that it is no router any more (RFC 4861 section 6.2.5).
  signalInside(radvd, "SIGTERM");
  await radvd.end();
  const noRoute = async () => (await statsOf(host)).drops.drop_ip_no_route ?? 0;
  const before = await noRoute();
  const unreachable = await far.execute(["ping", "-n", "-c", "2", "-W", "2", address]);
  expect(unreachable.code).not.toBe(0);
  expect(await noRoute()).toBeGreaterThan(before);
  // On the link it is still there.
  await host.waitForPort(ECHO_PORT, undefined, address);
});

test("an address that another station has is not used, and the log says so", async () => {
  // The kernel answers ARP on every interface for all of its addresses.
  const host = await TestHost.start({
    addresses: ["10.44.0.2/24", `${TAKEN}/24`],
    port: "detect_conflicts = true",
    prepare: ["ip", "address", "add", `${TAKEN}/32`, "dev", "lo"],
  });
  await host.deploy(example("echo"));
  const logged = async () => (await host.weir("logs")).stdout.includes(`address ${TAKEN} belongs to another station`);
  await until("the log line about the conflict", logged);
  expect((await statsOf(host)).counter("arp_conflicts")).toBeGreaterThanOrEqual(1);
  await host.waitForPort(ECHO_PORT);
});
