/** Vitest: the unit tests beside the TypeScript, and the whole-process tests in test/. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LOG_FOLDER, ROOT } from "../paths.js";
import { execute, withoutNpm } from "../shell.js";

/** Counts and failure messages of vitest's JSON report. A file that could not be loaded counts as one failure. */
export function readVitestReport(text) {
  const report = JSON.parse(text);
  const details = [];
  let brokenFiles = 0;
  for (const file of report.testResults) {
    const failed = file.assertionResults.filter((test) => test.status === "failed");
    for (const test of failed) details.push(`${file.name} > ${test.fullName}\n${test.failureMessages.join("\n")}`);
    if (file.status === "failed" && failed.length === 0) {
      brokenFiles++;
      details.push(`${file.name}\n${file.message}`);
    }
  }
  return { passed: report.numPassedTests, failed: report.numFailedTests + brokenFiles, detail: details.join("\n") };
}

export const vitestRunners = [
  {
    name: "vitest",
    async run(context, progress, log, extra) {
      const json = join(LOG_FOLDER, "vitest.json");
      rmSync(json, { force: true });
      const vitest = join(ROOT, "node_modules", "vitest", "vitest.mjs");
      const args = [vitest, "run", "--reporter=verbose", "--reporter=json", `--outputFile.json=${json}`, ...extra];
      const env = { ...withoutNpm(context.env), NO_COLOR: "1" };
      const onLine = (line, file) => {
        file.write(`${line}\n`);
        if (/^ [✓×]/.test(line)) progress.update(line.trim());
      };
      const { code } = await execute(process.execPath, args, { cwd: ROOT, env, log, onLine });
      let result;
      try {
        result = readVitestReport(readFileSync(json, "utf8"));
      } catch {
        return { passed: 0, failed: 1 };
      }
      return code !== 0 && result.failed === 0 ? { ...result, failed: 1, detail: undefined } : result;
    },
  },
];
