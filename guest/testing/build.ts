/** Builds handlers for tests with one compiler. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BuiltApp, buildApp } from "../../runtime/build/index.js";

/** Builds a handler from its text, in a folder of its own outside of the project. */
export async function buildText(text: string, debug = false): Promise<BuiltApp> {
  const directory = mkdtempSync(join(tmpdir(), "weir-handler-"));
  try {
    writeFileSync(join(directory, "handler.ts"), text);
    return await buildApp({ directory, config: { main: "handler.ts" }, debug });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Builds the app in the folder of a test. */
export function buildFolder(testUrl: string): Promise<BuiltApp> {
  return buildApp({ directory: join(fileURLToPath(testUrl), "..") });
}
