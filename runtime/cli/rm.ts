import type { Command } from "commander";
import { DEFAULT_TENANT } from "../control/types.js";
import { exitCodeHelp, hosting } from "./hosting.js";
import { connectHost } from "./shared/endpoint.js";
import { globalOptions, print } from "./shared/output.js";

/** `weir rm`: takes an app down. */
export function register(program: Command): void {
  program
    .command("rm")
    .description("remove an app from a running host; its connections are reset")
    .argument("<name>", "the app's name")
    .option("--tenant <name>", "whose app it is", DEFAULT_TENANT)
    .addHelpText("after", exitCodeHelp({ 3: "no such app", 5: "no host runs" }))
    .action(
      hosting(async (name: string, options: { tenant: string }, command: Command) => {
        const { json, socket } = globalOptions(command);
        await (await connectHost({ socket })).remove(name, options.tenant);
        print({ removed: { tenant: options.tenant, name } }, { json, text: `${options.tenant}/${name} removed` });
      }),
    );
}
