import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseArguments } from "./arguments.js";
import { packagesFor } from "./packages.js";
import { cacheFolder } from "./paths.js";
import { formatDuration, Report, SetupError } from "./report.js";
import { describeFailure, stepsFor } from "./setup.js";
import { execute, mustExecute, withoutNpm } from "./shell.js";
import { filesBelow, hashContents, hashState, isStamped, stamp, unstamp } from "./stamp.js";
import { BuildFollower, toPrune } from "./steps/engine.js";
import { isSupported } from "./steps/node.js";
import { matches } from "./steps/npm.js";
import { installCommand, isPresent } from "./steps/packages.js";
import { isNewEnough } from "./steps/rust.js";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-setup-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

test.each([
  ["20.18.3", false],
  ["20.19.0", true],
  ["22.1.0", true],
])("Node %s is supported: %s", (version, expected) => {
  expect(isSupported(version)).toBe(expected);
});

test.each([
  ["rustc 1.94.1 (abc 2026-01-01)", false],
  ["rustc 1.95.0 (abc 2026-03-01)", true],
  ["rustc 2.0.0", true],
  ["", false],
])("%s is new enough: %s", (version, expected) => {
  expect(isNewEnough(version)).toBe(expected);
});

test("npm start --check and npm start -- --check mean the same", () => {
  const expected = { command: "start", args: ["--check", "x"] };
  expect(parseArguments(["start", "--check", "x"], {})).toEqual(expected);
  expect(parseArguments(["start", "x"], { npm_config_check: "true" })).toEqual(expected);
  expect(parseArguments(["test", "x"], { npm_config_check: "true" })).toEqual({ command: "test", args: ["x"] });
  expect(parseArguments(["sim", "--seed", "1"], {})).toEqual({ command: "sim", args: ["--seed", "1"] });
  expect(parseArguments(["stop"], {})).toBeUndefined();
});

test("a nested npm does not get this one's options", () => {
  const env = { PATH: "/bin", npm_config_check: "true", npm_lifecycle_event: "start", npm_config_cache: "/c" };
  expect(withoutNpm(env)).toEqual({ PATH: "/bin", npm_config_cache: "/c" });
});

test("the cache folder follows XDG_CACHE_HOME when it is absolute", () => {
  expect(cacheFolder({ XDG_CACHE_HOME: "/c" })).toBe("/c/weir");
  expect(cacheFolder({ XDG_CACHE_HOME: "c" })).toMatch(/\/\.cache\/weir$/);
});

test("what start needs is part of what test needs, and both install in one command", () => {
  const names = (command) => packagesFor(command).map((each) => each.name);
  expect(names("test")).toEqual(expect.arrayContaining(names("start")));
  expect(names("start")).not.toContain("valgrind");
  expect(installCommand(["a", "b"])).toBe("sudo apt-get install -y --no-install-recommends a b");
});

test("a package is there by any of its programs or all of its files", () => {
  const find = (program) => (program === "cc" ? "/bin/cc" : undefined);
  const exists = (file) => file === "/a";
  expect(isPresent({ programs: ["gcc", "cc"] }, find, exists)).toBe(true);
  expect(isPresent({ programs: ["gcc"] }, find, exists)).toBe(false);
  expect(isPresent({ files: ["/a"] }, find, exists)).toBe(true);
  expect(isPresent({ files: ["/a", "/b"] }, find, exists)).toBe(false);
});

test("an installation matches its lock unless a version or a needed package differs", () => {
  const lock = {
    packages: {
      "": {},
      guest: {},
      "node_modules/a": { version: "1.0.0", integrity: "x" },
      "node_modules/mac": { version: "1.0.0", optional: true },
    },
  };
  const installed = (version) => ({ packages: { "node_modules/a": { version, integrity: "x" } } });
  expect(matches(lock, installed("1.0.0"))).toBe(true);
  expect(matches(lock, installed("1.0.1"))).toBe(false);
  expect(matches(lock, { packages: {} })).toBe(false);
  expect(matches(lock, undefined)).toBe(false);
});

