/** What the fuzz targets in JavaScript are made of. */
import { expect, test } from "vitest";
import { COUNTERS } from "./counters.js";
import { instrument } from "./instrument-module.js";
import { instrumentScript } from "./instrument-script.js";
import { readResponses } from "./responses.js";

/** One page, exported, with functions of every kind of branch. */
async function module(): Promise<Uint8Array> {
  const { default: binaryen } = await import("binaryen");
  const parsed = binaryen.parseText(`(module (memory (export "memory") 1)
    (func (export "loop") (param $n i32) (result i32) (local $v v128)
      (local.set $v (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (local.get $v) (v128.const i32x4 1 2 3 4)))
      (memory.fill (i32.const 8) (i32.const 0) (i32.const 8))
      (block $out (loop $again
        (br_if $out (i32.eqz (local.get $n)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $again)))
      (if (result i32) (i64.eqz (i64.const -1)) (then (i32.const 1)) (else (i32x4.extract_lane 0 (local.get $v))))))`);
  parsed.setFeatures(binaryen.Features.All);
  return parsed.emitBinary();
}

test("an instrumented module does what it did, and counts where it has been", async () => {
  const { wasm, count, firstAddress } = instrument(await module(), 0x1000);
  expect(count).toBe(5);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(wasm));
  const { memory, loop } = instance.exports as { memory: WebAssembly.Memory; loop: (n: number) => number };
  expect(loop(3)).toBe(0);
  const counted = [...new Uint8Array(memory.buffer, firstAddress, count)];
  // The function, four rounds, three of them beyond the branch, not the one arm, the other.
  expect(counted).toEqual([1, 4, 3, 0, 1]);
});

test("an instrumented script does what it did, and counts where it has been", () => {
  const { text, count } = instrumentScript(`
    const sign = (n) => (n > 0 ? 1 : n < 0 && -1);
    function sum(numbers) { let all = 0; for (const n of numbers) all += sign(n); if (all > 9) return 9; else return all; }
    globalThis.result = sum([5, 6, -7]);`);
  expect(count).toBe(8);
  const counters = new Uint8Array(count);
  Reflect.set(globalThis, COUNTERS, counters);
  new Function(text)();
  expect(Reflect.get(globalThis, "result")).toBe(1);
  expect([...counters].sort()).toEqual([0, 1, 1, 1, 1, 2, 3, 3]);
});

test("responses are read strictly", () => {
  const ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
  expect(readResponses(`HTTP/1.1 100 Continue\r\n\r\n${ok}${ok}`)).toHaveLength(2);
  expect(readResponses(ok)).toEqual([{ status: 200, fields: ["content-length: 2"], body: "hi" }]);
  for (const wrong of [ok.slice(0, 20), ok.slice(0, -1), ok.replace("200", "OK"), ok.replace("-length", " length")])
    expect(() => readResponses(wrong), wrong).toThrow();
  expect(() => readResponses("HTTP/1.1 200 OK\r\n\r\n")).toThrow("0 lengths");
});
