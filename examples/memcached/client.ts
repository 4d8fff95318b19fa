/**
 * A connection: which protocol it speaks, what it is in the middle of, and how much it may still be sent. Requests are taken
 * straight from the received bytes; what has come of one in part is kept in a line, a value goes to its item as it comes.
 */
import { batchNumber, finishBatch } from "@weir/guest/env";
import { findByte } from "@weir/guest/memory";
import { Bytes, Connection, Reason } from "@weir/guest/tcp";
import { finishValue, isTooLong, refuseLine, takeKey, takeRequest } from "./ascii";
import { finishBinaryValue, headBytes, isBinary, refuseHead, takeBinaryRequest } from "./binary";
import { readClock } from "./clock";
import { Mode } from "./commands";
import { Counter, count } from "./counters";
import { fill, runAt, runBytes, valueBytesOf } from "./item";
import { LONGEST_LINE_BYTES, addToLine, dropLine } from "./line";
import { TURN_BYTES, beginReplies, hasRoom, hasRoomForTurn, openTurn, unsentAt, unsentBytes, wasSent } from "./reply";
import { beginStore, hold, isLeavingFull, letGo, letGoLater } from "./store";

/** Requests of one batch, about: after so many it ends, so that one call takes no more than a few milliseconds. */
const BATCH_REQUESTS: u32 = 4096;
/** A connection that waited goes on when so much is left unacknowledged. */
const DRAIN_BYTES: u32 = TURN_BYTES / 2;
/** The longest part of a value that is sent at once. */
const PIECE_BYTES: u32 = 64 << 10;
/** Values that one turn can send: all of them together are no longer than what may be unacknowledged. */
const TURN_VALUES: u32 = 64;
/** Received views that all connections together keep: each may take one of the 252 chunks of the window. */
const KEPT_VIEWS: u32 = 128;
/** How long a connection that this side has ended waits for the other one, milliseconds. */
const LINGER_MS: u32 = 5_000;

/** What comes next in the stream. */
export enum Next { Request, Key, Value, Refused }

let batch: u32 = 0;
let requests: u32 = 0;
let keptViews: u32 = 0;
export let connectionCount: u32 = 0;

/** Before the first work of a batch. */
function beginBatch(current: u32): void {
  batch = current;
  requests = 0;
  readClock();
  beginReplies();
  beginStore();
}

/** Whether this batch has done enough. */
// @ts-ignore: decorator
@inline function isSated(): bool { return requests >= BATCH_REQUESTS || !hasRoomForTurn() || isLeavingFull(TURN_VALUES); }

export class Client extends Connection {
  /** Whether the protocol is known, and which it is. */
  private started: bool = false;
  private binary: bool = false;
  next: Next = Next.Request;
  /** Nothing more is taken or answered. */
  private over: bool = false;
  /** What was answered has to be acknowledged first. */
  private blocked: bool = false;
  private peerEnded: bool = false;

  /** A request that has come in part, and from where on it is not taken. */
  private line: usize = 0;
  private lineBytes: u32 = 0;
  private lineFrom: u32 = 0;
  /** Received while blocked, and from where on the first of them is not taken. */
  private kept: Array<Bytes> = [];
  private keptFrom: u32 = 0;

  /** The item that the value to come belongs to, how much of it has come, and how it is to be stored. */
  item: usize = 0;
  filled: u32 = 0;
  mode: Mode = Mode.Set;
  wanted: u64 = 0;
  quiet: bool = false;
  /** The value was not followed by the end of a line. */
  broken: bool = false;
  /** Bytes of a refused value that are still to come. */
  refusedBytes: u64 = 0;
  /** Of a binary request. */
  opcode: i32 = 0;
  opaque: u32 = 0;
  /** Of a request for many keys: with unique numbers, with another expiry. */
  withUnique: bool = false;
  touches: bool = false;
  expiry: u32 = 0;

  /** The item whose value is being sent, and which part of it is not. */
  private sending: usize = 0;
  private sent: u32 = 0;
  private sendEnd: u32 = 0;

  onOpen(): void {
    ++connectionCount;
    count(Counter.TotalConnections);
    // Where an earlier instance was in this stream is unknown, and so is what it stored.
    if (this.inherited) this.abort();
  }

  onData(data: Bytes): void {
    if (this.over) return;
    count(Counter.BytesRead, data.length);
    if (this.blocked) {
      this.keep(data, 0);
      return;
    }
    this.beginTurn();
    const end = data.address + data.length;
    const at = this.feed(data.address, end);
    if (this.blocked && at < end) this.keep(data, <u32>(at - data.address));
    this.endTurn();
  }

