/** A connection that speaks HTTP/1.1 (RFC 9112): framing, limits, time-outs, and answers in order. */
import { CommandKind } from "../abi";
import { roomForHandler } from "../commands";
import { Connection, setFactory } from "../connection";
import { info, listenIndex } from "../config";
import { equalsAscii } from "../text";
import { Chunked } from "./chunked";
import { Context } from "./context";
import { HEAD_BYTES, Head, headEnd, parseHead } from "./head";
import { Handler, Route } from "./router";

/** A request is given back when it is answered, so that a new instance gets it again. A longer one is given back as it comes. */
const HOLD_BYTES: i32 = 32 << 10;
/** While more of the answers is unacknowledged, no further request is taken. */
const UNACKNOWLEDGED_BYTES: u32 = 64 << 10;
/** At most this much of an answer is sent with one command. */
const PIECE_BYTES: i32 = 64 << 10;
const BODY_BYTES: i32 = 1 << 20;
const HEAD_US: u64 = 10_000_000;
const BODY_US: u64 = 60_000_000;
const IDLE_US: u64 = 60_000_000;
/** How long a connection that is being closed may go on receiving, RFC 9112 section 9.6. */
const LINGER_US: u64 = 5_000_000;

// What a connection waits for.
const WAIT_REQUEST: u8 = 0;
const WAIT_HEAD: u8 = 1;
const WAIT_BODY: u8 = 2;
const WAIT_PEER: u8 = 3;

/** What a [[listen]] entry with http answers. */
export class App {
  /** Longest body of a request; a longer one is answered with 413. */
  bodyLimit: i32 = BODY_BYTES;
  _routes: Route[] = [];
  _listening: bool = false;

  constructor(readonly name: string) {}

  get(path: string, handler: Handler): App { return this.on("GET", path, handler); }
  post(path: string, handler: Handler): App { return this.on("POST", path, handler); }
  put(path: string, handler: Handler): App { return this.on("PUT", path, handler); }
  patch(path: string, handler: Handler): App { return this.on("PATCH", path, handler); }
  delete(path: string, handler: Handler): App { return this.on("DELETE", path, handler); }
  options(path: string, handler: Handler): App { return this.on("OPTIONS", path, handler); }
  /** Answers every method. */
  all(path: string, handler: Handler): App { return this.on("", path, handler); }

  /** Says what answers a method at a path: literal segments, :parameters, and * for the rest. The first that fits answers. */
  on(method: string, path: string, handler: Handler): App {
    if (!this._listening) {
      this._listening = true;
      const index = listenIndex(this.name, "http");
      while (<u32>apps.length <= index) apps.push(null);
      apps[index] = this;
      setFactory(index, (): Connection => new HttpConnection());
    }
    this._routes.push(new Route(method, path, handler));
    return this;
  }

  /** Lets the fitting route answer. */
  _answer(c: Context): void {
    const head = c._head;
    const isGet = c._isHead || equalsAscii(head.method, head.methodBytes, "GET");
    let allowed = "";
    for (let i = 0; i < this._routes.length; ++i) {
      const route = unchecked(this._routes[i]);
      if (head.isAsterisk || !route.matches(head)) continue;
      const method = route.method;
      if (!method.length || (isGet ? method == "GET" : equalsAscii(head.method, head.methodBytes, method))) {
        c._route = route;
        route.handler(c);
        if (!c.answered) c.text("");
        return;
      }
      if (!allowed.includes(method)) allowed += (allowed.length ? ", " : "") + (method == "GET" ? "GET, HEAD" : method);
    }
    if (!isKnown(head)) c.status = 501;
    else if (allowed.length) {
      c.status = 405; // RFC 9110 section 15.5.6: with Allow
      c.set("allow", allowed);
    } else {
      c.status = 404;
    }
    c.text(c.status == 404 ? "not found\n" : c.status == 405 ? "method not allowed\n" : "not implemented\n");
  }
}

/** Apps by the index of their [[listen]] entry. */
let apps: Array<App | null> = [];

