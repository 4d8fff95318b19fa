import { beforeAll, describe, expect, test } from "vitest";
import { buildText } from "./testing/build.js";
import { Host, type HostOptions, type Peer } from "./testing/host.js";

const IMPORTS = `
import { Bytes, Connection, Reason, connect, listen } from "@weir/guest/tcp";
import { after, every, cancel } from "@weir/guest/timer";
import { batchNumber, connectionsLimit, finishBatch, heapBytes, vars } from "@weir/guest/env";
`;

/** A handler that does what its peer says: one word per event. */
const FIXTURE = `${IMPORTS}
let views: Bytes[] = [];
let id: u32 = 0;
const raw = memory.data(16);
class Failing extends Connection {
  owner: Obedient | null = null;
  onClose(why: Reason): void { this.owner!.text(\`failed \${<i32>why} \`); }
}
class Obedient extends Connection {
  onOpen(): void { if (this.inherited) this.text("inherited "); }
  onDrain(): void { this.text("drained"); }
  onData(data: Bytes): void {
    if (data.equals("keep")) { data.keep(); views.push(data); }
    else if (data.equals("release-last")) views.pop().release();
    else if (data.equals("release-first")) views.shift().release();
    else if (data.equals("send-last")) this.send(views.pop());
    else if (data.equals("twice")) { this.send(data); this.send(data); }
    else if (data.equals("part")) { this.send(data.slice(1, 3)); }
    else if (data.equals("who")) this.text(this.remote);
    else if (data.equals("vars")) { const v = vars("GREETING"); this.text(v === null ? "none" : v); }
    else if (data.equals("heap")) this.text(heapBytes().toString());
    else if (data.equals("flood")) { for (let i = 0; i < 10_000; ++i) if (!this.text("x")) break; this.end(); }
    else if (data.equals("fill")) { let n = 0; const t = "0123456789".repeat(10); while (this.text(t)) ++n; }
    else if (data.equals("fill-half")) { const t = "x".repeat(60_000); this.text(t.substr(0, 50_000)); this.text("0123456789".repeat(6_000)); }
    else if (data.equals("drip")) { while (this.text("0123456789")) {} }
    else if (data.equals("from")) { store<u64>(raw, 0x3837363534333231); this.text(this.sendFrom(raw, 8) ? "yes" : "no"); }
    else if (data.equals("from-none")) this.text(this.sendFrom(raw, 0) ? "yes" : "no");
    else if (data.equals("from-ended")) { this.end(); ended = this.sendFrom(raw, 8); }
    else if (data.equals("ended")) this.text(ended ? "yes" : "no");
    else if (data.equals("fill-and-wait")) { this.text("x".repeat(60_000)); this.drainTo(10_000); }
    else if (data.equals("again")) this.drainTo(10_000);
    else if (data.equals("limit")) this.text(connectionsLimit().toString());
    else if (data.equals("batch")) this.text(batchNumber().toString() + " ");
    else if (data.equals("batch-last")) { this.text(batchNumber().toString() + " "); finishBatch(); }
    else if (data.equals("connect")) {
      for (let i = 0; i < 20; ++i) connect<Failing>("10.0.0.9:1").owner = this;
      connect<Failing>("nonsense").owner = this;
    }
    else if (data.equals("timers")) { for (let i = 0; i < 70_000; ++i) after<Obedient>(1_000, this, c => { ticks++; }); }
    else if (data.equals("ticks")) this.text(ticks.toString());
    else if (data.equals("later")) id = after<Obedient>(50, this, c => { c.text("later"); });
    else if (data.equals("cancel")) this.text(cancel(id) ? "yes" : "no");
    else if (data.equals("abort")) { this.abort(); this.text("x"); this.end(); }
  }
}
let ticks = 0;
let ended = true;
listen<Obedient>();
`;

let wasm: Uint8Array;
let echo: Uint8Array;
beforeAll(async () => {
  wasm = (await buildText(FIXTURE)).wasm;
  echo = (
    await buildText(`${IMPORTS}
class Echo extends Connection {
  onData(data: Bytes): void { if (data.equals("heap")) this.text(heapBytes().toString()); else this.send(data); }
}
listen<Echo>();`)
  ).wasm;
}, 120_000);

const start = (options: HostOptions = {}): { host: Host; peer: Peer; say: (line: string) => string } => {
  const host = new Host(wasm, options);
  const peer = host.connect();
  host.run();
  const say = (line: string): string => {
    peer.send(line);
    host.run();
    return peer.text();
  };
  return { host, peer, say };
};

const kinds = (host: Host): string[] => host.commands.map((command) => command.kind);

