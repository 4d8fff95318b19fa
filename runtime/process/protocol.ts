/** What the control plane and the dataplane process say to each other on dataplane.sock. */
import type { AppEvent, AppSpec, CounterDescription, PortSpec, TcpSpec, WorkerSpec } from "./native.js";

/** Raised when an older control plane would misread a newer dataplane. */
export const PROTOCOL_VERSION = 2;
/** Longest message either way: an app's specification with 60 KiB of vars, or a batch of events. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** Requests that one side may have unanswered. */
export const MAX_PENDING = 64;

/** Files in the run directory. */
export const RUN_FILES = {
  config: "dataplane.json",
  socket: "dataplane.sock",
  log: "dataplane.log",
  counters: "counters",
} as const;

/** What the dataplane process is started with: `dataplane.json` in its run directory. */
export interface DataplaneConfig {
  readonly port: PortSpec;
  readonly tcp: TcpSpec;
  readonly worker: WorkerSpec;
  /** false: the process ends when its standard input does. */
  readonly persistent: boolean;
  /** The run directory is a temporary one, to be deleted by the process when its control plane is gone. */
  readonly temporary: boolean;
}

/** An app that runs in the dataplane, known by the digest of its specification. */
export interface RunningApp {
  readonly id: number;
  readonly digest: string;
}

/** The dataplane's answer to hello. */
export interface Hello {
  readonly protocol: number;
  readonly pid: number;
  readonly engineVersion: string;
  readonly config: DataplaneConfig;
  readonly startedUs: number;
  readonly portState: { readonly linkAddress: string; readonly mtuBytes: number };
  /** Ticks of the time stamp counter a second; 0 when unknown. */
  readonly tscHz: number;
  readonly counters: readonly CounterDescription[];
  readonly appCounters: readonly CounterDescription[];
  readonly apps: readonly RunningApp[];
}

/** The requests: name, parameters, result. */
export interface Requests {
  hello: { params: { pid: number; protocol: number }; result: Hello };
  deploy: { params: { app: AppSpec; digest: string }; result: null };
  remove: { params: { id: number }; result: null };
  /** Events after `after` are sent from now on, oldest first. */
  subscribe: { params: { after: number }; result: null };
  connections: { params: Record<string, never>; result: readonly { appId: number; open: number }[] };
  stop: { params: Record<string, never>; result: null };
}
export type Method = keyof Requests;

/** Error codes of answers. */
export type ProtocolErrorCode = "busy" | "protocol" | "rejected" | "internal";

export interface Request {
  readonly id: number;
  readonly method: Method;
  readonly params: unknown;
}
export type Answer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: { readonly code: ProtocolErrorCode; readonly message: string } };
/** Events that happened, and how many before them were lost because nobody fetched them in time. */
export interface EventsMessage {
  readonly events: readonly AppEvent[];
  readonly lost: number;
}
