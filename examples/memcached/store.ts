/**
 * The cache: items by their key, in memory that was taken at the start. When it is full, the items that were longest in no
 * use go: each size of chunk has a list, and an item that was asked for since it came to the end of its list gets another
 * round, so that asking moves nothing. A size that gets on at the cost of its own items takes a page of the one whose last
 * item is the oldest from time to time.
 */
import { connectionsLimit } from "@weir/guest/env";
import { availableBytes, copyBytes, reserve } from "@weir/guest/memory";
import { NEVER, now } from "./clock";
import { Counter, count } from "./counters";
import { writeNumber } from "./text";
import {
  FETCHED, HEADER_BYTES, IN_USE, LINKED, expiryOf, hashOf, holdersOf, keyBytesOf, keyOf, newerOf, nextOf, olderOf, pageListOf,
  pagesOf, runAt, setExpiry, setFlags, setHash, setHolders, setKeyBytes, setNewer, setNext, setOlder, setPages, setState,
  setSuffixBytes, setUnique, setUsedAt, setValueBytes, stateOf, suffixBytesOf, suffixOf, uniqueOf, usedAtOf, valueBytesOf,
} from "./item";
import { sameKey } from "./key";
import { REPLY_BYTES } from "./reply";
import { LINES_BYTES, SHORT_LINE_BYTES } from "./line";
import {
  ENTRY_BYTES, LONGEST_CHUNK_BYTES, PAGE_BYTES, chunkInUse, classCount, classFor, classOfChunk, countHeld, giveChunk, givePage,
  isPageIdle, numberOfChunk, openSlab, pageCount, pagesOfClass, takeChunk, takePage,
} from "./slab";

export const LONGEST_KEY_BYTES: u32 = 250;
export const LONGEST_VALUE_BYTES: u32 = 1 << 20;

/** Of what memory there is, the objects of the SDK get this for each connection, and this besides. */
const CONNECTION_BYTES: u32 = 512;
const OBJECT_BYTES: u32 = 1 << 20;
/** A bucket of the hash table for so much memory. */
const BUCKET_SHARE_BYTES: u32 = 128;
/** With less than this there is no place for a value of the longest kind and for others beside it. */
const FEWEST_PAGES: u32 = 32;
/** Memory that is copied in lines of this size is best placed at multiples of it. */
const LINE_BYTES: u32 = 64;

/** Items looked at, at most, for one that can go. */
const LOOKS: u32 = 50;
/** Items that get another round, at most, before one goes all the same. */
const ROUNDS: u32 = 8;
/** Every so many items that a size evicts of its own, an older item of another size goes with its page. */
const OWN_EVICTIONS: u32 = 64;

let buckets: usize = 0;
let bucketMask: u32 = 0;
/** Lists of the LRU: one for each size of chunk, and one for items with pages of their own. */
const newest: usize = memory.data(132);
const oldest: usize = memory.data(132);
/** The list of items with pages. */
let paged: u32 = 0;
/** Pages that belong to items. */
export let itemPages: u32 = 0;
let ownEvictions: u32 = 0;

/** The unique number that was given out last. */
let lastUnique: u64 = 0;
/** What was stored up to this number has been flushed. */
let flushedUnique: u64 = 0;
/** When to flush all; NEVER for not. */
let flushTime: u32 = NEVER;

export let itemCount: u32 = 0;
/** Bytes of all items with their headers. */
export let itemBytes: u64 = 0;

/** Items that are let go when the batch is over: what was sent of them is read then. */
const LEAVING: u32 = 1024;
let leaving: usize = 0;
let leavingCount: u32 = 0;

open();

