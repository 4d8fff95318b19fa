/**
 * `npm run script -- [--trace] [--tap] FILE...`: plays packet scripts against the stack; without files, those of test/scripts.
 * With --tap they are played in real time behind a TAP, in a network namespace of their own.
 */
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

const OPTIONS = ["--trace", "--tap"];

/** The program and its arguments: where there is a TAP, in a namespace that ends with it. */
export function scriptCommand(program, args) {
  const files = args.filter((arg) => !OPTIONS.includes(arg));
  const options = OPTIONS.filter((option) => args.includes(option));
  const command = [program, ...options, ...(files.length > 0 ? files : allScripts())];
  if (!options.includes("--tap")) return command;
  const user = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  return ["unshare", ...user, "--net", "--kill-child", ...command];
}

/** Runs the driver and returns its exit code. */
export async function runScripts(args) {
  const [program, ...rest] = scriptCommand(join(NATIVE_BUILD_SIM, "script"), args);
  const child = spawn(program, rest, { stdio: "inherit" });
  return await new Promise((resolve) => child.once("close", (code) => resolve(code ?? 1)));
}
