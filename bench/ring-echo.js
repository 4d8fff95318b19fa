/**
 * Echo over an in-process ring: a client stack and a worker take turns on one thread, so that the same traffic takes the
 * same instructions each time. The smoke figure and a guard of `npm test` count them.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program, ROOT } from "./namespaces.js";

const ECHO_BENCH = program("echo_bench");
const CONNECTIONS = 64;
/** Left of this is the run's own start: the difference of two runs counts messages alone. */
const COUNTED_MESSAGES = [20_000, 60_000];

/** Compiles the handler of examples/echo into a folder for a while; returns what `use(module, folder)` does. */
export async function withEcho(use) {
  const folder = mkdtempSync(join(tmpdir(), "weir-bench-"));
  try {
    const module = join(folder, "echo.wasm");
    const weir = join(ROOT, "runtime/bin/weir.js");
    execFileSync(process.execPath, [weir, "build", join(ROOT, "examples/echo"), "-o", module]);
    return await use(module, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One run with a native or a Wasm handler and so many frames in a batch; what echo_bench prints. */
export function echo(handler, batch, messages, windows, module, { prefix = [], connections = CONNECTIONS } = {}) {
  const [command, ...rest] = [...prefix, ECHO_BENCH];
  const options = ["--handler", handler, "--batch", batch, "--connections", connections, "--messages", messages];
  const args = [...rest, ...options, "--windows", windows, "--module", module].map(String);
  return JSON.parse(execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
}

/** Addresses of echo_bench's instructions that lock the bus, or wait until others see what was written. */
function lockedInstructions() {
  const text = execFileSync("objdump", ["-d", "--no-show-raw-insn", ECHO_BENCH], {
    encoding: "utf8",
    maxBuffer: 2 ** 30,
  });
  const locked = /^ +([0-9a-f]+):\t(?:lock |xchg +.*\(|mfence)/gm;
  return new Set([...text.matchAll(locked)].map(([, address]) => Number.parseInt(address, 16)));
}

/** How often instructions of a set ran, by the lines of a file of callgrind's with instructions. */
function countOf(addresses, lines) {
  let isOurs = false;
  let isCall = false;
  let count = 0;
  for (const line of lines) {
    if (line.startsWith("ob=")) isOurs = line.endsWith("/echo_bench");
    // The line behind it has the costs of what was called.
    else if (line.startsWith("calls=")) isCall = true;
    else if (line.startsWith("0x")) {
      const [address, , times] = line.split(" ");
      if (isOurs && !isCall && addresses.has(Number(address))) count += Number(times);
      isCall = false;
    }
  }
  return count;
}

/** The caches that are simulated: those of the machine that docs/performance.md is about. */
const CACHES = ["--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=524288,8,64"];

/** What callgrind counts in the server's cycles of a run, by event, and `locked`: see lockedInstructions. */
function countCycles(handler, batch, messages, module, folder, { connections, withCaches, addresses }) {
  const file = join(folder, "callgrind.out");
  const { messages: done } = echo(handler, batch, messages, 1, module, {
    connections,
    prefix: [
      "valgrind",
      "--tool=callgrind",
      `--callgrind-out-file=${file}`,
      "--collect-atstart=no",
      "--toggle-collect=weir::worker::Worker::cycle(unsigned long)",
      ...(addresses === undefined ? [] : ["--dump-instr=yes", "--compress-pos=no", "--compress-strings=no"]),
      ...(withCaches ? CACHES : []),
    ],
  });
  const text = readFileSync(file, "utf8");
  const events = /^events: (.+)$/m.exec(text)?.[1]?.split(" ");
  const totals = /^(?:summary|totals): (.+)$/m.exec(text)?.[1]?.split(" ");
  if (events === undefined || totals === undefined) throw new Error("callgrind wrote no totals");
  const counts = Object.fromEntries(events.map((event, index) => [event, Number(totals[index])]));
  const locked = addresses === undefined ? 0 : countOf(addresses, text.split("\n"));
  return { done, counts: { ...counts, locked } };
}

/**
 * What the server's cycles take for one message, by callgrind: instructions (Ir), with `withLocks` those that lock the bus
 * (locked), with `withCaches` lines that were not in the caches (D1mr, D1mw: the first one; DLmr, DLmw: the second).
 */
export function countsPerMessage(handler, batch, module, folder, { connections, withCaches, withLocks } = {}) {
  const addresses = withLocks ? lockedInstructions() : undefined;
  const [few, many] = COUNTED_MESSAGES.map((messages) =>
    countCycles(handler, batch, messages, module, folder, { connections, withCaches, addresses }),
  );
  const perMessage = ([event, count]) => [event, (count - few.counts[event]) / (many.done - few.done)];
  return Object.fromEntries(Object.entries(many.counts).map(perMessage));
}
