/** `npm run bench -- FIGURE|all [--quick] [--only TEXT] [--json FILE] [--html FILE]`: one file per figure; prints tables. */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { batch } from "./batch.js";
import { bulk } from "./bulk.js";
import { clients } from "./clients.js";
import { connections } from "./connections.js";
import { cores } from "./cores.js";
import { echo } from "./echo.js";
import { formatHtml } from "./html.js";
import { http } from "./http.js";
import { load } from "./load.js";
import { latency } from "./load-latency.js";
import { memcached } from "./memcached.js";
import { paths } from "./paths.js";
import { formatReport, machine, noiseOf } from "./report.js";
import { rtt } from "./rtt.js";
import { short } from "./short.js";
import { size } from "./size.js";
import { smoke } from "./smoke.js";
import { split } from "./split.js";
import { synFlood } from "./syn-flood.js";
import { tax } from "./tax.js";
import { udp } from "./udp.js";

const FIGURES = {
  batch,
  bulk,
  clients,
  connections,
  cores,
  echo,
  http,
  latency,
  load,
  memcached,
  paths,
  rtt,
  short,
  size,
  smoke,
  split,
  "syn-flood": synFlood,
  tax,
  udp,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "string" },
    html: { type: "string" },
    quick: { type: "boolean", default: false },
    only: { type: "string" },
  },
});
/** The report of a figure that went wrong: the others go on. */
function unmeasured(figure, error) {
  console.error(error);
  process.exitCode = 1;
  const notes = [`it could not be measured: ${error.message}`];
  return { figure, machine: machine(), noise: noiseOf([]), rows: [], ratios: [], notes };
}

const name = positionals[0] ?? "smoke";
if (name !== "all" && FIGURES[name] === undefined) {
  console.error(`bench: there is no figure "${name}"; there are: all, ${Object.keys(FIGURES).join(", ")}`);
  process.exit(2);
}
const reports = [];
for (const each of name === "all" ? Object.keys(FIGURES) : [name]) {
  const { quick, only } = values;
  const measured = FIGURES[each]({ quick, only, progress: (line) => console.error(line) });
  const report = await (name === "all" ? measured.catch((error) => unmeasured(each, error)) : measured);
  reports.push(report);
  console.log(`${formatReport(report)}\n`);
}
if (values.html !== undefined) writeFileSync(values.html, formatHtml(reports));
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify(name === "all" ? reports : reports[0], null, 2)}\n`);
}
