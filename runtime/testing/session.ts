/** One test host in the process that owns it: carries operations out and lets time pass while somebody waits. */
import { readFileSync } from "node:fs";
import type { AppEvent, Native, Testbed } from "../process/native.js";
import type { FailureCode, HostStats, Operation, Operations, Reply } from "./protocol.js";
import { MAX_PENDING } from "./protocol.js";
import {
  acceptWait,
  closedWait,
  describeConnection,
  formatEndpoint,
  Inbox,
  NEVER,
  OperationError,
  openWait,
  readWait,
  receiveWait,
  type Wait,
  writeWait,
} from "./waits.js";

/** Real time that virtual time may take until something that is waited for happens. */
const MAX_REAL_MS = 20_000;
/** Real time after which messages are looked at. */
const SLICE_MS = 20;

interface Waiting {
  readonly id: number;
  readonly wait: Wait;
  readonly deadlineUs: number;
  readonly withinMs: number;
  /** The end of the time is what is waited for. */
  readonly isAdvance: boolean;
}

type Params<O extends Operation> = Operations[O]["params"];
/** A wait with its bound, or a result. */
type Outcome = { readonly wait: Wait; readonly withinMs: number; readonly isAdvance?: boolean } | { value: unknown };

/** The operations of one host. */
export class Session {
  private bed: Testbed | undefined;
  private waiting: Waiting[] = [];
  private readonly inboxes = new Map<number, Inbox>();
  private readonly places = new Map<number, string>();
  /** Connections whose side the test has ended, and of these the ones that it does not use any more. */
  private readonly ended = new Set<number>();
  private readonly leaving = new Set<number>();
  private running = false;

  constructor(
    private readonly native: Native,
    private readonly host: number,
    private readonly reply: (reply: Reply) => void,
  ) {}

  /** Carries one operation out, or begins to wait. */
  handle(id: number, operation: Operation, params: unknown): void {
    try {
      if (this.waiting.length >= MAX_PENDING) {
        throw new OperationError("invalid", `${MAX_PENDING} operations wait already: await some of them`);
      }
      const outcome = this.start(operation, params);
      if ("value" in outcome) {
        this.answer(id, { result: outcome.value });
        return;
      }
      const { wait, withinMs, isAdvance = false } = outcome;
      const ready = wait.check();
      if (ready !== undefined) this.answer(id, { result: ready.value });
      else {
        const deadlineUs = this.open.nowUs() + Math.round(withinMs * 1000);
        this.waiting.push({ id, wait, deadlineUs, withinMs, isAdvance });
        this.reply({ host: this.host, id, waits: true, ...this.news() });
      }
    } catch (error) {
      this.answer(id, failure(error));
    }
  }

  /** Lets time pass until the first of what is waited for happens. */
  go(): void {
    if (this.running) return;
    this.running = true;
    this.slice(performance.now());
  }

  get isClosed(): boolean {
    return this.bed === undefined;
  }

  private slice(startedMs: number): void {
    const sliceMs = performance.now();
    while (this.bed !== undefined && this.waiting.length > 0) {
      this.bed.run(Math.min(...this.waiting.map(({ deadlineUs }) => deadlineUs)));
      if (this.settle(startedMs)) break;
      if (performance.now() - sliceMs > SLICE_MS) {
        setImmediate(() => this.slice(startedMs));
        return;
      }
    }
    this.running = false;
    this.reply({ host: this.host, rested: true, ...this.news() });
  }

  /** Answers what has happened or whose time is up; true if there was any. */
  private settle(startedMs: number): boolean {
    const nowUs = this.open.nowUs();
    const tooLong = performance.now() - startedMs > MAX_REAL_MS;
    const before = this.waiting;
    this.waiting = before.filter((waiting) => {
      try {
        const ready = waiting.wait.check();
        if (ready !== undefined) this.answer(waiting.id, { result: ready.value });
        else if (nowUs >= waiting.deadlineUs && waiting.isAdvance) this.answer(waiting.id, { result: null });
        else if (nowUs >= waiting.deadlineUs) throw timeout(waiting);
        else if (tooLong) throw slow(waiting, nowUs);
        else return true;
      } catch (error) {
        this.answer(waiting.id, failure(error));
      }
      return false;
    });
    return this.waiting.length < before.length;
  }

  private get open(): Testbed {
    if (this.bed === undefined) throw new OperationError("invalid", "the test host has been closed");
    return this.bed;
  }

  private news(): { nowUs: number; events: readonly AppEvent[] } {
    return { nowUs: this.bed?.nowUs() ?? 0, events: this.bed?.drainEvents() ?? [] };
  }

  private answer(id: number, outcome: { result: unknown } | { error: { code: FailureCode; message: string } }): void {
    this.reply({ host: this.host, id, ...outcome, ...this.news() });
  }

