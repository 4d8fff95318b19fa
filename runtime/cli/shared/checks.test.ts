import { expect, test } from "vitest";
import { CHECKS, isAtLeast } from "./checks.js";

test.each([
  ["1.95.0", true],
  ["1.94.1", false],
  ["2.0.0", true],
  ["0", false],
])("%s is at least 1.95: %s", (version, expected) => {
  expect(isAtLeast(version, [1, 95])).toBe(expected);
});

test("every finding has a name, a meaning and a way to mend it", async () => {
  const findings = await Promise.all(CHECKS.map((check) => check()));
  expect(new Set(findings.map((finding) => finding.name)).size).toBe(CHECKS.length);
  for (const finding of findings) {
    expect(finding.meaning).not.toBe("");
    expect(finding.found).not.toBe("");
    expect(finding.mend).not.toBe("");
  }
});
