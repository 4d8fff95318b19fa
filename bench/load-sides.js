/**
 * The servers that the load figures compare, each with one core, and the load generator on another: weir over memif, and
 * Linux servers over veth; and the bare link. A side is {name, isPolling, mark(), coreSeconds(before, after, seconds),
 * usedSeconds(before, after), awake(use), run(options, onWindow), end()}, and weir's has stats() too: marks are taken at the
 * ends of windows, and tell what a window cost. Within awake(use) the server may work for other clients than run's.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { flags, ip, Namespace, program, startWeir, withoutOffloads } from "./namespaces.js";
import { ownSeconds, processorSeconds, processSeconds, residentBytes, threadOn, threadSeconds } from "./process-use.js";

export const SERVER_CORE = 0;
export const LOAD_CORE = 1;
/** The name of the side that is no server. */
export const LINK = "raw link";
/** Of the first side's network; each other one has the next. */
const FIRST_NETWORK = 45;
const serverIn = (network) => `10.${network}.0.2`;
const clientsIn = (network) => `10.${network}.1.0`;
/** Frames for one call of the kernel; with more, the first wait for the last. */
const KERNEL_BATCH = 32;
/** Its calls themselves take longer than what is a stall elsewhere. */
const KERNEL_STALL_US = 100_000;
/** A Linux server is there when it listens, at the latest after so long. */
const PATIENCE_MS = 20_000;
const LISTENING_POLL_MS = 50;

