/**
 * A host for tests: runs a module in this process's own WebAssembly, by the letter of docs/abi.md, against connections that
 * are plain arrays. It is strict where the real host is lenient: a command that would be refused is recorded, and bytes
 * that were given back are overwritten, so that reading them later shows.
 */
import { INFO_CONFIG_STRINGS, KIND, layout } from "./layout.js";

export interface HostOptions {
  /** [[listen]] entries, such as { main: "tcp:7" }. */
  readonly listen?: Readonly<Record<string, string>>;
  readonly vars?: Readonly<Record<string, string>>;
  readonly memoryMib?: number;
  readonly sendLimitBytes?: number;
  readonly tickets?: number;
  /** Acknowledge what is sent at once (default), or when `acknowledge` is called. */
  readonly acknowledges?: boolean;
}

export interface Command {
  readonly kind: string;
  readonly handle: bigint;
  readonly flags: number;
  readonly bytes: number;
}

const COMMAND_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(layout.commandKinds).map(([name, value]) => [value, name]),
);

interface Held {
  readonly address: number;
  readonly bytes: number;
  left: number;
}

/** One peer of the module. */
export class Peer {
  cookie = 0;
  state: "opened" | "open" | "connecting" | "closed" = "opened";
  /** The module has sent FIN. */
  finished = false;
  aborted = false;
  readonly held: Held[] = [];
  private readonly chunks: Uint8Array[] = [];
  sentBytes = 0;
  acknowledgedBytes = 0;
  /** `sentBytes` after each send that asked to be told. */
  readonly notify: number[] = [];
  to = "";

  constructor(
    private readonly host: Host,
    readonly handle: bigint,
  ) {}

  /** Bytes come from the peer, as one event. */
  send(data: string | Uint8Array): this {
    this.host.receive(this, typeof data === "string" ? new TextEncoder().encode(data) : data);
    return this;
  }

  /** The peer has sent all. */
  end(): this {
    this.host.push({ kind: KIND.ended, peer: this });
    return this;
  }

  /** The connection is over. */
  close(reason = 0): this {
    this.host.push({ kind: KIND.closed, peer: this, reason });
    return this;
  }

  write(data: Uint8Array): void {
    this.chunks.push(data.slice());
    this.sentBytes += data.length;
  }

  /** All bytes that the module has sent, and forgets them. */
  take(): Uint8Array {
    const all = Buffer.concat(this.chunks);
    this.chunks.length = 0;
    return new Uint8Array(all);
  }

  /** The same as text, a byte a character. */
  text(): string {
    return Buffer.from(this.take()).toString("latin1");
  }

  get heldBytes(): number {
    return this.held.reduce((sum, held) => sum + held.left, 0);
  }
}

interface Event {
  readonly kind: number;
  readonly peer?: Peer;
  readonly flags?: number;
  readonly listen?: number;
  readonly data?: Uint8Array;
  readonly reason?: number;
  readonly port?: number;
  readonly deadlineUs?: bigint;
}

interface Exports {
  memory: WebAssembly.Memory;
  weir_abi: WebAssembly.Global;
  weir_start(): void;
  weir_poll(events: number): bigint;
}

/** An instance of a module and the world around it. */
export class Host {
  readonly exports: Exports;
  readonly logs: string[] = [];
  /** What the real host would have refused. */
  readonly refusals: string[] = [];
  readonly datagrams: { listen: number; port: number; data: Uint8Array }[] = [];
  readonly peers = new Map<bigint, Peer>();
  /** Commands of the last poll. */
  commands: Command[] = [];
  nowUs = 1_000_000n;
  deadlineUs = 0n;
  private events: Event[] = [];
  private nextHandle = 0x1_0000_0001n;
  private nextPacket = layout.packets;
  private readonly options: Required<HostOptions>;
  private tickets: bigint[] = [];

