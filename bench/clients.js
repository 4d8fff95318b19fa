/**
 * Well-known clients on the kernel's stack, as they come: wrk against an HTTP server and memcaslap against a memcached, of
 * weir's over TAP and AF_XDP and of Linux over veth. Any error of theirs is one of the figure's.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { which } from "../runtime/setup/shell.js";
import { httpServers } from "./http/servers.js";
import { memcachedServer } from "./memcached.js";
import { runInside } from "./namespaces.js";
import { judge, machine, median, noiseOf, summarize } from "./report.js";

/** The rate that a client names; throws where anything went wrong for it. */
const CLIENTS = {
  wrk(text) {
    if (/Socket errors|Non-2xx/.test(text)) throw new Error(`wrk met errors:\n${text}`);
    return Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
  },
  memcaslap(text) {
    const wrong = /^(get_misses|verify_misses|verify_failed): (?!0$).*/m.exec(text);
    if (wrong) throw new Error(`memcaslap met errors: ${wrong[0]}`);
    return Number(/TPS: (\d+)/.exec(text)?.[1]);
  },
};

/** The figure. */
export async function clients({ quick, progress }) {
  const folder = mkdtempSync(join(tmpdir(), "weir-bench-"));
  try {
    const seconds = quick ? 1 : 3;
    const rounds = quick ? 3 : 7;
    const cases = [
      {
        app: "bench/apps/http",
        linux: httpServers(folder, progress).linux.nginx,
        client: ["wrk", "-t1", "-c50", `-d${seconds}`, "http://ADDRESS/"],
      },
      {
        app: "examples/memcached",
        linux: memcachedServer().linux.Linux,
        client: [
          "memcaslap",
          "-s",
          "ADDRESS:11211",
          "-T",
          "1",
          "-c",
          "32",
          "-x",
          String(64_000 * seconds),
          "-v",
          "1.0",
        ],
      },
    ];
    const rows = [];
    const ratios = [];
    const notes = [];
    for (const each of cases) {
      const [program] = each.client;
      if (which(program) === undefined) {
        notes.push(`${program} is not there: install Debian's package ${PACKAGES[program]}`);
        continue;
      }
      const texts = await runInside("clients-inner.js", { ...each, rounds }, { onLine: progress });
      const rates = Object.entries(texts).map(([side, runs]) => [side, runs.map(CLIENTS[program])]);
      for (const [side, runs] of rates) rows.push(summarize(`${program}: ${side}`, "requests/s", runs));
      const linux = rates.find(([side]) => side.startsWith("Linux"));
      if (linux === undefined) continue;
      for (const [side, runs] of rates)
        if (side !== linux[0]) ratios.push(judge(`${program}: ${side} / Linux`, median(runs) / median(linux[1])));
    }
    return { figure: "clients", machine: machine(), noise: noiseOf(rows), rows, ratios, notes };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
const PACKAGES = { wrk: "wrk", memcaslap: "libmemcached-tools" };
