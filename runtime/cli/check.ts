import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { admitModule, memoryPagesOf } from "../admit/admit.js";
import { limitsSchema } from "../config/manifest.js";
import { exitCodeHelp, hosting } from "./hosting.js";
import { CliError, ExitCode, globalOptions, print } from "./shared/output.js";

interface Options {
  readonly memoryMib: string;
}

/** `weir check`: whether a host would take a module. */
export function register(program: Command): void {
  program
    .command("check")
    .description("check a module as a host does: verify, rewrite, prove, compile")
    .argument("<module.wasm>")
    .option("--memory-mib <n>", "memory for data and heap, MiB", String(limitsSchema.parse({}).memory_mib))
    .addHelpText("after", exitCodeHelp({ 3: "no such file", 4: "the module is refused" }))
    .action(
      hosting(async (path: string, options: Options, command: Command) => {
        const memory = limitsSchema.shape.memory_mib.safeParse(Number(options.memoryMib));
        if (!memory.success) throw new CliError("--memory-mib must be a whole number from 1 to 1024.", ExitCode.usage);
        const wasm = await readFile(path).catch((error: Error) => {
          throw new CliError(`${path} cannot be read: ${error.message}`, ExitCode.notFound);
        });
        const { report, compiled, engineVersion } = await admitModule(wasm, {
          memoryPages: memoryPagesOf(memory.data),
        });
        const result = { admitted: true, engineVersion, compiledBytes: compiled.length, ...report };
        const lines = [
          ...report.warnings.map((warning) => `warning: ${warning}`),
          `${path}: admitted, ${wasm.length} bytes, ${report.functions} functions, ${compiled.length} bytes compiled (engine ${engineVersion})`,
        ];
        print(result, { ...globalOptions(command), text: lines.join("\n") });
      }),
    );
}
