/**
 * Bytes, not copied. Received bytes are valid while onData runs, and longer after keep(); after that the view is empty.
 * Parts made by slice() follow the view they are part of, so keep() it or copy() them.
 */
export declare class Bytes {
  /** The byte at that place, as a u32 so that sums do not wrap. Ends the instance if there is none. */
  readonly [key: number]: u32;
  /** Address of the first byte. */
  readonly address: usize;
  /** How many bytes. A u32: count with `let i: u32 = 0`. */
  readonly length: u32;
  constructor(address: usize, length: u32);
  /** The bytes of a text as UTF-8. */
  static of(text: string): Bytes;
  /** Numbers at `i`, big-endian (be) or little-endian (le). End the instance beyond the end. */
  u8(i: i32): u8;
  u16be(i: i32): u16;
  u32be(i: i32): u32;
  u64be(i: i32): u64;
  u16le(i: i32): u16;
  u32le(i: i32): u32;
  u64le(i: i32): u64;
  /** The part from `from` up to `to`, cut to what there is. Not a copy. */
  slice(from: i32, to?: i32): Bytes;
  /** Whether these are the bytes of the text as UTF-8. */
  equals(text: string): bool;
  /** Where `byte` is first found from `from` on, or -1. */
  indexOf(byte: u8, from?: i32): i32;
  /** The text, from UTF-8. What is not valid becomes U+FFFD. */
  toString(): string;
  /** A copy in the handler's own memory. */
  copy(): Bytes;
  /** A copy that is sent without being copied again, as long as the instance lives; 1.5 MiB in all, beyond that an ordinary copy. */
  fix(): Bytes;
  /** Holds received bytes beyond onData. Until they are released the peer can send only so much more. */
  keep(): void;
  /** Gives received bytes back, and promises never to ask for them again. The view is empty from now on. */
  release(): void;
}
