/** Network namespaces for figures with kernel peers: the script's own, and others beside it. All end with the script. */
import { execFileSync, spawn } from "node:child_process";
import { readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));
const ATTEMPTS = 200;
const ATTEMPT_MS = 100;

/** A program of the native benchmarks. */
export const program = (name) => join(ROOT, "native/build", name);

/** Options of a program as its command line has them: {windows: 5} is --windows 5. */
export const flags = (options) => Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);

/** Builds programs of the native benchmarks. */
export function buildPrograms(...names) {
  const folder = join(ROOT, "native/build");
  const stdio = ["ignore", "ignore", "inherit"];
  // It may have been configured before a library was installed that only a benchmark needs.
  execFileSync("cmake", [folder], { stdio });
  execFileSync("ninja", ["-C", folder, ...names], { stdio });
}

/**
 * Runs a script of bench/ in namespaces of its own, with `parameters` as JSON for its only argument, and returns the JSON
 * that it prints last. Its other lines go to `onLine`. `undisturbed`: all of it goes before the machine's other work, as a
 * worker with a core of its own does.
 */
export function runInside(script, parameters, { onLine = () => {}, undisturbed = false } = {}) {
  const namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const command = [process.execPath, join(ROOT, "bench", script), JSON.stringify(parameters)];
  const [file, ...args] = [...(undisturbed ? ["chrt", "--rr", "1"] : []), ...namespaces, ...command];
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
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

/** Waits for a new process to have left this one's network namespace. */
async function untilElsewhere(pid) {
  const own = readlinkSync("/proc/self/ns/net");
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (readlinkSync(`/proc/${pid}/ns/net`) !== own) return;
    await sleep(ATTEMPT_MS);
  }
  throw new Error("waited in vain for a namespace");
}

/** Another network namespace, held by a process in it. */
export class Namespace {
  #holder;

  /** `command` runs in it until the script ends. */
  static async create(command = ["sleep", "infinity"]) {
    const namespace = new Namespace();
    namespace.#holder = spawn("unshare", ["--net", ...command], { stdio: ["ignore", "ignore", "inherit"] });
    await untilElsewhere(namespace.pid);
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

/**
 * Starts `weir run` on a port like "tap:weir0" and waits until its app runs; its lines go to stderr. The process gets
 * `socket`, the path of its API.
 */
export async function startWeir(app, port, address, ...options) {
  const args = [join(ROOT, "runtime/bin/weir.js"), "run", join(ROOT, app), "--port", port, "--ip", address];
  const weir = spawn(process.execPath, [...args, ...options], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve, reject) => {
    weir.on("close", (code) => reject(new Error(`weir run ended with ${code}`)));
    let text = "";
    weir.stdout.setEncoding("utf8").on("data", (chunk) => {
      process.stderr.write(chunk);
      if (weir.socket !== undefined) return;
      text += chunk;
      weir.socket = / --socket (\S+)\n/.exec(text)?.[1];
      if (weir.socket !== undefined) resolve();
    });
  });
  return weir;
}
