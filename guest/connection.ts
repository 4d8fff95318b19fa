/** TCP connections: objects for handles, and what came in and is not given back. */
import {
  CloseReason,
  CommandKind,
  ConnectFlag,
  EventKind,
  EventRecord,
  INFO,
  INFO_TICKETS_OFFSET,
  OpenedFlag,
  SendFlag,
} from "./abi";
import { formatAddress, parseEndpoint } from "./address";
import { Bytes, CURRENT, GONE, KEPT, RELEASED, receivedBytes } from "./bytes";
import { command, roomForHandler, roomForSdk } from "./commands";
import { connectIndex, info } from "./config";
import { error } from "./log";
import { Timer, clearTimer, setTimer, wakeAt } from "./scheduler";
import { scratch } from "rt/heap";
import { writeUtf8 } from "./text";

/** Accepted connections in one poll; their events of the same poll still come without a cookie. */
const OPENED_CAPACITY: u32 = 128;
/** More than this may be on the way before the host is asked to tell what was acknowledged. */
const NOTIFY_BYTES: u64 = 16 << 10;
/** After a send was refused, handlers go on when this part of the limit, as a power of two, has become free. */
const DRAIN_SHIFT: u32 = 3;
/** How long until work that found no room, or an onClose without a connection, is tried again. */
const RETRY_US: u64 = 1_000;

// States of a connection.
/** Made by its constructor, not yet attached to a handle. */
const NEW: u8 = 0;
const OPEN: u8 = 1;
/** end() was called: nothing more is sent. */
const ENDED: u8 = 2;
/** abort() was called: nothing more is told but the end. */
const ABORTED: u8 = 3;
const CLOSED: u8 = 4;

/** Work that found the command area full; done at the start of the next poll. */
const LATER_CLOSE: u8 = 1;
const LATER_ABORT: u8 = 2;
const LATER_RESUME: u8 = 4;

/** Wakes a connection at its time-out. */
class Alarm extends Timer {
  constructor(readonly connection: Connection) { super(); }
  _fire(): void { this.connection._onAlarm(); }
}

/** One TCP connection. A handler extends it and says what happens. */
export class Connection {
  _handle: u64 = 0;
  _previous: Connection | null = null;
  _following: Connection | null = null;
  /** Received views that are held, oldest first. */
  _oldest: Bytes | null = null;
  _latest: Bytes | null = null;
  /** Bytes to give back that found no room in the command area. */
  _owed: i32 = 0;
  _later: u8 = 0;
  _nextLater: Connection | null = null;
  _state: u8 = NEW;
  /** Index of the [[listen]] entry that it came to. */
  _listen: u32 = 0;
  _remotePort: u16 = 0;
  _remoteHigh: u64 = 0;
  _remoteLow: u64 = 0;
  _sent: u64 = 0;
  _acknowledged: u64 = 0;
  /** `_sent` after the last send that asked to be told. */
  _asked: u64 = 0;
  /** A send was refused, and onDrain is due when at most `_drainBytes` are unacknowledged. */
  _refused: bool = false;
  _drainBytes: u32 = 0;
  /** How much has to be acknowledged for that, as the host was told. */
  _drainAt: u64 = 0;
  _alarm: Alarm | null = null;
  _idleUs: u64 = 0;
  _activeUs: u64 = 0;

  /** Whether a former instance of the app had this connection (the handler was deployed anew or has failed). */
  inherited: bool = false;

  /** The connection is established. */
  onOpen(): void {}
  /** Bytes have come. What is not sent on or kept is given back when this returns. */
  onData(data: Bytes): void {}
  /** The peer has sent all that it will. */
  onEnd(): void { this.end(); }
  /** The connection is over. */
  onClose(why: CloseReason): void {}
  /** After a send was refused: there is room again. */
  onDrain(): void {}

  /** The peer as ADDRESS:PORT, IPv6 in brackets. */
  get remote(): string {
    const text = formatAddress(this._remoteHigh, this._remoteLow);
    return text.includes(":") ? `[${text}]:${this._remotePort}` : `${text}:${this._remotePort}`;
  }

  /** Whether the connection is over, or never came to be. */
  get isClosed(): bool { return this._state >= ABORTED; }

