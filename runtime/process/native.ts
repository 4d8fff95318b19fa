/** The addon's interface, and the one place that loads it. */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** One counter: its name, its group and what it counts. */
export interface CounterDescription {
  readonly name: string;
  readonly group: string;
  readonly meaning: string;
}

/** Outcome of verify, rewrite and proof. */
export interface Admission {
  readonly admitted: boolean;
  /** JSON, see native/wasmtime/README.md. */
  readonly report: string;
  /** The rewritten module; absent when refused. */
  readonly module?: Uint8Array;
  /** Pairs (offset in the rewritten module, offset in the original), sorted; absent when refused. */
  readonly offsets?: Uint32Array;
}

/** Packets for the network `to` go to the neighbor `via`. */
export interface RouteSpec {
  readonly to: string;
  readonly via: string;
}

export interface PortSpec {
  readonly driver: "tap";
  /** Interface name as the kernel sees it. */
  readonly device: string;
  /** Our addresses with prefixes, e.g. "10.44.0.2/24" and "fd44::2/64". */
  readonly addresses: readonly string[];
  /** Which networks are reached through which neighbor; "0.0.0.0/0" and "::/0" are all others. */
  readonly routes: readonly RouteSpec[];
  /** Name servers, asked before those that are learned. */
  readonly nameServers: readonly string[];
  /** The VLAN of all frames; 0 for none. */
  readonly vlanId: number;
  /** An IPv4 address, its routes and name servers come by DHCP. */
  readonly dhcp: boolean;
  /** IPv6 addresses and routes come by router advertisements. */
  readonly acceptRa: boolean;
  /** IPv4 addresses are asked for before they are used (RFC 5227). */
  readonly detectConflicts: boolean;
  /** Our link address "02:..." or "" for one made up. */
  readonly linkAddress: string;
  readonly mtuBytes: number;
  /** Large packets and checksums are left to the kernel. */
  readonly offload: boolean;
}

export interface WorkerSpec {
  /** Largest number of frames taken in one cycle. */
  readonly batch: number;
  /** How long an idle worker spins before it sleeps, microseconds. */
  readonly spinUs: number;
  /** CPU to pin the worker to, or -1. */
  readonly core: number;
  readonly maxConnections: number;
}

export interface ListenSpec {
  readonly name: string;
  readonly protocol: "http" | "tcp" | "udp";
  readonly port: number;
}

export interface ConnectSpec {
  /** As written in weir.toml; what the guest sees. */
  readonly to: string;
  /** Numeric address. */
  readonly address: string;
  readonly port: number;
}

/** Everything the dataplane needs to run an app. */
export interface AppSpec {
  /** 1 to 255, chosen by the control plane; also the slot of the app's counters. */
  readonly id: number;
  readonly name: string;
  readonly tenant: string;
  /** Path of the compiled module. */
  readonly compiledPath: string;
  readonly listens: readonly ListenSpec[];
  readonly connects: readonly ConnectSpec[];
  readonly vars: readonly (readonly [string, string])[];
  /** Whole linear memory, windows included. */
  readonly memoryPages: number;
  readonly connections: number;
  /** Longest time one call may take. */
  readonly pollUs: number;
}

/** Something that happened to an app, or that it logged. */
export interface AppEvent {
  /** Counts up by one; a gap means that events were lost because nobody drained them. */
  readonly sequence: number;
  /** Time of day, microseconds. */
  readonly timeUs: number;
  readonly appId: number;
  readonly kind: "log" | "started" | "trapped" | "overran" | "violated" | "poisoned" | "start_failed" | "lines_dropped";
  readonly level: "debug" | "info" | "warn" | "error";
  readonly text: string;
  /** Where a trap happened, innermost first. */
  readonly frames: readonly {
    readonly functionIndex: number;
    readonly functionName: string;
    readonly moduleOffset: number;
  }[];
}

/** One dataplane: a port, a worker thread, and the apps on it. One per process life, because of DPDK. */
export interface Dataplane {
  /** Replaces an app of the same id (its connections stay), or adds it. Rejects with what is wrong. */
  deploy(app: AppSpec): Promise<void>;
  /** Resets the app's connections and frees everything of it. */
  remove(appId: number): Promise<void>;
  /** Takes the events that wait, oldest first. */
  drainEvents(): AppEvent[];
  /** Link address and MTU of the port. */
  portState(): { linkAddress: string; mtuBytes: number };
  /** Open connections of each app. */
  connections(): { appId: number; open: number }[];
  /** Ends the worker and frees everything. */
  stop(): Promise<void>;
}

export interface Native {
  engineVersion(): string;
  /** Counters of a worker, in the order in which they lie in the counter file. */
  counterDescriptions(): CounterDescription[];
  /** Counters of an app. */
  appCounterDescriptions(): CounterDescription[];
  /** Verify, rewrite, prove. Call it in a process of its own. Never throws for a bad module. */
  admit(module: Uint8Array, limits: { memoryPages: number }): Admission;
  /** Compiles an admitted, rewritten module. Throws with the engine's message. */
  compile(module: Uint8Array): Uint8Array;
  /**
   * Opens the port and starts the worker. `countersPath` is created: 64-bit little-endian words, first the worker's
   * counters, then for each app id (from 0 to 255) the app's counters.
   */
  startDataplane(spec: { port: PortSpec; worker: WorkerSpec; countersPath: string }): Promise<Dataplane>;
}

/** Loads the addon. Throws with advice when it has not been built. */
export function loadNative(): Native {
  const path = fileURLToPath(new URL("../../../native/build/weir.node", import.meta.url));
  try {
    return createRequire(import.meta.url)(path) as Native;
  } catch (error) {
    throw new Error(
      `The dataplane addon could not be loaded from ${path}. Run npm start or npm test once: it is built there.`,
      {
        cause: error,
      },
    );
  }
}
