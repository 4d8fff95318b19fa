import type { AppEvent } from "./native.js";

/** The last events, bounded in number and text, so that a new control plane gets what it missed. */
export class EventRing {
  private events: AppEvent[] = [];
  private textLength = 0;

  /** `maxTextLength` in UTF-16 units over all events. */
  constructor(
    private readonly maxEvents: number,
    private readonly maxTextLength: number,
  ) {}

  push(events: readonly AppEvent[]): void {
    for (const event of events) {
      this.events.push(event);
      this.textLength += event.text.length;
    }
    let drop = Math.max(0, this.events.length - this.maxEvents);
    for (let i = 0; i < this.events.length; i++) {
      if (i >= drop && this.textLength <= this.maxTextLength) break;
      this.textLength -= this.events[i]!.text.length;
      drop = Math.max(drop, i + 1);
    }
    if (drop > 0) this.events = this.events.slice(drop);
  }

  /** Up to `limit` events after sequence number `after`, and how many between are lost. */
  after(after: number, limit: number): { events: AppEvent[]; lost: number } {
    let low = 0;
    let high = this.events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.events[middle]!.sequence > after) high = middle;
      else low = middle + 1;
    }
    const events = this.events.slice(low, low + limit);
    let lost = 0;
    let expected = after + 1;
    for (const event of events) {
      lost += event.sequence - expected;
      expected = event.sequence + 1;
    }
    return { events, lost };
  }
}
