/**
 * Inside a namespace of its own: a host with the echo example, a client of it, and in every other round a flood of SYNs
 * from stations that do not exist. Prints {"quiet": [...], "flood": [...], "memoryBytes": {...}}.
 * Argument: {seconds, rounds, perSecond}.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { program, ROOT } from "./namespaces.js";

const WEIR = join(ROOT, "runtime/bin/weir.js");
const { seconds, rounds, perSecond } = JSON.parse(process.argv[2]);
const DEVICE = "weir0";
const KERNEL = "10.44.0.1";
const ADDRESS = "10.44.0.2";
const PORT = "7";
const TRANSFER_BYTES = "1048576";
/** Frames that the interface keeps for weir while this machine has no time for it. */
const QUEUE_FRAMES = "10000";
const SAMPLE_MS = 100;

const run = (command, ...args) =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

/** Runs a program to its end; its stdout is JSON. */
async function json(command, args) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  await once(child, "close");
  return JSON.parse(text);
}

/** A host in this namespace, with its first app. */
class Host {
  constructor(folder) {
    this.socket = join(folder, "run", "api.sock");
    mkdirSync(join(folder, "run"), { mode: 0o700 });
    const file = join(folder, "host.toml");
    writeFileSync(
      file,
      `state = "${folder}/state"
[api]
socket = "${this.socket}"
[[port]]
name = "lan"
device = "${DEVICE}"
addresses = ["${ADDRESS}/24"]
kernel_address = "${KERNEL}/24"
gateways = ["${KERNEL}"]
`,
    );
    this.child = spawn(process.execPath, [WEIR, "up", "-c", file], { stdio: ["ignore", 2, 2] });
  }

  weir(...words) {
    return run(process.execPath, WEIR, ...words, "--socket", this.socket);
  }

  async ready() {
    for (let attempt = 0; attempt < 100; attempt++) {
      try {
        this.weir("ls");
        return;
      } catch {
        await sleep(200);
      }
    }
    throw new Error("weir up did not start");
  }

  stats() {
    return JSON.parse(this.weir("stats", "--json"));
  }
}

const folder = mkdtempSync(join(tmpdir(), "weir-bench-"));
run("ip", "link", "set", "lo", "up");
const host = new Host(folder);
await host.ready();
host.weir("deploy", join(ROOT, "examples/echo"));
run("ping", "-c", "1", "-W", "10", ADDRESS);
run("ip", "link", "set", "dev", DEVICE, "txqueuelen", QUEUE_FRAMES);
const linkAddress = /lladdr (\S+)/.exec(run("ip", "neighbor", "show", ADDRESS, "dev", DEVICE))[1];
const { pid } = host.stats().dataplane;
const residentBytes = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) * 1024;

const client = () =>
  json(process.execPath, [join(ROOT, "bench/syn-flood-client.js"), ADDRESS, PORT, TRANSFER_BYTES, String(seconds)]);
const flood = (seed) =>
  json(program("syn_flood"), [
    ...["--device", DEVICE, "--link-address", linkAddress, "--to", ADDRESS, "--port", PORT],
    ...["--rate", String(perSecond), "--seconds", String(seconds), "--seed", String(seed)],
  ]);

const found = { quiet: [], flood: [], memoryBytes: { before: 0, during: 0, after: 0 } };
for (let round = 0; round < rounds; round++) {
  const quiet = await client();
  if (round === 0) found.memoryBytes.before = residentBytes();
  found.quiet.push(quiet);
  const before = host.stats();
  const sampling = setInterval(() => {
    found.memoryBytes.during = Math.max(found.memoryBytes.during, residentBytes());
  }, SAMPLE_MS);
  const [sent, served] = await Promise.all([flood(round + 1), client()]);
  clearInterval(sampling);
  const after = host.stats();
  const grown = (group, name) => after.worker[group][name] - before.worker[group][name];
  found.flood.push({
    ...served,
    offered: sent.offered / sent.seconds,
    sent: sent.perSecond,
    received: grown("port", "rx_frames") / sent.seconds,
    cookiesSent: grown("tcp", "tcp_cookies_tx"),
    cookiesTaken: grown("tcp", "tcp_cookies_taken"),
    accepted: grown("tcp", "tcp_accepted"),
    drops: after.dropsTotal - before.dropsTotal,
  });
}
found.memoryBytes.after = residentBytes();
process.stdout.write(JSON.stringify(found));
host.child.kill("SIGTERM");
await new Promise((resolve) => host.child.once("close", resolve));
rmSync(folder, { recursive: true, force: true });
