// Generated from runtime/abi/contract.ts by runtime/abi/generate.ts. Do not edit.

/** The exported i32 global `weir_abi` has this value. */
export const ABI_VERSION: u32 = 1;
/** Addresses below this one are never mapped: a null pointer traps. */
export const NULL_END: u32 = 0x00200000;
/** Read-only window: info block, event records, packet bytes. */
export const RX_WINDOW: u32 = 0x00200000;
/** Size of the read-only window. */
export const RX_WINDOW_BYTES: u32 = 0x01000000;
/** The info block (see Info). */
export const INFO: u32 = 0x00200000;
/** Size of the info block with the configuration strings behind it. */
export const INFO_BYTES: u32 = 0x00010000;
/** The first event record of a call is here. */
export const EVENTS: u32 = 0x00210000;
/** At most this many event records are shown in one call. */
export const EVENT_CAPACITY: u32 = 4096;
/** Received bytes lie between here and the end of the window. */
export const PACKETS: u32 = 0x00240000;
/** Payloads that were copied into the window start at a multiple of this; on a tenant's own queue they lie as they came. */
export const PACKET_GRANULE_BYTES: u32 = 64;
/** The window is mapped, held and given back in chunks of this size. */
export const PACKET_CHUNK_BYTES: u32 = 0x00010000;
/** Read-write window: command records, transmit buffers. */
export const RW_WINDOW: u32 = 0x01200000;
/** Size of the read-write window. */
export const RW_WINDOW_BYTES: u32 = 0x00200000;
/** The guest writes its first command record here. */
export const COMMANDS: u32 = 0x01200000;
/** At most this many command records are taken from one call. */
export const COMMAND_CAPACITY: u32 = 8192;
/** Transmit buffers: bytes sent from here above the copy limit are not copied. */
export const TX_BUFFERS: u32 = 0x01240000;
/** Size of the transmit buffers. */
export const TX_BUFFERS_BYTES: u32 = 0x001c0000;
/** The module's data and heap start here (asc --memoryBase, wasm-ld --global-base). */
export const MODULE_BASE: u32 = 0x01400000;
/** Size of an event record and of a command record. */
export const RECORD_BYTES: u32 = 32;
/** A send of up to this many bytes is copied; a longer one from a window is held by reference until acknowledged. */
export const COPY_LIMIT_BYTES: u32 = 256;
/** At most this many pieces in one sendv. */
export const SENDV_CAPACITY: u32 = 16;
/** At most this many connects can be started in one call. */
export const TICKET_CAPACITY: u32 = 128;
/** At most this many configuration records. */
export const CONFIG_CAPACITY: u32 = 512;
/** A longer log line is cut here. */
export const LOG_LINE_BYTES: u32 = 1024;
/** WebAssembly's page. */
export const PAGE_BYTES: u32 = 0x00010000;
export const CONFIG_RECORD_BYTES: u32 = 24;

/** Kinds of event records. */
export enum EventKind {
  /** A peer asks to connect; accept or reject answers. */
  Knock = 1,
  /** A connection is established. Without the outbound flag `listen` says which entry it came to; the handle's cookie is 0 until accept sets it. */
  Opened = 2,
  /** Bytes in order. They stay readable until recv_done or forward gives them back. */
  Received = 3,
  /** The peer has sent all it will (FIN). Sending goes on until close. */
  Ended = 4,
  /** What was asked for by a send with the flag notify, or by the command notify, has been acknowledged; several are told as one. */
  Sent = 5,
  /** The connection is over and its handle is stale from now on. */
  Closed = 6,
  /** A UDP datagram; its bytes go when the event is consumed. */
  Datagram = 7,
  /** The deadline of timer_set has passed. */
  Timer = 8,
  /** A whole packet for a packet handler. */
  Packet = 9,
}

/** Kinds of command records. */
export enum CommandKind {
  /** Takes an opened connection and sets its cookie. */
  Accept = 1,
  /** Answers a knock with a reset. */
  Reject = 2,
  /** Opens a connection to an address that [[connect]] lists, with a ticket from the info block as its handle. With the entry flag the address field begins with the index of a [[connect]] entry, as a u32, and the port is the entry's: the way to those that have a name. Sends may follow at once. */
  Connect = 3,
  /** Sends bytes from anywhere in guest memory. */
  Send = 4,
  /** Sends several pieces in order: `data` is the address of {address u32, length u32} pairs, `data_bytes` their count. */
  Sendv = 5,
  /** Sends a received view of `source` on `handle` and gives it back: the peer of `source` may send more when the peer of `handle` has acknowledged. */
  Forward = 6,
  /** Gives the oldest `data_bytes` received bytes back and promises never to ask for them again. */
  RecvDone = 7,
  /** Sends FIN after what is queued. */
  Close = 8,
  /** Resets the connection. */
  Abort = 9,
  /** Sends a datagram from the port of a [[listen]] entry. */
  UdpSend = 10,
  /** Sets the one wake-up of this instance, replacing the one before. */
  TimerSet = 11,
  /** Asks to be told (event sent) as soon as at most `remaining_bytes` of what was sent so far are unacknowledged. */
  Notify = 13,
  /** Answers a packet event. */
  Verdict = 12,
}

