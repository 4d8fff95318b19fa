/** What a test's process and the process with its test hosts say to each other, over Node's own channel. */
import type { AppEvent, AppSpec, LinkCounts, LinkSpec } from "../process/native.js";

/** Requests that one host may have unanswered. */
export const MAX_PENDING = 4096;
/** Hosts of one process at once. */
export const MAX_HOSTS = 8;
/** Largest piece of data in one message. */
export const MAX_DATA_BYTES = 64 * 1024 * 1024;

/** How much a read waits for. Without any of these: for the first bytes. */
export interface ReadGoal {
  /** Up to and with these bytes. */
  readonly until?: Uint8Array;
  /** So many. */
  readonly bytes?: number;
  /** All, to the end of the stream. */
  readonly toEnd?: boolean;
}

/** A peer's address and port. */
export interface PeerEndpoint {
  readonly address: string;
  readonly port: number;
}

/**
 * The operations: parameters and result. Those with `withinMs` wait in virtual time, which passes while the test allows
 * it, and fail with the code "timeout" when it is over.
 */
export interface Operations {
  create: {
    params: { seed: number; addresses: readonly string[]; wallStartUs: number; capturePath: string };
    result: null;
  };
  deploy: { params: { app: AppSpec }; result: null };
  setLink: { params: { toHost: LinkSpec; fromHost: LinkSpec }; result: null };
  advance: { params: { withinMs: number }; result: null };
  connect: { params: { id: number; from: string; port: number; withinMs: number }; result: PeerEndpoint };
  listen: { params: { id: number; address: string; port: number }; result: null };
  accept: { params: { id: number; withinMs: number }; result: PeerEndpoint & { readonly id: number } };
  read: { params: { id: number; goal: ReadGoal; withinMs: number }; result: Uint8Array };
  write: { params: { id: number; data: Uint8Array; withinMs: number }; result: null };
  /** `forget`: the connection is not used any more, and its id free once it is over. */
  end: { params: { id: number; forget: boolean }; result: null };
  abort: { params: { id: number }; result: null };
  closed: { params: { id: number; withinMs: number }; result: string };
  describe: { params: { id: number }; result: string };
  bind: { params: { id: number; address: string; port: number }; result: null };
  send: { params: { id: number; port: number; data: Uint8Array }; result: null };
  receive: { params: { id: number; withinMs: number }; result: PeerEndpoint & { readonly data: Uint8Array } };
  close: { params: { id: number }; result: null };
  stats: { params: Record<string, never>; result: HostStats };
  shutDown: { params: Record<string, never>; result: null };
}
export type Operation = keyof Operations;

/** Counters of a test host. Those that count processor time are left out: it is not the same twice. */
export interface HostStats {
  /** The worker's: packets, drops by reason, calls. */
  readonly worker: Readonly<Record<string, number>>;
  /** The app's: connections, bytes, commands that were refused. */
  readonly app: Readonly<Record<string, number>>;
  readonly link: {
    readonly toHost: LinkCounts;
    readonly fromHost: LinkCounts;
    /** Frames that were lost because too many were under way. */
    readonly overflowed: number;
  };
}

/** Why an operation failed. */
export type FailureCode = "timeout" | "closed" | "invalid" | "handler" | "internal";

/** From the test: an operation on a host, or leave for its time to pass until something that is waited for happens. */
export type Request =
  | { readonly host: number; readonly id: number; readonly operation: Operation; readonly params: unknown }
  | { readonly host: number; readonly go: true };

interface News {
  readonly host: number;
  /** 0 when the host is closed. */
  readonly nowUs: number;
  readonly events: readonly AppEvent[];
}

/** To the test: an answer, word that one will come when time has passed, or that time stands still again. */
export type Reply =
  | (News & { readonly id: number; readonly result: unknown })
  | (News & { readonly id: number; readonly error: { readonly code: FailureCode; readonly message: string } })
  | (News & { readonly id: number; readonly waits: true })
  | (News & { readonly rested: true });
