import { Bytes, Connection, listen } from "@weir/guest/tcp";

/** Keeps what it receives, and says how much each piece has. */
class Keeper extends Connection {
  onData(data: Bytes): void {
    data.keep();
    this.text(`kept ${data.length}\n`);
  }
}
listen<Keeper>();
