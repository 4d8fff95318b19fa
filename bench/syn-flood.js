/**
 * A flood of SYNs from stations that do not exist, 50,000 a second, at a port on which an app listens: what a client gets
 * that connects again and again, with and without it, and what memory the dataplane takes.
 */
import { buildPrograms, runInside } from "./namespaces.js";
import { judge, machine, median, noiseOf, summarize } from "./report.js";

const SYNS_PER_SECOND = 50_000;
const MIB = 2 ** 20;
/** What half-open connections, their timers and waiting packets may add: 4,096 of them and the pools they are in. */
const MEMORY_BOUND_MIB = 64;

const sum = (values) => values.reduce((total, value) => total + value, 0);

/** The figure. `progress` is told what is being measured. */
export async function synFlood({ quick, progress }) {
  progress("building the flood");
  buildPrograms("syn_flood");
  const [seconds, rounds] = quick ? [3, 1] : [10, 5];
  progress(`${rounds} rounds of ${seconds} s without and ${seconds} s with the flood`);
  const { quiet, flood, memoryBytes } = await runInside("syn-flood-rounds.js", {
    seconds,
    rounds,
    perSecond: SYNS_PER_SECOND,
  });
  const rows = [
    summarize(
      "SYNs offered to the interface",
      "1/s",
      flood.map((round) => round.offered),
    ),
    summarize(
      "SYNs that the interface took",
      "1/s",
      flood.map((round) => round.sent),
    ),
    summarize(
      "frames received by weir",
      "1/s",
      flood.map((round) => round.received),
    ),
    summarize(
      "cookies sent",
      "a round",
      flood.map((round) => round.cookiesSent),
    ),
    summarize(
      "cookies taken",
      "a round",
      flood.map((round) => round.cookiesTaken),
    ),
    summarize(
      "dropped, with a reason",
      "a round",
      flood.map((round) => round.drops),
    ),
  ];
  for (const [name, runs] of Object.entries({ "without a flood": quiet, "during the flood": flood })) {
    const quantiles = (key, q) =>
      runs.map((run) => [...run[key]].sort((a, b) => a - b)[Math.floor(q * (run[key].length - 1))]);
    rows.push(
      summarize(
        `client ${name}: transfers of 1 MiB`,
        "1/s",
        runs.map((run) => run.ok / seconds),
      ),
    );
    for (const [what, key] of Object.entries({ connecting: "connectMs", "1 MiB there and back": "transferMs" }))
      for (const q of [0.5, 0.99])
        rows.push(summarize(`client ${name}: ${what}, p${q * 100}`, "ms", quantiles(key, q)));
  }
  for (const [when, bytes] of Object.entries(memoryBytes))
    rows.push(summarize(`memory of the dataplane ${when}`, "MiB", [bytes / MIB]));
  const attempts = sum(flood.map((round) => round.attempts));
  const ok = sum(flood.map((round) => round.ok));
  const growth = (memoryBytes.during - memoryBytes.before) / MIB;
  const received = median(flood.map((round) => round.received));
  const ratios = [
    judge(`connections served / attempted (${ok} of ${attempts}) during the flood`, ok / attempts, { atLeast: 1 }),
    judge(`received / ${SYNS_PER_SECOND} SYNs a second`, received / SYNS_PER_SECOND, { atLeast: 1 }),
    judge("memory added, MiB", growth, { atMost: MEMORY_BOUND_MIB }),
  ];
  return {
    figure: "syn-flood",
    machine: machine(),
    noise: noiseOf(rows),
    rows,
    ratios,
    errors: flood.flatMap(({ errors }) => errors),
  };
}
