/**
 * Echo of 64-byte messages for each core-second: a Wasm handler over memif, beside the better of two Linux servers, with
 * epoll and with io_uring, over veth. The same two over loopback are printed too, for each core-second of the server's
 * processor and of both: there the kernel bills what it does for a receiver to who sends.
 */
import { compareLoads, ECHO, LINUX_ECHO } from "./compare-loads.js";
import { runInside } from "./namespaces.js";
import { judge, noiseOf, summarize } from "./report.js";

const CONNECTIONS = [64, 256, 1_024];
const BYTES = 64;
const GOAL = 30;
/** Messages a second that libtpa, a TCP stack over DPDK, reached over memif on such a machine with a native handler. */
const LIBTPA_PER_SECOND = 1_270_000;
const GOAL_LIBTPA = 2.5;
const { epoll, io_uring } = LINUX_ECHO;
const SERVER = { ...ECHO, linux: { epoll, io_uring } };

/** Rows of the Linux servers over loopback, one for each processor's share. */
async function loopback(parameters, progress) {
  const measured = await runInside("loopback-inner.js", parameters, { onLine: progress });
  return measured.flatMap(({ name, runs }) => [
    summarize(
      name,
      "messages/core-s",
      runs.map(({ perServerSecond }) => perServerSecond),
    ),
    summarize(
      name,
      "messages/core-s of both",
      runs.map(({ perBothSecond }) => perBothSecond),
    ),
  ]);
}

/** The figure. */
export async function echo({ quick, only = "", progress }) {
  const cases = CONNECTIONS.map((connections) => ({
    name: `${connections} connections`,
    options: { connections, bytes: BYTES, seconds: quick ? 0.25 : 0.5, windows: quick ? 5 : 7 },
    goal: GOAL,
  })).filter(({ name }) => name.includes(only));
  const rounds = quick ? 3 : 7;
  const report = await compareLoads({ figure: "echo", server: SERVER, cases, rounds, isAgainstBest: true, progress });
  const connections = cases.map(({ options }) => options.connections);
  const parameters = {
    servers: SERVER.linux,
    connections,
    bytes: BYTES,
    seconds: quick ? 1 : 3,
    rounds: quick ? 1 : 3,
  };
  report.rows.push(...(await loopback(parameters, progress)));
  report.noise.medianSpread = noiseOf(report.rows).medianSpread;
  const best = Math.max(0, ...report.rows.filter(({ name }) => name.endsWith("weir")).map(({ median }) => median));
  if (best > 0) report.ratios.push(judge("best of weir / libtpa", best / LIBTPA_PER_SECOND, { atLeast: GOAL_LIBTPA }));
  return report;
}
