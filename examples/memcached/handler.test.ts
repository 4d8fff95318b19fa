import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Connection, host, type TestHost } from "@weir/host/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { arithmeticExtras, decodeAll, encode, expiryExtras, OPCODE, storageExtras } from "./testing/binary.js";

const PORT = 11211;
const MIB = 1_048_576;
const DAY_S = 86_400;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "memcached-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The app with less memory, in a folder of its own. */
function smallApp(): string {
  for (const file of readdirSync(import.meta.dirname)) {
    if (/(?<!\.test)\.ts$/.test(file)) cpSync(join(import.meta.dirname, file), join(folder, file));
  }
  const limits = "[limits]\nmemory_mib = 10\nconnections = 300\npoll_us = 100_000\n";
  writeFileSync(join(folder, "weir.toml"), `name = "memcached"\n[[listen]]\ntcp = ${PORT}\n${limits}`);
  return folder;
}

let weir: TestHost;
beforeEach(async () => {
  weir = await host({ app: import.meta.dirname });
});
afterEach(async () => {
  expect(weir.failures).toEqual([]);
  await weir.close();
});

/** Latin-1 bytes: a byte a character. */
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

/** All that the app answers to a stream that ends, written in parts of so many bytes. */
async function answers(stream: string | Uint8Array, partBytes = Number.POSITIVE_INFINITY): Promise<string> {
  const bytes = typeof stream === "string" ? bytesOf(stream) : stream;
  const client = await weir.connect();
  for (let at = 0; at < bytes.length; at += partBytes) {
    await client.write(bytes.subarray(at, Math.min(bytes.length, at + partBytes)));
    if (Number.isFinite(partBytes)) await weir.advance(1);
  }
  await client.end();
  return Buffer.from(await client.readBytes({ toEnd: true })).toString("latin1");
}

/** The same for requests of the binary protocol. */
async function binaryAnswers(...requests: Parameters<typeof encode>[0][]) {
  return decodeAll(Buffer.from(await answers(Buffer.concat(requests.map(encode))), "latin1"));
}

const lines = (...all: string[]): string => all.map((line) => `${line}\r\n`).join("");
const stored = (key: string, value: string, expiry = 0, flags = 0): string =>
  lines(`set ${key} ${flags} ${expiry} ${Buffer.byteLength(value)}`, value);

/** What stats says, by name. */
async function stats(what = "stats"): Promise<Map<string, string>> {
  const said = await answers(`${what}\r\n`);
  return new Map([...said.matchAll(/^STAT (\S+) (.*)\r$/gm)].map(([, name = "", value = ""]) => [name, value]));
}

