/** TCP handlers. */
import type { Bytes } from "./bytes";
export { Bytes } from "./bytes";

/** Why a connection is over. */
export declare enum Reason {
  /** Both sides closed and everything was acknowledged. */
  Finished = 0,
  /** The peer reset it. */
  Reset = 1,
  /** This side reset it. */
  Aborted = 2,
  /** The peer did not answer in time. */
  TimedOut = 3,
  /** The peer refused the connection. */
  Refused = 4,
  /** No route, or no answer from the next hop. */
  Unreachable = 5,
  /** A limit of the app or the host was reached. */
  Limit = 6,
  /** The address is not listed in [[connect]]. */
  Forbidden = 7,
  /** More was sent than may be unacknowledged at once. */
  SendLimit = 8,
  /** The host is taking the app down. */
  Shutdown = 9,
  /** The host had no buffer left. */
  NoMemory = 10,
  /** The name has no address, or no name server answered. */
  Unresolved = 11,
}

/** One TCP connection. A handler extends it and says what happens. */
export declare class Connection {
  /** Whether a former instance of the app had this connection (the handler was deployed anew or has failed). */
  inherited: bool;
  /** The peer as ADDRESS:PORT, IPv6 in brackets. */
  get remote(): string;
  /** Whether the connection is over, or never came to be. */
  get isClosed(): bool;
  /** Bytes sent and, as far as is known, not acknowledged. Known to about 16 KiB. */
  get queuedBytes(): u32;

  /** The connection is established. */
  onOpen(): void;
  /** Bytes have come. What is not sent on or kept is given back when this returns. */
  onData(data: Bytes): void;
  /** The peer has sent all that it will. Unless overridden, ends the connection. */
  onEnd(): void;
  /** The connection is over. */
  onClose(why: Reason): void;
  /** After a send was refused: there is room again. */
  onDrain(): void;

  /**
   * Sends bytes. Received bytes are sent as they are and stay held until they are acknowledged, so a slow receiver slows
   * the sender. False if the connection is closing or too much is unacknowledged: then nothing is sent, and onDrain tells
   * when there is room.
   */
  send(data: Bytes): bool;
  /** Sends a text as UTF-8. False as in send(). */
  text(text: string): bool;
  /**
   * Sends `length` bytes of the handler's own memory, which must stay as they are until the batch is over: the host reads
   * them then. False as in send().
   */
  sendFrom(address: usize, length: u32): bool;
  /**
   * Has onDrain called as soon as at most `bytes` of what was sent are unacknowledged; in the next batch, if that is so
   * already. For who wants to have less on the way than the limit at which sends are refused, or to go on in a later batch.
   */
  drainTo(bytes: u32): void;
  /** Sends nothing more: the peer is told after what is queued. */
  end(): void;
  /** Ends the connection at once; the peer gets a reset. */
  abort(): void;
  /** Aborts the connection when nothing was sent or received for so long. 0 switches it off. */
  timeout(ms: u32): void;
}

/** Makes a `T` for every connection to the [[listen]] entry `name`. "main" is also the only entry with tcp. */
export declare function listen<T extends Connection>(name?: string): void;

/**
 * Connects to ADDRESS:PORT or NAME:PORT, which [[connect]] has to list; a name as it is written there. The object can be
 * sent to at once.
 */
export declare function connect<T extends Connection>(to: string): T;
