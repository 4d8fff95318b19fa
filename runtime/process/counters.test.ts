import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { APP_SLOTS, CounterFile } from "./counters.js";

const directory = mkdtempSync(join(tmpdir(), "weir-counters-test-"));
afterAll(() => rmSync(directory, { recursive: true }));
const describe = (name: string) => ({ name, group: "g", meaning: "" });

it("finds the counters of each worker and of all together, and those of each app", () => {
  const words = 2 + APP_SLOTS * 3;
  const values = new BigUint64Array(2 * words).map((_, index) => BigInt(index));
  const path = join(directory, "counters");
  writeFileSync(path, new Uint8Array(values.buffer));
  const file = new CounterFile(path, ["a", "b"].map(describe), ["x", "y", "z"].map(describe), 2);
  const reading = file.read();
  file.close();
  expect(reading.workers.map((worker) => [...worker.values()])).toEqual([
    [0, 1],
    [words, words + 1],
  ]);
  expect([...reading.total]).toEqual([
    ["a", words],
    ["b", words + 2],
  ]);
  expect(reading.app(255).get("z")).toBe(2 * (2 + 255 * 3 + 2) + words);
  expect(() => reading.app(256)).toThrow(RangeError);
});

it("does not read beyond a file that is too short", () => {
  const path = join(directory, "short");
  writeFileSync(path, new Uint8Array(16));
  const file = new CounterFile(path, ["a", "b"].map(describe), ["x"].map(describe), 1);
  expect(() => file.read()).toThrow("the counter file has 16 bytes in place of 2064");
  file.close();
});
