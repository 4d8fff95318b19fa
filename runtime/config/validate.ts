/** Holds a value against a schema and says in plain words, and with a place, everything that is wrong with it. */
import type { z } from "zod";
import { nearest } from "./nearest.js";
import { ConfigError, type Problem } from "./problem.js";
import { type Path, readToml, type TomlDocument } from "./toml.js";

/** A key, or some values of a key, that weir will have later. `*` in the path stands for any one step. */
export interface Later {
  readonly path: readonly string[];
  /** Only these values; the whole key when absent. */
  readonly values?: readonly string[];
  /** What to do meanwhile. */
  readonly hint: string;
}

type Schema = z.ZodType & { readonly def: { readonly type: string; readonly innerType?: z.ZodType } };

/** The schema of what stands at `path`, without its defaults; undefined when the schema has no such place. */
function schemaAt(schema: z.ZodType, path: Path): Schema | undefined {
  let at = unwrap(schema as Schema);
  for (const step of path) {
    let next: z.ZodType | undefined;
    if (at.def.type === "object") next = (at as unknown as z.ZodObject).shape[step] as z.ZodType | undefined;
    else if (at.def.type === "array") next = (at as unknown as z.ZodArray<z.ZodType>).element;
    if (next === undefined) return undefined;
    at = unwrap(next as Schema);
  }
  return at;
}

function unwrap(schema: Schema): Schema {
  let at = schema;
  while (at.def.innerType !== undefined) at = at.def.innerType as Schema;
  return at;
}

function keysAt(schema: z.ZodType, path: Path): readonly string[] {
  const at = schemaAt(schema, path);
  return at?.def.type === "object" ? Object.keys((at as unknown as z.ZodObject).shape) : [];
}

function isLater(later: Later, path: Path, value: unknown): boolean {
  if (later.path.length !== path.length) return false;
  if (!later.path.every((step, i) => step === "*" || step === path[i])) return false;
  return later.values === undefined || (typeof value === "string" && later.values.includes(value));
}

const quote = (words: readonly unknown[]): string => words.map((word) => JSON.stringify(word)).join(", ");

function nameOf(path: Path): string {
  const last = path.findLast((step) => typeof step === "string");
  return last === undefined ? "the file" : `"${last}"`;
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (value instanceof Date) return "a date";
  if (value === null) return "null";
  if (typeof value === "object") return "a table";
  if (typeof value === "string" && value.length > 40) return `${JSON.stringify(value.slice(0, 40))}...`;
  return JSON.stringify(value) ?? String(value);
}

const TYPE_NAMES: Record<string, string> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "an array",
  object: "a table",
  record: "a table",
};

interface Finding {
  readonly at: "key" | "value";
  readonly path: Path;
  readonly message: string;
  readonly hint: string;
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<string | number, unknown>)[step];
  }
  return at;
}

function sized(issue: { origin: string }, bound: bigint | number, word: string): string {
  if (issue.origin === "string") return `${word} ${bound} characters long`;
  if (issue.origin === "array") return `${word} ${bound} ${bound === 1 ? "entry" : "entries"} long`;
  return `${word} ${bound}`;
}

