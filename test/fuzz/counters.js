/** The name of the counters in a bundled target, a Uint8Array; main.js sets it. */
export const COUNTERS = "__weirFuzzCounters";
