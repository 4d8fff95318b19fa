/** The GoogleTest executables of native/, plain and under AddressSanitizer with UndefinedBehaviorSanitizer. */
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { LOG_FOLDER, NATIVE_BUILD, NATIVE_BUILD_ASAN, ROOT } from "../paths.js";
import { execute } from "../shell.js";
import { hashState, isStamped, stamp, unstamp } from "../stamp.js";
import { configure, nativeSources, ninja } from "../steps/native.js";

const SANITIZER_STAMP = "native-asan";
const FAILURE_LINES = 40;
/** Test executables at once: they take memory, too. */
const MOST_AT_ONCE = 4;

function testsIn(build) {
  return readdirSync(build)
    .filter((name) => name.endsWith("_test"))
    .sort()
    .map((name) => join(build, name));
}

/** Counts of a GoogleTest JSON report; undefined when the executable did not get to writing it. */
export function countGoogleTest(path) {
  try {
    const { tests, failures, errors = 0, disabled = 0 } = JSON.parse(readFileSync(path, "utf8"));
    return { passed: tests - failures - errors - disabled, failed: failures + errors };
  } catch {
    return undefined;
  }
}

/** The lines of a GoogleTest log that say what failed. */
function failuresOf(log) {
  const lines = readFileSync(log, "utf8").split("\n");
  const told = lines.filter((line) => /^\[ {2}FAILED|: Failure$|ERROR: AddressSanitizer|runtime error:/.test(line));
  return (told.length > 0 ? told.slice(0, FAILURE_LINES) : lines.slice(-FAILURE_LINES)).join("\n");
}

async function runAll(context, build, progress, label) {
  const reports = join(LOG_FOLDER, label);
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports, { recursive: true });
  const sum = { passed: 0, failed: 0 };
  const details = [];
  const tests = testsIn(build);
  if (tests.length === 0) return { passed: 0, failed: 1, detail: `No test executables in ${build}.` };
  const runOne = async (test) => {
    const name = basename(test);
    progress.update(name);
    const report = join(reports, `${name}.json`);
    const log = join(reports, `${name}.log`);
    const { code } = await execute(test, [`--gtest_output=json:${report}`, "--gtest_color=no"], {
      cwd: ROOT,
      env: context.env,
      log,
    });
    const counts = countGoogleTest(report) ?? { passed: 0, failed: 1 };
    if (code !== 0 && counts.failed === 0) counts.failed = 1;
    sum.passed += counts.passed;
    sum.failed += counts.failed;
    if (counts.failed > 0) details.push(`${name} (log: ${log})\n${failuresOf(log)}`);
  };
  // Each is one thread's work.
  const left = [...tests];
  const runSome = async () => {
    for (let test = left.shift(); test !== undefined; test = left.shift()) await runOne(test);
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), MOST_AT_ONCE) }, runSome));
  return { ...sum, detail: details.join("\n") };
}

export const nativeRunners = [
  { name: "native", run: (context, progress) => runAll(context, NATIVE_BUILD, progress, "native-tests") },
  {
    name: "native-asan",
    async run(context, progress, log) {
      const state = hashState(ROOT, nativeSources(), [context.engine]);
      if (!isStamped(SANITIZER_STAMP, state)) {
        unstamp(SANITIZER_STAMP);
        await configure(context, NATIVE_BUILD_ASAN, ["-DWEIR_SANITIZE=ON", "-DWEIR_ADDON=OFF", "-DWEIR_TESTS=ON"], log);
        await ninja(context, NATIVE_BUILD_ASAN, [], progress, log);
        stamp(SANITIZER_STAMP, state);
      }
      return await runAll(context, NATIVE_BUILD_ASAN, progress, "native-asan-tests");
    },
  },
];
