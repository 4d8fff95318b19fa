import { describe, expect, it } from "vitest";
import { highestRate, isTaken } from "./rate-search.js";

/** A window in which all messages took so long. */
const windowOf = (messages, us) => ({ messages, seconds: 1, latencyNs: [[us * 1_000, messages]] });

describe("the highest rate", () => {
  const bounds = { mostUs: 500, from: 1_000, to: 1_000_000 };
  const server = (most) => async (rate) => [windowOf(Math.min(rate, most), rate <= most ? 50 : 5_000)];

  it("is found", async () => {
    for (const most of [1_000, 5_000, 77_777, 900_000]) {
      const found = await highestRate(server(most), bounds);
      expect(found).toBeLessThanOrEqual(most);
      expect(found).toBeGreaterThan(most / 1.2);
    }
  });

  it("is nothing where the lowest is too much", async () => {
    expect(await highestRate(server(10), bounds)).toBe(0);
  });

  it("is unknown where no window counts", async () => {
    const from = (least) => async (rate) => (rate < least ? server(1_000_000)(rate) : []);
    expect(await highestRate(from(0), bounds)).toBeUndefined();
    expect(await highestRate(from(50_000), bounds)).toBeUndefined();
  });

  it("survives one bad moment", async () => {
    let calls = 0;
    const stalls = async (rate) => (calls++ % 2 === 0 ? [windowOf(rate, 9_000)] : server(50_000)(rate));
    expect(await highestRate(stalls, bounds)).toBeGreaterThan(40_000);
  });
});

it("is taken with answers that keep up and are quick", () => {
  expect(isTaken([windowOf(1_000, 10)], 1_000, 500)).toBe(true);
  expect(isTaken([windowOf(1_000, 600)], 1_000, 500)).toBe(false);
  expect(isTaken([windowOf(900, 10)], 1_000, 500)).toBe(false);
  expect(isTaken([], 1_000, 500)).toBeUndefined();
});
