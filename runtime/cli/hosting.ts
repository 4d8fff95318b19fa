/** What the verbs that build, check and host apps share. */
import { stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { RefusedError } from "../admit/report.js";
import { BuildError, buildApp } from "../build/index.js";
import { beforePort } from "../config/address.js";
import { MANIFEST_FILE, type Manifest, readManifest } from "../config/manifest.js";
import { ConfigError } from "../config/problem.js";
import { HostError, type HostErrorCode } from "../control/errors.js";
import type { AppInfo, LogLine } from "../control/types.js";
import { CliError, ExitCode, run } from "./shared/output.js";

const EXIT_CODES: Record<HostErrorCode, ExitCode> = {
  invalid: ExitCode.refused,
  forbidden: ExitCode.refused,
  not_found: ExitCode.notFound,
  conflict: ExitCode.refused,
  limit: ExitCode.refused,
  refused: ExitCode.refused,
  busy: ExitCode.unavailable,
  internal: ExitCode.failed,
  unavailable: ExitCode.unavailable,
  timeout: ExitCode.timeout,
};

/** The error as the command line shows it. */
export function asCliError(error: unknown): unknown {
  if (error instanceof ConfigError) {
    const [first] = error.problems;
    const count = error.problems.length;
    const problems = error.problems.map(({ line, column, ...rest }) => (line === 0 ? rest : { line, column, ...rest }));
    const message = `${first?.file} has ${count === 1 ? "a mistake" : `${count} mistakes`}`;
    return new CliError(message, ExitCode.refused, undefined, { problems });
  }
  if (error instanceof BuildError) {
    return new CliError("The app does not compile.", ExitCode.refused, undefined, { problems: error.messages });
  }
  if (error instanceof RefusedError) {
    const problems = error.problems.map(({ rule, message, place, hint }) => ({
      file: place,
      message: `${message} [${rule}]`,
      hint,
    }));
    return new CliError(error.message, ExitCode.refused, error.hint || undefined, { problems });
  }
  if (error instanceof HostError) {
    return new CliError(error.message, EXIT_CODES[error.code], error.hint || undefined, { problems: error.problems });
  }
  return error;
}

/** Wraps an action: errors of the modules behind the verbs become the command line's. */
export function hosting<Arguments extends unknown[]>(
  action: (...parameters: Arguments) => Promise<void>,
): (...parameters: Arguments) => Promise<void> {
  return run(async (...parameters: Arguments) => {
    try {
      await action(...parameters);
    } catch (error) {
      throw asCliError(error);
    }
  });
}

/** An app that is ready to be admitted. */
export interface LoadedApp {
  readonly directory: string;
  readonly manifest: Manifest;
  readonly wasm: Uint8Array;
  /** "" when there is none. */
  readonly sourceMap: string;
  readonly warnings: readonly string[];
}

/** The app's folder: `path` is the folder or its weir.toml. Throws CliError. */
export async function appDirectory(path: string): Promise<string> {
  const absolute = resolve(path);
  const found = await stat(absolute).catch(() => undefined);
  if (found?.isDirectory()) return absolute;
  if (found?.isFile() && basename(absolute) === MANIFEST_FILE) return dirname(absolute);
  if (found === undefined) throw new CliError(`There is no ${path}.`, ExitCode.notFound);
  const hint = `Put a ${MANIFEST_FILE} beside it with main = "${basename(absolute)}" and a [[listen]], and name the folder.`;
  throw new CliError(`${path} is not a folder with a ${MANIFEST_FILE}.`, ExitCode.usage, hint);
}

/** Reads weir.toml and builds what it names. */
export async function loadApp(path: string, debug = false): Promise<LoadedApp> {
  const directory = await appDirectory(path);
  const manifest = await readManifest(directory);
  const { wasm, sourceMap, warnings } = await buildApp({ directory, config: { main: manifest.main }, debug });
  const texts = warnings.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`);
  return { directory, manifest, wasm, sourceMap, warnings: texts };
}

/** Where an app is reached, for people: "http://10.44.0.2:80, udp 10.44.0.2:53". */
export function formatListens(app: Pick<AppInfo, "listens">): string {
  return app.listens
    .map(({ protocol, address, port }) => {
      const host = address === "" ? "the learned address" : beforePort(address);
      if (protocol !== "http") return `${protocol} ${host}:${port}`;
      return `http://${host}${port === 80 ? "" : `:${port}`}/`;
    })
    .join(", ");
}

/** One log line for people, with the local time of day. */
export function formatLogLine(line: LogLine): string {
  const date = new Date(line.timeUs / 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const time = `${clock}.${String(date.getMilliseconds()).padStart(3, "0")}`;
  const who = line.app === "" ? "weir" : line.tenant === "" ? line.app : `${line.tenant}/${line.app}`;
  const level = line.level === "info" ? "" : `${line.level}: `;
  return `${time} ${who}  ${level}${printable(line.text)}`;
}

/** Text of guests reaches a terminal: control characters must not. */
export function printable(text: string): string {
  return text.replace(/(?![\n\t])\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** Resolves at the first SIGINT or SIGTERM; install it before what has to be ended is started. */
export function endSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
}

/** Text after a verb's help. */
export function exitCodeHelp(codes: Readonly<Record<number, string>>): string {
  const lines = Object.entries(codes).map(([code, meaning]) => `  ${code}  ${meaning}`);
  return `\nExit codes:\n  0  done\n${lines.join("\n")}\n`;
}