/** Flags of an opened event. */
export enum OpenedFlag {
  /** This side asked for the connection with connect. */
  Outbound = 1,
  /** A former instance of this app had the connection; uncommitted bytes follow. */
  Inherited = 2,
}

/** Flags of send, sendv and forward. */
export enum SendFlag {
  /** Tell when this has been acknowledged (event sent). */
  Notify = 1,
}

/** Flags of connect. */
export enum ConnectFlag {
  /** To a [[connect]] entry by its index. */
  Entry = 1,
}

/** Why a connection is over. */
export enum CloseReason {
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

/** Why a command was refused. Refusals are counted for each app; the instance goes on. */
export enum Refusal {
  /** The handle's connection is over. */
  StaleHandle = 0,
  /** The handle belongs to somebody else. */
  ForeignHandle = 1,
  /** The bytes do not lie within guest memory. */
  BadRange = 2,
  /** No such command, or a reserved one. */
  BadKind = 3,
  /** Not possible in this state: accepting twice, sending after close. */
  BadState = 4,
  /** More was given back than is held, or a view that is not held. */
  NotHeld = 5,
  /** Connecting to an address that is not listed, or sending from a foreign port. */
  Forbidden = 6,
  /** A datagram or a piece list beyond its limit. */
  TooLong = 7,
  /** A limit of the app or host was reached. */
  Limit = 8,
  /** Connect without a valid ticket. */
  BadTicket = 9,
}

/** Kinds of configuration records. */
export enum ConfigKind {
  /** A [[listen]] entry. */
  Listen = 1,
  /** A [[connect]] entry; the name is empty. */
  Connect = 2,
  /** An entry of [vars]. */
  Variable = 3,
}

/** Levels of the import weir.log. */
export enum LogLevel {
  Debug = 0,
  Info = 1,
  Warn = 2,
  Error = 3,
}

/** An event, as the host wrote it. */
@unmanaged
export class EventRecord {
  /** What this record is. */
  @inline get kind(): u8 { return load<u8>(changetype<usize>(this), 0); }
  /** Flags of its kind. */
  @inline get flags(): u8 { return load<u8>(changetype<usize>(this), 1); }
  /** The remote port, host byte order. */
  @inline get port(): u16 { return load<u16>(changetype<usize>(this), 2); }
  /** The guest's own value for this connection. */
  @inline get cookie(): u32 { return load<u32>(changetype<usize>(this), 4); }
  /** Index of the [[listen]] entry. */
  @inline get listen(): u32 { return load<u32>(changetype<usize>(this), 4); }
  /** The connection. */
  @inline get handle(): u64 { return load<u64>(changetype<usize>(this), 8); }
  /** Address of the datagram's bytes. */
  @inline get datagram(): u32 { return load<u32>(changetype<usize>(this), 8); }
  /** How many. */
  @inline get datagram_bytes(): u32 { return load<u32>(changetype<usize>(this), 12); }
  /** Monotonic time of the wake-up; 0 for none. */
  @inline get deadline_us(): u64 { return load<u64>(changetype<usize>(this), 8); }
  /** Address of the bytes. */
  @inline get data(): u32 { return load<u32>(changetype<usize>(this), 16); }
  /** How many. */
  @inline get data_bytes(): u32 { return load<u32>(changetype<usize>(this), 20); }
  /** The remote address, 16 bytes, IPv4 as ::ffff:a.b.c.d. */
  @inline get address(): usize { return changetype<usize>(this) + 16; }
  /** A CloseReason. */
  @inline get reason(): u32 { return load<u32>(changetype<usize>(this), 16); }
  /** Bytes acknowledged on this connection so far. */
  @inline get acknowledged_bytes(): u64 { return load<u64>(changetype<usize>(this), 16); }
}

/** A command, as the host will read it. */
@unmanaged
export class CommandRecord {
  /** What this record is. */
  @inline get kind(): u8 { return load<u8>(changetype<usize>(this), 0); }
  @inline set kind(value: u8) { store<u8>(changetype<usize>(this), value, 0); }
  /** Flags of its kind. */
  @inline get flags(): u8 { return load<u8>(changetype<usize>(this), 1); }
  @inline set flags(value: u8) { store<u8>(changetype<usize>(this), value, 1); }
  /** The remote port, host byte order. */
  @inline get port(): u16 { return load<u16>(changetype<usize>(this), 2); }
  @inline set port(value: u16) { store<u16>(changetype<usize>(this), value, 2); }
  /** The guest's own value for this connection. */
  @inline get cookie(): u32 { return load<u32>(changetype<usize>(this), 4); }
  @inline set cookie(value: u32) { store<u32>(changetype<usize>(this), value, 4); }
  /** Index of the [[listen]] entry. */
  @inline get listen(): u32 { return load<u32>(changetype<usize>(this), 4); }
  @inline set listen(value: u32) { store<u32>(changetype<usize>(this), value, 4); }
  /** The connection. */
  @inline get handle(): u64 { return load<u64>(changetype<usize>(this), 8); }
  @inline set handle(value: u64) { store<u64>(changetype<usize>(this), value, 8); }
  /** Address of the datagram's bytes. */
  @inline get datagram(): u32 { return load<u32>(changetype<usize>(this), 8); }
  @inline set datagram(value: u32) { store<u32>(changetype<usize>(this), value, 8); }
  /** How many. */
  @inline get datagram_bytes(): u32 { return load<u32>(changetype<usize>(this), 12); }
  @inline set datagram_bytes(value: u32) { store<u32>(changetype<usize>(this), value, 12); }
  /** Monotonic time of the wake-up; 0 for none. */
  @inline get deadline_us(): u64 { return load<u64>(changetype<usize>(this), 8); }
  @inline set deadline_us(value: u64) { store<u64>(changetype<usize>(this), value, 8); }
  /** Address of the bytes. */
  @inline get data(): u32 { return load<u32>(changetype<usize>(this), 16); }
  @inline set data(value: u32) { store<u32>(changetype<usize>(this), value, 16); }
  /** So much may still be unacknowledged. */
  @inline get remaining_bytes(): u32 { return load<u32>(changetype<usize>(this), 16); }
  @inline set remaining_bytes(value: u32) { store<u32>(changetype<usize>(this), value, 16); }
  /** How many. */
  @inline get data_bytes(): u32 { return load<u32>(changetype<usize>(this), 20); }
  @inline set data_bytes(value: u32) { store<u32>(changetype<usize>(this), value, 20); }
  /** The remote address, 16 bytes, IPv4 as ::ffff:a.b.c.d. */
  @inline get address(): usize { return changetype<usize>(this) + 16; }
  /** The connection whose received view is sent and given back. */
  @inline get source(): u64 { return load<u64>(changetype<usize>(this), 24); }
  @inline set source(value: u64) { store<u64>(changetype<usize>(this), value, 24); }
}

/** A configuration record. */
@unmanaged
export class ConfigRecord {
  /** A ConfigKind. */
  @inline get kind(): u32 { return load<u32>(changetype<usize>(this), 0); }
  /** Position within its kind, from 0: the number that events and commands call `listen`. */
  @inline get index(): u32 { return load<u32>(changetype<usize>(this), 4); }
  /** Address of the name. */
  @inline get name(): u32 { return load<u32>(changetype<usize>(this), 8); }
  /** Its length. */
  @inline get name_bytes(): u32 { return load<u32>(changetype<usize>(this), 12); }
  /** Address of the value: `http:80`, `tcp:7`, `udp:53` for a listen, `10.0.0.2:9000` for a connect, the text for a var. */
  @inline get value(): u32 { return load<u32>(changetype<usize>(this), 16); }
  /** Its length. */
  @inline get value_bytes(): u32 { return load<u32>(changetype<usize>(this), 20); }
}

/** The info block. */
@unmanaged
export class Info {
  /** The host's contract version. */
  @inline get abi(): u32 { return load<u32>(changetype<usize>(this), 0); }
  /** Index of the worker that runs this instance. */
  @inline get worker(): u32 { return load<u32>(changetype<usize>(this), 4); }
  /** Monotonic time of this call, microseconds. */
  @inline get mono_us(): u64 { return load<u64>(changetype<usize>(this), 8); }
  /** Time of day of this call, microseconds since 1970. */
  @inline get wall_us(): u64 { return load<u64>(changetype<usize>(this), 16); }
  /** Random bits, new for every instance. */
  @inline get seed(): u64 { return load<u64>(changetype<usize>(this), 24); }
  /** How many instances of this app this worker started before. */
  @inline get generation(): u32 { return load<u32>(changetype<usize>(this), 32); }
  /** End of linear memory; it never grows. */
  @inline get memory_bytes(): u32 { return load<u32>(changetype<usize>(this), 36); }
  /** Bytes one connection may have sent and not yet acknowledged; a send beyond it resets the connection. */
  @inline get send_limit_bytes(): u32 { return load<u32>(changetype<usize>(this), 40); }
  /** How many tickets are valid in this call. */
  @inline get ticket_count(): u32 { return load<u32>(changetype<usize>(this), 44); }
  /** How many configuration records there are. */
  @inline get config_count(): u32 { return load<u32>(changetype<usize>(this), 48); }
  /** Address of the first configuration record. */
  @inline get config(): u32 { return load<u32>(changetype<usize>(this), 52); }
  /** Connections this app may have at once on this worker. */
  @inline get connections_limit(): u32 { return load<u32>(changetype<usize>(this), 56); }
}

/** Offset of the first ticket (u64 each) in the info block. */
export const INFO_TICKETS_OFFSET: u32 = 64;
