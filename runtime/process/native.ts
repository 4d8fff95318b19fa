/** The addon's interface, and the one place that loads it. */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { Driver } from "../config/host-config.js";

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
  readonly driver: Driver;
  /** Name of an interface, path of a socket or address of a card. */
  readonly device: string;
  /** Whose alone the port is; "" where tenants share it. */
  readonly tenant: string;
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

export interface TcpSpec {
  readonly congestionControl: "cubic" | "newreno";
  /** Whether connections out ask for ECN. */
  readonly ecn: boolean;
  /** Silence before a peer is probed; 0 for never. */
  readonly keepAliveMs: number;
  /** How long bytes may stay unacknowledged; 0: until retransmission gives up. */
  readonly userTimeoutMs: number;
  readonly timeWaitMs: number;
  readonly synCookies: boolean;
  /** Time to live of IPv4 packets. */
  readonly hopLimit: number;
}

/** The workers, all alike. */
export interface WorkerSpec {
  /** Largest number of frames taken in one cycle. */
  readonly batch: number;
  /** How long an idle worker spins before it sleeps, microseconds. */
  readonly spinUs: number;
  /** A worker for each, pinned to this CPU; -1 for any. 1 to 64. */
  readonly cores: readonly number[];
  /** Of one worker. */
  readonly maxConnections: number;
}

export interface ListenSpec {
  readonly name: string;
  readonly protocol: "http" | "tcp" | "udp";
  readonly port: number;
}

interface ConnectTarget {
  /** As written in weir.toml; what the guest sees. */
  readonly to: string;
  readonly port: number;
}

/** To a numeric address, or to the name of a host. */
export type ConnectSpec = ConnectTarget &
  ({ readonly address: string; readonly host?: never } | { readonly host: string; readonly address?: never });

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

/** One dataplane: a port, worker threads, and the apps on them. One per process life, because of DPDK. */
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

/** What one direction of a simulated link does to frames. Probabilities are those of one frame. */
export interface LinkSpec {
  /** 0 for as fast as it likes. */
  readonly rateMbitS: number;
  readonly delayMs: number;
  /** Up to this much later, at random; frames stay in order. */
  readonly jitterMs: number;
  /** Frames that may wait for the rate; more are lost. */
  readonly queueFrames: number;
  readonly loss: number;
  readonly duplication: number;
  readonly corruption: number;
  /** A frame that is reordered comes up to `reorderingMs` later. */
  readonly reordering: number;
  readonly reorderingMs: number;
  /** Nothing passes. */
  readonly partitioned: boolean;
}

/** What became of the frames of one direction. */
export interface LinkCounts {
  readonly delivered: number;
  readonly lost: number;
  readonly queueFull: number;
  readonly partitioned: number;
  readonly duplicated: number;
  readonly corrupted: number;
  readonly reordered: number;
}

/** A TCP connection as the test's peer sees it. */
export interface PeerConnectionState {
  readonly opened: boolean;
  /** The host has sent all it will. */
  readonly ended: boolean;
  /** Why it is over; null while it is not. */
  readonly closed: string | null;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Received and not yet taken. */
  readonly waitingBytes: number;
  readonly receivedBytes: number;
  readonly writtenBytes: number;
  readonly acknowledgedBytes: number;
  /** In the spelling of RFC 9293: "ESTABLISHED"; null when there is none any more. */
  readonly tcpState: string | null;
  readonly sendWindowBytes: number;
  /** 0 before the first measurement. */
  readonly roundTripUs: number;
}

/**
 * A host for tests: a real worker on a virtual clock, and the test's peers at the other end of a simulated link. Time
 * passes in `run` only. Ids of connections, sockets and listeners are the caller's choice, below 2^31.
 */
export interface Testbed {
  /** Puts an app on the host, or replaces it; `compiled` is what compile made. Throws with what is wrong. */
  deploy(app: AppSpec, compiled: Uint8Array): void;
  setLink(toHost: LinkSpec, fromHost: LinkSpec): void;
  nowUs(): number;
  /** Lets time pass: until something happened at a peer, until `untilUs`, or as long as one call should take. */
  run(untilUs: number): "stirred" | "reached" | "paused";
  connect(id: number, from: string, port: number): void;
  listen(id: number, address: string, port: number): void;
  bind(id: number, address: string, port: number): void;
  /** How many of the bytes TCP took. */
  write(id: number, bytes: Uint8Array): number;
  /** What was received and not taken yet. */
  take(id: number): Uint8Array;
  /** The window opens for bytes that were taken. */
  consume(id: number, bytes: number): void;
  end(id: number): void;
  abort(id: number): void;
  /** Id of the oldest connection that waits at a listener; 0 for none. */
  accept(id: number): number;
  /** null for an id that nothing has. */
  state(id: number): PeerConnectionState | null;
  /** false when it is too long. */
  sendDatagram(id: number, port: number, bytes: Uint8Array): boolean;
  receiveDatagram(id: number): { address: string; port: number; data: Uint8Array } | null;
  /** Forgets what has this id; a connection is reset. */
  close(id: number): void;
  drainEvents(): AppEvent[];
  counters(): { worker: Record<string, number>; app: Record<string, number> };
  linkCounts(): { toHost: LinkCounts; fromHost: LinkCounts; overflowed: number };
  /** Ends everything; returns how many packet buffers were not given back, which should be none. */
  shutDown(): number;
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
   * Opens the port and starts the workers. `countersPath` is created: 64-bit little-endian words, for each worker first
   * its own counters, then for each app id (from 0 to 255) the app's counters there.
   */
  startDataplane(spec: { port: PortSpec; tcp: TcpSpec; worker: WorkerSpec; countersPath: string }): Promise<Dataplane>;
  /** A host on a virtual clock. `seed` is a safe integer; `capturePath` takes a pcap file, "" for none. */
  createTestbed(spec: {
    seed: number;
    addresses: readonly string[];
    wallStartUs: number;
    capturePath: string;
  }): Testbed;
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