  /** Bytes sent and, as far as is known, not acknowledged. What is known is up to a round trip old. */
  get queuedBytes(): u32 { return <u32>(this._sent - this._acknowledged); }

  /**
   * Sends bytes. Received bytes are sent as they are and stay held until they are acknowledged, so a slow receiver slows
   * the sender. False if the connection is closing or too much is unacknowledged: then nothing is sent, and onDrain tells
   * when there is room.
   */
  send(data: Bytes): bool {
    const length = <i32>data.length;
    if (!length) return this._state == OPEN;
    if (!this._mayWrite(length)) return false;
    const owner = data._owner;
    if (owner && length == data._received) {
      const state = data._state;
      if (state == CURRENT ? !owner._oldest : state == KEPT && owner._oldest == data) {
        this._forward(data, owner);
        return true;
      }
      if (data._forward) {
        // Sent once more before the host has seen the first time: only the last one gives it back.
        const first = changetype<usize>(data._forward);
        store<u8>(first, <u8>CommandKind.Send);
        data._forward = this._write(CommandKind.Forward, data.address, length, owner._handle);
        return true;
      }
    }
    this._write(CommandKind.Send, data.address, length, 0);
    return true;
  }

  /** Sends a text as UTF-8. False as in send(). */
  text(text: string): bool {
    if (this._state != OPEN) return false;
    const to = scratch(<usize>text.length * 3);
    return this.sendFrom(to, writeUtf8(text, to));
  }

  /**
   * Sends `length` bytes of the handler's own memory, which must stay as they are until the batch is over: the host reads
   * them then. False as in send().
   */
  sendFrom(address: usize, length: u32): bool {
    if (!length) return this._state == OPEN;
    if (!this._mayWrite(length)) return false;
    this._write(CommandKind.Send, address, length, 0);
    return true;
  }

  /**
   * Has onDrain called as soon as at most `bytes` of what was sent are unacknowledged; in the next batch, if that is so
   * already. For who wants to have less on the way than the limit at which sends are refused, or to go on in a later batch.
   */
  drainTo(bytes: u32): void {
    if (this._state != OPEN) return;
    this._refused = true;
    this._drainBytes = bytes;
    this._drainAt = 0; // nothing has been asked for this
    if (this.queuedBytes > bytes && roomForHandler()) this._ask();
    else this._resumeLater();
  }

  /** Sends nothing more: the peer is told after what is queued. */
  end(): void {
    if (this._state != OPEN) return;
    this._state = ENDED;
    if (roomForSdk() && !this._later) command(CommandKind.Close).handle = this._handle;
    else this._putOff(LATER_CLOSE);
  }

  /** Ends the connection at once; the peer gets a reset. */
  abort(): void {
    if (this._state == NEW || this._state >= ABORTED) return;
    this._state = ABORTED;
    if (roomForSdk()) command(CommandKind.Abort).handle = this._handle;
    else this._putOff(LATER_ABORT);
  }

  /** Aborts the connection when nothing was sent or received for so long. 0 switches it off. */
  timeout(ms: u32): void {
    this._idleUs = <u64>ms * 1000;
    if (ms) this._wake(info().mono_us + this._idleUs);
    else if (this._alarm) clearTimer(this._alarm!);
  }

  // --- For the SDK

  /** Who the other side is. */
  _setRemote(event: EventRecord): void {
    this._remotePort = event.port;
    this._remoteHigh = load<u64>(event.address);
    this._remoteLow = load<u64>(event.address, 8);
  }

  /** Makes sure that the alarm comes by `deadline`. It may come earlier. */
  _wake(deadline: u64): void {
    if (this._state == NEW || this._state >= ABORTED) return;
    let alarm = this._alarm;
    if (!alarm) {
      alarm = new Alarm(this);
      this._alarm = alarm;
    }
    if (alarm._position >= 0 && alarm._deadline <= deadline) return;
    if (!setTimer(alarm, deadline)) this.abort(); // without its time-out it might stay for ever
  }

  _onAlarm(): void {
    if (!this._idleUs || this._state >= ABORTED) return;
    const due = this._activeUs + this._idleUs;
    if (due <= info().mono_us) this.abort();
    else this._wake(due);
  }

