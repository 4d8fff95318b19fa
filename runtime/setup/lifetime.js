/** Ends what this process started when it is asked to end, or when npm, which started it, is gone. */
import { readFileSync } from "node:fs";

const POLL_MS = 250;

function parentOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return 0;
  }
}

/**
 * From its construction on, SIGINT, SIGTERM, SIGHUP and the end of npm (which does not pass SIGTERM on, but leaves its
 * script behind) call `onEnd(signal)`.
 */
export class Lifetime {
  onEnd;

  constructor(onEnd, env = process.env) {
    this.onEnd = onEnd;
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => this.onEnd(signal));
    if (env.npm_lifecycle_event === undefined) return;
    const parent = process.ppid;
    // npm starts a shell, which may stay between npm and this process.
    const grandparent = parentOf(parent);
    const timer = setInterval(() => {
      if (process.ppid === parent && parentOf(parent) === grandparent) return;
      clearInterval(timer);
      this.onEnd("SIGTERM");
    }, POLL_MS);
    timer.unref();
  }
}
