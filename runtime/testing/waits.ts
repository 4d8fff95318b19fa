/** What a test waits for at one of its peers: each is asked again whenever something has happened. */
import { isIPv6 } from "node:net";
import type { PeerConnectionState, Testbed } from "../process/native.js";
import { type FailureCode, MAX_DATA_BYTES, type ReadGoal } from "./protocol.js";

/** Why an operation of a test failed. */
export class OperationError extends Error {
  constructor(
    readonly code: FailureCode,
    message: string,
  ) {
    super(message);
    this.name = "OperationError";
  }
}

/** Something that is waited for. */
export interface Wait {
  /** The result, once it is there; throws OperationError when it will never be. */
  check(): { readonly value: unknown } | undefined;
  /** What is missing, for the message when the time is up. */
  describe(): string;
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** "10.44.0.2:80" or "[fd44::2]:80". */
export function formatEndpoint(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

/** A connection's state for people. */
export function describeConnection(state: PeerConnectionState | null): string {
  if (state === null) return "the connection was closed by the test";
  const host = formatEndpoint(state.remoteAddress, state.remotePort);
  const sent = `${plural(state.writtenBytes, "byte")} written (${state.acknowledgedBytes} acknowledged)`;
  const received = `${plural(state.receivedBytes, "byte")} received`;
  const ended = state.ended ? ", the handler has ended its side" : "";
  const how = state.closed === null ? `is ${state.tcpState ?? "not open"}` : `is over: ${state.closed}`;
  const window = state.tcpState === "ESTABLISHED" && state.sendWindowBytes === 0 ? ", its window is closed" : "";
  return `the connection with ${host} ${how}: ${sent}, ${received}${ended}${window}`;
}

/** The bytes of one connection on their way to the test. */
export class Inbox {
  private parts: Buffer[] = [];
  private length = 0;
  /** No delimiter begins before this place. */
  private searched = 0;

  constructor(
    private readonly bed: Testbed,
    private readonly id: number,
  ) {}

  /** Takes what has come, which opens the window for more. Only for somebody who waits for it. */
  private pull(): void {
    const bytes = this.bed.take(this.id);
    if (bytes.length === 0) return;
    this.bed.consume(this.id, bytes.length);
    this.parts.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    this.length += bytes.length;
  }

  private whole(): Buffer {
    if (this.parts.length !== 1) this.parts = [Buffer.concat(this.parts)];
    return this.parts[0]!;
  }

  private shift(bytes: number): Uint8Array {
    const all = this.whole();
    this.parts = [all.subarray(bytes)];
    this.length -= bytes;
    this.searched = 0;
    return new Uint8Array(all.subarray(0, bytes));
  }

  /** What the goal asks for, if it has come. `over`: nothing more will come. */
  read(goal: ReadGoal, over: boolean): Uint8Array | undefined {
    this.pull();
    if (this.length > MAX_DATA_BYTES) {
      throw new OperationError("invalid", `more than ${MAX_DATA_BYTES} bytes came: read them in pieces`);
    }
    if (goal.until !== undefined) {
      const at = this.whole().indexOf(goal.until, this.searched);
      if (at >= 0) return this.shift(at + goal.until.length);
      this.searched = Math.max(0, this.length - goal.until.length + 1);
      return undefined;
    }
    if (goal.bytes !== undefined) return this.length >= goal.bytes ? this.shift(goal.bytes) : undefined;
    if (goal.toEnd === true) return over ? this.shift(this.length) : undefined;
    return this.length > 0 || over ? this.shift(this.length) : undefined;
  }

  /** The beginning of what waits, for a message. */
  excerpt(): string {
    if (this.length === 0) return "";
    const text = this.whole().subarray(0, 200).toString("latin1");
    return `; what has come begins with ${JSON.stringify(text)}`;
  }
}

const goalText = (goal: ReadGoal): string => {
  if (goal.until !== undefined) return `${JSON.stringify(Buffer.from(goal.until).toString("latin1"))}`;
  if (goal.bytes !== undefined) return plural(goal.bytes, "byte");
  return goal.toEnd === true ? "the end of the stream" : "any byte";
};

/** The connection is established. */
export function openWait(bed: Testbed, id: number): Wait {
  const state = (): PeerConnectionState | null => bed.state(id);
  return {
    check() {
      const now = state();
      if (now?.opened === true) return { value: { address: now.remoteAddress, port: now.remotePort } };
      if (now === null || now.closed !== null) {
        const why = now?.closed === "refused" ? "refused: does the app listen there?" : (now?.closed ?? "closed");
        throw new OperationError("closed", `the connection was not established: ${why}`);
      }
      return undefined;
    },
    describe: () => `the connection was not established: ${describeConnection(state())}`,
  };
}

/** Bytes come. */
export function readWait(bed: Testbed, id: number, inbox: Inbox, goal: ReadGoal): Wait {
  return {
    check() {
      const now = bed.state(id);
      if (now === null) throw new OperationError("closed", "the connection was closed by the test");
      const broken = now.closed !== null && now.closed !== "finished";
      const bytes = inbox.read(goal, now.ended && !broken);
      if (bytes !== undefined) return { value: bytes };
      if (broken) {
        const message = `${describeConnection(now)}, before ${goalText(goal)} came${inbox.excerpt()}`;
        throw new OperationError("closed", message);
      }
      if (!now.ended) return undefined;
      throw new OperationError("closed", `the stream ended before ${goalText(goal)} came${inbox.excerpt()}`);
    },
    describe: () => `${goalText(goal)} did not come: ${describeConnection(bed.state(id))}${inbox.excerpt()}`,
  };
}

/** TCP has taken all bytes. */
export function writeWait(bed: Testbed, id: number, data: Uint8Array): Wait {
  let written = 0;
  return {
    check() {
      written += bed.write(id, data.subarray(written));
      if (written === data.length) return { value: null };
      const now = bed.state(id);
      if (now === null || now.closed !== null) {
        throw new OperationError("closed", `${describeConnection(now)}; ${data.length - written} bytes were not sent`);
      }
      return undefined;
    },
    describe: () => `${data.length - written} bytes could not be sent: ${describeConnection(bed.state(id))}`,
  };
}

/** The connection is over, for whatever reason. */
export function closedWait(bed: Testbed, id: number): Wait {
  return {
    check() {
      const now = bed.state(id);
      if (now === null) return { value: "aborted" };
      return now.closed === null ? undefined : { value: now.closed };
    },
    describe: () => `the connection did not end: ${describeConnection(bed.state(id))}`,
  };
}

/** The handler connects. */
export function acceptWait(bed: Testbed, id: number, where: string): Wait {
  return {
    check() {
      const accepted = bed.accept(id);
      if (accepted === 0) return undefined;
      const { remoteAddress: address, remotePort: port } = bed.state(accepted)!;
      return { value: { id: accepted, address, port } };
    },
    describe: () => `the handler did not connect to ${where}: is it listed in [[connect]]?`,
  };
}

/** A datagram comes. */
export function receiveWait(bed: Testbed, id: number, where: string): Wait {
  return {
    check() {
      const datagram = bed.receiveDatagram(id);
      return datagram === null ? undefined : { value: datagram };
    },
    describe: () => `no datagram came to ${where}`,
  };
}

/** Nothing but time. */
export const NEVER: Wait = { check: () => undefined, describe: () => "" };