/** Runs the load generator; `onWindow` is called with each window as it ends. */
async function load(port, network, options, onWindow) {
  const all = { port, server: serverIn(network), clients: clientsIn(network), core: LOAD_CORE, ...options };
  const child = spawn(program("weir_load"), flags(all), { stdio: ["ignore", "pipe", "inherit"] });
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

/**
 * weir over memif, its worker on SERVER_CORE. A core-second is one of the clock, and what its other threads ran. `spinUs`
 * null: as long as a worker spins that was not told otherwise. `kernel`, {port, network, address}: for clients of the
 * kernel's, over this port in place of memif, in 10.network.0.0/16; the kernel's end of a TAP gets the address.
 */
export async function weirSide(app, { batch = 64, connections = 1_000_000, spinUs = 1_000, kernel } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "weir-bench-"));
  const { port, network, address } = kernel ?? {
    port: `memif:${join(folder, "memif.sock")}`,
    network: FIRST_NETWORK,
  };
  const options = {
    cores: SERVER_CORE,
    batch,
    connections,
    ...(spinUs !== null && { "spin-us": spinUs }),
    ...(address && { "kernel-address": address }),
  };
  const control = await startWeir(app, port, `${serverIn(network)}/16`, ...flags(options));
  const { pid } = (await ask(control.socket, "/v1/stats")).dataplane;
  const worker = threadOn(pid, SERVER_CORE);
  return {
    name: "weir",
    address: serverIn(network),
    isPolling: true,
    mark: () => ({
      all: processSeconds(pid) + processSeconds(control.pid),
      worker: threadSeconds(pid, worker),
    }),
    coreSeconds: (before, after, seconds) => seconds + (after.all - before.all) - (after.worker - before.worker),
    usedSeconds: (before, after) => after.all - before.all,
    // Without work it sleeps by itself.
    awake: (use) => use(),
    run: (given, onWindow) =>
      load(port, network, { ...given, "worker-counters": join(dirname(control.socket), "counters") }, onWindow),
    stats: () => ask(control.socket, "/v1/stats"),
    residentBytes: () => residentBytes(pid),
    async end() {
      const closed = once(control, "close");
      control.kill("SIGTERM");
      await closed;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Runs `use` while a process, which is stopped otherwise, goes on. */
const whileAwake = (pid) => async (use) => {
  process.kill(pid, "SIGCONT");
  const result = await use();
  process.kill(pid, "SIGSTOP");
  return result;
};

/** Nothing but the link: who gives each datagram back, over memif, on SERVER_CORE. Loaded with datagrams (`udp`). */
export async function linkSide() {
  const folder = mkdtempSync(join(tmpdir(), "weir-bench-"));
  const port = `memif:${join(folder, "memif.sock")}`;
  const echo = spawn(program("link_echo"), flags({ port, core: SERVER_CORE }), {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(echo.stdout, "data");
  // It spins, and another server has the processor when it is not its turn.
  process.kill(echo.pid, "SIGSTOP");
  const awake = whileAwake(echo.pid);
  return {
    name: LINK,
    isPolling: true,
    mark: () => processSeconds(echo.pid),
    coreSeconds: (_before, _after, seconds) => seconds,
    usedSeconds: (before, after) => after - before,
    awake,
    run: (given, onWindow) => awake(() => load(port, FIRST_NETWORK, given, onWindow)),
    async end() {
      process.kill(echo.pid, "SIGCONT");
      const closed = once(echo, "close");
      echo.kill("SIGTERM");
      await closed;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until somebody listens in the network namespace of a process. */
export async function untilListening(pid) {
  const LISTENING = { tcp: "0A", tcp6: "0A", udp: "07", udp6: "07" };
  for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += LISTENING_POLL_MS) {
    for (const [protocol, state] of Object.entries(LISTENING)) {
      const sockets = readFileSync(`/proc/${pid}/net/${protocol}`, "utf8").split("\n").slice(1);
      if (sockets.some((line) => line.trim().split(/\s+/)[3] === state)) return;
    }
    await sleep(LISTENING_POLL_MS);
  }
  throw new Error("a Linux server does not listen");
}

let linuxSides = 0;

/** The command that has the packets which come from a device worked on by one processor, as a card's interrupts would. */
export function steeringTo(core, device) {
  const mask = (1 << core).toString(16);
  // sysfs shows the devices of the namespace it was mounted in.
  const steer = `mount -t sysfs none /sys && echo ${mask} > /sys/class/net/${device}/queues/rx-0/rps_cpus`;
  return ["unshare", "--mount", "sh", "-c", steer];
}

/**
 * A Linux server over veth, pinned to SERVER_CORE, where its packets are worked on too. A core-second is one in which
 * SERVER_CORE was not idle. While it is not its turn the server is stopped: one that spins would take the time of the
 * others. `isWhole`: the devices cut, join and sum as far as they can. `forKernel`: clients are the kernel's, reach it at
 * `address`, over `device`, and run within `awake(use)`.
 */
export async function linuxSide(command, name = "Linux", { isWhole = false, forKernel = false } = {}) {
  const number = ++linuxSides;
  const network = FIRST_NETWORK + number;
  const device = `load${number}`;
  const server = await Namespace.create(["taskset", "--cpu-list", String(SERVER_CORE), ...command.map(String)]);
  ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", server.pid);
  server.ip("address", "add", `${serverIn(network)}/16`, "dev", "eth0");
  server.ip("link", "set", "eth0", "up");
  ip("link", "set", device, "up");
  if (forKernel) ip("address", "add", `10.${network}.0.1/16`, "dev", device);
  if (!isWhole) {
    withoutOffloads(device);
    withoutOffloads("eth0", (...words) => server.run(...words));
  }
  server.run(...steeringTo(SERVER_CORE, "eth0"));
  ip("link", "set", "lo", "up");
  await untilListening(server.pid);
  process.kill(server.pid, "SIGSTOP");
  const awake = whileAwake(server.pid);
  return {
    name,
    address: serverIn(network),
    device,
    isPolling: false,
    mark: () => processorSeconds(SERVER_CORE).busy,
    coreSeconds: (before, after) => after - before,
    usedSeconds: (before, after) => after - before,
    awake,
    async run(given, onWindow) {
      const options = { ...given, batch: KERNEL_BATCH, "stall-us": KERNEL_STALL_US };
      await awake(() => load(`af_packet:${device}`, network, options, onWindow));
    },
    end() {
      process.kill(server.pid, "SIGCONT");
      server.end();
      ip("link", "del", device);
    },
  };
}

/** Of a window's time: what the load generator must have left, and what it and the hypervisor may have lost. */
const LEAST_IDLE_SHARE = 0.2;
const MOST_STALLED_SHARE = 0.2;
const MOST_STOLEN_SHARE = 0.02;
/** Of one processor: what others on this machine may have run on both. */
const MOST_OTHERS_SHARE = 0.2;
/** A server that is busier than this was not waiting for the load generator. */
const SATURATED_SHARE = 0.9;

/** Why a window says nothing about the server, if it does not. */
function refusalOf(side, { idleShare, stalledShare, coreSeconds, seconds, stolenSeconds, othersSeconds, wrong }) {
  if (wrong > 0) return "answers were wrong";
  if (stolenSeconds / seconds > MOST_STOLEN_SHARE) return "time was stolen";
  // It would be counted as the Linux server's, and weir would be slower for it.
  if (othersSeconds / seconds > MOST_OTHERS_SHARE) return "others used the processors";
  // Of the link, what it takes is a part.
  if (side.name === LINK) return undefined;
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
  const ofMachine = () => {
    const both = [SERVER_CORE, LOAD_CORE].map(processorSeconds);
    const sum = (key) => both.reduce((total, each) => total + each[key], 0);
    // At least: what interrupts took may have been billed to one of ours too.
    return { stolen: sum("stolen"), others: sum("busy") - sum("interrupts") - ownSeconds() };
  };
  let before;
  await side.run(options, (window) => {
    const now = { mark: side.mark(), ...ofMachine() };
    // The first one's time begins somewhere in the start of the program: it is the warm-up.
    if (before !== undefined) {
      const coreSeconds = side.coreSeconds(before.mark, now.mark, window.seconds);
      const usedSeconds = side.usedSeconds(before.mark, now.mark);
      const found = {
        ...window,
        coreSeconds,
        usedSeconds,
        stolenSeconds: now.stolen - before.stolen,
        othersSeconds: now.others - before.others,
        residentBytes: side.residentBytes?.(),
      };
      windows.push({ ...found, perCoreSecond: window.messages / coreSeconds, refused: refusalOf(side, found) });
    }
    before = now;
  });
  return windows;
}
