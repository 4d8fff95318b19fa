import { expect, it } from "vitest";
import type { LinkSpec } from "../process/native.js";
import { Link } from "./link.js";

const link = (): { link: Link; told: [LinkSpec, LinkSpec][] } => {
  const told: [LinkSpec, LinkSpec][] = [];
  return { link: new Link((toHost, fromHost) => void told.push([toHost, fromHost])), told };
};

it("sets both directions, or one", () => {
  const { link: both, told } = link();
  both.loss = 0.1;
  both.fromHost.delayMs = 20;
  expect(told.at(-1)).toMatchObject([
    { loss: 0.1, delayMs: 0 },
    { loss: 0.1, delayMs: 20 },
  ]);
  expect([both.loss, both.toHost.delayMs, both.fromHost.delayMs]).toEqual([0.1, 0, 20]);
});

it("keeps what is not named", () => {
  const { link: both } = link();
  both.set({ loss: 0.5, rateMbitS: 10 });
  both.set({ loss: 0 });
  expect([both.loss, both.rateMbitS]).toEqual([0, 10]);
});

it("refuses what a link cannot do", () => {
  const { link: both, told } = link();
  expect(() => both.set({ loss: 1.1 })).toThrow("a link's loss is a number from 0 to 1, not 1.1");
  expect(() => both.set({ delayMs: Number.NaN })).toThrow("from 0 to 3600000");
  expect(() => both.set({ partitioned: 1 } as never)).toThrow("true or false");
  expect(() => both.set({ lost: 1 } as never)).toThrow('a link has no "lost"; there are rateMbitS, delayMs');
  expect(told).toEqual([]);
});
