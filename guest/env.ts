/** What surrounds a handler: configuration, time, memory. */
import { info, variable } from "./config";
export { batchNumber, finishBatch } from "./batch";
import { arenaBytes, tenuredBytes } from "rt/heap";

/** Value of an entry of [vars] in weir.toml, or null if there is none. */
export function vars(name: string): string | null { return variable(name); }

/** Monotonic time of this batch, microseconds. */
export function monotonicUs(): u64 { return info().mono_us; }

/** Time of day of this batch, microseconds since 1970. */
export function wallUs(): u64 { return info().wall_us; }

/** Index of the worker that runs this instance. */
export function worker(): u32 { return info().worker; }

/** Connections that this app may have at once on this worker: limits.connections, or the host's ceiling. */
export function connectionsLimit(): u32 { return info().connections_limit; }

/** Bytes that objects take which have outlived the batch that made them. */
export function heapBytes(): u32 { return <u32>tenuredBytes(); }

/** Bytes that this batch has allocated so far. */
export function batchBytes(): u32 { return <u32>arenaBytes(); }
