import { expect, it } from "vitest";
import { editDistance, nearest } from "./nearest.js";

it("counts insertions, deletions, replacements and swaps", () => {
  expect(editDistance("listen", "listen")).toBe(0);
  expect(editDistance("listn", "listen")).toBe(1);
  expect(editDistance("lisetn", "listen")).toBe(1);
  expect(editDistance("", "abc")).toBe(3);
  expect(editDistance("kitten", "sitting")).toBe(3);
});

it("finds what was meant, and nothing when nothing is near", () => {
  expect(nearest("memory_mb", ["memory_mib", "connections"])).toBe("memory_mib");
  expect(nearest("TCP", ["http", "tcp", "udp"])).toBe("tcp");
  expect(nearest("frobnicate", ["watch"])).toBeUndefined();
});
