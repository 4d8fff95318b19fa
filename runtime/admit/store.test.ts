import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ModuleStore, type StoreInput, storeKey } from "./store.js";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "weir-store-test-"));
});
afterEach(() => rm(directory, { recursive: true }));

const input = (text: string): StoreInput => ({
  wasm: Buffer.from(text),
  sourceMap: "{}",
  memoryPages: 576,
  engineVersion: "1",
});
const output = (bytes = 8) => ({ compiled: Buffer.alloc(bytes, 7), offsets: new Uint32Array([1, 2, 3, 4]) });

it("gives back what was put, to its owner only", async () => {
  const store = await ModuleStore.open(directory, 1e6);
  const { key, compiledPath } = await store.put(input("a"), output());
  expect(await store.get(key)).toEqual({ key, compiledPath });
  expect(key).toBe(storeKey(input("a")));
  expect(await readFile(compiledPath)).toEqual(Buffer.alloc(8, 7));
  expect((await stat(compiledPath)).mode & 0o777).toBe(0o600);
  expect((await store.maps(key)).offsets).toEqual(new Uint32Array([1, 2, 3, 4]));
  expect((await store.input(key))?.wasm).toEqual(Buffer.from("a"));
});

it("has a name of its own for all that a compiled module depends on", () => {
  const base = input("a");
  const keys = [
    base,
    input("b"),
    { ...base, memoryPages: 577 },
    { ...base, engineVersion: "2" },
    { ...base, sourceMap: "" },
  ].map(storeKey);
  expect(new Set(keys).size).toBe(keys.length);
});

it("does not give a compiled module that was changed", async () => {
  const store = await ModuleStore.open(directory, 1e6);
  const { key, compiledPath } = await store.put(input("a"), output());
  await writeFile(compiledPath, Buffer.alloc(8, 8));
  expect(await store.get(key)).toBeUndefined();
  await store.put(input("a"), output());
  expect(await store.get(key)).toBeDefined();
});

it("does not give an input that was changed", async () => {
  const store = await ModuleStore.open(directory, 1e6);
  const { key } = await store.put(input("a"), output());
  await writeFile(join(directory, key, "input.wasm"), "b");
  expect(await store.input(key)).toBeUndefined();
});

it("deletes what a crash left unfinished, and nothing else", async () => {
  const store = await ModuleStore.open(directory, 1e6);
  const { key } = await store.put(input("a"), output());
  await mkdir(join(directory, "unfinished-12"));
  await writeFile(join(directory, "unfinished-12", "compiled.bin"), "half");
  const again = await ModuleStore.open(directory, 1e6);
  expect(await readdir(directory)).toEqual([key]);
  expect(await again.get(key)).toBeDefined();
});

it("leaves no trace when writing fails", async () => {
  const store = await ModuleStore.open(directory, 1e6);
  const bad = { ...input("a"), sourceMap: 5 as unknown as string };
  await expect(store.put(bad, output())).rejects.toThrow();
  expect(await readdir(directory)).toEqual([]);
});

it("evicts what was not used for longest and never what is in use", async () => {
  const store = await ModuleStore.open(directory, 3000);
  const keys: string[] = [];
  for (const [index, text] of ["old", "used", "middle", "new"].entries()) {
    const { key } = await store.put(input(text), output(1000));
    const time = new Date(1_000_000 + index * 1000);
    await utimes(join(directory, key), time, time);
    keys.push(key);
  }
  const [old, used, middle, recent] = keys as [string, string, string, string];
  await store.evict(new Set([old]));
  expect((await readdir(directory)).sort()).toEqual([old, middle, recent].sort());
  await store.get(middle);
  await store.put(input("more"), output(1000));
  await store.evict(new Set());
  const left = await readdir(directory);
  expect(left).toContain(middle);
  expect(left).not.toContain(old);
  expect(left).not.toContain(used);
  expect(left).not.toContain(recent);
});
