/** Echo of 64-byte messages for each core-second: a Wasm handler over memif, beside a Linux server over veth. */
import { compareLoads, ECHO } from "./compare-loads.js";
import { judge } from "./report.js";

const CONNECTIONS = [64, 256, 1_024];
const GOAL = 30;
/** Messages a second that libtpa, a TCP stack over DPDK, reached over memif on such a machine with a native handler. */
const LIBTPA_PER_SECOND = 1_270_000;
const GOAL_LIBTPA = 2.5;

/** The figure. */
export async function echo({ quick, only = "", progress }) {
  const cases = CONNECTIONS.map((connections) => ({
    name: `${connections} connections`,
    options: { connections, bytes: 64, seconds: quick ? 0.25 : 0.5, windows: quick ? 5 : 7 },
    goal: GOAL,
  })).filter(({ name }) => name.includes(only));
  const report = await compareLoads({ figure: "echo", server: ECHO, cases, rounds: quick ? 3 : 7, progress });
  const best = Math.max(...report.rows.filter(({ name }) => name.endsWith("weir")).map(({ median }) => median));
  report.ratios.push(judge("best of weir / libtpa", best / LIBTPA_PER_SECOND, { atLeast: GOAL_LIBTPA }));
  return report;
}
