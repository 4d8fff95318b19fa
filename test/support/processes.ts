/** Processes that tests start: collected output, bounded waits, and an end for every one of them. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { WEIR } from "./clone.js";

const POLL_MS = 25;
const DEFAULT_TIMEOUT_MS = 30_000;
const KILL_TIMEOUT_MS = 10_000;
/** Output kept of one process; a test that prints more wants a file. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

export interface Result {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Debian's own: python3-scapy is no package of another installation's. */
export const PYTHON = "/usr/bin/python3";

/** Waits until `condition` returns something other than undefined or false; throws with `what` when it never does. */
export async function until<Value>(
  what: string,
  condition: () => Value | Promise<Value>,
  timeoutMs = DEFAULT_TIMEOUT_MS,
): Promise<Exclude<Value, undefined | false>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value as Exclude<Value, undefined | false>;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs / 1_000} s`);
    await sleep(POLL_MS);
  }
}

/** A process in the background. */
export class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Result>;
  stdout = "";
  stderr = "";
  #result: Result | undefined;

  constructor(command: readonly string[], options: SpawnOptions = {}) {
    const [program = "", ...rest] = command;
    this.child = spawn(program, rest, { stdio: ["pipe", "pipe", "pipe"], ...options });
    const collect = (stream: "stdout" | "stderr") => {
      this.child[stream]?.setEncoding("utf8").on("data", (chunk: string) => {
        this[stream] = (this[stream] + chunk).slice(-MAX_OUTPUT_BYTES);
      });
    };
    collect("stdout");
    collect("stderr");
    this.child.stdin?.on("error", () => {});
    this.ended = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("close", (code, signal) => {
        this.#result = { code, signal, stdout: this.stdout, stderr: this.stderr };
        resolve(this.#result);
      });
    });
    this.ended.catch(() => {});
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`${this.child.spawnfile} could not be started`);
    return this.child.pid;
  }

  get hasEnded(): boolean {
    return this.#result !== undefined;
  }

  /** Waits until stdout or stderr matches; throws with all output when the process ends or the time is over. */
  async output(pattern: RegExp, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<RegExpExecArray> {
    const find = () => {
      const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
      if (match === null && this.hasEnded) throw new Error(`it ended before it printed ${pattern}`);
      return match ?? undefined;
    };
    try {
      return await until(`${pattern} in the output`, find, timeoutMs);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n--- stdout\n${this.stdout}\n--- stderr\n${this.stderr}`);
    }
  }

  /** Waits for the end; kills and throws when it does not come. */
  async end(timeoutMs = DEFAULT_TIMEOUT_MS): Promise<Result> {
    const result = await Promise.race([this.ended, sleep(timeoutMs)]);
    if (result !== undefined) return result;
    this.child.kill("SIGKILL");
    throw new Error(`no end after ${timeoutMs / 1_000} s\n--- stdout\n${this.stdout}\n--- stderr\n${this.stderr}`);
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: NodeJS.Signals = "SIGTERM", timeoutMs = KILL_TIMEOUT_MS): Promise<Result> {
    if (!this.hasEnded) this.child.kill(signal);
    return await this.end(timeoutMs);
  }
}

/** Runs a command to its end. */
export async function execute(
  command: readonly string[],
  options: SpawnOptions & { readonly input?: string | Buffer; readonly timeoutMs?: number } = {},
): Promise<Result> {
  const { input, timeoutMs, ...rest } = options;
  const running = new Running(command, rest);
  running.child.stdin?.end(input);
  return await running.end(timeoutMs);
}

/** Like `execute`, but throws unless the command ends with 0; returns stdout. */
export async function mustExecute(
  command: readonly string[],
  options: Parameters<typeof execute>[1] = {},
): Promise<string> {
  const { code, signal, stdout, stderr } = await execute(command, options);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code ?? signal}\n${stdout}${stderr}`);
  return stdout;
}

/** The environment of a test's own command line: nothing of npm's, nothing that names a host. */
export function testEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const clean = Object.entries(process.env).filter(([name]) => !/^(npm_|WEIR_|VITEST|NODE_OPTIONS$)/.test(name));
  return { ...Object.fromEntries(clean), NO_COLOR: "1", ...extra };
}

/** The command line `weir WORDS`. */
export function weirCommand(...words: string[]): string[] {
  return [process.execPath, WEIR, ...words];
}

/** A process as /proc shows it. */
export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  /** Start time in ticks since boot; with the number it names a process for good. */
  readonly startTicks: string;
  readonly command: string;
}

function readProcess(pid: number): ProcessEntry | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    return { pid, parent: Number(fields[1]), startTicks: fields[19] ?? "", command };
  } catch {
    return undefined;
  }
}

/** All processes that are not zombies. */
export function allProcesses(): ProcessEntry[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((entry) => entry !== undefined);
}

/** A process and everything that it started, as far as the parents are alive. */
export function processTree(root: number): ProcessEntry[] {
  const all = allProcesses();
  const found = all.filter((entry) => entry.pid === root);
  for (const parent of found) found.push(...all.filter((entry) => entry.parent === parent.pid));
  return found;
}

/** Those of `entries` that still run. */
export function stillRunning(entries: readonly ProcessEntry[]): ProcessEntry[] {
  return entries.filter((entry) => readProcess(entry.pid)?.startTicks === entry.startTicks);
}

/** Identity of a process's network namespace; undefined when the process is gone. */
export function networkNamespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}
