import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { admitModule, memoryPagesOf } from "../admit/admit.js";
import { exitCodeHelp, hosting, loadApp } from "./hosting.js";
import { globalOptions, print } from "./shared/output.js";

interface Options {
  readonly output?: string;
  readonly debug?: boolean;
  readonly check: boolean;
}

/** `weir build`: an app's folder to a checked module on disk. */
export function register(program: Command): void {
  program
    .command("build")
    .description("build an app and check the module")
    .argument("[app]", "folder with a weir.toml", ".")
    .option("-o, --output <file>", "where the module goes (default: build/handler.wasm in the app's folder)")
    .option("--debug", "build without optimization")
    .option("--no-check", "do not check the module")
    .addHelpText("after", exitCodeHelp({ 3: "no such folder", 4: "the app or its weir.toml is wrong" }))
    .action(
      hosting(async (path: string, options: Options, command: Command) => {
        const app = await loadApp(path, options.debug);
        if (options.check) {
          await admitModule(app.wasm, { memoryPages: memoryPagesOf(app.manifest.limits.memory_mib) });
        }
        const output = resolve(options.output ?? join(app.directory, "build", "handler.wasm"));
        await mkdir(dirname(output), { recursive: true });
        await writeFile(output, app.wasm);
        if (app.sourceMap !== "") await writeFile(`${output}.map`, app.sourceMap);
        const result = {
          name: app.manifest.name,
          output,
          bytes: app.wasm.length,
          checked: options.check,
          warnings: app.warnings,
        };
        const shown = relative(process.cwd(), output) || output;
        const checked = options.check ? ", checked" : "";
        const warnings = app.warnings.map((text) => `warning: ${text}\n`).join("");
        print(result, { ...globalOptions(command), text: `${warnings}${shown}: ${app.wasm.length} bytes${checked}` });
      }),
    );
}
