/** A run of bytes: received, or in the handler's own memory. */
import { Connection } from "./connection";
import { findByte } from "./memory";
import { linkFromYoung, newHere, scratch } from "rt/heap";
import { decodeUtf8, equalsAscii } from "./text";
import { takeForGood } from "./transmit";

/** Plain memory of the handler, or a part of other bytes. */
export const OWN: u8 = 0;
/** Received, and being handled by onData. */
export const CURRENT: u8 = 1;
/** Received, and held by keep(). */
export const KEPT: u8 = 2;
/** Received, and not wanted any more; given back when everything before it is. */
export const RELEASED: u8 = 3;
/** Received, and gone: forwarded or given back. */
export const GONE: u8 = 4;

/**
 * Bytes, not copied. Received bytes are valid while onData runs, and longer after keep(); after that the view is empty.
 * Parts made by slice() follow the view they are part of, so keep() it or copy() them.
 */
export class Bytes {
  [key: number]: u32;

  /** The connection that received the bytes. */
  _owner: Connection | null = null;
  /** The received view that this one is part of. */
  _root: Bytes | null = null;
  /** The next received view of the same connection that is not given back. */
  _next: Bytes | null = null;
  /** How many bytes were received, whatever became of the view. */
  _received: i32 = 0;
  /** Address of the command that forwarded it, while that can still be changed. */
  _forward: usize = 0;
  _state: u8 = OWN;

  constructor(
    /** Address of the first byte. */
    readonly address: usize,
    /** How many bytes. */
    readonly length: u32,
  ) {}

  /** The bytes of a text as UTF-8. */
  static of(text: string): Bytes {
    const length = String.UTF8.byteLength(text);
    const to = changetype<usize>(new ArrayBuffer(length));
    String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, to, false, String.UTF8.ErrorMode.REPLACE);
    return ownBytes(to, length);
  }

  /**
   * The byte at `i`. Ends the instance if there is none. A u32, not a u8: a u8 would wrap in `data[i] + 1`, and a length that a
   * peer sends as 255 would become 0.
   */
  @operator("[]") get(i: i32): u32 {
    if (<u32>i >= this.length) throw new RangeError("beyond the end of the bytes");
    return load<u8>(this.address + i);
  }

  // @ts-ignore: decorator
  @inline _at(i: i32, size: i32): usize {
    if (i < 0 || i > <i32>this.length - size) throw new RangeError("beyond the end of the bytes");
    return this.address + i;
  }

  /** Numbers at `i`, big-endian (be) or little-endian (le). End the instance beyond the end. */
  u8(i: i32): u8 { return load<u8>(this._at(i, 1)); }
  u16be(i: i32): u16 { return bswap(load<u16>(this._at(i, 2))); }
  u32be(i: i32): u32 { return bswap(load<u32>(this._at(i, 4))); }
  u64be(i: i32): u64 { return bswap(load<u64>(this._at(i, 8))); }
  u16le(i: i32): u16 { return load<u16>(this._at(i, 2)); }
  u32le(i: i32): u32 { return load<u32>(this._at(i, 4)); }
  u64le(i: i32): u64 { return load<u64>(this._at(i, 8)); }

  /** The part from `from` up to `to`, cut to what there is. Not a copy. */
  slice(from: i32, to: i32 = i32.MAX_VALUE): Bytes {
    const length = <i32>this.length;
    const first = max(0, min(from, length));
    const part = new Bytes(this.address + first, max(first, min(to, length)) - first);
    part._owner = this._owner;
    part._root = this._root ? this._root : this;
    return part;
  }

  /** Whether these are the bytes of the text as UTF-8. */
  equals(text: string): bool {
    if (equalsAscii(this.address, this.length, text)) return true;
    return <u32>String.UTF8.byteLength(text) == this.length && this.toString() == text;
  }

  /** Where `byte` is first found from `from` on, or -1. */
  indexOf(byte: u8, from: i32 = 0): i32 {
    const start = this.address;
    const found = findByte(start + max(0, from), start + this.length, byte);
    return found ? <i32>(found - start) : -1;
  }

  /** The text, from UTF-8. What is not valid becomes U+FFFD. */
  toString(): string { return decodeUtf8(this.address, this.length); }

  /** A copy in the handler's own memory. */
  copy(): Bytes {
    const buffer = scratch(this.length);
    memory.copy(buffer, this.address, this.length);
    return ownBytes(buffer, this.length);
  }

  /**
   * A copy that is sent without being copied again, however often: pages, pictures, answers that are known at the start. It
   * stays as long as the instance lives; all of them together may have 1.5 MiB, and what is beyond is an ordinary copy.
   */
  fix(): Bytes {
    const to = takeForGood(this.length);
    if (!to) return this.copy();
    memory.copy(to, this.address, this.length);
    return new Bytes(to, this.length);
  }

  /** Holds received bytes beyond onData. Until they are released the peer can send only so much more. */
  keep(): void {
    const root = this._root ? this._root! : this;
    if (root._state != CURRENT) return;
    root._state = KEPT;
    root._owner!._hold(root);
  }

  /** Gives received bytes back, and promises never to ask for them again. The view is empty from now on. */
  release(): void {
    const root = this._root ? this._root! : this;
    if (root._state == KEPT) {
      root._state = RELEASED;
      root._empty();
      root._owner!._giveBack();
    } else if (root._state == CURRENT) {
      root._empty(); // given back when onData returns
    }
  }

  _empty(): void {
    store<usize>(changetype<usize>(this), 0, offsetof<Bytes>("address"));
    store<u32>(changetype<usize>(this), 0, offsetof<Bytes>("length"));
  }
}

/** Fills the fields of a new view of received bytes, all but `_owner`. */
// @ts-ignore: decorator
@inline export function fillView(view: usize, address: usize, length: u32, state: u8): void {
  store<usize>(view, 0, offsetof<Bytes>("_root"));
  store<usize>(view, 0, offsetof<Bytes>("_next"));
  store<i32>(view, length, offsetof<Bytes>("_received"));
  store<usize>(view, 0, offsetof<Bytes>("_forward"));
  store<u8>(view, state, offsetof<Bytes>("_state"));
  store<usize>(view, address, offsetof<Bytes>("address"));
  store<u32>(view, length, offsetof<Bytes>("length"));
}

/** A view of bytes that `owner` received and is about to handle. */
// @ts-ignore: decorator
@inline export function receivedBytes(address: usize, length: u32, owner: Connection): Bytes {
  const view = newHere(offsetof<Bytes>(), idof<Bytes>());
  store<usize>(view, changetype<usize>(owner), offsetof<Bytes>("_owner"));
  linkFromYoung(view, changetype<usize>(owner));
  fillView(view, address, length, CURRENT);
  return changetype<Bytes>(view);
}

/** Bytes in memory of an object of the garbage collector, which they keep alive. */
class OwnBytes extends Bytes {
  _buffer: ArrayBuffer;
  constructor(buffer: usize, length: i32) {
    super(buffer, length);
    this._buffer = changetype<ArrayBuffer>(buffer);
  }
}

function ownBytes(buffer: usize, length: i32): Bytes { return new OwnBytes(buffer, length); }
