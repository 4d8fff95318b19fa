/** Text and bytes: UTF-8 in both directions, ASCII comparison, decimal numbers. */

/** Text from UTF-8. What is not valid UTF-8 becomes U+FFFD, a sequence at a time; nothing beyond the range is read. */
export function decodeUtf8(address: usize, length: i32): string {
  if (length <= 0) return "";
  const out = __new(<usize>length << 1, idof<string>());
  let to = out;
  let at = address;
  const end = address + length;
  while (at < end) {
    const first = <u32>load<u8>(at++);
    if (first < 0x80) {
      store<u16>(to, <u16>first);
      to += 2;
      continue;
    }
    let more = 0;
    let low: u32 = 0x80, high: u32 = 0xbf; // bounds of the second byte: RFC 3629 section 4
    if (first >= 0xc2 && first <= 0xdf) more = 1;
    else if (first >= 0xe0 && first <= 0xef) {
      more = 2;
      if (first == 0xe0) low = 0xa0;
      else if (first == 0xed) high = 0x9f;
    } else if (first >= 0xf0 && first <= 0xf4) {
      more = 3;
      if (first == 0xf0) low = 0x90;
      else if (first == 0xf4) high = 0x8f;
    }
    let code: u32 = first & (0x7f >> (more + 1));
    let valid = more > 0;
    while (more > 0) {
      const next: u32 = at < end ? <u32>load<u8>(at) : 0;
      if (next < low || next > high) { valid = false; break; }
      code = (code << 6) | (next & 0x3f);
      low = 0x80;
      high = 0xbf;
      ++at;
      --more;
    }
    if (!valid) code = 0xfffd;
    if (code < 0x10000) {
      store<u16>(to, <u16>code);
      to += 2;
    } else {
      code -= 0x10000;
      store<u16>(to, <u16>(0xd800 | (code >> 10)));
      store<u16>(to, <u16>(0xdc00 | (code & 0x3ff)), 2);
      to += 4;
    }
  }
  return changetype<string>(__renew(out, to - out));
}

/** Bytes of the text as UTF-8. */
// @ts-ignore: decorator
@inline export function utf8Bytes(text: string): i32 { return String.UTF8.byteLength(text); }

/** Writes the text as UTF-8 and returns how many bytes that were. A lone surrogate becomes U+FFFD. */
export function writeUtf8(text: string, to: usize): i32 {
  return <i32>String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, to, false, String.UTF8.ErrorMode.REPLACE);
}

/** Whether the bytes are this text, which has to be ASCII. */
export function equalsAscii(address: usize, length: i32, text: string): bool {
  if (length != text.length) return false;
  const chars = changetype<usize>(text);
  for (let i = 0; i < length; ++i) {
    if (<u32>load<u8>(address + i) != <u32>load<u16>(chars + (<usize>i << 1))) return false;
  }
  return true;
}

/** Like equalsAscii, upper and lower case alike; `text` is in lower case. */
export function equalsAsciiFolded(address: usize, length: i32, text: string): bool {
  if (length != text.length) return false;
  const chars = changetype<usize>(text);
  for (let i = 0; i < length; ++i) {
    let byte = <u32>load<u8>(address + i);
    if (byte - 0x41 < 26) byte |= 0x20;
    if (byte != <u32>load<u16>(chars + (<usize>i << 1))) return false;
  }
  return true;
}

/** Writes a text that is known to be ASCII and returns the address after it. */
export function writeAscii(text: string, to: usize): usize {
  const chars = changetype<usize>(text);
  const length = text.length;
  let i = 0;
  for (; i + 8 <= length; i += 8) {
    const eight = v128.load(chars + (<usize>i << 1));
    v128.store64_lane(to + i, v128.narrow<i16>(eight, eight), 0);
  }
  for (; i < length; ++i) store<u8>(to + i, load<u8>(chars + (<usize>i << 1)));
  return to + length;
}

/** Writes a number in decimal and returns the address after it. */
export function writeDecimal(value: u32, to: usize): usize {
  let digits = 1;
  for (let rest = value; rest >= 10; rest /= 10) ++digits;
  let at = to + digits;
  do {
    store<u8>(--at, <u8>(0x30 + value % 10));
    value /= 10;
  } while (value);
  return to + digits;
}