describe("received views", () => {
  test("what the handler does not use is given back", () => {
    const { host, peer, say } = start();
    say("nothing");
    expect(kinds(host)).toEqual(["recv_done"]);
    expect(peer.heldBytes).toBe(0);
  });

  test("released out of order, they are given back in order", () => {
    const { host, peer, say } = start();
    say("keep");
    say("keep");
    expect(peer.heldBytes).toBe(8);
    say("release-last"); // the second, and the command itself: both wait for the first
    expect(peer.heldBytes).toBe(20);
    say("release-first");
    expect(peer.heldBytes).toBe(0);
    expect(host.refusals).toEqual([]);
  });

  test("the oldest one that is kept is forwarded, another one is sent and waits", () => {
    const { host, peer, say } = start();
    say("keep");
    expect(say("send-last")).toBe("keep");
    expect(kinds(host)).toEqual(["forward", "recv_done"]);
    say("keep");
    say("keep");
    expect(say("send-last")).toBe("keep");
    expect(kinds(host)).toEqual(["send"]);
    expect(peer.heldBytes).toBe(17);
    expect(host.refusals).toEqual([]);
  });

  test("sent twice, only the last one gives it back", () => {
    const { host, peer, say } = start();
    expect(say("twice")).toBe("twicetwice");
    expect(kinds(host)).toEqual(["send", "forward"]);
    expect(peer.heldBytes).toBe(0);
    expect(say("part")).toBe("ar");
    expect(kinds(host)).toEqual(["send", "recv_done"]);
    expect(host.refusals).toEqual([]);
  });
});

describe("limits", () => {
  test("a send beyond the limit is refused, nothing of it is sent, and onDrain comes", () => {
    const { host, peer, say } = start({ acknowledges: false, sendLimitBytes: 100_000 });
    say("fill");
    expect(peer.sentBytes).toBe(100_000);
    host.acknowledge();
    host.run();
    expect(peer.text()).toBe("drained");
    expect(host.refusals).toEqual([]);
  });

  test("onDrain comes early: there is more to send before everything has been acknowledged", () => {
    const { host, peer, say } = start({ acknowledges: false, sendLimitBytes: 100_000 });
    say("fill");
    host.acknowledge(12_000);
    host.run();
    expect(peer.text()).not.toMatch(/drained$/);
    host.acknowledge(500);
    host.run();
    expect(peer.text()).toMatch(/drained$/);
    expect(host.refusals).toEqual([]);
  });

  test("onDrain waits until what was refused fits", () => {
    const { host, peer, say } = start({ acknowledges: false, sendLimitBytes: 100_000 });
    say("fill-half");
    host.acknowledge(9_999);
    host.run();
    expect(peer.text()).not.toMatch(/drained$/);
    host.acknowledge(1);
    host.run();
    expect(peer.text()).toMatch(/drained$/);
    expect(host.refusals).toEqual([]);
  });

  test("a small limit, too: the host is asked though little is on the way", () => {
    const { host, peer, say } = start({ acknowledges: false, sendLimitBytes: 1_000 });
    say("fill");
    expect(peer.sentBytes).toBe(1_000);
    host.acknowledge();
    host.run();
    expect(peer.text()).toMatch(/drained$/);
  });

  test("a send that the command area has no room for is followed by onDrain, too", () => {
    const { host, say } = start({ memoryMib: 16 });
    expect(say("drip")).toMatch(/9drained$/);
    expect(host.refusals).toEqual([]);
  });

  test("a full command area refuses the handler's sends and loses nothing of the SDK's", () => {
    const { host, peer, say } = start();
    const text = say("flood");
    expect(text.length).toBeGreaterThan(7_000);
    expect(text.length).toBeLessThan(8_192);
    expect(peer.finished).toBe(true);
    expect(peer.heldBytes).toBe(0);
    expect(host.refusals).toEqual([]);
  });

  test("events that no command has room for come again", () => {
    const host = new Host(echo);
    const peers = Array.from({ length: 300 }, () => host.connect());
    for (let i = 0; i < 50; ++i) for (const peer of peers) peer.send(`${i} `);
    host.run();
    const all = Array.from({ length: 50 }, (_, i) => `${i} `).join("");
    for (const peer of peers) expect(peer.text()).toBe(all);
    expect(host.refusals).toEqual([]);
  });

  test("without tickets onClose says so", () => {
    const { host, peer, say } = start({ tickets: 16 });
    expect(say("connect")).toBe("failed 6 failed 6 failed 6 failed 6 failed 7 ");
    expect([...host.peers.values()].filter((p) => p.state === "connecting").length).toBe(16);
    expect(host.logs.some((line) => line.includes("nonsense"))).toBe(true);
    expect(peer.finished).toBe(false);
  });

  test("timers beyond the limit are refused with a log line, the others fire", () => {
    const { host, say } = start({ memoryMib: 24 });
    say("timers");
    expect(host.logs.some((line) => line.includes("65536 timers"))).toBe(true);
    host.advance(1_500);
    host.run();
    expect(say("ticks")).toBe("65536");
  });
});

