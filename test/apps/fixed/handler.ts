import { appAt } from "@weir/guest/http";
import { Bytes, Connection, listen } from "@weir/guest/tcp";

const PAGE = Bytes.of("0123456789".repeat(1_000)).fix();
/** More than fits: the rest are ordinary copies. */
const MANY: Bytes[] = [];
for (let i = 0; i < 200; ++i) MANY.push(PAGE.fix());

appAt("page").get("/", c => c.bytes(PAGE, "text/plain"));

/** Answers a number with that copy of the page. */
class Lines extends Connection {
  onData(data: Bytes): void { this.send(MANY[I32.parseInt(data.toString())]); }
}
listen<Lines>("lines");
