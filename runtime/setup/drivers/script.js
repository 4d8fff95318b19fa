/** `npm run script -- [--trace] FILE...`: plays packet scripts against the stack; without files, those of test/scripts. */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { NATIVE_BUILD_SIM, ROOT } from "../paths.js";

/** The scripts of the project. */
export function allScripts(folder = join(ROOT, "test", "scripts")) {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".pkt"))
    .sort()
    .map((name) => join(folder, name));
}

/** Runs the driver and returns its exit code. */
export async function runScripts(args) {
  const files = args.filter((arg) => arg !== "--trace");
  const trace = args.includes("--trace") ? ["--trace"] : [];
  const child = spawn(join(NATIVE_BUILD_SIM, "script"), [...trace, ...(files.length > 0 ? files : allScripts())], {
    stdio: "inherit",
  });
  return await new Promise((resolve) => child.once("close", (code) => resolve(code ?? 1)));
}
