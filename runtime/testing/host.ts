/** A host on a virtual clock that runs one app, and the peers that a test plays. */
import { isIP, isIPv4 } from "node:net";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { memoryPagesOf } from "../admit/admit.js";
import { type Manifest, readManifest } from "../config/manifest.js";
import { appSpecOf } from "../control/app-spec.js";
import { describeEvent, ENDINGS } from "../control/event-text.js";
import { Symbols } from "../control/symbols.js";
import { DEFAULT_TENANT } from "../control/types.js";
import type { AppEvent, AppSpec, ListenSpec } from "../process/native.js";
import { Connection, Listener, type Patience, patienceMs, UdpSocket } from "./connection.js";
import { type RequestOptions, readResponse, requestBytes } from "./http.js";
import { Link, type LinkOptions } from "./link.js";
import { ModuleCache } from "./module-cache.js";
import { type HostChannel, HostProcess, TestHostError } from "./process.js";
import type { HostStats } from "./protocol.js";

/** Where weir is, and where a test's peers are unless it says otherwise: the same as in a playground. */
const HOST_ADDRESS = "10.44.0.2";
const HOST_ADDRESS_V6 = "fd44::2";
const PEER_ADDRESS = "10.44.0.1";
/** 2026-01-01: the time of day at which every test begins, unless it says otherwise. */
const START_OF_TESTS_MS = Date.UTC(2026, 0, 1);
/** Lines and failures that are kept, each. */
const MAX_KEPT = 10_000;
const FIRST_UDP_PORT = 40_000;
const APP_ID = 1;

/** What a test changes about its app. */
export interface AppOptions {
  /** In place of those in weir.toml, or besides them. */
  readonly vars?: Readonly<Record<string, string>>;
  /** Optimized, as a host would get it; the default builds faster and runs slower. */
  readonly release?: boolean;
}

/** How to start a host. */
export interface HostOptions extends AppOptions {
  /** The app's folder, as a path or file: URL; a test beside its handler says import.meta.dirname. */
  readonly app: string | URL;
  /** Of all that is drawn by lot: losses, sequence numbers, the handler's Math.random. Default 1. */
  readonly seed?: number;
  /** What the link does to frames; it is perfect otherwise. */
  readonly link?: LinkOptions;
  /** The host's IPv4 address. Default 10.44.0.2; its IPv6 address is fd44::2. */
  readonly address?: string;
  /** The time of day at the start. Default: the beginning of 2026, UTC. */
  readonly startAt?: Date;
  /** A file that all frames at the host's port are written to, for tcpdump and Wireshark. */
  readonly capture?: string;
}

/** Whom a connection comes from, and how long it may take to be established. */
export interface ConnectOptions extends Patience {
  /** Any address of either family. Default 10.44.0.1. */
  readonly from?: string;
}

/** A line that the handler logged. */
export interface LogLine {
  /** Virtual time since the start of the host, milliseconds. */
  readonly timeMs: number;
  readonly level: AppEvent["level"];
  readonly text: string;
}

/** The end of an instance. */
export interface HandlerFailure {
  readonly timeMs: number;
  readonly kind: AppEvent["kind"];
  /** What happened, with file and line. */
  readonly text: string;
}

const cache = new ModuleCache();
const processes = new HostProcess();

/** Starts a host with an app. Rejects with what is wrong with the app, and when its handler does not start. */
export async function host(options: HostOptions): Promise<TestHost> {
  return await TestHost.start(options);
}

function checkedAddress(address: string, what: string): string {
  if (isIP(address) !== 0) return address;
  throw new TestHostError("invalid", `${what} is an IP address, not ${JSON.stringify(address)}`);
}

function checkedPort(port: number): number {
  if (Number.isInteger(port) && port >= 1 && port <= 65535) return port;
  throw new TestHostError("invalid", `a port is a number from 1 to 65535, not ${String(port)}`);
}

/** A running host. All its operations may be used side by side: time passes when all of them wait. */
export class TestHost {
  /** What happens to frames between the peers and the host; may be changed at any time. */
  readonly link: Link;
  private readonly channel: HostChannel & { release(): void };
  private readonly logLines: LogLine[] = [];
  private readonly endings: HandlerFailure[] = [];
  private symbols = new Symbols(new Uint32Array(0), "");
  private listens: readonly ListenSpec[] = [];
  private restartCount = 0;
  private failedSinceStart = false;
  private virtualUs = 0;
  private startUs: number | undefined;
  private nextId = 1;
  private nextUdpPort = FIRST_UDP_PORT;
  private closing: Promise<void> | undefined;
  private readonly wallStartUs: number;

