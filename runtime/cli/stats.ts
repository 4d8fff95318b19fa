import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { AppStats, CounterGroups, Stats } from "../control/types.js";
import { endSignal, exitCodeHelp, hosting } from "./hosting.js";
import { connectHost } from "./shared/endpoint.js";
import { CliError, ExitCode, exit, formatTable, globalOptions, print } from "./shared/output.js";

/** Ticks are for programs. */
const isHidden = (name: string, value: number): boolean =>
  value === 0 || name.startsWith("tsc_") || name.endsWith("_ticks");

function counters(title: string, values: Readonly<Record<string, number>>): string {
  const shown = Object.entries(values).filter(([name, value]) => !isHidden(name, value));
  if (shown.length === 0) return "";
  return `${title}: ${shown.map(([name, value]) => `${name} ${value}`).join(", ")}`;
}

const appName = ({ tenant, name }: AppStats): string => `${tenant}/${name}`;

/** How the work is shared, where there are several workers. */
function formatWorkers({ workers }: Stats): string {
  if (workers.length < 2) return "";
  const row = ({ port, cycle, drop }: CounterGroups, index: number) => [
    index,
    port?.rx_frames ?? 0,
    port?.tx_frames ?? 0,
    port?.steered_in ?? 0,
    port?.steered_out ?? 0,
    cycle?.cycles ?? 0,
    Object.values(drop ?? {}).reduce((sum, value) => sum + value, 0),
  ];
  return formatTable({
    columns: ["worker", "frames in", "frames out", "from others", "to others", "cycles", "drops"],
    rows: workers.map(row),
  });
}

/** All that is not zero, for people. */
export function formatStats(stats: Stats): string {
  const { dataplane, worker, drops, dropsTotal, batches, stages, apps } = stats;
  const upS = Math.round((stats.timeUs - dataplane.startedUs) / 1e6);
  return [
    `dataplane pid ${dataplane.pid}, up ${upS} s, restarts ${dataplane.restarts}`,
    ...Object.entries(worker).map(([group, values]) => counters(group, values)),
    formatWorkers(stats),
    `batches: ${batches.count}, ${batches.framesPerBatch.toFixed(2)} frames each`,
    counters(`drops (${dropsTotal})`, drops) || "drops: none",
    formatTable({
      columns: ["stage", "ms", "share"],
      rows: stages.map(({ name, ns, share }) => [name, Math.round(ns / 1e6), `${(share * 100).toFixed(1)} %`]),
    }),
    ...apps.map((app) => counters(`${appName(app)} (failures ${app.failures})`, app.counters)),
  ]
    .filter((line) => line !== "")
    .join("\n");
}

/** What happened between two readings, on one line. */
export function formatRates(before: Stats, after: Stats): string {
  const seconds = (after.timeUs - before.timeUs) / 1e6;
  const rate = (now: number | undefined, then: number | undefined): number =>
    seconds <= 0 ? 0 : Math.max(0, Math.round(((now ?? 0) - (then ?? 0)) / seconds));
  const port = (name: string): number => rate(after.worker.port?.[name], before.worker.port?.[name]);
  const apps = after.apps.map((app) => {
    const then = before.apps.find(({ id }) => id === app.id);
    return `${appName(app)} ${app.connections} conn ${rate(app.counters.events, then?.counters.events)} ev/s`;
  });
  const drops = rate(after.dropsTotal, before.dropsTotal);
  return [`rx ${port("rx_frames")}/s  tx ${port("tx_frames")}/s  drops ${drops}/s`, ...apps].join("  |  ");
}

/** `weir stats`: the counters of a host. */
export function register(program: Command): void {
  program
    .command("stats")
    .description("show the counters of a running host")
    .option("--watch [seconds]", "a line of rates again and again until Ctrl-C")
    .addHelpText("after", exitCodeHelp({ 5: "no host runs" }))
    .action(
      hosting(async (options: { watch?: string | true }, command: Command) => {
        const { json, socket } = globalOptions(command);
        const host = await connectHost({ socket });
        let stats = await host.stats();
        if (options.watch === undefined) {
          print(stats, { json, text: () => formatStats(stats) });
          return;
        }
        const seconds = options.watch === true ? 1 : Number(options.watch);
        if (!(seconds >= 0.1 && seconds <= 3600)) {
          throw new CliError("--watch takes 0.1 to 3600 seconds.", ExitCode.usage);
        }
        const ended = new AbortController();
        void endSignal().then(() => ended.abort());
        while (!ended.signal.aborted) {
          await sleep(seconds * 1000, undefined, { signal: ended.signal }).catch(() => undefined);
          if (ended.signal.aborted) break;
          const before = stats;
          stats = await host.stats();
          print(stats, { json, text: formatRates(before, stats) });
        }
        await exit(0);
      }),
    );
}
