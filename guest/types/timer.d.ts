/** Timers. State is an argument, because AssemblyScript has no closures. */

/**
 * Calls `fn(target)` once, `delayMs` milliseconds from this batch, unless `target` is a connection that has closed by then.
 * Returns a number for cancel(), or 0 if too many timers are set.
 */
export declare function after<T>(delayMs: u32, target: T, fn: (target: T) => void): u32;
/** Calls `fn` every `intervalMs` milliseconds (at least 1). Returns a number for cancel(), or 0. */
export declare function every(intervalMs: u32, fn: () => void): u32;
/** Cancels a timer. False if there is none of that number. */
export declare function cancel(id: u32): bool;
