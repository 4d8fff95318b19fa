/**
 * memcached's protocol with the mixes of Atikoglu et al. (SIGMETRICS'12), ETC and USR: requests for each core-second in a
 * closed loop, and the highest rate by schedule at which the p99 stays below 500 us.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { which } from "../runtime/setup/shell.js";
import { compareLoads, joinReports } from "./compare-loads.js";
import { ROOT } from "./namespaces.js";
import { judge } from "./report.js";

const PORT = 11_211;
const MIXES = ["etc", "usr"];
const KEYS = 100_000;
const CONNECTIONS = 256;
const MOST_US = 500;
const GOAL = 12;
/** Of the search, requests a second. */
const RATES = { weir: { from: 50_000, to: 2_000_000 }, Linux: { from: 2_000, to: 200_000 } };
/** The keys are stored once for each server. */
const AGAIN = { stored: 1 };
/** As many threads as weir has workers. */
const MEMCACHED = ["-t", "1", "-u", "root", "-m", "1024", "-c", "4096", "-p", String(PORT)];

/** memcached's command, or a note that it is not there. */
export function memcachedServer() {
  const program = which("memcached");
  if (program === undefined) return { linux: {}, notes: ["Linux was left out: install Debian's package memcached"] };
  return { linux: { Linux: [program, ...MEMCACHED] }, notes: [] };
}

/** The figure. `app`: the folder of weir's; `server`: the command of Linux's by name, and notes about it. */
export async function memcached({
  quick,
  only = "",
  progress,
  app = "examples/memcached",
  server = memcachedServer(),
}) {
  const notes = [...server.notes];
  const isThere = existsSync(join(ROOT, app));
  if (!isThere) notes.push(`weir was left out: there is no ${app}`);
  const all = MIXES.flatMap((memcached) => {
    const options = { tcp: PORT, memcached, keys: KEYS, connections: CONNECTIONS };
    const closed = { seconds: quick ? 0.25 : 0.5, windows: quick ? 5 : 7 };
    const open = { seconds: quick ? 0.25 : 0.5, windows: quick ? 4 : 7 };
    return [
      {
        name: memcached,
        options: { ...options, ...closed },
        again: AGAIN,
        goal: GOAL,
        show: ["perCoreSecond"],
        rounds: quick ? 2 : 5,
      },
      {
        name: `${memcached}, p99 < ${MOST_US} us`,
        options: { ...options, ...open },
        search: { mostUs: MOST_US, precision: quick ? 1.25 : undefined, ...RATES },
        again: AGAIN,
        goal: GOAL,
        show: ["highestRate"],
        rounds: quick ? 1 : 3,
      },
    ];
  }).filter(({ name }) => name.includes(only));
  const given = { figure: "memcached", server: { app: isThere ? app : undefined, linux: server.linux }, progress };
  const reports = [];
  for (const { show, rounds, ...each } of all)
    reports.push(await compareLoads({ ...given, cases: [each], show, rounds }));
  if (reports.length === 0) throw new Error("no case of this figure has that in its name");
  const report = joinReports(reports);
  for (const mix of MIXES) {
    const medianOf = (name) => report.rows.find((row) => row.name === name)?.median;
    const search = `${mix}, p99 < ${MOST_US} us`;
    const [weir, peak] = [medianOf(`${search}: weir`), medianOf(`${mix}: Linux`)];
    if (medianOf(`${search}: Linux`) !== 0 || weir === undefined || peak === undefined) continue;
    notes.push(`${mix}: at no rate is the p99 of Linux below ${MOST_US} us, so that weir's is beside its peak`);
    report.ratios.push(judge(`${search}: weir / peak of Linux`, weir / peak, { atLeast: GOAL }));
  }
  return { ...report, notes };
}
