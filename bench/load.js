/**
 * What weir uses of a processor when it is not busy: idle, and at 1, 10 and 50 % of its peak by schedule, beside a Linux
 * server at the same rates. weir's worker spins for as long as it does by default, and its other threads count too.
 */
import { compareLoads, ECHO, joinReports, MEASURES, medianOf } from "./compare-loads.js";
import { LEAST_ANSWERED } from "./rate-search.js";
import { judge } from "./report.js";

const CONNECTIONS = 256;
const SHARES_OF_PEAK = [0.01, 0.1, 0.5];
const GOAL_IDLE_PERCENT = 1;
const IDLE = "idle";
const USED = MEASURES.usedShare.unit;
const ANSWERED = MEASURES.perSecond.unit;

/** The figure. */
export async function load({ quick, progress }) {
  const given = { figure: "load", server: ECHO, spinUs: null, progress };
  const options = { connections: CONNECTIONS, bytes: 64 };
  const short = { seconds: quick ? 0.25 : 0.5, windows: quick ? 6 : 9 };
  const peaks = await compareLoads({
    ...given,
    cases: [{ name: "peak", options: { ...options, ...short } }],
    rounds: quick ? 1 : 3,
    show: ["perSecond"],
  });
  const ofLinux = peaks.rows.find(({ name }) => name === "peak: Linux")?.median;
  const peak = medianOf(peaks, "peak");
  if (peak === undefined)
    return { ...peaks, ratios: [], notes: ["nothing to compare with: weir's peak was not measured"] };
  // The kernel counts in hundredths of a second, of which an idle worker uses few.
  const long = { seconds: quick ? 1 : 2, windows: quick ? 3 : 5 };
  const longest = { seconds: quick ? 4 : 10, windows: quick ? 3 : 5 };
  const rates = SHARES_OF_PEAK.map((share) => Math.round(share * peak));
  const cases = [
    // No message is ever under way.
    { name: IDLE, options: { ...options, ...longest, outstanding: 0 } },
    ...rates.map((rate) => ({ name: `${rate} a second`, options: { ...options, ...long, rate } })),
  ];
  const report = await compareLoads({ ...given, cases, rounds: quick ? 1 : 3, show: ["usedShare", "perSecond"] });
  const median = (name, side, unit) =>
    report.rows.find((row) => row.name === `${name}: ${side}` && row.unit === unit)?.median;
  const ratios = [];
  const idle = median(IDLE, "weir", USED);
  if (idle !== undefined) ratios.push(judge("weir idle, % of a core", idle, { atMost: GOAL_IDLE_PERCENT }));
  const notes = [];
  for (const [index, rate] of rates.entries()) {
    const name = `${rate} a second`;
    const [ours, theirs] = ["weir", "Linux"].map((side) => median(name, side, USED));
    for (const side of ["weir", "Linux"]) {
      const answered = median(name, side, ANSWERED);
      if (answered < LEAST_ANSWERED * rate) notes.push(`${side} answers ${Math.round(answered)} of ${rate} a second`);
    }
    if (ours === undefined || theirs === undefined) continue;
    // Where Linux is not saturated, the two may be alike.
    const goal = rate >= ofLinux ? { atMost: 1 } : {};
    ratios.push(judge(`${SHARES_OF_PEAK[index] * 100} % of weir's peak: used by weir / Linux`, ours / theirs, goal));
  }
  return { ...joinReports([peaks, report]), ratios, notes };
}
