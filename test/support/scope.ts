/** What a test made and has to end, in reverse order, also when it failed. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { Running } from "./processes.js";

/** Has `cleanUp` called when the running test is over. */
export function atEnd(cleanUp: () => unknown): void {
  onTestFinished(async () => {
    await cleanUp();
  });
}

/** A folder that is removed after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "weir-test-"));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A process in the background that is killed after the test. */
export function start(...parameters: ConstructorParameters<typeof Running>): Running {
  const running = new Running(...parameters);
  atEnd(async () => {
    if (!running.hasEnded) await running.stop("SIGKILL");
  });
  return running;
}
