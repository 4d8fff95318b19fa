/** One request and its answer: what a route's handler works with. */
import { Bytes } from "../bytes";
import { warn } from "../log";
import { decodeUtf8, utf8Bytes, writeAscii, writeDecimal, writeUtf8 } from "../text";
import { Head, isFieldValue, isToken } from "./head";
import { Json } from "./json";
import { decodePart, equalsPart, Route } from "./router";
import { reason } from "./status";
import { scratch } from "rt/heap";

/** Room for status line and the fields that are always there. */
const FIXED_BYTES: i32 = 256;

/** A request and its answer. Valid while the handler runs; bytes of the body are copied with copy(). */
export class Context {
  /** Status of the answer. */
  status: i32 = 200;
  _head: Head;
  _route: Route | null = null;
  _body: usize = 0;
  _bodyBytes: i32 = 0;
  /** Fields that set() added, as they are sent. */
  _fields: string = "";
  _hasType: bool = false;
  /** The connection is to be closed after this answer. */
  _close: bool = false;
  _isHead: bool = false;
  /** The answer: address and length of its first part, and of a body that is sent from where it is. */
  _answer: usize = 0;
  _answerBytes: i32 = 0;
  _tail: usize = 0;
  _tailBytes: i32 = 0;

  constructor(head: Head) { this._head = head; }

  get method(): string { return decodeUtf8(this._head.method, this._head.methodBytes); }
  /** The path as it was sent, without the query. */
  get path(): string { return decodeUtf8(this._head.path, this._head.pathBytes); }
  /** The body. Not a copy. */
  get body(): Bytes { return new Bytes(this._body, this._bodyBytes); }

  /** Value of :name in the route's path, or of "*"; empty if the route has none. */
  param(name: string): string { return this._route ? this._route!.parameter(this._head, name) : ""; }

  /** The first value of that name in the query, decoded, or null. */
  query(name: string): string | null {
    const head = this._head;
    let at = head.query;
    const end = at + max(0, head.queryBytes);
    while (at < end) {
      let stop = at;
      while (stop < end && load<u8>(stop) != 0x26) ++stop;
      let equals = at;
      while (equals < stop && load<u8>(equals) != 0x3d) ++equals;
      if (equalsQuery(at, <i32>(equals - at), name)) {
        return equals < stop ? decodePart(equals + 1, <i32>(stop - equals - 1), true) : "";
      }
      at = stop + 1;
    }
    return null;
  }

  /** The first header field of that name, upper and lower case alike, or null. */
  header(name: string): string | null {
    let at = this._head.fields;
    const end = this._head.fieldsEnd;
    while (at < end) {
      const colon = skipTo(at, 0x3a);
      let value = colon + 1;
      const lineEnd = skipTo(value, 0x0d);
      if (equalsFold(at, <i32>(colon - at), name)) {
        let stop = lineEnd;
        while (value < stop && (load<u8>(value) == 0x20 || load<u8>(value) == 9)) ++value;
        while (stop > value && (load<u8>(stop - 1) == 0x20 || load<u8>(stop - 1) == 9)) --stop;
        return decodeUtf8(value, <i32>(stop - value));
      }
      at = lineEnd + 2;
    }
    return null;
  }

  /**
   * Adds a header field to the answer. False, and nothing is added, if name or value could not stand in a head (a line
   * break in a value would let a client write header fields), or if the field is the server's own.
   */
  set(name: string, value: string): bool {
    const lower = name.toLowerCase();
    const own = lower == "content-length" || lower == "transfer-encoding" || lower == "connection";
    if (own || !isToken(name) || !isFieldValue(value)) {
      warn(own ? `the header field ${lower} is the server's own` : "a header field with forbidden characters was left out");
      return false;
    }
    if (lower == "content-type") this._hasType = true;
    this._fields += name + ": " + value + "\r\n";
    return true;
  }

  /** Answers with a text. */
  text(text: string): void { this._encoded("text/plain; charset=utf-8", text); }
  /** Answers with a page. */
  html(text: string): void { this._encoded("text/html; charset=utf-8", text); }

