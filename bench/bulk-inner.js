/**
 * Inside namespaces of its own: streams to and from weir and Linux, in turn, Gbit for each core-second of the server's.
 * Large packets: a kernel client, weir over TAP and Linux over veth. Packets of 1,500 bytes: the load generator and weir
 * over memif; the kernel client, and Linux over a veth that neither cuts nor joins. Argument: {seconds, rounds, streams}.
 * Prints [{name, kind, weir, linux}] with the value of each run.
 */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { LOAD_CORE, linuxSide, measure, steeringTo, weirSide } from "./load-sides.js";
import { program } from "./namespaces.js";

const APP = "bench/apps/bulk";
const TAP = "weir0";
const KERNEL = { port: `tap:${TAP}`, network: 44, address: "10.44.0.1/16" };
const PORTS = { sink: 5_001, source: 5_002, receiver: 5_003, supplier: 5_004 };
const MESSAGE_BYTES = 65_536;
const WARMUP_S = 0.3;
const STREAM_BENCH = program("stream_bench");
const { seconds, rounds, streams } = JSON.parse(process.argv[2]);
const folder = mkdtempSync(join(tmpdir(), "weir-bench-"));
/** What a client of the load generator's says, and how much comes back. */
const message = join(folder, "message");
const wish = join(folder, "wish");
writeFileSync(message, Buffer.alloc(MESSAGE_BYTES, "x"));
writeFileSync(wish, "?");
const DIRECTIONS = {
  "to the server": {
    kernel: ["send", PORTS.sink],
    load: { tcp: PORTS.receiver, request: message, "response-bytes": 1 },
  },
  "from the server": {
    kernel: ["receive", PORTS.source],
    load: { tcp: PORTS.supplier, request: wish, "response-bytes": MESSAGE_BYTES },
  },
};
const gigabits = (bytes, coreSeconds) => (bytes * 8) / 1e9 / coreSeconds;

/** With the kernel's client, on LOAD_CORE. */
async function byKernel(side, direction, count) {
  const options = [...direction.kernel.toSpliced(1, 0, side.address), seconds, WARMUP_S, count];
  const done = promisify(execFile)("taskset", ["--cpu-list", LOAD_CORE, STREAM_BENCH, ...options].map(String));
  await sleep(WARMUP_S * 1e3);
  const before = side.mark();
  const { stdout } = await done;
  return gigabits(JSON.parse(stdout).bytes, side.usedSeconds(before, side.mark()));
}

/** With the load generator's. */
async function byLoad(side, direction, count) {
  const windows = await measure(side, { ...direction.load, connections: count, seconds, windows: 2 });
  const good = windows.filter(({ refused }) => refused === undefined);
  return good.map((window) => gigabits(window.messages * MESSAGE_BYTES, window.coreSeconds));
}

const serve = [STREAM_BENCH, "serve", PORTS.sink, PORTS.source];
const sides = {
  tap: await weirSide(APP, { kernel: KERNEL }),
  memif: await weirSide(APP),
  whole: await linuxSide(serve, "Linux", { isWhole: true, forKernel: true }),
  cut: await linuxSide(serve, "Linux", { forKernel: true }),
};
for (const device of [TAP, sides.whole.device, sides.cut.device]) {
  const [command, ...args] = steeringTo(LOAD_CORE, device);
  execFileSync(command, args);
}
const KINDS = {
  "large packets": { weir: [sides.tap, byKernel], linux: [sides.whole, byKernel] },
  "packets of 1,500 bytes": { weir: [sides.memif, byLoad], linux: [sides.cut, byKernel] },
};
const results = new Map();
for (let round = 0; round < rounds; round++)
  for (const [direction, how] of Object.entries(DIRECTIONS))
    for (const count of streams)
      for (const [kind, pair] of Object.entries(KINDS)) {
        const name = `${kind}, ${count === 1 ? "one stream" : `${count} streams`} ${direction}`;
        if (!results.has(name)) results.set(name, { name, kind, weir: [], linux: [] });
        const result = results.get(name);
        for (const [key, [side, measured]] of Object.entries(pair)) {
          const values = await side.awake(() => measured(side, how, count));
          result[key].push(...[values].flat());
        }
        const [ours, theirs] = [result.weir, result.linux].map((values) => values.at(-1)?.toFixed(1) ?? "refused");
        console.log(`${round + 1} of ${rounds}: ${name}: weir ${ours}, Linux ${theirs} Gbit/core-s`);
      }
for (const side of Object.values(sides)) await side.end();
rmSync(folder, { recursive: true, force: true });
process.stdout.write(JSON.stringify([...results.values()]));
