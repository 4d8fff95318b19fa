/** Breaks the stack on purpose, one thing at a time, and counts the seeds until the simulator notices. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join, relative } from "node:path";
import { NATIVE_FOLDER, STATE_FOLDER } from "../paths.js";
import { Report } from "../report.js";
import { mustExecute } from "../shell.js";
import { filesBelow } from "../stamp.js";
import { nativeSources } from "../steps/native.js";
import { MUTANTS } from "./mutant-list.js";
import { runSeeds } from "./sim.js";

/** A mutant that survives so many seeds is not found. */
const SEEDS = 200;
const FOLDER = join(STATE_FOLDER, "mutants");

/** `text` with `from` replaced by `to`; an error unless `from` stands there once. */
export function mutate(text, { name, file, from, to }) {
  const places = text.split(from).length - 1;
  if (places !== 1)
    throw new Error(`mutant "${name}": its text stands ${places} times in native/${file}; it has to stand there once`);
  return text.replace(from, () => to);
}

/** Brings the copy of native/ up to date. A file that is the same keeps its time and is not compiled again. */
function copySources(copy) {
  const wanted = new Set();
  for (const source of nativeSources()) {
    const path = join(copy, relative(NATIVE_FOLDER, source));
    wanted.add(path);
    const text = readFileSync(source);
    if (existsSync(path) && readFileSync(path).equals(text)) continue;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  for (const path of filesBelow(copy, () => true)) if (!wanted.has(path)) rmSync(path);
}

/** Runs the check and returns the exit code: 0 when every mutant was found. */
export async function runMutants(context) {
  const report = new Report();
  const copy = join(FOLDER, "native");
  const build = join(FOLDER, "build");
  copySources(copy);
  const log = join(FOLDER, "build.log");
  const make = async () => {
    if (!existsSync(join(build, "build.ninja"))) {
      const options = ["-DWEIR_ENGINE_DIR=", "-DWEIR_ADDON=OFF", "-DWEIR_TESTS=OFF"];
      await mustExecute("cmake", ["-S", copy, "-B", build, "-G", "Ninja", ...options], { env: context.env, log });
    }
    await mustExecute("ninja", ["-C", build, "-j", String(cpus().length), "sim"], { env: context.env, log });
  };
  let survivors = 0;
  for (const mutant of MUTANTS) {
    const progress = report.begin(mutant.name);
    const path = join(copy, mutant.file);
    const original = readFileSync(path, "utf8");
    try {
      writeFileSync(path, mutate(original, mutant));
      progress.update("compiling");
      await make();
      progress.update("running");
      const { failures } = await runSeeds({ program: join(build, "sim"), first: 1, seeds: SEEDS, stop: true });
      if (failures.length === 0) {
        survivors++;
        progress.failed(`not found within ${SEEDS} seeds`);
      } else {
        progress.done(`found at seed ${failures[0].seed}: ${failures[0].failure.split("\n")[0].slice(0, 160)}`);
      }
    } catch (error) {
      survivors++;
      progress.failed(error.message);
    } finally {
      writeFileSync(path, original);
    }
  }
  report.line(`${MUTANTS.length - survivors} of ${MUTANTS.length} mutants were found within ${SEEDS} seeds`);
  return survivors === 0 ? 0 : 1;
}
