import { Bytes, Connection, listen } from "@weir/guest/tcp";

const PIECE = Bytes.of("0123456789abcdef".repeat(512));
const PIECES = 128;
let received: u64 = 0;

/** Answers when the peer has sent everything: first how much that was, then a mebibyte. */
class AnswersLast extends Connection {
  count: u64 = 0;
  pieces: i32 = 0;

  onData(data: Bytes): void {
    this.count += data.length;
  }

  onEnd(): void {
    this.text(`${this.count}\n`);
    this.onDrain();
  }

  onDrain(): void {
    while (this.pieces < PIECES) {
      if (!this.send(PIECE)) return;
      this.pieces++;
    }
    this.end();
  }
}
listen<AnswersLast>("answers-last");

/** Ends at once, and goes on receiving. */
class EndsFirst extends Connection {
  onOpen(): void {
    this.text("first\n");
    this.end();
  }

  onData(data: Bytes): void {
    received += data.length;
  }
}
listen<EndsFirst>("ends-first");

/** Says how much came after the end. */
class Report extends Connection {
  onOpen(): void {
    this.text(`${received}\n`);
    this.end();
  }
}
listen<Report>("report");
