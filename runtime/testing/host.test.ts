import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HostOptions, host, type TestHost, TestHostError } from "@weir/host/testing";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";

// The library starts a process from its compiled files: these tests are of those.
const HANDLER = `
import { Bytes, Connection, Reason, connect, listen } from "@weir/guest/tcp";
import { bind } from "@weir/guest/udp";
import { after } from "@weir/guest/timer";
import { variable } from "@weir/guest/config";
import { info } from "@weir/guest/log";

if (variable("THROW_AT_START") !== null) throw new Error("not today");
info("greeting " + (variable("GREETING") || "none"));

class Upstream extends Connection {
  client: Commands | null = null;
  onData(data: Bytes): void { this.client!.send(data); }
  onClose(why: Reason): void { if (this.client) this.client!.text("upstream closed\\n"); }
}
class Commands extends Connection {
  upstream: Upstream | null = null;
  onData(data: Bytes): void {
    const line = data.toString().trim();
    if (line == "clock") this.text(Date.now().toString() + "\\n");
    else if (line == "random") this.text(Math.random().toString() + "\\n");
    else if (line == "later") after<Commands>(60_000, this, c => { c.text("at last\\n"); });
    else if (line == "log") { console.warn("look"); this.text("logged\\n"); }
    else if (line == "throw") throw new Error("asked for");
    else if (line == "spin") { for (let i = 0; i >= 0; i = (i + 1) & 0xff) {} }
    else if (line == "end") this.end();
    else if (line == "ask") { this.upstream = connect<Upstream>("198.51.100.9:443"); this.upstream!.client = this; this.upstream!.text("question\\n"); }
    else this.text(variable("GREETING")! + "\\n");
  }
}
listen<Commands>("tcp");
bind("udp", q => { q.reply(q); });
`;
const MANIFEST = `
name = "commands"
[[listen]]
name = "tcp"
tcp = 7
[[listen]]
name = "udp"
udp = 9
[[connect]]
to = "198.51.100.9:443"
[vars]
GREETING = "hello"
`;

let app: string;
const hosts: TestHost[] = [];
beforeAll(() => {
  app = mkdtempSync(join(tmpdir(), "weir-testing-test-"));
  writeFileSync(join(app, "weir.toml"), MANIFEST);
  writeFileSync(join(app, "handler.ts"), HANDLER);
});
afterAll(() => rmSync(app, { recursive: true }));
afterEach(async () => {
  for (const weir of hosts.splice(0)) await weir.close();
});

async function start(options: Partial<HostOptions> = {}): Promise<TestHost> {
  const weir = await host({ app, ...options });
  hosts.push(weir);
  return weir;
}

/** The answer to one command. */
async function ask(weir: TestHost, command: string): Promise<string> {
  const connection = await weir.connect("tcp");
  await connection.write(command);
  return (await connection.read({ until: "\n" })).trimEnd();
}

it("passes time only while somebody waits, and exactly as much as it takes", async () => {
  const weir = await start({ link: { delayMs: 50 } });
  expect(weir.nowMs).toBe(0);
  const connection = await weir.connect();
  expect(weir.nowMs).toBeCloseTo(100, 0);
  await connection.write("hi");
  expect(weir.nowMs).toBeCloseTo(100, 0);
  await weir.advance(10);
  expect(weir.nowMs).toBeCloseTo(110, 0);
  expect(await connection.read()).toBe("hello\n");
  expect(weir.nowMs).toBeCloseTo(200, 0);
});

it("gives the handler the virtual time of day, and seeded randomness", async () => {
  const startAt = new Date("2031-05-06T07:08:09Z");
  const one = await start({ startAt, seed: 5 });
  await one.advance(3_600_000);
  expect(Number(await ask(one, "clock"))).toBe(startAt.getTime() + 3_600_000);
  const random = await ask(one, "random");
  const [same, other] = [await start({ startAt, seed: 5 }), await start({ startAt, seed: 6 })];
  await same.advance(3_600_000);
  await ask(same, "clock");
  expect(await ask(same, "random")).toBe(random);
  expect(await ask(other, "random")).not.toBe(random);
});

it("makes the same frames for the same seed", async () => {
  const run = async (seed: number): Promise<string> => {
    const capture = join(app, `${seed}.pcap`);
    const weir = await start({ seed, capture, link: { delayMs: 7, jitterMs: 3, loss: 0.2, reordering: 0.1 } });
    for (let i = 0; i < 20; i++) await ask(weir, "random");
    await weir.close();
    const bytes = readFileSync(capture).toString("latin1");
    rmSync(capture);
    return bytes;
  };
  const first = await run(3);
  expect(first.length).toBeGreaterThan(5_000);
  expect((await run(3)) === first).toBe(true);
  expect((await run(4)) === first).toBe(false);
});

