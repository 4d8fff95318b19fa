/** Builds JSON (RFC 8259). */
import { writeAscii } from "../text";

const QUOTE: u8 = 0x22;
const COMMA: u8 = 0x2c;

/** Starts an object. */
export function json(): Json { return new Json(0x7b); }

/** Starts an array. */
export function jsonArray(): Json { return new Json(0x5b); }

/** An object or array that is being built. Members take a key in objects; in arrays use push…(). */
export class Json {
  private buffer: ArrayBuffer = new ArrayBuffer(240);
  private used: i32 = 1;
  private first: bool = true;
  /** For each open level, whether it is an array: a bit, the innermost lowest. */
  private arrays: u64;
  private depth: i32 = 1;

  constructor(open: u8) {
    store<u8>(changetype<usize>(this.buffer), open);
    this.arrays = open == 0x5b ? 1 : 0;
  }

  /** Members of an object. */
  str(key: string, value: string): Json { this.key(key); this.quoted(value); return this; }
  num(key: string, value: f64): Json { this.key(key); this.number(value); return this; }
  bool(key: string, value: bool): Json { this.key(key); this.ascii(value ? "true" : "false"); return this; }
  null(key: string): Json { this.key(key); this.ascii("null"); return this; }
  /** Opens an object or array, which end() closes. */
  obj(key: string): Json { this.key(key); this.open(0x7b); return this; }
  arr(key: string): Json { this.key(key); this.open(0x5b); return this; }

  /** Elements of an array. */
  pushStr(value: string): Json { this.element(); this.quoted(value); return this; }
  pushNum(value: f64): Json { this.element(); this.number(value); return this; }
  pushBool(value: bool): Json { this.element(); this.ascii(value ? "true" : "false"); return this; }
  pushNull(): Json { this.element(); this.ascii("null"); return this; }
  pushObj(): Json { this.element(); this.open(0x7b); return this; }
  pushArr(): Json { this.element(); this.open(0x5b); return this; }

  /** Closes the innermost object or array. The outermost is closed by itself. */
  end(): Json {
    if (this.depth > 1) this.close();
    return this;
  }

  /** Closes everything. Returns the address of the text, in UTF-8. */
  finish(): usize {
    while (this.depth > 0) this.close();
    return changetype<usize>(this.buffer);
  }

  /** Bytes of the text. */
  get length(): i32 { return this.used; }

  toString(): string {
    const at = this.finish();
    return String.UTF8.decodeUnsafe(at, this.used);
  }

  /** Room for so many more bytes; returns where they go. */
  private room(bytes: i32): usize {
    const needed = this.used + bytes;
    const capacity = this.buffer.byteLength;
    if (needed > capacity) {
      const grown = new ArrayBuffer(max(needed, capacity << 1));
      memory.copy(changetype<usize>(grown), changetype<usize>(this.buffer), this.used);
      this.buffer = grown;
    }
    return changetype<usize>(this.buffer) + this.used;
  }

  // @ts-ignore: decorator
  @inline private byte(value: u8): void {
    store<u8>(this.room(1), value);
    ++this.used;
  }

  private ascii(text: string): void {
    writeAscii(text, this.room(text.length));
    this.used += text.length;
  }

  private separate(): void {
    if (!this.first) this.byte(COMMA);
    this.first = false;
  }

  private key(key: string): void {
    if (this.depth == 0 || (this.arrays & 1)) throw new Error("a key stands in an object only: in an array, use push...");
    this.separate();
    this.quoted(key);
    this.byte(0x3a);
  }

  private element(): void {
    if (this.depth == 0 || !(this.arrays & 1)) throw new Error("push... is for arrays: in an object, name a key");
    this.separate();
  }

  private open(bracket: u8): void {
    if (this.depth == 64) throw new Error("JSON is nested deeper than 64 levels");
    this.byte(bracket);
    this.arrays = (this.arrays << 1) | (bracket == 0x5b ? 1 : 0);
    ++this.depth;
    this.first = true;
  }

  private close(): void {
    this.byte(this.arrays & 1 ? 0x5d : 0x7d);
    this.arrays >>= 1;
    --this.depth;
    this.first = false;
  }

  private number(value: f64): void {
    if (!isFinite(value)) this.ascii("null"); // as JSON.stringify does: JSON has no NaN and no infinity
    else if (trunc(value) == value && abs(value) <= 9007199254740991) this.ascii((<i64>value).toString());
    else this.ascii(value.toString());
  }

  /** A string with its quotes, RFC 8259 section 7. A lone surrogate becomes U+FFFD. */
  private quoted(text: string): void {
    const chars = changetype<usize>(text);
    const length = text.length;
    let to = this.room(length * 6 + 2);
    const from = to;
    store<u8>(to++, QUOTE);
    for (let i = 0; i < length; ++i) {
      let c = <u32>load<u16>(chars + (<usize>i << 1));
      if (c >= 0x20 && c < 0x80 && c != 0x22 && c != 0x5c) {
        store<u8>(to++, <u8>c);
      } else if (c < 0x80) {
        to = escaped(c, to);
      } else if (c < 0x800) {
        store<u8>(to, <u8>(0xc0 | (c >> 6)));
        store<u8>(to, <u8>(0x80 | (c & 0x3f)), 1);
        to += 2;
      } else {
        if ((c & 0xfc00) == 0xd800 && i + 1 < length) {
          const low = <u32>load<u16>(chars + (<usize>i << 1), 2);
          if ((low & 0xfc00) == 0xdc00) {
            c = 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff);
            ++i;
            store<u8>(to, <u8>(0xf0 | (c >> 18)));
            store<u8>(to, <u8>(0x80 | ((c >> 12) & 0x3f)), 1);
            store<u8>(to, <u8>(0x80 | ((c >> 6) & 0x3f)), 2);
            store<u8>(to, <u8>(0x80 | (c & 0x3f)), 3);
            to += 4;
            continue;
          }
        }
        if ((c & 0xf800) == 0xd800) c = 0xfffd;
        store<u8>(to, <u8>(0xe0 | (c >> 12)));
        store<u8>(to, <u8>(0x80 | ((c >> 6) & 0x3f)), 1);
        store<u8>(to, <u8>(0x80 | (c & 0x3f)), 2);
        to += 3;
      }
    }
    store<u8>(to++, QUOTE);
    this.used += <i32>(to - from);
  }
}

function escaped(c: u32, to: usize): usize {
  let short: u32 = 0;
  if (c == 0x22 || c == 0x5c) short = c;
  else if (c == 0x0a) short = 0x6e;
  else if (c == 0x0d) short = 0x72;
  else if (c == 0x09) short = 0x74;
  else if (c == 0x08) short = 0x62;
  else if (c == 0x0c) short = 0x66;
  store<u8>(to, 0x5c);
  if (short) {
    store<u8>(to, <u8>short, 1);
    return to + 2;
  }
  if (c == 0x7f) { // not a control character to JSON
    store<u8>(to, 0x7f);
    return to + 1;
  }
  store<u32>(to, 0x30303075, 1); // u000, then one more digit is written over below
  store<u8>(to, <u8>(0x30 + (c >> 4)), 4);
  const digit = c & 15;
  store<u8>(to, <u8>(digit < 10 ? 0x30 + digit : 0x57 + digit), 5);
  return to + 6;
}
