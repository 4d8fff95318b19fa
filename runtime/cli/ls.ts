import type { Command } from "commander";
import { exitCodeHelp, formatListens, hosting } from "./hosting.js";
import { connectHost } from "./shared/endpoint.js";
import { globalOptions, print } from "./shared/output.js";

/** `weir ls`: the apps of a host. */
export function register(program: Command): void {
  program
    .command("ls")
    .description("list the apps of a running host")
    .option("--tenant <name>", "only this tenant's")
    .addHelpText("after", exitCodeHelp({ 5: "no host runs" }))
    .action(
      hosting(async (options: { tenant?: string }, command: Command) => {
        const { json, socket } = globalOptions(command);
        const all = await (await connectHost({ socket })).list();
        const apps = all.filter(({ tenant }) => options.tenant === undefined || tenant === options.tenant);
        print(apps, {
          json,
          table: {
            columns: ["tenant", "app", "state", "listens", "connections", "failures", "problem"],
            rows: apps.map((app) => [
              app.tenant,
              app.name,
              app.state,
              formatListens(app),
              app.connections,
              app.failures,
              app.problem,
            ]),
            empty: "Nothing is deployed. Try: weir deploy APP",
          },
        });
      }),
    );
}
