/** What surrounds a handler: configuration, time, memory. */

/** Value of an entry of [vars] in weir.toml, or null if there is none. */
export declare function vars(name: string): string | null;
/** Monotonic time of this batch, microseconds. */
export declare function monotonicUs(): u64;
/** Time of day of this batch, microseconds since 1970. */
export declare function wallUs(): u64;
/** Index of the worker that runs this instance. */
export declare function worker(): u32;
/** Connections that this app may have at once on this worker: limits.connections, or the host's ceiling. */
export declare function connectionsLimit(): u32;
/** Number of this batch, the events of one call; another one than in the batch before. */
export declare function batchNumber(): u32;
/**
 * Takes no further event in this batch: they come in the next one. For a handler that counts its work, so that one call
 * never takes longer than limits.poll_us.
 */
export declare function finishBatch(): void;
/** Bytes that objects take which have outlived the batch that made them. */
export declare function heapBytes(): u32;
/** Bytes that this batch has allocated so far. */
export declare function batchBytes(): u32;
