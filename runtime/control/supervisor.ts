/** Keeps one dataplane process: adopts the one that runs, starts one otherwise, and again when it dies. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DataplaneClient, DataplaneError } from "../process/client.js";
import { type DataplaneConfig, type EventsMessage, RUN_FILES } from "../process/protocol.js";
import { configureKernelSide, isDataplaneOf, spawnDataplane } from "../process/spawn.js";
import { HostError } from "./errors.js";

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 30_000;
/** A dataplane that stayed up for so long starts again with the first delay. */
const STABLE_MS = 60_000;
const END_TIMEOUT_MS = 10_000;

export interface SupervisorOptions {
  readonly config: DataplaneConfig;
  readonly runDirectory: string;
  readonly networkNamespace?: string | undefined;
  /** Addresses with prefixes for the kernel's side of the TAP; without any it is left alone. */
  readonly kernelAddresses?: readonly string[];
  /** Entry script of the dataplane process. */
  readonly entry?: string | undefined;
  readonly log: (level: "info" | "warn" | "error", text: string) => void;
  readonly onEvents: (message: EventsMessage) => void;
  /** Makes a dataplane that is new to this process run what is desired. */
  readonly onUp: (client: DataplaneClient) => Promise<void>;
}

/** The dataplane of one host. */
export class Supervisor {
  restarts = 0;
  private client: DataplaneClient | undefined;
  private closing = false;
  private delayMs = FIRST_DELAY_MS;
  private lastSequence = 0;
  private recovering: Promise<void> = Promise.resolve();
  private readonly ended = new AbortController();

  private constructor(private readonly options: SupervisorOptions) {}

