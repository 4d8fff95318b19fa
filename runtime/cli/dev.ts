/** `weir dev`: one app in a playground, built and swapped again after every edit. */
import { relative, resolve } from "node:path";
import type { Command } from "commander";
import { BuildError, buildApp } from "../build/index.js";
import { MANIFEST_FILE, type Manifest, readManifest } from "../config/manifest.js";
import { untilAskedToEnd } from "../playground/lifetime.js";
import { WEIR_ADDRESS } from "../playground/network.js";
import { listenOnLoopback, portOf, type RunningPlayground, startPlayground } from "../playground/outer.js";
import { SourceWatcher } from "../playground/watch.js";
import { DEFAULT_RELAY_PORT, parsePort } from "./demo.js";
import { appDirectory, asCliError, formatLogLine, hosting } from "./hosting.js";
import { CliError, ExitCode, exit, formatProblem, globalOptions, print } from "./shared/output.js";

interface DevOptions {
  readonly httpPort: number;
  readonly release: boolean;
}

/** One app on one playground, and what changes about it. */
class DevSession {
  readonly #directory: string;
  readonly #playground: RunningPlayground;
  readonly #httpPort: number;
  readonly #json: boolean;
  readonly #release: boolean;
  readonly #watcher: SourceWatcher;
  /** Port of weir to the address on the host that is relayed to it. */
  readonly #relayed = new Map<number, string>();
  #deployedName: string | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(directory: string, playground: RunningPlayground, options: DevOptions, json: boolean) {
    this.#directory = directory;
    this.#playground = playground;
    this.#httpPort = options.httpPort;
    this.#release = options.release;
    this.#json = json;
    this.#watcher = new SourceWatcher(directory, (paths) => this.#edited(paths));
    this.#watcher.set([MANIFEST_FILE], []);
  }

  /** Builds and deploys; a mistake is printed, and what ran before goes on. */
  async refresh(): Promise<void> {
    try {
      await this.#deploy();
    } catch (error) {
      if (error instanceof BuildError) this.#watch(error.watched, []);
      this.#complain(asCliError(error));
    }
  }

  close(): void {
    this.#watcher.close();
  }

  #edited(paths: readonly string[]): void {
    const names = paths.map((path) => relative(this.#directory, path)).join(", ");
    this.#say({ event: "edited", paths }, `↻ ${names}`);
    // Edits during a build are built after it.
    this.#work = this.#work.then(() => this.refresh());
  }

  async #deploy(): Promise<void> {
    const manifest = await readManifest(this.#directory);
    // Optimizing takes seconds, and an edit is to be seen at once.
    const built = await buildApp({ directory: this.#directory, config: manifest, debug: !this.#release });
    this.#watch(built.watched, manifest.build.watch);
    for (const warning of built.warnings) this.#say({ event: "warning", warning }, `  ${formatProblem(warning)}`);
    const { client } = this.#playground;
    const { wasm, sourceMap } = built;
    const { app, elapsedMs, notes } = await client.deploy({ manifest, wasm, sourceMap });
    if (this.#deployedName !== undefined && this.#deployedName !== manifest.name)
      await client.remove(this.#deployedName);
    this.#deployedName = manifest.name;
    for (const note of notes) this.#say({ event: "note", note }, `  note: ${note}`);
    const times = `built in ${Math.round(built.elapsedMs)} ms, deployed in ${Math.round(elapsedMs)} ms`;
    const problem = app.problem === "" ? "" : `: ${app.problem}`;
    this.#say(
      { event: "deployed", app },
      `${app.state === "running" ? "✓" : "✗"} ${manifest.name} ${app.state}${problem} (${times})`,
    );
    await this.#relay(manifest);
  }

  #watch(files: readonly string[], globs: readonly string[]): void {
    this.#watcher.set([MANIFEST_FILE, ...files], globs);
  }

  /** Relays what is new among the listens: the first HTTP one to the port asked for, the others to free ones. */
  async #relay(manifest: Manifest): Promise<void> {
    for (const listen of manifest.listen) {
      const port = listen.http ?? listen.tcp;
      if (port === undefined || this.#relayed.has(port)) continue;
      const isFirstHttp =
        listen.http !== undefined && ![...this.#relayed.values()].some((to) => to.startsWith("http:"));
      const server = await listenOnLoopback(isFirstHttp ? this.#httpPort : 0);
      const outside = `127.0.0.1:${portOf(server)}`;
      await this.#playground.relay(String(port), server, { host: WEIR_ADDRESS, port });
      const shown = listen.http === undefined ? outside : `http://${outside}/`;
      this.#relayed.set(port, shown);
      const kind = listen.http === undefined ? "tcp" : "http";
      this.#say(
        { event: "relay", listen: listen.name, port, address: outside },
        `  ${kind} ${WEIR_ADDRESS}:${port} is ${shown} here`,
      );
    }
    for (const { udp, name } of manifest.listen) {
      if (udp === undefined || this.#relayed.has(-udp)) continue;
      this.#relayed.set(-udp, "udp");
      this.#say(
        { event: "udp", listen: name, port: udp },
        `  udp ${WEIR_ADDRESS}:${udp}: weir exec -- nc -u ${WEIR_ADDRESS} ${udp}`,
      );
    }
  }

  #say(value: object, text: string): void {
    print(value, { json: this.#json, text });
  }

  #complain(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    const problems = error instanceof CliError ? error.problems : [];
    const kept = this.#deployedName === undefined ? "" : "\n  the one before keeps running";
    const lines = [`✗ ${message}`, ...problems.map((problem) => `  ${formatProblem(problem)}`)];
    if (error instanceof CliError && error.hint !== undefined) lines.push(`  ${error.hint}`);
    this.#say({ event: "failed", message, problems }, lines.join("\n") + kept);
  }
}

async function followLogs(playground: RunningPlayground, json: boolean, signal: AbortSignal): Promise<void> {
  try {
    for await (const line of playground.client.logs({ follow: true, signal })) {
      print({ event: "log", ...line }, { json, text: formatLogLine(line) });
    }
  } catch (error) {
    if (!signal.aborted) process.stderr.write(`weir: the log ended: ${(error as Error).message}\n`);
  }
}

async function dev(path: string, options: DevOptions, json: boolean): Promise<ExitCode> {
  const directory = await appDirectory(resolve(path));
  const asked = untilAskedToEnd().then((): "ended" => "ended");
  const playground = await Promise.race([startPlayground("dev"), asked]);
  if (playground === "ended") return ExitCode.ok;
  const logs = new AbortController();
  const session = new DevSession(directory, playground, options, json);
  try {
    const following = followLogs(playground, json, logs.signal);
    await Promise.race([session.refresh(), asked]);
    print({ event: "watching", directory }, { json, text: "  watching for edits; Ctrl-C ends it" });
    const lost = playground.ended.then((reason) => {
      throw new CliError(`The playground ended by itself: ${reason}`, ExitCode.failed);
    });
    await Promise.race([asked, lost]);
    logs.abort();
    await following;
    return ExitCode.ok;
  } finally {
    session.close();
    await playground.stop();
  }
}

/** Adds the verb. */
export function register(program: Command): void {
  program
    .command("dev")
    .description("run an app in a playground of its own, and again after every edit")
    .argument("[folder]", "folder with a weir.toml", ".")
    .option(
      "--http-port <number>",
      "port on 127.0.0.1 for its HTTP listen; 0 lets the system choose",
      parsePort,
      DEFAULT_RELAY_PORT,
    )
    .option("--release", "optimize, as deploy does: each edit takes some seconds longer", false)
    .addHelpText("after", "\nExamples:\n  weir dev\n  weir dev ../hello --http-port 3000")
    .action(
      hosting(async (path: string, options: DevOptions, command: Command) => {
        await exit(await dev(path, options, globalOptions(command).json));
      }),
    );
}
