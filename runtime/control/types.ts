/** What a host offers, the same in its own process and over its API. */
import type { Limits, Manifest } from "../config/manifest.js";
import type { ListenSpec } from "../process/native.js";

/** The tenant of who names none. */
export const DEFAULT_TENANT = "default";

export interface HostInfo {
  readonly version: string;
  readonly pid: number;
  readonly dataplane: {
    readonly state: "running" | "restarting";
    /** 0 while there is none. */
    readonly pid: number;
    readonly engineVersion: string;
    readonly startedUs: number;
    /** How often the process was started again after it died. */
    readonly restarts: number;
  };
  readonly port: {
    readonly name: string;
    readonly driver: string;
    readonly device: string;
    /** weir's configured addresses with their prefixes. */
    readonly addresses: readonly string[];
    readonly linkAddress: string;
    readonly mtuBytes: number;
  };
  readonly runDirectory: string;
  readonly stateDirectory: string;
  readonly persistent: boolean;
}

export interface DeployRequest {
  /** A weir.toml's content, checked again by the host. */
  readonly manifest: Manifest;
  readonly wasm: Uint8Array;
  readonly sourceMap?: string | undefined;
  readonly tenant?: string | undefined;
  /** Wait until the app's first instance started or failed (bounded; default true). */
  readonly wait?: boolean | undefined;
}

export interface DeployResult {
  readonly app: AppInfo;
  /** What is not as asked: ceilings that won, warnings about the module. */
  readonly notes: readonly string[];
  /** An app of this name ran before; its connections stay. */
  readonly replaced: boolean;
  readonly elapsedMs: number;
}

/** `running`: in the dataplane. `failing`: there, but its instances do not stay up. `waiting`: not in the dataplane. */
export type AppState = "running" | "failing" | "waiting";

export interface AppInfo {
  readonly id: number;
  readonly tenant: string;
  readonly name: string;
  readonly state: AppState;
  /** Why it is failing or waiting; "" otherwise. */
  readonly problem: string;
  readonly listens: readonly (ListenSpec & { readonly address: string })[];
  readonly connects: readonly string[];
  /** What it has, after the ceilings. */
  readonly limits: Limits;
  /** Connections open now. */
  readonly connections: number;
  /** Instances that ended by a trap, an overrun or a violation since this control plane knows the app. */
  readonly failures: number;
  readonly deployedUs: number;
  /** SHA-256 of the module as it was deployed, hexadecimal. */
  readonly moduleSha256: string;
}

/** A place in the source text. */
export interface SourcePlace {
  /** Name of the function as in the source; "" when unknown. */
  readonly function: string;
  /** "" when unknown. */
  readonly file: string;
  /** From 1; 0 when unknown. */
  readonly line: number;
  readonly column: number;
}

export interface LogLine {
  /** Grows by one with every line of this control plane. */
  readonly sequence: number;
  /** Time of day, microseconds since 1970. */
  readonly timeUs: number;
  /** "" together with `app` for the host's own lines. */
  readonly tenant: string;
  readonly app: string;
  readonly level: "debug" | "info" | "warn" | "error";
  /** "log" for what the app wrote, "host" for the host's own lines, else what happened to the instance. */
  readonly kind: string;
  readonly text: string;
  /** Where it happened, innermost first. */
  readonly frames: readonly SourcePlace[];
}

export interface LogQuery {
  readonly app?: string | undefined;
  readonly tenant?: string | undefined;
  /** Go on with new lines until the caller stops. */
  readonly follow?: boolean | undefined;
  /** Only lines after this sequence number. */
  readonly since?: number | undefined;
  /** Ends a `follow`. */
  readonly signal?: AbortSignal | undefined;
}

export interface Stage {
  readonly name: string;
  readonly ticks: number;
  /** 0 when the speed of the time stamp counter is unknown. */
  readonly ns: number;
  /** Part of the time of all stages, 0 to 1. */
  readonly share: number;
}

export interface AppStats {
  readonly id: number;
  readonly tenant: string;
  readonly name: string;
  readonly connections: number;
  readonly failures: number;
  readonly counters: Readonly<Record<string, number>>;
}

/** Counters by name, by the group they belong to. */
export type CounterGroups = Readonly<Record<string, Readonly<Record<string, number>>>>;

export interface Stats {
  readonly timeUs: number;
  readonly dataplane: HostInfo["dataplane"];
  /** Ticks of the time stamp counter a second; 0 when unknown. */
  readonly tscHz: number;
  /** The counters of all workers together by group, drops left out. */
  readonly worker: CounterGroups;
  /** Those of each worker by group. */
  readonly workers: readonly CounterGroups[];
  /** What went no further, by reason. */
  readonly drops: Readonly<Record<string, number>>;
  readonly dropsTotal: number;
  readonly batches: { readonly count: number; readonly framesPerBatch: number };
  /** Time of the run-to-completion cycle by stage. */
  readonly stages: readonly Stage[];
  readonly apps: readonly AppStats[];
}

/** A host, near or far. All methods reject with HostError. */
export interface HostApi {
  info(): Promise<HostInfo>;
  deploy(request: DeployRequest): Promise<DeployResult>;
  list(): Promise<AppInfo[]>;
  remove(name: string, tenant?: string): Promise<void>;
  logs(query?: LogQuery): AsyncIterable<LogLine>;
  stats(): Promise<Stats>;
  /** Ends the host and its dataplane. */
  stop(): Promise<void>;
}
