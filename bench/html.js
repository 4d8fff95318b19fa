/** The reports as one page: a plot for each unit of a figure, with the least and greatest run, and the goals. */
import * as echarts from "echarts";
import { formatNumber, remarksOf, verdictOf } from "./report.js";

const WIDTH = 860;
const ROW_HEIGHT = 26;
/** Values further apart than this are drawn on a logarithmic axis. */
const LOGARITHMIC_FROM = 20;

const escaped = (text) => String(text).replace(/[&<>"]/g, (each) => `&#${each.charCodeAt(0)};`);

/** "64 connections: weir" is the side weir of a case; a row without a side is a case of its own. */
function sideOf({ name }) {
  const at = name.lastIndexOf(": ");
  return at < 0 ? { of: name, side: "" } : { of: name.slice(0, at), side: name.slice(at + 2) };
}

/** A line from the least to the greatest run, over its bar. */
function range(_parameters, api) {
  const [index, least, greatest, side, sides] = [0, 1, 2, 3, 4].map((at) => api.value(at));
  const [from, y] = api.coord([least, index]);
  const [to] = api.coord([greatest, index]);
  const height = (api.size([0, 1])[1] * 0.7) / sides;
  const at = y + (side - (sides - 1) / 2) * height;
  return { type: "line", shape: { x1: from, y1: at, x2: to, y2: at }, style: { stroke: "#333", lineWidth: 1.5 } };
}

/** A bar for each row of one unit, as SVG. */
function plot(unit, rows) {
  const cases = [...new Set(rows.map((row) => sideOf(row).of))].reverse();
  const sides = [...new Set(rows.map((row) => sideOf(row).side))];
  const rowOf = (of, side) => rows.find((row) => sideOf(row).of === of && sideOf(row).side === side);
  const values = rows.flatMap(({ min, max }) => [min, max]).filter((each) => each > 0);
  const isLogarithmic = Math.max(...values) > LOGARITHMIC_FROM * Math.min(...values);
  const height = 90 + cases.length * sides.length * ROW_HEIGHT;
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  chart.setOption({
    animation: false,
    legend: sides.length > 1 ? { data: sides, top: 4 } : undefined,
    grid: { left: 32, right: 56, top: 36, bottom: 32, containLabel: true },
    xAxis: { type: isLogarithmic ? "log" : "value", name: unit, nameLocation: "middle", nameGap: 24 },
    yAxis: { type: "category", data: cases },
    series: sides.flatMap((name, side) => [
      {
        type: "bar",
        name,
        data: cases.map((of) => rowOf(of, name)?.median ?? null),
        barCategoryGap: "30%",
        barGap: "0%",
      },
      {
        type: "custom",
        z: 10,
        renderItem: range,
        encode: { x: [1, 2], y: 0 },
        data: cases.flatMap((of, index) => {
          const row = rowOf(of, name);
          return row === undefined ? [] : [[index, row.min, row.max, side, sides.length]];
        }),
      },
    ]),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function ratioRow(ratio) {
  const { name, value, goal } = ratio;
  const verdict = verdictOf(ratio);
  return `<tr class="${verdict.replace(" ", "-")}"><td>${escaped(name)}</td><td>${formatNumber(value)}</td><td>${goal ?? ""}</td><td>${verdict}</td></tr>`;
}

function section(report) {
  const units = [...new Set(report.rows.map(({ unit }) => unit))];
  const plots = units.map((unit) =>
    plot(
      unit,
      report.rows.filter((row) => row.unit === unit),
    ),
  );
  const ratios = report.ratios.map(ratioRow).join("\n");
  return `<h2 id="${escaped(report.figure)}">${escaped(report.figure)}</h2>
${plots.join("\n")}
<table><tr><th></th><th>value</th><th>goal</th><th></th></tr>
${ratios}
</table>
<p>${remarksOf(report).map(escaped).join("<br>\n")}</p>`;
}

/** The page. */
export function formatHtml(reports) {
  const { machine } = reports[0];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>weir: the evaluation</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: ${WIDTH}px; margin: 2rem auto; padding: 0 1rem; }
svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; }
td, th { padding: 0.2rem 0.8rem 0.2rem 0; text-align: left; }
.met td:last-child { color: #2a7d2a; }
.not-met td:last-child { color: #b03030; }
</style>
<h1>weir: the evaluation</h1>
<p>${escaped(`${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, Linux ${machine.kernel}, Node ${machine.node}`)}.
Bars are medians, lines go from the least to the greatest run.</p>
<nav>${reports.map(({ figure }) => `<a href="#${escaped(figure)}">${escaped(figure)}</a>`).join(" ")}</nav>
${reports.map(section).join("\n")}
</html>
`;
}
