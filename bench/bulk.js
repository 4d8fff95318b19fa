/**
 * One stream as fast as it goes, in both directions: weir with an AssemblyScript sink and source over TAP, beside Linux
 * over veth, both with large packets and checksum offload on.
 */
import { buildPrograms, runInside } from "./namespaces.js";
import { judge, machine, noiseOf, summarize } from "./report.js";

const GOAL = 0.7;

/** The figure. */
export async function bulk({ quick, progress }) {
  buildPrograms("stream_bench");
  const parameters = quick ? { seconds: 1, rounds: 5 } : { seconds: 3, rounds: 10 };
  const measured = await runInside("bulk-inner.js", parameters, { onLine: progress });
  const rows = [];
  const ratios = [];
  for (const [direction, { weir, linux }] of Object.entries(measured)) {
    const [ours, theirs] = [
      summarize(`${direction}: weir over TAP`, "Gbit/s", weir),
      summarize(`${direction}: Linux over veth`, "Gbit/s", linux),
    ];
    rows.push(ours, theirs);
    ratios.push(judge(`${direction}: weir / Linux`, ours.median / theirs.median, { atLeast: GOAL }));
  }
  return { figure: "bulk", machine: machine(), noise: noiseOf(rows), rows, ratios };
}
