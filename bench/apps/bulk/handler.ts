import { Bytes, Connection, listen } from "@weir/guest/tcp";

const PIECE = Bytes.of("0123456789abcdef".repeat(4_096));
const RECEIPT = Bytes.of(".");

/** Takes what comes. */
class Sink extends Connection {}
listen<Sink>("sink");

/** Sends as much as the connection takes, until the peer has had enough. */
class Source extends Connection {
  onOpen(): void {
    this.onDrain();
  }

  onDrain(): void {
    while (this.send(PIECE)) {}
  }

  onEnd(): void {
    this.abort();
  }
}
listen<Source>("source");

/** Says so whenever another 64 KiB have come. */
class Receiver extends Connection {
  private owed: u32 = 0;

  onData(data: Bytes): void {
    this.owed += data.length;
    while (this.owed >= PIECE.length) {
      this.owed -= PIECE.length;
      this.send(RECEIPT);
    }
  }
}
listen<Receiver>("receiver");

/** 64 KiB for each byte. */
class Supplier extends Connection {
  onData(data: Bytes): void {
    for (let i: u32 = 0; i < data.length; i++) this.send(PIECE);
  }
}
listen<Supplier>("supplier");
