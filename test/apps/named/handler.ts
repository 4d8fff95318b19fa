/** Connects to names, for the clients of three ports: one with two addresses, one with none, one that is not listed. */
import { Bytes, Connection, Reason, connect, listen } from "@weir/guest/tcp";

class Upstream extends Connection {
  client: Client | null = null;
  onData(data: Bytes): void { this.client!.send(data); }
  onEnd(): void { this.client!.end(); }
  onClose(why: Reason): void {
    if (why == Reason.Finished) return;
    this.client!.text(`closed ${<i32>why}\n`);
    this.client!.end();
  }
}

class Client extends Connection {
  upstream: Upstream | null = null;
  connectTo(name: string): void {
    const upstream = connect<Upstream>(name);
    upstream.client = this;
    this.upstream = upstream;
  }
  onData(data: Bytes): void { this.upstream!.send(data); }
  onEnd(): void { this.upstream!.end(); }
}

class Two extends Client {
  onOpen(): void { this.connectTo("two.weir.example:9000"); }
}
class None extends Client {
  onOpen(): void { this.connectTo("none.weir.example:9000"); }
}
class Unlisted extends Client {
  onOpen(): void { this.connectTo("other.weir.example:9000"); }
}
listen<Two>("two");
listen<None>("none");
listen<Unlisted>("unlisted");
