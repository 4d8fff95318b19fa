/**
 * Memory for items: pages of 64 KiB, each cut into chunks of one size or used as a whole. A page whose last chunk is given
 * back is free for every other size, so no size keeps what it once had.
 */
import { IN_USE, setState, stateOf } from "./item";

export const PAGE_BYTES: u32 = 64 << 10;
const PAGE_SHIFT: u32 = 16;
/** Half a page: what is longer takes whole pages. */
export const LONGEST_CHUNK_BYTES: u32 = PAGE_BYTES / 2;
const SHORTEST_CHUNK_BYTES: u32 = 64;
const CHUNK_STEP_BYTES: u32 = 16;
/** Each size is a quarter longer than the one before, as memcached's are. */
const GROWTH_PERCENT: u32 = 125;
/** There are 25 of them. */
export const MOST_CLASSES: u32 = 32;

// What is known of a page: an entry of a table outside of the pages.
export const ENTRY_BYTES: u32 = 32;
// @ts-ignore: decorator
@inline function nextPage(entry: usize): usize { return load<u32>(entry); }
// @ts-ignore: decorator
@inline function setNextPage(entry: usize, next: usize): void { store<u32>(entry, <u32>next); }
// @ts-ignore: decorator
@inline function previousPage(entry: usize): usize { return load<u32>(entry, 4); }
// @ts-ignore: decorator
@inline function setPreviousPage(entry: usize, previous: usize): void { store<u32>(entry, <u32>previous, 4); }
/** First chunk that was given back. */
// @ts-ignore: decorator
@inline function freeChunk(entry: usize): usize { return load<u32>(entry, 8); }
// @ts-ignore: decorator
@inline function setFreeChunk(entry: usize, chunk: usize): void { store<u32>(entry, <u32>chunk, 8); }
// @ts-ignore: decorator
@inline function usedChunks(entry: usize): u32 { return load<u32>(entry, 12); }
// @ts-ignore: decorator
@inline function setUsedChunks(entry: usize, count: u32): void { store<u32>(entry, count, 12); }
/** How many chunks were ever taken: those behind them hold nothing. */
// @ts-ignore: decorator
@inline function touchedChunks(entry: usize): u32 { return load<u32>(entry, 16); }
// @ts-ignore: decorator
@inline function setTouchedChunks(entry: usize, count: u32): void { store<u32>(entry, count, 16); }
// @ts-ignore: decorator
@inline function classOfEntry(entry: usize): u32 { return load<u32>(entry, 20); }
// @ts-ignore: decorator
@inline function setClassOfEntry(entry: usize, which: u32): void { store<u32>(entry, which, 20); }
/** Items of the page that somebody holds: it cannot be emptied meanwhile. */
// @ts-ignore: decorator
@inline function heldItems(entry: usize): u32 { return load<u32>(entry, 24); }
// @ts-ignore: decorator
@inline function setHeldItems(entry: usize, count: u32): void { store<u32>(entry, count, 24); }

let base: usize = 0;
let entries: usize = 0;
/** Pages that are in no use. */
let freePages: usize = 0;
export let pageCount: u32 = 0;
export let freePageCount: u32 = 0;

export let classCount: u32 = 0;
/** Of each size: bytes of a chunk, chunks of a page, pages, chunks in use, and the pages that have a chunk left. */
const chunkSizes: usize = memory.data(128);
const pageChunks: usize = memory.data(128);
const classPages: usize = memory.data(128);
const classUsed: usize = memory.data(128);
const roomy: usize = memory.data(128);
/** The smallest fitting size of each length, in steps of 16 bytes. */
const fitting: usize = memory.data(2049);

// @ts-ignore: decorator
@inline function slot(table: usize, which: u32): usize { return table + (which << 2); }

export function chunkBytes(which: u32): u32 { return load<u32>(slot(chunkSizes, which)); }
export function chunksOfPage(which: u32): u32 { return load<u32>(slot(pageChunks, which)); }
export function pagesOfClass(which: u32): u32 { return load<u32>(slot(classPages, which)); }
export function usedOfClass(which: u32): u32 { return load<u32>(slot(classUsed, which)); }

/** Number of the size that fits so many bytes, at most LONGEST_CHUNK_BYTES. */
// @ts-ignore: decorator
@inline export function classFor(bytes: u32): u32 {
  return load<u8>(fitting + ((bytes + CHUNK_STEP_BYTES - 1) / CHUNK_STEP_BYTES));
}

/** Cuts the memory at `pages`, `count` pages of it, and keeps their table at `table`. */
export function openSlab(pages: usize, count: u32, table: usize): void {
  base = pages;
  entries = table;
  pageCount = count;
  memory.fill(table, 0, <usize>count * ENTRY_BYTES);
  for (let i = count; i > 0; --i) putFreePage(entries + <usize>(i - 1) * ENTRY_BYTES);
  let wanted: u32 = SHORTEST_CHUNK_BYTES;
  let length: u32 = 0;
  for (;;) {
    const chunks = PAGE_BYTES / wanted;
    const bytes = (PAGE_BYTES / chunks) & ~(CHUNK_STEP_BYTES - 1); // what a page has left goes to its chunks
    store<u32>(slot(chunkSizes, classCount), bytes);
    store<u32>(slot(pageChunks, classCount), chunks);
    for (; length <= bytes; length += CHUNK_STEP_BYTES) store<u8>(fitting + length / CHUNK_STEP_BYTES, <u8>classCount);
    ++classCount;
    assert(classCount < MOST_CLASSES);
    if (bytes == LONGEST_CHUNK_BYTES) return;
    wanted = min(LONGEST_CHUNK_BYTES, (bytes * GROWTH_PERCENT / 100 + CHUNK_STEP_BYTES - 1) & ~(CHUNK_STEP_BYTES - 1));
  }
}

