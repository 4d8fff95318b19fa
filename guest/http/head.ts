/** The head of a request: RFC 9112, strictly. What is not clearly right is refused, because a proxy in front may read it otherwise. */
import { equalsAscii } from "../text";

/** Request line and header fields together. */
export const HEAD_BYTES: i32 = 8 << 10;

// tchar, RFC 9110 section 5.6.2
const TCHAR_LOW: u64 = 0x3ff6cfa00000000;
const TCHAR_HIGH: u64 = 0x57ffffffc7fffffe;
// what may stand in Host: uri-host [ ":" port ], RFC 3986 section 3.2.2
const HOST_LOW: u64 = 0x2fff7ff200000000;
const HOST_HIGH: u64 = 0x47fffffeaffffffe;

// @ts-ignore: decorator
@inline function inSet(low: u64, high: u64, c: u32): bool {
  return c < 128 && ((c < 64 ? low >> c : high >> (c - 64)) & 1) != 0;
}

// @ts-ignore: decorator
@inline function isTchar(c: u32): bool { return inSet(TCHAR_LOW, TCHAR_HIGH, c); }

export function hexDigit(c: u32): i32 {
  if (c - 0x30 < 10) return c - 0x30;
  c |= 0x20;
  return c - 0x61 < 6 ? c - 0x57 : -1;
}

/** Whether the text is a token, RFC 9110 section 5.6.2. */
export function isToken(text: string): bool {
  for (let i = 0; i < text.length; ++i) {
    if (!isTchar(text.charCodeAt(i))) return false;
  }
  return text.length > 0;
}

/** Whether the text may stand in a field value, RFC 9110 section 5.5: no line breaks, no other control characters. */
export function isFieldValue(text: string): bool {
  for (let i = 0; i < text.length; ++i) {
    const c = <u32>text.charCodeAt(i);
    if ((c < 0x20 && c != 9) || c == 0x7f) return false;
  }
  return true;
}

/**
 * Looks for the empty line that ends the head, from `from` on. Returns the length of the head with it, 0 if it is not there
 * yet, or -1 at a line that ends without CR: RFC 9112 section 2.2 lets a server take that, but then it may see lines where
 * something before it saw none.
 */
export function headEnd(base: usize, from: i32, length: i32): i32 {
  const newline = v128.splat<i8>(0x0a);
  let i = from;
  while (i < length) {
    if (i + 16 <= length) {
      const found = v128.bitmask<i8>(v128.eq<i8>(v128.load(base + i), newline));
      if (!found) {
        i += 16;
        continue;
      }
      i += ctz(found);
    } else if (load<u8>(base + i) != 0x0a) {
      ++i;
      continue;
    }
    if (i == 0 || load<u8>(base + i - 1) != 0x0d) return -1;
    if (i >= 3 && load<u16>(base + i - 3) == 0x0a0d) return i + 1;
    ++i;
  }
  return 0;
}

/** A request's head, parsed where it lies. */
export class Head {
  method: usize = 0;
  methodBytes: i32 = 0;
  path: usize = 0;
  pathBytes: i32 = 0;
  query: usize = 0;
  /** -1 if there is no "?". */
  queryBytes: i32 = -1;
  fields: usize = 0;
  /** Address after the last field line. */
  fieldsEnd: usize = 0;
  /** 0 or 1: HTTP/1.0 or 1.1. */
  minor: i32 = 1;
  /** -1 if there is no Content-Length. */
  contentLength: i64 = -1;
  chunked: bool = false;
  close: bool = false;
  keepAlive: bool = false;
  expectsContinue: bool = false;
  isAsterisk: bool = false;
}

/** Parses a whole head of `length` bytes, with its empty line. Returns 0, or the status that refuses it. */
export function parseHead(head: Head, base: usize, length: i32): i32 {
  const end = base + length;
  let at = base;
  // request-line = method SP request-target SP HTTP-version CRLF, RFC 9112 section 3
  while (isTchar(load<u8>(at))) ++at;
  if (at == base || load<u8>(at) != 0x20) return 400;
  head.method = base;
  head.methodBytes = <i32>(at - base);
  const target = ++at;
  for (let c = <u32>load<u8>(at); c > 0x20 && c < 0x7f; c = load<u8>(at)) {
    if (c == 0x23) return 400; // a fragment is never sent
    if (c == 0x25 && (hexDigit(load<u8>(at + 1)) < 0 || hexDigit(load<u8>(at + 2)) < 0)) return 400;
    ++at;
  }
  if (at == target || load<u8>(at) != 0x20) return 400;
  const targetEnd = at;
  // HTTP-version = "HTTP/" DIGIT "." DIGIT, RFC 9112 section 2.3
  const version = ++at;
  if (end - version < 12 || load<u32>(version) != 0x50545448 || load<u8>(version + 4) != 0x2f) return 400;
  const major = <u32>load<u8>(version + 5) - 0x30, minor = <u32>load<u8>(version + 7) - 0x30;
  if (major > 9 || minor > 9 || load<u8>(version + 6) != 0x2e || load<u16>(version + 8) != 0x0a0d) return 400;
  if (major != 1 || minor > 1) return 505;
  head.minor = minor;
  head.fields = version + 10;
  head.fieldsEnd = end - 2;
  const status = parseTarget(head, target, targetEnd);
  return status ? status : parseFields(head);
}

