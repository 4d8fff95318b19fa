import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import type { BuiltApp } from "../runtime/build/index.js";
import { buildText } from "./testing/build.js";
import { Host, type Peer } from "./testing/host.js";

let fixture: BuiltApp;
beforeAll(async () => {
  fixture = await buildText(readFileSync(new URL("fixtures/memory.ts", import.meta.url), "utf8"));
}, 60_000);

const say = (host: Host, peer: Peer, line: string): string => {
  peer.send(line);
  host.run();
  return peer.text();
};

/** Overwrites what the arena would hand out next, so that anything wrongly rewound shows. */
const churn = (host: Host, peer: Peer): void => {
  for (let i = 0; i < 20; ++i) say(host, peer, `waste ${"x".repeat(i)}`);
};

/** What the fixture's state ought to be, in this process's own memory. */
class Model {
  last = "none";
  readonly seen = new Map<string, string>();
  readonly ring: string[] = Array.from({ length: 16 }, () => "");
  next = 0;
  readonly own = new Map<Peer, { field: string; notes: string[]; list: string[] }>();

  of(peer: Peer): { field: string; notes: string[]; list: string[] } {
    const own = this.own.get(peer) ?? { field: "", notes: [], list: [] };
    this.own.set(peer, own);
    return own;
  }

  apply(peer: Peer, verb: string, rest: string): void {
    const own = this.of(peer);
    const text = `${rest}!`;
    if (verb === "global") this.last = text;
    else if (verb === "field") own.field = text;
    else if (verb === "map") this.seen.set(rest, text);
    else if (verb === "forget") this.seen.delete(rest);
    else if (verb === "ring") {
      this.ring[this.next] = text;
      this.next = (this.next + 1) & 15;
    } else if (verb === "note") own.notes = own.notes.length < 8 ? [text, ...own.notes] : [text];
    else if (verb === "list") {
      own.list.push(text);
      if (own.list.length > 40) own.list.shift();
    }
  }

  get(peer: Peer, key: string): string {
    const own = this.of(peer);
    const found = this.seen.has(key) ? ` ${this.seen.get(key)}` : "";
    const ring = this.ring.map((text) => `${text},`).join("");
    return `${this.last} ${own.field} ${this.seen.size}${found}|${ring}|${own.notes.map((n) => `${n},`).join("")}|${own.list.join(",")}`;
  }
}

/** Random numbers that are the same in every run. */
const random = (seed: number) => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
};

describe("the memory of a batch", () => {
  test("strings in a global, a field, a Map and an array outlive their batch", () => {
    const host = new Host(fixture.wasm);
    const peer = host.connect();
    for (const verb of ["global", "field", "map", "ring", "note", "list"]) {
      say(host, peer, `${verb} one-${verb}`);
      churn(host, peer);
    }
    expect(say(host, peer, "get one-map")).toBe(
      `one-global! one-field! 1 one-map!|one-ring!,${",".repeat(15)}|one-note!,|one-list!`,
    );
  });

  test.each([1, 2, 3, 4])(
    "whatever is kept, lost and wasted, nothing reachable changes (seed %i)",
    (seed) => {
      const host = new Host(fixture.wasm, { memoryMib: 6 });
      const next = random(seed);
      const model = new Model();
      let peers = Array.from({ length: 8 }, () => host.connect());
      const verbs = [
        "global",
        "field",
        "map",
        "map",
        "forget",
        "ring",
        "note",
        "list",
        "waste",
        "large",
        "get",
        "close",
      ];
      const expected = new Map<Peer, string>();
      for (let round = 0; round < 2_500; ++round) {
        for (let n = 1 + Math.floor(next() * 12); n > 0; --n) {
          const at = Math.floor(next() * peers.length);
          const peer = peers[at] as Peer;
          const verb = verbs[Math.floor(next() * verbs.length)] as string;
          const rest = verb === "large" ? String(1 + Math.floor(next() * 60_000)) : `k${Math.floor(next() * 300)}`;
          if (verb === "close") {
            if (next() > 0.1) continue;
            peer.close();
            model.own.delete(peer);
            peers = peers.map((p) => (p === peer ? host.connect() : p));
            continue;
          }
          if (verb === "get") {
            peer.send(`get ${rest}`);
            host.run();
            const all = peer.text();
            expect(all.endsWith(model.get(peer, rest))).toBe(true);
            expected.set(peer, all);
            continue;
          }
          peer.send(`${verb} ${rest}`);
          model.apply(peer, verb, rest);
        }
        host.run();
      }
      expect(host.refusals.filter((refusal) => !refusal.startsWith("stale_handle"))).toEqual([]); // closing races
      expect(expected.size).toBeGreaterThan(8);
    },
    120_000,
  );
});

