/**
 * `npm run fuzz -- TARGET [--seconds N]`: runs a fuzz target on what earlier runs found. Inputs that break something stay
 * in .weir/fuzz/TARGET/crashes; a finding becomes a test.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { NATIVE_BUILD_FUZZ, STATE_FOLDER } from "../paths.js";
import { FUZZ_TARGETS } from "../steps/simulator.js";
import { wholeNumber } from "./sim.js";

const DEFAULT_SECONDS = 60;
const LONGEST_INPUT_BYTES = 8_192;
const TARGETS = FUZZ_TARGETS.filter((name) => name !== "fuzz_corpus").map((name) => name.replace("fuzz_", ""));
const USAGE = `usage: npm run fuzz -- ${TARGETS.join("|")} [--seconds N]\n`;

/** The command line. */
export function parseFuzzArguments(args) {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: { seconds: { type: "string" } } });
  if (positionals.length !== 1 || !TARGETS.includes(positionals[0]))
    throw new RangeError(`there is no target "${positionals.join(" ")}"; there are: ${TARGETS.join(", ")}`);
  return {
    target: positionals[0],
    seconds: wholeNumber("seconds", values.seconds ?? String(DEFAULT_SECONDS), 1),
  };
}

/** What libFuzzer's output says: executions, edges covered, inputs kept. */
export function readFuzzerOutput(text) {
  const last = [...text.matchAll(/^#(\d+)\s+\S+\s+cov: (\d+) ft: \d+ corp: (\d+)/gm)].at(-1);
  const executions = /^stat::number_of_executed_units: (\d+)/m.exec(text)?.[1] ?? last?.[1] ?? 0;
  return { executions: Number(executions), edges: Number(last?.[2] ?? 0), inputs: Number(last?.[3] ?? 0) };
}

/** Runs the driver and returns its exit code. */
export async function runFuzzer(args, lifetime) {
  let options;
  try {
    options = parseFuzzArguments(args);
  } catch (error) {
    process.stderr.write(`fuzz: ${error.message}\n${USAGE}`);
    return 2;
  }
  const { target, seconds } = options;
  const folder = join(STATE_FOLDER, "fuzz", target);
  const [seeds, corpus, crashes] = ["seeds", "corpus", "crashes"].map((name) => join(folder, name));
  for (const each of [seeds, corpus, crashes]) mkdirSync(each, { recursive: true });
  spawnSync(join(NATIVE_BUILD_FUZZ, "fuzz_corpus"), [target, seeds], { stdio: "inherit" });
  const child = spawn(
    join(NATIVE_BUILD_FUZZ, `fuzz_${target}`),
    [
      `-max_total_time=${seconds}`,
      `-max_len=${LONGEST_INPUT_BYTES}`,
      `-artifact_prefix=${crashes}/`,
      "-print_final_stats=1",
      "-timeout=10",
      corpus,
      seeds,
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  lifetime.onEnd = (signal) => child.kill(signal);
  let text = "";
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  const code = await new Promise((resolve) => child.once("close", (status) => resolve(status ?? 1)));
  const { executions, edges, inputs } = readFuzzerOutput(text);
  if (code !== 0) process.stdout.write(`${text.split("\n").slice(-60).join("\n")}\n`);
  process.stdout.write(`${target}: ${executions} executions, ${edges} edges covered, ${inputs} inputs kept\n`);
  const kept = readdirSync(crashes);
  if (kept.length > 0) {
    process.stdout.write(`${kept.length} inputs that break something are in ${crashes}. Once more:\n`);
    process.stdout.write(`  ${join(NATIVE_BUILD_FUZZ, `fuzz_${target}`)} ${join(crashes, kept[0])}\n`);
  }
  return code === 0 ? 0 : 1;
}