describe("text protocol", () => {
  test("get and gets: one key, many keys, misses, flags, unique numbers", async () => {
    expect(
      await answers(stored("a", "one", 0, 5) + stored("b", "") + lines("get a", "get a x b", "gets b a", "get x")),
    ).toBe(
      lines("STORED", "STORED", "VALUE a 5 3", "one", "END", "VALUE a 5 3", "one", "VALUE b 0 0", "", "END") +
        lines("VALUE b 0 0 2", "", "VALUE a 5 3 1", "one", "END", "END"),
    );
  });

  test("set, add, replace, append, prepend", async () => {
    const commands = [
      "replace a 0 0 1\r\nx",
      "append a 0 0 1\r\nx",
      "prepend a 0 0 1\r\nx",
      "add a 7 0 3\r\nmid",
      "add a 0 0 1\r\nx",
      "append a 9 0 4\r\n-end",
      "prepend a 9 0 6\r\nstart-",
      "get a",
      "replace a 8 0 1\r\ny",
      "get a",
    ];
    expect(await answers(lines(...commands))).toBe(
      lines("NOT_STORED", "NOT_STORED", "NOT_STORED", "STORED", "NOT_STORED", "STORED", "STORED") +
        lines("VALUE a 7 13", "start-mid-end", "END", "STORED", "VALUE a 8 1", "y", "END"),
    );
  });

  test("cas", async () => {
    const commands = [
      "cas a 0 0 1 1\r\nx",
      "set a 0 0 1\r\n1",
      "gets a",
      "cas a 0 0 1 7\r\n2",
      "cas a 0 0 1 1\r\n3",
      "gets a",
    ];
    expect(await answers(lines(...commands, "cas a 0 0 1 1\r\n4", "cas a 0 0 1\r\n"))).toBe(
      lines(
        "NOT_FOUND",
        "STORED",
        "VALUE a 0 1 1",
        "1",
        "END",
        "EXISTS",
        "STORED",
        "VALUE a 0 1 2",
        "3",
        "END",
        "EXISTS",
      ) + lines("ERROR", "ERROR"),
    );
  });

  test("incr and decr: wrap, stop at 0, blanks where a number becomes shorter", async () => {
    const commands = ["incr n 1", "set n 3 0 2\r\n10", "decr n 1", "get n", "incr n 95", "get n", "decr n 1000"];
    const more = [
      "set n 0 0 20\r\n18446744073709551615",
      "incr n 2",
      "incr n x",
      "incr n -1",
      "set n 0 0 1\r\nx",
      "incr n 1",
    ];
    expect(await answers(lines(...commands, ...more))).toBe(
      lines(
        "NOT_FOUND",
        "STORED",
        "9",
        "VALUE n 3 2",
        "9 ",
        "END",
        "104",
        "VALUE n 3 3",
        "104",
        "END",
        "0",
        "STORED",
        "1",
      ) +
        lines("CLIENT_ERROR invalid numeric delta argument", "CLIENT_ERROR invalid numeric delta argument", "STORED") +
        lines("CLIENT_ERROR cannot increment or decrement non-numeric value"),
    );
  });

  test("delete, touch, gat, gats", async () => {
    const commands = [
      "touch a 5",
      "gat 5 a",
      "delete a",
      "set a 0 0 1\r\nx",
      "touch a 100",
      "gat 50 a b",
      "gats 0 a",
      "delete a",
    ];
    expect(await answers(lines(...commands, "get a"))).toBe(
      lines(
        "NOT_FOUND",
        "END",
        "NOT_FOUND",
        "STORED",
        "TOUCHED",
        "VALUE a 0 1",
        "x",
        "END",
        "VALUE a 0 1 1",
        "x",
        "END",
      ) + lines("DELETED", "END"),
    );
  });

  test("noreply: nothing is answered, errors included", async () => {
    const commands = ["set a 0 0 1 noreply\r\n1", "add a 0 0 1 noreply\r\n1", "replace a 0 0 1 noreply\r\n2"];
    const more = ["append a 0 0 1 noreply\r\n3", "prepend a 0 0 1 noreply\r\n1", "cas a 0 0 1 99 noreply\r\n9"];
    const others = [
      "incr a 1 noreply",
      "decr a 2 noreply",
      "touch a 0 noreply",
      "delete b noreply",
      "verbosity 1 noreply",
    ];
    const wrong = ["incr a x noreply", "set a 0 0 1 noreply\r\nxy", "flush_all x noreply"];
    expect(await answers(lines(...commands, ...more, ...others, "get a", ...wrong, "flush_all noreply", "get a"))).toBe(
      lines("VALUE a 0 3", "122", "END", "ERROR", "END"),
    );
  });

  test("version, verbosity, quit, and what is no command", async () => {
    const commands = [
      "version",
      "verbosity 1",
      "verbosity",
      "",
      "GET a",
      "gets",
      "set a 0 0",
      "set a b c d",
      "quit",
      "version",
    ];
    expect(await answers(lines(...commands))).toBe(
      lines(
        "VERSION 1.6.18-weir",
        "OK",
        "ERROR",
        "ERROR",
        "ERROR",
        "ERROR",
        "ERROR",
        "CLIENT_ERROR bad command line format",
      ),
    );
  });

  test("stats says what was done", async () => {
    await answers(
      stored("a", "one") +
        stored("b", "x") +
        lines("get a", "get x", "delete b", "incr x 1", "touch a 0", "cas x 0 0 1 1\r\nx"),
    );
    const all = await stats();
    const names = [
      "curr_items",
      "total_items",
      "cmd_get",
      "get_hits",
      "get_misses",
      "cmd_set",
      "delete_hits",
      "incr_misses",
    ];
    expect(names.map((name) => all.get(name))).toEqual(["1", "2", "2", "1", "1", "3", "1", "1"]);
    expect(["cas_misses", "touch_hits", "evictions"].map((name) => all.get(name))).toEqual(["1", "1", "0"]);
    expect(all.get("curr_connections")).toBe("1");
    expect(all.get("total_connections")).toBe("2");
    expect(Number(all.get("bytes"))).toBeGreaterThan(3);
    expect(Number(all.get("limit_maxbytes"))).toBeGreaterThan(48 * MIB);
    await weir.advance(5_000);
    expect((await stats()).get("uptime")).toBe("5");
    expect((await stats("stats slabs")).get("1:used_chunks")).toBe("1");
    expect((await stats("stats settings")).get("item_size_max")).toBe(String(MIB));
    expect(await answers(lines("stats reset", "stats nonsense"))).toBe(lines("RESET", "ERROR"));
    expect((await stats()).get("cmd_get")).toBe("0");
  });
});

