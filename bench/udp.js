/** Requests and answers of 64 bytes over UDP, for each core-second: a Wasm handler over memif, a Linux server over veth. */
import { compareLoads } from "./compare-loads.js";
import { program } from "./namespaces.js";

const CLIENTS = [64, 256, 1_024];
const GOAL = 30;
const PORT = 7;
const SERVER = {
  app: "bench/apps/udp-echo",
  linux: { Linux: [program("kernel_bench"), "serve-udp", PORT] },
  programs: ["kernel_bench"],
};

/** The figure. */
export async function udp({ quick, only = "", progress }) {
  const cases = CLIENTS.map((connections) => ({
    name: `${connections} clients`,
    options: { udp: PORT, connections, bytes: 64, seconds: quick ? 0.25 : 0.5, windows: quick ? 5 : 7 },
    goal: GOAL,
  })).filter(({ name }) => name.includes(only));
  return await compareLoads({ figure: "udp", server: SERVER, cases, rounds: quick ? 3 : 7, progress });
}
