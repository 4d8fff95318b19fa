/** nmap and what else looks for open doors: it finds the apps and nothing else, and leaves nothing behind. */
import { expect, test } from "vitest";
import { example } from "./support/clone.js";
import { expectNothingHeld, expectServed } from "./support/health.js";
import { KERNEL_ADDRESS, KERNEL_ADDRESS_V6, TestHost, WEIR_ADDRESS, WEIR_ADDRESS_V6 } from "./support/host.js";
import { shared } from "./support/scope.js";
import { statsOf } from "./support/stats.js";

const SCAN_TIMEOUT_MS = 150_000;
const MAX_PACKETS_PER_S = "8000";
const LAST_PORT = 65_535;

const running = shared(async () => {
  const host = await TestHost.start({ port: `gateways = ["${KERNEL_ADDRESS}", "${KERNEL_ADDRESS_V6}"]` });
  for (const app of ["echo", "udp-echo", "hello"]) await host.deploy(example(app));
  await host.waitForPort(7);
  await host.waitForPort(7, undefined, WEIR_ADDRESS_V6);
  return host;
});

async function nmap(...options: string[]): Promise<string> {
  return await running().namespace.mustExecute(["nmap", "-n", "-Pn", "--max-rate", MAX_PACKETS_PER_S, ...options], {
    timeoutMs: SCAN_TIMEOUT_MS,
  });
}

/** The ports that a scan says something about, as {"7/tcp": "open"}; all others are in one state, in `others`. */
function portsIn(report: string): { ports: Record<string, string>; others: string } {
  const found = [...report.matchAll(/^(\d+\/\w+)\s+(\S+)/gm)].map(([, port, state]) => [port, state]);
  return { ports: Object.fromEntries(found), others: /Not shown: (\d+ \S+)/.exec(report)?.[1] ?? "" };
}

test("a scan of all ports by SYN finds those of the apps", async () => {
  const before = (await statsOf(running())).drops.drop_tcp_no_port ?? 0;
  const { ports, others } = portsIn(await nmap("-sS", "-p-", WEIR_ADDRESS));
  expect(ports).toEqual({ "7/tcp": "open", "80/tcp": "open" });
  expect(others).toBe(`${LAST_PORT - 2} closed`);
  expect((await statsOf(running())).drops.drop_tcp_no_port! - before).toBeGreaterThanOrEqual(LAST_PORT - 2);
});

test.each([
  // RFC 9293 section 3.10.7.2: a listening port says nothing to these, a closed one resets.
  { scan: "-sF", ports: { "7/tcp": "open|filtered", "80/tcp": "open|filtered" }, others: "998 closed" },
  { scan: "-sX", ports: { "7/tcp": "open|filtered", "80/tcp": "open|filtered" }, others: "998 closed" },
  { scan: "-sN", ports: { "7/tcp": "open|filtered", "80/tcp": "open|filtered" }, others: "998 closed" },
  // To an acknowledgement all answer alike.
  { scan: "-sA", ports: {}, others: "1000 unfiltered" },
  { scan: "-sW", ports: {}, others: "1000 closed" },
  { scan: "-sM", ports: {}, others: "1000 closed" },
])("$scan tells no more than it may", async ({ scan, ports, others }) => {
  expect(portsIn(await nmap(scan, "-p", "1-1000", WEIR_ADDRESS))).toEqual({ ports, others });
});

test("over IPv6 it is the same", async () => {
  const { ports, others } = portsIn(await nmap("-6", "-sS", "-p", "1-1000", WEIR_ADDRESS_V6));
  expect(ports).toEqual({ "7/tcp": "open", "80/tcp": "open" });
  expect(others).toBe("998 closed");
});

test("connecting, as who may send nothing else does, is accepted and let go", async () => {
  const { ports } = portsIn(await nmap("-sT", "-p", "1-1000", WEIR_ADDRESS));
  expect(ports).toEqual({ "7/tcp": "open", "80/tcp": "open" });
});

test("UDP: the port of an app answers, closed ones say so at a bounded rate", async () => {
  const { ports } = portsIn(await nmap("-sU", "-p", "7,9,53", WEIR_ADDRESS));
  expect(ports["9/udp"]).toBe("closed");
  expect(ports["7/udp"]).toMatch(/open/);
});

test("the scan for services and for the system", async () => {
  const report = await nmap("-sV", "--version-intensity", "2", "-O", "-p", "7,9,80", WEIR_ADDRESS);
  const { ports } = portsIn(report);
  expect(ports).toEqual({ "7/tcp": "open", "9/tcp": "closed", "80/tcp": "open" });
  expect(report).toMatch(/^7\/tcp +open +echo/m);
  expect(report).toMatch(/^80\/tcp +open +http/m);
});

test("everything is served afterwards, and nothing is held", async () => {
  await expectServed(running());
  await expectNothingHeld(running());
});
