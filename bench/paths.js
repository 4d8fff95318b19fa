/**
 * Goodput and fairness on long, slow and lossy paths: weir's TCP beside the kernel's, one after the other over the same
 * link (native/sim in real time), with a kernel peer. Offloads are off, the kernel's sockets use CUBIC.
 */
import { buildPrograms, runInside } from "./namespaces.js";
import { judge, machine, noiseOf, summarize } from "./report.js";

const FRAME_BYTES = 1_514;
/** Shorter queues would be a matter of luck. */
const LEAST_QUEUE_FRAMES = 20;
const LOSSES = [0, 0.001, 0.01, 0.03];
/** Round trip and how long a stream is watched: slow start and some recoveries have to fit. */
const ROUND_TRIPS = [
  { rtt_ms: 1, seconds: 3 },
  { rtt_ms: 20, seconds: 5 },
  { rtt_ms: 100, seconds: 10 },
];
const RATES_MBIT = [10, 100];
/** Two streams need longer to find their shares; the first seconds are left out. */
const FAIRNESS = [
  { rtt_ms: 20, rate_mbit: 20, seconds: 25, after: 10 },
  { rtt_ms: 20, rate_mbit: 100, seconds: 25, after: 10 },
  { rtt_ms: 100, rate_mbit: 20, seconds: 40, after: 20 },
];
const GOAL_CLEAN = 0.95;
const GOAL_LOSSY = 0.9;
const GOAL_SHARE_POINTS = 10;

/** A queue of one bandwidth-delay product. */
const queueBytes = ({ rtt_ms, rate_mbit }) =>
  Math.max(Math.round((rate_mbit * 1e6 * rtt_ms) / 8e3), LEAST_QUEUE_FRAMES * FRAME_BYTES);

/**
 * Two frames' time at random. Without it, whose packets find the queue full is a matter of who answers a moment sooner, run
 * after run the same (the phase effects of Floyd and Jacobson, 1991); no network is as regular.
 */
const jitterMs = ({ rate_mbit }) => (2 * FRAME_BYTES * 8) / (rate_mbit * 1e3);

/** A part that stands for the rest: the faster link, one loss, both directions at one of the round trips, one share. */
const isQuick = ({ kind, rtt_ms, rate_mbit, loss, direction }) =>
  kind === "share"
    ? rtt_ms === 20 && rate_mbit === 20
    : rate_mbit === 100 && (loss === 0 || loss === 0.01) && (rtt_ms === 20 || direction === "from weir");

/** All that is measured, in order; `name` is what --only looks at. */
export function pathCases(quick) {
  const cases = [];
  for (const { rtt_ms, seconds } of ROUND_TRIPS)
    for (const rate_mbit of RATES_MBIT)
      for (const loss of LOSSES)
        for (const direction of ["from weir", "to weir"]) {
          const name = `${direction}, ${rtt_ms} ms, ${rate_mbit} Mbit/s, ${loss * 100} % loss`;
          cases.push({ kind: "goodput", name, direction, rtt_ms, rate_mbit, loss, seconds, after: 0 });
        }
  for (const path of FAIRNESS)
    cases.push({
      kind: "share",
      name: `share, ${path.rtt_ms} ms, ${path.rate_mbit} Mbit/s`,
      loss: 0,
      jitter_ms: jitterMs(path),
      ...path,
    });
  const meant = quick ? cases.filter(isQuick) : cases;
  return meant.map((each) => ({ ...each, queue_bytes: queueBytes(each) }));
}

/** The figure. `only` leaves out the cases whose names do not contain it. */
export async function paths({ quick, only = "", progress }) {
  buildPrograms("stream_bench", "tap_link");
  const cases = pathCases(quick).filter(({ name }) => name.includes(only));
  if (cases.length === 0) throw new Error(`no case of this figure has "${only}" in its name`);
  const measured = await runInside(
    "paths-inner.js",
    { cases, runs: quick ? 1 : 10 },
    {
      onLine: progress,
      undisturbed: true,
    },
  );
  const rows = [];
  const ratios = [];
  for (const { kind, name, loss, weir, linux } of measured) {
    const unit = kind === "share" ? "% of both" : "Mbit/s";
    const [ours, theirs] = [summarize(`${name}: weir`, unit, weir), summarize(`${name}: Linux`, unit, linux)];
    rows.push(ours, theirs);
    if (kind === "share") {
      const apart = Math.abs(ours.median - theirs.median);
      ratios.push(judge(`${name}: points apart`, apart, { atMost: GOAL_SHARE_POINTS }));
    } else {
      const goal = { atLeast: loss === 0 ? GOAL_CLEAN : GOAL_LOSSY };
      ratios.push(judge(`${name}: weir / Linux`, ours.median / theirs.median, goal));
    }
  }
  return { figure: "paths", machine: machine(), noise: noiseOf(rows), rows, ratios };
}
