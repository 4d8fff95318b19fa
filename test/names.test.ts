/** [[connect]] by name: dnsmasq says what a name stands for, and a kernel server is there. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CLONE } from "./support/clone.js";
import { expectNothingHeld } from "./support/health.js";
import { DEVICE, KERNEL_ADDRESS, TestHost } from "./support/host.js";
import { peer, startPeer } from "./support/peers.js";
import { atEnd, shared, temporaryFolder } from "./support/scope.js";
import { statsOf } from "./support/stats.js";

const SERVER_PORT = 9_000;
const PORTS = { two: 9_100, none: 9_101, unlisted: 9_102 };
/** Of the link, but nobody's. */
const SILENT = "fd44::99";
/** Numbers of CloseReason. */
const FORBIDDEN = 7;
const UNRESOLVED = 11;

const running = shared(async () => {
  const host = await TestHost.start({ port: `name_servers = ["${KERNEL_ADDRESS}"]` });
  const folder = temporaryFolder();
  writeFileSync(
    join(folder, "dnsmasq.conf"),
    `interface=${DEVICE}
bind-interfaces
no-resolv
no-hosts
local=/weir.example/
local-ttl=60
host-record=two.weir.example,${KERNEL_ADDRESS},${SILENT}
`,
  );
  const dnsmasq = host.namespace.start(["dnsmasq", "--keep-in-foreground", "-C", join(folder, "dnsmasq.conf")]);
  atEnd(() => dnsmasq.stop("SIGKILL"));
  await host.deploy(join(CLONE, "test", "apps", "named"));
  return host;
});

test("a connection goes to the address of the name that answers", async () => {
  const { namespace } = running();
  const greeting = "found\n";
  const server = startPeer(namespace, "serve", { host: KERNEL_ADDRESS, port: SERVER_PORT, greeting });
  await server.output(/listening/);
  const bytes = 1_048_576;
  const before = await statsOf(running());
  type Found = { received: number; greeting: string; sentSha256: string; receivedSha256: string };
  // IPv6 comes first, and nobody is there: what is sent meanwhile waits.
  const found = await peer<Found>(namespace, "stream", { port: PORTS.two, bytes, greetingBytes: greeting.length });
  expect(found.greeting).toBe(greeting);
  expect(found.received).toBe(bytes);
  expect(found.receivedSha256).toBe(found.sentSha256);
  const after = await statsOf(running());
  expect(after.counter("dns_answers") - before.counter("dns_answers")).toBe(1);
  // The second time the name is known.
  await peer<Found>(namespace, "stream", { port: PORTS.two, bytes: 1_000, greetingBytes: greeting.length });
  const again = await statsOf(running());
  expect(again.counter("dns_queries")).toBe(after.counter("dns_queries"));
  server.child.stdin?.end();
  await server.end();
});

test("a name without an address ends the connection, and says why", async () => {
  const found = await peer(running().namespace, "line", { port: PORTS.none, text: "" });
  expect(found).toEqual({ line: `closed ${UNRESOLVED}\n` });
  expect((await statsOf(running())).app("named").counters.names_unresolved).toBe(1);
});

test("a name that is not listed is forbidden", async () => {
  const found = await peer(running().namespace, "line", { port: PORTS.unlisted, text: "" });
  expect(found).toEqual({ line: `closed ${FORBIDDEN}\n` });
});

test("nothing is held afterwards", async () => {
  await expectNothingHeld(running());
});
