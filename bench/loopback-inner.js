/**
 * Inside a namespace of its own: Linux echo servers over loopback, each pinned to one processor and the kernel client to
 * the other. Argument: {servers, connections, bytes, seconds, rounds}: `servers` has commands by name, `connections` are
 * how many, in turn. Prints [{name, runs: [{perServerSecond, perBothSecond}]}] as JSON at the end.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { LOAD_CORE, SERVER_CORE, untilListening } from "./load-sides.js";
import { ip, program } from "./namespaces.js";
import { processorSeconds } from "./process-use.js";

const { servers, connections, bytes, seconds, rounds } = JSON.parse(process.argv[2]);
const ADDRESS = "127.0.0.1";
const pinned = (core, command) => ["--cpu-list", String(core), ...command.map(String)];
const busySeconds = () => [SERVER_CORE, LOAD_CORE].map((core) => processorSeconds(core).busy);

/** One run of the client. */
function run(port, count) {
  const before = busySeconds();
  const load = [program("kernel_bench"), "load", ADDRESS, port, count, bytes, seconds];
  const text = execFileSync("taskset", pinned(LOAD_CORE, load), { encoding: "utf8" });
  const messages = JSON.parse(text).perSecond * seconds;
  const [server, client] = busySeconds().map((after, index) => after - before[index]);
  return { perServerSecond: messages / server, perBothSecond: messages / (server + client) };
}

ip("link", "set", "lo", "up");
const results = [];
for (const [name, command] of Object.entries(servers)) {
  const server = spawn("taskset", pinned(SERVER_CORE, command), { stdio: ["ignore", "ignore", "inherit"] });
  const closed = once(server, "close");
  await untilListening(server.pid);
  for (const count of connections) {
    const runs = Array.from({ length: rounds }, () => run(command[2], count));
    results.push({ name: `${count} connections: ${name} over loopback`, runs });
    console.log(`${results.at(-1).name} ${Math.round(runs[0].perServerSecond).toLocaleString("en-US")}`);
  }
  server.kill();
  await closed;
}
process.stdout.write(JSON.stringify(results));
