/** Chunked bodies, RFC 9112 section 7.1: decoded as they come, into one buffer. */
import { hexDigit } from "./head";

/** One chunk's size and extensions, or one trailer field. */
const LINE_BYTES: i32 = 1 << 10;
/** All trailer fields; they are checked for length and left out. */
const TRAILER_BYTES: i32 = 8 << 10;

const SIZE: u8 = 0;
const DATA: u8 = 1;
const DATA_END: u8 = 2;
const TRAILER: u8 = 3;
const DONE: u8 = 4;

/** The state of one body. */
export class Chunked {
  /** The body so far; longer than what is used of it. */
  body: ArrayBuffer = new ArrayBuffer(256);
  bodyBytes: i32 = 0;
  /** Bytes of the input that are decoded. */
  taken: i32 = 0;
  state: u8 = SIZE;
  remaining: i32 = 0;
  trailerBytes: i32 = 0;

  /**
   * Decodes what there is at `input` (the same bytes as before, and more). Returns 1 when the body is complete, 0 if more
   * is needed, or the status that refuses it.
   */
  decode(input: usize, length: i32, limit: i32): i32 {
    while (this.state != DONE) {
      if (this.state == DATA) {
        const bytes = min(this.remaining, length - this.taken);
        this.append(input + this.taken, bytes);
        this.taken += bytes;
        this.remaining -= bytes;
        if (this.remaining) return 0;
        this.state = DATA_END;
      } else if (this.state == DATA_END) {
        if (length - this.taken < 2) return 0;
        if (load<u16>(input + this.taken) != 0x0a0d) return 400;
        this.taken += 2;
        this.state = SIZE;
      } else {
        const line = lineLength(input + this.taken, length - this.taken);
        if (line < 0) return 400;
        if (!line) return length - this.taken > LINE_BYTES ? 400 : 0;
        if (line > LINE_BYTES) return 400;
        const status = this.state == SIZE ? this.size(input + this.taken, line - 2, limit) : this.trailer(line);
        if (status) return status;
        this.taken += line;
      }
    }
    return 1;
  }

  /** chunk-size [ chunk-ext ] */
  private size(line: usize, length: i32, limit: i32): i32 {
    let i = 0;
    let size: i64 = 0;
    for (; i < length; ++i) {
      const digit = hexDigit(load<u8>(line + i));
      if (digit < 0) break;
      if (i == 15) return 413;
      size = (size << 4) | digit;
    }
    if (!i) return 400;
    if (i < length) {
      if (load<u8>(line + i) != 0x3b) return 400; // only an extension may follow
      for (; i < length; ++i) {
        const c = <u32>load<u8>(line + i);
        if ((c < 0x20 && c != 9) || c == 0x7f) return 400;
      }
    }
    if (size > limit - this.bodyBytes) return 413;
    this.remaining = <i32>size;
    this.state = size ? DATA : TRAILER;
    return 0;
  }

  private trailer(line: i32): i32 {
    if (line == 2) {
      this.state = DONE;
      return 0;
    }
    this.trailerBytes += line;
    return this.trailerBytes > TRAILER_BYTES ? 431 : 0;
  }

  private append(from: usize, bytes: i32): void {
    const needed = this.bodyBytes + bytes;
    if (needed > this.body.byteLength) {
      const grown = new ArrayBuffer(max(needed, this.body.byteLength << 1));
      memory.copy(changetype<usize>(grown), changetype<usize>(this.body), this.bodyBytes);
      this.body = grown;
    }
    memory.copy(changetype<usize>(this.body) + this.bodyBytes, from, bytes);
    this.bodyBytes = needed;
  }
}

/** Length of a line with its CRLF, 0 if it is not complete, -1 if a CR or LF stands alone. */
function lineLength(input: usize, length: i32): i32 {
  const end = min(length, LINE_BYTES + 1);
  for (let i = 0; i < end; ++i) {
    const c = <u32>load<u8>(input + i);
    if (c == 0x0a) return -1;
    if (c == 0x0d) {
      if (i + 1 == length) return 0;
      return load<u8>(input + i + 1) == 0x0a ? i + 2 : -1;
    }
  }
  return 0;
}
