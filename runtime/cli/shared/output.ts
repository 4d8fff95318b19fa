/** What every verb shares: exit codes, errors, and printing for people or, with --json, for programs. */

/** Exit codes of `weir`; docs/cli.md explains them. */
export const ExitCode = {
  ok: 0,
  /** Something went wrong that no other code names. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** The named app, file or folder does not exist. */
  notFound: 3,
  /** A module or a configuration was refused. */
  refused: 4,
  /** No host is running, or it cannot be reached. */
  unavailable: 5,
  /** The host did not answer or finish in time. */
  timeout: 6,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** An error with its exit code and, where there is one, what mends it. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  readonly hint: string | undefined;
  /** Single findings, printed one a line below the message: build errors, configuration mistakes. */
  readonly problems: readonly unknown[];

  constructor(message: string, exitCode: ExitCode, hint?: string, options: { problems?: readonly unknown[] } = {}) {
    super(message);
    this.name = "CliError";
    this.exitCode = exitCode;
    this.hint = hint;
    this.problems = options.problems ?? [];
  }
}

/** The options that every verb has. */
export interface GlobalOptions {
  readonly json: boolean;
  readonly socket: string | undefined;
}

/** Reads the global options from the command that commander passes as an action's last argument. */
export function globalOptions(command: { optsWithGlobals(): Record<string, unknown> }): GlobalOptions {
  const options = command.optsWithGlobals();
  return {
    json: options.json === true,
    socket: typeof options.socket === "string" ? options.socket : undefined,
  };
}

/** Rows for people. Columns are as wide as their widest cell; numbers stand right. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
  /** Printed in the place of a table without rows. */
  readonly empty?: string;
}

/** The name of an exit code, which is also the `code` of a JSON error. */
export function exitCodeName(code: number): string {
  return Object.entries(ExitCode).find(([, value]) => value === code)?.[0] ?? "failed";
}

/** Lays a table out as lines without trailing blanks. */
export function formatTable(table: Table): string {
  if (table.rows.length === 0 && table.empty !== undefined) return table.empty;
  const widths = table.columns.map((column, index) =>
    Math.max(column.length, ...table.rows.map((row) => String(row[index] ?? "").length)),
  );
  const line = (cells: readonly (string | number)[]) =>
    widths
      .map((width, index) => {
        const cell = cells[index] ?? "";
        return typeof cell === "number" ? String(cell).padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return [line(table.columns.map((column) => column.toUpperCase())), ...table.rows.map(line)].join("\n");
}

/**
 * Prints a result on stdout: `value` as JSON when asked for, else the table or the text. JSON is one document a line,
 * so that a stream of results (logs, repeated statistics) can be read line by line.
 */
export function print(
  value: unknown,
  how: { readonly json: boolean; readonly table?: Table; readonly text?: string | (() => string) },
): void {
  if (how.json) {
    process.stdout.write(
      `${JSON.stringify(value, (_, item) => (typeof item === "bigint" ? item.toString() : item))}\n`,
    );
    return;
  }
  if (how.table !== undefined) process.stdout.write(`${formatTable(how.table)}\n`);
  const text = typeof how.text === "function" ? how.text() : how.text;
  if (text !== undefined && text !== "") process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
}

interface Problem {
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly message?: string;
  readonly hint?: string;
}

/** One finding as `file:line:column: message`, with its hint below. */
export function formatProblem(problem: unknown): string {
  if (typeof problem !== "object" || problem === null) return String(problem);
  const { file, line, column, message, hint } = problem as Problem;
  const place = [file, line, column].filter((part) => part !== undefined && part !== "").join(":");
  const first = `${place === "" ? "" : `${place}: `}${message ?? JSON.stringify(problem)}`;
  return hint === undefined || hint === "" ? first : `${first}\n    ${hint}`;
}

interface Described {
  readonly exitCode: ExitCode;
  readonly message: string;
  readonly hint: string | undefined;
  readonly problems: readonly unknown[];
}

/** What an error means on the command line. */
function describe(error: unknown): Described {
  if (!(error instanceof Error)) {
    return { exitCode: ExitCode.failed, message: String(error), hint: undefined, problems: [] };
  }
  if (error instanceof CliError) return error;
  return { exitCode: ExitCode.failed, message: error.message, hint: undefined, problems: [] };
}

/** Prints an error the way `json` asks for and says which exit code belongs to it. */
export function report(error: unknown, json: boolean): ExitCode {
  const { exitCode, message, hint, problems } = describe(error);
  if (json) {
    const body = { code: exitCodeName(exitCode), message, hint, problems: problems.length > 0 ? problems : undefined };
    process.stdout.write(`${JSON.stringify({ error: body })}\n`);
    return exitCode;
  }
  let text = `weir: ${message}\n`;
  for (const problem of problems) text += `  ${formatProblem(problem)}\n`;
  if (hint !== undefined) text += `  ${hint}\n`;
  if (process.env.WEIR_DEBUG !== undefined && error instanceof Error) text += `${error.stack}\n`;
  process.stderr.write(text);
  return exitCode;
}

/** Ends the process when what was printed has been written: pipes are asynchronous. */
export async function exit(code: number): Promise<never> {
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => (stream.writableLength === 0 ? resolve() : stream.write("", () => resolve())));
  }
  process.exit(code);
}

/** Wraps a commander action: an error is printed, and the process ends with its exit code. */
export function run<Arguments extends unknown[]>(
  action: (...parameters: Arguments) => Promise<void> | void,
): (...parameters: Arguments) => Promise<void> {
  return async (...parameters) => {
    try {
      await action(...parameters);
    } catch (error) {
      const command = parameters.at(-1) as { optsWithGlobals?: () => Record<string, unknown> } | undefined;
      await exit(report(error, command?.optsWithGlobals?.().json === true));
    }
  };
}
