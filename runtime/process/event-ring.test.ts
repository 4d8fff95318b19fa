import { expect, it } from "vitest";
import { EventRing } from "./event-ring.js";
import type { AppEvent } from "./native.js";

const event = (sequence: number, text = ""): AppEvent => ({
  sequence,
  timeUs: 0,
  appId: 1,
  kind: "log",
  level: "info",
  text,
  frames: [],
});
const sequences = (events: readonly AppEvent[]): number[] => events.map(({ sequence }) => sequence);

it("gives what came after, in pieces", () => {
  const ring = new EventRing(10, 1000);
  ring.push([event(1), event(2), event(3)]);
  expect(sequences(ring.after(1, 10).events)).toEqual([2, 3]);
  expect(sequences(ring.after(0, 2).events)).toEqual([1, 2]);
  expect(ring.after(3, 10)).toEqual({ events: [], lost: 0 });
});

it("keeps the last ones and counts what is lost", () => {
  const ring = new EventRing(3, 1000);
  ring.push([1, 2, 3, 4, 5].map((sequence) => event(sequence)));
  const { events, lost } = ring.after(0, 10);
  expect(sequences(events)).toEqual([3, 4, 5]);
  expect(lost).toBe(2);
});

it("counts gaps that were there before it saw the events", () => {
  const ring = new EventRing(10, 1000);
  ring.push([event(1), event(5), event(6)]);
  expect(ring.after(0, 10).lost).toBe(3);
});

it("bounds the text", () => {
  const ring = new EventRing(100, 10);
  ring.push([event(1, "12345"), event(2, "12345"), event(3, "12345")]);
  expect(sequences(ring.after(0, 10).events)).toEqual([2, 3]);
});
