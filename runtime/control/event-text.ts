/** What happens to instances, in words. */
import type { AppEvent } from "../process/native.js";
import { describePlaces } from "./symbols.js";
import type { SourcePlace } from "./types.js";

/** Events that say that an instance is over. */
export const ENDINGS: ReadonlySet<AppEvent["kind"]> = new Set([
  "trapped",
  "overran",
  "violated",
  "poisoned",
  "start_failed",
]);

const WORDS: Partial<Record<AppEvent["kind"], string>> = {
  overran: "overran its time",
  violated: "broke the contract",
  start_failed: "did not start",
};

/** An event that is no log line: "trapped: index out of range at handler.ts:12 in Echo#onData". */
export function describeEvent(event: AppEvent, places: readonly SourcePlace[]): string {
  const where = describePlaces(places);
  const what = WORDS[event.kind] ?? event.kind.replace("_", " ");
  const message = event.text === "" ? what : `${what}: ${event.text}`;
  return where === "" ? message : `${message} ${where.startsWith("in ") ? "" : "at "}${where}`;
}