/** Whether the method is one of RFC 9110 section 9.3 or RFC 5789, and is not CONNECT or TRACE, which no handler can answer. */
function isKnown(head: Head): bool {
  const at = head.method, bytes = head.methodBytes;
  return equalsAscii(at, bytes, "GET") || equalsAscii(at, bytes, "HEAD") || equalsAscii(at, bytes, "POST")
    || equalsAscii(at, bytes, "PUT") || equalsAscii(at, bytes, "DELETE") || equalsAscii(at, bytes, "PATCH")
    || equalsAscii(at, bytes, "OPTIONS");
}

export class HttpConnection extends Connection {
  /** Bytes that are not yet part of an answered request: in the window, or in `_buffer`. */
  _at: usize = 0;
  _bytes: i32 = 0;
  _buffer: ArrayBuffer | null = null;
  /** How many of them were given back before their request was answered. */
  _early: i32 = 0;
  /** Bytes of answered requests that are to be given back. */
  _answered: i32 = 0;
  /** How many were searched for the end of the head. */
  _searched: i32 = 0;
  /** The request whose body is not complete. */
  _head: Head | null = null;
  _headBytes: i32 = 0;
  _chunked: Chunked | null = null;
  /** An answer that found no room, and how much of it was sent. */
  _rest: ArrayBuffer | null = null;
  _restSent: i32 = 0;
  _waits: u8 = WAIT_REQUEST;
  _since: u64 = 0;
  _peerEnded: bool = false;

  onOpen(): void {
    this._wait(WAIT_REQUEST);
    this._wake(this._since + HEAD_US); // the first request has to begin at once
  }

  onEnd(): void {
    this._peerEnded = true;
    this._serve();
  }

  _receive(address: usize, length: i32): void {
    if (this._waits == WAIT_PEER) {
      this._done(length); // the answer was final
      return;
    }
    if (!this._bytes) {
      this._at = address;
      this._bytes = length;
    } else {
      this._append(address, length);
    }
    this._serve();
  }

  _acknowledge(acknowledged: u64): void {
    super._acknowledge(acknowledged);
    if (this._waits != WAIT_PEER || this._rest) {
      this._since = info().mono_us;
      this._serve();
    }
  }

  /** Joins what was left with what has come. */
  _append(address: usize, length: i32): void {
    const needed = this._bytes + length;
    let buffer = this._buffer;
    const base = buffer ? changetype<usize>(buffer) : 0;
    if (!buffer || this._at < base || this._at >= base + buffer.byteLength || this._at + needed > base + buffer.byteLength) {
      // Into the same buffer if it is long enough: what is left moves to its start.
      if (!buffer || buffer.byteLength < needed) {
        buffer = new ArrayBuffer(max(1024, needed + (needed >> 1)));
        this._buffer = buffer;
      }
      memory.copy(changetype<usize>(buffer), this._at, this._bytes);
      this._at = changetype<usize>(buffer);
    }
    memory.copy(this._at + this._bytes, address, length);
    this._bytes = needed;
  }

  _resume(): void { this._serve(); }

  /** Answers what is complete, as long as the peer takes the answers. */
  _serve(): void {
    this._serveAll();
    const answered = this._answered;
    this._answered = 0;
    if (answered) this._done(answered); // once for all requests that came together
  }

  _serveAll(): void {
    while (!this.isClosed) {
      if (this._rest && !this._flush()) return;
      if (this._waits == WAIT_PEER) return;
      if (this.queuedBytes > UNACKNOWLEDGED_BYTES) return; // an acknowledgement goes on: _write has asked for one
      if (!roomForHandler()) {
        this._resumeLater();
        return;
      }
      if (!this._next()) break;
    }
    if (this.isClosed || this._waits == WAIT_PEER) return;
    if (this._peerEnded) this._finish();
    else this._incomplete();
  }