  constructor(wasm: Uint8Array | WebAssembly.Module, options: HostOptions = {}) {
    this.options = {
      listen: { main: "tcp:7" },
      vars: {},
      memoryMib: 8,
      sendLimitBytes: 1 << 20,
      tickets: 16,
      acknowledges: true,
      ...options,
    };
    const log = (level: string) => (text: number) => void this.logs.push(`${level}: ${this.string(text)}`);
    const compiled = wasm instanceof WebAssembly.Module ? wasm : new WebAssembly.Module(wasm as BufferSource);
    const instance = new WebAssembly.Instance(compiled, {
      weir: {
        log: (level: number, text: number, bytes: number) => {
          const name = ["debug", "info", "warn", "error"][level] ?? "?";
          this.logs.push(`${name}: ${Buffer.from(this.bytes(text, bytes)).toString()}`);
        },
      },
      env: {
        abort: (message: number, file: number, line: number, column: number) => {
          throw new Error(`${this.string(message)} at ${this.string(file)}:${line}:${column}`);
        },
        "console.log": log("log"),
        "console.warn": log("warn"),
        "console.error": log("error"),
        trace: (message: number, count: number, ...values: number[]) => {
          this.logs.push(`trace: ${this.string(message)} ${values.slice(0, count).join(" ")}`);
        },
        seed: () => 42,
        "Date.now": () => Number(this.nowUs / 1000n),
        "performance.now": () => Number(this.nowUs) / 1000,
      },
    });
    this.exports = instance.exports as unknown as Exports;
    const pages = layout.moduleBase / 65536 + this.options.memoryMib * 16;
    const now = this.exports.memory.buffer.byteLength / 65536;
    if (pages > now) this.exports.memory.grow(pages - now);
    this.writeInfo();
    this.exports.weir_start();
  }

  view(): DataView {
    return new DataView(this.exports.memory.buffer);
  }

  bytes(address: number, length: number): Uint8Array {
    return new Uint8Array(this.exports.memory.buffer, address, length);
  }

  private string(address: number): string {
    if (address === 0) return "";
    const bytes = this.view().getUint32(address - 4, true);
    return Buffer.from(this.bytes(address, bytes)).toString("utf16le");
  }

  private writeInfo(): void {
    const view = this.view();
    let text = layout.info + INFO_CONFIG_STRINGS;
    let record = layout.info + INFO_CONFIG_STRINGS / 2;
    const put = (value: string): [number, number] => {
      const bytes = new TextEncoder().encode(value);
      this.bytes(text, bytes.length).set(bytes);
      text += bytes.length;
      return [text - bytes.length, bytes.length];
    };
    view.setUint32(layout.info + 52, record, true);
    let count = 0;
    for (const [kind, entries] of [
      [1, this.options.listen],
      [3, this.options.vars],
    ] as const) {
      Object.entries(entries).forEach(([name, value], index) => {
        [kind, index, ...put(name), ...put(value)].forEach((field, i) => {
          view.setUint32(record + i * 4, field, true);
        });
        record += 24;
        ++count;
      });
    }
    view.setUint32(layout.info, 1, true);
    view.setUint32(layout.info + 36, this.exports.memory.buffer.byteLength, true);
    view.setUint32(layout.info + 40, this.options.sendLimitBytes, true);
    view.setUint32(layout.info + 48, count, true);
    view.setUint32(layout.info + 56, 10_000, true);
    this.refreshInfo();
  }

  private refreshInfo(): void {
    const view = this.view();
    view.setBigUint64(layout.info + 8, this.nowUs, true);
    view.setBigUint64(layout.info + 16, this.nowUs + 1_700_000_000_000_000n, true);
    while (this.tickets.length < this.options.tickets) this.tickets.push(this.nextHandle++);
    view.setUint32(layout.info + 44, this.tickets.length, true);
    this.tickets.forEach((ticket, i) => {
      view.setBigUint64(layout.info + 64 + i * 8, ticket, true);
    });
  }

  /** A peer connects. */
  connect(listen = 0, inherited = false): Peer {
    const peer = new Peer(this, this.nextHandle++);
    this.peers.set(peer.handle, peer);
    this.events.push({ kind: KIND.opened, peer, listen, flags: inherited ? 2 : 0, port: 40_000 });
    return peer;
  }

  /** A connection that the module asked for is established. */
  establish(peer: Peer): void {
    this.events.push({ kind: KIND.opened, peer, flags: 1, port: 9000 });
  }

  receive(peer: Peer, data: Uint8Array): void {
    this.events.push({ kind: KIND.received, peer, data });
  }

  datagram(data: Uint8Array, listen = 0): void {
    this.events.push({ kind: KIND.datagram, listen, data, port: 5353 });
  }

  push(event: Event): void {
    this.events.push(event);
  }

