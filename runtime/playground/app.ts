/** An app folder as something to deploy. */
import { join, resolve } from "node:path";
import { buildApp } from "../build/index.js";
import { cloneFolder } from "../cli/shared/installation.js";
import { type Manifest, readManifest } from "../config/manifest.js";
import type { DeployRequest } from "../control/types.js";

/** A built app: what deploy takes, and which files it came from. */
export interface LoadedApp {
  readonly request: DeployRequest;
  readonly manifest: Manifest;
  readonly watched: readonly string[];
  readonly warnings: readonly unknown[];
}

/** Builds the app of a folder. Throws ConfigError or BuildError. */
export async function loadApp(directory: string): Promise<LoadedApp> {
  const folder = resolve(directory);
  const manifest = await readManifest(folder);
  const { wasm, sourceMap, watched, warnings } = await buildApp({ directory: folder, config: manifest });
  return { request: { manifest, wasm, sourceMap }, manifest, watched, warnings };
}

/** Folder of one of weir's own examples. */
export function exampleFolder(name: string): string {
  return join(cloneFolder(), "examples", name);
}
