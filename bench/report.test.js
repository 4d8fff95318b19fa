import { describe, expect, it } from "vitest";
import { judge, median, noiseOf, summarize, verdictOf } from "./report.js";

describe("a judged value", () => {
  it("reaches its goal", () => {
    expect(judge("x", 30, { atLeast: 30 })).toEqual({ name: "x", value: 30, goal: 30, met: true });
    expect(judge("x", 29, { atLeast: 30 }).met).toBe(false);
  });

  it("stays below its goal", () => {
    expect(judge("x", 10, { atMost: 10 })).toEqual({ name: "x", value: 10, goal: 10, met: true });
    expect(judge("x", 11, { atMost: 10 }).met).toBe(false);
  });

  it("has no verdict without a goal", () => {
    expect(judge("x", 2, { atLeast: undefined })).toEqual({ name: "x", value: 2 });
    expect(verdictOf(judge("x", 2))).toBe("");
  });

  it("does not meet a goal with what was not measured", () => {
    expect(verdictOf(judge("x", Number.NaN, { atLeast: 1 }))).toBe("not met");
    expect(verdictOf(judge("x", Number.NaN, { atMost: 1 }))).toBe("not met");
  });
});

it("tells how far runs lie apart, where there are several and not of nothing", () => {
  const rows = [summarize("a", "x", [9, 10, 12]), summarize("b", "x", [5]), summarize("c", "x", [0, 0, 1])];
  expect(noiseOf(rows)).toEqual({ medianSpread: 0.3 });
  expect(noiseOf([])).toEqual({ medianSpread: 0 });
});

it("finds the value in the middle", () => {
  expect(median([10, 9, 100])).toBe(10);
  expect(median([1, 2])).toBe(2);
  expect(median([])).toBeUndefined();
  expect(summarize("x", "y", [3, 1, 2])).toEqual({ name: "x", unit: "y", median: 2, min: 1, max: 3, runs: 3 });
});
