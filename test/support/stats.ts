/** What tests read of `weir stats --json` and `weir logs --json`. */
import type { TestHost } from "./host.js";

export interface AppStats {
  readonly tenant: string;
  readonly name: string;
  readonly connections: number;
  readonly failures: number;
  readonly counters: Readonly<Record<string, number>>;
}

export interface HostStats {
  readonly dataplane: { readonly pid: number; readonly restarts: number };
  readonly drops: Readonly<Record<string, number>>;
  readonly apps: readonly AppStats[];
  /** A counter of the worker that is no drop. */
  counter(name: string): number;
  app(name: string): AppStats;
}

/** Reads all counters. */
export async function statsOf(host: TestHost): Promise<HostStats> {
  type Raw = Omit<HostStats, "counter" | "app"> & { worker: Record<string, Record<string, number>> };
  const raw = await host.json<Raw>("stats");
  const worker: Record<string, number> = Object.assign({}, ...Object.values(raw.worker));
  return {
    ...raw,
    counter: (name) => {
      const value = worker[name];
      if (value === undefined) throw new Error(`there is no counter ${name}`);
      return value;
    },
    app: (name) => {
      const found = raw.apps.find((app) => app.name === name);
      if (found === undefined) throw new Error(`there is no app ${name}`);
      return found;
    },
  };
}

export interface LogLine {
  readonly tenant: string;
  readonly app: string;
  readonly kind: string;
  readonly text: string;
  readonly frames: readonly { readonly function: string; readonly file: string; readonly line: number }[];
}

/** All log lines of an app. */
export async function logsOf(host: TestHost, app: string, tenant: string): Promise<LogLine[]> {
  const { stdout } = await host.weir("logs", app, "--tenant", tenant, "--json");
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as LogLine);
}