describe("binary protocol", () => {
  const set = (key: string, value: string, flags = 0, expiry = 0) => ({
    opcode: OPCODE.set,
    key,
    value,
    extras: storageExtras(flags, expiry),
  });

  test("get, getk and the quiet ones", async () => {
    const { get, getk, getq, getkq, noop } = OPCODE;
    const asked = [get, getk, getq, getkq].flatMap((opcode) => [
      { opcode, key: "a", opaque: opcode },
      { opcode, key: "none", opaque: opcode },
    ]);
    const all = await binaryAnswers(set("a", "value", 77), ...asked, { opcode: noop, opaque: 9 });
    const found = { status: 0, cas: 1n, value: "value" };
    expect(all).toMatchObject([
      { opcode: OPCODE.set, status: 0, cas: 1n, value: "" },
      { opcode: get, ...found, key: "", opaque: get },
      { opcode: get, status: 1, value: "Not found", opaque: get },
      { opcode: getk, ...found, key: "a" },
      { opcode: getk, status: 1, key: "none", value: "" },
      { opcode: getq, ...found, key: "" },
      { opcode: getkq, ...found, key: "a" },
      { opcode: noop, status: 0, opaque: 9 },
    ]);
    expect(all[1]?.extras.readUInt32BE(0)).toBe(77);
  });

  test("set, add, replace, append, prepend, delete, with unique numbers and quiet", async () => {
    const extras = storageExtras(1);
    const all = await binaryAnswers(
      { opcode: OPCODE.replace, key: "a", value: "x", extras },
      { opcode: OPCODE.append, key: "a", value: "x" },
      { opcode: OPCODE.addq, key: "a", value: "mid", extras },
      { opcode: OPCODE.addq, key: "a", value: "x", extras, opaque: 5 },
      { opcode: OPCODE.set, key: "a", value: "x", extras, cas: 99n },
      { opcode: OPCODE.set, key: "none", value: "x", extras, cas: 99n },
      { opcode: OPCODE.append, key: "a", value: "-end" },
      { opcode: OPCODE.prependq, key: "a", value: "start-" },
      { opcode: OPCODE.get, key: "a" },
      { opcode: OPCODE.setq, key: "a", value: "y", extras, cas: 3n },
      { opcode: OPCODE.delete, key: "a", cas: 3n },
      { opcode: OPCODE.deleteq, key: "a", cas: 4n },
      { opcode: OPCODE.deleteq, key: "a" },
      { opcode: OPCODE.replaceq, key: "a", value: "x", extras },
      { opcode: OPCODE.appendq, key: "a", value: "x" },
    );
    expect(all.map(({ opcode, status, cas, value }) => [opcode, status, Number(cas), value])).toEqual([
      [OPCODE.replace, 1, 0, "Not found"],
      [OPCODE.append, 5, 0, "Not stored."],
      [OPCODE.addq, 2, 0, "Data exists for key."],
      [OPCODE.set, 2, 0, "Data exists for key."],
      [OPCODE.set, 1, 0, "Not found"],
      [OPCODE.append, 0, 2, ""],
      [OPCODE.get, 0, 3, "start-mid-end"],
      [OPCODE.delete, 2, 0, "Data exists for key."],
      [OPCODE.deleteq, 1, 0, "Not found"],
      [OPCODE.replaceq, 1, 0, "Not found"],
      [OPCODE.appendq, 5, 0, "Not stored."],
    ]);
  });

  test("increment and decrement, with an initial value or without", async () => {
    const { increment, decrement, incrementq, decrementq, get } = OPCODE;
    const all = await binaryAnswers(
      { opcode: increment, key: "n", extras: arithmeticExtras(1n, 10n, 0xffffffff) },
      { opcode: increment, key: "n", extras: arithmeticExtras(1n, 10n) },
      { opcode: increment, key: "n", extras: arithmeticExtras(5n, 10n) },
      { opcode: decrement, key: "n", extras: arithmeticExtras(100n) },
      { opcode: incrementq, key: "n", extras: arithmeticExtras(2n ** 64n - 1n) },
      { opcode: decrementq, key: "n", extras: arithmeticExtras(1n) },
      { opcode: get, key: "n" },
      { opcode: increment, key: "n", extras: arithmeticExtras(1n), cas: 77n },
      set("n", "text"),
      { opcode: incrementq, key: "n", extras: arithmeticExtras(1n) },
    );
    expect(all.map(({ opcode, status }) => [opcode, status])).toEqual([
      [increment, 1],
      [increment, 0],
      [increment, 0],
      [decrement, 0],
      [get, 0],
      [increment, 2],
      [OPCODE.set, 0],
      [incrementq, 6],
    ]);
    const numbers = all.slice(1, 4).map(({ value }) => Buffer.from(value, "latin1").readBigUInt64BE(0));
    expect(numbers).toEqual([10n, 15n, 0n]);
    expect(all[4]?.value).toBe("18446744073709551614");
  });

  test("touch, gat, flush, noop, version, verbosity, quit", async () => {
    const { touch, gat, gatq, gatk, gatkq, flush, flushq, version, verbosity, quit } = OPCODE;
    const extras = expiryExtras(100);
    const all = await binaryAnswers(
      { opcode: touch, key: "a", extras },
      set("a", "v", 3),
      ...[touch, gat, gatq, gatk, gatkq].map((opcode) => ({ opcode, key: "a", extras })),
      ...[gatq, gatkq].map((opcode) => ({ opcode, key: "none", extras })),
      { opcode: verbosity, extras },
      { opcode: version },
      { opcode: flushq },
      { opcode: gat, key: "a", extras },
      { opcode: flush, extras },
      { opcode: quit },
    );
    expect(all.map(({ opcode, status, key, value }) => [opcode, status, key, value])).toEqual([
      [touch, 1, "", "Not found"],
      [OPCODE.set, 0, "", ""],
      [touch, 0, "", ""],
      [gat, 0, "", "v"],
      [gatq, 0, "", "v"],
      [gatk, 0, "a", "v"],
      [gatkq, 0, "a", "v"],
      [verbosity, 0, "", ""],
      [version, 0, "", "1.6.18-weir"],
      [gat, 1, "", "Not found"],
      [flush, 0, "", ""],
      [quit, 0, "", ""],
    ]);
    expect(await binaryAnswers({ opcode: OPCODE.quitq }, { opcode: OPCODE.noop })).toEqual([]);
  });

  test("stat ends with an answer without a key; an unknown command and its value are passed over", async () => {
    const all = await binaryAnswers(
      set("a", "v"),
      { opcode: OPCODE.stat },
      { opcode: 0x55, key: "a", value: "v".repeat(3_000) },
      { opcode: OPCODE.stat, key: "nonsense" },
      { opcode: OPCODE.noop },
    );
    expect(all.find(({ key }) => key === "curr_items")?.value).toBe("1");
    const end = all.findIndex(({ opcode, key }) => opcode === OPCODE.stat && key === "");
    expect(all.slice(end).map(({ opcode, status }) => [opcode, status])).toEqual([
      [OPCODE.stat, 0],
      [0x55, 0x81],
      [OPCODE.stat, 1],
      [OPCODE.noop, 0],
    ]);
  });

  test("lengths that cannot be end the connection with an answer", async () => {
    const bad = (change: (head: Buffer) => void, key = "k") => {
      const request = encode({ opcode: OPCODE.get, key });
      change(request);
      return Buffer.concat([request, encode({ opcode: OPCODE.noop })]);
    };
    const cases: [Buffer, number[]][] = [
      [bad((head) => head.writeUInt16BE(251, 2), "k".repeat(251)), [4]],
      [bad((head) => head.writeUInt16BE(65_535, 2)), [0x81]],
      [bad((head) => head.writeUInt8(255, 4)), [0x81]],
      [bad((head) => head.writeUInt32BE(0, 8)), [0x81]],
      [bad((head) => head.writeUInt32BE(0xffffffff, 8)), [4]],
      [Buffer.concat([encode({ opcode: OPCODE.noop }), bad((head) => head.writeUInt8(0x81, 0))]), [0]],
    ];
    for (const [stream, statuses] of cases) {
      const all = decodeAll(Buffer.from(await answers(stream), "latin1"));
      expect(all.map(({ status }) => status)).toEqual(statuses);
    }
  });
});

