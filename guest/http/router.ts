/** Which handler answers a path. */
import { decodeUtf8 } from "../text";
import { Context } from "./context";
import { Head, hexDigit } from "./head";

export type Handler = (c: Context) => void;

/** A path with what is done there. Patterns have literal segments, :parameters, and * at the end for all the rest. */
export class Route {
  readonly segments: string[];

  constructor(readonly method: string, readonly pattern: string, readonly handler: Handler) {
    if (!pattern.startsWith("/")) throw new Error(`the path "${pattern}" has to begin with /`);
    const star = pattern.indexOf("*");
    if (star >= 0 && (star != pattern.length - 1 || !pattern.endsWith("/*"))) {
      throw new Error(`in the path "${pattern}", * has to be the last segment`);
    }
    this.segments = pattern.substring(1).split("/");
  }

  /** Whether the path fits. */
  matches(head: Head): bool {
    let at = head.path, end = at + head.pathBytes;
    if (at == end || load<u8>(at) != 0x2f) return head.pathBytes == 0 && this.pattern == "/"; // http://host without a path
    const segments = this.segments;
    for (let i = 0; i < segments.length; ++i) {
      if (at == end) return false;
      const from = ++at;
      const segment = unchecked(segments[i]);
      if (isRest(segment)) return true;
      while (at < end && load<u8>(at) != 0x2f) ++at;
      const length = <i32>(at - from);
      if (isParameter(segment) ? !length : !equalsPart(from, length, segment)) return false;
    }
    return at == end;
  }

  /** Value of a parameter ("*" for the rest) in a path that fits, percent-decoded; empty if the pattern has none of that name. */
  parameter(head: Head, name: string): string {
    let at = head.path, end = at + head.pathBytes;
    for (let i = 0; i < this.segments.length && at < end; ++i) {
      const from = ++at;
      const segment = this.segments[i];
      if (isRest(segment)) return name == "*" ? decodePart(from, <i32>(end - from), false) : "";
      while (at < end && load<u8>(at) != 0x2f) ++at;
      if (isParameter(segment) && segment.length == name.length + 1 && segment.endsWith(name)) {
        return decodePart(from, <i32>(at - from), false);
      }
    }
    return "";
  }
}

// @ts-ignore: decorator
@inline function isParameter(segment: string): bool { return segment.length > 1 && segment.charCodeAt(0) == 0x3a; }
// @ts-ignore: decorator
@inline function isRest(segment: string): bool { return segment.length == 1 && segment.charCodeAt(0) == 0x2a; }

/** Whether a part of a path or query means this text. */
export function equalsPart(at: usize, length: i32, text: string): bool {
  const chars = changetype<usize>(text);
  const textLength = text.length;
  for (let i = 0; i < length; ++i) {
    const c = <u32>load<u8>(at + i);
    if (c == 0x25 || c == 0x2b || c >= 0x80) return decodePart(at, length, false) == text;
    if (i >= textLength || <u32>load<u16>(chars + (<usize>i << 1)) != c) return false;
  }
  return length == textLength;
}

/** A part of a path or query without its percent-encoding (RFC 3986 section 2.1); in a query, + is a space. */
export function decodePart(at: usize, length: i32, plusIsSpace: bool): string {
  const to = changetype<usize>(new ArrayBuffer(length));
  let bytes = 0;
  for (let i = 0; i < length; ++i) {
    let c = <u32>load<u8>(at + i);
    if (c == 0x25 && i + 2 < length) {
      c = (hexDigit(load<u8>(at + i + 1)) << 4) | hexDigit(load<u8>(at + i + 2)); // the head was checked for digits
      i += 2;
    } else if (c == 0x2b && plusIsSpace) {
      c = 0x20;
    }
    store<u8>(to + bytes++, <u8>c);
  }
  return decodeUtf8(to, bytes);
}