/** Takes the memory. */
function open(): void {
  const available = availableBytes();
  const others = OBJECT_BYTES + connectionsLimit() * (CONNECTION_BYTES + SHORT_LINE_BYTES) + LINES_BYTES + REPLY_BYTES;
  // A sixteenth at least: the allocator finds no block that is nearly as large as all it has.
  const bytes = available - min(available, max(others, available >> 4));
  if (bytes < FEWEST_PAGES * PAGE_BYTES) throw new Error(`limits.memory_mib is too small for limits.connections: ${connectionsLimit()}`);
  let at = reserve(bytes);
  const end = at + bytes;
  bucketMask = ((1 << (31 - clz<u32>(bytes / BUCKET_SHARE_BYTES))) as u32) - 1;
  buckets = at;
  at += (<usize>bucketMask + 1) << 2;
  memory.fill(buckets, 0, at - buckets);
  leaving = at;
  at += LEAVING << 2;
  const pages = <u32>(end - at - LINE_BYTES) / (PAGE_BYTES + ENTRY_BYTES);
  const table = at;
  at = (at + pages * ENTRY_BYTES + LINE_BYTES - 1) & ~(LINE_BYTES - 1);
  openSlab(at, pages, table);
  paged = classCount;
}

/** Bytes of all pages: what items can have. */
export function limitBytes(): u64 { return <u64>pageCount * PAGE_BYTES; }

// @ts-ignore: decorator
@inline function bucketOf(hash: u32): usize { return buckets + (<usize>(hash & bucketMask) << 2); }
// @ts-ignore: decorator
@inline function newestOf(list: u32): usize { return load<u32>(newest + (list << 2)); }
// @ts-ignore: decorator
@inline function oldestOf(list: u32): usize { return load<u32>(oldest + (list << 2)); }
// @ts-ignore: decorator
@inline function listOf(item: usize): u32 { return pagesOf(item) ? paged : classOfChunk(item); }

/** Whether an item has expired. */
// @ts-ignore: decorator
@inline function hasExpired(item: usize): bool { return expiryOf(item) - 1 < now; } // NEVER - 1 is later than everything
// @ts-ignore: decorator
@inline function isFlushed(item: usize): bool { return uniqueOf(item) <= flushedUnique; }

/** At the start of a batch: what was to happen between it and the one before. */
export function beginStore(): void {
  while (leavingCount) letGo(<usize>load<u32>(leaving + (--leavingCount << 2)));
  if (flushTime != NEVER && flushTime <= now) {
    flushTime = NEVER;
    flushedUnique = lastUnique;
  }
}

/** Forgets everything that is stored before `time`; now if that is NEVER or has passed. */
export function flush(time: u32): void {
  if (time > now) {
    flushTime = time;
    return;
  }
  flushTime = NEVER;
  flushedUnique = ++lastUnique; // a number of its own, as memcached's
}

/** The item of a key that has not expired, or 0. */
export function find(key: usize, bytes: u32, hash: u32): usize {
  let item = <usize>load<u32>(bucketOf(hash));
  while (item) {
    if (hashOf(item) == hash && keyBytesOf(item) == bytes && sameKey(keyOf(item), key, bytes)) {
      if (hasExpired(item)) {
        count(Counter.GetExpired);
        if (!(stateOf(item) & FETCHED)) count(Counter.ExpiredUnfetched);
      } else if (isFlushed(item)) {
        count(Counter.GetFlushed);
      } else {
        return item;
      }
      unlink(item);
      return 0;
    }
    item = nextOf(item);
  }
  return 0;
}

/** Notes that an item was asked for. */
// @ts-ignore: decorator
@inline export function use(item: usize): void {
  setState(item, stateOf(item) | FETCHED);
  setUsedAt(item, now);
}

/** Somebody keeps an item beyond this call, or lets it go. */
export function hold(item: usize): void {
  const holders = holdersOf(item);
  setHolders(item, holders + 1);
  if (!holders) countHeld(item, 1);
}

export function letGo(item: usize): void {
  const holders = holdersOf(item) - 1;
  setHolders(item, holders);
  if (holders) return;
  countHeld(item, -1);
  if (!(stateOf(item) & LINKED)) discard(item);
}

/** Lets an item go when the batch is over. */
export function letGoLater(item: usize): void {
  assert(leavingCount < LEAVING); // who sends has asked isLeavingFull
  store<u32>(leaving + (leavingCount++ << 2), <u32>item);
}

/** Whether a batch has let go of so many items that it should end: a turn lets go of `room` at most. */
// @ts-ignore: decorator
@inline export function isLeavingFull(room: u32): bool { return leavingCount + room > LEAVING; }

