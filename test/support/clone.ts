/** The clone under test. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const CLONE = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const WEIR = join(CLONE, "runtime", "bin", "weir.js");

/** Folder of an example app. */
export function example(name: string): string {
  return join(CLONE, "examples", name);
}

/** Throws with advice when what these tests run has not been built: a missing build is a failure, not a reason to skip. */
export function requireBuild(): void {
  for (const path of ["native/build/weir.node", "runtime/dist/cli/main.js"]) {
    if (!existsSync(join(CLONE, path))) throw new Error(`${path} is missing: run npm test, or npm start once.`);
  }
}
