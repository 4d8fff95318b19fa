/** Mistakes in configuration files: what they look like to people and programs. */

/** One mistake, at its place. Lines and columns count from 1; both are 0 where there is no text to point at. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  /** What mends it; "" when the message says it all. */
  readonly hint: string;
}

/** One line for people: `weir.toml:3:1: unknown key "listn" (did you mean "listen"?)`. */
export function formatProblem(problem: Problem): string {
  const place = problem.line === 0 ? problem.file : `${problem.file}:${problem.line}:${problem.column}`;
  return `${place}: ${problem.message}${problem.hint === "" ? "" : ` (${problem.hint})`}`;
}

/** A configuration that cannot be used, with every mistake in it. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly Problem[]) {
    const file = problems[0]?.file ?? "the configuration";
    super(problems.length === 1 ? formatProblem(problems[0]!) : `${file} has ${problems.length} mistakes`);
    this.name = "ConfigError";
  }
}
