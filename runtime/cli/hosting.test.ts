import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RefusedError } from "../admit/report.js";
import { ConfigError } from "../config/problem.js";
import { ERROR_STATUS, HostError, type HostErrorCode } from "../control/errors.js";
import type { AppStats, LogLine, Stats } from "../control/types.js";
import { appDirectory, asCliError, formatListens, formatLogLine, printable } from "./hosting.js";
import { CliError, ExitCode } from "./shared/output.js";
import { formatRates } from "./stats.js";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "weir-cli-test-"));
});
afterEach(() => rm(directory, { recursive: true }));

describe("the app's folder", () => {
  it("is the folder or its weir.toml", async () => {
    await writeFile(join(directory, "weir.toml"), "");
    expect(await appDirectory(directory)).toBe(directory);
    expect(await appDirectory(join(directory, "weir.toml"))).toBe(directory);
  });

  it("is not a module", async () => {
    await writeFile(join(directory, "a.wasm"), "");
    await expect(appDirectory(join(directory, "a.wasm"))).rejects.toMatchObject({
      exitCode: ExitCode.usage,
      hint: expect.stringContaining('main = "a.wasm"'),
    });
    await expect(appDirectory(join(directory, "none"))).rejects.toMatchObject({ exitCode: ExitCode.notFound });
  });
});

describe("errors", () => {
  it("keeps every mistake of a configuration", () => {
    const problem = { file: "weir.toml", line: 3, column: 1, message: 'unknown key "x"', hint: "" };
    const error = asCliError(new ConfigError([problem, { ...problem, line: 0 }]));
    expect(error).toMatchObject({ exitCode: ExitCode.refused, message: "weir.toml has 2 mistakes" });
    expect((error as CliError).problems).toEqual([
      problem,
      { file: "weir.toml", message: 'unknown key "x"', hint: "" },
    ]);
  });

  it("says the rule that a module breaks", () => {
    const error = asCliError(new RefusedError("refused", "", [{ rule: "r", message: "m", place: "p", hint: "h" }]));
    expect(error).toMatchObject({ exitCode: ExitCode.refused, problems: [{ file: "p", message: "m [r]", hint: "h" }] });
  });

  it.each(Object.keys(ERROR_STATUS) as HostErrorCode[])("has an exit code for %s", (code) => {
    const error = asCliError(new HostError(code, "m", "h"));
    expect(error).toBeInstanceOf(CliError);
    expect((error as CliError).exitCode).toBeGreaterThan(0);
  });

  it("leaves what it does not know alone", () => {
    const error = new Error("x");
    expect(asCliError(error)).toBe(error);
  });
});

it("shows where an app listens", () => {
  const listens = [
    { name: "a", protocol: "http", port: 80, address: "10.44.0.2" },
    { name: "b", protocol: "http", port: 8080, address: "10.44.0.2" },
    { name: "c", protocol: "udp", port: 53, address: "10.44.0.2" },
  ] as const;
  expect(formatListens({ listens })).toBe("http://10.44.0.2/, http://10.44.0.2:8080/, udp 10.44.0.2:53");
});

it("does not let a guest's text control the terminal", () => {
  expect(printable("a\u001b[2J\u0007\u009b\tb")).toBe("a\\x1b[2J\\x07\\x9b\tb");
  const line: LogLine = {
    sequence: 1,
    timeUs: 0,
    tenant: "acme",
    app: "echo",
    level: "error",
    kind: "log",
    text: "\u001b]0;x",
    frames: [],
  };
  expect(formatLogLine(line)).toMatch(/^\d\d:\d\d:\d\d\.\d{3} acme\/echo {2}error: \\x1b\]0;x$/);
});

it("shows what happened between two readings", () => {
  const app = (events: number): AppStats => ({
    id: 1,
    tenant: "default",
    name: "echo",
    connections: 2,
    failures: 0,
    counters: { events },
  });
  const reading = (timeUs: number, frames: number, events: number): Stats => ({
    timeUs,
    dataplane: { state: "running", pid: 1, engineVersion: "", startedUs: 0, restarts: 0 },
    tscHz: 0,
    workers: [],
    worker: { port: { rx_frames: frames, tx_frames: frames } },
    drops: {},
    dropsTotal: frames / 10,
    batches: { count: 0, framesPerBatch: 0 },
    stages: [],
    apps: [app(events)],
  });
  expect(formatRates(reading(0, 100, 10), reading(2_000_000, 300, 20))).toBe(
    "rx 100/s  tx 100/s  drops 10/s  |  default/echo 2 conn 5 ev/s",
  );
  expect(formatRates(reading(0, 300, 20), reading(2_000_000, 0, 0))).toContain("rx 0/s");
});
