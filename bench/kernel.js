/**
 * Inside a namespace of its own: weir's echo over TAP and an epoll echo server over veth, each loaded by the same kernel
 * client in turn. Prints {"weir over TAP": [...], "Linux epoll over veth": [...]}. Argument: {seconds, rounds}.
 */
import { execFileSync } from "node:child_process";
import { ip, Namespace, program, startWeir } from "./namespaces.js";

const KERNEL_BENCH = program("kernel_bench");
const CONNECTIONS = "64";
const BYTES = "64";
const { seconds, rounds } = JSON.parse(process.argv[2]);

ip("link", "set", "lo", "up");
// The epoll server has a namespace of its own at the other end of a veth pair.
const server = await Namespace.create([KERNEL_BENCH, "serve", "7"]);
ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth1", "netns", server.pid);
ip("addr", "add", "10.46.0.1/24", "dev", "veth0");
ip("link", "set", "veth0", "up");
server.ip("addr", "add", "10.46.0.2/24", "dev", "veth1");
server.ip("link", "set", "veth1", "up");

const weir = await startWeir("examples/echo", "tap:weir0", "10.45.0.2/24");
ip("addr", "add", "10.45.0.1/24", "dev", "weir0");
ip("link", "set", "weir0", "up");

const targets = { "weir over TAP": "10.45.0.2", "Linux epoll over veth": "10.46.0.2" };
const results = Object.fromEntries(Object.keys(targets).map((name) => [name, []]));
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
server.end();
