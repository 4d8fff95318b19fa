/** The last lines of every app and of the host itself. */
import type { LogLine, LogQuery } from "./types.js";

const MAX_LINES = 1000;
const MAX_TEXT_LENGTH = 512 * 1024;
/** Apps that are gone keep their lines until there are this many rings. */
const MAX_RINGS = 320;
/** Lines that wait for one follower. */
const MAX_WAITING = 2000;

class Ring {
  readonly lines: LogLine[] = [];
  private textLength = 0;

  push(line: LogLine): void {
    this.lines.push(line);
    this.textLength += line.text.length;
    while (this.lines.length > MAX_LINES || (this.textLength > MAX_TEXT_LENGTH && this.lines.length > 1)) {
      this.textLength -= this.lines.shift()!.text.length;
    }
  }
}

/** What a line says; the book adds its sequence number. */
export type NewLogLine = Omit<LogLine, "sequence">;

/** Rings of log lines, bounded, and whoever follows them. */
export class LogBook {
  private readonly rings = new Map<string, Ring>();
  private readonly followers = new Set<(line: LogLine) => void>();
  private sequence = 0;

  add(line: NewLogLine): void {
    const numbered = { sequence: ++this.sequence, ...line };
    const key = `${line.tenant}/${line.app}`;
    let ring = this.rings.get(key);
    // Taken out and put in again: the first ring of the map is the one that was quiet for longest.
    this.rings.delete(key);
    if (ring === undefined) {
      ring = new Ring();
      if (this.rings.size >= MAX_RINGS) this.rings.delete(this.rings.keys().next().value!);
    }
    this.rings.set(key, ring);
    ring.push(numbered);
    for (const follower of this.followers) follower(numbered);
  }

  /** The lines that are kept, oldest first. */
  recent(query: LogQuery): LogLine[] {
    const lines = [...this.rings.values()].flatMap((ring) => ring.lines.filter((line) => matches(line, query)));
    return lines.sort((a, b) => a.sequence - b.sequence);
  }

  /** The lines that are kept and, with `follow`, those to come. A follower that is too slow loses lines and is told. */
  async *read(query: LogQuery): AsyncGenerator<LogLine> {
    let waiting = this.recent(query);
    if (!query.follow) {
      yield* waiting;
      return;
    }
    let dropped = 0;
    let wake: (() => void) | undefined;
    const follower = (line: LogLine): void => {
      if (!matches(line, query)) return;
      if (waiting.length >= MAX_WAITING) dropped++;
      else waiting.push(line);
      wake?.();
    };
    const onAbort = (): void => wake?.();
    const ended = (): boolean => query.signal?.aborted === true;
    this.followers.add(follower);
    query.signal?.addEventListener("abort", onAbort);
    try {
      while (!ended()) {
        const lines = waiting;
        waiting = [];
        const lost = dropped;
        dropped = 0;
        yield* lines;
        if (lost > 0) yield droppedLine(lines.at(-1)?.sequence ?? 0, lost);
        if (waiting.length === 0 && !ended()) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          wake = undefined;
        }
      }
    } finally {
      this.followers.delete(follower);
      query.signal?.removeEventListener("abort", onAbort);
    }
  }
}

function droppedLine(sequence: number, count: number): LogLine {
  const text = `${count} lines are missing here: they came faster than they were read`;
  const host = { tenant: "", app: "", level: "warn", kind: "lines_dropped", frames: [] } as const;
  return { sequence, timeUs: Date.now() * 1000, text, ...host };
}

function matches(line: LogLine, { app, tenant, since }: LogQuery): boolean {
  if (since !== undefined && line.sequence <= since) return false;
  return (app === undefined || line.app === app) && (tenant === undefined || line.tenant === tenant);
}
