/** Figures of the load generator: the same load on weir and on Linux. */
import { percentileUs } from "./latency.js";
import { LINK } from "./load-sides.js";
import { buildPrograms, program, runInside } from "./namespaces.js";
import { judge, machine, median, noiseOf, summarize } from "./report.js";

/** What a figure may show of a window; `invert`: less is better. */
export const MEASURES = {
  perCoreSecond: { unit: "messages/core-s", of: (window) => window.perCoreSecond },
  p50: { unit: "us, p50", of: ({ latencyNs }) => percentileUs(latencyNs, 0.5), invert: true, ofLatency: true },
  p90: { unit: "us, p90", of: ({ latencyNs }) => percentileUs(latencyNs, 0.9), invert: true, ofLatency: true },
  perSecond: { unit: "messages/s", of: ({ messages, seconds }) => messages / seconds },
  p99: { unit: "us, p99", of: ({ latencyNs }) => percentileUs(latencyNs, 0.99), invert: true, ofLatency: true },
  usedShare: { unit: "% of a core", of: ({ usedSeconds, seconds }) => (100 * usedSeconds) / seconds, invert: true },
  resident: { unit: "MiB of memory", of: ({ residentBytes }) => residentBytes / 2 ** 20 },
  highestRate: { unit: "messages/s, highest", of: (window) => window.highestRate },
};

const KERNEL_BENCH = program("kernel_bench");

/** Echo servers of Linux. */
export const LINUX_ECHO = {
  epoll: [KERNEL_BENCH, "serve", 7],
  io_uring: [KERNEL_BENCH, "serve", 7, "--uring"],
  "spinning epoll": [KERNEL_BENCH, "serve", 7, "--spin"],
};

/** The echo that the figures load: an app, the Linux servers it is compared with by name, and what has to be built. */
export const ECHO = {
  app: "bench/apps/echo",
  linux: { Linux: LINUX_ECHO.epoll },
  programs: ["kernel_bench"],
};

/** How many times better weir's median is than that of `side`; `goal` is a number, or has one for some sides. */
function ratioTo(side, name, medians, goal, invert) {
  const value = invert ? medians[side] / medians.weir : medians.weir / medians[side];
  const atLeast = typeof goal === "object" ? goal[side] : goal;
  return judge(`${name}: ${invert ? `${side} / weir` : `weir / ${side}`}`, value, { atLeast });
}

/**
 * Runs the cases [{name, options, goal, again, sides, search, link}] (see load-inner.js) and makes the report: a row for each side of a case and each of
 * `show`, and how many times better weir's median of the first of `show` is than that of each Linux server, or of the best
 * of them. `spinUs` as weirSide has it.
 */
export async function compareLoads(figure) {
  const { server, batch, spinUs, cases, rounds, show = ["perCoreSecond"], isAgainstBest = false, progress } = figure;
  if (cases.length === 0) throw new Error("no case of this figure has that in its name");
  progress("building the benchmark programs");
  const { app, linux, programs = [] } = server;
  const link = cases.some((each) => each.link !== undefined);
  buildPrograms("weir_load", ...(link ? ["link_echo"] : []), ...programs);
  const parameters = { app, batch, spinUs, linux, link, cases, rounds };
  const measured = await runInside("load-inner.js", parameters, { onLine: progress });
  const rows = [];
  const ratios = [];
  const refused = {};
  const stalled = { messages: 0, excluded: 0 };
  for (const [index, { name, windows: bySide }] of measured.entries()) {
    const medians = {};
    for (const [side, windows] of Object.entries(bySide)) {
      for (const { refused: why } of windows) if (why !== undefined) refused[why] = (refused[why] ?? 0) + 1;
      const good = windows.filter((window) => window.refused === undefined);
      if (good.length === 0) continue;
      for (const { messages = 0, excluded = 0 } of side === "weir" ? good : []) {
        stalled.messages += messages;
        stalled.excluded += excluded;
      }
      for (const each of show) {
        // Not every side tells everything.
        const values = good.map(MEASURES[each].of).filter((value) => !Number.isNaN(value));
        if (values.length === 0) continue;
        const row = summarize(`${name}: ${side}`, MEASURES[each].unit, values);
        row.idleShareOfLoad = median(good.map((window) => window.idleShare));
        rows.push(row);
        medians[side] ??= row.median;
      }
    }
    if (medians.weir === undefined) continue;
    const { invert = false } = MEASURES[show[0]];
    const others = Object.keys(medians).filter((side) => side !== "weir" && side !== LINK);
    others.sort((a, b) => (invert ? medians[a] - medians[b] : medians[b] - medians[a]));
    const shown = isAgainstBest ? others.slice(0, 1) : others;
    // A side that reaches nothing is nothing to be a multiple of.
    for (const side of shown.filter((each) => invert || medians[each] > 0))
      ratios.push(ratioTo(side, name, medians, cases[index].goal, invert));
  }
  const noise = { ...noiseOf(rows), refusedWindows: refused };
  const isLatencyShown = show.some((each) => MEASURES[each].ofLatency);
  if (isLatencyShown && stalled.messages > 0) noise.stalledShare = stalled.excluded / stalled.messages;
  return { figure: figure.figure, machine: machine(), noise, rows, ratios };
}

/** One report of several of the same figure. */
export function joinReports(reports) {
  const rows = reports.flatMap((report) => report.rows);
  const ratios = reports.flatMap((report) => report.ratios);
  const refusedWindows = {};
  for (const { noise } of reports)
    for (const [why, count] of Object.entries(noise.refusedWindows))
      refusedWindows[why] = (refusedWindows[why] ?? 0) + count;
  return { ...reports[0], noise: { ...noiseOf(rows), refusedWindows }, rows, ratios };
}

/** The median of a side in a case, if it was measured; of the first thing that is shown, or of what has that unit. */
export function medianOf(report, name, side = "weir", unit = undefined) {
  const isSought = (row) => row.name === `${name}: ${side}` && (unit === undefined || row.unit === unit);
  return report.rows.find(isSought)?.median;
}
