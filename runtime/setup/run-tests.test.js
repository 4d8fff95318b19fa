import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { selectRunners } from "./run-tests.js";
import { countGoogleTest } from "./runners/native.js";
import { countLibtest } from "./runners/rust.js";
import { readVitestReport } from "./runners/vitest.js";

const runners = [{ name: "native" }, { name: "vitest" }];

test("--only picks runners and leaves the other arguments to vitest", () => {
  expect(selectRunners(["--only", "vitest", "test/x"], runners)).toEqual({ runners: [runners[1]], extra: ["test/x"] });
  expect(selectRunners(["--only=native,vitest"], runners)).toEqual({ runners, extra: [] });
  expect(selectRunners([], runners)).toEqual({ runners, extra: [] });
  expect(selectRunners(["--only", "wrong"], runners).unknown).toEqual(["wrong"]);
});

test("libtest's results are added up", () => {
  const text =
    "test result: ok. 12 passed; 0 failed; 1 ignored;\nx\ntest result: FAILED. 3 passed; 2 failed; 0 ignored;\n";
  expect(countLibtest(text)).toEqual({ passed: 15, failed: 2 });
});

test("GoogleTest's report is counted; without one the executable crashed", () => {
  const folder = mkdtempSync(join(tmpdir(), "weir-counts-"));
  const path = join(folder, "report.json");
  writeFileSync(path, JSON.stringify({ tests: 10, failures: 2, disabled: 1, errors: 0 }));
  expect(countGoogleTest(path)).toEqual({ passed: 7, failed: 2 });
  rmSync(folder, { recursive: true });
  expect(countGoogleTest(path)).toBeUndefined();
});

test("a vitest file that could not be loaded counts as a failure", () => {
  const report = {
    numPassedTests: 4,
    numFailedTests: 1,
    testResults: [
      {
        name: "a",
        status: "failed",
        message: "",
        assertionResults: [{ status: "failed", fullName: "t", failureMessages: ["m"] }],
      },
      { name: "b", status: "failed", message: "no such module", assertionResults: [] },
    ],
  };
  expect(readVitestReport(JSON.stringify(report))).toEqual({
    passed: 4,
    failed: 2,
    detail: "a > t\nm\nb\nno such module",
  });
});
