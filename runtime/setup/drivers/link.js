/**
 * `npm run link -- --a TAP --b TAP [--rate-mbit R] [--delay-ms D] [--loss P] ...`: the simulator's link between two TAPs, in
 * real time. Runs until it is told to end.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { NATIVE_BUILD_SIM } from "../paths.js";

/** Runs the driver and returns its exit code. */
export async function runLink(args, lifetime) {
  const child = spawn(join(NATIVE_BUILD_SIM, "tap_link"), args, { stdio: "inherit" });
  lifetime.onEnd = (signal) => child.kill(signal);
  return await new Promise((resolve) => child.once("close", (code, signal) => resolve(signal === null ? code : 143)));
}
