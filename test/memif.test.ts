/** A port over memif: another process is at its other end, here the load generator, with a TCP of its own. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { CLONE, example } from "./support/clone.js";
import { weirCommand } from "./support/processes.js";
import { shared, start, temporaryFolder } from "./support/scope.js";

const BUILD = join(CLONE, "native", "build");
const ADDRESS = "10.45.0.2";

interface Window {
  readonly messages: number;
  readonly responseBytes: number;
  readonly opened: number;
  readonly wrong: number;
  readonly resets: number;
  readonly latencyNs: readonly (readonly [number, number])[];
}

beforeAll(() => {
  execFileSync("ninja", ["-C", BUILD, "weir_load"], { stdio: "ignore" });
});

const socket = shared(async () => {
  const path = join(temporaryFolder(), "memif.sock");
  const options = ["--port", `memif:${path}`, "--ip", `${ADDRESS}/16`, "--cores", "0", "--batch", "32"];
  const weir = start(weirCommand("run", example("echo"), ...options));
  await weir.output(/echo running at/);
  return path;
});

function load(...options: string[]): Window {
  const args = [
    "--port",
    `memif:${socket()}`,
    "--server",
    ADDRESS,
    "--seconds",
    "0.3",
    "--windows",
    "1",
    "--core",
    "1",
  ];
  return JSON.parse(execFileSync(join(BUILD, "weir_load"), [...args, ...options], { encoding: "utf8" }));
}

function expectRight(window: Window): void {
  expect(window).toMatchObject({ wrong: 0, resets: 0 });
  expect(window.messages).toBeGreaterThan(100);
  expect(window.latencyNs.reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThan(0);
}

test("many connections exchange messages, one client process after the other", () => {
  for (const connections of [1, 64, 5_000]) expectRight(load("--connections", String(connections)));
});

test("messages longer than a segment, and than the window at first", () => {
  const window = load("--connections", "4", "--bytes", "100000");
  expect(window).toMatchObject({ wrong: 0, resets: 0 });
  expect(window.responseBytes).toBeGreaterThan(400_000);
});

test("connections that end after two messages and come again", () => {
  const window = load("--connections", "32", "--per-connection", "2");
  expectRight(window);
  expect(window.opened).toBeGreaterThan(50);
});

test("messages at a rate, whatever the answers do", () => {
  const window = load("--connections", "64", "--rate", "20000");
  expect(window).toMatchObject({ wrong: 0, resets: 0 });
  expect(window.messages).toBeLessThan(20_000);
});