it("waits through a timer of a minute in no time", async () => {
  const weir = await start();
  const connection = await weir.connect("tcp");
  await connection.write("later");
  await expect(connection.read()).rejects.toThrow(
    /^after 30 s of virtual time: any byte did not come: the connection with 10\.44\.0\.2:7 is ESTABLISHED: 5 bytes written \(5 acknowledged\), 0 bytes received$/,
  );
  expect(await connection.read({ withinMs: 31_000 })).toBe("at last\n");
});

it("keeps logs and failures, and says where a handler failed", async () => {
  const weir = await start();
  await weir.advance(250);
  expect(await ask(weir, "log")).toBe("logged");
  expect(weir.logs).toEqual([
    { timeMs: 0, level: "info", text: "greeting hello" },
    { timeMs: expect.closeTo(250, 0), level: "warn", text: "look" },
  ]);
  expect([weir.failures, weir.restarts]).toEqual([[], 0]);
  const connection = await weir.connect("tcp");
  await connection.write("throw");
  expect(await connection.closed()).toBe("reset");
  expect(weir.failures).toMatchObject([{ kind: "trapped", text: expect.stringMatching(/asked for.*handler\.ts:\d+/) }]);
  await expect(connection.read()).rejects.toThrow("is over: reset");
  expect(await ask(weir, "hi")).toBe("hello");
  expect(weir.restarts).toBe(1);
});

it("ends a handler that does not return", async () => {
  const weir = await start();
  const connection = await weir.connect("tcp");
  await connection.write("spin");
  expect(await connection.closed()).toBe("reset");
  expect(weir.failures).toMatchObject([{ kind: "overran" }]);
});

it("lets several operations wait side by side", async () => {
  const weir = await start({ link: { delayMs: 5 } });
  const upstream = weir.listen("198.51.100.9", 443);
  const client = await weir.connect("tcp");
  // The answer is waited for before anybody has asked: whoever plays the server acts while it waits.
  const answer = client.read({ until: "\n" });
  await client.write("ask");
  const server = await upstream.accept();
  expect(server.remote.address).toBe("10.44.0.2");
  expect(await server.read({ until: "\n" })).toBe("question\n");
  await server.write("answer\n");
  expect(await answer).toBe("answer\n");
  const [, line] = await Promise.all([server.abort(), client.read({ until: "\n" })]);
  expect(line).toBe("upstream closed\n");
  // Three round trips of a wire of 5 ms, and not the 30 s that a read may wait.
  expect(weir.nowMs).toBeLessThan(100);
});

it("tells a refusal, an end, a reset and a partition apart", async () => {
  const weir = await start();
  await expect(weir.connect(8)).rejects.toThrow(
    "the connection was not established: refused: does the app listen there?",
  );
  const ended = await weir.connect("tcp");
  await ended.write("end");
  expect(await ended.read()).toBe("");
  await expect(ended.read({ bytes: 3 })).rejects.toThrow("the stream ended before 3 bytes came");
  await ended.end();
  expect(await ended.closed()).toBe("finished");
  await expect(ended.write("more")).rejects.toThrow("the test has ended its side");
  weir.partition();
  const late = weir.connect("tcp", { withinMs: 500 });
  await expect(late).rejects.toMatchObject({ name: "TestHostError", code: "timeout" });
  weir.heal();
  expect(await ask(weir, "hi")).toBe("hello");
});

it("says what came in place of what was waited for", async () => {
  const weir = await start();
  const connection = await weir.connect("tcp");
  await connection.write("hi");
  await expect(connection.read({ until: "bye", withinMs: 1_000 })).rejects.toThrow(
    '"bye" did not come: the connection with 10.44.0.2:7 is ESTABLISHED: 2 bytes written (2 acknowledged), 6 bytes received; what has come begins with "hello\\n"',
  );
  expect(await connection.read({ bytes: 2 })).toBe("he");
  expect(await connection.read()).toBe("llo\n");
});

it("replaces the app while connections stay", async () => {
  const weir = await start();
  const connection = await weir.connect("tcp");
  await connection.write("hi");
  expect(await connection.read()).toBe("hello\n");
  await weir.redeploy({ vars: { GREETING: "good day" } });
  await connection.write("hi");
  expect(await connection.read()).toBe("good day\n");
  expect(weir.restarts).toBe(0);
});

