import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { countScripts } from "../runners/simulator.js";
import { parseFuzzArguments, readFuzzerOutput } from "./fuzz.js";
import { MUTANTS } from "./mutant-list.js";
import { mutate } from "./mutants.js";
import { allScripts, scriptCommand } from "./script.js";
import { parseSimArguments, runSeeds } from "./sim.js";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-drivers-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** A program in the place of the simulator: seed 7 fails, seed 9 crashes. */
function fakeSimulator() {
  const path = join(folder, "sim");
  writeFileSync(
    path,
    `#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in --seed) seed=$2;; --step) step=$2;; --seeds) seeds=$2;; esac
  shift
done
failures=0
for i in $(seq $seeds); do
  echo "seed $seed" >&2
  [ $seed = 9 ] && echo "it broke" >&2 && kill -SEGV $$
  [ $seed = 7 ] && failures=1 && echo '{"seed":7,"failure":"wrong bytes"}'
  seed=$((seed + step))
done
echo "{\\"seeds\\":$seeds,\\"frames\\":10}"
exit $failures
`,
    { mode: 0o755 },
  );
  return path;
}

test("seeds are counted from 1 unless one is named", () => {
  expect(parseSimArguments([])).toMatchObject({ first: 1, seeds: 200, mutants: false });
  expect(parseSimArguments(["--seed", "5"])).toMatchObject({ first: 5, seeds: 1 });
  expect(parseSimArguments(["--seed", "5", "--seeds", "9", "--pcap", "f"])).toMatchObject({ seeds: 9, pcap: "f" });
  expect(() => parseSimArguments(["--seeds", "0"])).toThrow('--seeds needs a whole number of at least 1, not "0"');
  expect(() => parseSimArguments(["--seeds", "many"])).toThrow('not "many"');
  expect(() => parseSimArguments(["--speed"])).toThrow("--speed");
});

test("two processes share the seeds, and what they say is put together", async () => {
  const { failures, sums } = await runSeeds({ program: fakeSimulator(), first: 1, seeds: 7 });
  expect(failures).toEqual([{ seed: 7, failure: "wrong bytes" }]);
  expect(sums).toEqual({ seeds: 7, frames: 20 });
});

test("a crash is the failure of the seed that was running", async () => {
  const { failures } = await runSeeds({ program: fakeSimulator(), first: 8, seeds: 2 });
  expect(failures).toHaveLength(1);
  expect(failures[0].seed).toBe(9);
  expect(failures[0].failure).toMatch(/SIGSEGV[\s\S]*it broke/);
});

test("a mutant's text must stand where it is changed, once", () => {
  const mutant = { name: "m", file: "f", from: "a + b", to: "a - b" };
  expect(mutate("x = a + b;", mutant)).toBe("x = a - b;");
  expect(() => mutate("x = a * b;", mutant)).toThrow('mutant "m": its text stands 0 times in native/f');
  expect(() => mutate("a + b; a + b;", mutant)).toThrow("stands 2 times");
  expect(MUTANTS.length).toBeGreaterThanOrEqual(6);
});

test("the results of scripts are counted; those that were not run failed", () => {
  const text = "ok a.pkt\nnot ok b.pkt: line 3: no\n1 of 2 scripts passed\n";
  expect(countScripts(text, 3)).toEqual({ passed: 1, failed: 2, detail: "not ok b.pkt: line 3: no" });
  expect(countScripts("ok a.pkt\nskip b.pkt: it takes 60 s\n", 2)).toMatchObject({ passed: 1, failed: 0 });
  expect(allScripts().length).toBeGreaterThan(30);
});

test("scripts run on a TAP in a network of their own", () => {
  expect(scriptCommand("script", ["a.pkt", "--trace"])).toEqual(["script", "--trace", "a.pkt"]);
  const command = scriptCommand("script", ["--tap", "a.pkt"]);
  expect(command.slice(-3)).toEqual(["script", "--tap", "a.pkt"]);
  expect(command[0]).toBe("unshare");
  expect(command).toContain("--net");
  expect(scriptCommand("script", []).length).toBeGreaterThan(30);
});

test("fuzzing has a target and a time", () => {
  expect(parseFuzzArguments(["frame", "--seconds", "9"])).toEqual({ target: "frame", seconds: 9 });
  expect(parseFuzzArguments(["http"])).toMatchObject({ target: "http" });
  expect(() => parseFuzzArguments(["nothing"])).toThrow(
    "there are: frame, segments, options, reassembly, nd, dhcp, dns, modules, config, http",
  );
  expect(() => parseFuzzArguments([])).toThrow("there is no target");
});

test("libFuzzer's output tells executions, edges and inputs", () => {
  const text =
    "#2\tINITED cov: 10 ft: 11 corp: 1/1b\n#80\tNEW    cov: 99 ft: 120 corp: 7/1b lim\nstat::number_of_executed_units: 81\n";
  expect(readFuzzerOutput(text)).toEqual({ executions: 81, edges: 99, inputs: 7 });
  expect(readFuzzerOutput("")).toEqual({ executions: 0, edges: 0, inputs: 0 });
});
