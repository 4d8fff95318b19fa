/**
 * What an item looks like in memory: a header, the key, the text that goes between key and value in an answer
 * (" flags bytes\r\n"), and the value with "\r\n" behind it, so that most answers are one copy. Of a long value whole pages
 * lie elsewhere; their addresses stand before the rest of it.
 */
import { copyBytes } from "@weir/guest/memory";
import { PAGE_BYTES } from "./slab";

export const HEADER_BYTES: u32 = 48;

// States, as bits.
/** In the hash table and in a list of the LRU; without it the item is being filled or waits for its last reader. */
export const LINKED: u8 = 1;
/** The chunk belongs to an item at all. */
export const IN_USE: u8 = 2;
/** Was asked for since it was last at the end of its list. */
export const FETCHED: u8 = 4;

/** The next item of the bucket. */
// @ts-ignore: decorator
@inline export function nextOf(item: usize): usize { return load<u32>(item); }
// @ts-ignore: decorator
@inline export function setNext(item: usize, next: usize): void { store<u32>(item, <u32>next); }
/** Neighbours in the list of the LRU. */
// @ts-ignore: decorator
@inline export function newerOf(item: usize): usize { return load<u32>(item, 4); }
// @ts-ignore: decorator
@inline export function setNewer(item: usize, newer: usize): void { store<u32>(item, <u32>newer, 4); }
// @ts-ignore: decorator
@inline export function olderOf(item: usize): usize { return load<u32>(item, 8); }
// @ts-ignore: decorator
@inline export function setOlder(item: usize, older: usize): void { store<u32>(item, <u32>older, 8); }
/** When it expires, in the seconds of clock.ts. */
// @ts-ignore: decorator
@inline export function expiryOf(item: usize): u32 { return load<u32>(item, 12); }
// @ts-ignore: decorator
@inline export function setExpiry(item: usize, expiry: u32): void { store<u32>(item, expiry, 12); }
/** The unique number of what is stored, for cas. */
// @ts-ignore: decorator
@inline export function uniqueOf(item: usize): u64 { return load<u64>(item, 16); }
// @ts-ignore: decorator
@inline export function setUnique(item: usize, unique: u64): void { store<u64>(item, unique, 16); }
// @ts-ignore: decorator
@inline export function valueBytesOf(item: usize): u32 { return load<u32>(item, 24); }
// @ts-ignore: decorator
@inline export function setValueBytes(item: usize, bytes: u32): void { store<u32>(item, bytes, 24); }
// @ts-ignore: decorator
@inline export function hashOf(item: usize): u32 { return load<u32>(item, 28); }
// @ts-ignore: decorator
@inline export function setHash(item: usize, hash: u32): void { store<u32>(item, hash, 28); }
/** The client's own number. */
// @ts-ignore: decorator
@inline export function flagsOf(item: usize): u32 { return load<u32>(item, 32); }
// @ts-ignore: decorator
@inline export function setFlags(item: usize, flags: u32): void { store<u32>(item, flags, 32); }
/** Who holds it besides the hash table. */
// @ts-ignore: decorator
@inline export function holdersOf(item: usize): u32 { return load<u32>(item, 36); }
// @ts-ignore: decorator
@inline export function setHolders(item: usize, holders: u32): void { store<u32>(item, holders, 36); }
// @ts-ignore: decorator
@inline export function stateOf(item: usize): u8 { return load<u8>(item, 40); }
// @ts-ignore: decorator
@inline export function setState(item: usize, state: u8): void { store<u8>(item, state, 40); }
// @ts-ignore: decorator
@inline export function keyBytesOf(item: usize): u32 { return load<u8>(item, 41); }
// @ts-ignore: decorator
@inline export function setKeyBytes(item: usize, bytes: u32): void { store<u8>(item, <u8>bytes, 41); }
// @ts-ignore: decorator
@inline export function suffixBytesOf(item: usize): u32 { return load<u8>(item, 42); }
// @ts-ignore: decorator
@inline export function setSuffixBytes(item: usize, bytes: u32): void { store<u8>(item, <u8>bytes, 42); }
/** Pages of the value that lie elsewhere. */
// @ts-ignore: decorator
@inline export function pagesOf(item: usize): u32 { return load<u8>(item, 43); }
// @ts-ignore: decorator
@inline export function setPages(item: usize, pages: u32): void { store<u8>(item, <u8>pages, 43); }
/** When it was last stored or asked for. */
// @ts-ignore: decorator
@inline export function usedAtOf(item: usize): u32 { return load<u32>(item, 44); }
// @ts-ignore: decorator
@inline export function setUsedAt(item: usize, time: u32): void { store<u32>(item, time, 44); }

// @ts-ignore: decorator
@inline export function keyOf(item: usize): usize { return item + HEADER_BYTES; }
// @ts-ignore: decorator
@inline export function suffixOf(item: usize): usize { return item + HEADER_BYTES + keyBytesOf(item); }
/** Where the addresses of the value's pages stand, if there are any. */
// @ts-ignore: decorator
@inline export function pageListOf(item: usize): usize { return suffixOf(item) + suffixBytesOf(item); }
/** The part of the value that lies behind the key: all of it, or what is left after its pages. */
// @ts-ignore: decorator
@inline export function tailOf(item: usize): usize { return pageListOf(item) + (pagesOf(item) << 2); }

/** Bytes from runAt()'s address on that are one behind the other. */
export let runBytes: u32 = 0;

/** Address of the value's byte at `offset`, and in runBytes how many follow it there. The last run has "\r\n" at its end. */
export function runAt(item: usize, offset: u32): usize {
  const pages = pagesOf(item), bytes = valueBytesOf(item);
  const inPages = min(bytes, pages * PAGE_BYTES);
  if (offset < inPages) {
    const inPage = offset & (PAGE_BYTES - 1);
    runBytes = min(PAGE_BYTES - inPage, inPages - offset);
    return <usize>load<u32>(pageListOf(item) + ((offset / PAGE_BYTES) << 2)) + inPage;
  }
  runBytes = bytes + 2 - offset;
  return tailOf(item) + (offset - inPages);
}

/** Puts bytes into the value. The caller has seen to it that they fit. */
export function fill(item: usize, offset: u32, from: usize, bytes: u32): void {
  while (bytes) {
    const to = runAt(item, offset);
    const part = min(runBytes, bytes);
    copyBytes(to, from, part);
    offset += part;
    from += part;
    bytes -= part;
  }
}

/** Puts the value of another item into this one's, from `offset` on. */
export function fillFrom(item: usize, offset: u32, other: usize): void {
  const bytes = valueBytesOf(other);
  for (let done: u32 = 0; done < bytes;) {
    const from = runAt(other, done);
    const part = min(runBytes, bytes - done);
    fill(item, offset + done, from, part);
    done += part;
  }
}