  /** Answers with JSON. */
  json(value: Json): void {
    const at = value.finish();
    this._raw("application/json", at, value.length);
  }

  /** Answers with bytes. */
  bytes(view: Bytes, type: string = "application/octet-stream"): void {
    this._raw(isFieldValue(type) ? type : "application/octet-stream", view.address, view.length);
  }

  /** Answers with another place to go to. */
  redirect(location: string, status: i32 = 302): void {
    if (!this.set("location", location)) {
      this.status = 500;
      this.text("");
      return;
    }
    this.status = status;
    this.text("");
  }

  /** Whether an answer was given. */
  get answered(): bool { return this._answerBytes > 0; }

  _encoded(type: string, text: string): void {
    const bytes = utf8Bytes(text);
    const at = this._begin(type, bytes, this._isHead ? 0 : bytes);
    if (!at) return;
    this._answerBytes = <i32>(at - this._answer) + (this._isHead ? 0 : writeUtf8(text, at));
  }

  _raw(type: string, body: usize, bytes: i32): void {
    // A long body is sent from where it is: a copy would cost more than a second command.
    const inOne = bytes <= 1024 && !this._isHead;
    const at = this._begin(type, bytes, inOne ? bytes : 0);
    if (!at) return;
    if (inOne) memory.copy(at, body, bytes);
    this._answerBytes = <i32>(at - this._answer) + (inOne ? bytes : 0);
    if (!inOne && !this._isHead) {
      this._tail = body;
      this._tailBytes = bytes;
    }
  }

  /** Writes the head, with `room` bytes after it. Returns where the body goes, or 0 if there was an answer already. */
  _begin(type: string, length: i32, room: i32): usize {
    if (this.answered) {
      warn("a second answer to one request was left out");
      return 0;
    }
    if (this.status < 200 || this.status > 599) {
      warn(`${this.status} is no status of an answer`);
      this.status = 500;
    }
    const status = this.status;
    const fieldBytes = utf8Bytes(this._fields);
    const start = scratch(FIXED_BYTES + fieldBytes + type.length * 3 + room);
    let at = writeAscii("HTTP/1.1 ", start);
    at = writeDecimal(status, at);
    store<u8>(at++, 0x20);
    at = writeAscii(reason(status), at);
    const hasBody = status != 204 && status != 304; // RFC 9110 sections 15.3.5, 15.4.5
    if (hasBody) {
      if (!this._hasType) {
        at = writeAscii("\r\ncontent-type: ", at);
        at += writeUtf8(type, at);
      }
      at = writeAscii("\r\ncontent-length: ", at);
      at = writeDecimal(length, at);
    } else {
      this._isHead = true; // nothing follows the head
    }
    if (this._close) at = writeAscii("\r\nconnection: close", at);
    else if (this._head.minor == 0) at = writeAscii("\r\nconnection: keep-alive", at);
    store<u16>(at, 0x0a0d);
    at += 2;
    at += writeUtf8(this._fields, at);
    store<u16>(at, 0x0a0d);
    this._answer = start;
    return at + 2;
  }
}

// @ts-ignore: decorator
@inline function skipTo(from: usize, byte: u8): usize {
  let at = from;
  while (load<u8>(at) != byte) ++at;
  return at;
}

function equalsQuery(at: usize, length: i32, name: string): bool {
  for (let i = 0; i < length; ++i) {
    if (load<u8>(at + i) == 0x2b) return decodePart(at, length, true) == name;
  }
  return equalsPart(at, length, name);
}

function equalsFold(at: usize, length: i32, name: string): bool {
  if (length != name.length) return false;
  for (let i = 0; i < length; ++i) {
    let a = <u32>load<u8>(at + i), b = <u32>name.charCodeAt(i);
    if (a - 0x41 < 26) a |= 0x20;
    if (b - 0x41 < 26) b |= 0x20;
    if (a != b) return false;
  }
  return true;
}
