/** The fuzz target for modules: admission's Rust with counters at its branches, on any Rust that builds the engine. */
import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { join } from "node:path";
import { cacheFolder, ENGINE_CRATE, FUZZ_CRATE, LOG_FOLDER, ROOT } from "../paths.js";
import { SetupError } from "../report.js";
import { mustExecute } from "../shell.js";
import { filesBelow, hashState, isStamped, stamp, unstamp } from "../stamp.js";

const STAMP = "module-fuzzer";
/** What cargo-fuzz passes without a sanitizer: the code in question has no unsafe parts. */
const COVERAGE = [
  "--cfg=fuzzing",
  "-Cpasses=sancov-module",
  "-Cllvm-args=-sanitizer-coverage-level=4",
  "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
  "-Cllvm-args=-sanitizer-coverage-pc-table",
  "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
const TRIPLES = { x64: "x86_64-unknown-linux-gnu", arm64: "aarch64-unknown-linux-gnu" };
const ARCHITECTURES = { x64: "x86_64", arm64: "aarch64" };

const targetFolder = (env) => join(cacheFolder(env), "target-fuzz");

/** Where the built target is. A triple is named in any case: what runs during the build must not count. */
export function moduleFuzzerPath(env) {
  return join(targetFolder(env), TRIPLES[process.arch], "release", "fuzz_modules");
}

/** libFuzzer as clang has it: the crate would compile its own for minutes. */
function libFuzzer() {
  const folder = spawnSync("clang++-14", ["-print-runtime-dir"], { encoding: "utf8" }).stdout?.trim();
  if (!folder)
    throw new SetupError("clang++-14 does not say where its libraries are.", { advice: "Reinstall clang-14." });
  return join(folder, `libclang_rt.fuzzer-${ARCHITECTURES[process.arch]}.a`);
}

export const moduleFuzzer = {
  name: STAMP,
  check(context) {
    const sources = [FUZZ_CRATE, join(ENGINE_CRATE, "src")].flatMap((folder) =>
      filesBelow(folder, (name) => /\.(rs|toml|lock)$/.test(name)),
    );
    const state = hashState(ROOT, sources, [context.rustVersion, moduleFuzzerPath(context.env)]);
    return { done: isStamped(STAMP, state), state };
  },
  async mend(context, _report, progress, state) {
    unstamp(STAMP);
    const env = {
      ...context.env,
      CARGO_TARGET_DIR: targetFolder(context.env),
      CARGO_TERM_COLOR: "never",
      CUSTOM_LIBFUZZER_PATH: libFuzzer(),
      CUSTOM_LIBFUZZER_STD_CXX: "stdc++",
      RUSTFLAGS: COVERAGE.join(" "),
    };
    const args = ["build", "--release", "--locked", "--target", TRIPLES[process.arch], "-j", String(cpus().length)];
    const log = join(LOG_FOLDER, `${STAMP}.log`);
    progress.update("cargo build");
    await mustExecute(
      "cargo",
      args,
      { cwd: FUZZ_CRATE, env, log },
      "Is the network reachable (the first build fetches)?",
    );
    stamp(STAMP, state);
    return "built";
  },
};
