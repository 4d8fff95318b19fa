/** Echo with up to a million open connections, all in use in turn; messages for each core-second, and memory. */
import { compareLoads, ECHO, MEASURES, medianOf } from "./compare-loads.js";
import { judge } from "./report.js";

const CONNECTIONS = [64, 1_024, 16_384, 100_000, 250_000, 1_000_000];
/** A Linux server has no more file descriptors than this allows. */
const MOST_OF_LINUX = 16_384;
const OUTSTANDING = 1_024;
const GOAL_SHARE_OF_PEAK = 0.8;

/** The figure. */
export async function connections({ quick, only = "", progress }) {
  const cases = CONNECTIONS.map((each) => ({
    name: `${each} connections`,
    options: {
      connections: each,
      outstanding: Math.min(each, OUTSTANDING),
      bytes: 64,
      // Each connection has its turn.
      seconds: quick ? 0.5 : 1,
      windows: quick ? 4 : 6,
      patience: 120,
    },
    sides: each > MOST_OF_LINUX ? ["weir"] : undefined,
  })).filter(({ name }) => name.includes(only));
  const show = ["perCoreSecond", "resident"];
  const rounds = quick ? 1 : 3;
  const report = await compareLoads({ figure: "connections", server: ECHO, cases, rounds, show, progress });
  const peak = Math.max(...cases.map(({ name }) => medianOf(report, name) ?? 0));
  for (const { name } of cases) {
    const median = medianOf(report, name);
    if (median === undefined) continue;
    const goal = name === "250000 connections" ? { atLeast: GOAL_SHARE_OF_PEAK } : {};
    report.ratios.push(judge(`${name}: share of peak`, median / peak, goal));
  }
  const memoryOf = (name) => medianOf(report, name, "weir", MEASURES.resident.unit);
  const [fewest, most] = [CONNECTIONS[0], CONNECTIONS.at(-1)];
  const [least, greatest] = [fewest, most].map((each) => memoryOf(`${each} connections`));
  if (least !== undefined && greatest !== undefined) {
    const bytes = ((greatest - least) * 2 ** 20) / (most - fewest);
    report.ratios.push(judge("bytes of memory for each connection: stack, sandbox and guest", bytes));
  }
  return report;
}
