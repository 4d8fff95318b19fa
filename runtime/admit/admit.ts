/** Verifies, rewrites, proves and compiles a module in a process of its own, bounded in time and memory. */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { constants } from "../abi/contract.js";
import { type ChildResult, NO_ADDON_EXIT_CODE, WORK_FILES } from "./child.js";
import { type AdmissionReport, parseReport, problemsOf, RefusedError } from "./report.js";

const MIB = 1024 * 1024;
/** Largest module that is taken, bytes. */
export const MAX_MODULE_BYTES = 16 * MIB;
const TIMEOUT_MS = 60_000;
/** Private memory of the process, bytes (RLIMIT_DATA). */
const MAX_DATA_BYTES = 2 * 1024 * MIB;
const MAX_HEAP_MIB = 512;
const MAX_OUTPUT_BYTES = 8192;

export interface AdmitOptions {
  readonly memoryPages: number;
  /** Entry script of the process. */
  readonly entry?: string;
  readonly timeoutMs?: number;
}

/** An admitted and compiled module. */
export interface AdmittedModule {
  readonly compiled: Uint8Array;
  readonly offsets: Uint32Array;
  readonly report: AdmissionReport;
  readonly engineVersion: string;
}

/** Pages of an app's linear memory: the windows below the module's base, then what it asked for. */
export function memoryPagesOf(memoryMib: number): number {
  const value = (name: string): number => constants.find((c) => c.name === name)!.value;
  return (value("module_base") + memoryMib * MIB) / value("page_bytes");
}

/** Rejects with RefusedError when the module is not admitted, and when the process crashes or takes too long. */
export async function admitModule(wasm: Uint8Array, options: AdmitOptions): Promise<AdmittedModule> {
  if (wasm.length > MAX_MODULE_BYTES) {
    const message = `the module has ${wasm.length} bytes; at most ${MAX_MODULE_BYTES} are possible`;
    throw new RefusedError(message, "build without debug information, and large data into files of their own");
  }
  const directory = await mkdtemp(join(tmpdir(), "weir-admit-"));
  try {
    await writeFile(join(directory, WORK_FILES.input), wasm, { mode: 0o600 });
    await runChild(directory, options);
    return await readResult(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function readResult(directory: string): Promise<AdmittedModule> {
  const { outcome, report, engineVersion } = JSON.parse(
    await readFile(join(directory, WORK_FILES.result), "utf8"),
  ) as ChildResult;
  if (outcome === "compile_failed") {
    throw new RefusedError(`the module could not be compiled: ${report}`, "");
  }
  const parsed = parseReport(report);
  if (outcome === "refused") {
    const problems = problemsOf(parsed);
    const count = problems.length + parsed.errorsLeftOut;
    throw new RefusedError(
      `the module is refused for ${count === 1 ? "one reason" : `${count} reasons`}`,
      "",
      problems,
    );
  }
  const compiled = await readFile(join(directory, WORK_FILES.compiled));
  const offsets = new Uint32Array(new Uint8Array(await readFile(join(directory, WORK_FILES.offsets))).buffer);
  return { compiled, offsets, report: parsed, engineVersion };
}

/** Resolves when the process ended with 0. */
function runChild(directory: string, options: AdmitOptions): Promise<void> {
  const entry = options.entry ?? fileURLToPath(new URL("./child.js", import.meta.url));
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const limits = [`--data=${MAX_DATA_BYTES}`, `--cpu=${Math.ceil(timeoutMs / 1000) * 2}`, "--core=0"];
  const node = [process.execPath, `--max-old-space-size=${MAX_HEAP_MIB}`, entry];
  return new Promise((resolve, reject) => {
    const child = spawn("prlimit", [...limits, ...node, directory, String(options.memoryPages)], {
      stdio: ["ignore", "ignore", "pipe"],
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    let output = "";
    child.stderr.on("data", (chunk: Buffer) => {
      output = (output + chunk.toString("utf8")).slice(-MAX_OUTPUT_BYTES);
    });
    const started = Date.now();
    child.once("error", (error) => {
      const message = `the process that checks modules could not be started: ${error.message}`;
      reject(new Error(`${message} (prlimit comes with the package util-linux)`));
    });
    child.once("close", (code, signal) => {
      if (code === 0) {
        resolve();
      } else if (code === NO_ADDON_EXIT_CODE) {
        reject(new Error(output.trim()));
      } else if (signal !== null) {
        const tooLong = Date.now() - started >= timeoutMs;
        const message = tooLong
          ? `checking and compiling the module took longer than ${timeoutMs / 1000} s`
          : `checking the module ended by ${signal}`;
        reject(new RefusedError(message, tooLong ? "make its functions smaller" : "please report the module"));
      } else {
        const lines = output.trim().split("\n");
        const last = lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? "";
        reject(new RefusedError(`checking the module ended with ${code}: ${last}`, ""));
      }
    });
  });
}