  onDrain(): void {
    if (!this.blocked || this.over) return;
    this.beginTurn();
    if (!isSated()) this.goOn();
    this.endTurn();
  }

  onEnd(): void {
    this.peerEnded = true;
    if (!this.blocked && !this.over) this.finish();
  }

  onClose(why: Reason): void {
    --connectionCount;
    this.over = true;
    if (this.sending) letGo(this.sending); // at once: nothing of it is sent any more
    this.sending = 0;
    this.drop();
  }

  // --- For the protocols

  /** Sends what is written, then nothing more. */
  finish(): void {
    this.flush();
    this.over = true;
    this.blocked = false;
    this.drop();
    this.end();
    this.timeout(LINGER_MS);
  }

  /** Sends `bytes` of an item's value after what is written; nothing is taken before that is done. */
  sendValue(item: usize, bytes: u32): void {
    hold(item);
    this.sending = item;
    this.sent = 0;
    this.sendEnd = bytes;
  }

  // --- Turns

  // @ts-ignore: decorator
  @inline private beginTurn(): void {
    const current = batchNumber();
    if (current != batch) beginBatch(current);
    openTurn(this.queuedBytes);
  }

  // @ts-ignore: decorator
  @inline private endTurn(): void {
    this.flush();
    if (isSated()) finishBatch();
    if (this.blocked && !this.over) this.drainTo(DRAIN_BYTES);
  }

  /** Sends what is written. */
  private flush(): void {
    const bytes = unsentBytes();
    if (!bytes) return;
    count(Counter.BytesWritten, bytes);
    // A turn writes no more than the connection takes; if it does not, a hole in the stream is worse than its end.
    if (!this.sendFrom(unsentAt(), bytes)) {
      this.over = true;
      this.abort();
    }
    wasSent();
  }

  /** Goes on where it was blocked. */
  private goOn(): void {
    this.blocked = false;
    if (this.sending && !this.pump()) return;
    if (this.lineBytes && !this.takeLine()) return;
    while (this.kept.length) {
      const view = this.kept[0];
      const end = view.address + view.length;
      const at = this.feed(view.address + this.keptFrom, end);
      if (this.over) return;
      if (this.blocked) {
        this.keptFrom = <u32>(at - view.address);
        if (at < end) return;
      }
      this.kept.shift();
      this.keptFrom = 0;
      --keptViews;
      view.release();
      if (this.blocked) return;
      if (isSated() && this.kept.length) {
        this.blocked = true;
        return;
      }
    }
    if (this.peerEnded) this.finish();
  }

  /** Keeps received bytes for when there is room for their answers: so the peer can send only so much more. */
  private keep(data: Bytes, from: u32): void {
    if (keptViews >= KEPT_VIEWS) {
      count(Counter.SlowReaders);
      this.over = true;
      this.drop();
      this.abort();
      return;
    }
    ++keptViews;
    data.keep();
    if (!this.kept.length) this.keptFrom = from;
    this.kept.push(data);
  }

  /** Lets go of everything. */
  private drop(): void {
    if (this.item) letGo(this.item);
    this.item = 0;
    if (this.sending) letGoLater(this.sending);
    this.sending = 0;
    this.forgetLine();
    for (let i = 0; i < this.kept.length; ++i) this.kept[i].release();
    keptViews -= this.kept.length;
    this.kept = [];
  }

  // --- The stream

  /** Takes what is in [at, end). Returns from where on it did not, because it is blocked; otherwise `end`. */
  private feed(at: usize, end: usize): usize {
    while (at < end && !this.over) {
      if (this.lineBytes) {
        at = this.lengthen(at, end);
        if (this.blocked) return at;
        continue;
      }
      at = this.take(at, end);
      if (this.blocked) return at;
      if (at < end && !this.over) {
        this.addToLine(at, <u32>(end - at));
        return end;
      }
    }
    return end;
  }

