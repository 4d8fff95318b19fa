/** Starts the dataplane process and waits until it answers. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { DataplaneClient, DataplaneError } from "./client.js";
import { writeFileAtomically } from "./files.js";
import { checkSocketPath } from "./owner-socket.js";
import { type DataplaneConfig, RUN_FILES } from "./protocol.js";

/** DPDK's start takes a second or two; with other work on the machine more. */
const READY_TIMEOUT_MS = 60_000;
const RETRY_INTERVAL_MS = 25;
const LOG_TAIL_BYTES = 4096;

export interface SpawnOptions {
  readonly config: DataplaneConfig;
  readonly runDirectory: string;
  /** Entry script of the process. */
  readonly entry?: string;
  /** Name of a network namespace (`ip netns`), or the path of one. */
  readonly networkNamespace?: string | undefined;
  /** Longest time until the process must answer, milliseconds. */
  readonly readyTimeoutMs?: number;
  /** Gives the attempt up. */
  readonly signal?: AbortSignal;
}

/** A dataplane process that this process started. */
export interface SpawnedDataplane {
  readonly process: ChildProcess;
  readonly client: DataplaneClient;
}

/** Path of a network namespace given by name or path. */
export function namespacePath(name: string): string {
  return name.includes("/") ? name : `/run/netns/${name}`;
}

/** Starts a dataplane in a session of its own. Rejects with its last output when it does not come up. */
export async function spawnDataplane(options: SpawnOptions): Promise<SpawnedDataplane> {
  const { config, runDirectory, networkNamespace } = options;
  const socketPath = join(runDirectory, RUN_FILES.socket);
  checkSocketPath(socketPath);
  const entry = options.entry ?? fileURLToPath(new URL("./dataplane.js", import.meta.url));
  await writeFileAtomically(join(runDirectory, RUN_FILES.config), JSON.stringify(config));
  const logPath = join(runDirectory, RUN_FILES.log);
  try {
    renameSync(logPath, `${logPath}.1`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const log = openSync(logPath, "a", 0o600);
  const node = [process.execPath, entry, runDirectory];
  const command =
    networkNamespace === undefined ? node : ["nsenter", `--net=${namespacePath(networkNamespace)}`, "--", ...node];
  const child = spawn(command[0]!, command.slice(1), {
    detached: true,
    stdio: [config.persistent ? "ignore" : "pipe", log, log],
  });
  closeSync(log);
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`${command[0]} could not be started: ${error.message}`));
    child.once("exit", (code, signal) => resolve(signal === null ? `it ended with ${code}` : `it ended by ${signal}`));
  });
  child.stdin?.on("error", () => undefined);
  const readyTimeoutMs = options.readyTimeoutMs ?? READY_TIMEOUT_MS;
  const deadline = Date.now() + readyTimeoutMs;
  let failure: string | undefined;
  ended.then((text) => {
    failure = text;
  });
  const aborted = (): boolean => options.signal?.aborted === true;
  while (failure === undefined && !aborted() && Date.now() < deadline) {
    try {
      const client = await DataplaneClient.connect(socketPath);
      child.unref();
      (child.stdin as unknown as { unref?(): void } | null)?.unref?.();
      return { process: child, client };
    } catch (error) {
      if (!(error instanceof DataplaneError) || error.code !== "gone") {
        child.kill("SIGKILL");
        throw error;
      }
      await Promise.race([sleep(RETRY_INTERVAL_MS), ended]);
    }
  }
  child.kill("SIGKILL");
  rmSync(socketPath, { force: true });
  const tail = logTail(logPath);
  const why = aborted() ? "it is not wanted any more" : (failure ?? `it did not answer within ${readyTimeoutMs} ms`);
  const place = config.temporary ? "" : `\n(log: ${logPath})`;
  throw new Error(`the dataplane did not start: ${why}${tail === "" ? "" : `\n${tail}`}${place}`);
}

function logTail(path: string): string {
  try {
    return readFileSync(path).subarray(-LOG_TAIL_BYTES).toString("utf8").trim();
  } catch {
    return "";
  }
}

/** Whether the process `pid` is the dataplane of `runDirectory`: a pid alone may have gone to another process. */
export function isDataplaneOf(pid: number, runDirectory: string): boolean {
  try {
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return commandLine.includes("dataplane") && commandLine.includes(runDirectory);
  } catch {
    return false;
  }
}

/** Gives the kernel's side of a TAP an address and sets it up. */
export async function configureKernelSide(
  device: string,
  addresses: readonly string[],
  networkNamespace: string | undefined,
): Promise<void> {
  const enter = networkNamespace === undefined ? [] : ["nsenter", `--net=${namespacePath(networkNamespace)}`, "--"];
  const run = async (...words: string[]): Promise<void> => {
    const [program, ...rest] = [...enter, "ip", ...words];
    try {
      await promisify(execFile)(program!, rest, { timeout: 10_000 });
    } catch (error) {
      const stderr = (error as { stderr?: string }).stderr?.trim();
      throw new Error(`ip ${words.join(" ")} failed: ${stderr || (error as Error).message}`);
    }
  };
  for (const address of addresses) {
    // Nobody else is on this link but weir, which asks for its own addresses: the kernel need not.
    const options = address.includes(":") ? ["nodad"] : [];
    await run("address", "replace", address, "dev", device, ...options);
  }
  await run("link", "set", device, "up");
}
