/** Text in requests and answers: words and decimal numbers. */

/** Digits of the largest u64. */
export const DIGITS: u32 = 20;

/** The number that parseUnsigned or parseSigned read. */
export let parsed: u64 = 0;

/** Writes a number and returns the address after it. */
export function writeNumber(value: u64, to: usize): usize {
  if (value < 10) {
    store<u8>(to, 0x30 + <u8>value);
    return to + 1;
  }
  let digits: u32 = 2;
  for (let bound: u64 = 100; digits < DIGITS && value >= bound; bound *= 10) ++digits;
  let at = to + digits;
  do {
    store<u8>(--at, 0x30 + <u8>(value % 10));
    value /= 10;
  } while (value);
  return to + digits;
}

/** Reads digits that fill [at, end). False if there is anything else, nothing, or more than a u64 holds. */
export function parseUnsigned(at: usize, end: usize): bool {
  if (at < end && load<u8>(at) == 0x2b) ++at; // a plus sign, as strtoull takes it
  if (at >= end) return false;
  let value: u64 = 0;
  do {
    const digit = <u64>load<u8>(at) - 0x30;
    if (digit > 9) return false;
    if (value > u64.MAX_VALUE / 10 || value * 10 > u64.MAX_VALUE - digit) return false;
    value = value * 10 + digit;
  } while (++at < end);
  parsed = value;
  return true;
}

/** The same with a sign; `parsed` is an i64. */
export function parseSigned(at: usize, end: usize): bool {
  const negative = at < end && load<u8>(at) == 0x2d;
  if (negative && at + 1 < end && load<u8>(at + 1) == 0x2b) return false;
  if (!parseUnsigned(negative ? at + 1 : at, end) || parsed > <u64>i64.MAX_VALUE) return false;
  if (negative) parsed = -parsed;
  return true;
}

/** Whether the bytes are this text, which is ASCII. */
export function isText(at: usize, bytes: u32, text: string): bool {
  const length = text.length;
  if (bytes != <u32>length) return false;
  for (let i = 0; i < length; ++i) {
    if (load<u8>(at + i) != <u8>text.charCodeAt(i)) return false;
  }
  return true;
}
