/** Load against latency: messages arrive by schedule, whatever the answers do, at rates up to what each side can take. */
import { compareLoads, ECHO } from "./compare-loads.js";
import { LEAST_ANSWERED } from "./rate-search.js";
import { judge } from "./report.js";

const RATES = {
  weir: [50_000, 200_000, 500_000, 1_000_000, 1_500_000, 2_000_000],
  Linux: [5_000, 10_000, 20_000, 30_000, 40_000, 50_000],
};
const CONNECTIONS = 512;
const MOST_US = 100;
const GOAL = 20;

/** The figure. */
export async function latency({ quick, progress }) {
  const seconds = quick ? 0.5 : 1;
  const cases = Object.entries(RATES).flatMap(([side, rates]) =>
    rates.map((rate) => ({
      name: `${rate} a second`,
      rate,
      options: { connections: CONNECTIONS, bytes: 64, rate, seconds, windows: quick ? 4 : 7 },
      sides: [side],
    })),
  );
  const show = ["p50", "p99", "perSecond"];
  const report = await compareLoads({ figure: "latency", server: ECHO, cases, rounds: quick ? 1 : 3, show, progress });
  const most = { weir: 0, Linux: 0 };
  for (const { name, rate, sides } of cases) {
    const rowOf = (unit) => report.rows.find((row) => row.name === `${name}: ${sides[0]}` && row.unit === unit);
    const answered = rowOf("messages/s")?.median ?? 0;
    const isQuick = sides[0] === "Linux" || (rowOf("us, p99")?.median ?? Number.POSITIVE_INFINITY) < MOST_US;
    if (answered >= LEAST_ANSWERED * rate && isQuick) most[sides[0]] = Math.max(most[sides[0]], rate);
  }
  const name = `weir's highest rate with p99 < ${MOST_US} us / Linux's highest rate`;
  if (most.Linux > 0) report.ratios.push(judge(name, most.weir / most.Linux, { atLeast: GOAL }));
  return report;
}
