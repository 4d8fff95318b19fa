/** What this control plane knows about apps beyond what is desired: how they do, and how to read their traps. */
import type { ModuleStore } from "../admit/store.js";
import type { AppEvent } from "../process/native.js";
import type { EventsMessage } from "../process/protocol.js";
import type { DesiredApp } from "./desired.js";
import { describeEvent, ENDINGS } from "./event-text.js";
import type { LogBook } from "./logs.js";
import { Symbols } from "./symbols.js";
import type { AppState } from "./types.js";

interface Known {
  tenant: string;
  name: string;
  storeKey: string;
  deployedUs: number;
  state: AppState;
  problem: string;
  failures: number;
  symbols: Promise<Symbols> | undefined;
}

/** Apps by id. An app that was removed stays until its id is given to another: its last events may be on their way. */
export class AppTable {
  private readonly known = new Map<number, Known>();
  private readonly watchers = new Set<(event: AppEvent) => void>();
  private queue: Promise<void> = Promise.resolve();

  constructor(
    private readonly store: ModuleStore,
    private readonly logs: LogBook,
  ) {}

  /** The app is to run from now on. The result takes that back. */
  set(app: DesiredApp): () => void {
    const before = this.known.get(app.id);
    const same = before !== undefined && before.tenant === app.tenant && before.name === app.manifest.name;
    this.known.set(app.id, {
      tenant: app.tenant,
      name: app.manifest.name,
      storeKey: app.storeKey,
      deployedUs: app.deployedUs,
      state: "waiting",
      problem: "",
      failures: same ? before.failures : 0,
      symbols: undefined,
    });
    return () => {
      if (before === undefined) this.known.delete(app.id);
      else this.known.set(app.id, before);
    };
  }

  setState(id: number, state: AppState, problem: string): void {
    const app = this.known.get(id);
    if (app === undefined) return;
    app.state = state;
    app.problem = problem;
  }

  get(id: number): { readonly state: AppState; readonly problem: string; readonly failures: number } {
    return this.known.get(id) ?? { state: "waiting", problem: "", failures: 0 };
  }

  /** The first event of app `id` that says how its start went, or undefined when there is none in time. */
  outcome(id: number, timeoutMs: number): Promise<AppEvent | undefined> {
    return new Promise((resolve) => {
      const end = (event: AppEvent | undefined): void => {
        clearTimeout(timer);
        this.watchers.delete(watcher);
        resolve(event);
      };
      const watcher = (event: AppEvent): void => {
        if (event.appId === id && (event.kind === "started" || ENDINGS.has(event.kind))) end(event);
      };
      const timer = setTimeout(end, timeoutMs, undefined);
      this.watchers.add(watcher);
    });
  }

  /** Takes events from the dataplane, in order. */
  receive({ events, lost }: EventsMessage): void {
    this.queue = this.queue.then(async () => {
      if (lost > 0) this.addHostLine("warn", `${lost} events were lost: they came faster than they were read`);
      for (const event of events) await this.take(event);
    });
  }

  addHostLine(level: "info" | "warn" | "error", text: string): void {
    this.logs.add({ timeUs: Date.now() * 1000, tenant: "", app: "", level, kind: "host", text, frames: [] });
  }

  private async take(event: AppEvent): Promise<void> {
    // The worker itself, of its addresses.
    if (event.appId === 0) return this.addHostLine(event.level === "debug" ? "info" : event.level, event.text);
    const app = this.known.get(event.appId);
    let text = event.text;
    let frames: Awaited<ReturnType<Symbols["place"]>>[] = [];
    if (event.kind !== "log") {
      const isOfThisModule = app !== undefined && event.timeUs >= app.deployedUs;
      const symbols = isOfThisModule && event.frames.length > 0 ? await this.symbolsOf(app) : undefined;
      frames = event.frames.map((frame) => (symbols ?? NO_SYMBOLS).place(frame));
      text = describeEvent(event, frames);
    }
    if (app !== undefined && ENDINGS.has(event.kind)) {
      app.failures++;
      app.problem = text;
      if (app.state === "running") app.state = "failing";
    } else if (app?.state === "failing" && event.kind === "started") {
      app.state = "running";
      app.problem = "";
    }
    this.logs.add({
      timeUs: event.timeUs,
      tenant: app?.tenant ?? "",
      app: app?.name ?? `#${event.appId}`,
      level: event.level,
      kind: event.kind,
      text,
      frames,
    });
    for (const watcher of this.watchers) watcher(event);
  }

  private symbolsOf(app: Known): Promise<Symbols> {
    app.symbols ??= this.store.maps(app.storeKey).then(({ offsets, sourceMap }) => new Symbols(offsets, sourceMap));
    return app.symbols;
  }
}

const NO_SYMBOLS = new Symbols(new Uint32Array(0), "");
