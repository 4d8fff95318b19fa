/** Kernel peers inside a test host's namespaces: clients and servers of kernel-peer.js. */
import { join } from "node:path";
import { CLONE } from "./clone.js";
import { type TestNamespace, WEIR_ADDRESS } from "./host.js";
import { processTree, type Running, until } from "./processes.js";

const PEER_TIMEOUT_MS = 120_000;
const SCRIPT = join(CLONE, "test", "support", "kernel-peer.js");
/** Rounds that a steady echo has to get further to count as undisturbed. */
const STEADY_ROUNDS = 50;

/** Where a peer connects to or listens, and what else its role takes. */
export interface PeerParameters {
  readonly port: number;
  readonly host?: string;
  readonly [key: string]: unknown;
}

function commandLine(role: string, parameters: PeerParameters): string[] {
  return [process.execPath, SCRIPT, role, JSON.stringify({ host: WEIR_ADDRESS, ...parameters })];
}

/** Runs a role of kernel-peer.js to its end and returns what it found; throws with its words when it failed. */
export async function peer<Found>(namespace: TestNamespace, role: string, parameters: PeerParameters): Promise<Found> {
  const output = await namespace.mustExecute(commandLine(role, parameters), { timeoutMs: PEER_TIMEOUT_MS });
  return JSON.parse(output) as Found;
}

/** Starts a role in the background. */
export function startPeer(namespace: TestNamespace, role: string, parameters: PeerParameters): Running {
  return namespace.start(commandLine(role, parameters));
}

/** Signals a command that runs inside: what was started outside is nsenter, which passes nothing on. */
export function signalInside(running: Running, signal: NodeJS.Signals): void {
  const child = processTree(running.pid).find((entry) => entry.parent === running.pid);
  if (child === undefined) throw new Error("it has ended");
  process.kill(child.pid, signal);
}

/** An echo that goes on and on, and checks every byte. */
export class SteadyEcho {
  readonly #running: Running;

  private constructor(running: Running) {
    this.#running = running;
  }

  static async start(namespace: TestNamespace, port: number, count = 4): Promise<SteadyEcho> {
    const steady = new SteadyEcho(startPeer(namespace, "steady", { port, count }));
    await steady.#running.output(/"rounds"/);
    return steady;
  }

  async #rounds(): Promise<number> {
    const lines = () => this.#running.stdout.trim().split("\n");
    const before = lines().length;
    this.#running.child.stdin?.write("\n");
    await until("an answer of the steady echo", () => {
      if (this.#running.hasEnded) throw new Error(`the steady echo was disturbed: ${this.#running.stderr}`);
      return lines().length > before;
    });
    return (JSON.parse(lines().at(-1)!) as { rounds: number }).rounds;
  }

  /** Waits until the echo has got a good deal further; throws when a byte was wrong or a connection ended. */
  async goesOn(): Promise<void> {
    const before = await this.#rounds();
    await until("further rounds of the steady echo", async () => (await this.#rounds()) > before + STEADY_ROUNDS);
  }

  /** Ends the echo; throws when it was disturbed before. */
  async finish(): Promise<void> {
    this.#running.child.stdin?.end();
    const { code, stderr } = await this.#running.end();
    if (code !== 0) throw new Error(`the steady echo was disturbed: ${stderr}`);
  }
}
