/** `npm test`: every formatter, linter and test runner, one after the other, and the sums at the end. */
import { join } from "node:path";
import { LOG_FOLDER } from "./paths.js";
import { formatDuration, Report } from "./report.js";
import { formatRunners } from "./runners/format.js";
import { instructionRunners } from "./runners/instructions.js";
import { nativeRunners } from "./runners/native.js";
import { rustRunners } from "./runners/rust.js";
import { simulatorRunners } from "./runners/simulator.js";
import { vitestRunners } from "./runners/vitest.js";
import { tailOf } from "./shell.js";

/** Each runner: name, and run(context, progress, log, extra) -> { passed, failed, detail? }. */
const RUNNERS = [
  ...formatRunners,
  ...rustRunners,
  ...nativeRunners,
  ...instructionRunners,
  ...simulatorRunners,
  ...vitestRunners,
];

/** Splits `--only a,b` from the arguments; the others go to vitest. */
export function selectRunners(args, runners = RUNNERS) {
  const extra = [...args];
  const at = extra.findIndex((arg) => arg === "--only" || arg.startsWith("--only="));
  if (at < 0) return { runners, extra };
  const [option, next = ""] = extra.slice(at, at + 2);
  const value = option.includes("=") ? option.slice(option.indexOf("=") + 1) : next;
  extra.splice(at, option.includes("=") ? 1 : 2);
  const names = value.split(",");
  const unknown = names.filter((name) => !runners.some((runner) => runner.name === name));
  if (unknown.length > 0) return { unknown, extra, runners };
  return { runners: runners.filter((runner) => names.includes(runner.name)), extra };
}

/** Runs the tests and returns the exit code. */
export async function runTests(context, args) {
  const report = new Report();
  const startedMs = performance.now();
  const { runners, extra, unknown } = selectRunners(args);
  if (unknown !== undefined) {
    report.line(
      `No such runner: ${unknown.join(", ")}. There are: ${runners.map((runner) => runner.name).join(", ")}.`,
    );
    return 2;
  }
  const sum = { passed: 0, failed: 0 };
  for (const runner of runners) {
    const progress = report.begin(runner.name);
    const log = join(LOG_FOLDER, `test-${runner.name}.log`);
    let result;
    try {
      result = await runner.run(context, progress, log, extra);
    } catch (error) {
      result = { passed: 0, failed: 1, detail: error.message };
    }
    sum.passed += result.passed;
    sum.failed += result.failed;
    const counts = `${result.passed} passed, ${result.failed} failed`;
    if (result.failed === 0) progress.done(counts);
    else {
      progress.failed(counts);
      report.line((result.detail ?? tailOf(log, 40)).replace(/^/gm, "      "));
      report.line(`      log: ${log}`);
    }
  }
  report.line(`tests took ${formatDuration(performance.now() - startedMs)}`);
  report.line(`${sum.passed} passed, ${sum.failed} failed`);
  return sum.failed === 0 && sum.passed > 0 ? 0 : 1;
}
