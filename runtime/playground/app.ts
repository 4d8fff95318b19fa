/** An app folder as something to deploy. Builds are kept on disk, so that a playground starts without compiling. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { cloneFolder, guestFolder } from "../cli/shared/installation.js";
import { type Manifest, readManifest } from "../config/manifest.js";
import type { DeployRequest } from "../control/types.js";

const KEPT_BUILDS = 32;

/** A built app: what deploy takes, and which files it came from. */
export interface LoadedApp {
  readonly request: DeployRequest;
  readonly manifest: Manifest;
  readonly watched: readonly string[];
  readonly warnings: readonly unknown[];
}

interface KeptBuild {
  /** Path, size in bytes and modification time in milliseconds of every source. */
  readonly sources: readonly (readonly [string, number, number])[];
  readonly wasm: string;
  readonly sourceMap: string;
}

function buildFolder(): string {
  const base = process.env.XDG_CACHE_HOME;
  return join(base && isAbsolute(base) ? base : join(homedir(), ".cache"), "weir", "builds");
}

async function stateOf(path: string): Promise<readonly [string, number, number]> {
  const found = await stat(path).catch(() => undefined);
  return [path, found?.size ?? -1, found?.mtimeMs ?? -1];
}

async function isCurrent(build: KeptBuild): Promise<boolean> {
  const now = await Promise.all(build.sources.map(([path]) => stateOf(path)));
  return now.every(([, size, mtimeMs], index) => {
    const [, keptSize, keptMtimeMs] = build.sources[index] ?? ["", 0, 0];
    return size === keptSize && mtimeMs === keptMtimeMs;
  });
}

async function readKept(path: string): Promise<KeptBuild | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as KeptBuild;
  } catch {
    return undefined;
  }
}

async function keep(folder: string, path: string, build: KeptBuild): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const fresh = `${path}.${process.pid}`;
  await writeFile(fresh, JSON.stringify(build), { mode: 0o600 });
  await rename(fresh, path);
  const kept = await Promise.all((await readdir(folder)).map((name) => stateOf(join(folder, name))));
  const old = kept.sort((a, b) => b[2] - a[2]).slice(KEPT_BUILDS);
  await Promise.all(old.map(([each]) => rm(each, { force: true })));
}

/** Files that a build depends on besides the app's own sources: the SDK and the builder itself. */
async function commonSources(): Promise<string[]> {
  const builder = fileURLToPath(new URL("../build/", import.meta.url));
  const listed = async (folder: string, extension: string): Promise<string[]> =>
    (await readdir(folder, { recursive: true }))
      .filter((name) => name.endsWith(extension))
      .map((name) => join(folder, name));
  return [...(await listed(guestFolder(), ".ts")), ...(await listed(builder, ".js"))];
}

/**
 * Builds the app of a folder, or takes the kept build when no source changed since. Throws ConfigError or BuildError.
 */
export async function loadApp(directory: string): Promise<LoadedApp> {
  const folder = resolve(directory);
  const manifest = await readManifest(folder);
  const name = createHash("sha256").update(`${folder}\0${manifest.main}`).digest("hex").slice(0, 24);
  const path = join(buildFolder(), `${name}.json`);
  const kept = await readKept(path);
  if (kept !== undefined && (await isCurrent(kept))) {
    const wasm = Buffer.from(kept.wasm, "base64");
    return {
      request: { manifest, wasm, sourceMap: kept.sourceMap },
      manifest,
      watched: kept.sources.map(([source]) => source),
      warnings: [],
    };
  }
  // The compiler is large: it is loaded only when there is something to compile.
  const { buildApp } = await import("../build/index.js");
  const common = await commonSources();
  const before = new Map((await Promise.all(common.map(stateOf))).map((state) => [state[0], state] as const));
  const startedMs = Date.now();
  const built = await buildApp({ directory: folder, config: manifest });
  const sources = await Promise.all(
    [...new Set([...built.watched, ...common])].map(async (each) => before.get(each) ?? stateOf(each)),
  );
  // A source that was written during the build may or may not be in it.
  if (sources.every(([, , mtimeMs]) => mtimeMs < startedMs)) {
    await keep(buildFolder(), path, {
      sources,
      wasm: Buffer.from(built.wasm).toString("base64"),
      sourceMap: built.sourceMap,
    });
  }
  return {
    request: { manifest, wasm: built.wasm, sourceMap: built.sourceMap },
    manifest,
    watched: built.watched,
    warnings: built.warnings,
  };
}

/** Folder of one of weir's own examples. */
export function exampleFolder(name: string): string {
  return join(cloneFolder(), "examples", name);
}
