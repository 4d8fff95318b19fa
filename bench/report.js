/** The shape of a figure's result, its summary numbers, and its table. */
import { cpus, release, totalmem } from "node:os";

/** Median, least and greatest of some runs. */
export function summarize(name, unit, values) {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    name,
    unit,
    median: sorted[Math.floor(sorted.length / 2)],
    min: sorted[0],
    max: sorted[sorted.length - 1],
    runs: values.length,
  };
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
  const spreads = rows.filter((r) => r.runs > 1).map((r) => (r.max - r.min) / r.median);
  spreads.sort((a, b) => a - b);
  return { medianSpread: spreads[Math.floor(spreads.length / 2)] ?? 0 };
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
  const ratios = report.ratios.map(({ name, value, goal, met }) => {
    const verdict = goal == null ? "" : ` (goal ${goal}: ${met ? "met" : "not met"})`;
    return `${name}: ${value.toFixed(2)}${verdict}`;
  });
  const noise = `noise: the runs of a row differ by ${(report.noise.medianSpread * 100).toFixed(0)} % (median)`;
  return [
    `${report.figure} on ${report.machine.cpu}, ${report.machine.cores} cores`,
    "",
    ...lines,
    "",
    ...ratios,
    noise,
  ].join("\n");
}
