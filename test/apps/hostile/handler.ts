import { COMMANDS, CommandKind, EVENTS, INFO, MODULE_BASE, RX_WINDOW, TX_BUFFERS } from "@weir/guest/abi";
import { command } from "@weir/guest/commands";
import { Bytes, Connection, listen } from "@weir/guest/tcp";

const LARGE_BYTES = 8 << 20;
/** Handles are an index and a generation; the first of each are the most likely ones of others. */
const FORGED_INDICES: u64 = 64;
const FORGED_GENERATIONS: u64 = 16;
const FORGED_KINDS: StaticArray<CommandKind> = [
  CommandKind.Abort,
  CommandKind.Close,
  CommandKind.RecvDone,
  CommandKind.Send,
  CommandKind.Accept,
  CommandKind.Forward,
];

const large = new StaticArray<u8>(LARGE_BYTES);

function recurse(depth: i32): i32 {
  return depth == -1 ? 0 : recurse(depth + 1) + load<u8>(MODULE_BASE + (depth & 0xff));
}

function forge(own: u64, kind: CommandKind): void {
  for (let index: u64 = 0; index < FORGED_INDICES; ++index) {
    for (let generation: u64 = 0; generation < FORGED_GENERATIONS; ++generation) {
      const handle = (generation << 32) | index;
      if (handle == own) continue;
      const record = command(kind, 0);
      record.handle = handle;
      record.data = INFO;
      record.data_bytes = 64;
      record.source = handle;
    }
  }
}

/** Does whatever harm its peer names. */
class Hostile extends Connection {
  onData(data: Bytes): void {
    const attack = data.toString();
    const received = data.address;
    if (attack == "hello") this.text("hello\n");
    else if (attack == "trap") unreachable();
    else if (attack == "throw") throw new Error("thrown on purpose");
    else if (attack == "recurse") this.text(recurse(0).toString());
    else if (attack == "spin") while (load<u32>(INFO) != 0) {}
    else if (attack == "fill") while (load<u32>(INFO) != 0) memory.fill(changetype<usize>(large), 1, LARGE_BYTES);
    else if (attack == "store to received") store<u8>(received, 1);
    else if (attack == "store to events") store<u64>(EVENTS, 1);
    else if (attack == "store to info") store<u32>(INFO, 7, 32);
    else if (attack == "store to null") store<u32>(64, 7);
    else if (attack == "load from hole") this.text(load<u8>(RX_WINDOW + (15 << 20)).toString());
    else if (attack == "copy to received") memory.copy(received, changetype<usize>(large), 4096);
    else if (attack == "copy across") memory.copy(TX_BUFFERS - (8 << 20), changetype<usize>(large), LARGE_BYTES);
    else if (attack == "copy from null") memory.copy(changetype<usize>(large), 0, 64);
    else if (attack == "fill received") memory.fill(received, 0, 1);
    else if (attack == "fill beyond") memory.fill(MODULE_BASE, 0, 0xf0000000);
    else if (attack.startsWith("forge ")) {
      forge(this._handle, FORGED_KINDS[I32.parseInt(attack.substring(6))]);
      this.text("done\n");
    } else if (attack == "flood") {
      for (let i = 0; i < 7_000; ++i) {
        const record = command(CommandKind.Send, 0);
        record.handle = this._handle;
        record.data = RX_WINDOW;
        record.data_bytes = 60_000;
      }
    } else if (attack == "flood beyond") {
      for (let i = 0; i < 20_000; ++i) command(CommandKind.Abort, 0).handle = <u64>i;
    } else if (attack == "garbage") {
      for (let i = 0; i < 4_000; ++i) {
        const record = command(<CommandKind>(i & 0xff), <u8>i);
        memory.fill(changetype<usize>(record) + 2, <u8>(i * 31), 30);
      }
      store<u8>(COMMANDS, 0xff);
      this.text("done\n");
    } else if (attack == "log") {
      for (let i = 0; i < 5_000; ++i) console.log(attack.repeat(300));
      this.text("done\n");
    }
  }
}
listen<Hostile>();
