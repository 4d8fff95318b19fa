/** Memory for requests that have come in part. Every connection can have a short one; all longer ones share what there is. */
import { copyBytes, release, reserve } from "@weir/guest/memory";

const SHORTEST_BYTES: u32 = 256;
/** What the longer ones have together. */
export const LINES_BYTES: u32 = 2 << 20;
/** What a short one takes at most, with what the allocator adds. */
export const SHORT_LINE_BYTES: u32 = SHORTEST_BYTES + 16;
/** The longest line, or head of a binary request. */
export const LONGEST_LINE_BYTES: u32 = 64 << 10;

/** Bytes of the longer ones. */
let usedBytes: u32 = 0;

/** What a block takes of them. */
// @ts-ignore: decorator
@inline function share(room: u32): u32 { return room > SHORTEST_BYTES ? room : 0; }

/** Room for so many bytes, at most LONGEST_LINE_BYTES: how long the block is that has it. */
function blockBytes(bytes: u32): u32 {
  let room = SHORTEST_BYTES;
  while (room < bytes) room <<= 2;
  return room;
}

/**
 * Adds bytes to a line of `bytes`, 0 for one that begins, and returns where it is now. 0 if there is no memory: then
 * the line is where it was.
 */
export function addToLine(line: usize, bytes: u32, from: usize, length: u32): usize {
  const room = line ? blockBytes(bytes) : 0;
  const needed = blockBytes(bytes + length);
  let grown = line;
  if (needed > room) {
    if (usedBytes + share(needed) > LINES_BYTES) return 0;
    grown = reserve(needed);
    usedBytes += share(needed);
    if (line) {
      copyBytes(grown, line, bytes);
      dropLine(line, bytes);
    }
  }
  copyBytes(grown + bytes, from, length);
  return grown;
}

/** Gives the memory of a line of `bytes` back. */
export function dropLine(line: usize, bytes: u32): void {
  usedBytes -= share(blockBytes(bytes));
  release(line);
}
