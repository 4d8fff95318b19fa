/** Names an engine by everything that went into it. */
import { join } from "node:path";
import { ENGINE_CRATE } from "./paths.js";
import { filesBelow, hashContents } from "./stamp.js";

const KEY_DIGITS = 24;

/** Files that decide what the engine is. */
export function engineSources() {
  return filesBelow(
    ENGINE_CRATE,
    (name) => /\.(rs|h|toml)$/.test(name) || name === "Cargo.lock",
    (folder) => folder === "target" || folder === "tests" || folder.startsWith("."),
  );
}

/** The engine's name in the cache: a hash of its sources, lock and features, the compiler and its flags, and the target. */
export function engineKey(rustVersion, env) {
  const flags = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CC", "CFLAGS"].map(
    (name) => env[name] ?? "",
  );
  return hashContents(ENGINE_CRATE, engineSources(), [rustVersion, process.arch, ...flags]).slice(0, KEY_DIGITS);
}

/** Whether a folder is an engine as the native build needs it. */
export const ENGINE_FILES = [
  join("lib", "libweir_engine.a"),
  join("include", "weir_engine.h"),
  join("include", "wasmtime.h"),
];
