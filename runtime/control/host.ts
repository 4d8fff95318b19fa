/** A host: desired state, dataplane, logs and API together. */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { MAX_MODULE_BYTES, memoryPagesOf } from "../admit/admit.js";
import { ModuleStore } from "../admit/store.js";
import type { HostConfig } from "../config/host-config.js";
import { listensOf } from "../config/manifest.js";
import { type DataplaneClient, DataplaneError } from "../process/client.js";
import { CounterFile } from "../process/counters.js";
import type { PortSpec, TcpSpec, WorkerSpec } from "../process/native.js";
import { type DataplaneConfig, RUN_FILES } from "../process/protocol.js";
import { AdmissionQueue, type Admitted } from "./admission-queue.js";
import { type ApiServer, serveApi } from "./api.js";
import { appSpecOf } from "./app-spec.js";
import { AppTable } from "./app-table.js";
import { type DesiredApp, DesiredState } from "./desired.js";
import { HostError } from "./errors.js";
import { LogBook } from "./logs.js";
import { checkConflicts, checkedManifest, checkGrants, checkName, claimOf, granted, MAX_APPS } from "./policy.js";
import { reconcile, type WantedApp } from "./reconcile.js";
import { buildStats } from "./stats.js";
import { Supervisor } from "./supervisor.js";
import {
  type AppInfo,
  DEFAULT_TENANT,
  type DeployRequest,
  type DeployResult,
  type HostApi,
  type HostInfo,
  type LogLine,
  type LogQuery,
  type Stats,
} from "./types.js";
import { VERSION } from "./version.js";

const API_SOCKET = "api.sock";
const MTU_BYTES = 1500;
const MAX_SOURCE_MAP_BYTES = 16 * 1024 * 1024;
/** Compiled modules that are kept though nothing uses them. */
const STORE_BYTES = 1024 * 1024 * 1024;
/** How long a deploy waits to see its first instance start. */
const START_TIMEOUT_MS = 2_000;
const MAX_WAITING_CHANGES = 64;

export interface HostOptions {
  readonly config: HostConfig;
  /** For sockets, counters and the dataplane's log. */
  readonly runDirectory: string;
  /** For what outlives the host: desired state and compiled modules. */
  readonly stateDirectory: string;
  /** The dataplane goes on when this process ends without close(), and is adopted by the next one. */
  readonly persistent: boolean;
  /** The run directory is deleted by the dataplane when this process ends without close(). Its name begins with "weir-". */
  readonly temporary?: boolean;
  /** Where the API is served; api.sock in the run directory otherwise. */
  readonly socket?: string | undefined;
  /** Name or path of the network namespace of the port. */
  readonly networkNamespace?: string | undefined;
  readonly onLog?: (line: LogLine) => void;
  /** Entry scripts in place of weir's own. */
  readonly entries?: { readonly dataplane?: string; readonly admit?: string };
}

/** Starts a host, or takes over the dataplane that runs in the run directory. Rejects with HostError. */
export async function startHost(options: HostOptions): Promise<Host> {
  for (const directory of [options.runDirectory, options.stateDirectory]) {
    await mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: Error) => {
      const hint = "be root, or set state and [api] socket in a host.toml to folders of yours";
      throw new HostError("forbidden", `the folder ${directory} cannot be made: ${error.message}`, hint);
    });
  }
  return await Host.start(options);
}

/** What the kernel's side of the TAP gets. */
export function kernelAddressesOf(config: HostConfig): string[] {
  const { kernel_address, kernel_address_v6 } = config.port[0]!;
  return [kernel_address, kernel_address_v6].filter((each) => each !== undefined);
}

/** What the dataplane is started with. */
export function dataplaneConfigOf(options: Pick<HostOptions, "config" | "persistent" | "temporary">): DataplaneConfig {
  const { config } = options;
  const { workers, port: ports } = config;
  const given = ports[0]!;
  const port: PortSpec = {
    driver: given.driver,
    device: given.device,
    tenant: given.tenant ?? "",
    addresses: given.addresses,
    routes: [...given.gateways.map((via) => ({ to: via.includes(":") ? "::/0" : "0.0.0.0/0", via })), ...given.routes],
    nameServers: given.name_servers,
    vlanId: given.vlan ?? 0,
    dhcp: given.dhcp,
    acceptRa: given.accept_ra,
    detectConflicts: given.detect_conflicts,
    linkAddress: "",
    mtuBytes: MTU_BYTES,
    offload: given.offload,
  };
  const tcp: TcpSpec = {
    congestionControl: config.tcp.congestion_control,
    ecn: config.tcp.ecn,
    keepAliveMs: config.tcp.keep_alive_s * 1_000,
    userTimeoutMs: config.tcp.user_timeout_s * 1_000,
    timeWaitMs: config.tcp.time_wait_s * 1_000,
    synCookies: config.tcp.syn_cookies,
    hopLimit: config.tcp.hop_limit,
  };
  const worker: WorkerSpec = {
    batch: workers.batch,
    spinUs: workers.spin_us,
    cores: workers.cores.length > 0 ? workers.cores : Array(workers.count ?? 1).fill(-1),
    maxConnections: workers.connections,
  };
  return { port, tcp, worker, persistent: options.persistent, temporary: options.temporary === true };
}