describe("bytes of the handler's own memory", () => {
  test("are sent from where they are", () => {
    const { host, say } = start();
    expect(say("from")).toBe("12345678yes");
    expect(say("from-none")).toBe("yes");
    expect(host.refusals).toEqual([]);
  });

  test("are refused after the end, and beyond the limit", () => {
    const { host, say } = start();
    say("from-ended");
    const other = host.connect().send("ended");
    host.run();
    expect(other.text()).toBe("no");
    expect(start({ sendLimitBytes: 7 }).say("from")).toBe("no");
    expect(host.refusals).toEqual([]);
  });
});

describe("drainTo", () => {
  test("onDrain comes when no more than that is unacknowledged, and once", () => {
    const { host, peer, say } = start({ acknowledges: false });
    say("fill-and-wait");
    host.acknowledge(49_999);
    host.run();
    expect(peer.sentBytes).toBe(60_000);
    host.acknowledge(1);
    host.run();
    expect(peer.text()).toBe("drained");
    host.acknowledge();
    host.run();
    expect(peer.text()).toBe("");
    expect(host.refusals).toEqual([]);
  });

  test("and in the next batch when that is so already", () => {
    const { host, peer, say } = start();
    peer.send("again");
    host.poll();
    expect(peer.text()).toBe("");
    host.run();
    expect(peer.text()).toBe("drained");
    expect(say("batch")).toMatch(/^\d+ $/);
    expect(host.refusals).toEqual([]);
  });
});

test("finishBatch takes no further event: they come in the next batch", () => {
  const { host, peer } = start();
  for (const word of ["batch", "batch", "batch-last", "batch", "batch"]) peer.send(word);
  expect(host.poll()).toBe(3);
  const [first, second, third] = peer.text().trim().split(" ").map(Number);
  expect([second, third]).toEqual([first, first]);
  expect(host.poll()).toBe(2);
  expect(peer.text()).toBe(`${first! + 1} ${first! + 1} `);
});

test("the limit of connections is told", () => {
  expect(start().say("limit")).toBe("10000");
});

describe("connections", () => {
  test("inherited ones are told", () => {
    const host = new Host(wasm);
    const peer = host.connect(0, true).send("who");
    host.run();
    expect(peer.text()).toBe("inherited 192.0.2.7:40000");
  });

  test("to an entry that nobody listens to are reset", () => {
    const host = new Host(wasm, { listen: { main: "tcp:7", other: "tcp:8" } });
    const peer = host.connect(1);
    host.run();
    expect(peer.aborted).toBe(true);
    expect(host.logs.length).toBe(1);
  });

  test("nothing is sent after abort", () => {
    const { host, peer, say } = start();
    say("abort");
    expect(peer.aborted).toBe(true);
    expect(host.refusals).toEqual([]);
  });

  test("a timer is cancelled, and one of a closed connection does not fire", () => {
    const { host, peer, say } = start();
    say("later");
    expect(say("cancel")).toBe("yes");
    expect(say("cancel")).toBe("no");
    say("later");
    peer.close();
    host.run();
    host.advance(100);
    expect(peer.text()).toBe("");
    expect(host.refusals).toEqual([]);
  });

  test("variables", () => {
    expect(start().say("vars")).toBe("none");
    expect(start({ vars: { GREETING: "grüezi" } }).say("vars")).toBe(Buffer.from("grüezi").toString("latin1"));
  });

  test("an app without its [[listen]] entry says so at its start", () => {
    expect(() => new Host(wasm, { listen: { a: "tcp:1", b: "tcp:2" } })).toThrow(
      /no \[\[listen\]\] entry "main" with tcp/,
    );
  });
});

test("steady echo allocates nothing that stays", () => {
  const host = new Host(echo);
  const peer = host.connect();
  const heap = (): number => {
    peer.take();
    peer.send("heap");
    host.run();
    return Number(peer.text());
  };
  for (let i = 0; i < 64; ++i) peer.send("warm");
  host.run();
  const before = heap();
  for (let batch = 0; batch < 100_000 / 64; ++batch) {
    for (let i = 0; i < 64; ++i) peer.send("0123456789");
    host.run();
  }
  expect(heap()).toBe(before);
  expect(host.refusals).toEqual([]);
}, 60_000);
