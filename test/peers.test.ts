/** Real kernel peers talk to apps through weir's own stack. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { CLONE, example } from "./support/clone.js";
import { expectNothingHeld } from "./support/health.js";
import { DEVICE, KERNEL_ADDRESS, TestHost, WEIR_ADDRESS } from "./support/host.js";
import { peer, signalInside, startPeer } from "./support/peers.js";
import { shared } from "./support/scope.js";
import { statsOf } from "./support/stats.js";

const MIB = 1_048_576;
const ECHO_PORT = 7;
const PROXY_PORT = 9_000;
/** Largest payload of a frame of 1500 bytes, after the headers of IPv4 and of ICMP or UDP. */
const MAX_PAYLOAD_BYTES = 1_472;
/** Around all that the stack treats differently: nothing, odd lengths, small copies, cache lines, the largest frame. */
const PAYLOAD_SIZES = [
  ...[0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 18, 19, 31, 32, 33, 56, 63, 64, 65, 127, 128, 129],
  ...[255, 256, 257, 511, 512, 513, 1_000, 1_023, 1_024, 1_025, MAX_PAYLOAD_BYTES - 1, MAX_PAYLOAD_BYTES],
];

const running = shared(async () => {
  const host = await TestHost.start();
  for (const app of ["echo", "udp-echo", "hello", "proxy"]) await host.deploy(example(app));
  await host.deploy(join(CLONE, "test", "apps", "halves"));
  return host;
});

test("ping answers every size that fits a frame", async () => {
  const script = `for size in ${PAYLOAD_SIZES.join(" ")}; do ping -n -c 1 -W 10 -s $size ${WEIR_ADDRESS}; done`;
  const { stdout, stderr } = await running().execute(["sh", "-c", script]);
  const answered = [...stdout.matchAll(/^(\d+) bytes from /gm)].map(([, bytes]) => Number(bytes) - 8);
  expect(answered).toEqual(PAYLOAD_SIZES);
  expect(stdout + stderr).not.toMatch(/wrong|truncated|DUP|bad/);
});

test("UDP datagrams of every size come back as they were", async () => {
  const found = await peer(running().namespace, "datagrams", { port: ECHO_PORT, sizes: PAYLOAD_SIZES });
  expect(found).toEqual({ echoed: PAYLOAD_SIZES.length });
});

test("100 MiB go through the TCP echo and back, SHA-256 equal both ways", async () => {
  const bytes = 100 * MIB;
  type Found = { received: number; sentSha256: string; receivedSha256: string };
  const found = await peer<Found>(running().namespace, "stream", { port: ECHO_PORT, bytes });
  expect(found.received).toBe(bytes);
  expect(found.receivedSha256).toBe(found.sentSha256);
  await expectNothingHeld(running());
});

test("1,000 connections at once each get their own echo", async () => {
  const before = (await statsOf(running())).counter("tcp_accepted");
  const found = await peer(running().namespace, "many", { port: ECHO_PORT, count: 1_000, bytes: 1_000 });
  expect(found).toEqual({ echoed: 1_000 });
  expect((await statsOf(running())).counter("tcp_accepted") - before).toBe(1_000);
  await expectNothingHeld(running());
});

test("a client that shuts its writing down still receives everything", async () => {
  const bytes = 300_001;
  const { text } = await peer<{ text: string }>(running().namespace, "send-first", { port: 7_001, bytes });
  expect(text.slice(0, text.indexOf("\n"))).toBe(String(bytes));
  expect(text.slice(text.indexOf("\n") + 1) === "0123456789abcdef".repeat(MIB / 16)).toBe(true);
});

test("a handler that ends first still receives what the client sends", async () => {
  const bytes = 300_001;
  const found = await peer(running().namespace, "send-last", { port: 7_002, bytes });
  expect(found).toEqual({ text: "first\n", hadError: false });
  const report = async () =>
    (await peer<{ line: string }>(running().namespace, "line", { port: 7_003, text: "" })).line;
  expect(await report()).toBe(`${bytes}\n`);
  await expectNothingHeld(running());
});

test("the proxy connects out to a kernel server", async () => {
  const greeting = "a kernel server\n";
  const where = { host: KERNEL_ADDRESS, port: PROXY_PORT, greeting };
  const server = startPeer(running().namespace, "serve", where);
  await server.output(/listening/);
  const before = (await statsOf(running())).counter("tcp_connected");
  const bytes = 4 * MIB;
  const parameters = { port: PROXY_PORT, bytes, greetingBytes: greeting.length };
  type Found = { received: number; greeting: string; sentSha256: string; receivedSha256: string };
  const found = await peer<Found>(running().namespace, "stream", parameters);
  expect(found.greeting).toBe(greeting);
  expect(found.received).toBe(bytes);
  expect(found.receivedSha256).toBe(found.sentSha256);
  expect((await statsOf(running())).counter("tcp_connected") - before).toBe(1);
  server.child.stdin?.end();
  await server.end();
  await expectNothingHeld(running());
});

test("when the kernel server is not there, the proxy's client is reset", async () => {
  const found = await peer(running().namespace, "line", { port: PROXY_PORT, text: "is anybody there?\n" });
  expect(found).toEqual({ line: null });
  await expectNothingHeld(running());
});