/** A running host. */
export class Host implements HostApi {
  /** Resolves when the host has ended, whoever ended it. */
  readonly closed: Promise<void>;
  readonly socket: string;
  private readonly logBook = new LogBook();
  private readonly table: AppTable;
  private readonly admission: AdmissionQueue;
  private supervisor!: Supervisor;
  private api!: ApiServer;
  private readonly followed = new AbortController();
  private changes: Promise<unknown> = Promise.resolve();
  private waitingChanges = 0;
  private closing: Promise<void> | undefined;
  private markClosed!: () => void;

  private constructor(
    private readonly options: HostOptions,
    private readonly desired: DesiredState,
    private readonly store: ModuleStore,
  ) {
    this.socket = options.socket ?? join(options.runDirectory, API_SOCKET);
    this.table = new AppTable(store, this.logBook);
    this.admission = new AdmissionQueue(store, options.entries?.admit ? { entry: options.entries.admit } : {});
    this.closed = new Promise((resolve) => {
      this.markClosed = resolve;
    });
  }

  static async start(options: HostOptions): Promise<Host> {
    const desired = await DesiredState.open(options.stateDirectory);
    const store = await ModuleStore.open(join(options.stateDirectory, "modules"), STORE_BYTES);
    const host = new Host(options, desired, store);
    if (options.onLog !== undefined) host.forward(options.onLog);
    // The API's socket is the lock: who has it is the host of this run directory.
    host.api = await serveApi(host, host.socket);
    try {
      host.supervisor = await Supervisor.start({
        config: dataplaneConfigOf(options),
        runDirectory: options.runDirectory,
        networkNamespace: options.networkNamespace,
        kernelAddresses: kernelAddressesOf(options.config),
        entry: options.entries?.dataplane,
        log: (level, text) => host.table.addHostLine(level, text),
        onEvents: (message) => host.table.receive(message),
        onUp: (client) => host.bringUp(client),
      });
    } catch (error) {
      await host.api.close();
      host.followed.abort();
      throw error;
    }
    host.api.open();
    return host;
  }

  async info(): Promise<HostInfo> {
    const { config, runDirectory, stateDirectory, persistent } = this.options;
    const port = config.port[0]!;
    return {
      version: VERSION,
      pid: process.pid,
      dataplane: this.dataplaneInfo(),
      port: {
        name: port.name,
        driver: port.driver,
        device: port.device,
        addresses: port.addresses,
        linkAddress: this.supervisor.current?.hello.portState.linkAddress ?? "",
        mtuBytes: this.supervisor.current?.hello.portState.mtuBytes ?? MTU_BYTES,
      },
      runDirectory,
      stateDirectory,
      persistent,
    };
  }