  private start(operation: Operation, params: unknown): Outcome {
    const operations: { [O in Operation]: (given: Params<O>) => Outcome } = {
      create: (given) => {
        this.bed = this.native.createTestbed(given);
        return { value: null };
      },
      deploy: ({ app }) => {
        this.open.deploy(app, readFileSync(app.compiledPath));
        // Its instance starts in the next cycle, which is due.
        this.open.run(this.open.nowUs());
        return { value: null };
      },
      setLink: ({ toHost, fromHost }) => done(this.open.setLink(toHost, fromHost)),
      advance: ({ withinMs }) => ({ wait: NEVER, withinMs, isAdvance: true }),
      connect: ({ id, from, port, withinMs }) => {
        this.forgetLeft();
        this.open.connect(id, from, port);
        this.inboxes.set(id, new Inbox(this.open, id));
        return { wait: openWait(this.open, id), withinMs };
      },
      listen: ({ id, address, port }) => {
        this.places.set(id, formatEndpoint(address, port));
        return done(this.open.listen(id, address, port));
      },
      accept: ({ id, withinMs }) => {
        const wait = acceptWait(this.open, id, this.places.get(id) ?? "");
        const check = (): ReturnType<Wait["check"]> => {
          const accepted = wait.check() as { value: { id: number } } | undefined;
          if (accepted !== undefined) {
            this.inboxes.set(accepted.value.id, new Inbox(this.open, accepted.value.id));
          }
          return accepted;
        };
        return { wait: { ...wait, check }, withinMs };
      },
      read: ({ id, goal, withinMs }) => ({ wait: readWait(this.open, id, this.inboxOf(id), goal), withinMs }),
      write: ({ id, data, withinMs }) => {
        this.inboxOf(id);
        if (this.ended.has(id)) throw new OperationError("invalid", "the test has ended its side of the connection");
        return { wait: writeWait(this.open, id, data), withinMs };
      },
      end: ({ id, forget }) => {
        this.ended.add(id);
        if (forget) this.leaving.add(id);
        return done(this.open.end(id));
      },
      abort: ({ id }) => done(this.open.abort(id)),
      closed: ({ id, withinMs }) => ({ wait: closedWait(this.open, id), withinMs }),
      describe: ({ id }) => ({ value: describeConnection(this.open.state(id)) }),
      bind: ({ id, address, port }) => {
        this.places.set(id, formatEndpoint(address, port));
        return done(this.open.bind(id, address, port));
      },
      send: ({ id, port, data }) => {
        if (this.open.sendDatagram(id, port, data)) return { value: null };
        throw new OperationError("invalid", `a datagram of ${data.length} bytes cannot be sent: it is too long`);
      },
      receive: ({ id, withinMs }) => ({ wait: receiveWait(this.open, id, this.places.get(id) ?? ""), withinMs }),
      close: ({ id }) => done(this.forget(id)),
      stats: () => ({ value: this.stats() }),
      shutDown: () => {
        const left = this.open.shutDown();
        this.bed = undefined;
        for (const { id } of this.waiting) {
          this.answer(id, failure(new OperationError("closed", "the test host has been closed")));
        }
        this.waiting = [];
        if (left > 0) {
          throw new OperationError("internal", `${left} packet buffers were not given back: please report the test`);
        }
        return { value: null };
      },
    };
    return operations[operation](params as never);
  }

  private forget(id: number): void {
    this.inboxes.delete(id);
    this.places.delete(id);
    this.ended.delete(id);
    this.leaving.delete(id);
    this.open.close(id);
  }

  private forgetLeft(): void {
    for (const id of this.leaving) if (this.open.state(id)?.closed !== null) this.forget(id);
  }

  private inboxOf(id: number): Inbox {
    const inbox = this.inboxes.get(id);
    if (inbox === undefined) throw new OperationError("invalid", "there is no such connection: it was closed");
    return inbox;
  }

  private stats(): HostStats {
    const withoutTime = (counters: Record<string, number>): Record<string, number> =>
      Object.fromEntries(Object.entries(counters).filter(([name]) => !name.startsWith("tsc_")));
    const { worker, app } = this.open.counters();
    return { worker: withoutTime(worker), app: withoutTime(app), link: this.open.linkCounts() };
  }
}

const done = (_result: unknown): Outcome => ({ value: null });

function timeout({ wait, withinMs }: Waiting): OperationError {
  return new OperationError("timeout", `after ${withinMs / 1000} s of virtual time: ${wait.describe()}`);
}

function slow({ wait, deadlineUs, withinMs }: Waiting, nowUs: number): OperationError {
  const passed = (withinMs - (deadlineUs - nowUs) / 1000) / 1000;
  const what = wait.describe();
  const message = `${MAX_REAL_MS / 1000} s went by and only ${passed.toFixed(3)} s of ${withinMs / 1000} s of virtual time`;
  const advice = "does a timer of the handler fire all the time?";
  return new OperationError("timeout", `${message}: ${advice}${what === "" ? "" : ` (${what})`}`);
}

function failure(error: unknown): { error: { code: FailureCode; message: string } } {
  const code = error instanceof OperationError ? error.code : "invalid";
  return { error: { code, message: (error as Error).message } };
}
