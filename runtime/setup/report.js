/** What set-up prints: one line a step, an updating line while a long one runs. */

/** Without a terminal a running step says where it is this often. */
const QUIET_INTERVAL_MS = 15_000;
const NAME_COLUMNS = 12;

/** A duration for people: 0.4 s, 12 s, 4 min 16 s. */
export function formatDuration(ms) {
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Why a step could not be done, where its log is, and what to do about it. */
export class SetupError extends Error {
  constructor(message, { log, advice } = {}) {
    super(message);
    this.name = "SetupError";
    this.log = log;
    this.advice = advice;
  }
}

/** Prints the course of the set-up on a stream. */
export class Report {
  #stream;
  #transient = false;

  constructor(stream = process.stdout) {
    this.#stream = stream;
  }

  /** A line that stays. */
  line(text) {
    this.#clear();
    this.#stream.write(`${text}\n`);
  }

  /** Starts a step; `update` shows progress, `done` and `failed` end it with one line. */
  begin(name) {
    const startedMs = performance.now();
    let toldMs = startedMs;
    const label = name.padEnd(NAME_COLUMNS);
    const elapsed = () => formatDuration(performance.now() - startedMs);
    this.#show(`  … ${label}`);
    return {
      update: (text) => {
        const now = performance.now();
        if (this.#stream.isTTY) this.#show(`  … ${label} ${text}, ${elapsed()}`);
        else if (now - toldMs >= QUIET_INTERVAL_MS) {
          toldMs = now;
          this.line(`  … ${label} ${text}, ${elapsed()}`);
        }
      },
      done: (text = "") => this.line(`  ✓ ${label} ${text}${text === "" ? "" : ", "}${elapsed()}`),
      failed: (text = "") => this.line(`  ✗ ${label} ${text}${text === "" ? "" : ", "}${elapsed()}`),
    };
  }

  #show(text) {
    if (!this.#stream.isTTY) return;
    const columns = this.#stream.columns || 80;
    this.#stream.write(`\r\x1b[K${text.slice(0, columns - 1)}`);
    this.#transient = true;
  }

  #clear() {
    if (this.#transient) this.#stream.write("\r\x1b[K");
    this.#transient = false;
  }
}