test("what is moved from one old object to another while the collector marks is not lost", () => {
  const host = new Host(fixture.wasm, { memoryMib: 12 });
  const peer = host.connect();
  say(host, peer, "stock");
  const notes = Array.from({ length: 64 }, (_, i) => `note ${i},`).join("");
  const next = random(7);
  for (let i = 0; i < 12_000; ++i) {
    peer.send(`swap ${Math.floor(next() * 1e6)}`);
    host.poll();
    if (i % 50 === 0) {
      host.run();
      expect(say(host, peer, "notes")).toBe(notes);
    }
  }
}, 120_000);

test("a million events of churn fit into 4 MiB", () => {
  const host = new Host(fixture.wasm, { memoryMib: 4 });
  let events = 0;
  let peers: Peer[] = [];
  let largest = 0;
  for (let round = 0; events < 1_000_000; ++round) {
    for (const peer of peers) peer.close();
    peers = Array.from({ length: 100 }, () => host.connect());
    for (const peer of peers) {
      for (let i = 0; i < 3; ++i) {
        peer
          .send(`map user-${(round * 7 + i) % 500}`)
          .send(`field ${round}-${i}`)
          .send(`note ${i}`)
          .send(`ring ${round}`);
      }
    }
    events += 100 * 14;
    host.run();
    if (round % 20 === 0) {
      const peer = peers[0] as Peer;
      peer.take();
      largest = Math.max(largest, Number(say(host, peer, "heap")));
    }
  }
  expect(host.refusals.filter((refusal) => !refusal.startsWith("stale_handle"))).toEqual([]);
  expect(largest).toBeLessThan(3 << 20);
}, 240_000);

test("running out of memory says so", () => {
  const host = new Host(fixture.wasm, { memoryMib: 4 });
  const peer = host.connect();
  host.run();
  expect(() => say(host, peer, "large 5000000")).toThrow(/out of memory/);
});

describe("memory that the handler manages itself", () => {
  test("stays as it is while batches come and go, and is given back", () => {
    const host = new Host(fixture.wasm, { memoryMib: 16 });
    const peer = host.connect();
    host.run();
    const available = () => Number(say(host, peer, "available"));
    const before = available();
    say(host, peer, "reserve 12000000");
    expect(before - available()).toBeGreaterThanOrEqual(12_000_000);
    expect(before - available()).toBeLessThan(12_100_000);
    for (let i = 0; i < 300; ++i) say(host, peer, `map k${i % 50}`);
    churn(host, peer);
    expect(say(host, peer, "intact 12000000")).toBe("12000000");
    say(host, peer, "release");
    expect(before - available()).toBeLessThan(100_000);
  });

  test("is no part of what is collected: beside it the heap is small, and is kept small", () => {
    const host = new Host(fixture.wasm, { memoryMib: 16 });
    const peer = host.connect();
    host.run();
    say(host, peer, "reserve 12000000");
    let largest = 0;
    for (let i = 0; i < 40_000; ++i) {
      say(host, peer, `field ${"x".repeat(100)}${i}`);
      if (i % 500 === 0) largest = Math.max(largest, Number(say(host, peer, "heap")));
    }
    expect(largest).toBeLessThan(2 << 20);
    expect(say(host, peer, "intact 12000000")).toBe("12000000");
  }, 120_000);

  test("more than there is ends the instance with a reason", () => {
    const host = new Host(fixture.wasm, { memoryMib: 4 });
    const peer = host.connect();
    host.run();
    expect(() => say(host, peer, "reserve 8000000")).toThrow(/out of memory/);
  });

  test("bytes are found and copied at every place", () => {
    const host = new Host(fixture.wasm);
    const peer = host.connect();
    host.run();
    expect(say(host, peer, "search")).toBe("fine");
    expect(say(host, peer, "copy")).toBe("fine");
  });
});