  async deploy(request: DeployRequest): Promise<DeployResult> {
    const startedMs = performance.now();
    const tenant = request.tenant ?? DEFAULT_TENANT;
    checkName("tenant", tenant);
    const manifest = checkedManifest(request.manifest);
    const { wasm, sourceMap = "" } = request;
    if (wasm.length > MAX_MODULE_BYTES) {
      const message = `the module has ${wasm.length} bytes; at most ${MAX_MODULE_BYTES} are possible`;
      throw new HostError("limit", message, "build without debug information");
    }
    if (Buffer.byteLength(sourceMap) > MAX_SOURCE_MAP_BYTES) {
      throw new HostError("limit", `the source map is larger than ${MAX_SOURCE_MAP_BYTES} bytes`, "leave it out");
    }
    const { limits, notes } = granted(this.options.config, tenant, manifest.limits);
    this.checkPolicy(tenant, manifest);
    const admitted = await this.admission.admit({
      wasm,
      sourceMap,
      memoryPages: memoryPagesOf(limits.memory_mib),
      engineVersion: this.supervisor.required.hello.engineVersion,
    });
    return await this.inOrder(async () => {
      // Others may have been deployed meanwhile.
      const id = this.checkPolicy(tenant, manifest);
      const client = this.supervisor.required;
      const app: DesiredApp = {
        id,
        tenant,
        manifest,
        storeKey: admitted.entry.key,
        moduleSha256: createHash("sha256").update(wasm).digest("hex"),
        deployedUs: Date.now() * 1000,
      };
      const replaced = this.desired.get(tenant, manifest.name) !== undefined;
      const outcome = request.wait === false ? undefined : this.table.outcome(id, START_TIMEOUT_MS);
      const wanted = this.wantedApp(app, admitted);
      // Known before it runs: its first events may come before the dataplane's answer.
      const restore = this.table.set(app);
      this.table.setState(id, "running", "");
      await client.deploy(wanted.spec, wanted.digest).catch((error: Error) => {
        restore();
        throw refusal(error);
      });
      await this.desired.put(app);
      await this.store.evict(this.storeKeys());
      await outcome;
      const info = (await this.list()).find((candidate) => candidate.id === id)!;
      const elapsedMs = performance.now() - startedMs;
      return { app: info, notes: [...notes, ...admitted.warnings], replaced, elapsedMs };
    });
  }

  async list(): Promise<AppInfo[]> {
    // "" stands for an address that is learned.
    const address = this.options.config.port[0]!.addresses[0]?.split("/")[0] ?? "";
    const client = this.supervisor.current;
    const connections = (await client?.connections().catch(() => [])) ?? [];
    return this.desired.all().map((app) => {
      const { state, problem, failures } = this.table.get(app.id);
      return {
        id: app.id,
        tenant: app.tenant,
        name: app.manifest.name,
        state: client === undefined ? "waiting" : state,
        problem: client === undefined ? "the dataplane is being started again" : problem,
        listens: listensOf(app.manifest).map((listen) => ({ ...listen, address })),
        connects: app.manifest.connect.map(({ to }) => to),
        limits: granted(this.options.config, app.tenant, app.manifest.limits).limits,
        connections: connections.find(({ appId }) => appId === app.id)?.open ?? 0,
        failures,
        deployedUs: app.deployedUs,
        moduleSha256: app.moduleSha256,
      };
    });
  }

  async remove(name: string, tenant = DEFAULT_TENANT): Promise<void> {
    await this.inOrder(async () => {
      const app = this.desired.get(tenant, name);
      if (app === undefined) throw this.notFound(name, tenant);
      await this.desired.remove(app.id);
      // Without a dataplane this is done by what brings it up again.
      await this.supervisor.current?.remove(app.id).catch((error: Error) => {
        throw refusal(error);
      });
    });
  }

  async *logs(query: LogQuery = {}): AsyncGenerator<LogLine> {
    const signals = query.signal === undefined ? [this.followed.signal] : [this.followed.signal, query.signal];
    yield* this.logBook.read({ ...query, signal: AbortSignal.any(signals) });
  }

  async stats(): Promise<Stats> {
    const { hello } = this.supervisor.required;
    const apps = await this.list();
    const path = join(this.options.runDirectory, RUN_FILES.counters);
    const file = new CounterFile(path, hello.counters, hello.appCounters, hello.config.worker.cores.length);
    try {
      const dataplane = this.dataplaneInfo();
      const { counters: descriptions, tscHz } = hello;
      return buildStats({ reading: file.read(), descriptions, tscHz, dataplane, apps });
    } finally {
      file.close();
    }
  }

  async stop(): Promise<void> {
    await this.close({ stopDataplane: true });
  }

  /** Ends the host; with `stopDataplane` the apps too. */
  close({ stopDataplane }: { stopDataplane: boolean }): Promise<void> {
    this.closing ??= (async () => {
      await this.supervisor.close(stopDataplane);
      this.followed.abort();
      await this.api.close();
      this.markClosed();
    })();
    return this.closing;
  }

  private dataplaneInfo(): HostInfo["dataplane"] {
    const hello = this.supervisor.current?.hello;
    return {
      state: hello === undefined ? "restarting" : "running",
      pid: hello?.pid ?? 0,
      engineVersion: hello?.engineVersion ?? "",
      startedUs: hello?.startedUs ?? 0,
      restarts: this.supervisor.restarts,
    };
  }

