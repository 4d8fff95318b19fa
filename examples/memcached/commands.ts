/** What commands do, the same in both protocols. */
import { copyBytes } from "@weir/guest/memory";
import { Counter, count } from "./counters";
import { parseUnsigned, parsed, writeNumber } from "./text";
import {
  expiryOf, fillFrom, flagsOf, holdersOf, keyBytesOf, keyOf, pagesOf, setExpiry, tailOf, uniqueOf, valueBytesOf,
} from "./item";
import { hashKey } from "./key";
import { LONGEST_VALUE_BYTES, find, hold, letGo, link, newItem, renew, unlink, use } from "./store";

/** How a value that has come is stored. */
export enum Mode { Set, Add, Replace, Append, Prepend, Cas }

/** What became of a command. */
export enum Status { Done, NotStored, Exists, NotFound, TooLarge, NoMemory, NotANumber }

/** The unique number that a successful command left behind. */
export let unique: u64 = 0;
/** The number that arithmetic() made. */
export let number: u64 = 0;
/** Why newValue() returned 0. */
export let refusal: Status = Status.Done;

/** The item of a key that somebody asks for, or 0. */
// @ts-ignore: decorator
@inline export function lookUp(key: usize, bytes: u32): usize {
  const item = find(key, bytes, hashKey(key, bytes));
  if (item) {
    use(item);
    count(Counter.GetHits);
  } else {
    count(Counter.GetMisses);
  }
  return item;
}

/** lookUp() that gives the item another expiry. */
export function lookUpAndTouch(key: usize, bytes: u32, expiry: u32): usize {
  const item = lookUp(key, bytes);
  count(item ? Counter.TouchHits : Counter.TouchMisses);
  if (item) setExpiry(item, expiry);
  return item;
}

/** Gives an item another expiry. Returns it, or 0. */
export function touch(key: usize, bytes: u32, expiry: u32): usize {
  const item = find(key, bytes, hashKey(key, bytes));
  count(item ? Counter.TouchHits : Counter.TouchMisses);
  if (item) {
    use(item);
    setExpiry(item, expiry);
  }
  return item;
}

/**
 * An item whose value is to come, held by the caller. 0, with `refusal`, if it cannot be: then a set has taken the old value
 * away, as memcached does, so that nobody goes on with what should be replaced.
 */
export function newValue(mode: Mode, key: usize, keyBytes: u32, flags: u32, expiry: u32, bytes: u64): usize {
  if (bytes > LONGEST_VALUE_BYTES) {
    refusal = Status.TooLarge;
    count(Counter.StoreTooLarge);
  } else {
    const item = newItem(key, keyBytes, flags, expiry, <u32>bytes);
    if (item) return item;
    refusal = Status.NoMemory;
    count(Counter.StoreNoMemory);
  }
  if (mode == Mode.Set) {
    const old = find(key, keyBytes, hashKey(key, keyBytes));
    if (old) unlink(old);
  }
  return 0;
}

/** Stores an item whose value is complete. `wanted` is the unique number that the old value has to have, or 0. */
export function storeValue(item: usize, mode: Mode, wanted: u64): Status {
  count(Counter.SetCommands);
  const keyBytes = keyBytesOf(item);
  const hash = hashKey(keyOf(item), keyBytes);
  const old = find(keyOf(item), keyBytes, hash);
  if (mode == Mode.Append || mode == Mode.Prepend) return old ? join(item, mode, wanted, old, hash) : Status.NotStored;
  if (mode == Mode.Cas) {
    if (!old) {
      count(Counter.CasMisses);
      return Status.NotFound;
    }
    if (uniqueOf(old) != wanted) {
      count(Counter.CasBadValue);
      return Status.Exists;
    }
    count(Counter.CasHits);
  } else if (old) {
    if (mode == Mode.Add) {
      use(old);
      return Status.NotStored;
    }
  } else if (mode == Mode.Replace) {
    return Status.NotStored;
  }
  if (old) unlink(old);
  link(item, hash);
  unique = uniqueOf(item);
  return Status.Done;
}

