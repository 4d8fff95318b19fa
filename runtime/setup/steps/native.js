/** native/: the addon with CMake and Ninja; for tests also everything beside it. */
import { existsSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { LOG_FOLDER, NATIVE_BUILD, NATIVE_FOLDER, ROOT } from "../paths.js";
import { mustExecute } from "../shell.js";
import { filesBelow, hashState, isStamped, stamp, unstamp } from "../stamp.js";

const GTEST = "/usr/include/gtest/gtest.h";
/** C++ with templates wants this much memory per compiler; fewer jobs than cores where memory is short. */
const ADVICE = "Errors in your own change? Otherwise remove native/build and run the same command again.";

/** The load generator, which is built with native/ and stands with the figures. */
const LOAD_FOLDER = join(ROOT, "bench", "load");

/** Sources of native/ without the engine's crate and without build folders, and those of the load generator. */
export function nativeSources() {
  return [NATIVE_FOLDER, LOAD_FOLDER].flatMap((from) =>
    filesBelow(
      from,
      (name) => /\.(cc|h|c|def|in|cmake)$/.test(name) || name === "CMakeLists.txt",
      (folder) => folder.startsWith("build") || folder === "wasmtime",
    ),
  );
}

/** Configures a build folder. Cheap when nothing changed: CMake keeps its cache. */
export async function configure(context, build, options, log) {
  const modules = join(ROOT, "node_modules");
  const args = [
    ...["-S", NATIVE_FOLDER, "-B", build, "-G", "Ninja"],
    `-DWEIR_ENGINE_DIR=${context.engine}`,
    `-DWEIR_NODE_API_HEADERS=${join(modules, "node-api-headers", "include")}`,
    `-DWEIR_NODE_ADDON_API=${join(modules, "node-addon-api")}`,
    ...options,
  ];
  await mustExecute("cmake", args, { cwd: ROOT, env: context.env, log }, ADVICE);
}

/** Builds targets (all of them when none is named) and shows ninja's own count as progress. */
export async function ninja(context, build, targets, progress, log) {
  const onLine = (line, file) => {
    file?.write(`${line}\n`);
    const count = /^\[(\d+)\/(\d+)\]/.exec(line);
    if (count !== null) progress.update(`file ${count[1]} of ${count[2]}`);
  };
  const args = ["-C", build, "-j", String(cpus().length), ...targets];
  await mustExecute("ninja", args, { env: context.env, log, append: true, onLine }, ADVICE);
}

export const native = {
  name: "native",
  check(context) {
    const all = context.command !== "start";
    const state = hashState(ROOT, nativeSources(), [context.engine, process.arch]);
    const done =
      existsSync(join(NATIVE_BUILD, "weir.node")) &&
      (isStamped("native-all", state) || (!all && isStamped("native-addon", state)));
    return { done, state: { state, all } };
  },
  async mend(context, _report, progress, { state, all }) {
    for (const name of ["native-all", "native-addon"]) unstamp(name);
    const log = join(LOG_FOLDER, "native.log");
    progress.update("cmake");
    await configure(context, NATIVE_BUILD, [`-DWEIR_TESTS=${existsSync(GTEST) ? "ON" : "OFF"}`], log);
    await ninja(context, NATIVE_BUILD, all ? [] : ["weir_addon"], progress, log);
    stamp(all ? "native-all" : "native-addon", state);
    return all ? "built with its tests" : "built";
  },
};
