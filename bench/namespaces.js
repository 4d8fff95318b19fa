/** Network namespaces for figures with kernel peers: the script's own, and others beside it. All end with the script. */
import { execFileSync, spawn } from "node:child_process";
import { readlinkSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));
const ATTEMPTS = 200;
const ATTEMPT_MS = 100;

/** A program of the native benchmarks. */
export const program = (name) => join(ROOT, "native/build", name);

/** Builds programs of the native benchmarks. */
export function buildPrograms(...names) {
  execFileSync("ninja", ["-C", join(ROOT, "native/build"), ...names], { stdio: ["ignore", "ignore", "inherit"] });
}

/**
 * Runs a script of bench/ in namespaces of its own, with `parameters` as JSON for its only argument, and returns the JSON
 * that it prints last. Its other lines go to `onLine`.
 */
export function runInside(script, parameters, onLine = () => {}) {
  const namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const command = [process.execPath, join(ROOT, "bench", script), JSON.stringify(parameters)];
  return new Promise((resolve, reject) => {
    const child = spawn("unshare", [...namespaces, ...command], { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk) => {
      const lines = (text + chunk).split("\n");
      text = lines.pop();
      for (const line of lines) onLine(line);
    });
    child.on("close", (code) => {
      if (code === 0) resolve(JSON.parse(text));
      else reject(new Error(`bench/${script} ended with ${code}`));
    });
  });
}

/** Runs ip(8). */
export const ip = (...args) => execFileSync("ip", args.map(String));

async function until(what, check) {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (await check()) return;
    await sleep(ATTEMPT_MS);
  }
  throw new Error(`waited in vain for ${what}`);
}

/** Waits until somebody accepts connections there. */
export async function untilConnects(address, port) {
  const connects = () =>
    new Promise((resolve) => {
      const socket = connect(port, address, () => resolve(true)).on("error", () => resolve(false));
      socket.setTimeout(500, () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
  await until(`an answer at ${address}:${port}`, connects);
}

/** Waits until there is such a device. */
export async function untilDevice(name) {
  await until(`the device ${name}`, () => {
    try {
      execFileSync("ip", ["link", "show", name], { stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  });
}

/** Another network namespace, held by a process in it. */
export class Namespace {
  #holder;

  /** `command` runs in it until the script ends. */
  static async create(command = ["sleep", "infinity"]) {
    const namespace = new Namespace();
    namespace.#holder = spawn("unshare", ["--net", ...command], { stdio: ["ignore", "ignore", "inherit"] });
    const own = readlinkSync("/proc/self/ns/net");
    await until("a namespace", () => readlinkSync(`/proc/${namespace.pid}/ns/net`) !== own);
    namespace.ip("link", "set", "lo", "up");
    return namespace;
  }

  get pid() {
    return this.#holder.pid;
  }

  /** The command line that runs `command` in it. */
  enter(command) {
    return ["nsenter", "--target", String(this.pid), "--net", ...command.map(String)];
  }

  run(...command) {
    const [file, ...args] = this.enter(command);
    return execFileSync(file, args, { encoding: "utf8" });
  }

  ip(...args) {
    return this.run("ip", ...args);
  }

  end() {
    this.#holder.kill();
  }
}

/** Frames stay as they are sent: none are joined, and none left for a device to cut or to sum. */
export function withoutOffloads(device, inside = (command, ...args) => execFileSync(command, args)) {
  inside("ethtool", "-K", device, ...["tso", "gso", "gro", "rx", "tx"].flatMap((each) => [each, "off"]));
}

/** Starts `weir run` on a TAP; its lines go to stderr. */
export function startWeir(app, device, address, ...options) {
  const args = [join(ROOT, "runtime/bin/weir.js"), "run", join(ROOT, app), "--port", `tap:${device}`, "--ip", address];
  return spawn(process.execPath, [...args, ...options], { stdio: ["ignore", 2, "inherit"] });
}
