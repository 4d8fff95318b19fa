import { afterEach, expect, test, vi } from "vitest";
import { CliError, ExitCode, formatProblem, formatTable, print, report } from "./output.js";

afterEach(() => {
  vi.restoreAllMocks();
});

function captured(stream: NodeJS.WriteStream): () => string {
  const spy = vi.spyOn(stream, "write").mockReturnValue(true);
  return () => spy.mock.calls.map(([chunk]) => String(chunk)).join("");
}

test("a table has columns as wide as their widest cell, numbers stand right, and lines end without blanks", () => {
  const text = formatTable({
    columns: ["name", "open"],
    rows: [
      ["hello", 12],
      ["a", 3],
    ],
  });
  expect(text).toBe("NAME   OPEN\nhello    12\na         3");
});

test("a table without rows says so in words", () => {
  expect(formatTable({ columns: ["name"], rows: [], empty: "No apps." })).toBe("No apps.");
});

test("with --json a result is one line, and big integers are decimal text", () => {
  const out = captured(process.stdout);
  print({ bytes: 2n ** 60n }, { json: true, text: "not this" });
  expect(out()).toBe('{"bytes":"1152921504606846976"}\n');
});

test("an error says message, findings and hint on stderr", () => {
  const err = captured(process.stderr);
  const problems = [{ file: "weir.toml", line: 3, column: 1, message: "unknown key", hint: "remove it" }];
  expect(report(new CliError("Refused.", ExitCode.refused, "See docs.", { problems }), false)).toBe(4);
  expect(err()).toBe("weir: Refused.\n  weir.toml:3:1: unknown key\n    remove it\n  See docs.\n");
});

test("with --json an error is an object on stdout", () => {
  const out = captured(process.stdout);
  expect(report(new CliError("Gone.", ExitCode.notFound), true)).toBe(3);
  expect(JSON.parse(out())).toEqual({ error: { code: "notFound", message: "Gone." } });
});

test("any other error ends with 1 and its message", () => {
  const err = captured(process.stderr);
  expect(report(new TypeError("x is not a function"), false)).toBe(1);
  expect(err()).toBe("weir: x is not a function\n");
});

test("a finding without a place is its message", () => {
  expect(formatProblem({ message: "no weir.toml", hint: "" })).toBe("no weir.toml");
});
