/** Datagrams: dispatch of received ones, and building others. */
import { CommandKind, EventRecord } from "./abi";
import { formatAddress } from "./address";
import { Bytes, OWN, fillView } from "./bytes";
import { command, roomForHandler } from "./commands";
import { error } from "./log";
import { newHere, scratch } from "rt/heap";
import { utf8Bytes, writeUtf8 } from "./text";
import { takeForBatch } from "./transmit";

/** The longest datagram that fits IPv4 (RFC 791 section 3.1, RFC 768). */
const DATAGRAM_BYTES: u32 = 65_507;

/** A received datagram. Its bytes are valid while the handler runs. */
export class Datagram extends Bytes {
  _listen: u32 = 0;
  _port: u16 = 0;
  _remoteHigh: u64 = 0;
  _remoteLow: u64 = 0;

  /** The sender as ADDRESS:PORT, IPv6 in brackets. */
  get remote(): string {
    const text = formatAddress(this._remoteHigh, this._remoteLow);
    return text.includes(":") ? `[${text}]:${this._port}` : `${text}:${this._port}`;
  }

  /** Sends bytes to the sender. False, and nothing is sent, if they are too long or the batch has sent too many. */
  reply<T>(out: T): bool {
    if (out instanceof Packet) return !out.overflow && this._send(out.address, out.length);
    if (out instanceof Bytes) return this._send(out.address, out.length);
    ERROR("reply takes a Packet or Bytes");
    return false;
  }

  _send(address: usize, length: u32): bool {
    if (length > DATAGRAM_BYTES || !roomForHandler()) return false;
    const record = command(CommandKind.UdpSend);
    record.port = this._port;
    record.listen = this._listen;
    record.datagram = <u32>address;
    record.datagram_bytes = length;
    store<u64>(record.address, this._remoteHigh);
    store<u64>(record.address, this._remoteLow, 8);
    return true;
  }
}

/** Bytes that are being put together. What does not fit is left out and noted in `overflow`; such a packet is not sent. */
export class Packet {
  /** Something did not fit. */
  overflow: bool = false;
  /** Bytes put together so far. */
  length: u32 = 0;

  constructor(readonly address: usize, readonly capacity: u32) {}

  // @ts-ignore: decorator
  @inline _room(bytes: u32): usize {
    const length = this.length;
    if (bytes > this.capacity - length) {
      this.overflow = true;
      return 0;
    }
    this.length = length + bytes;
    return this.address + length;
  }

  /** Appends `view` from `from` up to `to`, or up to its end. */
  bytes(view: Bytes, from: i32 = 0, to: i32 = i32.MAX_VALUE): Packet {
    const end = min(to, <i32>view.length);
    if (from < 0 || from > end) {
      this.overflow = true;
      return this;
    }
    const at = this._room(end - from);
    if (at) memory.copy(at, view.address + from, end - from);
    return this;
  }

  /** Appends a text as UTF-8. */
  text(text: string): Packet {
    const at = this._room(utf8Bytes(text));
    if (at) writeUtf8(text, at);
    return this;
  }

  /** Appends numbers, big-endian (be) or little-endian (le). */
  u8(value: u32): Packet {
    const at = this._room(1);
    if (at) store<u8>(at, <u8>value);
    return this;
  }
  u16be(value: u32): Packet {
    const at = this._room(2);
    if (at) store<u16>(at, bswap<u16>(<u16>value));
    return this;
  }
  u32be(value: u32): Packet {
    const at = this._room(4);
    if (at) store<u32>(at, bswap<u32>(value));
    return this;
  }
  u64be(value: u64): Packet {
    const at = this._room(8);
    if (at) store<u64>(at, bswap<u64>(value));
    return this;
  }
  u16le(value: u32): Packet {
    const at = this._room(2);
    if (at) store<u16>(at, <u16>value);
    return this;
  }
  u32le(value: u32): Packet {
    const at = this._room(4);
    if (at) store<u32>(at, value);
    return this;
  }
}

let handlers: Array<((datagram: Datagram) => void) | null> = [];

export function setDatagramHandler(listen: u32, handler: (datagram: Datagram) => void): void {
  while (<u32>handlers.length <= listen) handlers.push(null);
  handlers[listen] = handler;
}

/** A packet of at most `capacity` bytes, valid until the handler's batch is over: then the host copies it. */
export function newPacket(capacity: i32): Packet {
  const bytes = <u32>max(0, min(capacity, <i32>DATAGRAM_BYTES));
  const address = takeForBatch(bytes);
  return new Packet(address ? address : scratch(bytes), bytes);
}

/** Hands a datagram to the handler of its port. */
export function dispatchDatagram(event: EventRecord): void {
  const index = event.listen;
  const handler = index < <u32>handlers.length ? handlers[index] : null;
  if (!handler) {
    error(`nothing in the handler is bound to [[listen]] entry ${index}: datagram dropped`);
    return;
  }
  const made = newHere(offsetof<Datagram>(), idof<Datagram>());
  store<usize>(made, 0, offsetof<Datagram>("_owner"));
  fillView(made, event.datagram, event.datagram_bytes, OWN);
  const datagram = changetype<Datagram>(made);
  datagram._listen = index;
  datagram._port = event.port;
  datagram._remoteHigh = load<u64>(event.address);
  datagram._remoteLow = load<u64>(event.address, 8);
  handler(datagram);
  datagram._empty(); // its bytes go with the event
}
