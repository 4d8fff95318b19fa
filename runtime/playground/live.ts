/** The playground's live line of counters. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Stats } from "../control/types.js";

/** What one line compares with the one before. */
export interface Sample {
  readonly timeUs: number;
  readonly events: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly drops: number;
  readonly connections: number;
  readonly failures: number;
}

/** The figures of the live line out of all counters. */
export function sampleOf(stats: Stats): Sample {
  const worker = (group: string, name: string): number => stats.worker[group]?.[name] ?? 0;
  return {
    timeUs: stats.timeUs,
    events: worker("sandbox", "guest_events"),
    packetsIn: worker("port", "rx_frames"),
    packetsOut: worker("port", "tx_frames"),
    drops: stats.dropsTotal,
    connections: stats.apps.reduce((sum, app) => sum + app.connections, 0),
    failures: stats.apps.reduce((sum, app) => sum + app.failures, 0),
  };
}

/** Rates between two samples, and what there is in total. */
export function liveLine(before: Sample, now: Sample): string {
  const seconds = Math.max((now.timeUs - before.timeUs) / 1e6, 1e-3);
  const rate = (key: "events" | "packetsIn" | "packetsOut"): string =>
    Math.max(0, Math.round((now[key] - before[key]) / seconds)).toLocaleString("en-US");
  const parts = [
    `${rate("events")} events/s`,
    `packets ${rate("packetsIn")}/s in ${rate("packetsOut")}/s out`,
    `drops ${now.drops}`,
    `connections ${now.connections}`,
  ];
  if (now.failures > 0) parts.push(`restarts ${now.failures}`);
  return parts.join(" · ");
}

const TTY_INTERVAL_MS = 1_000;
const QUIET_INTERVAL_MS = 10_000;

/**
 * Shows the line until `signal` says to stop: once a second in place on a terminal, else a line every 10 seconds. A
 * reading that fails (the dataplane is being started again) is left out.
 */
export async function showLive(
  read: () => Promise<Stats>,
  stream: NodeJS.WriteStream,
  signal: AbortSignal,
  intervalMs = stream.isTTY ? TTY_INTERVAL_MS : QUIET_INTERVAL_MS,
): Promise<void> {
  let before: Sample | undefined;
  while (!signal.aborted) {
    try {
      const now = sampleOf(await read());
      const line = liveLine(before ?? now, now);
      if (before !== undefined) {
        stream.write(stream.isTTY ? `\r\x1b[K${line.slice(0, (stream.columns || 80) - 1)}` : `${line}\n`);
      }
      before = now;
    } catch {
      before = undefined;
    }
    await sleep(intervalMs, undefined, { signal }).catch(() => {});
  }
  if (stream.isTTY) stream.write("\r\x1b[K");
}
