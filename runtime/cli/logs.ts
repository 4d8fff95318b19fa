import type { Command } from "commander";
import { endSignal, exitCodeHelp, formatLogLine, hosting } from "./hosting.js";
import { connectHost } from "./shared/endpoint.js";
import { CliError, ExitCode, exit, globalOptions, print } from "./shared/output.js";

interface Options {
  readonly follow?: boolean;
  readonly app?: string;
  readonly tenant?: string;
  readonly since?: string;
}

/** `weir logs`: what apps and the host wrote. */
export function register(program: Command): void {
  program
    .command("logs")
    .description("show the last log lines of a running host's apps")
    .option("-f, --follow", "go on with new lines until Ctrl-C")
    .option("--app <name>", "only this app's")
    .option("--tenant <name>", "only this tenant's")
    .option("--since <sequence>", "only lines after this sequence number (see --json)")
    .addHelpText("after", exitCodeHelp({ 5: "no host runs" }))
    .action(
      hosting(async ({ follow, app, tenant, since }: Options, command: Command) => {
        const { json, socket } = globalOptions(command);
        if (since !== undefined && !/^\d{1,15}$/.test(since)) {
          throw new CliError("--since must be a number.", ExitCode.usage);
        }
        const host = await connectHost({ socket });
        const ended = new AbortController();
        void endSignal().then(() => ended.abort());
        const query = { app, tenant, follow, since: since === undefined ? undefined : Number(since) };
        for await (const line of host.logs({ ...query, signal: ended.signal })) {
          print(line, { json, text: formatLogLine(line) });
        }
        await exit(0);
      }),
    );
}
