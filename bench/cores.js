/**
 * Two workers in one process, on a core each, that load themselves over rings of their own, beside two processes with one
 * such worker each: what workers share would show.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { buildPrograms, flags, program } from "./namespaces.js";
import { judge, machine, median, noiseOf, summarize } from "./report.js";
import { withEcho } from "./ring-echo.js";

const CORES = [0, 1];
const GOAL = 0.95;
const WINDOW_S = 0.1;

/** Messages a second of a process with a worker on each of `cores`. */
async function rateOf(cores, module, windows) {
  const options = { handler: "wasm", module, windows, "window-s": WINDOW_S, cores: cores.join(",") };
  const { stdout } = await promisify(execFile)(program("echo_bench"), flags(options));
  return JSON.parse(stdout).perSecond;
}

/** The figure. */
export async function cores({ quick, progress }) {
  buildPrograms("echo_bench");
  return await withEcho(async (module) => {
    const rounds = quick ? 7 : 15;
    const rates = { together: [], apart: [], alone: [] };
    for (let round = 0; round < rounds; round++) {
      progress(`round ${round + 1} of ${rounds}`);
      rates.together.push(await rateOf(CORES, module, 9));
      const each = await Promise.all(CORES.map((core) => rateOf([core], module, 9)));
      rates.apart.push(each.reduce((sum, rate) => sum + rate, 0));
      rates.alone.push(await rateOf([CORES[0]], module, 5));
    }
    const rows = [
      summarize("two workers in a process", "messages/s", rates.together),
      summarize("two processes with one each", "messages/s", rates.apart),
      summarize("one worker, the other core idle", "messages/s", rates.alone),
    ];
    // Of each pair of runs: both saw the same weather.
    const ratio = median(rates.together.map((together, i) => together / rates.apart[i]));
    const ratios = [
      judge("two workers / two processes", ratio, { atLeast: GOAL }),
      judge("two workers / one", median(rates.together) / median(rates.alone)),
    ];
    return { figure: "cores", machine: machine(), noise: noiseOf(rows), rows, ratios };
  });
}
