/** TOML to plain values, remembering where each key and value stands. */
import { type AST, ParseError, parseTOML } from "toml-eslint-parser";
import { ConfigError, type Problem } from "./problem.js";

export type Path = readonly (string | number)[];

/** Lines and columns count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A parsed file. */
export interface TomlDocument {
  readonly value: unknown;
  /** Keys that cannot be represented, as problems. */
  readonly problems: readonly Problem[];
  /** Where the key at `path` stands; of its nearest ancestor when it is not in the file. */
  keyPlace(path: Path): Place;
  /** Where the value at `path` stands; of its nearest ancestor when it is not in the file. */
  valuePlace(path: Path): Place;
}

type Table = Record<string, unknown>;
/** Longest file, characters: a thousand tenants with fifty grants each. Reading that takes seconds. */
const MAX_TEXT_CHARACTERS = 1 << 20;
/** How deep keys, tables and arrays may be nested. */
const MAX_DEPTH = 16;
const TOO_DEEP = `nested more than ${MAX_DEPTH} deep`;
const START: Place = { line: 1, column: 1 };
/** Without a prototype: a key like "constructor" is then a key and nothing more. */
const newTable = (): Table => Object.create(null) as Table;
const pathKey = (path: Path): string => JSON.stringify(path);

class Reader {
  readonly value: Table = newTable();
  readonly problems: Problem[] = [];
  private readonly keys = new Map<string, Place>();
  private readonly values = new Map<string, Place>();

  constructor(private readonly file: string) {}

  readTop(top: AST.TOMLTopLevelTable): void {
    for (const node of top.body) {
      if (node.type === "TOMLKeyValue") this.readKeyValue(node, [], this.value);
      else this.readTable(node);
    }
  }

  place(of: "keys" | "values", path: Path): Place {
    for (let length = path.length; length > 0; length--) {
      const place = this[of].get(pathKey(path.slice(0, length))) ?? this.keys.get(pathKey(path.slice(0, length)));
      if (place !== undefined) return place;
    }
    return START;
  }

  private readTable(node: AST.TOMLTable): void {
    if (this.isTooDeep(node.resolvedKey.length, node.key)) return;
    let at: unknown = this.value;
    const path: (string | number)[] = [];
    let part = 0;
    for (const step of node.resolvedKey) {
      path.push(step);
      const isLast = path.length === node.resolvedKey.length;
      if (typeof step === "string") {
        const key = node.key.keys[part++]!;
        if (!this.allowed(step, key)) return;
        this.remember(path, key.loc.start, isLast || typeof node.resolvedKey[path.length] === "number");
        const table = at as Table;
        table[step] ??= typeof node.resolvedKey[path.length] === "number" ? [] : newTable();
        at = table[step];
      } else {
        this.remember(path, node.key.loc.start, true);
        const array = at as unknown[];
        array[step] ??= newTable();
        at = array[step];
      }
    }
    for (const child of node.body) this.readKeyValue(child, path, at as Table);
  }

  private readKeyValue(node: AST.TOMLKeyValue, base: Path, table: Table): void {
    if (this.isTooDeep(base.length + node.key.keys.length, node.key)) return;
    const path = [...base];
    let at = table;
    for (const [index, key] of node.key.keys.entries()) {
      const name = key.type === "TOMLBare" ? key.name : key.value;
      if (!this.allowed(name, key)) return;
      path.push(name);
      this.remember(path, key.loc.start, false);
      if (index < node.key.keys.length - 1) {
        at[name] ??= newTable();
        at = at[name] as Table;
      } else {
        at[name] = this.readValue(node.value, path);
      }
    }
  }

  private readValue(node: AST.TOMLContentNode, path: Path): unknown {
    if (this.isTooDeep(path.length, node)) return undefined;
    this.values.set(pathKey(path), toPlace(node.loc.start));
    switch (node.type) {
      case "TOMLArray":
        return node.elements.map((element, index) => this.readValue(element, [...path, index]));
      case "TOMLInlineTable": {
        const table = newTable();
        for (const child of node.body) this.readKeyValue(child, path, table);
        return table;
      }
      default:
        return node.value;
    }
  }

  private remember(path: Path, start: { line: number; column: number }, overwrite: boolean): void {
    const key = pathKey(path);
    if (overwrite || !this.keys.has(key)) this.keys.set(key, toPlace(start));
  }

  private isTooDeep(depth: number, node: { loc: { start: { line: number; column: number } } }): boolean {
    if (depth <= MAX_DEPTH) return false;
    this.problems.push({ file: this.file, ...toPlace(node.loc.start), message: TOO_DEEP, hint: "" });
    return true;
  }

  /** What copies these tables would set a prototype by this key. */
  private allowed(name: string, node: AST.TOMLBare | AST.TOMLQuoted): boolean {
    if (name !== "__proto__") return true;
    const place = toPlace(node.loc.start);
    this.problems.push({ file: this.file, ...place, message: 'the key "__proto__" is not possible', hint: "" });
    return false;
  }
}

const toPlace = (start: { line: number; column: number }): Place => ({ line: start.line, column: start.column + 1 });

/** Parses `text`. Throws ConfigError with the place when it is not TOML. `file` is only named in messages. */
export function readToml(text: string, file: string): TomlDocument {
  if (text.length > MAX_TEXT_CHARACTERS) {
    const message = `longer than ${MAX_TEXT_CHARACTERS} characters`;
    throw new ConfigError([{ file, line: 1, column: 1, message, hint: "" }]);
  }
  let program: AST.TOMLProgram;
  try {
    program = parseTOML(text, { tomlVersion: "1.0" });
  } catch (error) {
    // The parser calls itself for what is nested, until the stack ends.
    if (error instanceof RangeError) {
      throw new ConfigError([{ file, line: 1, column: 1, message: TOO_DEEP, hint: "" }]);
    }
    if (!(error instanceof ParseError)) throw error;
    const place = { line: error.lineNumber, column: error.column + 1 };
    throw new ConfigError([{ file, ...place, message: `not valid TOML: ${error.message}`, hint: "" }]);
  }
  const reader = new Reader(file);
  reader.readTop(program.body[0]);
  return {
    value: reader.value,
    problems: reader.problems,
    keyPlace: (path) => reader.place("keys", path),
    valuePlace: (path) => reader.place("values", path),
  };
}
