/** Time in whole seconds, as items keep it. */
import { monotonicUs, wallUs } from "@weir/guest/env";

/** The expiry of an item that never expires. */
export const NEVER: u32 = 0;
/** A time that has passed. */
const PAST: u32 = 1;
/** The first second, so that neither NEVER nor PAST is a time that comes. */
const FIRST: u32 = 2;
/** The longest relative expiry, 30 days in seconds; a larger number is a time of day (memcached's protocol.txt). */
const LONGEST_RELATIVE: i64 = 60 * 60 * 24 * 30;

const startUs: u64 = monotonicUs();
/** Seconds since just before the start, as of this batch. */
export let now: u32 = FIRST;

/** At the start of a batch. */
export function readClock(): void { now = <u32>((monotonicUs() - startUs) / 1_000_000) + FIRST; }

/** Seconds that the server has been running. */
export function uptime(): u32 { return now - FIRST; }

/** Time of day, seconds since 1970. */
export function timeOfDay(): i64 { return <i64>(wallUs() / 1_000_000); }

/** The time that a client's number of seconds means: 0 never, negative at once, above 30 days a time of day. */
export function timeOf(seconds: i64): u32 {
  if (seconds == 0) return NEVER;
  if (seconds < 0) return PAST;
  if (seconds <= LONGEST_RELATIVE) return now + <u32>seconds;
  const left = seconds - timeOfDay();
  return left > 0 ? now + <u32>left : PAST;
}
