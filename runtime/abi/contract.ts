/**
 * The guest contract: what a module and its host say to each other, and where in the guest's linear memory.
 * This file is the only source; `generate.ts` writes native/sandbox/abi.h, guest/abi.ts and docs/abi.md from it.
 */

/** Raised when a module built for an older contract would misread a newer one. */
export const ABI_VERSION = 1;

/** One named constant of the contract. `unit` is empty for plain counts and addresses. */
export interface Constant {
  readonly name: string;
  readonly value: number;
  readonly doc: string;
}

/** One field of a fixed-size record. */
export interface Field {
  readonly name: string;
  readonly type: "u8" | "u16" | "u32" | "u64" | "address";
  readonly offset_bytes: number;
  readonly doc: string;
}

/** One kind of event or command: the fields that it uses of its 32-byte record. */
export interface RecordKind {
  readonly name: string;
  readonly value: number;
  readonly doc: string;
  readonly fields: readonly Field[];
  /** Kinds that have a number but do nothing yet: the host never sends them and refuses them as commands. */
  readonly reserved?: true;
}

export interface Enumeration {
  readonly name: string;
  readonly doc: string;
  readonly values: readonly { name: string; value: number; doc: string }[];
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const RX_WINDOW = 0x0020_0000;
export const RW_WINDOW = 0x0120_0000;

export const constants: readonly Constant[] = [
  { name: "abi_version", value: ABI_VERSION, doc: "The exported i32 global `weir_abi` has this value." },
  { name: "null_end", value: RX_WINDOW, doc: "Addresses below this one are never mapped: a null pointer traps." },
  { name: "rx_window", value: RX_WINDOW, doc: "Read-only window: info block, event records, packet bytes." },
  { name: "rx_window_bytes", value: 16 * MIB, doc: "Size of the read-only window." },
  { name: "info", value: RX_WINDOW, doc: "The info block (see Info)." },
  { name: "info_bytes", value: 64 * KIB, doc: "Size of the info block with the configuration strings behind it." },
  { name: "events", value: RX_WINDOW + 64 * KIB, doc: "The first event record of a call is here." },
  { name: "event_capacity", value: 4096, doc: "At most this many event records are shown in one call." },
  { name: "packets", value: RX_WINDOW + 256 * KIB, doc: "Received bytes lie between here and the end of the window." },
  {
    name: "packet_granule_bytes",
    value: 64,
    doc: "Payloads that were copied into the window start at a multiple of this; on a tenant's own queue they lie as they came.",
  },
  {
    name: "packet_chunk_bytes",
    value: 64 * KIB,
    doc: "The window is mapped, held and given back in chunks of this size.",
  },
  { name: "rw_window", value: RW_WINDOW, doc: "Read-write window: command records, transmit buffers." },
  { name: "rw_window_bytes", value: 2 * MIB, doc: "Size of the read-write window." },
  { name: "commands", value: RW_WINDOW, doc: "The guest writes its first command record here." },
  { name: "command_capacity", value: 8192, doc: "At most this many command records are taken from one call." },
  {
    name: "tx_buffers",
    value: RW_WINDOW + 256 * KIB,
    doc: "Transmit buffers: bytes sent from here above the copy limit are not copied.",
  },
  { name: "tx_buffers_bytes", value: 2 * MIB - 256 * KIB, doc: "Size of the transmit buffers." },
  {
    name: "module_base",
    value: 0x0140_0000,
    doc: "The module's data and heap start here (asc --memoryBase, wasm-ld --global-base).",
  },
  { name: "record_bytes", value: 32, doc: "Size of an event record and of a command record." },
  {
    name: "copy_limit_bytes",
    value: 256,
    doc: "A send of up to this many bytes is copied; a longer one from a window is held by reference until acknowledged.",
  },
  { name: "sendv_capacity", value: 16, doc: "At most this many pieces in one sendv." },
  { name: "ticket_capacity", value: 128, doc: "At most this many connects can be started in one call." },
  { name: "config_capacity", value: 512, doc: "At most this many configuration records." },
  { name: "log_line_bytes", value: 1024, doc: "A longer log line is cut here." },
  { name: "page_bytes", value: 64 * KIB, doc: "WebAssembly's page." },
];

/** The info block at the start of the read-only window. The host refreshes times and tickets before each call. */
export const info: readonly Field[] = [
  { name: "abi", type: "u32", offset_bytes: 0, doc: "The host's contract version." },
  { name: "worker", type: "u32", offset_bytes: 4, doc: "Index of the worker that runs this instance." },
  { name: "mono_us", type: "u64", offset_bytes: 8, doc: "Monotonic time of this call, microseconds." },
  { name: "wall_us", type: "u64", offset_bytes: 16, doc: "Time of day of this call, microseconds since 1970." },
  { name: "seed", type: "u64", offset_bytes: 24, doc: "Random bits, new for every instance." },
  {
    name: "generation",
    type: "u32",
    offset_bytes: 32,
    doc: "How many instances of this app this worker started before.",
  },
  { name: "memory_bytes", type: "u32", offset_bytes: 36, doc: "End of linear memory; it never grows." },
  {
    name: "send_limit_bytes",
    type: "u32",
    offset_bytes: 40,
    doc: "Bytes one connection may have sent and not yet acknowledged; a send beyond it resets the connection.",
  },
  { name: "ticket_count", type: "u32", offset_bytes: 44, doc: "How many tickets are valid in this call." },
  { name: "config_count", type: "u32", offset_bytes: 48, doc: "How many configuration records there are." },
  { name: "config", type: "u32", offset_bytes: 52, doc: "Address of the first configuration record." },
  {
    name: "connections_limit",
    type: "u32",
    offset_bytes: 56,
    doc: "Connections this app may have at once on this worker.",
  },
  {
    name: "tickets",
    type: "u64",
    offset_bytes: 64,
    doc: "Handles for connect: ticket_count of them, each for one use.",
  },
];

/** A configuration record: what weir.toml gave the app. Strings are UTF-8 in the info block. */
export const config_record: readonly Field[] = [
  { name: "kind", type: "u32", offset_bytes: 0, doc: "A ConfigKind." },
  {
    name: "index",
    type: "u32",
    offset_bytes: 4,
    doc: "Position within its kind, from 0: the number that events and commands call `listen`.",
  },
  { name: "name", type: "u32", offset_bytes: 8, doc: "Address of the name." },
  { name: "name_bytes", type: "u32", offset_bytes: 12, doc: "Its length." },
  {
    name: "value",
    type: "u32",
    offset_bytes: 16,
    doc: "Address of the value: `http:80`, `tcp:7`, `udp:53` for a listen, `10.0.0.2:9000` for a connect, the text for a var.",
  },
  { name: "value_bytes", type: "u32", offset_bytes: 20, doc: "Its length." },
];
export const CONFIG_RECORD_BYTES = 24;

const kind: Field = { name: "kind", type: "u8", offset_bytes: 0, doc: "What this record is." };
const flags: Field = { name: "flags", type: "u8", offset_bytes: 1, doc: "Flags of its kind." };
const port: Field = { name: "port", type: "u16", offset_bytes: 2, doc: "The remote port, host byte order." };
const cookie: Field = {
  name: "cookie",
  type: "u32",
  offset_bytes: 4,
  doc: "The guest's own value for this connection.",
};
const listen: Field = { name: "listen", type: "u32", offset_bytes: 4, doc: "Index of the [[listen]] entry." };
const handle: Field = { name: "handle", type: "u64", offset_bytes: 8, doc: "The connection." };
const address: Field = {
  name: "address",
  type: "address",
  offset_bytes: 16,
  doc: "The remote address, 16 bytes, IPv4 as ::ffff:a.b.c.d.",
};
const data: Field = { name: "data", type: "u32", offset_bytes: 16, doc: "Address of the bytes." };
const data_bytes: Field = { name: "data_bytes", type: "u32", offset_bytes: 20, doc: "How many." };
const datagram: Field = { name: "datagram", type: "u32", offset_bytes: 8, doc: "Address of the datagram's bytes." };
const datagram_bytes: Field = { name: "datagram_bytes", type: "u32", offset_bytes: 12, doc: "How many." };

const reason: Field = { name: "reason", type: "u32", offset_bytes: 16, doc: "A CloseReason." };
const acknowledged_bytes: Field = {
  name: "acknowledged_bytes",
  type: "u64",
  offset_bytes: 16,
  doc: "Bytes acknowledged on this connection so far.",
};
const deadline_us: Field = {
  name: "deadline_us",
  type: "u64",
  offset_bytes: 8,
  doc: "Monotonic time of the wake-up; 0 for none.",
};
const source: Field = {
  name: "source",
  type: "u64",
  offset_bytes: 24,
  doc: "The connection whose received view is sent and given back.",
};

const remaining_bytes: Field = {
  name: "remaining_bytes",
  type: "u32",
  offset_bytes: 16,
  doc: "So much may still be unacknowledged.",
};

/** Every field that some event has; which of them a kind uses stands at the kind. */
export const event_fields: readonly Field[] = [
  kind,
  flags,
  port,
  cookie,
  listen,
  handle,
  datagram,
  datagram_bytes,
  deadline_us,
  data,
  data_bytes,
  address,
  reason,
  acknowledged_bytes,
];

/** Every field that some command has. */
export const command_fields: readonly Field[] = [
  kind,
  flags,
  port,
  cookie,
  listen,
  handle,
  datagram,
  datagram_bytes,
  deadline_us,
  data,
  remaining_bytes,
  data_bytes,
  address,
  source,
];

export const events: readonly RecordKind[] = [
  { name: "knock", value: 1, reserved: true, doc: "A peer asks to connect; accept or reject answers.", fields: [] },
  {
    name: "opened",
    value: 2,
    doc: "A connection is established. Without the outbound flag `listen` says which entry it came to; the handle's cookie is 0 until accept sets it.",
    fields: [flags, port, listen, cookie, handle, address],
  },
  {
    name: "received",
    value: 3,
    doc: "Bytes in order. They stay readable until recv_done or forward gives them back.",
    fields: [cookie, handle, data, data_bytes],
  },
  {
    name: "ended",
    value: 4,
    doc: "The peer has sent all it will (FIN). Sending goes on until close.",
    fields: [cookie, handle],
  },
  {
    name: "sent",
    value: 5,
    doc: "What was asked for by a send with the flag notify, or by the command notify, has been acknowledged; several are told as one.",
    fields: [cookie, handle, acknowledged_bytes],
  },
  {
    name: "closed",
    value: 6,
    doc: "The connection is over and its handle is stale from now on.",
    fields: [cookie, handle, reason],
  },
  {
    name: "datagram",
    value: 7,
    doc: "A UDP datagram; its bytes go when the event is consumed.",
    fields: [port, listen, datagram, datagram_bytes, address],
  },
  { name: "timer", value: 8, doc: "The deadline of timer_set has passed.", fields: [deadline_us] },
  { name: "packet", value: 9, reserved: true, doc: "A whole packet for a packet handler.", fields: [] },
];

export const commands: readonly RecordKind[] = [
  { name: "accept", value: 1, doc: "Takes an opened connection and sets its cookie.", fields: [cookie, handle] },
  { name: "reject", value: 2, reserved: true, doc: "Answers a knock with a reset.", fields: [] },
  {
    name: "connect",
    value: 3,
    doc: "Opens a connection to an address that [[connect]] lists, with a ticket from the info block as its handle. With the entry flag the address field begins with the index of a [[connect]] entry, as a u32, and the port is the entry's: the way to those that have a name. Sends may follow at once.",
    fields: [flags, port, cookie, handle, address],
  },
  {
    name: "send",
    value: 4,
    doc: "Sends bytes from anywhere in guest memory.",
    fields: [flags, handle, data, data_bytes],
  },
  {
    name: "sendv",
    value: 5,
    doc: "Sends several pieces in order: `data` is the address of {address u32, length u32} pairs, `data_bytes` their count.",
    fields: [flags, handle, data, data_bytes],
  },
  {
    name: "forward",
    value: 6,
    doc: "Sends a received view of `source` on `handle` and gives it back: the peer of `source` may send more when the peer of `handle` has acknowledged.",
    fields: [flags, handle, data, data_bytes, source],
  },
  {
    name: "recv_done",
    value: 7,
    doc: "Gives the oldest `data_bytes` received bytes back and promises never to ask for them again.",
    fields: [handle, data_bytes],
  },
  { name: "close", value: 8, doc: "Sends FIN after what is queued.", fields: [handle] },
  { name: "abort", value: 9, doc: "Resets the connection.", fields: [handle] },
  {
    name: "udp_send",
    value: 10,
    doc: "Sends a datagram from the port of a [[listen]] entry.",
    fields: [port, listen, datagram, datagram_bytes, address],
  },
  {
    name: "timer_set",
    value: 11,
    doc: "Sets the one wake-up of this instance, replacing the one before.",
    fields: [deadline_us],
  },
  {
    name: "notify",
    value: 13,
    doc: "Asks to be told (event sent) as soon as at most `remaining_bytes` of what was sent so far are unacknowledged.",
    fields: [handle, remaining_bytes],
  },
  { name: "verdict", value: 12, reserved: true, doc: "Answers a packet event.", fields: [] },
];

export const enumerations: readonly Enumeration[] = [
  {
    name: "OpenedFlag",
    doc: "Flags of an opened event.",
    values: [
      { name: "outbound", value: 1, doc: "This side asked for the connection with connect." },
      {
        name: "inherited",
        value: 2,
        doc: "A former instance of this app had the connection; uncommitted bytes follow.",
      },
    ],
  },
  {
    name: "SendFlag",
    doc: "Flags of send, sendv and forward.",
    values: [{ name: "notify", value: 1, doc: "Tell when this has been acknowledged (event sent)." }],
  },
  {
    name: "ConnectFlag",
    doc: "Flags of connect.",
    values: [{ name: "entry", value: 1, doc: "To a [[connect]] entry by its index." }],
  },
  {
    name: "CloseReason",
    doc: "Why a connection is over.",
    values: [
      { name: "finished", value: 0, doc: "Both sides closed and everything was acknowledged." },
      { name: "reset", value: 1, doc: "The peer reset it." },
      { name: "aborted", value: 2, doc: "This side reset it." },
      { name: "timed_out", value: 3, doc: "The peer did not answer in time." },
      { name: "refused", value: 4, doc: "The peer refused the connection." },
      { name: "unreachable", value: 5, doc: "No route, or no answer from the next hop." },
      { name: "limit", value: 6, doc: "A limit of the app or the host was reached." },
      { name: "forbidden", value: 7, doc: "The address is not listed in [[connect]]." },
      { name: "send_limit", value: 8, doc: "More was sent than may be unacknowledged at once." },
      { name: "shutdown", value: 9, doc: "The host is taking the app down." },
      { name: "no_memory", value: 10, doc: "The host had no buffer left." },
      { name: "unresolved", value: 11, doc: "The name has no address, or no name server answered." },
    ],
  },
  {
    name: "Refusal",
    doc: "Why a command was refused. Refusals are counted for each app; the instance goes on.",
    values: [
      { name: "stale_handle", value: 0, doc: "The handle's connection is over." },
      { name: "foreign_handle", value: 1, doc: "The handle belongs to somebody else." },
      { name: "bad_range", value: 2, doc: "The bytes do not lie within guest memory." },
      { name: "bad_kind", value: 3, doc: "No such command, or a reserved one." },
      { name: "bad_state", value: 4, doc: "Not possible in this state: accepting twice, sending after close." },
      { name: "not_held", value: 5, doc: "More was given back than is held, or a view that is not held." },
      {
        name: "forbidden",
        value: 6,
        doc: "Connecting to an address that is not listed, or sending from a foreign port.",
      },
      { name: "too_long", value: 7, doc: "A datagram or a piece list beyond its limit." },
      { name: "limit", value: 8, doc: "A limit of the app or host was reached." },
      { name: "bad_ticket", value: 9, doc: "Connect without a valid ticket." },
    ],
  },
  {
    name: "ConfigKind",
    doc: "Kinds of configuration records.",
    values: [
      { name: "listen", value: 1, doc: "A [[listen]] entry." },
      { name: "connect", value: 2, doc: "A [[connect]] entry; the name is empty." },
      { name: "variable", value: 3, doc: "An entry of [vars]." },
    ],
  },
  {
    name: "LogLevel",
    doc: "Levels of the import weir.log.",
    values: [
      { name: "debug", value: 0, doc: "" },
      { name: "info", value: 1, doc: "" },
      { name: "warn", value: 2, doc: "" },
      { name: "error", value: 3, doc: "" },
    ],
  },
];

/** A function or value that crosses the wall, in WebAssembly's terms. */
export interface Signature {
  readonly module?: string;
  readonly name: string;
  readonly type: string;
  readonly doc: string;
}

export const exports: readonly Signature[] = [
  { name: "memory", type: "memory", doc: "The linear memory. Its size is the limit from weir.toml; it never grows." },
  { name: "weir_abi", type: "global i32 (immutable)", doc: "The contract version the module was built for." },
  { name: "weir_start", type: "() -> ()", doc: "Runs once, before the first poll." },
  {
    name: "weir_poll",
    type: "(events: i32) -> i64",
    doc: "Handles up to `events` event records. The result's low 32 bits say how many were consumed (the others come again, first), the high 32 bits how many command records were written.",
  },
];

/** Strings of AssemblyScript are addresses of UTF-16 text whose length in bytes is the u32 before it. */
export const imports: readonly Signature[] = [
  {
    module: "weir",
    name: "log",
    type: "(level: i32, text: i32, bytes: i32) -> ()",
    doc: "A log line in UTF-8. Lines are bounded in length and rate.",
  },
  {
    module: "env",
    name: "abort",
    type: "(message: i32, file: i32, line: i32, column: i32) -> ()",
    doc: "AssemblyScript's abort: the instance ends, the log shows where.",
  },
  {
    module: "env",
    name: "trace",
    type: "(message: i32, n: i32, a0..a4: f64) -> ()",
    doc: "AssemblyScript's trace: a log line.",
  },
  { module: "env", name: "seed", type: "() -> f64", doc: "AssemblyScript's random seed." },
  {
    module: "env",
    name: "console.log",
    type: "(message: i32) -> ()",
    doc: "A log line; so are console.debug, info, warn and error.",
  },
  { module: "env", name: "Date.now", type: "() -> f64", doc: "Milliseconds since 1970, of this call." },
  { module: "env", name: "performance.now", type: "() -> f64", doc: "Monotonic milliseconds, of this call." },
];
