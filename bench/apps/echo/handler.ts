import { Bytes, Connection, listen } from "@weir/guest/tcp";

class Echo extends Connection {
  onData(data: Bytes): void { this.send(data); }
}
listen<Echo>();
