/** docs/tcp.md names tests that exist, and holds every requirement of RFC 9293's appendix B once. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CLONE } from "./support/clone.js";

/** How many requirements of each kind RFC 9293's appendix B numbers, from 1 on. */
const REQUIREMENTS = { MUST: 69, SHLD: 31, MAY: 18, REC: 1 };
const VERDICTS = ["yes", "deviates", "no", "does not apply"];
const COLUMNS = 4;

const lines = readFileSync(join(CLONE, "docs", "tcp.md"), "utf8").split("\n");

/** A row of a table: its cells, and where it stands. */
const rows = lines
  .map((line, index) => ({ line, place: `docs/tcp.md:${index + 1}` }))
  .filter(({ line }) => line.startsWith("|") && !line.startsWith("|---"))
  .map(({ line, place }) => ({ cells: line.replace(/^\||\|$/g, "").split("|"), place }))
  .map(({ cells, place }) => ({ cells: cells.map((cell) => cell.trim()), place }))
  .filter(({ cells }) => cells[2] !== "verdict");

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return /^(build|target|node_modules)/.test(entry.name) ? [] : testFiles(path);
    return entry.name.endsWith("_test.cc") ? [path] : [];
  });
}

/** `Suite.name` of every GoogleTest in native/. */
function nativeTests(): Set<string> {
  const macro = /^TEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)/gm;
  const sources = testFiles(join(CLONE, "native")).map((path) => readFileSync(path, "utf8"));
  return new Set(sources.flatMap((source) => [...source.matchAll(macro)].map(([, suite, name]) => `${suite}.${name}`)));
}

test("every test that is named exists", () => {
  const existing = nativeTests();
  const named = lines.flatMap((line, index) =>
    [...line.matchAll(/`([A-Z]\w*\.\w+)`/g)].map(([, name]) => ({ name: name!, place: `docs/tcp.md:${index + 1}` })),
  );
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter(({ name }) => !existing.has(name))).toEqual([]);
});

test("every script that is named exists", () => {
  const existing = readdirSync(join(CLONE, "test", "scripts"));
  const named = lines.flatMap((line) => [...line.matchAll(/`([\w-]+\.pkt)`/g)].map(([, name]) => name!));
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter((name) => !existing.includes(name))).toEqual([]);
});

test("every requirement of RFC 9293's appendix B is there once", () => {
  const expected = Object.entries(REQUIREMENTS).flatMap(([kind, count]) =>
    Array.from({ length: count }, (_, index) => `${kind}-${index + 1}`),
  );
  const found = rows.flatMap(({ cells }) => cells[0]!.match(/^(?:MUST|SHLD|MAY|REC)-\d+(?=,)/) ?? []);
  expect(expected.filter((number) => !found.includes(number))).toEqual([]);
  expect(found.filter((number, index) => !expected.includes(number) || found.indexOf(number) !== index)).toEqual([]);
});

test("every row has one of four verdicts, and says why", () => {
  expect(rows.filter(({ cells }) => cells.length !== COLUMNS || cells.includes(""))).toEqual([]);
  expect(rows.filter(({ cells }) => !VERDICTS.includes(cells[2]!))).toEqual([]);
});
