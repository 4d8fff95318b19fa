/** `weir demo`: the playground with the example apps. */
import { type Command, InvalidArgumentError } from "commander";
import type { HostClient } from "../control/client.js";
import { exampleFolder, loadApp } from "../playground/app.js";
import { untilAskedToEnd } from "../playground/lifetime.js";
import { showLive } from "../playground/live.js";
import { DEVICE, KERNEL_ADDRESS, KERNEL_SERVER_PORT, WEIR_ADDRESS } from "../playground/network.js";
import { listenOnLoopback, portOf, type RunningPlayground, startPlayground } from "../playground/outer.js";
import { proofsOf, prove } from "../playground/proofs.js";
import { hosting } from "./hosting.js";
import { CliError, ExitCode, exit, globalOptions, print } from "./shared/output.js";

const EXAMPLES = ["hello", "echo", "udp-echo", "proxy"];
const HTTP_PORT = 80;
export const DEFAULT_RELAY_PORT = 8_080;

interface DemoOptions {
  readonly check?: boolean;
  readonly httpPort: number;
}

/** A TCP port from the command line; 0 lets the system choose. */
export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError("A port is a number from 0 to 65535.");
  return port;
}

/** Deploys the examples; builds run while the playground starts. */
async function deployExamples(
  client: HostClient,
  builds: Promise<Awaited<ReturnType<typeof loadApp>>[]>,
): Promise<void> {
  for (const { request, manifest } of await builds) {
    const { app } = await client.deploy(request);
    if (app.state !== "running")
      throw new CliError(`App ${manifest.name} does not run: ${app.problem}`, ExitCode.failed);
  }
}

function welcome(url: string): string {
  return `
weir runs in a network of its own: TAP ${DEVICE}, kernel ${KERNEL_ADDRESS}, weir ${WEIR_ADDRESS}.

  hello     HTTP   ${WEIR_ADDRESS}:80, from here ${url}/
  echo      TCP    ${WEIR_ADDRESS}:7
  udp-echo  UDP    ${WEIR_ADDRESS}:7
  proxy     TCP    ${WEIR_ADDRESS}:9000 -> kernel server ${KERNEL_ADDRESS}:${KERNEL_SERVER_PORT}

Try, in another terminal:

  curl -sv ${url}/users/7
  npx weir exec -- ping -c 3 ${WEIR_ADDRESS}
  npx weir exec -- nc ${WEIR_ADDRESS} 7
  npx weir exec -- tcpdump -n -i ${DEVICE}
  npx weir ls
  npx weir logs -f
  npx weir stats
  npx weir deploy examples/clock, then npx weir exec -- nc ${WEIR_ADDRESS} 8007

Ctrl-C ends all of it.
`;
}

/** Shows the counters until the end is asked for. */
async function serve(playground: RunningPlayground, asked: Promise<string>, json: boolean): Promise<void> {
  const live = new AbortController();
  const line = json ? undefined : showLive(() => playground.client.stats(), process.stdout, live.signal);
  const lost = playground.ended.then((reason) => {
    throw new CliError(`The playground ended by itself: ${reason}`, ExitCode.failed);
  });
  try {
    await Promise.race([asked, lost]);
  } finally {
    live.abort();
    await line;
  }
}

/** Runs the proofs until one after the other is done, or until the user ends it. */
async function check(
  playground: RunningPlayground,
  url: string,
  json: boolean,
  interrupted: Promise<"ended">,
): Promise<ExitCode> {
  const say = (line: string): void => print({ line }, { json, text: line });
  const startedMs = performance.now();
  const proofs = proofsOf(playground, url);
  const failed = await Promise.race([prove(proofs, say), interrupted]);
  if (failed === "ended") return ExitCode.failed;
  say(
    `${proofs.length - failed} of ${proofs.length} passed in ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`,
  );
  return failed === 0 ? ExitCode.ok : ExitCode.failed;
}

async function demo(options: DemoOptions, json: boolean): Promise<ExitCode> {
  const asked = untilAskedToEnd();
  const interrupted = asked.then((): "ended" => "ended");
  const server = await listenOnLoopback(options.httpPort);
  const url = `http://127.0.0.1:${portOf(server)}`;
  const builds = Promise.all(EXAMPLES.map((name) => loadApp(exampleFolder(name))));
  builds.catch(() => {});
  const playground = await Promise.race([startPlayground("demo"), interrupted]);
  if (playground === "ended") return ExitCode.ok;
  try {
    const start = async (): Promise<void> => {
      await deployExamples(playground.client, builds);
      await playground.relay("http", server, { host: WEIR_ADDRESS, port: HTTP_PORT });
    };
    if ((await Promise.race([start(), interrupted])) === "ended") return ExitCode.ok;
    if (options.check) return await check(playground, url, json, interrupted);
    print(
      { event: "ready", url, address: WEIR_ADDRESS, socket: playground.playground.socket },
      { json, text: welcome(url) },
    );
    await serve(playground, asked, json);
    return ExitCode.ok;
  } finally {
    await playground.stop();
  }
}

/** Adds the verb. */
export function register(program: Command): void {
  program
    .command("demo")
    .description("run a playground: a network of its own with example apps, relayed to this machine's loopback")
    .option("--check", "prove every part with kernel clients, then end with 0 or 1")
    .option(
      "--http-port <number>",
      "port on 127.0.0.1 for the app hello; 0 lets the system choose",
      parsePort,
      DEFAULT_RELAY_PORT,
    )
    .addHelpText("after", "\nExamples:\n  weir demo\n  weir demo --check\n  weir demo --http-port 0")
    .action(
      hosting(async (options: DemoOptions, command: Command) => {
        await exit(await demo(options, globalOptions(command).json));
      }),
    );
}
