import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { APP_SLOTS, CounterFile } from "./counters.js";

const directory = mkdtempSync(join(tmpdir(), "weir-counters-test-"));
afterAll(() => rmSync(directory, { recursive: true }));
const describe = (name: string) => ({ name, group: "g", meaning: "" });

it("finds the worker's counters and those of each app", () => {
  const values = new BigUint64Array(2 + APP_SLOTS * 3).map((_, index) => BigInt(index));
  const path = join(directory, "counters");
  writeFileSync(path, new Uint8Array(values.buffer));
  const file = new CounterFile(path, ["a", "b"].map(describe), ["x", "y", "z"].map(describe));
  const reading = file.read();
  file.close();
  expect([...reading.worker]).toEqual([
    ["a", 0],
    ["b", 1],
  ]);
  expect(reading.app(255).get("z")).toBe(2 + 255 * 3 + 2);
  expect(() => reading.app(256)).toThrow(RangeError);
});

it("does not read beyond a file that is too short", () => {
  const path = join(directory, "short");
  writeFileSync(path, new Uint8Array(16));
  const file = new CounterFile(path, ["a", "b"].map(describe), ["x"].map(describe));
  expect(() => file.read()).toThrow("the counter file has 16 bytes in place of 2064");
  file.close();
});
