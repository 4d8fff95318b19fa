import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { globToRegExp, SourceWatcher } from "./watch.js";

let folder = "";
let watcher: SourceWatcher;
let edits: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-watch-"));
  edits = [];
  watcher = new SourceWatcher(folder, (paths) => edits.push(...paths));
});

afterEach(() => {
  watcher.close();
  rmSync(folder, { recursive: true });
});

async function edited(name: string): Promise<void> {
  await vi.waitFor(() => expect(edits).toContain(join(folder, name)), { timeout: 10_000 });
}

test.each([
  ["src/**", "src/a/b.ts", true],
  ["src/**/*.ts", "src/b.ts", true],
  ["src/*.ts", "src/a/b.ts", false],
  ["data?.json", "data1.json", true],
  ["a.b", "aXb", false],
])("%s and %s", (glob, path, matches) => {
  expect(globToRegExp(glob).test(path)).toBe(matches);
});

test("a written and a replaced file are noticed, others are not", async () => {
  writeFileSync(join(folder, "handler.ts"), "1");
  watcher.set(["handler.ts"], []);
  writeFileSync(join(folder, "other.ts"), "1");
  writeFileSync(join(folder, "handler.ts"), "2");
  await edited("handler.ts");
  edits = [];
  writeFileSync(join(folder, "new"), "3");
  renameSync(join(folder, "new"), join(folder, "handler.ts"));
  await edited("handler.ts");
  expect(edits).not.toContain(join(folder, "other.ts"));
});

test("patterns reach into folders", async () => {
  mkdirSync(join(folder, "src", "deep"), { recursive: true });
  watcher.set([], ["src/**/*.json", "missing/*"]);
  writeFileSync(join(folder, "src", "deep", "a.txt"), "");
  writeFileSync(join(folder, "src", "deep", "a.json"), "");
  await edited("src/deep/a.json");
  expect(edits).toEqual([join(folder, "src", "deep", "a.json")]);
});
