/**
 * Inside a namespace of its own: a kernel client sends to and receives from weir over TAP and a Linux server over veth, in
 * turn. Argument: {seconds, rounds}. Prints the Gbit/s of each run by direction and side.
 */
import { execFileSync } from "node:child_process";
import { ip, Namespace, program, startWeir } from "./namespaces.js";

const WEIR = "10.45.0.2";
const SERVER = "10.46.0.2";
const [SINK_PORT, SOURCE_PORT] = [5_001, 5_002];
const STREAM_BENCH = program("stream_bench");
const { seconds, rounds } = JSON.parse(process.argv[2]);

ip("link", "set", "lo", "up");
const server = await Namespace.create([STREAM_BENCH, "serve", SINK_PORT, SOURCE_PORT].map(String));
ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth1", "netns", server.pid);
ip("address", "add", "10.46.0.1/24", "dev", "veth0");
ip("link", "set", "veth0", "up");
server.ip("address", "add", `${SERVER}/24`, "dev", "veth1");
server.ip("link", "set", "veth1", "up");
const weir = await startWeir("bench/apps/bulk", "tap:weir0", `${WEIR}/24`, "--kernel-address", "10.45.0.1/24");

function gigabits(role, address, port) {
  const args = [role, address, port, seconds].map(String);
  return (JSON.parse(execFileSync(STREAM_BENCH, args, { encoding: "utf8" })).bytes * 8) / 1e9 / seconds;
}

const directions = { "to the server": ["send", SINK_PORT], "from the server": ["receive", SOURCE_PORT] };
const sides = { weir: WEIR, linux: SERVER };
const results = Object.fromEntries(Object.keys(directions).map((each) => [each, { weir: [], linux: [] }]));
for (let round = 0; round < rounds; round++)
  for (const [direction, [role, port]] of Object.entries(directions)) {
    for (const [side, address] of Object.entries(sides)) results[direction][side].push(gigabits(role, address, port));
    const [ours, theirs] = Object.keys(sides).map((side) => results[direction][side].at(-1).toFixed(1));
    console.log(`${round + 1} of ${rounds}, ${direction}: weir ${ours}, Linux ${theirs} Gbit/s`);
  }
process.stdout.write(JSON.stringify(results));
weir.kill("SIGTERM");
server.end();
