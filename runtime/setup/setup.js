/** The set-up: looks at each step and mends what is missing. Doing it again does nothing. */
import { join } from "node:path";
import { acquireLock } from "./lock.js";
import { STATE_FOLDER } from "./paths.js";
import { formatDuration, Report, SetupError } from "./report.js";
import { engine } from "./steps/engine.js";
import { moduleFuzzer } from "./steps/module-fuzzer.js";
import { native } from "./steps/native.js";
import { node } from "./steps/node.js";
import { npm } from "./steps/npm.js";
import { packages } from "./steps/packages.js";
import { rust } from "./steps/rust.js";
import { fuzzers, scriptFuzzer, simulator } from "./steps/simulator.js";
import { typescript } from "./steps/typescript.js";

/** In the order in which one needs another. `npm install` is the only set-up that asks for the network every time. */
export const STEPS = [node, packages, rust, npm, engine, native, typescript];
/** The stack alone needs neither the engine nor packages from a registry. */
const STEPS_OF = {
  sim: [node, packages, simulator],
  script: [node, packages, simulator],
  link: [node, packages, simulator],
  fuzz: [node, packages, fuzzers],
};
/** Some fuzz targets are not of the stack. */
const STEPS_OF_TARGET = {
  modules: [node, packages, rust, npm, typescript, moduleFuzzer],
  config: [node, packages, npm, typescript, scriptFuzzer],
  http: [node, packages, npm, typescript, scriptFuzzer],
};

/** The steps that a command with these arguments needs. */
export function stepsFor(command, args = []) {
  const target = command === "fuzz" ? args.find((arg) => Object.hasOwn(STEPS_OF_TARGET, arg)) : undefined;
  return STEPS_OF_TARGET[target] ?? STEPS_OF[command] ?? STEPS;
}

/** Brings one step to its end; an error gets the step's name. */
async function bring(step, context, report) {
  const { done, state } = await step.check(context);
  if (done) return false;
  const progress = report.begin(step.name);
  try {
    progress.done(await step.mend(context, report, progress, state));
    return true;
  } catch (error) {
    progress.failed("failed");
    error.step = step.name;
    throw error;
  }
}

/**
 * Sets up what `command` (as in arguments.js) needs with its `args`. Returns the context that the steps filled: env for further
 * programs, engine (folder). Throws a SetupError that names step, log and advice.
 */
export async function setUp(command, { args = [], env = process.env, report = new Report() } = {}) {
  const startedMs = performance.now();
  const context = { command, env: { ...env }, rustVersion: "", engine: "" };
  const release = await acquireLock(join(STATE_FOLDER, "setup.lock"), () =>
    report.line("  another set-up runs in this clone; waiting for it"),
  );
  let mended = 0;
  try {
    for (const step of stepsFor(command, args)) if (await bring(step, context, report)) mended++;
  } finally {
    await release();
  }
  const what = mended === 0 ? "nothing to do" : "ready";
  report.line(`weir set-up: ${what} (${formatDuration(performance.now() - startedMs)})`);
  return context;
}

/** An error of the set-up as lines for people. */
export function describeFailure(error) {
  const lines = [`weir set-up: step ${error.step ?? "lock"} failed: ${error.message}`];
  if (error.log !== undefined) lines.push(`  log: ${error.log}`);
  if (error.advice !== undefined) lines.push(`  what to do: ${error.advice}`);
  if (!(error instanceof SetupError) && error.stack !== undefined) lines.push(error.stack);
  return lines.join("\n");
}
