/** UDP handlers. */
import { Bytes } from "./bytes";
export { Bytes } from "./bytes";

/** A received datagram. Its bytes are valid while the handler runs. */
export declare class Datagram extends Bytes {
  /** The sender as ADDRESS:PORT, IPv6 in brackets. */
  get remote(): string;
  /** Sends bytes to the sender. False, and nothing is sent, if they are too long or the batch has sent too many. */
  reply(out: Packet | Bytes): bool;
}

/** Bytes that are being put together. What does not fit is left out and noted in `overflow`; such a packet is not sent. */
export declare class Packet {
  /** Something did not fit. */
  readonly overflow: bool;
  /** Bytes put together so far. */
  readonly length: u32;
  readonly address: usize;
  readonly capacity: u32;
  /** Appends `view` from `from` up to `to`, or up to its end. */
  bytes(view: Bytes, from?: i32, to?: i32): Packet;
  /** Appends a text as UTF-8. */
  text(text: string): Packet;
  /** Appends numbers, big-endian (be) or little-endian (le). */
  u8(value: u32): Packet;
  u16be(value: u32): Packet;
  u32be(value: u32): Packet;
  u64be(value: u64): Packet;
  u16le(value: u32): Packet;
  u32le(value: u32): Packet;
}

/** Calls `handler` for every datagram that comes to the [[listen]] entry `name`. "main" is also the only entry with udp. */
export declare function bind(name: string, handler: (datagram: Datagram) => void): void;

/** A packet to build, of at most `capacity` bytes. */
export declare function tx(capacity: i32): Packet;
