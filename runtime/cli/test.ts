/** `weir test`: an app's tests, on the simulated host of @weir/host/testing. */
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { memoryPagesOf } from "../admit/admit.js";
import { readManifest } from "../config/manifest.js";
import { CACHE_VARIABLE, ModuleCache } from "../testing/module-cache.js";
import { runTests, type TestRun } from "../testing/runner.js";
import { appDirectory, endSignal, exitCodeHelp, hosting } from "./hosting.js";
import { CliError, ExitCode, exit, globalOptions, print } from "./shared/output.js";

interface Options {
  readonly testName?: string;
  readonly watch?: boolean;
}

/** Builds the app once for all test files: what is wrong with it is said before any test runs. */
async function build(directory: string, cacheFolder: string): Promise<void> {
  const { main, limits } = await readManifest(directory);
  const memoryPages = memoryPagesOf(limits.memory_mib);
  await new ModuleCache(cacheFolder).get({ directory, main, release: false, memoryPages });
}

async function runApp(
  directory: string,
  filters: readonly string[],
  options: Options,
  json: boolean,
): Promise<TestRun> {
  const workFolder = await mkdtemp(join(tmpdir(), "weir-test-run-"));
  process.once("exit", () => rmSync(workFolder, { recursive: true, force: true }));
  const watch = options.watch === true;
  // The tests' processes end with this one.
  endSignal().then(() => exit(watch ? ExitCode.ok : ExitCode.failed));
  // A mistake in an app that is being edited is one of the tests' findings.
  if (!watch) await build(directory, workFolder);
  process.env[CACHE_VARIABLE] = workFolder;
  return await runTests({ directory, workFolder, filters, testName: options.testName, watch, quiet: json });
}

/** Adds the verb. */
export function register(program: Command): void {
  const codes = {
    1: "a test failed",
    3: "no such folder, or no tests in it",
    4: "the app or its weir.toml is wrong",
  };
  program
    .command("test")
    .description("run an app's tests on a simulated host: no root, no device")
    .argument("[app]", "folder with a weir.toml and *.test.ts files", ".")
    .argument("[files...]", "only test files whose path contains one of these")
    .option("-t, --test-name <pattern>", "only tests whose full name matches the regular expression")
    .option("-w, --watch", "run again after every edit")
    .addHelpText("after", exitCodeHelp(codes))
    .action(
      hosting(async (path: string, files: string[], options: Options, command: Command) => {
        const { json } = globalOptions(command);
        if (json && options.watch === true) throw new CliError("--watch prints for people only.", ExitCode.usage);
        const directory = await appDirectory(path);
        const run = await runApp(directory, files, options, json);
        if (run.tests.length === 0 && run.problems.length === 0) {
          const hint = "Write NAME.test.ts beside the handler; weir init makes one.";
          throw new CliError(`No tests were found in ${directory}.`, ExitCode.notFound, hint);
        }
        if (json) print(run, { json });
        await exit(run.failed === 0 && run.problems.length === 0 ? ExitCode.ok : ExitCode.failed);
      }),
    );
}