test("a state changes with size and time of a file, contents only with the contents", () => {
  const file = join(folder, "a.cc");
  writeFileSync(file, "one");
  utimesSync(file, 1, 1);
  const state = hashState(folder, [file]);
  const contents = hashContents(folder, [file]);
  utimesSync(file, 2, 2);
  expect(hashState(folder, [file])).not.toBe(state);
  expect(hashContents(folder, [file])).toBe(contents);
  writeFileSync(file, "two");
  expect(hashContents(folder, [file])).not.toBe(contents);
  expect(hashContents(folder, [file], ["flag"])).not.toBe(hashContents(folder, [file]));
});

test("files are listed without the folders to skip", () => {
  writeFileSync(join(folder, "b.cc"), "");
  writeFileSync(join(folder, "a.cc"), "");
  writeFileSync(join(folder, "a.o"), "");
  expect(filesBelow(folder, (name) => name.endsWith(".cc"))).toEqual([join(folder, "a.cc"), join(folder, "b.cc")]);
});

test("a stamp holds for one state until it is taken away", () => {
  stamp("step", "1", folder);
  expect(isStamped("step", "1", folder)).toBe(true);
  expect(isStamped("step", "2", folder)).toBe(false);
  unstamp("step", folder);
  expect(isStamped("step", "1", folder)).toBe(false);
});

test("cargo's messages tell crates and the folder of the headers", () => {
  const follower = new BuildFollower();
  const artifact = (id, kind) =>
    JSON.stringify({ reason: "compiler-artifact", package_id: id, target: { name: id, kind: [kind] } });
  for (const line of [artifact("a", "lib"), artifact("b", "custom-build"), artifact("b", "lib"), "not JSON"])
    follower.line(line);
  follower.line(
    JSON.stringify({
      reason: "build-script-executed",
      package_id: "registry#wasmtime-c-api-impl@48.0.8",
      out_dir: "/out",
    }),
  );
  expect([...follower.done]).toEqual(["a", "b"]);
  expect(follower.includeFolder).toBe("/out/include");
});

test("the engines used last are kept", () => {
  const engines = [3, 1, 2].map((usedMs) => ({ path: `/e${usedMs}`, usedMs }));
  expect(toPrune(engines).map((engine) => engine.path)).toEqual(["/e1"]);
});

test("durations are short", () => {
  expect([400, 12_000, 256_000].map(formatDuration)).toEqual(["0.4 s", "12 s", "4 min 16 s"]);
});

test("without a terminal a step prints one line at its end, and none before 15 seconds", () => {
  const stream = new PassThrough();
  const progress = new Report(stream).begin("engine");
  progress.update("crate 1 of 9");
  progress.done("built");
  expect(String(stream.read())).toMatch(/^ {2}✓ engine {7}built, 0\.0 s\n$/);
});

test("a failed program names command, log and the log's end", async () => {
  const log = join(folder, "log");
  const error = await mustExecute("sh", ["-c", "echo first; echo last >&2; exit 3"], { log }, "Do this.").catch(
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(SetupError);
  const text = describeFailure(Object.assign(error, { step: "native" }));
  expect(text).toContain("step native failed");
  expect(text).toContain("ended with code 3");
  expect(text).toContain("last");
  expect(text).toContain(`log: ${log}`);
  expect(text).toContain("what to do: Do this.");
});

test("a program that does not exist is a failure, and lines are handed on one by one", async () => {
  expect((await execute("/nowhere/program", [])).code).toBe(127);
  const lines = [];
  await execute("printf", ["a\\nb\\nc"], { onLine: (line) => lines.push(line) });
  expect(lines).toEqual(["a", "b", "c"]);
});

test("a fuzz target is set up with what it is made of", () => {
  const names = (args) => stepsFor("fuzz", args).map((step) => step.name);
  expect(names(["dns", "--seconds", "5"])).toEqual(["node", "packages", "fuzzers"]);
  expect(names(["--seconds", "5", "modules"])).toContain("module-fuzzer");
  expect(names(["http"])).toEqual(["node", "packages", "npm", "typescript", "script-fuzzer"]);
  expect(stepsFor("start").map((step) => step.name)).toContain("engine");
});
