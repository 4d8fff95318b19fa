/**
 * The first figure: echo of 64-byte messages. Over an in-process ring with a native handler and with a Wasm handler, at
 * batches of 1, 16 and 64 (time by the clock, instructions by callgrind); and a kernel client over TAP, beside a Linux
 * epoll server over veth.
 */
import { buildPrograms, runInside } from "./namespaces.js";
import { judge, machine, median, noiseOf, summarize } from "./report.js";
import { countsPerMessage, echo, withEcho } from "./ring-echo.js";

const BATCHES = [1, 16, 64];

/** The figure. `progress` is told what is being measured. */
export async function smoke({ quick, progress }) {
  progress("building the benchmark programs");
  buildPrograms("echo_bench", "kernel_bench");
  return await withEcho(async (module, folder) => {
    const rows = [];
    const ratios = [];
    const rounds = quick ? 3 : 7;
    for (const batch of BATCHES) {
      const ns = { native: [], wasm: [] };
      for (let round = 0; round < rounds; round++) {
        progress(`ring, B = ${batch}, round ${round + 1} of ${rounds}`);
        // Alternating, so that both see the same weather.
        for (const handler of ["native", "wasm"]) ns[handler].push(echo(handler, batch, 300_000, 5, module).ns.median);
      }
      const instructions = {};
      for (const handler of ["native", "wasm"]) {
        progress(`ring, B = ${batch}, ${handler}: counting instructions`);
        instructions[handler] = countsPerMessage(handler, batch, module, folder).Ir;
        rows.push(summarize(`ring B=${batch} ${handler}`, "ns/message", ns[handler]));
        rows.push(
          summarize(
            `ring B=${batch} ${handler}`,
            "messages/s/core",
            ns[handler].map((value) => 1e9 / value),
          ),
        );
        rows.push(summarize(`ring B=${batch} ${handler}`, "instructions/message", [instructions[handler]]));
      }
      ratios.push(judge(`B=${batch}: time of Wasm / native`, median(ns.wasm) / median(ns.native)));
      ratios.push(judge(`B=${batch}: instructions of Wasm / native`, instructions.wasm / instructions.native));
    }
    progress("kernel client over TAP, beside an epoll server");
    const kernel = await runInside("kernel.js", { seconds: quick ? 1 : 2, rounds });
    for (const [name, runs] of Object.entries(kernel)) {
      rows.push(
        summarize(
          `kernel client, ${name}`,
          "messages/s",
          runs.map((run) => run.perSecond),
        ),
      );
      rows.push(
        summarize(
          `kernel client, ${name}`,
          "RTT p50, us",
          runs.map((run) => run.p50_us),
        ),
      );
    }
    const of = (name) => rows.find((row) => row.name === `kernel client, ${name}` && row.unit === "messages/s").median;
    const value = of("weir over TAP") / of("Linux epoll over veth");
    ratios.push(judge("kernel client: weir over TAP / Linux epoll", value));
    return { figure: "smoke", machine: machine(), noise: noiseOf(rows), rows, ratios };
  });
}
