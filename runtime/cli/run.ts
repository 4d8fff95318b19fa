import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { type HostConfig, hostConfigSchema } from "../config/host-config.js";
import { ConfigError } from "../config/problem.js";
import { checkConfig } from "../config/validate.js";
import { startHost } from "../control/host.js";
import { DEFAULT_TENANT } from "../control/types.js";
import { TEMPORARY_PREFIX } from "../process/dataplane.js";
import { endSignal, exitCodeHelp, formatListens, formatLogLine, hosting, loadApp } from "./hosting.js";
import { CliError, ExitCode, exit, globalOptions, print } from "./shared/output.js";

interface Options {
  readonly port: string;
  readonly ip: readonly string[];
  readonly gateway: readonly string[];
  readonly nameServer: readonly string[];
  readonly kernelAddress: readonly string[];
  readonly vlan?: string;
  readonly dhcp?: boolean;
  readonly acceptRa?: boolean;
  readonly netns?: string;
  readonly offload: boolean;
  readonly workers?: string;
  readonly cores?: string;
  readonly batch?: string;
  readonly spinUs?: string;
  readonly connections?: string;
  readonly dedicated?: boolean;
  readonly debug?: boolean;
}

const PORTS = "tap:NAME, memif:SOCKET, af_xdp:NAME, af_packet:NAME or pci:ADDRESS";
const DEFAULT_ADDRESSES = ["10.44.0.2/24"];
const append = (value: string, before: readonly string[]): string[] => [...before, value];

function configOf(options: Options): HostConfig {
  const colon = options.port.indexOf(":");
  const [driver, device] = [options.port.slice(0, colon), options.port.slice(colon + 1)];
  if (colon < 1 || device === "") {
    throw new CliError(`--port ${options.port} is not possible.`, ExitCode.usage, `Write --port ${PORTS}.`);
  }
  const learns = options.dhcp === true || options.acceptRa === true;
  const port = {
    driver,
    device,
    addresses: options.ip.length > 0 || learns ? options.ip : DEFAULT_ADDRESSES,
    gateways: options.gateway,
    name_servers: options.nameServer,
    ...(options.vlan !== undefined && { vlan: Number(options.vlan) }),
    dhcp: options.dhcp === true,
    accept_ra: options.acceptRa === true,
    offload: options.offload,
    ...(options.dedicated === true && { tenant: DEFAULT_TENANT }),
    ...Object.fromEntries(
      options.kernelAddress.map((each) => [each.includes(":") ? "kernel_address_v6" : "kernel_address", each]),
    ),
  };
  const number = (key: string, text: string | undefined) => (text === undefined ? {} : { [key]: Number(text) });
  const workers = {
    ...(options.cores !== undefined && { cores: options.cores.split(",").map(Number) }),
    ...number("count", options.workers),
    ...number("batch", options.batch),
    ...number("spin_us", options.spinUs),
    ...number("connections", options.connections),
  };
  const ceilings = { memory_mib: 1024, poll_us: 1_000_000, connections: 1_000_000 };
  try {
    return checkConfig(hostConfigSchema, [], { port: [port], workers, ceilings }, "port");
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const problems = error.problems.map(({ message, hint }) => ({ message, hint }));
    throw new CliError("Not possible with these options.", ExitCode.usage, undefined, { problems });
  }
}

/** `weir run`: one app in the foreground, with a host of its own that leaves nothing behind. */
export function register(program: Command): void {
  program
    .command("run")
    .description("run one app in the foreground, on a port of its own")
    .argument("[app]", "folder with a weir.toml", ".")
    .option("--port <driver:device>", `the port: ${PORTS}`, "tap:weir0")
    .option(
      "--ip <cidr>",
      `weir's address with its prefix; may be repeated (default: ${DEFAULT_ADDRESSES})`,
      append,
      [],
    )
    .option("--gateway <ip>", "next hop for other networks, one of each address family", append, [])
    .option("--name-server <ip>", "a DNS server for [[connect]] by name; may be repeated", append, [])
    .option("--vlan <number>", "the VLAN of all frames")
    .option("--dhcp", "take an IPv4 address by DHCP")
    .option("--accept-ra", "take IPv6 addresses and routes from the link's routers")
    .option(
      "--kernel-address <cidr>",
      "address for the kernel's side of the TAP, which is then set up; one of each family",
      append,
      [],
    )
    .option("--netns <name>", "network namespace of the port: a name of ip netns, or a path")
    .option(
      "--no-offload",
      "no packets longer than a frame, and complete checksums: captures look like those of a wire",
    )
    .option("--workers <number>", "how many workers (default: one for each core of --cores, or one)")
    .option("--cores <list>", "the cores of the workers, like 2,3 (default: the kernel chooses)")
    .option("--batch <frames>", "frames of one cycle at most (default: 64)")
    .option("--spin-us <us>", "how long an idle worker spins (default: 50)")
    .option("--connections <number>", "connections of a worker at once (default: 16384)")
    .option("--dedicated", "the port is the default tenant's alone: what comes in is not copied into its apps' windows")
    .option("--debug", "build without optimization")
    .addHelpText(
      "after",
      exitCodeHelp({ 1: "the dataplane did not start", 3: "no such folder", 4: "the app is refused" }),
    )
    .action(
      hosting(async (path: string, options: Options, command: Command) => {
        const { json } = globalOptions(command);
        const config = configOf(options);
        const app = await loadApp(path, options.debug);
        const ended = endSignal();
        const directory = await mkdtemp(join(tmpdir(), TEMPORARY_PREFIX));
        try {
          const host = await startHost({
            config,
            runDirectory: directory,
            stateDirectory: join(directory, "state"),
            persistent: false,
            temporary: true,
            networkNamespace: options.netns,
            onLog: (line) => print(line, { json, text: formatLogLine(line) }),
          });
          try {
            const { manifest, wasm, sourceMap, warnings } = app;
            const deployed = await host.deploy({ manifest, wasm, sourceMap, tenant: DEFAULT_TENANT });
            const notes = [...warnings, ...deployed.notes];
            const text = [
              `${deployed.app.name} ${deployed.app.state} at ${formatListens(deployed.app)}`,
              ...notes.map((note) => `  note: ${note}`),
              `  control it from another terminal with --socket ${host.socket}`,
            ];
            print({ event: "running", ...deployed, notes, socket: host.socket }, { json, text: text.join("\n") });
            await Promise.race([ended, host.closed]);
          } finally {
            await host.close({ stopDataplane: true });
          }
        } finally {
          await rm(directory, { recursive: true, force: true });
        }
        await exit(0);
      }),
    );
}