  private constructor(private readonly options: HostOptions) {
    this.wallStartUs = (options.startAt?.getTime() ?? START_OF_TESTS_MS) * 1000;
    const listener = { onNews: (nowUs: number, events: readonly AppEvent[]) => this.takeNews(nowUs, events) };
    this.channel = processes.open(listener, cache.temporaryFolder);
    this.link = new Link((toHost, fromHost) => {
      // Requests keep their order: whatever is sent from here on meets the new link.
      this.channel.call("setLink", { toHost, fromHost }).catch(() => undefined);
    });
  }

  static async start(options: HostOptions): Promise<TestHost> {
    const { seed = 1, address = HOST_ADDRESS, capture = "" } = options;
    if (!Number.isSafeInteger(seed)) throw new TestHostError("invalid", "seed is a whole number");
    if (!isIPv4(address)) throw new TestHostError("invalid", "address is an IPv4 address");
    const addresses = [address, HOST_ADDRESS_V6];
    const prepared = await prepare(options, options);
    const self = new TestHost(options);
    try {
      const { wallStartUs } = self;
      await self.channel.call("create", { seed, addresses, wallStartUs, capturePath: capture && resolve(capture) });
      self.link.set(options.link ?? {});
      await self.deploy(prepared);
    } catch (error) {
      await self.close().catch(() => undefined);
      throw error;
    }
    return self;
  }

  /** Virtual time since the start, milliseconds. */
  get nowMs(): number {
    return (this.virtualUs - (this.startUs ?? this.virtualUs)) / 1000;
  }

  /** What the handler logged, oldest first. */
  get logs(): readonly LogLine[] {
    return this.logLines;
  }

  /** Instances that ended by a trap, by taking too long or by breaking the contract. */
  get failures(): readonly HandlerFailure[] {
    return this.endings;
  }

  /** How often an instance was started in the place of one that failed. */
  get restarts(): number {
    return this.restartCount;
  }

  /** Lets virtual time pass. */
  async advance(milliseconds: number): Promise<void> {
    await this.channel.call("advance", { withinMs: patienceMs({ withinMs: milliseconds }) });
  }

  /** Opens a TCP connection to a port of the host, or to the `[[listen]]` of that name; default is the only one. */
  async connect(to?: number | string, options: ConnectOptions = {}): Promise<Connection> {
    const port = this.portOf(to, "tcp");
    const from = checkedAddress(options.from ?? PEER_ADDRESS, "from");
    const id = this.nextId++;
    const remote = await this.channel.call("connect", { id, from, port, withinMs: patienceMs(options) });
    return new Connection(this.channel, id, remote);
  }

  /** Makes an HTTP request on a connection of its own, to the app's HTTP port unless `to` names another. */
  async fetch(
    path: string,
    options: RequestOptions & ConnectOptions & { to?: number | string } = {},
  ): Promise<Response> {
    const request = requestBytes(path, options);
    const connection = await this.connect(this.portOf(options.to, "http"), options);
    const patience = { withinMs: patienceMs(options) };
    await connection.write(request, patience);
    const response = await readResponse(connection, options.method ?? "GET", patience);
    await connection.leave();
    return response;
  }

  /** A UDP port of a peer; a free one unless `port` names it. */
  udp(options: { readonly address?: string; readonly port?: number } = {}): UdpSocket {
    const address = checkedAddress(options.address ?? PEER_ADDRESS, "address");
    const port = checkedPort(options.port ?? this.nextUdpPort++);
    const id = this.nextId++;
    const ready = this.channel.call("bind", { id, address, port });
    return new UdpSocket(this.channel, id, ready, (to) => this.portOf(to, "udp"));
  }

  /** Serves a TCP port at any address, for handlers that connect out. */
  listen(address: string, port: number): Listener {
    const id = this.nextId++;
    const params = { id, address: checkedAddress(address, "address"), port: checkedPort(port) };
    return new Listener(this.channel, id, this.channel.call("listen", params));
  }