/** Gives the memory of an item back. */
function discard(item: usize): void {
  const pages = pagesOf(item);
  if (pages) {
    const list = pageListOf(item);
    for (let i: u32 = 0; i < pages; ++i) givePage(<usize>load<u32>(list + (i << 2)));
    itemPages -= pages;
  }
  giveChunk(item);
}

function totalBytes(item: usize): u32 {
  return HEADER_BYTES + keyBytesOf(item) + suffixBytesOf(item) + (pagesOf(item) << 2) + valueBytesOf(item) + 2;
}

/** Puts an item at the new end of its list. */
function enlist(item: usize): void {
  const list = listOf(item);
  const first = newestOf(list);
  setNewer(item, 0);
  setOlder(item, first);
  if (first) setNewer(first, item);
  else store<u32>(oldest + (list << 2), <u32>item);
  store<u32>(newest + (list << 2), <u32>item);
}

function delist(item: usize): void {
  const list = listOf(item);
  const newer = newerOf(item), older = olderOf(item);
  if (newer) setOlder(newer, older);
  else store<u32>(newest + (list << 2), <u32>older);
  if (older) setNewer(older, newer);
  else store<u32>(oldest + (list << 2), <u32>newer);
}

/** Makes an item the one of its key; there is none. */
export function link(item: usize, hash: u32): void {
  const bucket = bucketOf(hash);
  setHash(item, hash);
  setNext(item, load<u32>(bucket));
  store<u32>(bucket, <u32>item);
  renew(item);
  setUsedAt(item, now);
  setState(item, IN_USE | LINKED);
  enlist(item);
  ++itemCount;
  itemBytes += totalBytes(item);
  count(Counter.TotalItems);
}

/** Gives an item a new unique number: its value is another one. */
export function renew(item: usize): void { setUnique(item, ++lastUnique); }

/** Takes an item away. Whoever holds it can go on reading it. */
export function unlink(item: usize): void {
  const bucket = bucketOf(hashOf(item));
  const next = nextOf(item);
  let other = <usize>load<u32>(bucket);
  if (other == item) {
    store<u32>(bucket, <u32>next);
  } else {
    while (nextOf(other) != item) other = nextOf(other);
    setNext(other, next);
  }
  delist(item);
  setState(item, IN_USE);
  --itemCount;
  itemBytes -= totalBytes(item);
  if (!holdersOf(item)) discard(item);
}

/** Lets a stored item make room. */
function evict(item: usize): void {
  if (hasExpired(item) || isFlushed(item)) {
    count(Counter.Reclaimed);
    if (!(stateOf(item) & FETCHED)) count(Counter.ExpiredUnfetched);
  } else {
    count(Counter.Evictions);
    if (!(stateOf(item) & FETCHED)) count(Counter.EvictedUnfetched);
  }
  unlink(item);
}

/** Evicts an item of a list that was long in no use. False if everything that was looked at is held. */
function evictFrom(list: u32): bool {
  let item = oldestOf(list);
  let rounds = ROUNDS;
  let looks = LOOKS;
  while (looks--) {
    if (!item) {
      if (rounds == ROUNDS) return false;
      rounds = 0; // everything got another round
      item = oldestOf(list);
    }
    const newer = newerOf(item);
    if (!holdersOf(item)) {
      const dead = hasExpired(item) || isFlushed(item);
      if (dead || !rounds || !(stateOf(item) & FETCHED)) {
        evict(item);
        return true;
      }
      --rounds;
      setState(item, stateOf(item) & ~FETCHED);
      delist(item);
      enlist(item);
    }
    item = newer;
  }
  return false;
}

/** The list whose last item is the oldest; among equals the one with most pages. MAX if there is no item. */
function oldestList(): u32 {
  let found = u32.MAX_VALUE;
  let time = u32.MAX_VALUE;
  let most: u32 = 0;
  for (let list: u32 = 0; list <= paged; ++list) {
    const item = oldestOf(list);
    if (!item) continue;
    const pages = pagesOfList(list);
    const usedAt = usedAtOf(item);
    if (usedAt < time || (usedAt == time && pages > most)) {
      found = list;
      time = usedAt;
      most = pages;
    }
  }
  return found;
}

