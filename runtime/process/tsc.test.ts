import { expect, it } from "vitest";
import { tscHzOf } from "./tsc.js";

it("prefers the nominal speed of the model name", () => {
  const text = "model name\t: Intel(R) Xeon(R) CPU @ 2.20GHz\ncpu MHz\t\t: 3100.1\nflags\t\t: fpu tsc constant_tsc\n";
  expect(tscHzOf(text)).toBe(2_200_000_000);
});

it("takes the speed of a virtual processor", () => {
  expect(tscHzOf("model name\t: AMD EPYC\ncpu MHz\t\t: 2445.432\nflags\t\t: constant_tsc nopl\n")).toBe(2_445_432_000);
});

it("does not know it where the counter changes its speed", () => {
  expect(tscHzOf("model name\t: x @ 2.20GHz\nflags\t\t: fpu tsc\n")).toBe(0);
});