  /** Adopts or starts the dataplane. Rejects with HostError when it is not to be had. */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const supervisor = new Supervisor(options);
    const adopted = await supervisor.adopt();
    if (adopted === undefined) await supervisor.spawn();
    else await supervisor.use(adopted);
    return supervisor;
  }

  /** The connection; undefined while the dataplane is being started again. */
  get current(): DataplaneClient | undefined {
    return this.client;
  }

  /** The connection. Throws HostError while there is none. */
  get required(): DataplaneClient {
    if (this.client !== undefined) return this.client;
    throw new HostError("unavailable", "the dataplane is being started again", "try again in a moment; see weir logs");
  }

  /** Lets go of the dataplane; with `stopDataplane` it ends before this resolves. */
  async close(stopDataplane: boolean): Promise<void> {
    this.closing = true;
    this.ended.abort();
    await this.recovering;
    const client = this.client;
    this.client = undefined;
    if (client === undefined) return;
    if (stopDataplane) {
      const pid = client.hello.pid;
      await client.stop().catch((error: Error) => this.options.log("warn", error.message));
      await this.waitForEnd(pid);
    }
    client.close();
  }

  private get socketPath(): string {
    return join(this.options.runDirectory, RUN_FILES.socket);
  }

  private async adopt(): Promise<DataplaneClient | undefined> {
    let client: DataplaneClient;
    try {
      client = await DataplaneClient.connect(this.socketPath);
    } catch (error) {
      if (error instanceof DataplaneError && error.code === "gone") return undefined;
      const code = error instanceof DataplaneError ? error.code : "gone";
      if (code === "timeout")
        throw new HostError("timeout", (error as Error).message, "end its process: pgrep -a weir");
      const hint = code === "busy" ? "use the one that runs, or end it first" : "";
      throw new HostError(code === "busy" ? "conflict" : "unavailable", (error as Error).message, hint);
    }
    const differences = compare(this.options.config, client.hello.config);
    if (differences.length > 0) {
      client.close();
      throw new HostError(
        "conflict",
        `a dataplane (pid ${client.hello.pid}) runs with another configuration: ${differences.join("; ")}`,
        `restore host.toml, or end that dataplane and its connections with: kill ${client.hello.pid}`,
      );
    }
    this.options.log("info", `adopted the running dataplane (pid ${client.hello.pid})`);
    return client;
  }

  private async spawn(): Promise<void> {
    const { config, runDirectory, networkNamespace, kernelAddresses = [], entry } = this.options;
    this.lastSequence = 0;
    const signal = this.ended.signal;
    const options = { config, runDirectory, networkNamespace, signal, ...(entry && { entry }) };
    const spawned = await spawnDataplane(options).catch((error: Error) => {
      throw error instanceof DataplaneError ? new HostError("conflict", error.message) : error;
    });
    try {
      if (kernelAddresses.length > 0) {
        await configureKernelSide(config.port.device, kernelAddresses, networkNamespace);
      }
      await this.use(spawned.client);
    } catch (error) {
      spawned.process.kill("SIGTERM");
      spawned.client.close();
      await this.waitForEnd(spawned.client.hello.pid);
      throw error;
    }
  }

  private async use(client: DataplaneClient): Promise<void> {
    const upMs = Date.now();
    try {
      // Its events come after: only then it is known which apps they belong to.
      await this.options.onUp(client);
      await client.subscribe(this.lastSequence, (message) => {
        this.lastSequence = message.events.at(-1)?.sequence ?? this.lastSequence;
        this.options.onEvents(message);
      });
    } catch (error) {
      client.close();
      throw error;
    }
    this.client = client;
    client.onClose((reason) => {
      if (this.client === client) this.client = undefined;
      if (this.closing) return;
      if (Date.now() - upMs > STABLE_MS) this.delayMs = FIRST_DELAY_MS;
      this.options.log("error", `the dataplane is gone: ${reason}`);
      this.recovering = this.recover(client.hello.pid);
    });
  }

  private async recover(formerPid: number): Promise<void> {
    while (!this.closing) {
      await sleep(this.delayMs, undefined, { signal: this.ended.signal }).catch(() => undefined);
      if (this.closing) return;
      this.delayMs = Math.min(this.delayMs * 2, LONGEST_DELAY_MS);
      try {
        // Only the connection may have broken: then nothing has to be started.
        const adopted = await this.adopt();
        if (adopted !== undefined) {
          await this.use(adopted);
        } else {
          if (isDataplaneOf(formerPid, this.options.runDirectory)) await this.waitForEnd(formerPid);
          this.restarts++;
          await this.spawn();
          this.options.log("info", `started the dataplane again (pid ${this.client?.hello.pid})`);
        }
        return;
      } catch (error) {
        this.options.log("error", `${(error as Error).message}; next attempt in ${this.delayMs} ms`);
        // It is there and does not answer.
        if (error instanceof HostError && error.code === "timeout") await this.waitForEnd(formerPid, 0);
      }
    }
  }

  /** Waits until the process is gone; one that does not end by itself is killed. */
  private async waitForEnd(pid: number, timeoutMs = END_TIMEOUT_MS): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (isDataplaneOf(pid, this.options.runDirectory)) {
      if (Date.now() > deadline) {
        this.options.log("warn", `the dataplane (pid ${pid}) did not end and is killed`);
        process.kill(pid, "SIGKILL");
        await rm(this.socketPath, { force: true });
        return;
      }
      await sleep(10);
    }
  }
}

/** What differs between the configuration that is wanted and the one that runs, in words. */
export function compare(wanted: DataplaneConfig, running: DataplaneConfig): string[] {
  const found: string[] = [];
  for (const part of ["port", "worker"] as const) {
    const right = running[part] as unknown as Record<string, unknown>;
    for (const [key, value] of Object.entries(wanted[part])) {
      // Lists of addresses and routes are the same when their texts are.
      if (JSON.stringify(value) !== JSON.stringify(right[key])) {
        found.push(`${part} ${key} is ${JSON.stringify(right[key])}, wanted is ${JSON.stringify(value)}`);
      }
    }
  }
  if (wanted.persistent !== running.persistent) {
    found.push(`it ${running.persistent ? "outlives" : "ends with"} its control plane`);
  }
  return found;
}
