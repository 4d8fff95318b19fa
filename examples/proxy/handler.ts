import { Bytes, Connection, Reason, connect, listen } from "@weir/guest/tcp";

class Upstream extends Connection {
  client: Client | null = null;
  onData(data: Bytes): void { this.client!.send(data); }
  onEnd(): void { this.client!.end(); }
  onClose(why: Reason): void { if (why != Reason.Finished) this.client!.abort(); }
}

class Client extends Connection {
  upstream: Upstream = connect<Upstream>("10.44.0.1:9000");
  onOpen(): void { this.upstream.client = this; this.timeout(30_000); }
  onData(data: Bytes): void { this.upstream.send(data); }
  onEnd(): void { this.upstream.end(); }
  onClose(why: Reason): void { if (why != Reason.Finished) this.upstream.abort(); }
}

listen<Client>();
