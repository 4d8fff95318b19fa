/** Newline-delimited JSON over a stream, with a bound on every line. */
import type { Duplex } from "node:stream";

/** Splits a stream into lines. A line beyond the bound, or one that is not JSON, ends the stream with an error. */
export function readJsonLines(stream: Duplex, maxLineBytes: number, onValue: (value: unknown) => void): void {
  let parts: Buffer[] = [];
  let held = 0;
  stream.on("data", (chunk: Buffer) => {
    let rest = chunk;
    while (!stream.destroyed) {
      const end = rest.indexOf(10);
      const piece = end < 0 ? rest : rest.subarray(0, end);
      held += piece.length;
      if (held > maxLineBytes) {
        stream.destroy(new Error(`a message is longer than ${maxLineBytes} bytes`));
        return;
      }
      parts.push(piece);
      if (end < 0) return;
      const line = Buffer.concat(parts).toString("utf8");
      parts = [];
      held = 0;
      rest = rest.subarray(end + 1);
      let value: unknown;
      try {
        value = JSON.parse(line);
      } catch {
        stream.destroy(new Error("a message is not JSON"));
        return;
      }
      onValue(value);
    }
  });
}

/** Writes one value as a line; returns false when the stream's buffer is full. */
export function writeJsonLine(stream: Duplex, value: unknown): boolean {
  return stream.write(`${JSON.stringify(value)}\n`);
}
