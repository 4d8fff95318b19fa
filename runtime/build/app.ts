/** From an app's folder to a module: reads weir.toml's `main`, compiles, and words what went wrong for a person. */
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, relative, resolve as resolvePath } from "node:path";
import { fileURLToPath } from "node:url";
import { getStaticTOMLValue, parseTOML } from "toml-eslint-parser";
import { type CompileResult, Compiler, type Diagnostic } from "./compiler.js";
import { hintFor } from "./hints.js";
import { digestOf, KeptBuilds, readText, TextReader } from "./kept-builds.js";
import { guestDirectory, resolver, SecondSdkError } from "./resolve.js";

/** Where the module's data begins: `module_base` of the contract. */
const MODULE_BASE_BYTES = 0x0140_0000;
const START_EXPORT = "weir_start";
/** The compiler's name for the text that joins the SDK and the app; it is no file. */
const ENTRY_PATH = "weir-entry.ts";

/** A mistake or a warning, with its place in a file of the app (line and column from 1; 0 if it has no place). */
export interface BuildMessage {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  /** What to do about it; empty if nothing better is known than the message. */
  readonly hint: string;
}

/** What to build. */
export interface BuildRequest {
  /** The app's folder: weir.toml is here. */
  readonly directory: string;
  /** The part of weir.toml that building needs; read from the folder if it is not given. */
  readonly config?: { readonly main: string };
  /** Without optimization; default is release. */
  readonly debug?: boolean;
}

/** What was built. */
export interface BuiltApp {
  readonly wasm: Uint8Array;
  /** A source map of version 3 with the texts in it; empty if `main` is a .wasm. */
  readonly sourceMap: string;
  /** Files whose change makes another build necessary, absolute. */
  readonly watched: readonly string[];
  readonly warnings: readonly BuildMessage[];
  /** How long it took, milliseconds. */
  readonly elapsedMs: number;
}

/** Raised when an app cannot be built. `messages` has at least one entry. */
export class BuildError extends Error {
  constructor(
    readonly messages: readonly BuildMessage[],
    /** Files to watch so that mending the mistake is noticed. */
    readonly watched: readonly string[],
  ) {
    super(messages.map(formatMessage).join("\n"));
    this.name = "BuildError";
  }
}

/** One message on one line, or two with its hint. */
export function formatMessage(message: BuildMessage): string {
  const place = message.line > 0 ? `${message.file}:${message.line}:${message.column}` : message.file;
  return `${place}: ${message.message}${message.hint === "" ? "" : `\n  ${message.hint}`}`;
}

/**
 * Builds apps with one compiler, kept loaded: the first build takes seconds, the next ones do not. What has not changed
 * since it was built, by whomever, is not built again.
 */
export class Builder {
  private readonly compiler = new Compiler();
  private own: Promise<string> | undefined;
  private tail: Promise<unknown> = Promise.resolve();

  constructor(private readonly kept = new KeptBuilds()) {}

  /** Loads the compiler ahead of the first build. */
  async warmUp(): Promise<void> {
    await this.compiler.load();
  }

  /** Builds an app. Builds run one after the other. Throws BuildError if the app is wrong. */
  build(request: BuildRequest): Promise<BuiltApp> {
    const result = this.tail.then(() => this.run(request));
    this.tail = result.catch(() => undefined);
    return result;
  }

  private async run(request: BuildRequest): Promise<BuiltApp> {
    const began = performance.now();
    const directory = resolvePath(request.directory);
    const main = request.config?.main ?? (await readMain(directory));
    const file = join(directory, main);
    const elapsedMs = (): number => performance.now() - began;
    if (main.endsWith(".wasm")) {
      const wasm = await readFile(file).catch(() => {
        throw missing(file);
      });
      return { wasm: new Uint8Array(wasm), sourceMap: "", watched: [file], warnings: [], elapsedMs: elapsedMs() };
    }
    if (!main.endsWith(".ts")) {
      throw new BuildError(
        [
          {
            file,
            line: 0,
            column: 0,
            message: "main is neither AssemblyScript nor a module",
            hint: "Name a .ts or a .wasm file in weir.toml.",
          },
        ],
        [],
      );
    }
    if ((await readText(file)) === null) throw missing(file);
    const debug = request.debug ?? false;
    this.own ??= digestOfBuilder();
    const name = digestOf(JSON.stringify([directory, main, debug, guestDirectory(), await this.own]));
    const kept = await this.kept.find(name);
    if (kept !== undefined) return { ...kept, elapsedMs: elapsedMs() };
    const reader = new TextReader();
    const result = await this.compile(directory, main, debug, reader);
    const watched = [file, ...[...result.sources.values()].map((source) => source.file).filter((path) => path !== "")];
    const messages = (severity: Diagnostic["severity"]): BuildMessage[] =>
      result.diagnostics
        .filter((diagnostic) => diagnostic.severity === severity)
        .map((diagnostic) => worded(diagnostic, result, directory, file));
    if (result.wasm === undefined) throw new BuildError(messages("error"), [...new Set(watched)]);
    const built = {
      wasm: result.wasm,
      sourceMap: result.sourceMap ?? "",
      watched: [...new Set(watched)],
      warnings: messages("warning"),
    };
    await this.kept.keep(name, reader, built);
    return { ...built, elapsedMs: elapsedMs() };
  }

