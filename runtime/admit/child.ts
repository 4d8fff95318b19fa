/**
 * Entry of the short-lived process that admits and compiles one module: `node child.js WORK_DIRECTORY MEMORY_PAGES`.
 * It reads `input.wasm` and writes `result.json` and, when admitted, `compiled.bin` and `offsets.bin`.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadNative, type Native } from "../process/native.js";

/** Names of the files in the work directory. */
export const WORK_FILES = {
  input: "input.wasm",
  result: "result.json",
  compiled: "compiled.bin",
  offsets: "offsets.bin",
} as const;

/** Content of result.json. */
export interface ChildResult {
  readonly outcome: "admitted" | "refused" | "compile_failed";
  /** The addon's report as JSON text, or the compiler's message. */
  readonly report: string;
  readonly engineVersion: string;
}

/** Admits and compiles the module in `workDirectory`. */
export function admitInDirectory(native: Native, workDirectory: string, memoryPages: number): void {
  const file = (name: keyof typeof WORK_FILES): string => join(workDirectory, WORK_FILES[name]);
  const write = (name: keyof typeof WORK_FILES, data: string | Uint8Array): void =>
    writeFileSync(file(name), data, { mode: 0o600 });
  const finish = (outcome: ChildResult["outcome"], report: string): void => {
    const result: ChildResult = { outcome, report, engineVersion: native.engineVersion() };
    write("result", JSON.stringify(result));
  };
  const admission = native.admit(readFileSync(file("input")), { memoryPages });
  if (!admission.admitted || admission.module === undefined || admission.offsets === undefined) {
    finish("refused", admission.report);
    return;
  }
  let compiled: Uint8Array;
  try {
    compiled = native.compile(admission.module);
  } catch (error) {
    finish("compile_failed", (error as Error).message);
    return;
  }
  const { buffer, byteOffset, byteLength } = admission.offsets;
  write("compiled", compiled);
  write("offsets", new Uint8Array(buffer, byteOffset, byteLength));
  finish("admitted", admission.report);
}

/** Exit code when the addon is not there: that says nothing about the module. */
export const NO_ADDON_EXIT_CODE = 70;

function loadOrExit(): Native {
  try {
    return loadNative();
  } catch (error) {
    console.error((error as Error).message);
    process.exit(NO_ADDON_EXIT_CODE);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  admitInDirectory(loadOrExit(), process.argv[2]!, Number(process.argv[3]));
}
