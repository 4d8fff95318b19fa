import type { Command } from "commander";
import { DEFAULT_TENANT } from "../control/types.js";
import { exitCodeHelp, formatListens, hosting, loadApp } from "./hosting.js";
import { connectHost } from "./shared/endpoint.js";
import { globalOptions, print } from "./shared/output.js";

interface Options {
  readonly tenant: string;
  readonly debug?: boolean;
  readonly wait: boolean;
}

/** `weir deploy`: builds an app and hands it to a running host. */
export function register(program: Command): void {
  program
    .command("deploy")
    .description("build an app and deploy it on a running host, replacing the one of the same name")
    .argument("[app]", "folder with a weir.toml", ".")
    .option("--tenant <name>", "whose app it is", DEFAULT_TENANT)
    .option("--debug", "build without optimization")
    .option("--no-wait", "do not wait until its first instance has started")
    .addHelpText(
      "after",
      exitCodeHelp({
        3: "no such folder",
        4: "the app is refused",
        5: "no host runs",
        6: "the host did not answer in time",
      }),
    )
    .action(
      hosting(async (path: string, options: Options, command: Command) => {
        const { json, socket } = globalOptions(command);
        const app = await loadApp(path, options.debug);
        const host = await connectHost({ socket });
        const { manifest, wasm, sourceMap } = app;
        const result = await host.deploy({ manifest, wasm, sourceMap, tenant: options.tenant, wait: options.wait });
        const notes = [...app.warnings, ...result.notes];
        const { app: deployed, replaced, elapsedMs } = result;
        const text = [
          `${deployed.tenant}/${deployed.name} ${replaced ? "replaced" : "deployed"} in ${Math.round(elapsedMs)} ms: ${deployed.state}${deployed.problem === "" ? "" : `, ${deployed.problem}`}`,
          deployed.listens.length === 0 ? "" : `  listens on ${formatListens(deployed)}`,
          ...notes.map((note) => `  note: ${note}`),
        ];
        print({ ...result, notes }, { json, text: text.filter((line) => line !== "").join("\n") });
      }),
    );
}
