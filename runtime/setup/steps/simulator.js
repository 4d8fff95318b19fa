/** The stack without the engine: the simulator and its companions with the compiler of the rest, fuzz targets with clang. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { LOG_FOLDER, NATIVE_BUILD_FUZZ, NATIVE_BUILD_SIM, ROOT } from "../paths.js";
import { hashState, isStamped, stamp, unstamp } from "../stamp.js";
import { configure, nativeSources, ninja } from "./native.js";

const WITHOUT_ENGINE = ["-DWEIR_ADDON=OFF", "-DWEIR_TESTS=OFF"];

/** A step that builds `targets` in a folder of their own. */
function buildStep({ name, build, targets, options }) {
  return {
    name,
    check() {
      const state = hashState(ROOT, nativeSources(), [process.arch]);
      const built = targets.every((target) => existsSync(join(build, target)));
      return { done: built && isStamped(name, state), state };
    },
    async mend(context, _report, progress, state) {
      unstamp(name);
      const log = join(LOG_FOLDER, `${name}.log`);
      await configure(context, build, options, log);
      await ninja(context, build, targets, progress, log);
      stamp(name, state);
      return "built";
    },
  };
}

export const SIMULATOR_TARGETS = ["sim", "script", "tap_link"];
export const NATIVE_FUZZ_TARGETS = ["frame", "segments", "options", "reassembly", "nd", "dhcp", "dns"];

export const simulator = buildStep({
  name: "simulator",
  build: NATIVE_BUILD_SIM,
  targets: SIMULATOR_TARGETS,
  options: WITHOUT_ENGINE,
});

const FUZZ_OPTIONS = [...WITHOUT_ENGINE, "-DWEIR_FUZZ=ON", "-DCMAKE_CXX_COMPILER=clang++-14"];

export const fuzzers = buildStep({
  name: "fuzzers",
  build: NATIVE_BUILD_FUZZ,
  targets: [...NATIVE_FUZZ_TARGETS.map((name) => `fuzz_${name}`), "fuzz_corpus"],
  options: FUZZ_OPTIONS,
});

/** libFuzzer as a Node addon, for targets in JavaScript; wants the headers that npm brings. */
export const scriptFuzzer = buildStep({
  name: "script-fuzzer",
  build: NATIVE_BUILD_FUZZ,
  targets: ["fuzzer.node"],
  options: FUZZ_OPTIONS,
});
