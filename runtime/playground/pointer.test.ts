import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { findPlaygrounds, type Playground, pointerFolder, startTicksOf, writePointer } from "./pointer.js";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-pointer-"));
  vi.stubEnv("XDG_RUNTIME_DIR", folder);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function pointerTo(pid: number, startTicks: string, startedMs: number): Playground {
  return {
    pid,
    startTicks,
    socket: `/proc/${pid}/root/dev/shm/api.sock`,
    userNamespace: false,
    verb: "demo",
    startedMs,
  };
}

test("a living playground is found, the newest first", () => {
  const own = startTicksOf(process.pid) as string;
  const parent = startTicksOf(process.ppid) as string;
  writePointer(pointerTo(process.ppid, parent, 1));
  writePointer(pointerTo(process.pid, own, 2));
  expect(findPlaygrounds().map((playground) => playground.pid)).toEqual([process.pid, process.ppid]);
});

test("a pointer whose process number was reused is removed", () => {
  const path = writePointer(pointerTo(process.pid, "1", 1));
  expect(findPlaygrounds()).toEqual([]);
  expect(existsSync(path)).toBe(false);
});

test("a damaged pointer is removed, other files stay", () => {
  writeFileSync(join(pointerFolder(), "17.json"), "{");
  writeFileSync(join(pointerFolder(), "notes"), "mine");
  expect(findPlaygrounds()).toEqual([]);
  expect(readdirSync(pointerFolder())).toEqual(["notes"]);
});
