/** The transmit buffers: the host sends from them without a copy. */
import { TX_BUFFERS, TX_BUFFERS_BYTES } from "./abi";

/** Room that datagrams keep. */
const BATCH_BYTES: u32 = 256 << 10;

/** What this batch uses, from the first byte on. */
let batch: u32 = 0;
/** What is taken for good, up to the last byte. */
let fixed: u32 = 0;

// @ts-ignore: decorator
@inline function rounded(bytes: u32): u32 { return (bytes + 15) & ~15; }

// @ts-ignore: decorator
@inline export function beginTransmit(): void { batch = 0; }

/** Room for `bytes` until the next poll; 0 if there is none. */
export function takeForBatch(bytes: u32): usize {
  if (rounded(bytes) > TX_BUFFERS_BYTES - fixed - batch) return 0;
  const address = TX_BUFFERS + batch;
  batch += rounded(bytes);
  return address;
}

/** Room for `bytes` as long as the instance lives; 0 if there is none. */
export function takeForGood(bytes: u32): usize {
  if (bytes > TX_BUFFERS_BYTES - BATCH_BYTES - fixed) return 0;
  // Not where this batch has datagrams that the host has not read yet.
  if (rounded(bytes) > TX_BUFFERS_BYTES - fixed - batch) return 0;
  fixed += rounded(bytes);
  return TX_BUFFERS + TX_BUFFERS_BYTES - fixed;
}