// @ts-ignore: decorator
@inline function pagesOfList(list: u32): u32 { return list == paged ? itemPages : pagesOfClass(list); }

/** Evicts everything of a page whose items were long in no use. False if none of the pages looked at can go. */
function emptyPageOf(list: u32): bool {
  let item = oldestOf(list);
  for (let looks = LOOKS; item && looks; --looks) {
    if (isPageIdle(item)) {
      const inPage = item;
      let chunk = chunkInUse(inPage, 0);
      while (chunk) {
        const number = numberOfChunk(chunk);
        evict(chunk);
        chunk = chunkInUse(inPage, number + 1);
      }
      count(Counter.PagesEmptied);
      return true;
    }
    item = newerOf(item);
  }
  return false;
}

/** Makes a page free, of one list or of another one if that has none to give. */
function freePage(): bool {
  const first = oldestList();
  if (first == u32.MAX_VALUE) return false;
  if (freePageOf(first)) return true;
  for (let list: u32 = 0; list <= paged; ++list) {
    if (list != first && freePageOf(list)) return true;
  }
  return false;
}

function freePageOf(list: u32): bool { return list == paged ? evictFrom(list) : emptyPageOf(list); }

/** A page for a value, whatever has to go for it. 0 if nothing can. */
function pageForValue(): usize {
  let page = takePage();
  while (!page) {
    if (!freePage()) return 0;
    page = takePage();
  }
  return page;
}

/** A chunk for an item, whatever has to go for it. 0 if nothing can. */
function chunkForItem(which: u32): usize {
  let chunk = takeChunk(which);
  while (!chunk) {
    if (!makeRoom(which)) return 0;
    chunk = takeChunk(which);
  }
  return chunk;
}

function makeRoom(which: u32): bool {
  const own = oldestOf(which);
  if (own && ++ownEvictions % OWN_EVICTIONS == 0) {
    const other = oldestList();
    if (other != which && usedAtOf(oldestOf(other)) < usedAtOf(own) && freePageOf(other)) return true;
  }
  return (own && evictFrom(which)) || freePage();
}

const suffix: usize = memory.data(32);

/**
 * Memory for an item: its key is there, its value of `valueBytes` (at most LONGEST_VALUE_BYTES) is to be filled. The caller
 * holds it. 0 if there is no memory.
 */
export function newItem(key: usize, keyBytes: u32, flags: u32, expiry: u32, valueBytes: u32): usize {
  store<u8>(suffix, 0x20);
  let at = writeNumber(flags, suffix + 1);
  store<u8>(at, 0x20);
  at = writeNumber(valueBytes, at + 1);
  store<u16>(at, 0x0a0d);
  const suffixBytes = <u32>(at + 2 - suffix);

  const head = HEADER_BYTES + keyBytes + suffixBytes + 2;
  let pages: u32 = 0;
  let rest = valueBytes;
  if (head + rest > LONGEST_CHUNK_BYTES) {
    pages = valueBytes / PAGE_BYTES;
    rest = valueBytes % PAGE_BYTES;
    if (head + (pages << 2) + rest > LONGEST_CHUNK_BYTES) {
      ++pages;
      rest = 0;
    }
  }
  const item = chunkForItem(classFor(head + (pages << 2) + rest));
  if (!item) return 0;
  setExpiry(item, expiry);
  setUnique(item, 0);
  setValueBytes(item, valueBytes);
  setFlags(item, flags);
  setHolders(item, 0);
  setKeyBytes(item, keyBytes);
  setSuffixBytes(item, suffixBytes);
  setPages(item, 0);
  hold(item);
  copyBytes(keyOf(item), key, keyBytes);
  copyBytes(suffixOf(item), suffix, suffixBytes);
  const list = pageListOf(item);
  for (let i: u32 = 0; i < pages; ++i) {
    const page = pageForValue();
    if (!page) {
      letGo(item);
      return 0;
    }
    store<u32>(list + (i << 2), <u32>page);
    setPages(item, i + 1);
    ++itemPages;
  }
  store<u16>(runAt(item, valueBytes), 0x0a0d);
  return item;
}
