/** Locks between processes, held by the kernel: a lock ends with its holder, however that ends. */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { SetupError } from "./report.js";

const TELL_AFTER_MS = 1_000;

/**
 * Waits for the exclusive lock on `path` and returns a function that gives it back. `onWait` is called once when
 * somebody else holds it. flock(1) holds the lock for as long as its stdin, a pipe from this process, stays open.
 */
export async function acquireLock(path, onWait = () => {}) {
  mkdirSync(dirname(path), { recursive: true });
  const holder = spawn("flock", ["--exclusive", path, "sh", "-c", "echo locked; exec cat"], {
    stdio: ["pipe", "pipe", "ignore"],
    // A Ctrl-C must not end the holder before the work that it guards.
    detached: true,
  });
  const timer = setTimeout(onWait, TELL_AFTER_MS);
  try {
    await new Promise((resolve, reject) => {
      holder.stdout.once("data", resolve);
      holder.once("error", reject);
      holder.once("exit", (code) => reject(new Error(`flock ended with code ${code}`)));
    });
  } catch (error) {
    throw new SetupError(`No lock on ${path}: ${error.message}`, {
      advice: "flock comes with Debian's package util-linux. Is the folder writable?",
    });
  } finally {
    clearTimeout(timer);
  }
  holder.removeAllListeners("exit");
  holder.stdout.resume();
  return async () => {
    const ended = new Promise((resolve) => holder.once("close", resolve));
    holder.stdin.end();
    await ended;
  };
}
