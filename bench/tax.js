/** The price of WebAssembly: the same echo over a ring by a Wasm handler and by a native one, called directly. */
import { buildPrograms } from "./namespaces.js";
import { judge, machine, median, noiseOf, summarize } from "./report.js";
import { echo, withEcho } from "./ring-echo.js";

const BATCHES = [1, 2, 4, 8, 16, 32, 64, 128];
/** Of the native handler's time, from this batch on, and with one frame at a time. */
const LARGE_BATCH = 16;
const GOAL_LARGE = 0.1;
const GOAL_ONE = 0.2;

function goalOf(batch) {
  if (batch >= LARGE_BATCH) return GOAL_LARGE;
  return batch === 1 ? GOAL_ONE : undefined;
}

/** The figure. */
export async function tax({ quick, progress }) {
  buildPrograms("echo_bench");
  return await withEcho(async (module) => {
    const rows = [];
    const ratios = [];
    for (const batch of BATCHES) {
      const ns = { native: [], wasm: [] };
      for (let round = 0; round < (quick ? 5 : 11); round++) {
        progress(`B = ${batch}, round ${round + 1}`);
        for (const handler of ["native", "wasm"]) ns[handler].push(echo(handler, batch, 300_000, 5, module).ns.median);
      }
      for (const [handler, values] of Object.entries(ns))
        rows.push(summarize(`B=${batch} ${handler}`, "ns/message", values));
      // Of each pair of runs: both saw the same weather.
      const more = median(ns.wasm.map((wasm, i) => wasm / ns.native[i] - 1));
      ratios.push(judge(`B=${batch}: more time with Wasm`, more, { atMost: goalOf(batch) }));
    }
    return { figure: "tax", machine: machine(), noise: noiseOf(rows), rows, ratios };
  });
}
