/**
 * Echo over an in-process ring: a client stack and a worker take turns on one thread, so that the same traffic takes the
 * same instructions each time. The smoke figure and a guard of `npm test` count them.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { program, ROOT } from "./namespaces.js";

const ECHO_BENCH = program("echo_bench");
const CONNECTIONS = 64;
/** Left of this is the run's own start: the difference of two runs counts messages alone. */
const COUNTED_MESSAGES = [20_000, 60_000];

/** Compiles the handler of examples/echo into `folder`; returns the module's path. */
export function buildEcho(folder) {
  const module = join(folder, "echo.wasm");
  const weir = join(ROOT, "runtime/bin/weir.js");
  execFileSync(process.execPath, [weir, "build", join(ROOT, "examples/echo"), "-o", module]);
  return module;
}

/** One run with a native or a Wasm handler and so many frames in a batch; what echo_bench prints. */
export function echo(handler, batch, messages, windows, module, prefix = []) {
  const [command, ...rest] = [...prefix, ECHO_BENCH];
  const options = ["--handler", handler, "--batch", batch, "--connections", CONNECTIONS, "--messages", messages];
  const args = [...rest, ...options, "--windows", windows, "--module", module].map(String);
  return JSON.parse(execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
}

/** Instructions that the server's cycles take for one message, by callgrind. */
export function instructionsPerMessage(handler, batch, module, folder) {
  const counts = COUNTED_MESSAGES.map((messages) => {
    const file = join(folder, "callgrind.out");
    const cycle = "weir::worker::Worker::cycle(unsigned long)";
    const { messages: done } = echo(handler, batch, messages, 1, module, [
      "valgrind",
      "--tool=callgrind",
      `--callgrind-out-file=${file}`,
      "--collect-atstart=no",
      `--toggle-collect=${cycle}`,
    ]);
    const total = /^(?:summary|totals): (\d+)/m.exec(readFileSync(file, "utf8"));
    if (total === null) throw new Error("callgrind wrote no totals");
    return { done, instructions: Number(total[1]) };
  });
  return (counts[1].instructions - counts[0].instructions) / (counts[1].done - counts[0].done);
}
