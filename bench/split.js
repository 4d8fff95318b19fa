/**
 * Where a message's time goes: cycles by stage of a worker under load over memif; instructions, atomic ones among them,
 * and lines that were not in the caches, by callgrind over a ring, with a native and a Wasm handler.
 */
import { buildPrograms, runInside } from "./namespaces.js";
import { judge, machine, noiseOf, summarize } from "./report.js";
import { countsPerMessage, withEcho } from "./ring-echo.js";

const BATCH = 64;
/** Few whose lines stay in the caches, and many. */
const CONNECTIONS = [64, 4_096];
/** Quoted: IX (OSDI'14) spends 3,358 cycles on a message, 13 % of them in the application, 81 % in the dataplane. */
const CYCLES_OF_IX = 3_358;
const USER_SHARE_OF_IX = 0.13;
const APP_STAGES = ["guest"];

/** The figure. */
export async function split({ quick, progress }) {
  progress("building the benchmark programs");
  buildPrograms("echo_bench", "weir_load");
  const rows = [];
  const ratios = [];
  const options = { connections: 256, bytes: 64, seconds: quick ? 0.25 : 0.5, windows: quick ? 9 : 21 };
  const windows = await runInside("split-inner.js", { options }, { onLine: progress });
  for (const stage of Object.keys(windows[0].stages)) {
    rows.push(
      summarize(
        `memif, 256 connections: ${stage}`,
        "cycles/message",
        windows.map(({ stages }) => stages[stage]),
      ),
    );
  }
  const cycles = rows.reduce((sum, row) => sum + row.median, 0);
  const ofApp = rows.filter(({ name }) => APP_STAGES.some((stage) => name.endsWith(stage)));
  const user = ofApp.reduce((sum, row) => sum + row.median, 0) / cycles;
  ratios.push(judge(`cycles of all stages / ${CYCLES_OF_IX} of IX (quoted)`, cycles / CYCLES_OF_IX));
  ratios.push(judge(`share of the guest, beside ${USER_SHARE_OF_IX} of IX (quoted)`, user));
  await withEcho((module, folder) => {
    for (const connections of CONNECTIONS) {
      for (const handler of ["native", "wasm"]) {
        progress(`${handler}, ${connections} connections: counting`);
        const counts = countsPerMessage(handler, BATCH, module, folder, {
          connections,
          withCaches: true,
          withLocks: true,
        });
        const of = `ring, ${connections} connections, ${handler}`;
        rows.push(summarize(of, "instructions/message", [counts.Ir]));
        rows.push(summarize(of, "atomic instructions/message", [counts.locked]));
        rows.push(summarize(of, "lines not in 32 KiB/message", [counts.D1mr + counts.D1mw]));
        rows.push(summarize(of, "lines not in 512 KiB/message", [counts.DLmr + counts.DLmw]));
      }
    }
  });
  return { figure: "split", machine: machine(), noise: noiseOf(rows), rows, ratios };
}
