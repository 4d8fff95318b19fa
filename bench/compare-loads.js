/** Figures of the load generator: the same load on weir and on Linux. */
import { percentileUs } from "./latency.js";
import { buildPrograms, program, runInside } from "./namespaces.js";
import { judge, machine, median, noiseOf, summarize } from "./report.js";

/** What a figure may show of a window; `invert`: less is better. */
export const MEASURES = {
  perCoreSecond: { unit: "messages/core-s", of: (window) => window.perCoreSecond },
  p50: { unit: "us, p50", of: ({ latencyNs }) => percentileUs(latencyNs, 0.5), invert: true },
  p90: { unit: "us, p90", of: ({ latencyNs }) => percentileUs(latencyNs, 0.9), invert: true },
  perSecond: { unit: "messages/s", of: ({ messages, seconds }) => messages / seconds },
  p99: { unit: "us, p99", of: ({ latencyNs }) => percentileUs(latencyNs, 0.99), invert: true },
};

/** The echo that the figures load. */
export const ECHO = {
  app: "bench/apps/echo",
  linux: [program("kernel_bench"), "serve", 7],
  programs: ["kernel_bench"],
};

/**
 * Runs the cases [{name, options, goal, sides}] and makes the report: a row for each side of a case and each of `show`,
 * and how many times better weir's median of the first of `show` is than Linux's.
 */
export async function compareLoads({ figure, server, batch, cases, rounds, show = ["perCoreSecond"], progress }) {
  if (cases.length === 0) throw new Error("no case of this figure has that in its name");
  progress("building the benchmark programs");
  const { app, linux, programs } = server;
  buildPrograms("weir_load", ...programs);
  const measured = await runInside("load-inner.js", { app, batch, linux, cases, rounds }, { onLine: progress });
  const rows = [];
  const ratios = [];
  const refused = {};
  for (const [index, { name, ...sides }] of measured.entries()) {
    const medians = {};
    for (const [side, windows] of Object.entries(sides)) {
      for (const { refused: why } of windows) if (why !== undefined) refused[why] = (refused[why] ?? 0) + 1;
      const good = windows.filter((window) => window.refused === undefined);
      if (good.length === 0) continue;
      for (const each of show) {
        const row = summarize(`${name}: ${side}`, MEASURES[each].unit, good.map(MEASURES[each].of));
        row.idleShareOfLoad = median(good.map((window) => window.idleShare));
        rows.push(row);
        medians[side] ??= row.median;
      }
    }
    if (medians.weir === undefined || medians.Linux === undefined) continue;
    const { invert } = MEASURES[show[0]];
    const value = invert ? medians.Linux / medians.weir : medians.weir / medians.Linux;
    const label = `${name}: ${invert ? "Linux / weir" : "weir / Linux"}`;
    ratios.push(judge(label, value, { atLeast: cases[index].goal }));
  }
  return { figure, machine: machine(), noise: { ...noiseOf(rows), refusedWindows: refused }, rows, ratios };
}

/** The median of weir in a case, if it was measured. */
export function medianOf(report, name) {
  return report.rows.find((row) => row.name === `${name}: weir`)?.median;
}
