/**
 * The memory of a handler: an arena for what one batch allocates, and an incremental mark-sweep heap for what outlives it.
 *
 * Between two polls WebAssembly's stack is empty, so globals and the heap hold every reference there is and reachability
 * is exact. `beginBatch` runs there, at the start of a poll: by then the host has copied what the commands of the poll
 * before pointed to. If nothing of the last batch is reachable the arena is rewound. Otherwise survivors stay where they
 * are (addresses are cookies, nothing ever moves): an arena is one block of the TLSF allocator and its objects are laid
 * out like TLSF blocks, so it is split in place into survivors and free blocks.
 *
 * Old objects that are stored into during a batch are remembered by the write barrier `__link`; only those, the globals
 * and what hangs on them are looked at. The old heap is marked and swept in steps, one a poll.
 */
import { AL_MASK, BLOCK_MAXSIZE, BLOCK_OVERHEAD, OBJECT, OBJECT_MAXSIZE, OBJECT_OVERHEAD, TOTAL_OVERHEAD } from "./common";
import { ROOT } from "./tlsf";

// Flags in the low bits of OBJECT.gcInfo; the other bits are the next object of the list it is in.
// Template literals are compiled to static arrays of temporaries whose gcInfo is 3. They are never roots, and 3 reads as
// "already remembered" here.
// @ts-ignore: decorator
@inline const REMEMBERED: u32 = 1;
// @ts-ignore: decorator
@inline const MARKED: u32 = 2;
// @ts-ignore: decorator
@inline const YOUNG: u32 = 4;
/** A static object (compiled into the module) that is in the list of old objects, so that its mark gets cleared. */
// @ts-ignore: decorator
@inline const LISTED: u32 = 8;
// @ts-ignore: decorator
@inline const FLAGS: u32 = 15;

// Cookies of __visit.
// @ts-ignore: decorator
@inline const VISIT_YOUNG: u32 = 0;
// @ts-ignore: decorator
@inline const VISIT_OLD: u32 = 1;

// @ts-ignore: decorator
@inline const IDLE: i32 = 0;
// @ts-ignore: decorator
@inline const MARKING: i32 = 1;
// @ts-ignore: decorator
@inline const SWEEPING: i32 = 2;

/** Bounds of an arena's size. Between them it is what the last batch used: then it fits where that batch left a hole. */
// @ts-ignore: decorator
@inline const ARENA_MAX_BYTES: usize = 64 << 10;
// @ts-ignore: decorator
@inline const ARENA_MIN_BYTES: usize = 1 << 10;
/** A larger object gets a block of its own. */
// @ts-ignore: decorator
@inline const LARGE_BYTES: usize = 4 << 10;
/** Objects marked or swept in one poll, at least. */
// @ts-ignore: decorator
@inline const STEP_OBJECTS: i32 = 256;
/** Below this size the old heap is not collected. */
// @ts-ignore: decorator
@inline const CYCLE_MIN_BYTES: usize = 256 << 10;
/** A block of this size fills the head of an arena: TLSF keeps a tag in its header. */
// @ts-ignore: decorator
@inline const STUB_BYTES: usize = AL_MASK + 1;

/** Address after the last object of the arena in use. */
// @ts-ignore: decorator
@lazy let bump: usize = 0;
// @ts-ignore: decorator
@lazy let bumpEnd: usize = 0;
/** Block header of the arena in use. */
// @ts-ignore: decorator
@lazy let arena: usize = 0;
/** How large the next arena should be. */
// @ts-ignore: decorator
@lazy let arenaWanted: usize = ARENA_MAX_BYTES;
/** Arenas that this batch filled: a table of block header and end of use. */
// @ts-ignore: decorator
@lazy let full: usize = 0;
// @ts-ignore: decorator
@lazy let fullCount: u32 = 0;
// @ts-ignore: decorator
@lazy let fullCapacity: u32 = 0;
/** Young objects with blocks of their own, linked through gcInfo. */
// @ts-ignore: decorator
@lazy let youngLarge: usize = 0;
/** Bytes that this batch has taken from the allocator. */
// @ts-ignore: decorator
@lazy let batchBytes: usize = 0;

/** Old and static objects that a young one was stored into. */
// @ts-ignore: decorator
@lazy let remembered: usize = 0;
// @ts-ignore: decorator
@lazy let rememberedCount: u32 = 0;
// @ts-ignore: decorator
@lazy let rememberedCapacity: u32 = 0;

