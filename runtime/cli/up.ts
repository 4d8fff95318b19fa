import { dirname } from "node:path";
import type { Command } from "commander";
import { defaultHostConfig, type HostConfig, readHostConfig } from "../config/host-config.js";
import { type Host, kernelAddressesOf, startHost } from "../control/host.js";
import { endSignal, exitCodeHelp, formatListens, formatLogLine, hosting } from "./hosting.js";
import { exit, globalOptions, print } from "./shared/output.js";

/** What runs, for people. */
async function describe(host: Host, config: HostConfig): Promise<string> {
  const { version, port, dataplane, stateDirectory } = await host.info();
  const apps = await host.list();
  const kernelAddresses = kernelAddressesOf(config);
  const kernel =
    port.driver !== "tap"
      ? ""
      : kernelAddresses.length === 0
        ? `its kernel side is yours to set up, or set kernel_address in host.toml: ip addr add ADDRESS dev ${port.device} && ip link set ${port.device} up`
        : `its kernel side has ${kernelAddresses.join(" and ")}`;
  return [
    `weir ${version}: ${port.driver} ${port.device} with ${port.addresses.join(" and ") || "learned addresses"}, link address ${port.linkAddress}`,
    kernel && `  ${kernel}`,
    `  dataplane pid ${dataplane.pid}, engine ${dataplane.engineVersion}, API ${host.socket}, state ${stateDirectory}`,
    ...apps.map((app) => `  ${app.tenant}/${app.name} ${app.state}: ${formatListens(app)}`),
    apps.length === 0 ? "  nothing is deployed yet: weir deploy APP" : "",
  ]
    .filter((line) => line !== "")
    .join("\n");
}

/** `weir up`: control plane and dataplane in the foreground. */
export function register(program: Command): void {
  program
    .command("up")
    .description("run a host in the foreground; Ctrl-C ends it and its dataplane")
    .option("-c, --config <file>", "host.toml (default: TAP weir0 with 10.44.0.2/24, state in /var/lib/weir)")
    .addHelpText(
      "after",
      exitCodeHelp({ 1: "the dataplane did not start", 4: "host.toml is wrong, or a host runs here already" }),
    )
    .action(
      hosting(async (options: { config?: string }, command: Command) => {
        const { json } = globalOptions(command);
        const config = options.config === undefined ? defaultHostConfig() : await readHostConfig(options.config);
        const ended = endSignal();
        const host = await startHost({
          config,
          runDirectory: dirname(config.api.socket),
          stateDirectory: config.state,
          persistent: true,
          socket: config.api.socket,
          onLog: (line) => print(line, { json, text: formatLogLine(line) }),
        });
        print(
          { event: "up", ...(await host.info()), socket: host.socket, apps: await host.list() },
          {
            json,
            text: await describe(host, config),
          },
        );
        await Promise.race([ended, host.closed]);
        await host.close({ stopDataplane: true });
        await exit(0);
      }),
    );
}
