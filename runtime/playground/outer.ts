/** Starts a playground and holds on to it: the side that stays in the host's network namespace. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type Server } from "node:net";
import { fileURLToPath } from "node:url";
import { CliError, ExitCode } from "../cli/shared/output.js";
import { HostClient } from "../control/client.js";
import { enterNetwork, needsUserNamespace, newNamespaces, requireTun } from "./namespace.js";
import { API_SOCKET } from "./network.js";
import { type Playground, removePointer, startTicksOf, writePointer } from "./pointer.js";
import type { FromInner, ToInner } from "./protocol.js";
import type { RelayTarget } from "./relay.js";

const START_TIMEOUT_MS = 75_000;
const RELAY_TIMEOUT_MS = 5_000;
const STOP_TIMEOUT_MS = 5_000;

/** A playground that this process started. It ends with this process, however that ends. */
export interface RunningPlayground {
  readonly playground: Playground;
  readonly client: HostClient;
  /** Resolves, with the reason, when the playground has ended. */
  readonly ended: Promise<string>;
  /** Hands a listening server over: from now on its connections go to `target` inside. */
  relay(id: string, server: Server, target: RelayTarget): Promise<void>;
  /** The command line that runs `command` in the playground's network. */
  enter(command: readonly string[]): string[];
  /** Ends everything in it. Waits a bounded time, then kills. */
  stop(): Promise<void>;
}

/** Listens on the host's loopback until the playground takes over; clients that come earlier are closed at once. */
export async function listenOnLoopback(port: number): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE" && error.code !== "EACCES") return reject(error);
      const why = error.code === "EACCES" ? "may not be opened by this user" : "is taken by another program";
      const hint = "Choose another one with --http-port N, or let the system choose with --http-port 0.";
      reject(new CliError(`Port ${port} on 127.0.0.1 ${why}.`, ExitCode.failed, hint));
    });
    server.listen(port, "127.0.0.1", resolve);
  });
  return server;
}

/** The port of a server that listens on an IP address. */
export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server does not listen on an IP address.");
  return address.port;
}

function send(child: ChildProcess, message: ToInner, server?: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    if (!child.connected) return reject(new Error("The playground has ended."));
    child.send(message, server, (error) => (error === null ? resolve() : reject(error)));
  });
}

function startInner(userNamespace: boolean): ChildProcess {
  const inner = fileURLToPath(new URL("./inner.js", import.meta.url));
  const [program = "", ...rest] = newNamespaces([process.execPath, inner], userNamespace);
  // Its own session: a Ctrl-C at the terminal reaches only this process, which then ends the other one in order.
  return spawn(program, rest, { stdio: ["ignore", "ignore", "pipe", "ipc"], detached: true });
}

/** The end of a stream's text, bounded. */
function tailOf(child: ChildProcess, bytes: number): () => string {
  let tail = "";
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    tail = (tail + chunk).slice(-bytes);
  });
  return () => tail.trim();
}

/** Starts a playground for `verb`. Throws a CliError with advice when this machine does not allow it. */
export async function startPlayground(verb: string): Promise<RunningPlayground> {
  requireTun();
  const userNamespace = needsUserNamespace();
  const child = startInner(userNamespace);
  const stderr = tailOf(child, 8_192);
  const kill = () => {
    child.kill("SIGKILL");
  };
  process.once("exit", kill);

  let failure = "";
  const relaying = new Map<string, () => void>();
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(failure || stderr() || `ended with ${signal ?? `code ${code}`}`));
  });
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`not ready after ${START_TIMEOUT_MS / 1_000} s`)),
      START_TIMEOUT_MS,
    );
    child.on("message", (message: FromInner) => {
      if (message.kind === "ready") resolve();
      if (message.kind === "relaying") relaying.get(message.id)?.();
      if (message.kind === "failed") failure = message.message;
    });
    void ended.then((reason) => reject(new Error(reason)));
    const clear = () => clearTimeout(timer);
    void ended.then(clear);
    child.once("message", clear);
  });
  try {
    await ready;
  } catch (error) {
    kill();
    process.removeListener("exit", kill);
    const hint = "`weir doctor` says what is missing; as root it needs nothing but /dev/net/tun.";
    throw new CliError(`The playground could not be started: ${(error as Error).message}`, ExitCode.failed, hint);
  }

  const pid = child.pid as number;
  const playground: Playground = {
    pid,
    startTicks: startTicksOf(pid) ?? "",
    socket: `/proc/${pid}/root${API_SOCKET}`,
    userNamespace,
    verb,
    startedMs: Date.now(),
  };
  const pointer = writePointer(playground);
  process.once("exit", () => removePointer(pointer));
  void ended.then(() => removePointer(pointer));

  return {
    playground,
    client: new HostClient(playground.socket),
    ended,
    async relay(id, server, target) {
      const taken = new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`Relay ${id} was not taken over.`)), RELAY_TIMEOUT_MS);
        relaying.set(id, () => {
          clearTimeout(timer);
          resolve();
        });
      });
      await send(child, { kind: "relay", id, target }, server);
      await taken;
      relaying.delete(id);
      server.close();
    },
    enter: (command) => enterNetwork(pid, command, userNamespace),
    async stop() {
      send(child, { kind: "stop" }).catch(kill);
      const timer = setTimeout(kill, STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
      process.removeListener("exit", kill);
    },
  };
}