  /** Whether so many bytes may be sent now. If not, onDrain is due. */
  _mayWrite(length: i32): bool {
    if (this._state != OPEN) return false;
    const limit = info().send_limit_bytes;
    if (!roomForHandler()) {
      if (!this._refused) this._drainBytes = limit;
      this._refused = true;
      this._resumeLater();
      return false;
    }
    if (this._sent + length - this._acknowledged <= <u64>limit) return true;
    // Early, so that there is always more to send than the network takes; and late enough for these bytes.
    const drainBytes = min(limit - (limit >> DRAIN_SHIFT), limit - min(limit, <u32>length));
    if (!this._refused || drainBytes < this._drainBytes) {
      this._refused = true;
      this._drainBytes = drainBytes;
      this._ask();
    }
    return false;
  }

  /** Asks the host to tell when onDrain is due. Nothing is told of a send that never fits. */
  _ask(): void {
    if (this._sent <= this._acknowledged) return;
    this._drainAt = this._sent - min(this._sent, <u64>this._drainBytes);
    const record = command(CommandKind.Notify);
    record.handle = this._handle;
    record.remaining_bytes = this._drainBytes;
  }

  /** Writes a send or forward and returns its address. */
  // @ts-ignore: decorator
  @inline _write(kind: CommandKind, address: usize, length: i32, source: u64): usize {
    const sent = this._sent + length;
    this._sent = sent;
    let flags: u8 = 0;
    // One question at a time: a later one moves the host's mark, and while data streams the mark would never be reached.
    if (sent - this._acknowledged > NOTIFY_BYTES && this._asked <= this._acknowledged) {
      flags = <u8>SendFlag.Notify;
      this._asked = sent;
    }
    const record = command(kind, flags);
    record.handle = this._handle;
    record.data = <u32>address;
    record.data_bytes = length;
    record.source = source;
    if (this._idleUs) this._activeUs = info().mono_us;
    return changetype<usize>(record);
  }

  // @ts-ignore: decorator
  @inline _forward(data: Bytes, owner: Connection): void {
    data._forward = this._write(CommandKind.Forward, data.address, data.length, owner._handle);
    if (data._state == KEPT) {
      owner._oldest = data._next;
      if (!owner._oldest) owner._latest = null;
      data._next = null;
      data._state = GONE;
      data._forward = 0;
      data._empty();
      owner._giveBack();
    } else {
      data._state = GONE;
    }
  }

  /** Goes on with what found the command area full. */
  _resume(): void {
    this._acknowledge(this._acknowledged);
  }

  /** Calls _resume in the next poll, which comes at once. */
  _resumeLater(): void { this._putOff(LATER_RESUME); }

  _putOff(what: u8): void {
    if (!this._later && !this._owed) {
      this._nextLater = later;
      later = this;
    }
    this._later |= what;
  }

  /** Gives the oldest received bytes back. */
  _done(length: i32): void {
    if (this._state >= ABORTED) return;
    if (!roomForSdk()) {
      if (!this._owed && !this._later) {
        this._nextLater = later;
        later = this;
      }
      this._owed += length;
      return;
    }
    const record = command(CommandKind.RecvDone);
    record.handle = this._handle;
    record.data_bytes = length;
  }

  /** Puts a received view behind the ones that are held already. */
  _hold(view: Bytes): void {
    if (this._latest) this._latest!._next = view;
    else this._oldest = view;
    this._latest = view;
  }

  /** Gives back what is released and has nothing held before it. */
  _giveBack(): void {
    let bytes = 0;
    let view = this._oldest;
    while (view && view._state == RELEASED) {
      bytes += view._received;
      view._state = GONE;
      const next = view._next;
      view._next = null;
      view = next;
    }
    this._oldest = view;
    if (!view) this._latest = null;
    if (bytes) this._done(bytes);
  }

  /** Bytes have come. */
  _receive(address: usize, length: i32): void {
    const data = receivedBytes(address, length, this);
    this.onData(data);
    const state = data._state;
    if (state == KEPT) return;
    data._empty();
    data._forward = 0;
    if (state != CURRENT) return;
    if (!this._oldest) {
      data._state = GONE;
      this._done(length);
      return;
    }
    data._state = RELEASED;
    const latest = this._latest!;
    if (latest._state == RELEASED) latest._received += length;
    else this._hold(data);
  }