/** Requests of every kind, with all that can be cut: heads, lines, keys, values, the ends of values. */
const TEXT = [
  stored("alpha", "value\r\nwith lines\r\n"),
  lines("get alpha none alpha", "gets alpha", "set x 0 0 3 noreply\r\nabc", "append x 0 0 3\r\ndef", "get x"),
  lines("cas x 1 0 2 2\r\n12", "incr x 5", "decr x 1", "touch x 100", "gat 0 x alpha", "delete alpha", "nonsense"),
  lines("set y 0 0 2\r\nabc", "set big 0 0 2000000", "x".repeat(100)),
].join("");

describe("the stream", () => {
  test.each([1, 2, 3, 5, 7, 16, 64])("cut after every %i bytes, the answers are the same", async (partBytes) => {
    const whole = await answers(TEXT);
    await weir.redeploy();
    expect(await answers(TEXT, partBytes)).toBe(whole);
    expect(whole).toContain("SERVER_ERROR object too large for cache");
  });

  test("cut once at every place, the answers are the same", async () => {
    const stream = stored("k", "v\r\n") + lines("get k none k", "incr k 1", "nonsense", "delete k", "get k");
    const whole = await answers(stream);
    expect(whole).toContain("DELETED");
    for (let at = 1; at < stream.length; at++) {
      const client = await weir.connect();
      await client.write(stream.slice(0, at));
      await weir.advance(1);
      await client.write(stream.slice(at));
      await client.end();
      expect(await client.read({ toEnd: true })).toBe(whole);
    }
  });

  test("binary requests cut after every byte", async () => {
    const stream = Buffer.concat([
      encode({ opcode: OPCODE.set, key: "key", value: "a value", extras: storageExtras(9) }),
      encode({ opcode: OPCODE.getk, key: "key" }),
      encode({ opcode: OPCODE.set, key: "empty", value: "", extras: storageExtras() }),
      encode({ opcode: OPCODE.append, key: "key", value: "!" }),
      encode({ opcode: OPCODE.get, key: "key" }),
      encode({ opcode: OPCODE.increment, key: "n", extras: arithmeticExtras(1n, 5n) }),
      encode({ opcode: OPCODE.noop }),
    ]);
    const all = decodeAll(Buffer.from(await answers(stream, 1), "latin1"));
    expect(all.map(({ status, value }) => [status, value.replaceAll("\0", "")])).toEqual([
      [0, ""],
      [0, "a value"],
      [0, ""],
      [0, ""],
      [0, "a value!"],
      [0, "\u0005"],
      [0, ""],
    ]);
  });

  test("a thousand pipelined requests are answered in order", async () => {
    const numbers = Array.from({ length: 1_000 }, (_, i) => i);
    await answers(numbers.map((i) => stored(`k${i}`, `v${i}`)).join(""));
    const expected = numbers.map((i) => lines(`VALUE k${i} 0 ${`v${i}`.length}`, `v${i}`, "END")).join("");
    expect(await answers(lines(...numbers.map((i) => `get k${i}`)))).toBe(expected);
  });

  test("a line of more than a thousand keys", async () => {
    await answers(stored("k", "v"));
    const keys = Array.from({ length: 1_200 }, (_, i) => (i % 100 === 7 ? "k" : `none-${i}`));
    expect(await answers(lines(`get ${keys.join(" ")}`))).toBe(`${lines("VALUE k 0 1", "v").repeat(12)}END\r\n`);
  });

  test("values of every size around what is treated differently", async () => {
    const sizes = [
      0, 1, 7, 8, 15, 16, 17, 500, 8_189, 8_190, 8_191, 32_600, 32_700, 32_768, 65_535, 65_536, 65_537, 98_304,
    ];
    for (const size of [...sizes, 131_072, 500_000, MIB - 1, MIB]) {
      const value = Array.from({ length: size }, (_, i) => String.fromCharCode(97 + ((i * 7 + (i >> 8)) % 26))).join(
        "",
      );
      expect(await answers(lines(`set size 4 0 ${size}`, value, "get size", "delete size"))).toBe(
        lines("STORED", `VALUE size 4 ${size}`, value, "END", "DELETED"),
      );
    }
    const slabs = await stats("stats slabs");
    expect([slabs.get("active_slabs"), slabs.get("value_pages")]).toEqual(["0", "0"]);
  });

  test("a slow reader of big values loses nothing, and what it still asks for waits", async () => {
    const value = (i: number) => String.fromCharCode(97 + i).repeat(900_000 + i);
    for (let i = 0; i < 4; i++) await answers(stored(`big${i}`, value(i)));
    const before = (await weir.stats()).app.sent_bytes ?? 0;
    const client = await weir.connect();
    const order = Array.from({ length: 30 }, (_, i) => i % 4);
    await client.write(lines(...order.slice(0, 15).map((i) => `get big${i}`)));
    await weir.advance(10_000);
    // What it does not read is not sent: what its window takes, and a quarter of a megabyte besides.
    expect(((await weir.stats()).app.sent_bytes ?? 0) - before).toBeLessThan(500_000);
    await client.write(
      lines(
        `get ${order
          .slice(15)
          .map((i) => `big${i}`)
          .join(" ")}`,
        "get big0 none",
        "version",
      ),
    );
    await weir.advance(1_000);
    // What it asked for is still to come, but a value that is under way comes wholly.
    for (const i of [0, 3]) expect(await answers(lines(`delete big${i}`))).toBe(lines("DELETED"));
    const shown = (i: number) => (i === 1 || i === 2 ? lines(`VALUE big${i} 0 ${900_000 + i}`, value(i)) : "");
    const first = lines("VALUE big0 0 900000", value(0), "END");
    const single = order.slice(1, 15).map((i) => `${shown(i)}END\r\n`);
    const many = `${order.slice(15).map(shown).join("")}END\r\n`;
    await client.end();
    const all = Buffer.from(await client.readBytes({ toEnd: true, withinMs: 600_000 })).toString("latin1");
    expect(all === first + single.join("") + many + lines("END", "VERSION 1.6.18-weir")).toBe(true);
  });

  test("many big values at once over a link that loses frames", async () => {
    weir.link.set({ delayMs: 10, loss: 0.01 });
    const value = "0123456789".repeat(50_000);
    await answers(stored("big", value));
    const asked = lines("get big big big", "get big");
    const one = lines("VALUE big 0 500000", value);
    const clients = await Promise.all(Array.from({ length: 4 }, () => weir.connect()));
    const read = async (client: Connection) => {
      await client.write(asked);
      await client.end();
      return Buffer.from(await client.readBytes({ toEnd: true, withinMs: 600_000 })).toString("latin1");
    };
    for (const all of await Promise.all(clients.map(read)))
      expect(all === `${one.repeat(3)}END\r\n${one}END\r\n`).toBe(true);
  });
});

