/**
 * Streams as fast as they go, in both directions, Gbit for each core-second: weir with an AssemblyScript sink and source
 * beside Linux over veth, once with large packets and checksum offload (weir over TAP), once with every packet of 1,500
 * bytes by itself (weir over memif).
 */
import { buildPrograms, runInside } from "./namespaces.js";
import { judge, machine, noiseOf, summarize } from "./report.js";

const GOALS = { "large packets": 0.7, "packets of 1,500 bytes": 2 };

/** The figure. */
export async function bulk({ quick, progress }) {
  buildPrograms("stream_bench", "weir_load");
  const parameters = { streams: [1, 64], ...(quick ? { seconds: 0.7, rounds: 3 } : { seconds: 2, rounds: 7 }) };
  const measured = await runInside("bulk-inner.js", parameters, { onLine: progress });
  const rows = [];
  const ratios = [];
  for (const { name, kind, weir, linux } of measured) {
    const [ours, theirs] = [
      summarize(`${name}: weir`, "Gbit/core-s", weir),
      summarize(`${name}: Linux`, "Gbit/core-s", linux),
    ];
    rows.push(...[ours, theirs].filter(({ runs }) => runs > 0));
    if (ours.runs > 0 && theirs.runs > 0)
      ratios.push(judge(`${name}: weir / Linux`, ours.median / theirs.median, { atLeast: GOALS[kind] }));
  }
  return { figure: "bulk", machine: machine(), noise: noiseOf(rows), rows, ratios };
}