  _acknowledge(acknowledged: u64): void {
    this._acknowledged = min(max(acknowledged, this._acknowledged), this._sent);
    if (!this._refused || this._state != OPEN) return;
    if (this._sent - this._acknowledged <= <u64>this._drainBytes) {
      this._refused = false;
      this.onDrain();
    } else if (this._drainAt > this._acknowledged) {
      return;
    } else if (roomForSdk()) {
      this._ask();
    } else {
      this._resumeLater();
    }
  }

  _attach(handle: u64): void {
    this._handle = handle;
    this._state = OPEN;
    this._following = connections;
    if (connections) connections!._previous = this;
    connections = this;
  }

  _detach(): void {
    this._state = CLOSED;
    const previous = this._previous, following = this._following;
    if (previous) previous._following = following;
    else if (connections == this) connections = following;
    if (following) following._previous = previous;
    this._previous = null;
    this._following = null;
    if (this._alarm) clearTimer(this._alarm!);
    this._alarm = null;
    let view = this._oldest;
    while (view) {
      view._state = GONE;
      view._empty();
      view = view._next;
    }
    this._oldest = null;
    this._latest = null;
  }
}

/** All connections that have a handle. */
let connections: Connection | null = null;
/** Connections with work that found no room in the command area. */
let later: Connection | null = null;
/** Connections of connect() that could not be asked for. */
let failed: Array<Connection> | null = null;
let failedReasons: Array<CloseReason> | null = null;
/** What makes an object for each [[listen]] entry. */
let factories: Array<(() => Connection) | null> = [];
let ticketsUsed: u32 = 0;
/** Handles and objects of this poll's accepted connections: u64 and address, 16 bytes each. */
const opened: usize = memory.data(2048);
let openedCount: u32 = 0;

/** Says what is made for a connection to a [[listen]] entry. */
export function setFactory(listen: u32, factory: () => Connection): void {
  while (<u32>factories.length <= listen) factories.push(null);
  factories[listen] = factory;
}

/** Starts to connect. The object can be sent to at once; onClose tells if nothing comes of it. */
export function startConnect(connection: Connection, to: string): void {
  const endpoint = scratch(16);
  const port = parseEndpoint(to, endpoint);
  let flags: u8 = 0;
  if (!port) {
    // A name is the host's to look up; what it may stand for is in weir.toml.
    const index = connectIndex(to);
    if (index < 0) {
      error(`connect: "${to}" is neither ADDRESS:PORT nor in [[connect]]`);
      failConnect(connection, CloseReason.Forbidden);
      return;
    }
    flags = <u8>ConnectFlag.Entry;
    store<u64>(endpoint, <u64>index);
    store<u64>(endpoint, 0, 8);
  }
  if (ticketsUsed >= info().ticket_count || !roomForHandler()) {
    failConnect(connection, CloseReason.Limit);
    return;
  }
  if (!flags) {
    connection._remotePort = port;
    connection._remoteHigh = load<u64>(endpoint);
    connection._remoteLow = load<u64>(endpoint, 8);
  }
  connection._attach(load<u64>(INFO + (ticketsUsed++ << 3), INFO_TICKETS_OFFSET));
  const record = command(CommandKind.Connect);
  record.flags = flags;
  record.port = port;
  record.cookie = <u32>changetype<usize>(connection);
  record.handle = connection._handle;
  memory.copy(record.address, endpoint, 16);
}

function failConnect(connection: Connection, reason: CloseReason): void {
  connection._state = ABORTED;
  if (!failed) {
    failed = [];
    failedReasons = [];
  }
  failed!.push(connection);
  failedReasons!.push(reason);
}

// @ts-ignore: decorator
@inline export function openedFull(): bool { return openedCount == OPENED_CAPACITY; }

/** Before the events of a poll. */
export function beginConnections(): void {
  ticketsUsed = 0;
  openedCount = 0;
  if (later) flushLater();
}