it("plays peers at several addresses", async () => {
  const weir = await start();
  const one = await weir.connect("tcp", { from: "192.0.2.1" });
  const other = await weir.connect("tcp", { from: "203.0.113.250" });
  await one.write("hi");
  await other.write("hi");
  expect([await one.read(), await other.read()]).toEqual(["hello\n", "hello\n"]);
  const third = await weir.connect("tcp", { from: "2001:db8::7" });
  expect(third.remote.address).toBe("fd44::2");
  await third.write("hi");
  expect(await third.read()).toBe("hello\n");
  const socket = weir.udp({ address: "203.0.113.250", port: 99 });
  await socket.send("udp", "x");
  expect(await socket.receive()).toMatchObject({ address: "10.44.0.2", port: 9, text: "x" });
  await expect(weir.connect("tcp", { from: "10.44.0.2" })).rejects.toThrow("the address of the host itself");
});

it("refuses what makes no sense, and says what would", async () => {
  const weir = await start();
  await expect(weir.fetch("/")).rejects.toThrow("the app does not have one http [[listen]]: it has none");
  await expect(weir.connect("web")).rejects.toThrow('a tcp [[listen]] named "web": it has "tcp" (7)');
  await expect(weir.connect(0)).rejects.toThrow("a port is a number from 1 to 65535");
  await expect(weir.advance(-1)).rejects.toThrow("a number of milliseconds");
  expect(() => weir.listen("upstream", 80)).toThrow('an IP address, not "upstream"');
  const connection = await weir.connect("tcp");
  await expect(connection.read({ until: "x", bytes: 1 })).rejects.toThrow("a read waits for one thing");
  await connection.close();
  await expect(connection.read()).rejects.toThrow("there is no such connection: it was closed");
  await expect(weir.udp().send(9, new Uint8Array(70_000))).rejects.toThrow("it is too long");
});

it("rejects when the handler does not start, does not compile, or is not there", async () => {
  const failing = host({ app, vars: { THROW_AT_START: "yes" } });
  await expect(failing).rejects.toThrow(/^the handler did not start: trapped: not today.*handler\.ts:8/);
  await expect(failing).rejects.toBeInstanceOf(TestHostError);
  await expect(host({ app: join(app, "nowhere") })).rejects.toThrow("no such file");
  const broken = mkdtempSync(join(tmpdir(), "weir-testing-broken-"));
  writeFileSync(join(broken, "weir.toml"), MANIFEST);
  writeFileSync(join(broken, "handler.ts"), "let x: i32 = nothing;");
  await expect(host({ app: broken })).rejects.toThrow(/handler\.ts:1:14: Cannot find name 'nothing'/);
  rmSync(broken, { recursive: true });
});

it("bounds hosts, and ends what waits when one is closed", async () => {
  for (let i = 0; i < 8; i++) await start();
  await expect(start()).rejects.toThrow("8 test hosts are open: close() those that are no longer needed");
  const weir = hosts[0]!;
  const connection = await weir.connect("tcp");
  const reading = connection.read();
  await Promise.all([expect(reading).rejects.toThrow("the test host has been closed"), weir.close()]);
  await expect(weir.connect("tcp")).rejects.toThrow("the test host has been closed");
  await weir.close();
  await start();
});

/** The process that has the hosts: the only child of this one by that name. */
function hostProcess(): number {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      if (parent === process.pid && stat.includes("(weir-testing)")) return Number(name);
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error("there is no process of test hosts");
}

it("says so when the process of the hosts dies, and starts another one", async () => {
  const weir = await start();
  const waiting = expect(weir.advance(365 * 24 * 3_600_000)).rejects.toThrow(
    "the process of the test hosts was ended by SIGKILL",
  );
  process.kill(hostProcess(), "SIGKILL");
  await waiting;
  await expect(weir.connect("tcp")).rejects.toThrow("was ended by SIGKILL");
  hosts.length = 0;
  expect(await ask(await start(), "hi")).toBe("hello");
});

it("counts packets and what became of them, but no processor time", async () => {
  const weir = await start();
  await ask(weir, "hi");
  const { worker, app: counters, link } = await weir.stats();
  expect(worker.rx_frames).toBeGreaterThan(2);
  expect(counters).toMatchObject({ connections_accepted: 1, sent_bytes: 6, traps: 0 });
  expect(link.toHost.lost).toBe(0);
  expect(Object.keys({ ...worker, ...counters }).filter((name) => name.startsWith("tsc_"))).toEqual([]);
});