  /** Passes time and polls when a deadline comes. */
  advance(ms: number): void {
    const end = this.nowUs + BigInt(ms) * 1000n;
    while (this.deadlineUs !== 0n && this.deadlineUs <= end) {
      const deadlineUs = this.deadlineUs;
      if (deadlineUs > this.nowUs) this.nowUs = deadlineUs;
      this.deadlineUs = 0n;
      this.events.push({ kind: KIND.timer, deadlineUs });
      this.poll();
    }
    this.nowUs = end;
  }

  /** What is sent and not acknowledged becomes acknowledged, up to so many bytes of each peer. */
  acknowledge(limitBytes = Number.POSITIVE_INFINITY): void {
    for (const peer of this.peers.values()) {
      peer.acknowledgedBytes = Math.min(peer.sentBytes, peer.acknowledgedBytes + limitBytes);
      let told = false;
      while (peer.notify.length > 0 && (peer.notify[0] ?? 0) <= peer.acknowledgedBytes) {
        peer.notify.shift();
        told = true;
      }
      if (told && peer.state !== "closed") this.events.push({ kind: KIND.sent, peer });
    }
  }

  /** Polls until nothing is left to do. */
  run(): void {
    let rounds = 0;
    do {
      this.poll();
      if (++rounds > 10_000) throw new Error("the module does not come to rest");
    } while (this.events.length > 0 || (this.deadlineUs !== 0n && this.deadlineUs <= this.nowUs && this.wake()));
  }

  private wake(): boolean {
    this.events.push({ kind: KIND.timer, deadlineUs: this.deadlineUs });
    this.deadlineUs = 0n;
    return true;
  }

  /** One call with what is there, at most `limit` events. Returns how many the module consumed. */
  poll(limit = 4096): number {
    this.refreshInfo();
    const shown = this.events.slice(0, limit);
    shown.forEach((event, i) => {
      this.writeEvent(event, layout.events + i * 32);
    });
    const result = this.exports.weir_poll(shown.length);
    const consumed = Number(result & 0xffffffffn);
    const count = Number(result >> 32n);
    if (consumed > shown.length) throw new Error(`${consumed} of ${shown.length} events consumed`);
    if (count > 8192) throw new Error(`${count} commands`);
    this.tickets = [];
    for (const event of shown.slice(0, consumed)) if (event.kind === KIND.closed && event.peer) this.forget(event.peer);
    this.events.splice(0, consumed);
    this.execute(count);
    if (this.options.acknowledges) this.acknowledge();
    return consumed;
  }

  private forget(peer: Peer): void {
    peer.state = "closed";
    this.peers.delete(peer.handle);
  }

