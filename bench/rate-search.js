/** The highest rate that a server takes: answers that keep up with the schedule, and a p99 below a bound. */
import { percentileUs } from "./latency.js";
import { median } from "./report.js";

/** A side that answers less than this share of what was due does not take the rate. */
export const LEAST_ANSWERED = 0.98;
const PRECISION = 1.1;

/** Whether windows of load say that it was taken; undefined where there is none to say so. */
export function isTaken(windows, rate, mostUs) {
  if (windows.length === 0) return undefined;
  const answered = median(windows.map(({ messages, seconds }) => messages / seconds));
  const p99 = median(windows.map(({ latencyNs }) => percentileUs(latencyNs, 0.99)));
  return answered >= LEAST_ANSWERED * rate && p99 < mostUs;
}

/**
 * Looks for the highest rate between `from` and `to` (requests a second) that is taken; 0 if not even `from` is, undefined
 * where that could not be measured. `measureAt(rate)` gives the windows that count, `precision` is how far from the
 * highest rate the one that is found may be. What was not taken is tried a second time: a machine that is not alone stalls
 * now and then.
 */
export async function highestRate(measureAt, { mostUs, from, to, precision = PRECISION }) {
  const takes = async (rate) =>
    isTaken(await measureAt(rate), rate, mostUs) || isTaken(await measureAt(rate), rate, mostUs);
  let [taken, tooMuch] = [0, to];
  for (let rate = from; ; rate = Math.round(Math.sqrt(taken * tooMuch))) {
    const isEnough = await takes(rate);
    if (isEnough === undefined) return undefined;
    if (isEnough) taken = rate;
    else tooMuch = rate;
    if (taken === 0 || tooMuch / taken <= precision) return taken;
  }
}
