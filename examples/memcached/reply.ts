/**
 * Answers of a batch, one behind the other, so that all those of one turn of a connection are one send. They stay as they are
 * until the batch is over, when the host reads them.
 */
import { reserve } from "@weir/guest/memory";

/** With so much unacknowledged a connection gets no further answer. */
export const TURN_BYTES: u32 = 256 << 10;
/** What one step of a turn (a request, or one key of it) writes at most; a long value is not written here. */
export const STEP_BYTES: u32 = 24 << 10;
/** Up to here a value is copied into the answer; of a longer one the parts are sent from where they are. */
export const LONGEST_COPY_BYTES: u32 = 8 << 10;
/** Room for two turns: after each it is decided whether there is another one in this batch. */
export const REPLY_BYTES: u32 = 2 * (TURN_BYTES + STEP_BYTES);

const start: usize = reserve(REPLY_BYTES);
const end: usize = start + REPLY_BYTES;
/** Where the next byte goes. */
let at: usize = start;
/** Where the bytes begin that have not been sent, and from where on there is no further step. */
let unsent: usize = start;
let full: usize = start;

/** At the start of a batch. */
export function beginReplies(): void {
  at = start;
  unsent = start;
}

/** At the start of a turn of a connection that has so much unacknowledged. */
// @ts-ignore: decorator
@inline export function openTurn(queuedBytes: u32): void {
  unsent = at;
  full = min(at + (TURN_BYTES - min(TURN_BYTES, queuedBytes)), end - STEP_BYTES);
}

/** Whether there is room for another step. */
// @ts-ignore: decorator
@inline export function hasRoom(): bool { return at < full; }

/** Whether the batch has room for another turn. */
// @ts-ignore: decorator
@inline export function hasRoomForTurn(): bool { return at + TURN_BYTES + STEP_BYTES <= end; }

// @ts-ignore: decorator
@inline export function replyAt(): usize { return at; }
/** The bytes up to there have been written. */
// @ts-ignore: decorator
@inline export function wroteTo(address: usize): void { at = address; }

// @ts-ignore: decorator
@inline export function unsentAt(): usize { return unsent; }
// @ts-ignore: decorator
@inline export function unsentBytes(): u32 { return <u32>(at - unsent); }
/** They have been sent. */
// @ts-ignore: decorator
@inline export function wasSent(): void { unsent = at; }

/** Writes a text that is ASCII. */
export function put(text: string): void {
  const length = text.length;
  for (let i = 0; i < length; ++i) store<u8>(at + i, <u8>text.charCodeAt(i));
  at += length;
}
