/** The highest rate that a server takes: answers that keep up with the schedule, and a p99 below a bound. */
import { percentileUs } from "./latency.js";
import { median } from "./report.js";

/** A side that answers less than this share of what was due does not take the rate. */
export const LEAST_ANSWERED = 0.98;
/** The rate is found to within this much. */
const PRECISION = 1.1;

/** Whether windows of load say that it was taken; of none nobody knows, and it does not count as taken. */
export function isTaken(windows, rate, mostUs) {
  if (windows.length === 0) return false;
  const answered = median(windows.map(({ messages, seconds }) => messages / seconds));
  const p99 = median(windows.map(({ latencyNs }) => percentileUs(latencyNs, 0.99)));
  return answered >= LEAST_ANSWERED * rate && p99 < mostUs;
}

/**
 * Looks for the highest rate between `from` and `to` (requests a second) that is taken; 0 if not even `from` is.
 * `measureAt(rate)` gives the windows that count. What was not taken is tried a second time: a machine that is not alone
 * stalls now and then.
 */
export async function highestRate(measureAt, { mostUs, from, to }) {
  const takes = async (rate) =>
    isTaken(await measureAt(rate), rate, mostUs) || isTaken(await measureAt(rate), rate, mostUs);
  if (!(await takes(from))) return 0;
  let [taken, tooMuch] = [from, to];
  while (tooMuch / taken > PRECISION) {
    const middle = Math.round(Math.sqrt(taken * tooMuch));
    if (await takes(middle)) taken = middle;
    else tooMuch = middle;
  }
  return taken;
}