describe("time", () => {
  test("relative, absolute and negative expiry; touch and gat change it", async () => {
    const nowS = Date.UTC(2026, 0, 1) / 1_000;
    const items: [string, number][] = [
      ["never", 0],
      ["soon", 10],
      ["month", 30 * DAY_S],
      ["clock", nowS + 20],
      ["past", nowS - 1],
      ["negative", -1],
      ["lowest", -2_147_483_648],
      ["touched", 10],
      ["gat", 10],
    ];
    await answers(
      items.map(([key, expiry]) => stored(key, "x", expiry)).join("") + lines("touch touched 100", "gat 0 gat"),
    );
    const left = async () => {
      const all = await answers(`get ${items.map(([key]) => key).join(" ")}\r\n`);
      return [...all.matchAll(/^VALUE (\S+)/gm)].map(([, key]) => key);
    };
    expect(await left()).toEqual(["never", "soon", "month", "clock", "touched", "gat"]);
    await weir.advance(11_000);
    expect(await left()).toEqual(["never", "month", "clock", "touched", "gat"]);
    await weir.advance(10_000);
    expect(await left()).toEqual(["never", "month", "touched", "gat"]);
    await weir.advance(31 * DAY_S * 1_000);
    expect(await left()).toEqual(["never", "gat"]);
    const all = await stats();
    expect(all.get("get_expired")).toBe("7");
  });

  test("flush_all now and later", async () => {
    await answers(stored("a", "x") + lines("flush_all") + stored("b", "x") + lines("flush_all 10") + stored("c", "x"));
    expect(await answers(lines("get a b c"))).toBe(lines("VALUE b 0 1", "x", "VALUE c 0 1", "x", "END"));
    await weir.advance(11_000);
    expect(await answers(lines("get a b c") + stored("d", "x") + lines("get d"))).toBe(
      lines("END", "STORED", "VALUE d 0 1", "x", "END"),
    );
  });
});