  private async compile(directory: string, main: string, debug: boolean, reader: TextReader): Promise<CompileResult> {
    const guest = guestDirectory();
    const runtime = await reader.read(join(guest, "rt", "index.ts"));
    if (runtime === null) throw new Error(`@weir/guest in ${guest} is not complete: rt/index.ts is missing`);
    const app = relative(directory, join(directory, main)).replace(/\\/g, "/").replace(/\.ts$/, "");
    try {
      return await this.compiler.compile({
        entries: [
          { path: "~lib/rt/index-minimal.ts", text: runtime },
          {
            path: ENTRY_PATH,
            text: `export { weir_abi, weir_poll } from "@weir/guest/entry";\nimport "./${app}";\n`,
          },
        ],
        resolve: resolver(this.compiler, directory, guest, reader),
        debug,
        memoryBaseBytes: MODULE_BASE_BYTES,
        startName: START_EXPORT,
      });
    } catch (error) {
      if (!(error instanceof SecondSdkError)) throw error;
      const hint = `Import it as "@weir/guest/…": a second copy of the SDK would never see an event.`;
      throw new BuildError([{ file: error.file, line: 0, column: 0, message: error.message, hint }], []);
    }
  }
}

/** Of all that has a part in a build besides the texts: this folder's code, and the compiler. */
async function digestOfBuilder(): Promise<string> {
  const folder = fileURLToPath(new URL(".", import.meta.url));
  const code = (await readdir(folder)).filter((name) => /(?<!\.d|\.test)\.(js|ts)$/.test(name)).sort();
  const { resolve } = createRequire(import.meta.url);
  const packages = ["assemblyscript", "binaryen"].map((name) => resolve(`${name}/package.json`));
  const texts = await Promise.all([...code.map((name) => join(folder, name)), ...packages].map(readText));
  return digestOf(JSON.stringify(texts));
}

const shared = new Builder();

/** Builds an app with the compiler that this process keeps. */
export function buildApp(request: BuildRequest): Promise<BuiltApp> {
  return shared.build(request);
}

function missing(file: string): BuildError {
  const hint = "weir.toml names it as main.";
  return new BuildError([{ file, line: 0, column: 0, message: "there is no such file", hint }], [file]);
}

async function readMain(directory: string): Promise<string> {
  const file = join(directory, "weir.toml");
  const text = await readText(file);
  if (text === null)
    throw new BuildError(
      [{ file, line: 0, column: 0, message: "there is no weir.toml", hint: "weir init makes an app." }],
      [file],
    );
  try {
    const value = getStaticTOMLValue(parseTOML(text)) as { main?: unknown };
    if (typeof value.main === "string") return value.main;
  } catch (error) {
    const place = error as { message: string; lineNumber?: number; column?: number };
    throw new BuildError(
      [{ file, line: place.lineNumber ?? 0, column: (place.column ?? -1) + 1, message: place.message, hint: "" }],
      [file],
    );
  }
  throw new BuildError(
    [{ file, line: 0, column: 0, message: "main is missing", hint: 'Say main = "handler.ts".' }],
    [file],
  );
}

function worded(diagnostic: Diagnostic, result: CompileResult, directory: string, main: string): BuildMessage {
  const source = result.sources.get(diagnostic.path);
  const isApp = source !== undefined && source.file !== "";
  const lines = source?.text.split("\n") ?? [];
  const entry = diagnostic.path === ENTRY_PATH || diagnostic.path === "";
  return {
    file: isApp ? source.file : entry ? main : diagnostic.path,
    line: entry ? 0 : diagnostic.line,
    column: entry ? 0 : diagnostic.column,
    message: diagnostic.message.replace(directory, "."),
    hint: hintFor(diagnostic, lines[diagnostic.line - 1] ?? ""),
  };
}