function flushLater(): void {
  let connection = later;
  later = null;
  while (connection) {
    const next = connection._nextLater;
    const what = connection._later, owed = connection._owed;
    connection._nextLater = null;
    connection._later = 0;
    connection._owed = 0;
    if (connection._state < CLOSED) {
      if (what & LATER_ABORT) {
        if (roomForSdk()) command(CommandKind.Abort).handle = connection._handle;
        else connection._putOff(LATER_ABORT);
      } else {
        if (owed) connection._done(owed);
        if (what & LATER_RESUME) connection._resume();
        if (what & LATER_CLOSE) {
          if (roomForSdk()) command(CommandKind.Close).handle = connection._handle;
          else connection._putOff(LATER_CLOSE);
        }
      }
    }
    connection = next;
  }
}

/** After the events of a poll. */
export function endConnections(): void {
  if (failed) {
    // Those that onClose starts and that fail again have to wait, or a handler that tries for ever would never return.
    const count = failed!.length;
    for (let i = 0; i < count; ++i) {
      const connection = failed![i];
      connection._state = CLOSED;
      connection.onClose(failedReasons![i]);
    }
    if (failed!.length > count) {
      failed = failed!.slice(count);
      failedReasons = failedReasons!.slice(count);
      wakeAt(info().mono_us + RETRY_US);
    } else {
      failed = null;
      failedReasons = null;
    }
  }
  if (later) wakeAt(info().mono_us);
}

/** The object of a handle, or null. */
// @ts-ignore: decorator
@inline function find(cookie: u32, handle: u64): Connection | null {
  if (cookie) {
    const connection = changetype<Connection>(<usize>cookie);
    if (connection._handle == handle) return connection;
  }
  return search(handle);
}

function search(handle: u64): Connection | null {
  for (let i = openedCount; i > 0; --i) {
    const entry = opened + ((i - 1) << 4);
    if (load<u64>(entry) == handle) {
      const connection = changetype<Connection>(load<usize>(entry, 8));
      return connection._state < CLOSED ? connection : null;
    }
  }
  // The host shows an event that was left over again; it may have been written before accept set the cookie.
  let connection = connections;
  while (connection) {
    if (connection._handle == handle) return connection;
    connection = connection._following;
  }
  return null;
}

/** Hands an event to its connection. */
export function dispatch(kind: u32, event: EventRecord): void {
  if (kind == EventKind.Opened) {
    open(event);
    return;
  }
  if (kind < <u32>EventKind.Received || kind > <u32>EventKind.Closed) return;
  const connection = find(event.cookie, event.handle);
  if (!connection) return;
  if (connection._idleUs) connection._activeUs = info().mono_us;
  if (kind == EventKind.Received) {
    if (connection._state < ABORTED) connection._receive(event.data, event.data_bytes);
  } else if (kind == EventKind.Sent) {
    connection._acknowledge(event.acknowledged_bytes);
  } else if (kind == EventKind.Ended) {
    if (connection._state < ABORTED) connection.onEnd();
  } else {
    connection._detach();
    connection.onClose(event.reason);
  }
}

function open(event: EventRecord): void {
  const handle = event.handle;
  const flags = <u32>event.flags;
  if ((flags & (OpenedFlag.Outbound | OpenedFlag.Inherited)) == OpenedFlag.Outbound) {
    const connection = find(event.cookie, handle);
    if (connection && connection._state < ABORTED) {
      connection._setRemote(event);
      connection.onOpen();
    }
    return;
  }
  const index = event.listen;
  const factory = !(flags & OpenedFlag.Outbound) && index < <u32>factories.length ? factories[index] : null;
  if (!factory) {
    if (!(flags & OpenedFlag.Outbound)) error(`nothing in the handler listens to [[listen]] entry ${index}: connection refused`);
    command(CommandKind.Abort).handle = handle;
    return;
  }
  const connection = factory();
  connection.inherited = (flags & OpenedFlag.Inherited) != 0;
  connection._listen = index;
  connection._setRemote(event);
  connection._attach(handle);
  const entry = opened + (openedCount++ << 4);
  store<u64>(entry, handle);
  store<usize>(entry, changetype<usize>(connection), 8);
  const record = command(CommandKind.Accept);
  record.cookie = <u32>changetype<usize>(connection);
  record.handle = handle;
  connection.onOpen();
}
