import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { manifestSchema } from "../config/manifest.js";
import { type DesiredApp, DesiredState } from "./desired.js";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "weir-desired-test-"));
});
afterEach(() => rm(directory, { recursive: true }));

const app = (id: number, name = `app${id}`): DesiredApp => ({
  id,
  tenant: "default",
  manifest: manifestSchema.parse({ name }),
  storeKey: "k",
  moduleSha256: "s",
  deployedUs: 1,
});

it("is there again after a restart", async () => {
  const state = await DesiredState.open(directory);
  await state.put(app(1));
  await state.put(app(2));
  await state.remove(1);
  const again = await DesiredState.open(directory);
  expect(again.all()).toEqual([app(2)]);
  expect(again.get("default", "app2")).toEqual(app(2));
  expect(again.get("other", "app2")).toBeUndefined();
  expect(await readdir(directory)).toEqual(["desired.json"]);
  expect((await stat(join(directory, "desired.json"))).mode & 0o777).toBe(0o600);
});

it("does not give an id again soon, also not after a restart", async () => {
  const state = await DesiredState.open(directory);
  expect(state.freeId()).toBe(1);
  await state.put(app(1));
  await state.remove(1);
  expect(state.freeId()).toBe(2);
  expect((await DesiredState.open(directory)).freeId()).toBe(2);
});

it("has 255 ids and comes round", async () => {
  const state = await DesiredState.open(directory);
  const apps = Array.from({ length: 255 }, (_, index) => app(index + 1));
  const text = JSON.stringify({ format: 1, nextId: 1, apps });
  await writeFile(join(directory, "desired.json"), text);
  const full = await DesiredState.open(directory);
  expect(full.freeId()).toBeUndefined();
  await full.remove(77);
  expect(full.freeId()).toBe(77);
  expect(state.all()).toEqual([]);
});

it("keeps the old state when the new one cannot be written", async () => {
  const state = await DesiredState.open(directory);
  await state.put(app(1));
  await rm(directory, { recursive: true });
  await expect(state.put(app(2))).rejects.toThrow();
  expect(state.all()).toEqual([app(1)]);
  directory = await mkdtemp(join(tmpdir(), "weir-desired-test-"));
});

it.each([
  ["not JSON", "{"],
  ["of another format", '{"format":2,"apps":[]}'],
  ["with a broken manifest", '{"format":1,"nextId":1,"apps":[{"id":1,"manifest":{}}]}'],
])("refuses to start over a file that is %s", async (_, text) => {
  const path = join(directory, "desired.json");
  await writeFile(path, text);
  await expect(DesiredState.open(directory)).rejects.toThrow(
    /^the desired state in .*desired\.json cannot be used: .*; move it away/,
  );
  expect(await readFile(path, "utf8")).toBe(text);
});
