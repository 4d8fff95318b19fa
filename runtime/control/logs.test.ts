import { expect, it } from "vitest";
import { LogBook, type NewLogLine } from "./logs.js";
import type { LogLine } from "./types.js";

const line = (app: string, text: string, tenant = "default"): NewLogLine => ({
  timeUs: 1,
  tenant,
  app,
  level: "info",
  kind: "log",
  text,
  frames: [],
});
async function take(lines: AsyncIterable<LogLine>, count: number): Promise<string[]> {
  const got: string[] = [];
  for await (const { text } of lines) {
    got.push(text);
    if (got.length === count) break;
  }
  return got;
}

it("gives lines in their order, filtered", async () => {
  const book = new LogBook();
  book.add(line("a", "1"));
  book.add(line("b", "2"));
  book.add(line("a", "3", "other"));
  book.add(line("a", "4"));
  expect(book.recent({}).map(({ text }) => text)).toEqual(["1", "2", "3", "4"]);
  expect(book.recent({ app: "a" }).map(({ text }) => text)).toEqual(["1", "3", "4"]);
  expect(book.recent({ app: "a", tenant: "default", since: 1 }).map(({ text }) => text)).toEqual(["4"]);
});

it("bounds each app's lines, so that one cannot push out another's", () => {
  const book = new LogBook();
  book.add(line("quiet", "here"));
  for (let i = 0; i < 5000; i++) book.add(line("loud", String(i)));
  const lines = book.recent({});
  expect(lines).toHaveLength(1001);
  expect(lines[0]!.text).toBe("here");
  expect(lines.at(-1)!.text).toBe("4999");
});

it("bounds the text of an app", () => {
  const book = new LogBook();
  for (let i = 0; i < 100; i++) book.add(line("a", "x".repeat(100_000)));
  expect(book.recent({})).toHaveLength(5);
});

it("bounds the number of apps, dropping the one that was quiet for longest", () => {
  const book = new LogBook();
  for (let i = 0; i < 320; i++) book.add(line(`a${i}`, ""));
  book.add(line("a0", "again"));
  book.add(line("new", ""));
  expect(book.recent({ app: "a0" })).toHaveLength(2);
  expect(book.recent({ app: "a1" })).toHaveLength(0);
});

it("follows, beginning with what is there", async () => {
  const book = new LogBook();
  book.add(line("a", "1"));
  const got = take(book.read({ follow: true }), 3);
  await new Promise(setImmediate);
  book.add(line("a", "2"));
  await new Promise(setImmediate);
  book.add(line("a", "3"));
  expect(await got).toEqual(["1", "2", "3"]);
});

it("ends following by its signal", async () => {
  const book = new LogBook();
  const ended = new AbortController();
  const got = take(book.read({ follow: true, signal: ended.signal }), 10);
  await new Promise(setImmediate);
  book.add(line("a", "1"));
  await new Promise(setImmediate);
  ended.abort();
  expect(await got).toEqual(["1"]);
});

it("tells a slow follower what it lost", async () => {
  const book = new LogBook();
  book.add(line("a", "first"));
  const lines = book.read({ follow: true });
  await lines.next();
  for (let i = 0; i < 2500; i++) book.add(line("a", String(i)));
  const got = await take(lines, 2001);
  expect(got[0]).toBe("0");
  expect(got.at(-1)).toBe("500 lines are missing here: they came faster than they were read");
});
