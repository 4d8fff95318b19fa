/**
 * AssemblyScript's compiler, driven through its own interface and kept loaded between builds.
 *
 * The command line front end (`asc.main`) is not used: it ends the process when the compiler crashes, and it finds packages
 * only from the folder of the app, while the SDK must be found wherever the app is.
 */

/** Opaque values of the compiler. */
type Handle = object;

/** The part of the package `assemblyscript` that is used here. */
interface AssemblyScript {
  newOptions(): Handle;
  setTarget(options: Handle, target: number): void;
  setDebugInfo(options: Handle, on: boolean): void;
  setSourceMap(options: Handle, on: boolean): void;
  setRuntime(options: Handle, runtime: number): void;
  setExportMemory(options: Handle, on: boolean): void;
  setExportStart(options: Handle, name: string): void;
  setMemoryBase(options: Handle, address: number): void;
  setUncheckedBehavior(options: Handle, behavior: number): void;
  setBundleVersion(options: Handle, major: number, minor: number, patch: number): void;
  setFeature(options: Handle, feature: number, on: boolean): void;
  setOptimizeLevelHints(options: Handle, optimize: number, shrink: number): void;
  setStackSize(options: Handle, bytes: number): void;
  readonly FEATURE_SIMD: number;
  newProgram(options: Handle): Handle;
  parse(program: Handle, text: string | null, path: string, isEntry: boolean): void;
  nextFile(program: Handle): string | null;
  getDependee(program: Handle, internalPath: string): string | null;
  nextDiagnostic(program: Handle): Handle | null;
  getDiagnosticMessage(diagnostic: Handle): string;
  getDiagnosticCode(diagnostic: Handle): number;
  getDiagnosticRange(diagnostic: Handle): Handle | null;
  getRangeSource(range: Handle): Handle | null;
  getRangeStart(range: Handle): number;
  getSourceNormalizedPath(source: Handle): string;
  isError(diagnostic: Handle): boolean;
  isWarning(diagnostic: Handle): boolean;
  initializeProgram(program: Handle): void;
  compile(program: Handle): Handle;
  getBinaryenModuleRef(module: Handle): number;
  validate(module: Handle): boolean;
  optimize(module: Handle, optimize: number, shrink: number, debugInfo: boolean, zeroFilledMemory: boolean): void;
}

interface Binaryen {
  wrapModule(ref: number): {
    emitBinary(sourceMapUrl: string | null): { binary: Uint8Array; sourceMap: string | null };
    dispose(): void;
  };
}

interface Loaded {
  readonly assemblyscript: AssemblyScript;
  readonly binaryen: Binaryen;
  /** The standard library: text by path without extension. */
  readonly library: Readonly<Record<string, string>>;
  readonly version: readonly [number, number, number];
}

/** A source text and where it was found. */
export interface SourceFile {
  readonly text: string;
  /** Path on disk; empty for the standard library and for generated text. */
  readonly file: string;
}

/** Finds the text of a module by the compiler's internal path, without extension. */
export type Resolve = (
  internalPath: string,
  dependee: string | null,
) => Promise<(SourceFile & { path: string }) | null>;

/** What the compiler says about a source text. */
export interface Diagnostic {
  readonly severity: "error" | "warning";
  /** AssemblyScript's number, 0 where there is none. */
  readonly code: number;
  readonly message: string;
  /** The compiler's path of the source text, with extension; empty if the message has no place. */
  readonly path: string;
  /** From 1; 0 if the message has no place. */
  readonly line: number;
  readonly column: number;
}

/** What to compile. */
export interface CompileRequest {
  /** Entry files in order, the runtime first. */
  readonly entries: readonly { readonly path: string; readonly text: string }[];
  readonly resolve: Resolve;
  /** No optimization: every local and line can be found again. */
  readonly debug: boolean;
  readonly memoryBaseBytes: number;
  readonly startName: string;
}

/** What came of it. `wasm` is missing if there were errors. */
export interface CompileResult {
  readonly diagnostics: readonly Diagnostic[];
  readonly wasm?: Uint8Array;
  readonly sourceMap?: string;
  /** Every text that went in, by the compiler's path with extension. */
  readonly sources: ReadonlyMap<string, SourceFile>;
}

/** The name that the module's sourceMappingURL section carries. */
export const SOURCE_MAP_URL = "./handler.wasm.map";

const MINIMAL_RUNTIME = 1; // no shadow stack: the SDK collects between polls only
const CHECKS_BY_DEFAULT = 0;

/** Compiles AssemblyScript. Loading the compiler takes about a second, so keep one instance. */
export class Compiler {
  private loaded: Promise<Loaded> | undefined;

  /** Starts loading the compiler. */
  load(): Promise<Loaded> {
    this.loaded ??= load();
    return this.loaded;
  }

