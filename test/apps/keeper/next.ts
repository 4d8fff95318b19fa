import { Bytes, Connection, listen } from "@weir/guest/tcp";

/** The next version: says what it receives, and whether the version before had the connection. */
class Teller extends Connection {
  onData(data: Bytes): void {
    const since = this.inherited ? "inherited" : "new";
    this.text(`${since} ${data.toString()}\n`);
  }
}
listen<Teller>();
