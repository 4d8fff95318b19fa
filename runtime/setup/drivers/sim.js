/**
 * `npm run sim -- [--seeds N] [--seed S] [--pcap FILE] [--verbose] [--mutants]`: runs seeds of the simulator in two
 * processes. A seed that fails is run again with its packets written to a file.
 */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { NATIVE_BUILD_SIM, STATE_FOLDER } from "../paths.js";
import { formatDuration } from "../report.js";
import { runMutants } from "./mutants.js";

const PROCESSES = 2;
const DEFAULT_SEEDS = 200;
const USAGE = "usage: npm run sim -- [--seeds N] [--seed S] [--pcap FILE] [--verbose] [--mutants]\n";

/** A whole number of at least `least`; a RangeError says what is wrong. */
export function wholeNumber(name, text, least = 0) {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least)
    throw new RangeError(`--${name} needs a whole number of at least ${least}, not "${text}"`);
  return value;
}

/** The command line. One seed alone is run when only --seed is given. */
export function parseSimArguments(args) {
  const { values } = parseArgs({
    args,
    options: {
      seeds: { type: "string" },
      seed: { type: "string" },
      pcap: { type: "string" },
      verbose: { type: "boolean", default: false },
      mutants: { type: "boolean", default: false },
    },
  });
  const first = wholeNumber("seed", values.seed ?? "1");
  const seeds = wholeNumber("seeds", values.seeds ?? String(values.seed === undefined ? DEFAULT_SEEDS : 1), 1);
  return { first, seeds, pcap: values.pcap, verbose: values.verbose, mutants: values.mutants };
}

/** Runs the simulator once. Returns { failures: [{ seed, failure }], sums }; a crash is the failure of its seed. */
function runProcess(program, args, onText) {
  const child = spawn(program, args.map(String), { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let at;
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    for (const match of chunk.matchAll(/^seed (\d+)$/gm)) {
      at = Number(match[1]);
      said = "";
    }
    said = (said + chunk.replace(/^seed \d+\n/gm, "")).slice(-4_000);
    onText?.(chunk.replace(/^seed \d+\n/gm, ""));
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      const lines = stdout
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line));
      const failures = lines.filter((line) => typeof line.failure === "string");
      const sums = lines.find((line) => line.seeds !== undefined);
      if (code !== 0 && (code !== 1 || failures.length === 0)) {
        const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
        failures.push({ seed: at, failure: `the simulator ${how}${said.trim() === "" ? "" : `:\n${said.trim()}`}` });
      }
      resolve({ failures, sums });
    });
  });
}

/** Runs seeds first, first + 1, ... in two processes. Returns the failures, by seed, and what both add up to. */
export async function runSeeds({ program, first, seeds, stop = false, onText }) {
  const processes = Math.min(PROCESSES, seeds);
  const results = await Promise.all(
    Array.from({ length: processes }, (_, i) => {
      const count = Math.ceil((seeds - i) / processes);
      const options = ["--seed", first + i, "--step", processes, "--seeds", count, ...(stop ? ["--stop"] : [])];
      return runProcess(program, options, onText);
    }),
  );
  const failures = results.flatMap((result) => result.failures).sort((a, b) => a.seed - b.seed);
  const sums = {};
  for (const result of results)
    for (const [name, value] of Object.entries(result.sums ?? {}))
      if (typeof value === "number") sums[name] = (sums[name] ?? 0) + value;
  return { failures, sums };
}

/** The command that runs one seed again. */
export function reproduction(seed, pcap) {
  return `npm run sim -- --seed ${seed} --verbose --pcap ${pcap}`;
}

/** Runs the driver and returns its exit code. */
export async function runSimulator(context, args) {
  let options;
  try {
    options = parseSimArguments(args);
  } catch (error) {
    process.stderr.write(`sim: ${error.message}\n${USAGE}`);
    return 2;
  }
  if (options.mutants) return await runMutants(context);
  const program = join(NATIVE_BUILD_SIM, "sim");
  const { first, seeds } = options;
  if (options.verbose || options.pcap !== undefined) {
    // One process, so that what it says stays in order.
    const pcap = options.pcap === undefined ? [] : ["--pcap", options.pcap];
    const child = spawn(
      program,
      ["--seed", first, "--seeds", seeds, ...pcap, ...(options.verbose ? ["--verbose"] : [])].map(String),
      { stdio: "inherit" },
    );
    return await new Promise((resolve) => child.once("close", (code) => resolve(code ?? 1)));
  }
  const startedMs = performance.now();
  const { failures, sums } = await runSeeds({ program, first, seeds });
  for (const { seed, failure } of failures) process.stdout.write(`seed ${seed}: ${failure}\n`);
  if (failures.length > 0) {
    const { seed } = failures[0];
    const pcap = join(STATE_FOLDER, "sim", `seed-${seed}.pcap`);
    mkdirSync(dirname(pcap), { recursive: true });
    await runProcess(program, ["--seed", seed, "--pcap", pcap]);
    process.stdout.write(
      `\n${failures.length} of ${seeds} seeds failed. What passed host A's port in seed ${seed}: ${pcap}\n`,
    );
    process.stdout.write(`what passed host B's: ${pcap.replace(/\.pcap$/, "-b.pcap")}\n`);
    process.stdout.write(`once more: ${reproduction(seed, pcap)}\n`);
    return 1;
  }
  process.stdout.write(
    `${seeds} seeds passed in ${formatDuration(performance.now() - startedMs)}: ${sums.connections} connections, ` +
      `${Math.round(sums.bytes / 1e6)} MB, ${sums.frames} frames, ${Math.round(sums.virtualSeconds / 3600)} hours of ` +
      `virtual time; ${sums.finished} ends finished, ${sums.aborted} aborted, ${sums.failed} failed with a cause; ` +
      `${sums.wrapped} streams wrapped, ${sums.forged} frames forged\n`,
  );
  return 0;
}