describe("hostile input", () => {
  test("an endless line ends its connection, others go on", async () => {
    const other = await weir.connect();
    await other.write(stored("a", "x"));
    const shorter = await weir.connect();
    await shorter.write("y".repeat(2_100));
    expect(await shorter.closed()).toBe("reset"); // it does not end its side
    for (const start of ["", "get ", "set ", " ".repeat(101), "\0"]) {
      const client = await weir.connect();
      await client.write(start);
      for (let i = 0; i < 40; i++) await client.write("y".repeat(2_000)).catch(() => undefined);
      await weir.advance(10_000);
      expect(["finished", "reset"]).toContain(await client.closed());
    }
    await other.write(lines("get a"));
    expect(await other.read({ until: "END\r\n" })).toContain("VALUE a 0 1");
  });

  test("absurd lengths are refused, and what follows is understood", async () => {
    const long = "k".repeat(251);
    const max = "k".repeat(250);
    expect(
      await answers(
        lines(`get ${long}`, `get a ${long}`, `delete ${long}`, `incr ${long} 1`, `touch ${long} 1`, `get ${max}`),
      ),
    ).toBe(lines(...Array.from({ length: 5 }, () => "CLIENT_ERROR bad command line format"), "END"));
    for (const length of [
      "-1",
      "2147483646",
      "4294967295",
      "4294967297",
      "18446744073709551616",
      "9".repeat(400),
      "1e3",
      "0x10",
    ]) {
      expect(await answers(lines(`set a 0 0 ${length}`, "version"))).toBe(
        lines("CLIENT_ERROR bad command line format", "VERSION 1.6.18-weir"),
      );
    }
    const tooLong = `${stored("a", "old")}set a 0 0 ${MIB + 1}\r\n${"x".repeat(MIB + 1)}\r\nget a\r\n`;
    expect(await answers(tooLong)).toBe(lines("STORED", "SERVER_ERROR object too large for cache", "END"));
    const tooLongQuiet = `${stored("a", "old")}add a 0 0 ${MIB + 1} noreply\r\n${"x".repeat(MIB + 1)}\r\nget a\r\n`;
    expect(await answers(tooLongQuiet)).toBe(lines("STORED", "VALUE a 0 3", "old", "END"));
  });

  test("a value without its end is not stored", async () => {
    expect(await answers(lines("set a 0 0 1", "xyz", "get a"))).toBe(
      lines("CLIENT_ERROR bad data chunk", "ERROR", "END"),
    );
    const client = await weir.connect();
    await client.write("set b 0 0 100000\r\nhalf of it");
    await weir.advance(10);
    await client.abort();
    expect(await answers(lines("get b"))).toBe("END\r\n");
    expect((await stats()).get("curr_items")).toBe("0");
    expect((await stats("stats slabs")).get("active_slabs")).toBe("0");
  });

  test.each([1, 2, 3, 4])("garbage does no harm (seed %i)", async (seed) => {
    let state = seed;
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const words = [
      "get",
      "gets",
      "set",
      "cas",
      "incr",
      "a",
      "b",
      "0",
      "1",
      "-1",
      "99999999999",
      "noreply",
      "\r\n",
      "\n",
      " ",
      "\0",
      "\r",
    ];
    for (let round = 0; round < 60; round++) {
      let stream: Buffer = Buffer.alloc(0);
      for (let i = 0; i < 40; i++) {
        const kind = random(3);
        let part: Buffer = Buffer.from(`${words[random(words.length)]} `);
        if (kind === 0) part = Buffer.from(Array.from({ length: random(40) }, () => random(256)));
        else if (kind === 1) {
          part = encode({
            opcode: random(64),
            key: "k".repeat(random(4)),
            extras: Buffer.alloc(random(24)),
            value: "v".repeat(random(9)),
          });
          if (random(3) === 0) part[random(Math.min(part.length, 12))] = random(256);
        }
        stream = Buffer.concat([stream, part]);
      }
      const client = await weir.connect();
      await client.write(new Uint8Array(stream));
      await client.end();
      await client.closed({ withinMs: 60_000 }).catch(() => "");
      await client.close();
    }
    expect(weir.failures).toEqual([]);
    expect(await answers(lines("flush_all", "get a"))).toBe(lines("OK", "END"));
  });
});

