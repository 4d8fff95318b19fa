import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { KeptBuilds, TextReader } from "./kept-builds.js";

let folder: string;
let builds: KeptBuilds;
const built = { wasm: new Uint8Array([0, 97, 115, 109]), sourceMap: "{}", watched: ["a.ts"], warnings: [] };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-kept-"));
  builds = new KeptBuilds(join(folder, "builds"));
  writeFileSync(join(folder, "a.ts"), "a");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Keeps a build that read a.ts, and looked for b.ts in vain. */
async function keep(name: string): Promise<void> {
  const reader = new TextReader();
  expect(await reader.read(join(folder, "a.ts"))).toBe("a");
  expect(await reader.read(join(folder, "b.ts"))).toBe(null);
  await builds.keep(name, reader, built);
}

describe("a kept build", () => {
  it("is found as it was", async () => {
    await keep("one");
    expect(await builds.find("one")).toEqual(built);
    expect(await builds.find("two")).toBeUndefined();
  });
  it("is not found when a text has changed, was written anew, or is gone", async () => {
    await keep("one");
    writeFileSync(join(folder, "a.ts"), "b");
    expect(await builds.find("one")).toBeUndefined();
    writeFileSync(join(folder, "a.ts"), "a");
    expect(await builds.find("one")).toEqual(built);
    // Imports are looked for in several places: one that is there now comes first.
    writeFileSync(join(folder, "b.ts"), "");
    expect(await builds.find("one")).toBeUndefined();
    rmSync(join(folder, "b.ts"));
    rmSync(join(folder, "a.ts"));
    expect(await builds.find("one")).toBeUndefined();
  });
  it("that is damaged is none", async () => {
    await keep("one");
    for (const name of readdirSync(join(folder, "builds"))) writeFileSync(join(folder, "builds", name), "?");
    expect(await builds.find("one")).toBeUndefined();
  });
  it("goes when many others were used since", async () => {
    for (let i = 0; i < 66; i++) {
      await keep(`build${i}`);
      const used = new Date(Date.now() - 1_000_000 + i * 1_000);
      utimesSync(join(folder, "builds", `build${i}.json.gz`), used, used);
    }
    expect(readdirSync(join(folder, "builds"))).toHaveLength(64);
    expect(await builds.find("build0")).toBeUndefined();
    expect(await builds.find("build65")).toEqual(built);
  });
  it("is not missed where nothing can be kept", async () => {
    builds = new KeptBuilds(join(folder, "a.ts"));
    await keep("one");
    expect(await builds.find("one")).toBeUndefined();
  });
});