  /** Takes one request. False if none is complete. */
  _next(): bool {
    if (!this._head) {
      // RFC 9112 section 2.2: empty lines before a request line are passed over
      while (this._bytes >= 2 && load<u16>(this._at) == 0x0a0d) this._consume(2);
      if (!this._bytes) return false;
      const length = headEnd(this._at, this._searched, min(this._bytes, HEAD_BYTES));
      if (length < 0) return this._refuse(400);
      if (!length) {
        if (this._bytes >= HEAD_BYTES) return this._refuse(hasLine(this._at, HEAD_BYTES) ? 431 : 414);
        this._searched = this._bytes;
        return false;
      }
      const head = new Head();
      const status = parseHead(head, this._at, length);
      if (status) return this._refuse(status, head.minor);
      const limit = this._app.bodyLimit;
      if (head.contentLength > limit) return this._refuse(413);
      this._headBytes = length;
      if (head.chunked || head.contentLength > this._bytes - length) {
        if (head.chunked) this._chunked = new Chunked();
        this._head = head;
        this._wait(WAIT_BODY);
      } else {
        const total = length + <i32>max<i64>(0, head.contentLength);
        this._handleRequest(head, this._at + length, total - length, total);
        return true;
      }
    }
    return this._body();
  }

  /** Goes on with a request whose head is complete. */
  _body(): bool {
    let head = this._head!;
    const chunked = this._chunked;
    const body = this._headBytes;
    if (chunked) {
      const status = chunked.decode(this._at + body, this._bytes - body, this._app.bodyLimit);
      if (status > 1) return this._refuse(status);
      if (!status) {
        // Sizes and extensions take room as well; a body is not let in by the back door of a thousand tiny chunks.
        if (this._bytes > HEAD_BYTES + 2 * this._app.bodyLimit + (64 << 10)) return this._refuse(413);
        return this._continue(head);
      }
      this._head = null;
      this._chunked = null;
      head = this._moved();
      this._handleRequest(head, changetype<usize>(chunked.body), chunked.bodyBytes, body + chunked.taken);
      return true;
    }
    const length = <i32>head.contentLength;
    if (this._bytes - body < length) return this._continue(head);
    this._head = null;
    head = this._moved();
    this._handleRequest(head, this._at + body, length, body + length);
    return true;
  }

  /** The head again, where it is by now: more bytes may have moved it. */
  _moved(): Head {
    const head = new Head();
    parseHead(head, this._at, this._headBytes);
    return head;
  }

  /** RFC 9110 section 10.1.1: the client waits to be told to send the body. */
  _continue(head: Head): bool {
    if (head.expectsContinue && head.minor == 1) {
      head.expectsContinue = false;
      if (this._bytes == this._headBytes) this.text("HTTP/1.1 100 Continue\r\n\r\n");
    }
    return false;
  }

  get _app(): App { return apps[this._listen]!; }

  /** Answers a complete request of `total` bytes. */
  _handleRequest(head: Head, body: usize, bodyBytes: i32, total: i32): void {
    const c = new Context(head);
    c._body = body;
    c._bodyBytes = bodyBytes;
    c._isHead = equalsAscii(head.method, head.methodBytes, "HEAD");
    // RFC 9112 section 9.3
    c._close = head.close || (head.minor == 0 && !head.keepAlive);
    this._app._answer(c);
    this._send(c);
    this._consume(total);
    this._wait(WAIT_REQUEST);
    if (c._close) this._finish();
  }

  /** Answers what is no request, and closes. Returns false: there is nothing more to take. */
  _refuse(status: i32, minor: i32 = 1): bool {
    const head = new Head();
    head.minor = minor;
    const c = new Context(head);
    c.status = status;
    c._close = true;
    c.text("");
    this._send(c);
    this._finish();
    return false;
  }

  /** Sends nothing after what is queued, and passes over what still comes. */
  _finish(): void {
    this._wait(WAIT_PEER);
    this._head = null;
    this._chunked = null;
    this._consume(this._bytes);
    if (!this._rest) this.end();
    this._wake(this._since + (this._rest ? IDLE_US : LINGER_US));
  }

  /** Bytes of an answered request are not needed any more. */
  _consume(length: i32): void {
    this._at += length;
    this._bytes -= length;
    this._searched = 0;
    const early = min(this._early, length);
    this._early -= early;
    this._answered += length - early;
    if (!this._bytes && this._buffer && this._buffer!.byteLength > HEAD_BYTES) this._buffer = null;
  }

