/**
 * Inside a namespace of its own: weir's echo over TAP and an epoll echo server over veth, each loaded by the same kernel
 * client in turn. Prints {"weir over TAP": [...], "Linux epoll over veth": [...]}. Arguments: seconds, rounds.
 */
import { execFileSync, spawn } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const KERNEL_BENCH = join(ROOT, "native/build/kernel_bench");
const CONNECTIONS = "64";
const BYTES = "64";
const [seconds, rounds] = process.argv.slice(2).map(Number);

const ip = (...args) => execFileSync("ip", args);

async function untilConnects(address, port) {
  for (let attempt = 0; attempt < 200; attempt++) {
    const connected = await new Promise((resolve) => {
      const socket = connect(port, address, () => resolve(true)).on("error", () => resolve(false));
      socket.setTimeout(500, () => resolve(false));
    });
    if (connected) return;
    await sleep(100);
  }
  throw new Error(`nobody answers at ${address}:${port}`);
}

ip("link", "set", "lo", "up");
// The epoll server has a namespace of its own at the other end of a veth pair.
const server = spawn("unshare", ["--net", KERNEL_BENCH, "serve", "7"], { stdio: ["ignore", "ignore", "inherit"] });
await sleep(300);
ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth1", "netns", String(server.pid));
ip("addr", "add", "10.46.0.1/24", "dev", "veth0");
ip("link", "set", "veth0", "up");
const inside = (...args) => execFileSync("nsenter", ["-t", String(server.pid), "-n", "ip", ...args]);
inside("addr", "add", "10.46.0.2/24", "dev", "veth1");
inside("link", "set", "veth1", "up");

const weir = spawn(
  process.execPath,
  [
    join(ROOT, "runtime/bin/weir.js"),
    "run",
    join(ROOT, "examples/echo"),
    "--port",
    "tap:weir0",
    "--ip",
    "10.45.0.2/24",
  ],
  { stdio: ["ignore", "inherit", "inherit"].map((to, i) => (i === 1 ? 2 : to)) },
);
for (let attempt = 0; attempt < 200; attempt++) {
  try {
    ip("link", "show", "weir0");
    break;
  } catch {
    await sleep(100);
  }
}
ip("addr", "add", "10.45.0.1/24", "dev", "weir0");
ip("link", "set", "weir0", "up");

const targets = { "weir over TAP": "10.45.0.2", "Linux epoll over veth": "10.46.0.2" };
const results = Object.fromEntries(Object.keys(targets).map((name) => [name, []]));
for (const address of Object.values(targets)) await untilConnects(address, 7);
for (let round = 0; round < rounds; round++) {
  for (const [name, address] of Object.entries(targets)) {
    const text = execFileSync(KERNEL_BENCH, ["load", address, "7", CONNECTIONS, BYTES, String(seconds)], {
      encoding: "utf8",
    });
    results[name].push(JSON.parse(text));
  }
}
process.stdout.write(JSON.stringify(results));
weir.kill("SIGTERM");
server.kill("SIGTERM");
