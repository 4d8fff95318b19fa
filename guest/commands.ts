/** Writes command records. The host reads them after the poll, so records may be changed until then. */
import { COMMANDS, COMMAND_CAPACITY, CommandKind, CommandRecord, RECORD_BYTES } from "./abi";

/** Records kept for the last deadline. */
const DEADLINE_RECORDS: u32 = 1;
/** Records that only the SDK uses, for what must not get lost: accept, recv_done, close, abort. */
const SDK_RECORDS: u32 = 512;
/** No further event is taken when fewer records than this are left. */
const EVENT_RECORDS: u32 = 1024;

let count: u32 = 0;

// @ts-ignore: decorator
@inline export function beginCommands(): void { count = 0; }
// @ts-ignore: decorator
@inline export function commandCount(): u32 { return count; }
// @ts-ignore: decorator
@inline export function nearlyFull(): bool { return count > COMMAND_CAPACITY - EVENT_RECORDS; }
/** Whether a handler may write another command. */
// @ts-ignore: decorator
@inline export function roomForHandler(): bool { return count < COMMAND_CAPACITY - SDK_RECORDS; }
/** Whether the SDK may write another command. */
// @ts-ignore: decorator
@inline export function roomForSdk(): bool { return count < COMMAND_CAPACITY - DEADLINE_RECORDS; }

/** The next record. The caller has checked that there is room and fills every field of the kind. */
// @ts-ignore: decorator
@inline export function command(kind: CommandKind, flags: u8 = 0): CommandRecord {
  const record = changetype<CommandRecord>(COMMANDS + count++ * RECORD_BYTES);
  record.kind = <u8>kind;
  record.flags = flags;
  return record;
}