  /** What has come is not enough for a request. */
  _incomplete(): void {
    if (!this._bytes && !this._head) return;
    if (this._waits == WAIT_REQUEST) {
      this._wait(WAIT_HEAD);
      this._wake(this._since + HEAD_US);
    }
    if (this._bytes > HOLD_BYTES && this._bytes > this._early) {
      this._secure();
      this._done(this._bytes - this._early);
      this._early = this._bytes;
    }
  }

  /** Copies what is still in the window, which may be reused once it is given back. */
  _secure(): void {
    const buffer = this._buffer;
    if (buffer && this._at >= changetype<usize>(buffer) && this._at < changetype<usize>(buffer) + buffer.byteLength) return;
    const bytes = this._bytes;
    const from = this._at;
    this._bytes = 0;
    this._buffer = new ArrayBuffer(bytes + (bytes >> 1));
    this._at = changetype<usize>(this._buffer!);
    memory.copy(this._at, from, bytes);
    this._bytes = bytes;
  }

  _wait(what: u8): void {
    this._waits = what;
    this._since = info().mono_us;
  }

  _send(c: Context): void {
    const room = this._room();
    if (!this._rest && room >= c._answerBytes + c._tailBytes && c._answerBytes + c._tailBytes <= PIECE_BYTES) {
      this._write(CommandKind.Send, c._answer, c._answerBytes, 0);
      if (c._tailBytes) this._write(CommandKind.Send, c._tail, c._tailBytes, 0);
      return;
    }
    const rest = new ArrayBuffer(c._answerBytes + c._tailBytes);
    memory.copy(changetype<usize>(rest), c._answer, c._answerBytes);
    memory.copy(changetype<usize>(rest) + c._answerBytes, c._tail, c._tailBytes);
    this._rest = rest;
    this._restSent = 0;
    this._flush();
  }

  /** Bytes that may be sent now. */
  _room(): i32 {
    if (this._state != 1 || !roomForHandler()) return 0;
    const limit = info().send_limit_bytes, queued = this.queuedBytes;
    return queued < limit ? <i32>min<u32>(limit - queued, 0x7fffffff) : 0;
  }

  /** Sends on with an answer. Whether it is complete. */
  _flush(): bool {
    const rest = this._rest!;
    const length = rest.byteLength;
    while (this._restSent < length) {
      const left = length - this._restSent;
      const piece = min(min(this._room(), PIECE_BYTES), left);
      if (piece <= 0 || (piece < left && this.queuedBytes > UNACKNOWLEDGED_BYTES)) {
        if (!roomForHandler()) this._resumeLater();
        else this._mayWrite(i32.MAX_VALUE); // refused: asks to be told
        return false;
      }
      this._write(CommandKind.Send, changetype<usize>(rest) + this._restSent, piece, 0);
      this._restSent += piece;
    }
    this._rest = null;
    if (this._waits == WAIT_PEER) {
      this.end();
      this._wait(WAIT_PEER);
      this._wake(this._since + LINGER_US);
    }
    return true;
  }

  _onAlarm(): void {
    if (this.isClosed) return;
    const now = info().mono_us;
    const limit = this._waits == WAIT_HEAD ? HEAD_US
      : this._waits == WAIT_BODY ? BODY_US
      : this._waits == WAIT_PEER && !this._rest ? LINGER_US
      : IDLE_US;
    if (now < this._since + limit) {
      this._wake(this._since + limit);
    } else if (this._waits == WAIT_PEER || this._rest || this.queuedBytes > UNACKNOWLEDGED_BYTES) {
      this.abort();
    } else if (this._waits == WAIT_REQUEST) {
      this._finish();
    } else {
      this._refuse(408);
    }
  }
}

/** Whether the request line is complete. */
function hasLine(at: usize, length: i32): bool {
  for (let i = 0; i < length; ++i) {
    if (load<u8>(at + i) == 0x0a) return true;
  }
  return false;
}