  /** Nothing passes the link any more; connections notice when their time is up. */
  partition(): void {
    this.link.partitioned = true;
  }

  /** The end of a partition. */
  heal(): void {
    this.link.partitioned = false;
  }

  /** Counters of the host, of the app on it, and of the link. */
  async stats(): Promise<HostStats> {
    return await this.channel.call("stats", {});
  }

  /** Deploys the app again, as it is now or with other vars: connections stay. */
  async redeploy(options: AppOptions = {}): Promise<void> {
    const { vars = {}, release } = this.options;
    const given = { ...(release !== undefined && { release }), ...options, vars: { ...vars, ...options.vars } };
    await this.deploy(await prepare(this.options, given));
  }

  /** Ends the host. Rejects when weir itself has lost packet buffers. */
  async close(): Promise<void> {
    this.closing ??= this.channel
      .call("shutDown", {})
      .then(() => undefined)
      .finally(() => {
        this.channel.end("the test host has been closed");
        this.channel.release();
      });
    await this.closing;
  }

  /** `await using weir = await host(...)`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private async deploy({ spec, symbols }: Prepared): Promise<void> {
    this.symbols = symbols;
    this.listens = spec.listens;
    this.failedSinceStart = false;
    const failures = this.endings.length;
    await this.channel.call("deploy", { app: spec });
    const failure = this.endings[failures];
    if (failure !== undefined) throw new TestHostError("handler", `the handler did not start: ${failure.text}`);
  }

  /** The port that `to` means. Throws TestHostError when that cannot be said. */
  private portOf(to: number | string | undefined, protocol: "tcp" | "http" | "udp"): number {
    if (typeof to === "number") return checkedPort(to);
    const fits = (listen: ListenSpec): boolean =>
      protocol === "tcp" ? listen.protocol !== "udp" : listen.protocol === protocol;
    const candidates = this.listens.filter((listen) => fits(listen) && (to === undefined || listen.name === to));
    if (candidates.length === 1) return candidates[0]!.port;
    const names = this.listens.filter(fits).map(({ name, port }) => `"${name}" (${port})`);
    const there = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
    const wanted =
      to === undefined ? `one ${protocol} [[listen]]` : `a ${protocol} [[listen]] named ${JSON.stringify(to)}`;
    throw new TestHostError("invalid", `the app does not have ${wanted}: ${there}`);
  }

  private takeNews(nowUs: number, events: readonly AppEvent[]): void {
    if (nowUs > 0) {
      this.startUs ??= nowUs;
      this.virtualUs = nowUs;
    }
    for (const event of events) {
      const timeMs = (event.timeUs - this.wallStartUs) / 1000;
      if (event.kind === "log") keep(this.logLines, { timeMs, level: event.level, text: event.text });
      if (event.kind === "started" && this.failedSinceStart) {
        this.restartCount++;
        this.failedSinceStart = false;
      }
      if (!ENDINGS.has(event.kind)) continue;
      this.failedSinceStart = true;
      const places = event.frames.map((frame) => this.symbols.place(frame));
      keep(this.endings, { timeMs, kind: event.kind, text: describeEvent(event, places) });
    }
  }
}

function keep<T>(items: T[], item: T): void {
  if (items.length >= MAX_KEPT) items.shift();
  items.push(item);
}

interface Prepared {
  readonly spec: AppSpec;
  readonly symbols: Symbols;
}

/** Builds the app, or finds it built. */
async function prepare({ app }: HostOptions, { vars = {}, release = false }: AppOptions): Promise<Prepared> {
  const given = app instanceof URL || app.startsWith("file:") ? fileURLToPath(app) : resolve(app);
  const directory = given.endsWith("weir.toml") ? dirname(given) : given;
  const read = await readManifest(directory);
  const manifest: Manifest = { ...read, vars: { ...read.vars, ...vars } };
  const { limits, main } = manifest;
  const module = await cache.get({ directory, main, release, memoryPages: memoryPagesOf(limits.memory_mib) });
  const { compiledPath, offsets, sourceMap } = module;
  const spec = appSpecOf({ id: APP_ID, tenant: DEFAULT_TENANT, manifest, limits, compiledPath });
  return { spec, symbols: new Symbols(offsets, sourceMap) };
}