/** Stores the value of `old` with that of `item` before or behind it. */
function join(item: usize, mode: Mode, wanted: u64, old: usize, hash: u32): Status {
  if (wanted && uniqueOf(old) != wanted) return Status.Exists;
  const bytes = valueBytesOf(old) + valueBytesOf(item);
  if (bytes > LONGEST_VALUE_BYTES) return Status.NotStored; // as memcached answers
  hold(old); // making room must not take it away
  const both = newItem(keyOf(old), keyBytesOf(old), flagsOf(old), expiryOf(old), bytes);
  letGo(old);
  if (!both) return Status.NotStored;
  const first = mode == Mode.Append ? old : item, second = mode == Mode.Append ? item : old;
  fillFrom(both, 0, first);
  fillFrom(both, valueBytesOf(first), second);
  replace(old, both, hash);
  return Status.Done;
}

/** Puts an item that the caller holds in the place of another one, and lets it go. */
function replace(old: usize, item: usize, hash: u32): void {
  unlink(old);
  link(item, hash);
  unique = uniqueOf(item);
  letGo(item);
}

/** Takes an item away, if it has the unique number that is wanted; 0 is any. */
export function remove(key: usize, bytes: u32, wanted: u64): Status {
  const item = find(key, bytes, hashKey(key, bytes));
  if (!item) {
    count(Counter.DeleteMisses);
    return Status.NotFound;
  }
  if (wanted && uniqueOf(item) != wanted) return Status.Exists;
  count(Counter.DeleteHits);
  unlink(item);
  return Status.Done;
}

const digits: usize = memory.data(32);

// @ts-ignore: decorator
@inline function isSpace(at: usize): bool {
  const byte = load<u8>(at);
  return byte == 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

/** Adds to the number that an item has for its value, or takes away from it: no less than 0, no more than a u64 wraps at. */
export function arithmetic(key: usize, bytes: u32, delta: u64, isIncrement: bool, wanted: u64): Status {
  const hash = hashKey(key, bytes);
  const item = find(key, bytes, hash);
  if (!item) {
    count(isIncrement ? Counter.IncrementMisses : Counter.DecrementMisses);
    return Status.NotFound;
  }
  const valueBytes = valueBytesOf(item);
  const value = tailOf(item);
  if (!valueBytes) return Status.NotANumber; // first, as memcached finds it
  if (wanted && uniqueOf(item) != wanted) return Status.Exists;
  if (pagesOf(item)) return Status.NotANumber;
  // Blanks may stand before the number, and anything behind a blank: one that became shorter has blanks behind it.
  const end = value + valueBytes;
  let from = value;
  while (from < end && isSpace(from)) ++from;
  let to = from;
  while (to < end && !isSpace(to)) ++to;
  if (!parseUnsigned(from, to)) return Status.NotANumber;
  count(isIncrement ? Counter.IncrementHits : Counter.DecrementHits);
  number = isIncrement ? parsed + delta : parsed > delta ? parsed - delta : 0;
  const length = <u32>(writeNumber(number, digits) - digits);
  if (length <= valueBytes && !holdersOf(item)) {
    copyBytes(value, digits, length);
    for (let i = length; i < valueBytes; ++i) store<u8>(value + i, 0x20);
    renew(item);
    use(item);
    unique = uniqueOf(item);
    return Status.Done;
  }
  hold(item);
  const longer = newItem(key, bytes, flagsOf(item), expiryOf(item), length);
  letGo(item);
  if (!longer) return Status.NoMemory;
  copyBytes(tailOf(longer), digits, length);
  replace(item, longer, hash);
  return Status.Done;
}

/** Stores a number under a key that has none, for arithmetic with an initial value. */
export function startNumber(key: usize, bytes: u32, value: u64, expiry: u32): Status {
  const length = <u32>(writeNumber(value, digits) - digits);
  const item = newItem(key, bytes, 0, expiry, length);
  if (!item) return Status.NoMemory;
  copyBytes(tailOf(item), digits, length);
  link(item, hashKey(key, bytes));
  unique = uniqueOf(item);
  number = value;
  letGo(item);
  return Status.Done;
}
