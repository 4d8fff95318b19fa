/** From a place in the compiled module back to the source text. */
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import type { AppEvent } from "../process/native.js";
import type { SourcePlace } from "./types.js";

type Frame = AppEvent["frames"][number];

/** `handler/Echo#onData` without the module paths that AssemblyScript puts before names. */
export function shortName(name: string): string {
  return name.replace(/[~\w.@-]+\//g, "");
}

/** A file of the app itself: neither AssemblyScript's library nor the SDK. */
function isOwn(file: string): boolean {
  return file !== "" && !file.startsWith("~lib/") && !/(^|\/)(@weir\/guest|node_modules)\//.test(file);
}

/** Maps frames of one module. */
export class Symbols {
  private readonly map: TraceMap | undefined;

  /** `offsets`: pairs (rewritten, original), sorted; empty means unchanged. `sourceMap`: version 3, or "". */
  constructor(
    private readonly offsets: Uint32Array,
    sourceMap: string,
  ) {
    try {
      // The names of files are wanted as they are in the app's folder, not where its map says it will be served.
      this.map = sourceMap === "" ? undefined : new TraceMap({ ...JSON.parse(sourceMap), sourceRoot: "" });
    } catch {
      this.map = undefined; // a broken map only costs the places
    }
  }

  /** The offset in the module as it was deployed. */
  originalOffset(offset: number): number {
    let low = 0;
    let high = this.offsets.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.offsets[middle * 2]! <= offset) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return offset;
    return this.offsets[low * 2 - 1]! + (offset - this.offsets[low * 2 - 2]!);
  }

  place(frame: Frame): SourcePlace {
    const name = shortName(frame.functionName);
    const position =
      this.map === undefined
        ? undefined
        : originalPositionFor(this.map, { line: 1, column: this.originalOffset(frame.moduleOffset) });
    if (position?.source === undefined || position.source === null) {
      return { function: name, file: "", line: 0, column: 0 };
    }
    return { function: name, file: position.source, line: position.line, column: position.column + 1 };
  }
}

/** `handler.ts:12 in Echo#onData` for the innermost place that is the app's own; "" when nothing is known. */
export function describePlaces(places: readonly SourcePlace[]): string {
  const place = places.find(({ file }) => isOwn(file)) ?? places.find(({ file }) => file !== "") ?? places[0];
  if (place === undefined) return "";
  const where = place.file === "" ? "" : `${place.file}:${place.line}`;
  const inside = place.function === "" ? "" : `in ${place.function}`;
  return [where, inside].filter((part) => part !== "").join(" ");
}
