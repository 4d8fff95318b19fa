/** `npm run bench -- FIGURE [--quick] [--only TEXT] [--json FILE]`: one file per figure; prints a table and writes JSON. */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { bulk } from "./bulk.js";
import { connections } from "./connections.js";
import { echo } from "./echo.js";
import { paths } from "./paths.js";
import { formatReport } from "./report.js";
import { rtt } from "./rtt.js";
import { short } from "./short.js";
import { size } from "./size.js";
import { smoke } from "./smoke.js";
import { synFlood } from "./syn-flood.js";

const FIGURES = { bulk, connections, echo, paths, rtt, short, size, smoke, "syn-flood": synFlood };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "string" }, quick: { type: "boolean", default: false }, only: { type: "string" } },
});
const name = positionals[0] ?? "smoke";
const figure = FIGURES[name];
if (figure === undefined) {
  console.error(`bench: there is no figure "${name}"; there are: ${Object.keys(FIGURES).join(", ")}`);
  process.exit(2);
}
const report = await figure({ quick: values.quick, only: values.only, progress: (line) => console.error(line) });
console.log(formatReport(report));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
