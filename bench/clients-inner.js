/**
 * Inside namespaces of its own: clients of the kernel's load weir over TAP and over AF_XDP, and a Linux server over veth, in
 * turn. Argument: {app, linux, client, rounds}: the app's folder, the command of the Linux server, and the client's, in
 * which ADDRESS stands for the server's. Prints what the client wrote in each run, by side.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { LOAD_CORE, linuxSide, weirSide } from "./load-sides.js";
import { ip } from "./namespaces.js";

const { app, linux, client, rounds } = JSON.parse(process.argv[2]);
const DEVICES = ["xdp0", "kernel0"];
const KERNEL_OF_TAP = { port: "tap:weir0", network: 44, address: "10.44.0.1/16" };
const KERNEL_OF_XDP = { port: `af_xdp:${DEVICES[0]}`, network: 43 };

ip("link", "add", DEVICES[0], "type", "veth", "peer", "name", DEVICES[1]);
await promisify(execFile)("ethtool", ["-K", DEVICES[1], "tx", "off", "tso", "off", "gso", "off"]);
ip("address", "add", "10.43.0.1/16", "dev", DEVICES[1]);
for (const device of DEVICES) ip("link", "set", device, "up");

const sides = {
  "weir over TAP": await weirSide(app, { kernel: KERNEL_OF_TAP, spinUs: null }),
  "weir over AF_XDP": await weirSide(app, { kernel: KERNEL_OF_XDP, spinUs: null }),
  ...(linux && { "Linux over veth": await linuxSide(linux, "Linux", { isWhole: true, forKernel: true }) }),
};
const results = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
for (let round = 0; round < rounds; round++)
  for (const [name, side] of Object.entries(sides)) {
    const command = client.map((word) => word.replace("ADDRESS", side.address));
    const run = () => promisify(execFile)("taskset", ["--cpu-list", String(LOAD_CORE), ...command]);
    const { stdout } = await side.awake(run);
    results[name].push(stdout);
    console.log(`${round + 1} of ${rounds}: ${command[0]}: ${name}`);
  }
for (const side of Object.values(sides)) await side.end();
process.stdout.write(JSON.stringify(results));
