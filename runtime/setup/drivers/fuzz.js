/**
 * `npm run fuzz -- TARGET [--seconds N]`: runs a fuzz target on what earlier runs found. Inputs that break something stay
 * in .weir/fuzz/TARGET/crashes; a finding becomes a test.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FUZZ_SCRIPTS, NATIVE_BUILD_FUZZ, ROOT, STATE_FOLDER } from "../paths.js";
import { moduleFuzzerPath } from "../steps/module-fuzzer.js";
import { NATIVE_FUZZ_TARGETS } from "../steps/simulator.js";
import { wholeNumber } from "./sim.js";

const DEFAULT_SECONDS = 60;
const LONGEST_INPUT = "-max_len=8192";
/** The examples are modules of some ten thousand bytes. */
const LONGEST_MODULE = "-max_len=65536";
const SCRIPT_TARGETS = ["config", "http"];
const TARGETS = [...NATIVE_FUZZ_TARGETS, "modules", ...SCRIPT_TARGETS];
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

/** Makes a target's seeds, and returns what runs it: { program, args, env }; libFuzzer's own arguments come behind. */
async function prepare(context, target, folder, seeds) {
  if (NATIVE_FUZZ_TARGETS.includes(target)) {
    spawnSync(join(NATIVE_BUILD_FUZZ, "fuzz_corpus"), [target, seeds], { stdio: "inherit" });
    return { program: join(NATIVE_BUILD_FUZZ, `fuzz_${target}`), args: [LONGEST_INPUT] };
  }
  // These need packages that are there only now.
  const { writeSeeds } = await import(join(FUZZ_SCRIPTS, "seeds.js"));
  const dictionary = await writeSeeds(target, seeds);
  if (target === "modules") return { program: moduleFuzzerPath(context.env), args: [LONGEST_MODULE] };
  const { bundle } = await import(join(FUZZ_SCRIPTS, "instrument-script.js"));
  const script = join(folder, "target.mjs");
  const counters = await bundle(join(FUZZ_SCRIPTS, `${target}.ts`), script);
  const env = { ...context.env };
  if (target === "http") {
    const { buildApp } = await import(join(ROOT, "runtime", "dist", "build", "index.js"));
    env.WEIR_FUZZ_MODULE = join(folder, "module.wasm");
    writeFileSync(env.WEIR_FUZZ_MODULE, (await buildApp({ directory: join(ROOT, "test", "apps", "http-fuzz") })).wasm);
  }
  const addon = join(NATIVE_BUILD_FUZZ, "fuzzer.node");
  const args = [join(FUZZ_SCRIPTS, "main.js"), addon, script, String(counters), LONGEST_INPUT, `-dict=${dictionary}`];
  return { program: process.execPath, args, env };
}

/** Runs the driver and returns its exit code. */
export async function runFuzzer(context, args, lifetime) {
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
  const prepared = await prepare(context, target, folder, seeds);
  const child = spawn(
    prepared.program,
    [
      ...prepared.args,
      `-max_total_time=${seconds}`,
      `-artifact_prefix=${crashes}/`,
      "-print_final_stats=1",
      "-timeout=10",
      corpus,
      seeds,
    ],
    { stdio: ["ignore", "ignore", "pipe"], env: prepared.env },
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
    process.stdout.write(`  ${[prepared.program, ...prepared.args, join(crashes, kept[0])].join(" ")}\n`);
  }
  return code === 0 ? 0 : 1;
}
