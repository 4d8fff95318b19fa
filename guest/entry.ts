/** What the host calls. `weir build` exports these two from the module. */
import {
  ABI_VERSION,
  EVENTS,
  EventKind,
  EventRecord,
  RECORD_BYTES,
} from "./abi";
import { batchIsFinished, nextBatch } from "./batch";
import { beginCommands, commandCount, nearlyFull } from "./commands";
import { beginConnections, dispatch, endConnections, openedFull } from "./connection";
import { dispatchDatagram } from "./datagram";
import { beginBatch, batchIsLarge } from "rt/heap";
import { runTimers, timerFired, writeDeadline } from "./scheduler";
import { beginTransmit } from "./transmit";

export const weir_abi: i32 = ABI_VERSION;

/** Handles events. What it returns is defined in docs/abi.md. */
export function weir_poll(events: i32): i64 {
  beginBatch();
  nextBatch();
  beginCommands();
  beginTransmit();
  beginConnections();
  let consumed = 0;
  // What is not consumed comes again: that is how a full command area or a hungry handler slows its peers down.
  while (consumed < events && !nearlyFull() && !openedFull() && !batchIsLarge() && !batchIsFinished()) {
    const event = changetype<EventRecord>(EVENTS + consumed * RECORD_BYTES);
    const kind: u32 = event.kind;
    if (kind == EventKind.Datagram) dispatchDatagram(event);
    else if (kind == EventKind.Timer) timerFired();
    else dispatch(kind, event);
    ++consumed;
  }
  runTimers();
  endConnections();
  writeDeadline();
  return (<i64>commandCount() << 32) | <i64>consumed;
}