/** Young objects that were reached and not yet scanned, linked through gcInfo2. */
// @ts-ignore: decorator
@lazy let youngStack: usize = 0;
// @ts-ignore: decorator
@lazy let survivors: u32 = 0;

/** All old objects, linked through gcInfo. */
// @ts-ignore: decorator
@lazy let old: usize = 0;
// @ts-ignore: decorator
@lazy let oldBytes: usize = 0;
/** Old objects that were reached and not yet scanned, linked through gcInfo2. */
// @ts-ignore: decorator
@lazy let grayStack: usize = 0;
/** Old objects that were there when sweeping began and have not been looked at. */
// @ts-ignore: decorator
@lazy let unswept: usize = 0;
// @ts-ignore: decorator
@lazy let phase: i32 = IDLE;
/** A cycle begins when the old heap is larger than this. */
// @ts-ignore: decorator
@lazy let cycleBytes: usize = CYCLE_MIN_BYTES;
/** Size of the old heap after the last cycle. */
// @ts-ignore: decorator
@lazy let liveBytes: usize = 0;
/** Bytes of all blocks in use: arenas and old objects. */
// @ts-ignore: decorator
@lazy let blockBytes: usize = 0;
/** Bytes of blocks that the handler reserved. They are no part of the heap that is collected. */
// @ts-ignore: decorator
@lazy let reservedBytes: usize = 0;
// @ts-ignore: decorator
@lazy let collectAll: bool = false;

// @ts-ignore: decorator
@inline function info(object: usize): u32 { return changetype<OBJECT>(object - TOTAL_OVERHEAD).gcInfo; }
// @ts-ignore: decorator
@inline function setInfo(object: usize, value: u32): void { changetype<OBJECT>(object - TOTAL_OVERHEAD).gcInfo = value; }
// @ts-ignore: decorator
@inline function below(object: usize): usize { return changetype<OBJECT>(object - TOTAL_OVERHEAD).gcInfo2; }
// @ts-ignore: decorator
@inline function setBelow(object: usize, value: usize): void { changetype<OBJECT>(object - TOTAL_OVERHEAD).gcInfo2 = <u32>value; }
/** Bytes of an object's block with its header. */
// @ts-ignore: decorator
@inline function blockSize(object: usize): usize {
  return (changetype<OBJECT>(object - TOTAL_OVERHEAD).mmInfo & ~3) + BLOCK_OVERHEAD;
}

/** Whether the allocator has a free block of that size, so that running out of memory can be told apart from a trap. */
function fits(bytes: usize): bool {
  const root = changetype<usize>(ROOT);
  if (!root) return true; // the allocator takes all memory at its first use
  let size = max<usize>(12, ((bytes + BLOCK_OVERHEAD + AL_MASK) & ~AL_MASK) - BLOCK_OVERHEAD);
  let first: u32 = 0;
  let second: u32 = <u32>(size >> 4);
  if (size >= 256) {
    if (size < BLOCK_MAXSIZE >> 1) size += (1 << (27 - clz<u32>(<u32>size))) - 1; // searches start at the next size class
    const bit = 31 - clz<u32>(<u32>size);
    second = (<u32>size >> (bit - 4)) ^ 16;
    first = bit - 7;
  }
  const classes = load<u32>(root + (first << 2), 4);
  if (classes & (~0 << second)) return true;
  return (load<u32>(root) & (~0 << (first + 1))) != 0;
}

function outOfMemory(): void {
  throw new Error("out of memory: the handler holds more than limits.memory_mib allows");
}

/** Bytes of a block with its header. */
// @ts-ignore: decorator
@inline function sizeOfBlock(block: usize): usize { return (load<usize>(block - BLOCK_OVERHEAD) & ~3) + BLOCK_OVERHEAD; }

function allocate(bytes: usize): usize {
  if (!fits(bytes)) outOfMemory();
  return __alloc(bytes);
}

/** A block of the old allocator, at least `bytes` long. */
function takeBlock(bytes: usize): usize {
  const block = allocate(bytes);
  blockBytes += sizeOfBlock(block);
  return block;
}

// @ts-ignore: decorator
@inline function giveBlock(block: usize): void {
  blockBytes -= sizeOfBlock(block);
  __free(block);
}

/** Makes the block at `header` the arena in use. */
// @ts-ignore: decorator
@inline function useArena(header: usize): void {
  arena = header;
  bump = header + STUB_BYTES;
  bumpEnd = header + BLOCK_OVERHEAD + (load<usize>(header) & ~3);
}

