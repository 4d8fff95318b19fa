/** Addresses of the contract: 16 bytes, IPv4 as ::ffff:a.b.c.d. */

/** Text of an address: 192.0.2.1, or 2001:db8::1 (RFC 5952). */
export function formatAddress(high: u64, low: u64): string {
  if (high == 0 && (<u32>low) == 0xffff0000) { // in memory: 00 00 ff ff, then the IPv4 address
    const v4 = <u32>(low >> 32);
    return `${v4 & 255}.${(v4 >> 8) & 255}.${(v4 >> 16) & 255}.${v4 >>> 24}`;
  }
  let bestAt = -1, best = 1;
  for (let i = 0; i < 8; ++i) {
    let length = 0;
    while (i + length < 8 && group(high, low, i + length) == 0) ++length;
    if (length > best) {
      best = length;
      bestAt = i;
    }
  }
  let text = "";
  for (let i = 0; i < 8; ++i) {
    if (i == bestAt) {
      text += "::";
      i += best - 1;
      continue;
    }
    if (i > 0 && i != bestAt + best) text += ":";
    text += group(high, low, i).toString(16);
  }
  return text;
}

function group(high: u64, low: u64, i: i32): u32 {
  return bswap<u16>(<u16>((i < 4 ? high : low) >> (<u64>(i & 3) << 4)));
}

/** Reads ADDRESS:PORT or [ADDRESS]:PORT into 16 bytes at `to`. Returns the port, or 0 if it is not one. */
export function parseEndpoint(text: string, to: usize): u16 {
  const colon = text.lastIndexOf(":");
  if (colon <= 0) return 0;
  const port = decimal(text, colon + 1, text.length, 65535);
  if (port <= 0) return 0;
  if (text.charCodeAt(0) == 0x5b) {
    if (text.charCodeAt(colon - 1) != 0x5d || !parseV6(text, 1, colon - 1, to)) return 0;
  } else if (!parseV4(text, 0, colon, to)) {
    return 0;
  }
  return <u16>port;
}

/** The number that stands between two places, or -1. */
function decimal(text: string, from: i32, to: i32, limit: i32): i32 {
  if (from >= to || to - from > 5) return -1;
  let value = 0;
  for (let i = from; i < to; ++i) {
    const digit = text.charCodeAt(i) - 0x30;
    if (<u32>digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value <= limit ? value : -1;
}

function parseV4(text: string, from: i32, to: i32, out: usize): bool {
  store<u64>(out, 0);
  store<u32>(out, 0xffff0000, 8);
  let at = from;
  for (let i = 0; i < 4; ++i) {
    let end = at;
    while (end < to && text.charCodeAt(end) != 0x2e) ++end;
    const byte = decimal(text, at, end, 255);
    if (byte < 0 || (i < 3) != (end < to)) return false;
    store<u8>(out + i, <u8>byte, 12);
    at = end + 1;
  }
  return true;
}

function parseV6(text: string, from: i32, to: i32, out: usize): bool {
  store<u64>(out, 0);
  store<u64>(out, 0, 8);
  let groups = 0, gap = -1, at = from;
  if (at + 1 < to && text.charCodeAt(at) == 0x3a && text.charCodeAt(at + 1) == 0x3a) {
    gap = 0;
    at += 2;
  }
  while (at < to) {
    if (groups == 8) return false;
    let value: u32 = 0, digits = 0;
    while (at < to && text.charCodeAt(at) != 0x3a) {
      let c = text.charCodeAt(at++);
      if (c >= 0x61) c -= 0x20;
      const digit = c <= 0x39 ? c - 0x30 : c >= 0x41 && c <= 0x46 ? c - 0x37 : -1;
      if (digit < 0 || ++digits > 4) return false;
      value = (value << 4) | digit;
    }
    if (!digits) return false;
    store<u16>(out + (groups++ << 1), bswap<u16>(<u16>value));
    if (at == to) break;
    if (++at == to) return false;
    if (text.charCodeAt(at) == 0x3a) {
      if (gap >= 0) return false;
      gap = groups;
      if (++at == to) break;
    }
  }
  if (gap < 0) return groups == 8;
  if (groups == 8) return false;
  const moved = (groups - gap) << 1;
  memory.copy(out + 16 - moved, out + (gap << 1), moved);
  memory.fill(out + (gap << 1), 0, 16 - moved - (gap << 1));
  return true;
}