  /** Makes a dataplane that was adopted or started run what is desired, as far as the policy still allows it. */
  private bringUp(client: DataplaneClient): Promise<void> {
    return this.inOrder(async () => {
      const wanted: WantedApp[] = [];
      for (const app of this.desired.all()) {
        this.table.set(app);
        try {
          wanted.push(await this.prepare(app, client.hello.engineVersion));
          this.table.setState(app.id, "running", "");
        } catch (error) {
          this.notDeployed(app, (error as Error).message);
        }
      }
      const { removed, deployed, failures } = await reconcile(wanted, client.hello.apps, client);
      for (const app of this.desired.all()) {
        const failure = failures.get(app.id);
        if (failure !== undefined) this.notDeployed(app, failure);
      }
      if (removed + deployed > 0) this.table.addHostLine("info", `deployed ${deployed} apps, removed ${removed}`);
    });
  }

  private notDeployed(app: DesiredApp, why: string): void {
    this.table.setState(app.id, "waiting", why);
    this.table.addHostLine("error", `${app.tenant}/${app.manifest.name} is not deployed: ${why}`);
  }

  /** Checks the app against host.toml as it is now and compiles it anew where that is needed. */
  private async prepare(app: DesiredApp, engineVersion: string): Promise<WantedApp> {
    checkGrants(this.options.config, claimOf(app));
    const input = await this.store.input(app.storeKey);
    if (input === undefined) throw new HostError("internal", "its module is not in the store", "deploy it again");
    const { limits } = granted(this.options.config, app.tenant, app.manifest.limits);
    const memoryPages = memoryPagesOf(limits.memory_mib);
    const admitted = await this.admission.admit({ ...input, memoryPages, engineVersion });
    const moved = admitted.entry.key === app.storeKey ? app : { ...app, storeKey: admitted.entry.key };
    if (moved !== app) {
      await this.desired.put(moved);
      this.table.set(moved);
    }
    return this.wantedApp(moved, admitted);
  }

  private wantedApp(app: DesiredApp, { entry }: Admitted): WantedApp {
    const { limits } = granted(this.options.config, app.tenant, app.manifest.limits);
    const spec = appSpecOf({ ...app, limits, compiledPath: entry.compiledPath });
    return { spec, digest: createHash("sha256").update(JSON.stringify(spec)).digest("hex") };
  }

  /** The id the app has or gets. Throws HostError when it may not be deployed. */
  private checkPolicy(tenant: string, manifest: DesiredApp["manifest"]): number {
    const claim = claimOf({ tenant, manifest });
    checkGrants(this.options.config, claim);
    const others = this.desired.all().filter((app) => app.tenant !== tenant || app.manifest.name !== manifest.name);
    checkConflicts(claim, others.map(claimOf));
    const id = this.desired.get(tenant, manifest.name)?.id ?? this.desired.freeId();
    if (id === undefined) {
      throw new HostError("limit", `${MAX_APPS} apps run already`, "remove one first: weir rm NAME");
    }
    return id;
  }

  private storeKeys(): ReadonlySet<string> {
    return new Set(this.desired.all().map(({ storeKey: key }) => key));
  }

  private notFound(name: string, tenant: string): HostError {
    const elsewhere = this.desired.all().find((app) => app.manifest.name === name);
    const hint = elsewhere === undefined ? "weir ls shows what runs" : `did you mean --tenant ${elsewhere.tenant}?`;
    return new HostError("not_found", `the tenant "${tenant}" has no app "${name}"`, hint);
  }

  /** Changes happen one after another. */
  private async inOrder<T>(change: () => Promise<T>): Promise<T> {
    if (this.waitingChanges >= MAX_WAITING_CHANGES) {
      throw new HostError("busy", `${MAX_WAITING_CHANGES} changes wait already`, "try again in a moment");
    }
    this.waitingChanges++;
    const result = this.changes.then(change);
    this.changes = result.catch(() => undefined);
    try {
      return await result;
    } finally {
      this.waitingChanges--;
    }
  }

  private async forward(onLog: (line: LogLine) => void): Promise<void> {
    for await (const line of this.logs({ follow: true })) onLog(line);
  }
}

/** The dataplane's answer as a host's. */
function refusal(error: Error): HostError {
  if (!(error instanceof DataplaneError)) return new HostError("internal", error.message);
  if (error.code === "rejected") return new HostError("refused", `the dataplane refused: ${error.message}`);
  if (error.code === "timeout") return new HostError("timeout", error.message);
  return new HostError("unavailable", error.message, "try again in a moment; see weir logs");
}
