/** Timers. State is an argument, because AssemblyScript has no closures. */
import { Connection } from "./connection";
import { info } from "./config";
import { warn } from "./log";
import { Timer, clearTimer, setTimer, TIMER_CAPACITY } from "./scheduler";
import { rawBlock, rawFree } from "rt/heap";

/** A timer that a handler set and can cancel by its number. */
class Numbered extends Timer {
  _id: u32 = 0;
}

class After<T> extends Numbered {
  constructor(readonly target: T, readonly fn: (target: T) => void) { super(); }

  _fire(): void {
    forget(this);
    const target = this.target;
    if (isManaged<T>() && target instanceof Connection) {
      if (changetype<Connection>(changetype<usize>(target)).isClosed) return;
    }
    this.fn(target);
  }
}

class Every extends Numbered {
  constructor(readonly intervalUs: u64, readonly fn: () => void) { super(); }

  _fire(): void {
    // From the deadline, not from now, so that it does not drift; what was missed by a long stall is left out.
    const now = info().mono_us;
    let next = this._deadline + this.intervalUs;
    if (next <= now) next = now + this.intervalUs;
    setTimer(this, next);
    this.fn();
  }
}

// Slots by number: address of the timer (or the next free slot), and a generation so that an old number finds nothing.
const SLOT_BYTES: u32 = 8;
let slots: usize = 0;
let slotCapacity: u32 = 0;
let slotCount: u32 = 0;
/** First free slot, plus 1; 0 for none. */
let freeSlot: u32 = 0;
let refused: u32 = 0;

// @ts-ignore: decorator
@inline function slotAt(i: u32): usize { return slots + i * SLOT_BYTES; }

function number(timer: Numbered): void {
  let slot: u32;
  if (freeSlot) {
    slot = freeSlot - 1;
    freeSlot = load<u32>(slotAt(slot));
  } else {
    if (slotCount == slotCapacity) {
      const capacity = max<u32>(64, slotCapacity << 1);
      const grown = rawBlock(capacity * SLOT_BYTES);
      if (slots) {
        memory.copy(grown, slots, slotCount * SLOT_BYTES);
        rawFree(slots);
      }
      slots = grown;
      slotCapacity = capacity;
    }
    slot = slotCount++;
    store<u32>(slotAt(slot), 1, 4);
  }
  store<u32>(slotAt(slot), <u32>changetype<usize>(timer));
  timer._id = (load<u32>(slotAt(slot), 4) << 16) | slot;
}

function forget(timer: Numbered): void {
  const slot = timer._id & 0xffff;
  const generation = (load<u32>(slotAt(slot), 4) + 1) & 0xffff;
  store<u32>(slotAt(slot), freeSlot);
  store<u32>(slotAt(slot), max<u32>(1, generation), 4); // 0 would make a number 0, which stands for none
  freeSlot = slot + 1;
  timer._id = 0;
}

function start(timer: Numbered, delayUs: u64): u32 {
  if (!setTimer(timer, info().mono_us + delayUs)) {
    // A line for each power of two: the log must not grow as fast as what is refused.
    ++refused;
    if ((refused & (refused - 1)) == 0) warn(`${TIMER_CAPACITY} timers are set, ${refused} more were refused`);
    return 0;
  }
  number(timer);
  return timer._id;
}

/**
 * Calls `fn(target)` once, `delayMs` milliseconds from this batch, unless `target` is a connection that has closed by then.
 * Returns a number for cancel(), or 0 if too many timers are set.
 */
export function after<T>(delayMs: u32, target: T, fn: (target: T) => void): u32 {
  return start(new After<T>(target, fn), <u64>delayMs * 1000);
}

/** Calls `fn` every `intervalMs` milliseconds (at least 1). Returns a number for cancel(), or 0. */
export function every(intervalMs: u32, fn: () => void): u32 {
  const intervalUs = <u64>max<u32>(1, intervalMs) * 1000;
  return start(new Every(intervalUs, fn), intervalUs);
}

/** Cancels a timer. False if there is none of that number. */
export function cancel(id: u32): bool {
  const slot = id & 0xffff;
  if (!id || slot >= slotCount || load<u32>(slotAt(slot), 4) != id >>> 16) return false;
  const timer = changetype<Numbered>(<usize>load<u32>(slotAt(slot)));
  clearTimer(timer);
  forget(timer);
  return true;
}