  /** Text of the standard library's file, or undefined. */
  async libraryText(path: string): Promise<string | undefined> {
    const { library } = await this.load();
    return Object.hasOwn(library, path) ? library[path] : undefined;
  }

  /** Compiles. Throws only when the compiler itself fails. */
  async compile(request: CompileRequest): Promise<CompileResult> {
    const { assemblyscript: as, binaryen, library, version } = await this.load();
    const optimize = request.debug ? 0 : 3;
    const options = as.newOptions();
    as.setTarget(options, 0);
    as.setDebugInfo(options, true);
    as.setSourceMap(options, true);
    as.setRuntime(options, MINIMAL_RUNTIME);
    as.setExportMemory(options, true);
    as.setExportStart(options, request.startName);
    as.setMemoryBase(options, request.memoryBaseBytes);
    as.setUncheckedBehavior(options, CHECKS_BY_DEFAULT);
    as.setBundleVersion(options, ...version);
    as.setFeature(options, as.FEATURE_SIMD, true);
    as.setStackSize(options, 0);
    as.setOptimizeLevelHints(options, optimize, 0);
    const program = as.newProgram(options);
    const sources = new Map<string, SourceFile>();
    const add = (path: string, source: SourceFile, isEntry: boolean): void => {
      sources.set(path, source);
      as.parse(program, source.text, path, isEntry);
    };

    for (const [path, text] of Object.entries(library)) {
      if (!path.includes("/")) add(`~lib/${path}.ts`, { text, file: "" }, false);
    }
    for (const entry of request.entries) add(entry.path, { text: entry.text, file: "" }, true);
    for (let path = as.nextFile(program); path !== null; path = as.nextFile(program)) {
      const found = await request.resolve(path, as.getDependee(program, path));
      if (found) add(found.path, found, false);
      else as.parse(program, null, `${path}.ts`, false);
    }
    const diagnostics: Diagnostic[] = [];
    if (this.drain(as, program, sources, diagnostics)) return { diagnostics, sources };
    as.initializeProgram(program);
    const module = as.compile(program);
    const wrapped = binaryen.wrapModule(as.getBinaryenModuleRef(module));
    try {
      if (this.drain(as, program, sources, diagnostics)) return { diagnostics, sources };
      if (!as.validate(module)) throw new Error("the compiler made a module that does not validate");
      as.optimize(module, optimize, 0, true, false);
      const { binary, sourceMap } = wrapped.emitBinary(SOURCE_MAP_URL);
      return { diagnostics, sources, wasm: binary, sourceMap: withContents(sourceMap ?? "{}", sources) };
    } finally {
      wrapped.dispose();
    }
  }

  /** Collects diagnostics; whether there was an error. */
  private drain(
    as: AssemblyScript,
    program: Handle,
    sources: ReadonlyMap<string, SourceFile>,
    into: Diagnostic[],
  ): boolean {
    let failed = false;
    for (let d = as.nextDiagnostic(program); d !== null; d = as.nextDiagnostic(program)) {
      const isError = as.isError(d);
      failed ||= isError;
      if (!isError && !as.isWarning(d)) continue;
      const range = as.getDiagnosticRange(d);
      const source = range && as.getRangeSource(range);
      const path = source ? as.getSourceNormalizedPath(source) : "";
      const text = sources.get(path)?.text;
      const before = text !== undefined && range ? text.slice(0, as.getRangeStart(range)).split("\n") : [];
      into.push({
        severity: isError ? "error" : "warning",
        code: as.getDiagnosticCode(d),
        message: as.getDiagnosticMessage(d),
        path,
        line: before.length,
        column: (before.at(-1)?.length ?? -1) + 1,
      });
    }
    return failed;
  }
}

/** The source map with the texts in it, so that a trap can be shown with its line. */
function withContents(map: string, sources: ReadonlyMap<string, SourceFile>): string {
  const parsed = JSON.parse(map) as { sources?: string[]; sourcesContent?: (string | null)[] };
  parsed.sourcesContent = (parsed.sources ?? []).map((path) => sources.get(path)?.text ?? null);
  return JSON.stringify(parsed);
}

async function load(): Promise<Loaded> {
  // The specifiers are values: the packages' own types bring a second standard library with them.
  const names = { compiler: "assemblyscript", frontEnd: "assemblyscript/asc", binaryen: "assemblyscript/binaryen" };
  const [assemblyscript, asc, binaryen] = await Promise.all([
    import(names.compiler) as Promise<AssemblyScript>,
    import(names.frontEnd) as Promise<{ libraryFiles: Record<string, string>; version: string }>,
    import(names.binaryen) as Promise<{ default: Binaryen }>,
  ]);
  const [major = 0, minor = 0, patch = 0] = asc.version.split(".").map(Number);
  return { assemblyscript, binaryen: binaryen.default, library: asc.libraryFiles, version: [major, minor, patch] };
}