function find(schema: z.ZodType, laters: readonly Later[], root: unknown, issue: z.core.$ZodIssue): Finding[] {
  const path = issue.path as Path;
  const value = valueAt(root, path);
  const name = nameOf(path);
  const later = laters.find((candidate) => candidate.values !== undefined && isLater(candidate, path, value));
  if (later !== undefined) {
    return [{ at: "value", path, message: `${name} = ${describe(value)} is not there yet`, hint: later.hint }];
  }
  const plain = (message: string, hint = ""): Finding[] => [{ at: "value", path, message, hint }];
  // A schema's own message is set in the schema as "message" or "message\nhint", both without the key's name.
  if (issue.message !== "" && issue.code !== "invalid_key") {
    const [message, hint] = issue.message.split("\n");
    const at = issue.code === "custom" && issue.params?.at === "key" ? "key" : "value";
    const named = /^(must|is) /.test(message!) ? `${name} ${message}` : message!;
    return [{ at, path, message: named, hint: hint ?? "" }];
  }
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => {
        const keyPath = [...path, key];
        const comes = laters.find((candidate) => isLater(candidate, keyPath, valueAt(root, keyPath)));
        if (comes !== undefined) {
          return { at: "key", path: keyPath, message: `"${key}" is not there yet`, hint: comes.hint };
        }
        const known = keysAt(schema, path);
        const near = nearest(key, known);
        const hint = near === undefined ? `possible here: ${known.join(", ")}` : `did you mean "${near}"?`;
        return { at: "key", path: keyPath, message: `unknown key "${key}"`, hint };
      });
    case "invalid_type": {
      const expected = TYPE_NAMES[issue.expected] ?? issue.expected;
      if (value === undefined) {
        return [{ at: "key", path, message: `${name} is missing`, hint: `it must be ${expected}` }];
      }
      return plain(`${name} must be ${expected}, not ${describe(value)}`);
    }
    case "too_big":
      return plain(`${name} must be ${sized(issue, issue.maximum, "at most")}, not ${describe(value)}`);
    case "too_small":
      return plain(`${name} must be ${sized(issue, issue.minimum, "at least")}, not ${describe(value)}`);
    case "invalid_value": {
      const allowed = `possible: ${quote(issue.values)}`;
      const near = typeof value === "string" ? nearest(value, issue.values.map(String)) : undefined;
      if (value === undefined) return [{ at: "key", path, message: `${name} is missing`, hint: allowed }];
      return plain(
        `${name} cannot be ${describe(value)}`,
        near === undefined ? allowed : `did you mean ${quote([near])}?`,
      );
    }
    case "invalid_key": {
      const [message, hint] = (issue.issues[0]?.message ?? "not a possible key").split("\n");
      return [{ at: "key", path, message: `"${String(path.at(-1))}": ${message}`, hint: hint ?? "" }];
    }
    default:
      return plain(`${name} is not possible: ${describe(value)}`);
  }
}

/** Empty unless the schema says something itself: `find` words the rest. */
const noMessage = (): string => "";

function check<S extends z.ZodType>(schema: S, laters: readonly Later[], value: unknown): z.output<S> | Finding[] {
  const result = schema.safeParse(value, { error: noMessage });
  if (result.success) return result.data;
  return result.error.issues.flatMap((issue) => find(schema, laters, value, issue));
}

/** Parses TOML text. Throws ConfigError with all mistakes, in the order of the file. */
export function parseConfig<S extends z.ZodType>(
  schema: S,
  laters: readonly Later[],
  text: string,
  file: string,
): z.output<S> {
  const document: TomlDocument = readToml(text, file);
  const result = check(schema, laters, document.value);
  const findings = Array.isArray(result) ? (result as Finding[]) : [];
  const problems: Problem[] = [
    ...document.problems,
    ...findings.map(({ at, path, message, hint }) => {
      const place = at === "key" ? document.keyPlace(path) : document.valuePlace(path);
      return { file, ...place, message, hint };
    }),
  ];
  if (problems.length > 0) {
    throw new ConfigError(problems.sort((a, b) => a.line - b.line || a.column - b.column));
  }
  return result as z.output<S>;
}

/** Checks a value that did not come from a text. Throws ConfigError with all mistakes, named by their path. */
export function checkConfig<S extends z.ZodType>(
  schema: S,
  laters: readonly Later[],
  value: unknown,
  name: string,
): z.output<S> {
  const result = check(schema, laters, value);
  if (!Array.isArray(result)) return result;
  throw new ConfigError(
    (result as Finding[]).map(({ path, message, hint }) => ({
      file: [name, ...path].join("."),
      line: 0,
      column: 0,
      message,
      hint,
    })),
  );
}
