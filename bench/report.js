/** The shape of a figure's result, its summary numbers, and its table. */
import { cpus, release, totalmem } from "node:os";

const inOrder = (values) => [...values].sort((a, b) => a - b);

/** The value in the middle, the greater one of two; undefined of none. */
export function median(values) {
  return inOrder(values)[Math.floor(values.length / 2)];
}

/** Median, least and greatest of some runs. */
export function summarize(name, unit, values) {
  const sorted = inOrder(values);
  return { name, unit, median: median(values), min: sorted[0], max: sorted.at(-1), runs: values.length };
}

/** A value that is compared with a goal, if there is one: reached by so much, or by no more than so much. */
export function judge(name, value, { atLeast, atMost } = {}) {
  const goal = atLeast ?? atMost;
  if (goal === undefined) return { name, value };
  return { name, value, goal, met: atLeast === undefined ? value <= atMost : value >= atLeast };
}

/** What became of the goal, for people: nothing where there was none. */
export function verdictOf({ goal, met }) {
  if (goal === undefined) return "";
  return met ? "met" : "not met";
}

/** What the figures were measured on. */
export function machine() {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
  };
}

/** How much the runs of each row differed: (max - min) / median, the median over the rows. */
export function noiseOf(rows) {
  // What is zero, as the load of an idle machine, has no such share.
  const told = rows.filter(({ runs, median }) => runs > 1 && median !== 0);
  return { medianSpread: median(told.map((row) => (row.max - row.min) / row.median)) ?? 0 };
}

/** Sentences about the runs: how far they lie apart, what was refused, what was left out. */
export function remarksOf({ noise, notes = [] }) {
  const spread = `noise: the runs of a row differ by ${(noise.medianSpread * 100).toFixed(0)} % (median)`;
  const refused = Object.entries(noise.refusedWindows ?? {});
  const left = (noise.stalledShare * 100).toFixed(2);
  const stalled = [`${left} % of weir's messages are left out of times: its worker or its load did not run meanwhile`];
  return [
    spread,
    ...refused.map(([why, count]) => `${count} windows do not count: ${why}`),
    ...(noise.stalledShare === undefined ? [] : stalled),
    ...notes,
  ];
}

/** For people: three digits, or whole thousands. */
export function formatNumber(value) {
  if (value >= 1000) return Math.round(value).toLocaleString("en-US");
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

/** The report as a table for people. */
export function formatReport(report) {
  const rows = [["what", "unit", "median", "min", "max", "runs"]];
  for (const row of report.rows) {
    rows.push([
      row.name,
      row.unit,
      formatNumber(row.median),
      formatNumber(row.min),
      formatNumber(row.max),
      String(row.runs),
    ]);
  }
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const lines = rows.map((row) =>
    row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  "),
  );
  const ratios = report.ratios.map((ratio) => {
    const verdict = verdictOf(ratio);
    return `${ratio.name}: ${ratio.value.toFixed(2)}${verdict && ` (goal ${ratio.goal}: ${verdict})`}`;
  });
  return [
    `${report.figure} on ${report.machine.cpu}, ${report.machine.cores} cores`,
    "",
    ...lines,
    "",
    ...ratios,
    ...remarksOf(report),
  ].join("\n");
}
