import { expect, test } from "vitest";
import { liveLine, type Sample } from "./live.js";

const zero: Sample = { timeUs: 0, events: 0, packetsIn: 0, packetsOut: 0, drops: 0, connections: 0, failures: 0 };

test("rates are per second, drops and connections are totals", () => {
  const now = { ...zero, timeUs: 2_000_000, events: 5_000, packetsIn: 20, packetsOut: 10, drops: 3, connections: 7 };
  expect(liveLine(zero, now)).toBe("2,500 events/s · packets 10/s in 5/s out · drops 3 · connections 7");
});

test("counters that began again from zero make no negative rate", () => {
  expect(liveLine({ ...zero, events: 100 }, { ...zero, timeUs: 1_000_000 })).toContain("0 events/s");
});

test("restarts are told when there were some", () => {
  expect(liveLine(zero, { ...zero, timeUs: 1, failures: 2 })).toContain("restarts 2");
});
