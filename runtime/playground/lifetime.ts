/** When a foreground command is to end: signals, and the end of whoever started it. */
import { readFileSync } from "node:fs";

const POLL_MS = 250;

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return 0;
  }
}

/**
 * Resolves with the reason when this process is asked to end by SIGINT, SIGTERM or SIGHUP, or when npm, which started
 * it, is gone: npm does not pass SIGTERM on, it leaves its child behind. Further signals are ignored, since the end is
 * under way and bounded. Without npm the parent may go: `weir demo &` outlives its shell.
 */
export function untilAskedToEnd(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve(signal));
    if (process.env.npm_lifecycle_event === undefined) return;
    const parent = process.ppid;
    // npm starts a shell, which may stay between it and this process.
    const grandparent = parentOf(parent);
    const timer = setInterval(() => {
      if (process.ppid === parent && parentOf(parent) === grandparent) return;
      clearInterval(timer);
      resolve("the end of npm");
    }, POLL_MS);
    timer.unref();
  });
}
