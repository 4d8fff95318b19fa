/** All timers of an instance behind the one deadline that the host keeps for it. */
import { CommandKind } from "./abi";
import { command, nearlyFull } from "./commands";
import { info } from "./config";
import { rawBlock, rawFree } from "rt/heap";

/** Timers at once. */
export const TIMER_CAPACITY: u32 = 65_536;

/** Something that happens at a time. Held until it has happened or is cancelled. */
export class Timer {
  /** Monotonic, microseconds. */
  _deadline: u64 = 0;
  /** Position in the heap; -1 if it is not set. */
  _position: i32 = -1;
  _older: Timer | null = null;
  _newer: Timer | null = null;

  _fire(): void {}
}

// The list holds the timers for the garbage collector; the heap, which changes with every timer, is plain memory.
let newest: Timer | null = null;
let heapBase: usize = 0;
let heapSize: u32 = 0;
let heapCapacity: u32 = 0;
/** The deadline that the host has; 0 for none. */
let told: u64 = 0;
/** A wake-up that the SDK wants for itself; 0 for none. */
let wanted: u64 = 0;

// @ts-ignore: decorator
@inline function at(i: u32): Timer { return changetype<Timer>(load<usize>(heapBase + (<usize>i << 2))); }
// @ts-ignore: decorator
@inline function put(i: u32, timer: Timer): void {
  store<usize>(heapBase + (<usize>i << 2), changetype<usize>(timer));
  timer._position = i;
}

function siftUp(timer: Timer, from: u32): void {
  let i = from;
  while (i > 0) {
    const up = (i - 1) >> 1;
    const parent = at(up);
    if (parent._deadline <= timer._deadline) break;
    put(i, parent);
    i = up;
  }
  put(i, timer);
}

function siftDown(timer: Timer, from: u32): void {
  let i = from;
  for (;;) {
    let next = (i << 1) + 1;
    if (next >= heapSize) break;
    if (next + 1 < heapSize && at(next + 1)._deadline < at(next)._deadline) ++next;
    const child = at(next);
    if (timer._deadline <= child._deadline) break;
    put(i, child);
    i = next;
  }
  put(i, timer);
}

/** Sets a timer, again if it is set. False if there are too many: then nothing will happen. */
export function setTimer(timer: Timer, deadline: u64): bool {
  if (timer._position >= 0) {
    const later = deadline > timer._deadline;
    timer._deadline = deadline;
    if (later) siftDown(timer, timer._position);
    else siftUp(timer, timer._position);
    return true;
  }
  if (heapSize == heapCapacity) {
    if (heapSize == TIMER_CAPACITY) return false;
    const capacity = max<u32>(64, heapCapacity << 1);
    const grown = rawBlock(capacity << 2);
    if (heapBase) {
      memory.copy(grown, heapBase, heapSize << 2);
      rawFree(heapBase);
    }
    heapBase = grown;
    heapCapacity = capacity;
  }
  timer._deadline = deadline;
  timer._older = newest;
  if (newest) newest!._newer = timer;
  newest = timer;
  siftUp(timer, heapSize++);
  return true;
}

/** Takes a timer away; nothing happens if it is not set. */
export function clearTimer(timer: Timer): void {
  const position = timer._position;
  if (position < 0) return;
  const older = timer._older, newer = timer._newer;
  if (newer) newer._older = older;
  else newest = older;
  if (older) older._newer = newer;
  timer._older = null;
  timer._newer = null;
  timer._position = -1;
  const last = at(--heapSize);
  if (<u32>position == heapSize) return;
  if (last._deadline < timer._deadline) siftUp(last, position);
  else siftDown(last, position);
}

/** The host's deadline has passed. */
export function timerFired(): void { told = 0; }

/** Asks for another poll at a time, for the SDK's own unfinished work. */
export function wakeAt(deadline: u64): void {
  if (!wanted || deadline < wanted) wanted = deadline;
}

/** Lets happen what is due. */
export function runTimers(): void {
  const now = info().mono_us;
  if (wanted && wanted <= now) wanted = 0;
  // A timer that sets itself again for now must not keep the poll from ending.
  let rounds = heapSize;
  while (rounds-- && heapSize) {
    const timer = at(0);
    if (timer._deadline > now || nearlyFull()) return;
    clearTimer(timer);
    timer._fire();
  }
}

/** Tells the host the earliest deadline if it does not have one that is early enough. */
export function writeDeadline(): void {
  let earliest = heapSize ? at(0)._deadline : 0;
  if (wanted && (!earliest || wanted < earliest)) earliest = wanted;
  // A deadline too early costs one empty poll; taking it back would cost a command for each connection that ends.
  if (!earliest || (told && told <= earliest)) return;
  told = earliest;
  command(CommandKind.TimerSet).deadline_us = earliest;
}
