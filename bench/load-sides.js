/**
 * The two servers that the load figures compare, each with one core, and the load generator on another: weir over memif,
 * and a Linux server over veth. A side is {name, isPolling, mark(), coreSeconds(before, after, seconds), run(options,
 * onWindow), end()}: marks are taken at the ends of windows, and tell what a window cost.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ip, Namespace, program, startWeir, withoutOffloads } from "./namespaces.js";
import { processorSeconds, threadSeconds } from "./processor-time.js";

const SERVER_CORE = 0;
const LOAD_CORE = 1;
const ADDRESSES = { weir: "10.45.0.2", linux: "10.46.0.2" };
/** Frames for one call of the kernel; with more, the first wait for the last. */
const KERNEL_BATCH = 32;
/** Its calls themselves take longer than what is a stall elsewhere. */
const KERNEL_STALL_US = 100_000;
const CLIENTS = { weir: "10.45.1.0", linux: "10.46.1.0" };

/** Runs the load generator; `onWindow` is called with each window as it ends. */
async function load(port, server, clients, options, onWindow) {
  const all = { port, server, clients, core: LOAD_CORE, ...options };
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn(program("weir_load"), args, { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  for await (const line of createInterface({ input: child.stdout })) onWindow(JSON.parse(line));
  const [code] = await closed;
  if (code !== 0) throw new Error(`the load generator ended with ${code}`);
}

/** Asks weir's API. */
function ask(socketPath, path) {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path }, async (response) => {
      let text = "";
      for await (const chunk of response.setEncoding("utf8")) text += chunk;
      resolve(JSON.parse(text));
    });
    asked.on("error", reject).end();
  });
}

/** weir over memif, its worker on SERVER_CORE. A core-second is one of the clock, and what its other threads ran. */
export async function weirSide(app, { batch = 64, connections = 1_000_000 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "weir-bench-"));
  const port = `memif:${join(folder, "memif.sock")}`;
  const options = { cores: SERVER_CORE, batch, "spin-us": 1_000, connections };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const control = await startWeir(app, port, `${ADDRESSES.weir}/16`, ...args);
  const { pid } = (await ask(control.socket, "/v1/stats")).dataplane;
  const others = () => {
    const seconds = [...threadSeconds(pid), ...threadSeconds(control.pid)].sort((a, b) => b - a);
    // The worker is the one that runs most.
    return seconds.slice(1).reduce((sum, each) => sum + each, 0);
  };
  return {
    name: "weir",
    isPolling: true,
    mark: others,
    coreSeconds: (before, after, seconds) => seconds + after - before,
    run: (given, onWindow) => load(port, ADDRESSES.weir, CLIENTS.weir, given, onWindow),
    async end() {
      const closed = once(control, "close");
      control.kill("SIGTERM");
      await closed;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * A Linux server over veth, pinned to SERVER_CORE. Receive packet steering has its packets worked on there too, as a
 * network card's interrupts would. A core-second is one in which SERVER_CORE was not idle.
 */
export async function linuxSide(command, name = "Linux") {
  const server = await Namespace.create(["taskset", "--cpu-list", String(SERVER_CORE), ...command.map(String)]);
  ip("link", "add", "load0", "type", "veth", "peer", "name", "eth0", "netns", server.pid);
  server.ip("address", "add", `${ADDRESSES.linux}/16`, "dev", "eth0");
  server.ip("link", "set", "eth0", "up");
  ip("link", "set", "load0", "up");
  withoutOffloads("load0");
  withoutOffloads("eth0", (...words) => server.run(...words));
  const mask = (1 << SERVER_CORE).toString(16);
  // sysfs shows the devices of the namespace it was mounted in.
  const steer = `mount -t sysfs none /sys && echo ${mask} > /sys/class/net/eth0/queues/rx-0/rps_cpus`;
  server.run("unshare", "--mount", "sh", "-c", steer);
  ip("link", "set", "lo", "up");
  return {
    name,
    isPolling: false,
    mark: () => processorSeconds(SERVER_CORE).busy,
    coreSeconds: (before, after) => after - before,
    run: (given, onWindow) =>
      load(
        "af_packet:load0",
        ADDRESSES.linux,
        CLIENTS.linux,
        { ...given, batch: KERNEL_BATCH, "stall-us": KERNEL_STALL_US },
        onWindow,
      ),
    async end() {
      server.end();
      ip("link", "del", "load0");
    },
  };
}

/** Of a window's time: what the load generator must have left, and what it and the hypervisor may have lost. */
const LEAST_IDLE_SHARE = 0.2;
const MOST_STALLED_SHARE = 0.2;
const MOST_STOLEN_SHARE = 0.02;
/** A server that is busier than this was not waiting for the load generator. */
const SATURATED_SHARE = 0.9;

/** Why a window says nothing about the server, if it does not. */
function refusalOf(side, { idleShare, stalledShare, coreSeconds, seconds, stolenSeconds }) {
  if (stolenSeconds / seconds > MOST_STOLEN_SHARE) return "time was stolen";
  // The kernel's calls take longer than what counts as a stall.
  if (!side.isPolling)
    return idleShare < LEAST_IDLE_SHARE && coreSeconds / seconds < SATURATED_SHARE ? BUSY : undefined;
  if (stalledShare > MOST_STALLED_SHARE) return "the load generator stalled";
  return idleShare < LEAST_IDLE_SHARE ? BUSY : undefined;
}
const BUSY = "the load generator was busy";

/**
 * Runs the load against one side and returns its windows with `perCoreSecond`, and those that count for nothing with
 * `refused`, the reason.
 */
export async function measure(side, options) {
  const windows = [];
  const stolen = () => processorSeconds(SERVER_CORE).stolen + processorSeconds(LOAD_CORE).stolen;
  let before;
  await side.run(options, (window) => {
    const now = { mark: side.mark(), stolen: stolen() };
    // The first one's time begins somewhere in the start of the program: it is the warm-up.
    if (before !== undefined) {
      const coreSeconds = side.coreSeconds(before.mark, now.mark, window.seconds);
      const found = { ...window, coreSeconds, stolenSeconds: now.stolen - before.stolen };
      windows.push({ ...found, perCoreSecond: window.messages / coreSeconds, refused: refusalOf(side, found) });
    }
    before = now;
  });
  return windows;
}
