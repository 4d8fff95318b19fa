/** Runs an app's tests with weir's own vitest: the app's folder needs no packages. */
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestCase } from "vitest/node";

const TEST_TIMEOUT_MS = 60_000;
/** Folder of @weir/host: this file is in its dist/testing. */
const PACKAGE_FOLDER = fileURLToPath(new URL("../..", import.meta.url));

export interface RunOptions {
  /** The app's folder, absolute. */
  readonly directory: string;
  /** For what the runner wants to keep. */
  readonly workFolder: string;
  /** Parts of the paths of the files that are wanted; none for all. */
  readonly filters: readonly string[];
  /** A regular expression for the full names of the tests that are wanted. */
  readonly testName: string | undefined;
  /** Does not return until it is told to: runs again after every edit. */
  readonly watch: boolean;
  /** Prints nothing. */
  readonly quiet: boolean;
}

/** One test. */
export interface TestOutcome {
  /** Relative to the app's folder. */
  readonly file: string;
  readonly name: string;
  readonly state: "passed" | "failed" | "skipped" | "pending";
  readonly elapsedMs: number;
  readonly errors: readonly string[];
}

/** What came of a run. */
export interface TestRun {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly elapsedMs: number;
  readonly tests: readonly TestOutcome[];
  /** What went wrong beside the tests: files that cannot be loaded, errors that nobody caught. */
  readonly problems: readonly string[];
}

/** Runs the tests. Rejects when vitest is not there. */
export async function runTests(options: RunOptions): Promise<TestRun> {
  const startedMs = performance.now();
  const { startVitest } = await import("vitest/node").catch((error: Error) => {
    throw new Error(`vitest is not installed beside weir: run npm ci in its folder (${error.message})`);
  });
  const vitest = await startVitest(
    "test",
    [...options.filters],
    {
      root: options.directory,
      // The app's folder may have a vite configuration of something else.
      config: false,
      watch: options.watch,
      run: !options.watch,
      include: ["**/*.test.{ts,js,mjs}"],
      exclude: ["**/node_modules/**", "**/build/**"],
      // Tests do not import the handler, and depend on it all the same.
      forceRerunTriggers: ["**/*.{ts,wasm}", "**/weir.toml"],
      passWithNoTests: true,
      // Calls within the library tell the author of a test nothing.
      onStackTrace: (_error, { file }) => !file.startsWith(PACKAGE_FOLDER),
      testTimeout: TEST_TIMEOUT_MS,
      hookTimeout: TEST_TIMEOUT_MS,
      ...(options.testName !== undefined && { testNamePattern: options.testName }),
      ...(options.quiet && { reporters: [{}], silent: true }),
    },
    {
      cacheDir: options.workFolder,
      resolve: {
        alias: [{ find: "@weir/host/testing", replacement: fileURLToPath(new URL("./index.js", import.meta.url)) }],
      },
    },
  );
  if (options.watch) await new Promise<void>((resolve) => vitest.onClose(resolve));
  const modules = vitest.state.getTestModules();
  const tests = modules.flatMap((module) => [...module.children.allTests()].map((test) => outcomeOf(test, options)));
  const broken = modules.flatMap((module) =>
    module.errors().map((error) => `${relative(options.directory, module.moduleId)}: ${error.message}`),
  );
  const uncaught = vitest.state.getUnhandledErrors().map((error) => (error as Error).message);
  if (!options.watch) await vitest.close();
  const count = (state: TestOutcome["state"]): number => tests.filter((test) => test.state === state).length;
  return {
    passed: count("passed"),
    failed: count("failed"),
    skipped: count("skipped"),
    elapsedMs: performance.now() - startedMs,
    tests,
    problems: [...broken, ...uncaught],
  };
}

function outcomeOf(test: TestCase, { directory }: RunOptions): TestOutcome {
  const { state, errors = [] } = test.result();
  return {
    file: relative(directory, test.module.moduleId),
    name: test.fullName,
    state,
    elapsedMs: test.diagnostic()?.duration ?? 0,
    errors: errors.map(({ message }) => message),
  };
}