/** A table twice as long, with what was in it. */
function growTable(table: usize, bytes: usize): usize {
  const grown = takeBlock(max<usize>(1024, bytes << 1));
  if (table) {
    memory.copy(grown, table, bytes);
    giveBlock(table);
  }
  return grown;
}

/** Adds an arena with room for `bytes`. */
function addArena(bytes: usize): void {
  if (arena) {
    if (fullCount == fullCapacity) {
      full = growTable(full, <usize>fullCapacity << 3);
      fullCapacity = max<u32>(128, fullCapacity << 1);
    }
    store<usize>(full + (<usize>fullCount << 3), arena);
    store<usize>(full + (<usize>fullCount << 3), bump, 4);
    ++fullCount;
  }
  const needed = bytes + STUB_BYTES + BLOCK_OVERHEAD;
  let size = arenaWanted;
  while (size > needed && !fits(size)) size >>= 1;
  const block = takeBlock(max(size, needed));
  batchBytes += max(size, needed);
  useArena(block - BLOCK_OVERHEAD);
}

// @ts-ignore: decorator
@inline function initObject(header: usize, size: usize, id: u32, flags: u32): usize {
  const object = changetype<OBJECT>(header);
  object.gcInfo = flags;
  object.rtId = id;
  object.rtSize = <u32>size;
  return header + TOTAL_OVERHEAD;
}

function newSlow(size: usize, id: u32): usize {
  if (size > OBJECT_MAXSIZE) throw new Error("an allocation of more than 1 GiB");
  if (size > LARGE_BYTES) {
    const block = takeBlock(OBJECT_OVERHEAD + size);
    batchBytes += size;
    const object = initObject(block - BLOCK_OVERHEAD, size, id, <u32>youngLarge | YOUNG);
    youngLarge = object;
    return object;
  }
  addArena((size + TOTAL_OVERHEAD + AL_MASK) & ~AL_MASK);
  return __new(size, id);
}

// @ts-ignore: decorator
@global @unsafe
export function __new(size: usize, id: u32): usize { return newHere(size, id); }

/** __new without a call, for what is made with every event. Its fields hold anything yet. */
// @ts-ignore: decorator
@inline export function newHere(size: usize, id: u32): usize {
  const header = bump;
  const total = (size + TOTAL_OVERHEAD + AL_MASK) & ~AL_MASK;
  if (size > LARGE_BYTES || header + total > bumpEnd) return newSlow(size, id);
  bump = header + total;
  changetype<OBJECT>(header).mmInfo = total - BLOCK_OVERHEAD;
  return initObject(header, size, id, YOUNG);
}

/** The write barrier for a store into an object that was made in this batch: it matters only while the heap is marked. */
// @ts-ignore: decorator
@inline export function linkFromYoung(parent: usize, child: usize): void {
  if (phase == MARKING) __link(parent, child, false);
}

// @ts-ignore: decorator
@global @unsafe
export function __renew(oldPtr: usize, size: usize): usize {
  const object = changetype<OBJECT>(oldPtr - TOTAL_OVERHEAD);
  if (size + OBJECT_OVERHEAD <= (object.mmInfo & ~3)) {
    object.rtSize = <u32>size;
    return oldPtr;
  }
  const header = changetype<usize>(object);
  if (header + blockSize(oldPtr) == bump && size <= LARGE_BYTES) { // the arena's last object grows in place
    const total = (size + TOTAL_OVERHEAD + AL_MASK) & ~AL_MASK;
    if (header + total <= bumpEnd) {
      bump = header + total;
      object.mmInfo = total - BLOCK_OVERHEAD;
      object.rtSize = <u32>size;
      return oldPtr;
    }
  }
  const newPtr = __new(size, object.rtId);
  memory.copy(newPtr, oldPtr, min<usize>(size, object.rtSize));
  return newPtr;
}

/** The write barrier: compiled code calls it when it stores `child` into a field or element of `parent`. */
// @ts-ignore: decorator
@global @unsafe
export function __link(parentPtr: usize, childPtr: usize, expectMultiple: bool): void { // eslint-disable-line
  if (!childPtr) return;
  const child = info(childPtr);
  if (child & YOUNG) {
    if (!(info(parentPtr) & (YOUNG | REMEMBERED))) remember(parentPtr);
  } else if (phase == MARKING && !(child & MARKED)) {
    pushGray(childPtr);
  }
}

