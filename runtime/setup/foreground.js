/** Runs a Node program in the foreground and ends it with this process. */
import { spawn } from "node:child_process";

/** A program that was told to end gets this long. */
const GRACE_MS = 8_000;

/** Runs `args` with Node, stdio inherited, and returns its exit code. The end of `lifetime` is passed on as a signal. */
export async function runForeground(args, env, lifetime) {
  const child = spawn(process.execPath, args, { stdio: "inherit", env });
  let killTimer;
  lifetime.onEnd = (signal) => {
    child.kill(signal);
    killTimer ??= setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
  };
  const code = await new Promise((resolve) => {
    child.once("error", (error) => {
      process.stderr.write(`${error.message}\n`);
      resolve(1);
    });
    child.once("close", (status, signal) => resolve(status ?? (signal === "SIGKILL" ? 137 : 143)));
  });
  clearTimeout(killTimer);
  return code;
}
