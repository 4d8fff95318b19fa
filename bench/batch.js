/** The bound of a batch: the round trip with nothing else to do must not grow with it, and the peak must. */
import { compareLoads, ECHO, joinReports } from "./compare-loads.js";
import { judge } from "./report.js";

const BATCHES = [1, 2, 8, 16, 64, 128];
const PEAK_CONNECTIONS = 512;
/** How far the unloaded p90 of any bound may be from that of one. */
const GOAL_FLAT = 1.1;

/** The figure. */
export async function batch({ quick, progress }) {
  const windows = { seconds: quick ? 0.25 : 0.5, windows: quick ? 5 : 7, bytes: 64 };
  const server = { ...ECHO, linux: {} };
  const p90 = [];
  const peaks = [];
  const reports = [];
  for (const each of BATCHES) {
    const given = { figure: "batch", server, batch: each, rounds: quick ? 1 : 3, progress };
    const unloaded = [{ name: `B=${each} unloaded`, options: { connections: 1, ...windows } }];
    const loaded = [{ name: `B=${each} loaded`, options: { connections: PEAK_CONNECTIONS, ...windows } }];
    const quiet = await compareLoads({ ...given, cases: unloaded, show: ["p90"] });
    const busy = await compareLoads({ ...given, cases: loaded });
    reports.push(quiet, busy);
    p90.push(quiet.rows[0]?.median);
    peaks.push(busy.rows[0]?.median);
  }
  const report = joinReports(reports);
  // Where all windows of one were refused there is nothing to compare.
  if (!p90.includes(undefined)) {
    report.ratios.push(judge("unloaded p90, largest / B=1", Math.max(...p90) / p90[0], { atMost: GOAL_FLAT }));
  }
  const [one, most] = [peaks[0], peaks.at(-1)];
  if (one !== undefined && most !== undefined)
    report.ratios.push(judge("peak, B=128 / B=1", most / one, { atLeast: 1 }));
  return report;
}
