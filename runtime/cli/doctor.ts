/** `weir doctor`: what set-up and run need, each with its meaning and how to mend it. */
import type { Command } from "commander";
import { hosting } from "./hosting.js";
import { CHECKS, type Finding, type Verdict } from "./shared/checks.js";
import { ExitCode, exit, globalOptions, print } from "./shared/output.js";

const MARKS: Readonly<Record<Verdict, string>> = { ok: "✓", warning: "!", missing: "✗" };

function describe(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map((finding) => finding.name.length));
  const lines = findings.flatMap((finding) => {
    const first = `${MARKS[finding.verdict]} ${finding.name.padEnd(width)}  ${finding.found}`;
    if (finding.verdict === "ok") return [first];
    const indent = " ".repeat(width + 4);
    return [first, `${indent}${finding.meaning}`, `${indent}→ ${finding.mend}`];
  });
  const missing = findings.filter((finding) => finding.verdict === "missing").length;
  const warnings = findings.filter((finding) => finding.verdict === "warning").length;
  lines.push(
    "",
    missing === 0
      ? `weir can run here${warnings === 0 ? "." : `; ${warnings} could be better.`}`
      : `${missing} missing.`,
  );
  return lines.join("\n");
}

/** Adds the verb. */
export function register(program: Command): void {
  program
    .command("doctor")
    .description("check what building and running need on this machine; ends with 1 when something is missing")
    .addHelpText("after", "\nExamples:\n  weir doctor\n  weir doctor --json")
    .action(
      hosting(async (_options: object, command: Command) => {
        const { json } = globalOptions(command);
        const findings: Finding[] = [];
        for (const check of CHECKS) findings.push(await check());
        const ok = findings.every((finding) => finding.verdict !== "missing");
        print({ ok, checks: findings }, { json, text: () => describe(findings) });
        await exit(ok ? ExitCode.ok : ExitCode.failed);
      }),
    );
}
