/** The batch under way: the events that one poll hands to the handler. */

let number: u32 = 0;
let finished: bool = false;

/** At the start of a poll. */
// @ts-ignore: decorator
@inline export function nextBatch(): void {
  ++number;
  finished = false;
}

/** Number of the batch; another one than in the batch before. */
// @ts-ignore: decorator
@inline export function batchNumber(): u32 { return number; }

/** Takes no further event in this batch. */
export function finishBatch(): void { finished = true; }

// @ts-ignore: decorator
@inline export function batchIsFinished(): bool { return finished; }
