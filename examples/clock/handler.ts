import { Connection, listen } from "@weir/guest/tcp";
import { after, every } from "@weir/guest/timer";

let ticks: u32 = 0;
every(1_000, () => { ticks++; });

class Clock extends Connection {
  onOpen(): void { this.tick(); }
  tick(): void { this.text(`${ticks}\n`); after<Clock>(500, this, c => c.tick()); }
}
listen<Clock>();
