/**
 * Inside namespaces of its own: load on weir over memif. Argument: {options} of the load generator. Prints the cycles of
 * each stage for a message, by window, as JSON at the end: [{stages: {name: cycles}}].
 */
import { measure, weirSide } from "./load-sides.js";

const { options } = JSON.parse(process.argv[2]);
const side = await weirSide("bench/apps/echo");
const results = [];
// A window at a time: the counters are read between two.
for (let window = 0; window < options.windows; window++) {
  const before = await side.stats();
  const [found] = await measure(side, { ...options, warmup: 0, windows: 2 });
  const after = await side.stats();
  if (found.refused !== undefined) continue;
  const messages = after.worker.sandbox.guest_events - before.worker.sandbox.guest_events;
  const ticks = after.stages.map(({ name, ticks }, index) => [name, (ticks - before.stages[index].ticks) / messages]);
  results.push({ stages: Object.fromEntries(ticks) });
  console.log(
    `${window + 1} of ${options.windows}: ${Math.round(ticks.reduce((sum, [, each]) => sum + each, 0))} cycles`,
  );
}
await side.end();
if (results.length === 0) throw new Error("no window counts: the machine was busy");
process.stdout.write(JSON.stringify(results));
