/** The dataplane process's side of its control socket: one control plane at a time. */
import { createServer, type Server, type Socket } from "node:net";
import { EventRing } from "./event-ring.js";
import { readJsonLines, writeJsonLine } from "./lines.js";
import type { AppSpec, Dataplane, Native } from "./native.js";
import { listenOwnerOnly } from "./owner-socket.js";
import {
  type Answer,
  type DataplaneConfig,
  type EventsMessage,
  type Hello,
  MAX_MESSAGE_BYTES,
  MAX_PENDING,
  type Method,
  PROTOCOL_VERSION,
  type ProtocolErrorCode,
  type Request,
  type Requests,
} from "./protocol.js";

/** How often events are fetched from the worker while there is something going on, milliseconds. */
const BUSY_INTERVAL_MS = 50;
/** And otherwise: each wake-up costs 0.2 to 0.3 ms of a core's time. */
const QUIET_INTERVAL_MS = 250;
/** How long after an event or a request something is going on. */
const BUSY_MS = 5_000;
const MAX_EVENTS = 8192;
const MAX_EVENT_TEXT = 4 * 1024 * 1024;
const EVENTS_OF_ONE_MESSAGE = 256;

class ProtocolError extends Error {
  constructor(
    readonly code: ProtocolErrorCode,
    message: string,
  ) {
    super(message);
  }
}

interface Control {
  readonly socket: Socket;
  pid: number;
  pending: number;
  /** Sequence number of the last event sent; undefined before subscribe. */
  sentSequence: number | undefined;
  /** The socket's buffer is full: events wait in the ring. */
  full: boolean;
}

export interface ServerOptions {
  readonly native: Native;
  readonly dataplane: Dataplane;
  readonly config: DataplaneConfig;
  readonly tscHz: number;
  /** Called once after a stop request was answered. */
  readonly onStop: () => void;
}

/** Serves one dataplane. */
export class DataplaneServer {
  private readonly server: Server;
  private readonly ring = new EventRing(MAX_EVENTS, MAX_EVENT_TEXT);
  private readonly digests = new Map<number, string>();
  private readonly startedUs = Date.now() * 1000;
  private readonly sockets = new Set<Socket>();
  private control: Control | undefined;
  private queue: Promise<unknown> = Promise.resolve();
  private drainTimer: NodeJS.Timeout;
  private busyUntilMs = 0;

  constructor(private readonly options: ServerOptions) {
    this.server = createServer((socket) => this.serve(socket));
    this.server.maxConnections = 4;
    this.drainTimer = setTimeout(() => this.drain(), QUIET_INTERVAL_MS);
  }

  /** Starts to listen; the socket is for the owner only. */
  listen(path: string): Promise<void> {
    return listenOwnerOnly(this.server, path);
  }