  private writeEvent(event: Event, at: number): void {
    const view = this.view();
    this.bytes(at, 32).fill(0);
    view.setUint8(at, event.kind);
    view.setUint8(at + 1, event.flags ?? 0);
    view.setUint16(at + 2, event.port ?? 0, true);
    if (event.kind === KIND.timer) view.setBigUint64(at + 8, event.deadlineUs ?? 0n, true);
    if (event.peer) {
      view.setUint32(at + 4, event.listen ?? event.peer.cookie, true);
      view.setBigUint64(at + 8, event.peer.handle, true);
    }
    if (event.kind === KIND.opened || event.kind === KIND.datagram) {
      this.bytes(at + 16, 16).set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7]);
    }
    if (event.kind === KIND.received && event.peer && event.data) {
      const peer = event.peer;
      let held = this.shown.get(event);
      if (!held) {
        held = { address: this.place(event.data), bytes: event.data.length, left: event.data.length };
        this.shown.set(event, held);
        peer.held.push(held);
      }
      view.setUint32(at + 16, held.address, true);
      view.setUint32(at + 20, held.bytes, true);
    }
    if (event.kind === KIND.datagram && event.data) {
      view.setUint32(at + 4, event.listen ?? 0, true);
      view.setUint32(at + 8, this.place(event.data), true);
      view.setUint32(at + 12, event.data.length, true);
    }
    if (event.kind === KIND.closed) view.setUint32(at + 16, event.reason ?? 0, true);
    if (event.kind === KIND.sent && event.peer) view.setBigUint64(at + 16, BigInt(event.peer.acknowledgedBytes), true);
  }

  private readonly shown = new WeakMap<Event, Held>();

  /** Puts received bytes into the window. It is used as a ring: tests hold far less than 15 MiB. */
  private place(data: Uint8Array): number {
    if (this.nextPacket + data.length > layout.packets + layout.packetBytes) this.nextPacket = layout.packets;
    const address = this.nextPacket;
    this.bytes(address, data.length).set(data);
    this.nextPacket += Math.ceil(Math.max(1, data.length) / 64) * 64;
    return address;
  }

  /** Takes bytes from the oldest that are held. */
  private giveBack(peer: Peer, bytes: number): void {
    let left = bytes;
    while (left > 0) {
      const oldest = peer.held[0];
      if (!oldest) {
        this.refusals.push(`not_held: ${bytes} bytes`);
        return;
      }
      const part = Math.min(left, oldest.left);
      this.bytes(oldest.address + oldest.bytes - oldest.left, part).fill(0xdd);
      oldest.left -= part;
      left -= part;
      if (oldest.left === 0) peer.held.shift();
    }
  }

  private execute(count: number): void {
    const records = this.bytes(layout.commands, count * 32).slice();
    const view = new DataView(records.buffer);
    this.commands = [];
    for (let at = 0; at < records.length; at += 32) {
      const kind = COMMAND_NAMES[view.getUint8(at)] ?? "unknown";
      const flags = view.getUint8(at + 1);
      const handle = view.getBigUint64(at + 8, true);
      const address = view.getUint32(at + 16, true);
      const bytes = view.getUint32(at + 20, true);
      this.commands.push({ kind, handle, flags, bytes });
      if (kind === "timer_set") {
        this.deadlineUs = handle;
        continue;
      }
      if (kind === "udp_send") {
        const from = view.getUint32(at + 8, true);
        const length = view.getUint32(at + 12, true);
        const listen = view.getUint32(at + 4, true);
        this.datagrams.push({ listen, port: view.getUint16(at + 2, true), data: this.bytes(from, length).slice() });
        continue;
      }
      if (kind === "connect") {
        const peer = new Peer(this, handle);
        peer.cookie = view.getUint32(at + 4, true);
        peer.state = "connecting";
        peer.to = `${[...records.slice(at + 28, at + 32)].join(".")}:${view.getUint16(at + 2, true)}`;
        this.peers.set(handle, peer);
        continue;
      }
      const peer = this.peers.get(handle);
      if (!peer || peer.aborted) {
        this.refusals.push(`stale_handle: ${kind}`);
        continue;
      }
      if (kind === "accept") {
        if (peer.state !== "opened") this.refusals.push("bad_state: accept");
        peer.state = "open";
        peer.cookie = view.getUint32(at + 4, true);
      } else if (kind === "send" || kind === "forward") {
        if (peer.finished) this.refusals.push(`bad_state: ${kind} after close`);
        if (address + bytes > this.exports.memory.buffer.byteLength) throw new Error("bad_range");
        peer.write(this.bytes(address, bytes));
        if (peer.sentBytes - peer.acknowledgedBytes > this.options.sendLimitBytes) this.refusals.push("send_limit");
        if (flags & 1) this.askNotice(peer, 0);
        if (kind === "forward") this.forwarded(view.getBigUint64(at + 24, true), address, bytes);
      } else if (kind === "notify") {
        this.askNotice(peer, address);
      } else if (kind === "recv_done") {
        this.giveBack(peer, bytes);
      } else if (kind === "close") {
        if (peer.finished) this.refusals.push("bad_state: close twice");
        peer.finished = true;
      } else if (kind === "abort") {
        peer.aborted = true;
        this.events.push({ kind: KIND.closed, peer, reason: 2 });
      } else {
        this.refusals.push(`bad_kind: ${kind}`);
      }
    }
  }

  private askNotice(peer: Peer, remainingBytes: number): void {
    const at = Math.max(0, peer.sentBytes - remainingBytes);
    if (at <= peer.acknowledgedBytes) this.events.push({ kind: KIND.sent, peer });
    else peer.notify.push(at);
    peer.notify.sort((a, b) => a - b);
  }

  private forwarded(source: bigint, address: number, bytes: number): void {
    const peer = this.peers.get(source);
    const oldest = peer?.held[0];
    if (!peer || !oldest || oldest.address !== address || oldest.left !== bytes) {
      this.refusals.push("not_held: forward");
      return;
    }
    this.giveBack(peer, bytes);
  }
}