// @ts-ignore: decorator
@inline function entryOf(address: usize): usize { return entries + ((address - base) >> PAGE_SHIFT) * ENTRY_BYTES; }
// @ts-ignore: decorator
@inline function pageAt(entry: usize): usize { return base + ((entry - entries) / ENTRY_BYTES << PAGE_SHIFT); }

function putFreePage(entry: usize): void {
  setNextPage(entry, freePages);
  freePages = entry;
  ++freePageCount;
}

/** A page as a whole; 0 if none is free. */
export function takePage(): usize {
  const entry = freePages;
  if (!entry) return 0;
  freePages = nextPage(entry);
  --freePageCount;
  return pageAt(entry);
}

/** Gives a page back that was taken as a whole. */
export function givePage(page: usize): void { putFreePage(entryOf(page)); }

function putRoomy(entry: usize, which: u32): void {
  const first = load<u32>(slot(roomy, which));
  setNextPage(entry, first);
  setPreviousPage(entry, 0);
  if (first) setPreviousPage(first, entry);
  store<u32>(slot(roomy, which), <u32>entry);
}

function dropRoomy(entry: usize, which: u32): void {
  const next = nextPage(entry), previous = previousPage(entry);
  if (previous) setNextPage(previous, next);
  else store<u32>(slot(roomy, which), <u32>next);
  if (next) setPreviousPage(next, previous);
}

/** A chunk of a size; 0 if there is none and no page is free. */
export function takeChunk(which: u32): usize {
  let entry: usize = load<u32>(slot(roomy, which));
  if (!entry) {
    const page = takePage();
    if (!page) return 0;
    entry = entryOf(page);
    setFreeChunk(entry, 0);
    setUsedChunks(entry, 0);
    setTouchedChunks(entry, 0);
    setHeldItems(entry, 0);
    setClassOfEntry(entry, which);
    putRoomy(entry, which);
    store<u32>(slot(classPages, which), pagesOfClass(which) + 1);
  }
  let chunk = freeChunk(entry);
  if (chunk) {
    setFreeChunk(entry, load<u32>(chunk));
  } else {
    const touched = touchedChunks(entry);
    chunk = pageAt(entry) + touched * chunkBytes(which);
    setTouchedChunks(entry, touched + 1);
  }
  const used = usedChunks(entry) + 1;
  setUsedChunks(entry, used);
  if (used == chunksOfPage(which)) dropRoomy(entry, which);
  store<u32>(slot(classUsed, which), usedOfClass(which) + 1);
  setState(chunk, IN_USE);
  return chunk;
}

/** Gives a chunk back, and with the last one of a page the page. */
export function giveChunk(chunk: usize): void {
  const entry = entryOf(chunk);
  const which = classOfEntry(entry);
  setState(chunk, 0);
  store<u32>(chunk, <u32>freeChunk(entry));
  setFreeChunk(entry, chunk);
  const used = usedChunks(entry);
  if (used == chunksOfPage(which)) putRoomy(entry, which);
  setUsedChunks(entry, used - 1);
  store<u32>(slot(classUsed, which), usedOfClass(which) - 1);
  if (used > 1) return;
  dropRoomy(entry, which);
  store<u32>(slot(classPages, which), pagesOfClass(which) - 1);
  putFreePage(entry);
}

/** Number of the size of a chunk. */
export function classOfChunk(chunk: usize): u32 { return classOfEntry(entryOf(chunk)); }

/** Counts who holds items of a page: `by` is 1 or -1. */
// @ts-ignore: decorator
@inline export function countHeld(chunk: usize, by: i32): void {
  const entry = entryOf(chunk);
  setHeldItems(entry, heldItems(entry) + by);
}

/** Whether nobody holds an item of the page that a chunk lies in. */
export function isPageIdle(chunk: usize): bool { return heldItems(entryOf(chunk)) == 0; }

/** The first chunk in use of the page that a chunk lies in, from the chunk of that number on; 0 if there is none. */
export function chunkInUse(page: usize, from: u32): usize {
  const entry = entryOf(page);
  const bytes = chunkBytes(classOfEntry(entry)), touched = touchedChunks(entry);
  for (let i = from; i < touched; ++i) {
    const chunk = pageAt(entry) + i * bytes;
    if (stateOf(chunk)) return chunk;
  }
  return 0;
}

/** Number of a chunk in its page. */
export function numberOfChunk(chunk: usize): u32 {
  const entry = entryOf(chunk);
  return <u32>(chunk - pageAt(entry)) / chunkBytes(classOfEntry(entry));
}
