/** "Hello, world!" over HTTP/1.1, on connections that stay: answers for each core-second, beside servers of Linux. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compareLoads } from "./compare-loads.js";
import { httpServers } from "./http/servers.js";

const PORT = 80;
const REQUEST = "GET / HTTP/1.1\r\nHost: weir.example\r\n\r\n";
/** Connections, and requests that are sent at once on each. */
const LOADS = [
  { connections: 64, pipeline: 1 },
  { connections: 256, pipeline: 1 },
  { connections: 64, pipeline: 16 },
];
const GOAL = { nginx: 10, bun: 10 };
/** Servers that compile while they run want a while. */
const WARMUP_SECONDS = 0.5;

/** The figure. */
export async function http({ quick, only = "", progress }) {
  const folder = mkdtempSync(join(tmpdir(), "weir-bench-"));
  try {
    const request = join(folder, "request");
    writeFileSync(request, REQUEST);
    const { linux, notes } = httpServers(folder, progress);
    const window = { warmup: WARMUP_SECONDS, seconds: quick ? 0.25 : 0.5, windows: quick ? 4 : 7 };
    const cases = LOADS.map(({ connections, pipeline }) => ({
      name: `${connections} connections${pipeline > 1 ? `, ${pipeline} deep` : ""}`,
      options: { tcp: PORT, http: request, connections, pipeline, ...window },
      goal: GOAL,
    })).filter(({ name }) => name.includes(only));
    const server = { app: "bench/apps/http", linux };
    const report = await compareLoads({ figure: "http", server, cases, rounds: quick ? 2 : 5, progress });
    return { ...report, notes };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
