/**
 * Inside namespaces of its own: weir and a Linux server on one bridge, the link of the simulator behind it, a Linux client
 * behind that. Argument: {cases, runs}, as in paths.js. Prints what each run measured, and all of it as JSON at the end.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { flags, ip, Namespace, program, startWeir, withoutOffloads } from "./namespaces.js";

const WEIR = "10.45.0.2";
const SERVER = "10.45.0.3";
const CLIENT = "10.45.0.4";
const [SINK_PORT, SOURCE_PORT] = [5_001, 5_002];
const STREAM_BENCH = program("stream_bench");
const { cases, runs } = JSON.parse(process.argv[2]);

/** A namespace with a device on a bridge. */
async function station(bridge, device, address, command) {
  const namespace = await Namespace.create(command);
  ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", namespace.pid);
  ip("link", "set", device, "master", bridge, "up");
  namespace.ip("address", "add", `${address}/24`, "dev", "eth0");
  namespace.ip("link", "set", "eth0", "up");
  // What one run learned about the path must not help the next one.
  namespace.run("sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1");
  withoutOffloads(device);
  withoutOffloads("eth0", (...words) => namespace.run(...words));
  return namespace;
}

function addToBridge(device, bridge) {
  withoutOffloads(device);
  ip("link", "set", device, "master", bridge, "up");
}

ip("link", "set", "lo", "up");
for (const [bridge, tap] of [
  ["near", "link0"],
  ["far", "link1"],
]) {
  ip("link", "add", bridge, "type", "bridge", "mcast_snooping", 0);
  ip("link", "set", bridge, "up");
  ip("tuntap", "add", tap, "mode", "tap");
  addToBridge(tap, bridge);
}
const server = await station("near", "server0", SERVER, [STREAM_BENCH, "serve", SINK_PORT, SOURCE_PORT].map(String));
const client = await station("far", "client0", CLIENT);
const weir = await startWeir("bench/apps/bulk", "tap:weir0", `${WEIR}/24`, "--no-offload");
addToBridge("weir0", "near");

/** The link of one run. */
async function withLink({ rtt_ms, rate_mbit, loss, queue_bytes, jitter_ms = 0 }, seed, use) {
  const delay_ms = rtt_ms / 2;
  const queue = { "queue-bytes": queue_bytes, "queue-packets": 1_000_000 };
  const options = { "rate-mbit": rate_mbit, "delay-ms": delay_ms, "jitter-ms": jitter_ms, loss, seed, ...queue };
  const link = spawn(program("tap_link"), ["--a", "link0", "--b", "link1", ...flags(options)], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  // Until both devices have their carrier, and late frames of the run before have been refused.
  await sleep(500);
  try {
    return await use();
  } finally {
    const closed = once(link, "close");
    link.kill("SIGTERM");
    await closed;
  }
}

/** One stream of the client's, in Mbit/s. */
async function stream(role, address, { seconds, after }) {
  const port = role === "send" ? SINK_PORT : SOURCE_PORT;
  const [command, ...args] = client.enter([STREAM_BENCH, role, address, port, seconds, after]);
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`stream_bench ${role} ${address} ended with ${code}`);
  return (JSON.parse(text).bytes * 8) / 1e6 / seconds;
}

/** What share the first of two streams has, in percent. Which of them begins a moment earlier changes with each run. */
async function share(first, second, path, seed) {
  const begin = (address) => stream("receive", address, path);
  const [a, b] = seed % 2 === 1 ? [first, second] : [second, first];
  const streams = [begin(a), begin(b)];
  const [ours, other] = await Promise.all(seed % 2 === 1 ? streams : streams.reverse());
  return (100 * ours) / (ours + other);
}

async function measure(path, seed) {
  const role = path.direction === "to weir" ? "send" : "receive";
  const one = {
    goodput: (address) => stream(role, address, path),
    share: (address) => share(address, SERVER, path, seed),
  }[path.kind];
  const found = {};
  for (const [name, address] of [
    ["weir", WEIR],
    ["linux", SERVER],
  ])
    found[name] = await withLink(path, seed, () => one(address));
  return found;
}

await withLink({ rtt_ms: 1, rate_mbit: 100, loss: 0, queue_bytes: 1_000_000 }, 1, async () => {
  // Connecting from here would need an address on a bridge; the client has one.
  for (const address of [WEIR, SERVER]) await stream("send", address, { seconds: 0.2, after: 0 });
});
const results = cases.map((path) => ({ ...path, weir: [], linux: [] }));
for (let run = 0; run < runs; run++)
  for (const path of results) {
    const found = await measure(path, run + 1);
    for (const side of ["weir", "linux"]) path[side].push(found[side]);
    const [ours, theirs] = [found.weir, found.linux].map((value) => value.toFixed(2));
    console.log(`${run + 1} of ${runs}: ${path.name}: weir ${ours}, Linux ${theirs}`);
  }
process.stdout.write(JSON.stringify(results));
weir.kill("SIGTERM");
for (const namespace of [server, client]) namespace.end();
