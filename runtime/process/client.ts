/** The control plane's side of the dataplane's socket. */
import { connect, type Socket } from "node:net";
import { readJsonLines, writeJsonLine } from "./lines.js";
import type { AppSpec } from "./native.js";
import {
  type Answer,
  type EventsMessage,
  type Hello,
  MAX_MESSAGE_BYTES,
  MAX_PENDING,
  type Method,
  PROTOCOL_VERSION,
  type ProtocolErrorCode,
  type Requests,
} from "./protocol.js";

/** The dataplane refused a request, or is gone. */
export class DataplaneError extends Error {
  constructor(
    readonly code: ProtocolErrorCode | "gone" | "timeout",
    message: string,
  ) {
    super(message);
    this.name = "DataplaneError";
  }
}

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

const HELLO_TIMEOUT_MS = 5_000;
/** Long enough for an instance with much memory on a busy machine. */
const REQUEST_TIMEOUT_MS = 30_000;

/** A connection to a dataplane process. */
export class DataplaneClient {
  readonly hello: Hello;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 1;
  private onEvents: ((message: EventsMessage) => void) | undefined;
  private closed: ((reason: string) => void)[] = [];
  private closeReason: string | undefined;

  private constructor(
    private readonly socket: Socket,
    hello?: Hello,
  ) {
    this.hello = hello!;
  }

  /** Connects and says hello. Rejects with DataplaneError: `gone` when nobody answers, `busy` when somebody has it. */
  static async connect(path: string): Promise<DataplaneClient> {
    const socket = await new Promise<Socket>((resolve, reject) => {
      const opening = connect(path, () => {
        opening.off("error", reject);
        resolve(opening);
      });
      opening.once("error", reject);
    }).catch((error: Error) => {
      throw new DataplaneError("gone", `nobody answers at ${path}: ${error.message}`);
    });
    const client = new DataplaneClient(socket);
    client.start();
    try {
      const hello = await client.call("hello", { pid: process.pid, protocol: PROTOCOL_VERSION }, HELLO_TIMEOUT_MS);
      (client as { hello: Hello }).hello = hello;
      return client;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  deploy(app: AppSpec, digest: string): Promise<null> {
    return this.call("deploy", { app, digest });
  }

  remove(id: number): Promise<null> {
    return this.call("remove", { id });
  }

  /** From now on `onEvents` gets every event after sequence number `after`. */
  subscribe(after: number, onEvents: (message: EventsMessage) => void): Promise<null> {
    this.onEvents = onEvents;
    return this.call("subscribe", { after });
  }

  connections(): Promise<Requests["connections"]["result"]> {
    return this.call("connections", {});
  }

  stop(): Promise<null> {
    return this.call("stop", {});
  }

  /** Calls `listener` once when the connection is over, at once when it is already. */
  onClose(listener: (reason: string) => void): void {
    if (this.closeReason !== undefined) listener(this.closeReason);
    else this.closed.push(listener);
  }

  close(): void {
    this.socket.destroy();
  }

  private start(): void {
    let reason = "the dataplane closed the connection";
    this.socket.on("error", (error) => {
      reason = error.message;
    });
    this.socket.on("close", () => {
      this.closeReason = reason;
      for (const { reject, timer } of this.waiting.values()) {
        clearTimeout(timer);
        reject(new DataplaneError("gone", `the dataplane is gone: ${reason}`));
      }
      this.waiting.clear();
      for (const listener of this.closed) listener(reason);
      this.closed = [];
    });
    readJsonLines(this.socket, MAX_MESSAGE_BYTES, (value) => this.receive(value));
  }

  private receive(value: unknown): void {
    const message = value as Partial<Answer> & { method?: string; params?: unknown };
    if (message.method === "events") {
      this.onEvents?.(message.params as EventsMessage);
      return;
    }
    const waiting = this.waiting.get(message.id ?? -1);
    if (waiting === undefined) return;
    this.waiting.delete(message.id!);
    clearTimeout(waiting.timer);
    if ("error" in message && message.error !== undefined) {
      waiting.reject(new DataplaneError(message.error.code, message.error.message));
    } else {
      waiting.resolve((message as { result: never }).result);
    }
  }

  private call<M extends Method>(
    method: M,
    params: Requests[M]["params"],
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): Promise<Requests[M]["result"]> {
    return new Promise((resolve, reject) => {
      if (this.closeReason !== undefined) {
        reject(new DataplaneError("gone", `the dataplane is gone: ${this.closeReason}`));
        return;
      }
      if (this.waiting.size >= MAX_PENDING) {
        reject(new DataplaneError("internal", "too many requests wait for the dataplane"));
        return;
      }
      const id = this.nextId++;
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new DataplaneError("timeout", `the dataplane did not answer ${method} within ${timeoutMs} ms`));
      }, timeoutMs);
      this.waiting.set(id, { resolve: resolve as (value: never) => void, reject, timer });
      writeJsonLine(this.socket, { id, method, params });
    });
  }
}
