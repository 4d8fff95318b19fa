import { Bytes, Connection, listen } from "@weir/guest/tcp";

const PIECE = Bytes.of("0123456789abcdef".repeat(4_096));

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
