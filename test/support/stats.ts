/** What tests read of a host's counters and logs: over its API, which costs less than a command line each time. */
import { HostClient } from "../../runtime/control/client.js";
import type { AppStats, LogLine, Stats } from "../../runtime/control/types.js";
import type { TestHost } from "./host.js";

export interface HostStats extends Stats {
  /** A counter of the worker that is no drop. */
  counter(name: string): number;
  app(name: string): AppStats;
}

/** Reads all counters. */
export async function statsOf(host: TestHost): Promise<HostStats> {
  const stats = await new HostClient(host.socket).stats();
  const worker: Record<string, number> = Object.assign({}, ...Object.values(stats.worker));
  return {
    ...stats,
    counter: (name) => {
      const value = worker[name];
      if (value === undefined) throw new Error(`there is no counter ${name}`);
      return value;
    },
    app: (name) => {
      const found = stats.apps.find((app) => app.name === name);
      if (found === undefined) throw new Error(`there is no app ${name}`);
      return found;
    },
  };
}

/** The log lines of an app so far. */
export async function logsOf(host: TestHost, app: string, tenant: string): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const line of new HostClient(host.socket).logs({ app, tenant })) lines.push(line);
  return lines;
}