/** request-target, RFC 9112 section 3.2 */
function parseTarget(head: Head, target: usize, end: usize): i32 {
  let at = target;
  const isOptions = equalsAscii(head.method, head.methodBytes, "OPTIONS");
  if (end - at == 1 && load<u8>(at) == 0x2a && isOptions) {
    head.isAsterisk = true;
  } else if (load<u8>(at) != 0x2f) {
    // absolute-form has to be accepted, section 3.2.2
    let scheme: usize = 0;
    if (end - at > 7 && equalsFolded(at, "http://")) scheme = 7;
    else if (end - at > 8 && equalsFolded(at, "https://")) scheme = 8;
    if (!scheme) return equalsAscii(head.method, head.methodBytes, "CONNECT") ? 501 : 400;
    at += scheme;
    const authority = at;
    while (at < end && load<u8>(at) != 0x2f && load<u8>(at) != 0x3f) ++at;
    if (at == authority) return 400;
  }
  head.path = at;
  while (at < end && load<u8>(at) != 0x3f) ++at;
  head.pathBytes = <i32>(at - head.path);
  if (at < end) {
    head.query = at + 1;
    head.queryBytes = <i32>(end - at - 1);
  }
  return 0;
}

// @ts-ignore: decorator
@inline function lower(c: u32): u32 { return c - 0x41 < 26 ? c | 0x20 : c; }

/** Whether the text stands at `at`, upper and lower case alike. `text` is in lower case; the caller has checked the length. */
function equalsFolded(at: usize, text: string): bool {
  for (let i = 0; i < text.length; ++i) {
    if (lower(load<u8>(at + i)) != <u32>text.charCodeAt(i)) return false;
  }
  return true;
}

/** field-line = field-name ":" OWS field-value OWS, RFC 9112 section 5 */
function parseFields(head: Head): i32 {
  let at = head.fields;
  const end = head.fieldsEnd;
  let hosts = 0;
  while (at < end) {
    const name = at;
    while (isTchar(load<u8>(at))) ++at;
    const nameBytes = <i32>(at - name);
    // No name, or a space before the colon (section 5.1), or a folded line (section 5.2): 400.
    if (!nameBytes || load<u8>(at) != 0x3a) return 400;
    ++at;
    while (load<u8>(at) == 0x20 || load<u8>(at) == 9) ++at;
    const value = at;
    let c = <u32>load<u8>(at);
    while ((c >= 0x20 && c != 0x7f) || c == 9) c = load<u8>(++at);
    if (load<u16>(at) != 0x0a0d) return 400;
    let valueEnd = at;
    while (valueEnd > value && (load<u8>(valueEnd - 1) == 0x20 || load<u8>(valueEnd - 1) == 9)) --valueEnd;
    at += 2;
    const status = takeField(head, name, nameBytes, value, <i32>(valueEnd - value));
    if (status < 0) ++hosts;
    else if (status) return status;
  }
  // RFC 9112 section 3.2: exactly one Host in HTTP/1.1
  if (hosts > 1 || (hosts == 0 && head.minor == 1)) return 400;
  // RFC 9112 section 6.3: both is how requests are smuggled
  if (head.chunked && (head.contentLength >= 0 || head.minor == 0)) return 400;
  return 0;
}

/** Looks at what concerns the connection. Returns 0, a status that refuses the request, or -1 for Host. */
function takeField(head: Head, name: usize, nameBytes: i32, value: usize, valueBytes: i32): i32 {
  if (nameBytes == 4 && equalsFolded(name, "host")) {
    for (let i = 0; i < valueBytes; ++i) {
      if (!inSet(HOST_LOW, HOST_HIGH, load<u8>(value + i))) return 400;
    }
    return -1;
  }
  if (nameBytes == 6 && equalsFolded(name, "expect")) {
    if (valueBytes != 12 || !equalsFolded(value, "100-continue")) return 417; // RFC 9110 section 10.1.1
    head.expectsContinue = true;
  } else if (nameBytes == 10 && equalsFolded(name, "connection")) {
    if (hasToken(value, valueBytes, "close")) head.close = true;
    if (hasToken(value, valueBytes, "keep-alive")) head.keepAlive = true;
  } else if (nameBytes == 14 && equalsFolded(name, "content-length")) {
    // RFC 9110 section 8.6; a list is refused even if its members are alike
    if (!valueBytes || valueBytes > 15) return 400;
    let length: i64 = 0;
    for (let i = 0; i < valueBytes; ++i) {
      const digit = <u32>load<u8>(value + i) - 0x30;
      if (digit > 9) return 400;
      length = length * 10 + digit;
    }
    if (head.contentLength >= 0 && head.contentLength != length) return 400;
    head.contentLength = length;
  } else if (nameBytes == 17 && equalsFolded(name, "transfer-encoding")) {
    // RFC 9112 section 6.1: chunked once and last; no other coding is implemented
    if (valueBytes == 7 && equalsFolded(value, "chunked")) {
      if (head.chunked) return 400;
      head.chunked = true;
    } else {
      return hasToken(value, valueBytes, "chunked") && !endsWithChunked(value, valueBytes) ? 400 : 501;
    }
  }
  return 0;
}

function endsWithChunked(value: usize, bytes: i32): bool {
  return bytes >= 7 && equalsFolded(value + bytes - 7, "chunked");
}

/** Whether a comma-separated list has the token. */
function hasToken(value: usize, bytes: i32, token: string): bool {
  let i = 0;
  while (i < bytes) {
    while (i < bytes && (load<u8>(value + i) == 0x20 || load<u8>(value + i) == 9 || load<u8>(value + i) == 0x2c)) ++i;
    const from = i;
    while (i < bytes && load<u8>(value + i) != 0x2c && load<u8>(value + i) != 0x20 && load<u8>(value + i) != 9) ++i;
    if (i - from == token.length && equalsFolded(value + from, token)) return true;
  }
  return false;
}
