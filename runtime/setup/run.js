/** What `npm start`, `npm test`, `npm run bench` and the others run: the set-up, and then the thing itself. */
import { join } from "node:path";
import { parseArguments } from "./arguments.js";
import { runFuzzer } from "./drivers/fuzz.js";
import { runLink } from "./drivers/link.js";
import { runScripts } from "./drivers/script.js";
import { runSimulator } from "./drivers/sim.js";
import { runForeground } from "./foreground.js";
import { Lifetime } from "./lifetime.js";
import { ROOT } from "./paths.js";
import { runTests } from "./run-tests.js";
import { describeFailure, setUp } from "./setup.js";
import { signalRunning } from "./shell.js";

const INTERRUPTED = 143;

const lifetime = new Lifetime((signal) => {
  signalRunning(signal);
  process.exit(INTERRUPTED);
});
const parsed = parseArguments(process.argv.slice(2), process.env);
if (parsed === undefined) {
  process.stderr.write("usage: node runtime/setup/run.js start|test|bench|sim|script|fuzz|link [arguments]\n");
  process.exit(2);
}
const { command, args } = parsed;

let context;
try {
  context = await setUp(command, { args });
} catch (error) {
  process.stderr.write(`${describeFailure(error)}\n`);
  process.exit(1);
}
const programs = {
  start: () => runForeground([join(ROOT, "runtime", "bin", "weir.js"), "demo", ...args], context.env, lifetime),
  test: () => runTests(context, args),
  bench: () => runForeground([join(ROOT, "bench", "run.js"), ...args], context.env, lifetime),
  sim: () => runSimulator(context, args),
  script: () => runScripts(args),
  fuzz: () => runFuzzer(context, args, lifetime),
  link: () => runLink(args, lifetime),
};
process.exit(await programs[command]());
