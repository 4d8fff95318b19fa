/** The engine: native/wasmtime as one static library with its headers, built once into the user's cache. */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { ENGINE_FILES, engineKey } from "../engine-key.js";
import { acquireLock } from "../lock.js";
import { cacheFolder, ENGINE_CRATE, LOG_FOLDER } from "../paths.js";
import { SetupError } from "../report.js";
import { mustExecute } from "../shell.js";

/** Engines kept in the cache: this one and the one before, for going back and forth between two branches. */
const KEPT = 2;
const PROGRESS_INTERVAL_MS = 1_000;

/** Whether `folder` holds an engine. */
export function isEngine(folder) {
  return ENGINE_FILES.every((file) => existsSync(join(folder, file)));
}

/** Where cargo keeps what it compiled; shared by the build, the tests and the linter, and by all clones. */
export function cargoTargetFolder(env) {
  return join(cacheFolder(env), "target");
}

/** How many crates a build compiles, so that progress has an end. */
function countCrates(env) {
  const args = ["tree", "--locked", "--prefix", "none", "--edges", "normal,build", "--no-dedupe", "--format", "{p}"];
  const tree = spawnSync("cargo", args, { cwd: ENGINE_CRATE, env, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (tree.status !== 0) return undefined;
  return new Set(
    tree.stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.replace(/ \(.*\)$/, "")),
  ).size;
}

/** The folders beside the newest ones, which are no longer needed. Exported for its test. */
export function toPrune(folders, kept = KEPT) {
  return [...folders].sort((a, b) => b.usedMs - a.usedMs).slice(kept);
}

function prune(folder) {
  const engines = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(folder, entry.name))
    .map((path) => ({ path, usedMs: statSync(path).mtimeMs }));
  for (const old of toPrune(engines)) rmSync(old.path, { recursive: true, force: true });
}

/** Follows `cargo build --message-format=json`: which crates are done, and where the C API's headers were written. */
export class BuildFollower {
  done = new Set();
  includeFolder = undefined;
  current = "";

  /** Takes one line of cargo's output. */
  line(text) {
    if (!text.startsWith("{")) return;
    const message = JSON.parse(text);
    if (message.reason === "compiler-artifact" && !message.target.kind.includes("custom-build")) {
      this.done.add(message.package_id);
      this.current = message.target.name;
    }
    if (message.reason === "build-script-executed" && message.package_id.includes("wasmtime-c-api-impl")) {
      this.includeFolder = join(message.out_dir, "include");
    }
  }
}

async function build(context, progress, output) {
  const target = cargoTargetFolder(context.env);
  // Ninja is there anyway; the engine's build script would otherwise ask for make.
  const env = { ...context.env, CARGO_TARGET_DIR: target, CMAKE_GENERATOR: "Ninja" };
  const log = join(LOG_FOLDER, "engine.log");
  const advice = "Is the network reachable (the first build fetches its sources)? Does the disk have 2 GB left?";
  progress.update("fetching sources");
  await mustExecute("cargo", ["fetch", "--locked"], { cwd: ENGINE_CRATE, env, log }, advice);
  const crates = countCrates(env);
  const follower = new BuildFollower();
  const show = () => {
    const of = crates === undefined ? "" : ` of ${Math.max(crates, follower.done.size)}`;
    progress.update(`crate ${follower.done.size}${of}${follower.current === "" ? "" : ` (${follower.current})`}`);
  };
  const timer = setInterval(show, PROGRESS_INTERVAL_MS);
  try {
    const args = ["build", "--release", "--locked", "--lib", "--message-format=json-render-diagnostics"];
    await mustExecute(
      "cargo",
      args,
      { cwd: ENGINE_CRATE, env, log, append: true, onLine: (line) => follower.line(line) },
      advice,
    );
  } finally {
    clearInterval(timer);
  }
  if (follower.includeFolder === undefined)
    throw new SetupError("cargo did not say where the headers are.", { log, advice });

  const fresh = `${output}.new-${process.pid}`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(join(fresh, "lib"), { recursive: true });
  cpSync(join(target, "release", "libweir_engine.a"), join(fresh, "lib", "libweir_engine.a"));
  cpSync(follower.includeFolder, join(fresh, "include"), { recursive: true });
  cpSync(join(ENGINE_CRATE, "include"), join(fresh, "include"), { recursive: true });
  rmSync(output, { recursive: true, force: true });
  renameSync(fresh, output);
}

export const engine = {
  name: "engine",
  check(context) {
    const prebuilt = context.env.WEIR_ENGINE_DIR;
    if (prebuilt) {
      context.engine = prebuilt;
      return { done: isEngine(prebuilt), state: { prebuilt } };
    }
    const key = engineKey(context.rustVersion, context.env);
    const output = join(cacheFolder(context.env), "engine", key);
    context.engine = output;
    return { done: isEngine(output), state: { output } };
  },
  async mend(context, report, progress, { prebuilt, output }) {
    if (prebuilt) {
      throw new SetupError(`WEIR_ENGINE_DIR is ${prebuilt}, which has no ${ENGINE_FILES.join(" and ")}.`, {
        advice: "Unset it to have the engine built, or point it at an output of native/wasmtime.",
      });
    }
    const folder = join(cacheFolder(context.env), "engine");
    const release = await acquireLock(join(folder, "lock"), () =>
      report.line("  another set-up is building the engine; waiting for it"),
    );
    try {
      if (isEngine(output)) return "built by another set-up";
      await build(context, progress, output);
      const now = new Date();
      utimesSync(output, now, now);
      prune(folder);
    } finally {
      await release();
    }
    return "built";
  },
};