function remember(object: usize): void {
  if (rememberedCount == rememberedCapacity) {
    remembered = growTable(remembered, <usize>rememberedCapacity << 2);
    rememberedCapacity = max<u32>(256, rememberedCapacity << 1);
  }
  store<usize>(remembered + (<usize>rememberedCount << 2), object);
  ++rememberedCount;
  setInfo(object, info(object) | REMEMBERED);
}

function pushGray(object: usize): void {
  let flags = info(object) | MARKED;
  if (object < __heap_base && !(flags & LISTED)) {
    flags = (flags & FLAGS) | LISTED | <u32>old;
    old = object;
  }
  setInfo(object, flags);
  if (changetype<OBJECT>(object - TOTAL_OVERHEAD).rtId <= idof<string>()) return; // buffers and strings hold no references
  setBelow(object, grayStack);
  grayStack = object;
}

// @ts-ignore: decorator
@global @unsafe
export function __visit(ptr: usize, cookie: u32): void {
  if (!ptr) return;
  const flags = info(ptr);
  if (cookie == VISIT_YOUNG) {
    if ((flags & (YOUNG | MARKED)) != YOUNG) return;
    setInfo(ptr, flags | MARKED);
    setBelow(ptr, youngStack);
    youngStack = ptr;
    ++survivors;
  } else if (!(flags & MARKED)) {
    pushGray(ptr);
  }
}

/** Marks the young objects that are reachable. */
function markYoung(): void {
  survivors = 0;
  __visit_globals(VISIT_YOUNG);
  for (let i: u32 = 0; i < rememberedCount; ++i) {
    const object = load<usize>(remembered + (<usize>i << 2));
    setInfo(object, info(object) & ~REMEMBERED);
    __visit_members(object, VISIT_YOUNG);
  }
  rememberedCount = 0;
  while (youngStack) {
    const object = youngStack;
    youngStack = below(object);
    __visit_members(object, VISIT_YOUNG);
  }
}

/** Makes a surviving object an old one. */
function tenure(object: usize): void {
  oldBytes += blockSize(object);
  setInfo(object, <u32>old);
  old = object;
  if (phase == MARKING) pushGray(object);
}

/** Frees what lies between `from` and `to`, the start of the next block, as one block. */
// @ts-ignore: decorator
@inline function freeRun(from: usize, to: usize, tags: usize): void {
  store<usize>(from, (to - from - BLOCK_OVERHEAD) | tags);
  giveBlock(from + BLOCK_OVERHEAD);
}

/** Splits an arena into survivors and free blocks. */
function splitArena(header: usize, used: usize): void {
  const end = arenaEnd(header);
  let run = header;
  let tags = load<usize>(header) & 3;
  let at = header + STUB_BYTES;
  while (at < used) {
    const object = at + TOTAL_OVERHEAD;
    const next = at + blockSize(object);
    if (info(object) & MARKED) {
      if (run < at) freeRun(run, at, tags);
      tags = 0; // what lies left of the next block is in use now
      tenure(object);
      run = next;
    }
    at = next;
  }
  if (run < end) freeRun(run, end, tags);
}

// @ts-ignore: decorator
@inline function arenaEnd(header: usize): usize { return header + BLOCK_OVERHEAD + (load<usize>(header) & ~3); }

/** Rewinds the arena, or keeps what survives of the last batch. Returns the number of survivors. */
function endBatch(): u32 {
  if (!arena || (bump == arena + STUB_BYTES && !fullCount && !youngLarge)) return 0;
  markYoung();
  const kept = survivors;
  let large = youngLarge;
  youngLarge = 0;
  while (large) {
    const flags = info(large);
    const next = <usize>(flags & ~FLAGS);
    if (flags & MARKED) tenure(large);
    else giveBlock(large - OBJECT_OVERHEAD);
    large = next;
  }
  if (!kept && !fullCount) {
    bump = arena + STUB_BYTES;
    batchBytes = 0;
    return 0;
  }
  let used = bump - arena;
  for (let i: u32 = 0; i < fullCount; ++i) {
    const header = load<usize>(full + (<usize>i << 3)), end = load<usize>(full + (<usize>i << 3), 4);
    used += end - header;
    if (kept) splitArena(header, end);
    else giveBlock(header + BLOCK_OVERHEAD);
  }
  if (kept) splitArena(arena, bump);
  else giveBlock(arena + BLOCK_OVERHEAD);
  // With survivors, the next arena is to fit into the hole that is left; without, the next batch is to need only one.
  arenaWanted = min(ARENA_MAX_BYTES, max(ARENA_MIN_BYTES, kept ? used : used << 1));
  fullCount = 0;
  batchBytes = 0;
  arena = 0;
  bump = 0;
  bumpEnd = 0;
  return kept;
}