  /** Takes whole requests from [at, end), and returns from where on there is none. */
  private take(at: usize, end: usize): usize {
    while (at < end && !this.over) {
      if (!hasRoom()) {
        this.blocked = true;
        return at;
      }
      const next = this.next;
      if (next == Next.Request) {
        if (!this.started) {
          this.started = true;
          this.binary = isBinary(at);
        }
        const taken = this.binary ? takeBinaryRequest(this, at, end) : takeRequest(this, at, end);
        if (!taken) return at;
        at += taken;
        ++requests;
      } else if (next == Next.Key) {
        at = takeKey(this, at, end);
        ++requests;
      } else if (next == Next.Value) {
        at = this.takeValue(at, end);
        continue;
      } else {
        const part = min(this.refusedBytes, <u64>(end - at));
        this.refusedBytes -= part;
        at += <usize>part;
        if (!this.refusedBytes) this.next = Next.Request;
        continue;
      }
      if (this.sending && !this.pump()) return at;
    }
    return at;
  }

  /** Takes a value, or a part of it. */
  private takeValue(at: usize, end: usize): usize {
    const item = this.item;
    const bytes = valueBytesOf(item);
    const part = min(bytes - min(bytes, this.filled), <u32>(end - at));
    if (part) {
      fill(item, this.filled, at, part);
      this.filled += part;
      at += part;
    }
    if (this.binary) {
      if (this.filled == bytes) this.storeItem();
      return at;
    }
    while (at < end && this.filled >= bytes) {
      if (load<u8>(at++) != (this.filled == bytes ? 0x0d : 0x0a)) this.broken = true;
      if (++this.filled == bytes + 2) {
        this.storeItem();
        break;
      }
    }
    return at;
  }

  private storeItem(): void {
    if (this.binary) finishBinaryValue(this);
    else finishValue(this);
    letGo(this.item);
    this.item = 0;
    this.next = Next.Request;
  }

  /** Begins to take a value. One that is empty is stored at once, where nothing follows it. */
  beginValue(item: usize): void {
    this.item = item;
    this.filled = 0;
    this.broken = false;
    this.next = Next.Value;
    if (this.binary && !valueBytesOf(item)) this.storeItem();
  }

  /** Passes over the value of a refused request. */
  refuseValue(bytes: u64): void {
    this.refusedBytes = bytes;
    if (bytes) this.next = Next.Refused;
  }

  /** Adds to the request that has begun what it needs, and takes it if it is complete. */
  private lengthen(at: usize, end: usize): usize {
    let complete = false;
    let part = <u32>(end - at);
    if (this.binary) {
      const needed = headBytes(this.line, this.lineBytes) - this.lineBytes;
      complete = part >= needed;
      if (complete) part = needed;
    } else {
      const newline = findByte(at, end, 0x0a);
      complete = newline != 0;
      if (complete) part = <u32>(newline + 1 - at);
    }
    if (!this.addToLine(at, part)) return end;
    if (complete) this.takeLine();
    return at + part;
  }

  /** Takes the request of the line. False if that blocked. */
  private takeLine(): bool {
    const end = this.line + this.lineBytes;
    const at = this.take(this.line + this.lineFrom, end);
    if (this.over) return false;
    if (at == end) this.forgetLine();
    else this.lineFrom = <u32>(at - this.line);
    return !this.blocked;
  }

  /** Adds bytes to the line. False if they are too many: then the connection is being ended. */
  private addToLine(at: usize, bytes: u32): bool {
    const total = this.lineBytes + bytes;
    if (!this.binary && isTooLong(this.line ? this.line : at, this.line ? this.lineBytes : bytes, total)) {
      this.finish(); // without a word, as memcached does
      return false;
    }
    const line = total <= LONGEST_LINE_BYTES ? addToLine(this.line, this.lineBytes, at, bytes) : 0;
    if (!line) {
      count(Counter.ReadMemoryRefused);
      if (this.binary) refuseHead(this.line ? this.line : at);
      else refuseLine();
      this.finish();
      return false;
    }
    this.line = line;
    this.lineBytes = total;
    return true;
  }

  private forgetLine(): void {
    if (this.line) dropLine(this.line, this.lineBytes);
    this.line = 0;
    this.lineBytes = 0;
    this.lineFrom = 0;
  }

  /** Sends on with a value. False if it waits for acknowledgements. */
  private pump(): bool {
    this.flush();
    const item = this.sending;
    while (this.sent < this.sendEnd) {
      const from = runAt(item, this.sent);
      const part = min(min(runBytes, this.sendEnd - this.sent), PIECE_BYTES);
      if (this.queuedBytes >= TURN_BYTES || !this.sendFrom(from, part)) {
        this.blocked = true;
        return false;
      }
      count(Counter.BytesWritten, part);
      this.sent += part;
    }
    this.sending = 0;
    letGoLater(item);
    openTurn(this.queuedBytes);
    return true;
  }
}
