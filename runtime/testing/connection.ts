/** What a test holds in its hands: connections, listeners and sockets of its peers. */
import type { HostChannel } from "./process.js";
import { TestHostError } from "./process.js";
import type { PeerEndpoint, ReadGoal } from "./protocol.js";

/** How long an operation waits, in virtual time. */
export interface Patience {
  /** Milliseconds of virtual time; default 30,000. */
  readonly withinMs?: number;
}

/** What a read waits for: the first bytes, unless one of these is given. */
export interface ReadOptions extends Patience {
  /** Up to and with this text. */
  readonly until?: string | Uint8Array;
  /** Exactly so many bytes. */
  readonly bytes?: number;
  /** Everything, to the end of the stream. */
  readonly toEnd?: boolean;
}

const DEFAULT_PATIENCE_MS = 30_000;
/** Virtual time that one operation may take, milliseconds: a year. */
const MAX_PATIENCE_MS = 365 * 24 * 3_600_000;

/** The virtual milliseconds of an operation. Throws TestHostError for what is none. */
export function patienceMs(options: Patience): number {
  const { withinMs = DEFAULT_PATIENCE_MS } = options;
  if (!(withinMs >= 0 && withinMs <= MAX_PATIENCE_MS)) {
    throw new TestHostError("invalid", `a time is a number of milliseconds from 0 to ${MAX_PATIENCE_MS}`);
  }
  return withinMs;
}

const bytesOf = (data: string | Uint8Array): Uint8Array =>
  typeof data === "string" ? new TextEncoder().encode(data) : data;

function goalOf({ until, bytes, toEnd }: ReadOptions): ReadGoal {
  if ([until, bytes, toEnd].filter((given) => given !== undefined).length > 1) {
    throw new TestHostError("invalid", "a read waits for one thing: until, bytes or toEnd");
  }
  if (until !== undefined) {
    if (until.length === 0) throw new TestHostError("invalid", "until is empty: every stream begins with that");
    return { until: bytesOf(until) };
  }
  if (bytes !== undefined) {
    if (!Number.isInteger(bytes) || bytes < 0) throw new TestHostError("invalid", "bytes is a whole number");
    return { bytes };
  }
  return toEnd === true ? { toEnd } : {};
}

/** Something of a peer's that has a number on the host. */
class Endpoint {
  constructor(
    protected readonly channel: HostChannel,
    protected readonly id: number,
    /** Rejects when it could not be made; nobody needs to wait for it. */
    protected readonly ready: Promise<unknown>,
  ) {
    ready.catch(() => undefined);
  }
}

/** A TCP connection between the host and a peer that the test plays. */
export class Connection extends Endpoint {
  constructor(
    channel: HostChannel,
    id: number,
    /** The host's end. */
    readonly remote: PeerEndpoint,
  ) {
    super(channel, id, Promise.resolve());
  }

  /** Sends text (as UTF-8) or bytes. Waits only while TCP has no room for them. */
  async write(data: string | Uint8Array, options: Patience = {}): Promise<void> {
    await this.channel.call("write", { id: this.id, data: bytesOf(data), withinMs: patienceMs(options) });
  }

  /**
   * Text (UTF-8) that the handler sent: by default what is there, once something is; "" at the end of the stream. What is
   * not read keeps the window closed, as with a slow client.
   */
  async read(options: ReadOptions = {}): Promise<string> {
    return new TextDecoder().decode(await this.readBytes(options));
  }

  /** The same as bytes. */
  async readBytes(options: ReadOptions = {}): Promise<Uint8Array> {
    return await this.channel.call("read", { id: this.id, goal: goalOf(options), withinMs: patienceMs(options) });
  }

  /** Sends FIN after what was written: the test has no more to say. It can still read. */
  async end(): Promise<void> {
    await this.channel.call("end", { id: this.id, forget: false });
  }

  /** end(), and then the connection is not used any more: it closes as time passes. */
  async leave(): Promise<void> {
    await this.channel.call("end", { id: this.id, forget: true });
  }

  /** Resets the connection. */
  async abort(): Promise<void> {
    await this.channel.call("abort", { id: this.id });
  }

  /**
   * Waits until the connection is over and says why: "finished" (both sides have ended), "reset" (the handler aborted or
   * failed), "aborted" (by the test), "timed out".
   */
  async closed(options: Patience = {}): Promise<string> {
    return await this.channel.call("closed", { id: this.id, withinMs: patienceMs(options) });
  }

  /** The state of the connection in a sentence, for messages. */
  async describe(): Promise<string> {
    return await this.channel.call("describe", { id: this.id });
  }

  /** Resets the connection if it is open, and forgets it. */
  async close(): Promise<void> {
    await this.channel.call("close", { id: this.id });
  }
}

/** A TCP port of a peer that the test serves, for handlers that connect out. */
export class Listener extends Endpoint {
  /** The next connection that the handler opens here. */
  async accept(options: Patience = {}): Promise<Connection> {
    await this.ready;
    const { id, ...remote } = await this.channel.call("accept", { id: this.id, withinMs: patienceMs(options) });
    return new Connection(this.channel, id, remote);
  }

  /** Refuses further connections and resets those that nobody accepted. */
  async close(): Promise<void> {
    await this.channel.call("close", { id: this.id });
  }
}

/** A datagram from the host. */
export interface ReceivedDatagram extends PeerEndpoint {
  readonly data: Uint8Array;
  /** The data as UTF-8. */
  readonly text: string;
}

/** A UDP port of a peer. */
export class UdpSocket extends Endpoint {
  constructor(
    channel: HostChannel,
    id: number,
    ready: Promise<unknown>,
    private readonly portOf: (to: number | string) => number,
  ) {
    super(channel, id, ready);
  }

  /** Sends a datagram to a port of the host, or to the `[[listen]]` of that name. */
  async send(to: number | string, data: string | Uint8Array): Promise<void> {
    await this.ready;
    await this.channel.call("send", { id: this.id, port: this.portOf(to), data: bytesOf(data) });
  }

  /** The next datagram. */
  async receive(options: Patience = {}): Promise<ReceivedDatagram> {
    await this.ready;
    const datagram = await this.channel.call("receive", { id: this.id, withinMs: patienceMs(options) });
    return { ...datagram, text: new TextDecoder().decode(datagram.data) };
  }

  /** Gives the port back. */
  async close(): Promise<void> {
    await this.channel.call("close", { id: this.id });
  }
}