/** Marks up to `budget` old objects. */
function mark(budget: i32): i32 {
  while (budget > 0) {
    const object = grayStack;
    if (!object) {
      __visit_globals(VISIT_OLD); // globals have no write barrier
      if (grayStack) continue;
      phase = SWEEPING;
      unswept = old;
      old = 0;
      break;
    }
    grayStack = below(object);
    __visit_members(object, VISIT_OLD);
    --budget;
  }
  return budget;
}

/** Frees or keeps up to `budget` old objects. */
function sweep(budget: i32): i32 {
  while (budget > 0) {
    const object = unswept;
    if (!object) {
      phase = IDLE;
      liveBytes = oldBytes;
      cycleBytes = max(CYCLE_MIN_BYTES, min(oldBytes << 1, oldBytes + (freeBytes() >> 1)));
      break;
    }
    const flags = info(object);
    unswept = <usize>(flags & ~FLAGS);
    if (flags & MARKED) {
      setInfo(object, <u32>old | (flags & FLAGS & ~MARKED));
      old = object;
    } else if (object < __heap_base) {
      setInfo(object, flags & REMEMBERED);
    } else {
      oldBytes -= blockSize(object);
      giveBlock(object - OBJECT_OVERHEAD);
    }
    --budget;
  }
  return budget;
}

// @ts-ignore: decorator
@inline function step(budget: i32): i32 {
  if (phase == IDLE) {
    phase = MARKING;
    __visit_globals(VISIT_OLD);
  }
  return phase == MARKING ? mark(budget) : sweep(budget);
}

/** Finishes a cycle that may be under way, then runs a whole one. */
function collectNow(): void {
  while (phase != IDLE) step(i32.MAX_VALUE);
  do { step(i32.MAX_VALUE); } while (phase != IDLE);
}

// @ts-ignore: decorator
@inline function heapBytes(): usize { return (<usize>memory.size() << 16) - __heap_base - reservedBytes; }

// @ts-ignore: decorator
@inline function freeBytes(): usize {
  const all = heapBytes();
  return all > blockBytes ? all - blockBytes : 0;
}

/** Reclaims what the last batch left behind. Only to be called where no WebAssembly frame holds a reference. */
export function beginBatch(): void {
  const kept = endBatch();
  if (collectAll || (freeBytes() < heapBytes() >> 2 && oldBytes > liveBytes + (heapBytes() >> 4))) {
    collectAll = false;
    collectNow();
  } else if (phase != IDLE || oldBytes > cycleBytes) {
    let budget = STEP_OBJECTS + <i32>(kept << 2);
    do { budget = step(budget); } while (budget > 0 && phase != IDLE);
  }
}

/** Whether the batch under way has used so much memory that no further event should be taken. */
// @ts-ignore: decorator
@inline export function batchIsLarge(): bool { return batchBytes != 0 && batchBytes > (heapBytes() - (blockBytes - batchBytes)) >> 2; }

/** Bytes of memory for the rest of this batch, valid until the next poll. */
// @ts-ignore: decorator
@inline export function scratch(bytes: usize): usize { return __new(bytes, idof<ArrayBuffer>()); }

/** Bytes of objects that have outlived their batch. */
export function tenuredBytes(): usize { return oldBytes; }

/** Bytes that this batch has allocated in its arena. */
export function arenaBytes(): usize { return arena ? bump - arena - STUB_BYTES + (fullCount ? batchBytes : 0) : 0; }

/** Asks for a whole collection at the start of the next poll: before that, references are on the stack. */
// @ts-ignore: decorator
@global @unsafe
export function __collect(): void { collectAll = true; }

/** Memory outside of the garbage collector, until `rawFree`. */
export function rawBlock(bytes: usize): usize { return takeBlock(bytes); }
export function rawFree(block: usize): void { giveBlock(block); }

/** A block that the handler manages itself: the collector leaves it out of what it measures the heap by. */
export function reserveBlock(bytes: usize): usize {
  const block = allocate(bytes);
  reservedBytes += sizeOfBlock(block);
  return block;
}
export function unreserveBlock(block: usize): void {
  reservedBytes -= sizeOfBlock(block);
  __free(block);
}

/** Bytes of the heap that no block takes. */
export function reservableBytes(): usize { return freeBytes(); }