  close(): void {
    clearTimeout(this.drainTimer);
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private serve(socket: Socket): void {
    const control: Control = { socket, pid: 0, pending: 0, sentSequence: undefined, full: false };
    this.sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.sockets.delete(socket);
      if (this.control === control) this.control = undefined;
    });
    socket.on("drain", () => {
      control.full = false;
      this.sendEvents();
    });
    readJsonLines(socket, MAX_MESSAGE_BYTES, (value) => {
      const request = value as Partial<Request> | null;
      if (typeof request?.id !== "number" || typeof request.method !== "string" || control.pending >= MAX_PENDING) {
        socket.destroy();
        return;
      }
      control.pending++;
      this.answer(control, request as Request).finally(() => control.pending--);
    });
  }

  private async answer(control: Control, request: Request): Promise<void> {
    let answer: Answer;
    try {
      answer = { id: request.id, result: await this.handle(control, request) };
    } catch (error) {
      const code = error instanceof ProtocolError ? error.code : "internal";
      answer = { id: request.id, error: { code, message: (error as Error).message } };
    }
    if (control.socket.destroyed) return;
    writeJsonLine(control.socket, answer);
    if (request.method === "stop" && "result" in answer) control.socket.end(() => this.options.onStop());
  }

  private handle(control: Control, { method, params }: Request): unknown {
    if (method === "hello") return this.hello(control, params as Requests["hello"]["params"]);
    if (this.control !== control) throw new ProtocolError("protocol", "say hello first");
    const handlers: Record<Exclude<Method, "hello">, (params: never) => unknown> = {
      deploy: (given: Requests["deploy"]["params"]) => this.inOrder(() => this.deploy(given.app, given.digest)),
      remove: (given: Requests["remove"]["params"]) => this.inOrder(() => this.remove(given.id)),
      subscribe: (given: Requests["subscribe"]["params"]) => {
        control.sentSequence = given.after;
        setImmediate(() => this.sendEvents());
        return null;
      },
      connections: () => this.options.dataplane.connections(),
      stop: () => null,
    };
    if (!Object.hasOwn(handlers, method)) throw new ProtocolError("protocol", `there is no method "${method}"`);
    return handlers[method](params as never);
  }

  private hello(control: Control, params: Requests["hello"]["params"]): Hello {
    if (params.protocol !== PROTOCOL_VERSION) {
      throw new ProtocolError(
        "protocol",
        `the dataplane speaks version ${PROTOCOL_VERSION}, this weir version ${params.protocol}: end the dataplane (pid ${process.pid}) and start again`,
      );
    }
    if (this.control !== undefined && this.control !== control) {
      throw new ProtocolError("busy", `another control plane (pid ${this.control.pid}) has this dataplane`);
    }
    control.pid = params.pid;
    this.control = control;
    const { native, dataplane, config, tscHz } = this.options;
    return {
      protocol: PROTOCOL_VERSION,
      pid: process.pid,
      engineVersion: native.engineVersion(),
      config,
      startedUs: this.startedUs,
      portState: dataplane.portState(),
      tscHz,
      counters: native.counterDescriptions(),
      appCounters: native.appCounterDescriptions(),
      apps: [...this.digests].map(([id, digest]) => ({ id, digest })),
    };
  }

  private async deploy(app: AppSpec, digest: string): Promise<null> {
    try {
      await this.options.dataplane.deploy(app);
    } catch (error) {
      throw new ProtocolError("rejected", (error as Error).message);
    }
    this.digests.set(app.id, digest);
    this.expectEvents();
    return null;
  }

  private async remove(id: number): Promise<null> {
    if (!this.digests.has(id)) return null;
    try {
      await this.options.dataplane.remove(id);
    } catch (error) {
      throw new ProtocolError("rejected", (error as Error).message);
    }
    this.digests.delete(id);
    return null;
  }

  /** Deploys and removes one after another, in the order of their arrival. */
  private inOrder<T>(action: () => Promise<T>): Promise<T> {
    const result = this.queue.then(action);
    this.queue = result.catch(() => undefined);
    return result;
  }

  private drain(): void {
    const events = this.options.dataplane.drainEvents();
    const nowMs = performance.now();
    if (events.length > 0) {
      this.busyUntilMs = nowMs + BUSY_MS;
      this.ring.push(events);
      this.sendEvents();
    }
    this.drainTimer = setTimeout(() => this.drain(), nowMs < this.busyUntilMs ? BUSY_INTERVAL_MS : QUIET_INTERVAL_MS);
  }

  /** What was asked for makes events: fetches them soon. */
  private expectEvents(): void {
    this.busyUntilMs = performance.now() + BUSY_MS;
    clearTimeout(this.drainTimer);
    this.drainTimer = setTimeout(() => this.drain(), BUSY_INTERVAL_MS);
  }

  private sendEvents(): void {
    const control = this.control;
    if (control?.sentSequence === undefined || control.socket.destroyed) return;
    while (!control.full) {
      const { events, lost } = this.ring.after(control.sentSequence, EVENTS_OF_ONE_MESSAGE);
      if (events.length === 0) return;
      control.sentSequence = events.at(-1)!.sequence;
      const params: EventsMessage = { events, lost };
      control.full = !writeJsonLine(control.socket, { method: "events", params });
    }
  }
}
