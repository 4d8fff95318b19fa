/** Counters as people and programs want them. */
import type { CounterReading } from "../process/counters.js";
import type { CounterDescription } from "../process/native.js";
import type { AppInfo, AppStats, HostInfo, Stage, Stats } from "./types.js";

const STAGE_PREFIX = "tsc_";

/** The counters that are stages of a worker's cycle. */
export function stagesOf(worker: ReadonlyMap<string, number>, tscHz: number): Stage[] {
  const ticks = [...worker].filter(([name]) => name.startsWith(STAGE_PREFIX));
  const total = ticks.reduce((sum, [, value]) => sum + value, 0);
  return ticks.map(([name, value]) => ({
    name: name.slice(STAGE_PREFIX.length),
    ticks: value,
    ns: tscHz === 0 ? 0 : Math.round((value / tscHz) * 1e9),
    share: total === 0 ? 0 : value / total,
  }));
}

/** Counters by the group they belong to. */
function byGroup(
  descriptions: readonly CounterDescription[],
  values: ReadonlyMap<string, number>,
): Record<string, Record<string, number>> {
  const groups: Record<string, Record<string, number>> = {};
  for (const { name, group } of descriptions) {
    groups[group] ??= {};
    groups[group][name] = values.get(name) ?? 0;
  }
  return groups;
}

/** One reading as JSON. */
export function buildStats(input: {
  readonly reading: CounterReading;
  readonly descriptions: readonly CounterDescription[];
  readonly tscHz: number;
  readonly dataplane: HostInfo["dataplane"];
  readonly apps: readonly AppInfo[];
}): Stats {
  const { reading, descriptions, tscHz, dataplane } = input;
  const { drop: drops = {}, ...groups } = byGroup(descriptions, reading.total);
  const count = reading.total.get("rx_batches") ?? 0;
  const frames = reading.total.get("rx_frames") ?? 0;
  return {
    timeUs: Date.now() * 1000,
    dataplane,
    tscHz,
    worker: groups,
    workers: reading.workers.map((worker) => byGroup(descriptions, worker)),
    drops,
    dropsTotal: Object.values(drops).reduce((sum, value) => sum + value, 0),
    batches: { count, framesPerBatch: count === 0 ? 0 : frames / count },
    stages: stagesOf(reading.total, tscHz),
    apps: input.apps.map(
      ({ id, tenant, name, connections, failures }): AppStats => ({
        id,
        tenant,
        name,
        connections,
        failures,
        counters: Object.fromEntries(reading.app(id)),
      }),
    ),
  };
}
