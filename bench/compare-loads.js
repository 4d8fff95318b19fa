/** Figures of the load generator: the same load on weir and on Linux, for each core-second. */
import { buildPrograms, runInside } from "./namespaces.js";
import { machine, noiseOf, summarize } from "./report.js";

/**
 * Runs the cases [{name, options, goal}] and makes the report: a row for each side of a case, and weir's median divided by
 * Linux's. `perMessage` says what of a window a row shows, messages for each core-second unless given.
 */
export async function compareLoads({ figure, app, batch, linux, programs = [], cases, rounds, progress }) {
  if (cases.length === 0) throw new Error("no case of this figure has that in its name");
  progress("building the benchmark programs");
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
      const row = summarize(
        `${name}: ${side}`,
        "messages/core-s",
        good.map((window) => window.perCoreSecond),
      );
      row.idleShareOfLoad = summarize(
        "",
        "",
        good.map((window) => window.idleShare),
      ).median;
      rows.push(row);
      medians[side] = row.median;
    }
    if (medians.weir === undefined || medians.Linux === undefined) continue;
    const value = medians.weir / medians.Linux;
    const { goal } = cases[index];
    ratios.push({ name: `${name}: weir / Linux`, value, goal, met: goal === undefined ? undefined : value >= goal });
  }
  return { figure, machine: machine(), noise: { ...noiseOf(rows), refusedWindows: refused }, rows, ratios };
}
