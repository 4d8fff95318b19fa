import { expect, it } from "vitest";
import { percentileUs } from "./latency.js";

it("finds the time that a share of the messages did not exceed", () => {
  const counts = [
    [1_000, 50],
    [2_000, 40],
    [9_000, 10],
  ];
  expect(percentileUs(counts, 0.5)).toBe(1);
  expect(percentileUs(counts, 0.51)).toBe(2);
  expect(percentileUs(counts, 0.9)).toBe(2);
  expect(percentileUs(counts, 0.99)).toBe(9);
  expect(percentileUs([], 0.5)).toBeNaN();
});
