/** What a test, or a file of tests, made and has to end, in reverse order, also when it failed. */
import { AsyncLocalStorage } from "node:async_hooks";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, onTestFinished } from "vitest";
import { Running } from "./processes.js";

type CleanUp = () => unknown;

/** What ends after the last test of the file, while `shared` makes it. */
const ofFile = new AsyncLocalStorage<CleanUp[]>();

/** Has `cleanUp` called when the running test is over; within `shared`, after the last test of the file. */
export function atEnd(cleanUp: CleanUp): void {
  const list = ofFile.getStore();
  if (list !== undefined) {
    list.push(cleanUp);
    return;
  }
  onTestFinished(async () => {
    await cleanUp();
  });
}

/** Makes something before the first test of a file that ends after the last one. The result returns it. */
export function shared<Value>(make: () => Promise<Value>): () => Value {
  const cleanUps: CleanUp[] = [];
  let made: { readonly value: Value } | undefined;
  beforeAll(async () => {
    made = { value: await ofFile.run(cleanUps, make) };
  });
  afterAll(async () => {
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
  });
  return () => {
    if (made === undefined) throw new Error("it is only there while tests run");
    return made.value;
  };
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