describe("memory", () => {
  beforeEach(async () => {
    await weir.close();
    weir = await host({ app: smallApp() });
  });

  /** Stores so many values of a size, and says how many of them are there afterwards. */
  async function fillWith(prefix: string, count: number, bytes: number): Promise<void> {
    const value = "v".repeat(bytes);
    for (let i = 0; i < count; i += 200) {
      const part = Array.from(
        { length: Math.min(200, count - i) },
        (_, n) => `set ${prefix}${i + n} 0 0 ${bytes} noreply\r\n${value}\r\n`,
      );
      await answers(part.join(""));
    }
  }
  const has = async (...keys: string[]) => {
    const all = await answers(`get ${keys.join(" ")}\r\n`);
    return keys.map((key) => all.includes(`VALUE ${key} `));
  };

  test("when it is full, what was longest in no use goes, and what is asked for stays", async () => {
    await fillWith("asked", 1, 4_000);
    for (let round = 0; round < 6; round++) {
      await fillWith(`k${round}-`, 400, 4_000);
      expect(await has("asked0")).toEqual([true]);
      await weir.advance(1_000);
    }
    expect(await has("k0-0", "k0-399", "k5-399", "asked0")).toEqual([false, false, true, true]);
    const all = await stats();
    expect(Number(all.get("evictions"))).toBeGreaterThan(500);
    expect(Number(all.get("bytes"))).toBeLessThanOrEqual(Number(all.get("limit_maxbytes")));
    expect(Number(all.get("bytes"))).toBeGreaterThan(0.8 * Number(all.get("limit_maxbytes")));
  });

  test("memory that one size had goes to another one", async () => {
    for (const [prefix, bytes, count] of [
      ["small", 40, 60_000],
      ["large", 20_000, 600],
      ["huge", 1_000_000, 12],
      ["again", 40, 30_000],
    ] as const) {
      await fillWith(prefix, count, bytes);
      const kept = await has(`${prefix}${count - 1}`, `${prefix}${count - 2}`);
      expect(kept).toEqual([true, true]);
      await weir.advance(2_000);
    }
    expect(Number((await stats()).get("slabs_moved"))).toBeGreaterThan(10);
  }, 120_000);

  test("values that are being sent are not taken away, however full it is", async () => {
    const value = "s".repeat(900_000);
    await answers(stored("sent", value));
    const [one, other] = await Promise.all([weir.connect(), weir.connect()]);
    for (const client of [one, other]) await client.write("get sent\r\n");
    await weir.advance(1_000);
    await fillWith("k", 30, 700_000);
    expect(await has("sent")).toEqual([true]);
    expect(await answers(lines("delete sent"))).toBe(lines("DELETED"));
    const expected = lines("VALUE sent 0 900000", value, "END");
    for (const client of [one, other]) {
      await fillWith("l", 30, 700_000);
      const all = Buffer.from(await client.readBytes({ bytes: expected.length, withinMs: 600_000 })).toString("latin1");
      expect(all === expected).toBe(true);
    }
    await answers("flush_all\r\n");
    await fillWith("m", 30, 700_000);
    expect((await stats()).get("curr_items")).not.toBe("0");
  });

  test("when all memory is held by values that come, there is none for others", async () => {
    const clients = await Promise.all(Array.from({ length: 12 }, () => weir.connect()));
    for (const client of clients) await client.write(`set ${"k".repeat(10)} 0 0 1000000\r\nbegun`);
    await weir.advance(100);
    const said = await Promise.all(clients.map((client) => client.read({ withinMs: 100 }).catch(() => "")));
    expect(said.some((text) => text === lines("SERVER_ERROR out of memory storing object"))).toBe(true);
    for (const client of clients) await client.abort();
    await weir.advance(100);
    const slabs = await stats("stats slabs");
    expect([slabs.get("active_slabs"), slabs.get("value_pages")]).toEqual(["0", "0"]);
    expect(await answers(stored("after", "x") + lines("get after"))).toBe(
      lines("STORED", "VALUE after 0 1", "x", "END"),
    );
  });

  test("what is appended to is not taken away to make room for it", async () => {
    const start = "s".repeat(40_000);
    await answers(stored("base", start));
    await weir.advance(1_000);
    await answers(stored("tiny", "x"));
    await weir.advance(1_000);
    for (let round = 0; (await stats()).get("slab_global_page_pool") !== "0"; round++)
      await fillWith(`k${round}-`, 50, 1_000);
    const before = Number((await stats()).get("curr_items"));
    // What is appended has a chunk; for both there is no page, and of all values with a page "base" was longest in no use.
    const said = await answers(lines("append base 0 0 3", "end", "get base"));
    expect(said === lines("STORED", "VALUE base 0 40003", `${start}end`, "END")).toBe(true);
    expect(Number((await stats()).get("curr_items"))).toBeLessThanOrEqual(before);
    await fillWith("more", 100, 20_000);
    expect(await answers(lines("flush_all") + stored("base", "x") + lines("get base"))).toContain("VALUE base 0 1");
  });

  test("lines that do not end take so much memory and no more", async () => {
    const clients = await Promise.all(
      Array.from({ length: 60 }, (_, i) => weir.connect(PORT, { from: `10.44.1.${i + 1}` })),
    );
    for (const client of clients) await client.write(`get ${"key ".repeat(10_000)}`);
    await weir.advance(1_000);
    expect(Number((await stats()).get("read_buf_oom"))).toBeGreaterThan(20);
    for (const client of clients) await client.abort();
    await weir.advance(100);
    expect(await answers(`get ${"key ".repeat(10_000)}\r\n`)).toBe("END\r\n");
  });

  test("those that ask on and on and never read are reset, others are served", async () => {
    await answers(stored("big", "b".repeat(900_000)));
    const clients = await Promise.all(
      Array.from({ length: 40 }, (_, i) => weir.connect(PORT, { from: `10.44.2.${i + 1}` })),
    );
    for (let round = 0; round < 12; round++) {
      await Promise.all(
        clients.map((client) => client.write("get big\r\n".repeat(20), { withinMs: 10 }).catch(() => undefined)),
      );
      await weir.advance(10);
    }
    expect(Number((await stats()).get("slow_readers"))).toBeGreaterThan(5);
    expect(await answers(stored("a", "x") + lines("get a"))).toBe(lines("STORED", "VALUE a 0 1", "x", "END"));
  });
});

test("another deployment begins with an empty cache, and resets connections that are in the middle of something", async () => {
  const client = await weir.connect();
  await client.write(`${stored("a", "x")}set b 0 0 10\r\nhalf`);
  expect(await client.read({ until: "STORED\r\n" })).toBe("STORED\r\n");
  await weir.redeploy();
  expect(await client.closed()).toBe("reset");
  expect(await answers(lines("get a"))).toBe("END\r\n");
});