test("clients that reset in the middle are counted and leave nothing behind", async () => {
  const before = await statsOf(running());
  await peer(running().namespace, "reset", { port: ECHO_PORT, count: 20, bytes: 4 * MIB });
  await expectNothingHeld(running());
  const after = await statsOf(running());
  expect(after.counter("tcp_resets_rx") - before.counter("tcp_resets_rx")).toBe(20);
  expect(after.app("echo").failures).toBe(0);
});

test("curl asks twice on one connection", async () => {
  const url = `http://${WEIR_ADDRESS}/users/`;
  const each = ["-sS", "--max-time", "20", "-w", " %{http_code} %{num_connects}\n"];
  const { stdout, stderr } = await running().execute(["curl", ...each, `${url}7`, `${url}8`]);
  expect(stderr).toBe("");
  expect(stdout).toMatch(/^\{"id":"7".*\} 200 1\n\{"id":"8".*\} 200 0\n$/);
});

test("20 pipelined requests are answered in order", async () => {
  const paths = Array.from({ length: 20 }, (_, i) => `/users/pipelined-${i}`);
  const text = paths
    .map((path, i) => `GET ${path} HTTP/1.1\r\nHost: weir\r\n${i === 19 ? "Connection: close\r\n" : ""}\r\n`)
    .join("");
  const answer = await peer<{ text: string }>(running().namespace, "exchange", { port: 80, text });
  expect(answer.text.match(/HTTP\/1\.1 200 /g)).toHaveLength(20);
  const ids = [...answer.text.matchAll(/"id":"([^"]*)"/g)].map(([, id]) => `/users/${id}`);
  expect(ids).toEqual(paths);
});

test("wrk with 50 connections sees no error", async () => {
  const command = ["wrk", "-t", "1", "-c", "50", "-d", "5s", "--timeout", "20s", `http://${WEIR_ADDRESS}/users/7`];
  const { stdout, code } = await running().execute(command, { timeoutMs: 60_000 });
  expect(code).toBe(0);
  expect(stdout).not.toMatch(/Socket errors|Non-2xx/);
  expect(Number(/(\d+) requests in/.exec(stdout)?.[1])).toBeGreaterThan(0);
  await expectNothingHeld(running());
});

test.each([{ keepAlive: true }, { keepAlive: false }])(
  "ab sees no failure, keep-alive $keepAlive",
  async ({ keepAlive }) => {
    const requests = 2_000;
    // HTTP/1.0, and answers of differing lengths: the visits are in them.
    const options = ["-q", "-l", "-n", String(requests), "-c", "20", "-s", "20", ...(keepAlive ? ["-k"] : [])];
    const report = await running().namespace.mustExecute(["ab", ...options, `http://${WEIR_ADDRESS}/users/7`], {
      timeoutMs: 120_000,
    });
    const figure = (name: string) => Number(new RegExp(`^${name}: +(\\d+)`, "m").exec(report)?.[1] ?? Number.NaN);
    expect(figure("Complete requests")).toBe(requests);
    expect(figure("Failed requests")).toBe(0);
    expect(report).not.toMatch(/Non-2xx|Write errors: +[1-9]/);
    if (keepAlive) expect(figure("Keep-Alive requests")).toBe(requests);
    await expectNothingHeld(running());
  },
);

test("without offloads tcpdump finds no wrong checksum in either direction", async () => {
  const host = await TestHost.start({ port: "offload = false" });
  await host.deploy(example("echo"));
  await host.deploy(example("udp-echo"));
  await host.deploy(join(CLONE, "test", "apps", "halves"));
  const { namespace } = host;
  const dump = namespace.start(["tcpdump", "-l", "-nn", "-vv", "-s", "0", "-i", DEVICE]);
  await dump.output(/listening on/);
  await namespace.mustExecute(["ping", "-n", "-c", "1", "-W", "10", "-s", "1001", WEIR_ADDRESS]);
  await peer(namespace, "datagrams", { port: ECHO_PORT, sizes: PAYLOAD_SIZES });
  await peer(namespace, "stream", { port: ECHO_PORT, bytes: 20_001 });
  await peer(namespace, "line", { port: 7_003, text: "" });
  await namespace.execute(["nc", "-z", "-w", "5", WEIR_ADDRESS, "9"]);
  await namespace.execute(["nc", "-u", "-w", "1", WEIR_ADDRESS, "9"], { input: "nobody is there" });
  const marks = [/ICMP echo reply/, /udp port 9 unreachable/, /Flags \[R\.\]/, /mss 1460,/, /wscale/];
  for (const mark of marks) await dump.output(mark);
  signalInside(dump, "SIGINT");
  await dump.end();
  for (const [from, to] of [
    [KERNEL_ADDRESS, WEIR_ADDRESS],
    [WEIR_ADDRESS, KERNEL_ADDRESS],
  ]) {
    const sums = [...dump.stdout.matchAll(new RegExp(`${from}\\.\\d+ > ${to}\\.\\d+: .*(?:cksum 0x|udp sum ok)`, "g"))];
    expect(sums.length).toBeGreaterThan(PAYLOAD_SIZES.length);
  }
  expect(dump.stdout).toMatch(/cksum 0x[0-9a-f]{4} \(correct\)/);
  expect(dump.stdout).not.toMatch(/incorrect|bad (udp|icmp)? ?c(k)?sum|wrong/);
});
