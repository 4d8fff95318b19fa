/** Memory as addresses: blocks outside of the garbage collector, searching, copying. */
import { PAGE_BYTES } from "./abi";
import { reserveBlock, reservableBytes, unreserveBlock } from "rt/heap";

/**
 * A block of at least `bytes`, at a multiple of 16, until release(). What is in it is undefined. Ends the instance when the
 * memory has no room for it.
 */
export function reserve(bytes: u32): usize { return reserveBlock(bytes); }

/** Gives a block of reserve() back. */
export function release(block: usize): void { unreserveBlock(block); }

/** Bytes that are neither reserved nor used by objects. What is left of them is all that objects have to live in. */
export function availableBytes(): u32 { return <u32>reservableBytes(); }

/** Address of the first byte from `at` on, before `end`, that is `byte`; 0 if there is none. */
export function findByte(at: usize, end: usize, byte: u8): usize {
  const wanted = i8x16.splat(byte);
  while (at < end) {
    if (!mayLoad16(at)) {
      if (load<u8>(at) == byte) return at;
      ++at;
      continue;
    }
    const found = i8x16.bitmask(i8x16.eq(v128.load(at), wanted));
    if (found) return before(at + ctz(found), end);
    at += 16;
  }
  return 0;
}

/** Address of the first byte from `at` on, before `end`, that is `most` or less: what ends a word of text. 0 if none. */
export function findAtMost(at: usize, end: usize, most: u8): usize {
  const bound = i8x16.splat(most);
  while (at < end) {
    if (!mayLoad16(at)) {
      if (load<u8>(at) <= most) return at;
      ++at;
      continue;
    }
    const found = i8x16.bitmask(i8x16.le_u(v128.load(at), bound));
    if (found) return before(at + ctz(found), end);
    at += 16;
  }
  return 0;
}

/** Whether 16 bytes can be read where one can: memory is mapped in pages and the windows in chunks of the same size. */
// @ts-ignore: decorator
@inline function mayLoad16(at: usize): bool { return (at & (PAGE_BYTES - 1)) <= PAGE_BYTES - 16; }
// @ts-ignore: decorator
@inline function before(at: usize, end: usize): usize { return at < end ? at : 0; }

/** Up to here a loop is faster than memory.copy, which the host guards and which is a call out of the module. */
const LOOP_BYTES: u32 = 512;

/** Copies bytes between places that do not overlap. */
export function copyBytes(to: usize, from: usize, length: u32): void {
  if (length >= 16) {
    if (length > LOOP_BYTES) {
      memory.copy(to, from, length);
      return;
    }
    const last = length - 16;
    let i: u32 = 0;
    for (; i + 32 <= last; i += 32) {
      v128.store(to + i, v128.load(from + i));
      v128.store(to + i, v128.load(from + i, 16), 16);
    }
    if (i < last) v128.store(to + i, v128.load(from + i));
    if (i + 16 < last) v128.store(to + i, v128.load(from + i, 16), 16);
    v128.store(to + last, v128.load(from + last));
  } else if (length >= 8) {
    const last = length - 8;
    const end = load<u64>(from + last);
    store<u64>(to, load<u64>(from));
    store<u64>(to + last, end);
  } else if (length >= 4) {
    const last = length - 4;
    const end = load<u32>(from + last);
    store<u32>(to, load<u32>(from));
    store<u32>(to + last, end);
  } else {
    for (let i: u32 = 0; i < length; ++i) store<u8>(to + i, load<u8>(from + i));
  }
}
