/** The test's side of the process that has the test hosts. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { AppEvent } from "../process/native.js";
import { type FailureCode, MAX_HOSTS, type Operation, type Operations, type Reply, type Request } from "./protocol.js";

const STDERR_TAIL_LENGTH = 2000;

/** An operation on a test host failed. */
export class TestHostError extends Error {
  constructor(
    /**
     * `timeout`: it did not happen in its virtual time. `closed`: the connection or the host is over. `handler`: the
     * handler did not start. `invalid`: it cannot be done like this. `internal`: weir's own mistake.
     */
    readonly code: FailureCode,
    message: string,
  ) {
    super(message);
    this.name = "TestHostError";
  }
}

/** What a host hears beside the answers to its operations. */
export interface HostListener {
  /** The virtual time, and what happened until then. */
  onNews(nowUs: number, events: readonly AppEvent[]): void;
}

interface Pending {
  /** The host has said that it waits for something. */
  waits: boolean;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** One host in the process. */
export class HostChannel {
  private readonly pending = new Map<number, Pending>();
  private nextId = 1;
  /** Operations that the host has neither answered nor begun to wait for. */
  private unheard = 0;
  private running = false;
  private tickWaits = false;
  private closeReason: string | undefined;

  constructor(
    private readonly host: number,
    private readonly listener: HostListener,
    private readonly send: (request: Request) => void,
    private readonly onIdle: () => void,
  ) {}

  /** Asks for an operation. Rejects with TestHostError. */
  call<O extends Operation>(operation: O, params: Operations[O]["params"]): Promise<Operations[O]["result"]> {
    // Errors show where the test called, not where the answer came.
    const place = new Error();
    return new Promise((resolve, reject) => {
      if (this.closeReason !== undefined) {
        reject(new TestHostError("closed", this.closeReason));
        return;
      }
      const id = this.nextId++;
      this.unheard++;
      const rejectHere = (error: Error): void => {
        error.stack = `${error.name}: ${error.message}\n${place.stack?.split("\n").slice(2).join("\n")}`;
        reject(error);
      };
      this.pending.set(id, { waits: false, resolve: resolve as (value: never) => void, reject: rejectHere });
      this.send({ host: this.host, id, operation, params });
      this.schedule();
    });
  }

  get isBusy(): boolean {
    return this.pending.size > 0 || this.running;
  }

  receive(reply: Reply): void {
    this.listener.onNews(reply.nowUs, reply.events);
    if ("rested" in reply) {
      this.running = false;
    } else {
      const pending = this.pending.get(reply.id);
      if (pending?.waits === false) this.unheard--;
      if ("waits" in reply) {
        if (pending !== undefined) pending.waits = true;
      } else {
        this.pending.delete(reply.id);
        if ("error" in reply) pending?.reject(new TestHostError(reply.error.code, reply.error.message));
        else pending?.resolve(reply.result as never);
      }
    }
    this.schedule();
  }

  /** Nothing more will come. */
  end(reason: string): void {
    this.closeReason ??= reason;
    for (const { reject } of this.pending.values()) reject(new TestHostError("internal", reason));
    this.pending.clear();
    this.unheard = 0;
    this.running = false;
  }

  /**
   * Time may pass when everything that was asked for waits and the test itself has nothing to do: it has taken its
   * answers, and asked for what followed from them.
   */
  private schedule(): void {
    if (!this.isBusy) this.onIdle();
    if (this.tickWaits) return;
    this.tickWaits = true;
    setImmediate(() => {
      this.tickWaits = false;
      if (this.running || this.unheard > 0 || this.pending.size === 0) return;
      this.running = true;
      this.send({ host: this.host, go: true });
    });
  }
}

/** The process, started with the first host and kept for those that follow. */
export class HostProcess {
  private child: ChildProcess | undefined;
  private readonly hosts = new Map<number, HostChannel>();
  private nextHost = 1;
  private stderr = "";

  /**
   * A channel to a new host. Throws when there are too many. `temporaryFolder` is deleted when this process has ended,
   * however it ends; "" for none.
   */
  open(listener: HostListener, temporaryFolder: string): HostChannel & { release(): void } {
    if (this.hosts.size >= MAX_HOSTS) {
      throw new TestHostError("invalid", `${MAX_HOSTS} test hosts are open: close() those that are no longer needed`);
    }
    const child = this.started(temporaryFolder);
    const number = this.nextHost++;
    const send = (request: Request): void => {
      this.keepAlive(true);
      child.send(request);
    };
    const channel = new HostChannel(number, listener, send, () => {
      if (![...this.hosts.values()].some((host) => host.isBusy)) this.keepAlive(false);
    });
    this.hosts.set(number, channel);
    return Object.assign(channel, { release: () => void this.hosts.delete(number) });
  }

  /** The process of a test that waits for nothing must not keep it from ending. */
  private keepAlive(on: boolean): void {
    if (on) this.child?.channel?.ref();
    else this.child?.channel?.unref();
  }

  private started(temporaryFolder: string): ChildProcess {
    if (this.child !== undefined) return this.child;
    const child = fork(fileURLToPath(new URL("./child.js", import.meta.url)), [temporaryFolder], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      execArgv: [],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    this.child = child;
    this.stderr = "";
    child.stderr!.on("data", (chunk: Buffer) => {
      this.stderr = (this.stderr + chunk.toString("utf8")).slice(-STDERR_TAIL_LENGTH);
    });
    child.on("message", (reply: Reply) => this.hosts.get(reply.host)?.receive(reply));
    child.on("error", (error) => this.ended(`the process of the test hosts cannot be reached: ${error.message}`));
    child.on("close", (code, signal) => {
      const how = signal === null ? `ended with ${code}` : `was ended by ${signal}`;
      const output = this.stderr.trim();
      this.ended(`the process of the test hosts ${how}${output === "" ? "" : `: ${output}`}`);
    });
    child.unref();
    (child.stderr as unknown as { unref(): void }).unref();
    return child;
  }

  private ended(reason: string): void {
    this.child = undefined;
    for (const host of this.hosts.values()) host.end(reason);
    this.hosts.clear();
  }
}
