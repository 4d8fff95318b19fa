/** Runs other programs, with their output in a log. */
import { spawn } from "node:child_process";
import { accessSync, constants, createWriteStream, mkdirSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { SetupError } from "./report.js";

const LOG_TAIL_LINES = 15;
/** Where Debian keeps administration tools that are not on every user's PATH. */
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/** Variables that npm adds for the script it runs; a nested npm would read them as its own options. */
export function withoutNpm(env) {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^npm_(config_(check|only)|lifecycle|package)/.test(name)),
  );
}

/** Full path of a program, or undefined. */
export function which(program, env = process.env) {
  for (const folder of [...(env.PATH ?? "").split(delimiter), ...SYSTEM_FOLDERS]) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** The last lines of a log, for an error message. */
export function tailOf(log, lines = LOG_TAIL_LINES) {
  try {
    return readFileSync(log, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  } catch {
    return "";
  }
}

const running = new Set();

/** Passes a signal on to every program that runs now. */
export function signalRunning(signal) {
  for (const child of running) child.kill(signal);
}

/**
 * Runs a program to its end with its output in `log` (a path) and returns { code, stdout }. `onLine` sees each line of
 * stdout; stdout is kept only when `capture` is set.
 */
export async function execute(
  command,
  args,
  { cwd, env = process.env, log, append = false, onLine, capture = false } = {},
) {
  if (log !== undefined) mkdirSync(dirname(log), { recursive: true });
  const file = log === undefined ? undefined : createWriteStream(log, { flags: append ? "a" : "w" });
  file?.write(`$ ${[command, ...args].join(" ")}\n`);
  const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  let stdout = "";
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    if (capture) stdout += chunk;
    if (onLine === undefined) {
      file?.write(chunk);
      return;
    }
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    for (const line of lines) onLine(line, file);
  });
  child.stderr.on("data", (chunk) => file?.write(chunk));
  const code = await new Promise((resolve) => {
    child.once("error", (error) => {
      file?.write(`${error.message}\n`);
      resolve(127);
    });
    child.once("close", (status, signal) => resolve(status ?? (signal === null ? 1 : 128)));
  });
  running.delete(child);
  if (rest !== "") onLine?.(rest, file);
  if (file !== undefined) await new Promise((resolve) => file.end(resolve));
  return { code, stdout };
}

/** Like `execute`, but anything other than success is a SetupError that shows the end of the log. */
export async function mustExecute(command, args, options, advice) {
  const result = await execute(command, args, options);
  if (result.code !== 0) {
    const what = `\`${[command, ...args].join(" ")}\` ended with code ${result.code}`;
    const tail = options.log === undefined ? "" : tailOf(options.log);
    throw new SetupError(tail === "" ? what : `${what}:\n${tail.replace(/^/gm, "    ")}`, { log: options.log, advice });
  }
  return result;
}
