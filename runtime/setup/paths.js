/** Where things lie. */
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Root of the clone. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url)).replace(/\/$/, "");
/** What set-up keeps in the clone: logs and stamps. */
export const STATE_FOLDER = join(ROOT, ".weir");
export const LOG_FOLDER = join(STATE_FOLDER, "logs");
export const STAMP_FOLDER = join(STATE_FOLDER, "stamps");
export const NATIVE_FOLDER = join(ROOT, "native");
export const NATIVE_BUILD = join(NATIVE_FOLDER, "build");
/** The simulator and what belongs to it: built without the engine. */
export const NATIVE_BUILD_SIM = join(NATIVE_FOLDER, "build-sim");
export const NATIVE_BUILD_FUZZ = join(NATIVE_FOLDER, "build-fuzz");
/** Fuzz targets: the crate of the one in Rust, and those in JavaScript. */
export const FUZZ_CRATE = join(NATIVE_FOLDER, "fuzz", "modules");
export const FUZZ_SCRIPTS = join(ROOT, "test", "fuzz");
export const NATIVE_BUILD_ASAN = join(NATIVE_FOLDER, "build-asan");
export const ENGINE_CRATE = join(NATIVE_FOLDER, "wasmtime");

/** The user's cache folder for weir; it outlives clones and is shared by them. */
export function cacheFolder(env = process.env) {
  const base = env.XDG_CACHE_HOME;
  // The XDG base directory specification: relative paths are to be ignored.
  return join(base && isAbsolute(base) ? base : join(homedir(), ".cache"), "weir");
}
