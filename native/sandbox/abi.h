// Generated from runtime/abi/contract.ts by runtime/abi/generate.ts. Do not edit.
// clang-format off
#pragma once
#include <cstdint>
#include <cstring>

namespace weir::abi {

/// The exported i32 global `weir_abi` has this value.
inline constexpr uint32_t kAbiVersion = 1;
/// Addresses below this one are never mapped: a null pointer traps.
inline constexpr uint32_t kNullEnd = 0x00200000;
/// Read-only window: info block, event records, packet bytes.
inline constexpr uint32_t kRxWindow = 0x00200000;
/// Size of the read-only window.
inline constexpr uint32_t kRxWindowBytes = 0x01000000;
/// The info block (see Info).
inline constexpr uint32_t kInfo = 0x00200000;
/// Size of the info block with the configuration strings behind it.
inline constexpr uint32_t kInfoBytes = 0x00010000;
/// The first event record of a call is here.
inline constexpr uint32_t kEvents = 0x00210000;
/// At most this many event records are shown in one call.
inline constexpr uint32_t kEventCapacity = 4096;
/// Received bytes lie between here and the end of the window.
inline constexpr uint32_t kPackets = 0x00240000;
/// Payloads that were copied into the window start at a multiple of this; on a tenant's own queue they lie as they came.
inline constexpr uint32_t kPacketGranuleBytes = 64;
/// The window is mapped, held and given back in chunks of this size.
inline constexpr uint32_t kPacketChunkBytes = 0x00010000;
/// Read-write window: command records, transmit buffers.
inline constexpr uint32_t kRwWindow = 0x01200000;
/// Size of the read-write window.
inline constexpr uint32_t kRwWindowBytes = 0x00200000;
/// The guest writes its first command record here.
inline constexpr uint32_t kCommands = 0x01200000;
/// At most this many command records are taken from one call.
inline constexpr uint32_t kCommandCapacity = 8192;
/// Transmit buffers: bytes sent from here above the copy limit are not copied.
inline constexpr uint32_t kTxBuffers = 0x01240000;
/// Size of the transmit buffers.
inline constexpr uint32_t kTxBuffersBytes = 0x001c0000;
/// The module's data and heap start here (asc --memoryBase, wasm-ld --global-base).
inline constexpr uint32_t kModuleBase = 0x01400000;
/// Size of an event record and of a command record.
inline constexpr uint32_t kRecordBytes = 32;
/// A send of up to this many bytes is copied; a longer one from a window is held by reference until acknowledged.
inline constexpr uint32_t kCopyLimitBytes = 256;
/// At most this many pieces in one sendv.
inline constexpr uint32_t kSendvCapacity = 16;
/// At most this many connects can be started in one call.
inline constexpr uint32_t kTicketCapacity = 128;
/// At most this many configuration records.
inline constexpr uint32_t kConfigCapacity = 512;
/// A longer log line is cut here.
inline constexpr uint32_t kLogLineBytes = 1024;
/// WebAssembly's page.
inline constexpr uint32_t kPageBytes = 0x00010000;
inline constexpr uint32_t kConfigRecordBytes = 24;

/// Kinds of event records.
enum class EventKind : uint8_t {
  /// A peer asks to connect; accept or reject answers.
  knock = 1,
  /// A connection is established. Without the outbound flag `listen` says which entry it came to; the handle's cookie is 0 until accept sets it.
  opened = 2,
  /// Bytes in order. They stay readable until recv_done or forward gives them back.
  received = 3,
  /// The peer has sent all it will (FIN). Sending goes on until close.
  ended = 4,
  /// What was asked for by a send with the flag notify, or by the command notify, has been acknowledged; several are told as one.
  sent = 5,
  /// The connection is over and its handle is stale from now on.
  closed = 6,
  /// A UDP datagram; its bytes go when the event is consumed.
  datagram = 7,
  /// The deadline of timer_set has passed.
  timer = 8,
  /// A whole packet for a packet handler.
  packet = 9,
};
inline constexpr uint32_t kEventKindCount = 10;
inline constexpr const char* name_of(EventKind value) {
  switch (value) {
    case EventKind::knock: return "knock";
    case EventKind::opened: return "opened";
    case EventKind::received: return "received";
    case EventKind::ended: return "ended";
    case EventKind::sent: return "sent";
    case EventKind::closed: return "closed";
    case EventKind::datagram: return "datagram";
    case EventKind::timer: return "timer";
    case EventKind::packet: return "packet";
  }
  return "unknown";
}

/// Kinds of command records.
enum class CommandKind : uint8_t {
  /// Takes an opened connection and sets its cookie.
  accept = 1,
  /// Answers a knock with a reset.
  reject = 2,
  /// Opens a connection to an address that [[connect]] lists, with a ticket from the info block as its handle. With the entry flag the address field begins with the index of a [[connect]] entry, as a u32, and the port is the entry's: the way to those that have a name. Sends may follow at once.
  connect = 3,
  /// Sends bytes from anywhere in guest memory.
  send = 4,
  /// Sends several pieces in order: `data` is the address of {address u32, length u32} pairs, `data_bytes` their count.
  sendv = 5,
  /// Sends a received view of `source` on `handle` and gives it back: the peer of `source` may send more when the peer of `handle` has acknowledged.
  forward = 6,
  /// Gives the oldest `data_bytes` received bytes back and promises never to ask for them again.
  recv_done = 7,
  /// Sends FIN after what is queued.
  close = 8,
  /// Resets the connection.
  abort = 9,
  /// Sends a datagram from the port of a [[listen]] entry.
  udp_send = 10,
  /// Sets the one wake-up of this instance, replacing the one before.
  timer_set = 11,
  /// Asks to be told (event sent) as soon as at most `remaining_bytes` of what was sent so far are unacknowledged.
  notify = 13,
  /// Answers a packet event.
  verdict = 12,
};
inline constexpr uint32_t kCommandKindCount = 14;
inline constexpr const char* name_of(CommandKind value) {
  switch (value) {
    case CommandKind::accept: return "accept";
    case CommandKind::reject: return "reject";
    case CommandKind::connect: return "connect";
    case CommandKind::send: return "send";
    case CommandKind::sendv: return "sendv";
    case CommandKind::forward: return "forward";
    case CommandKind::recv_done: return "recv_done";
    case CommandKind::close: return "close";
    case CommandKind::abort: return "abort";
    case CommandKind::udp_send: return "udp_send";
    case CommandKind::timer_set: return "timer_set";
    case CommandKind::notify: return "notify";
    case CommandKind::verdict: return "verdict";
  }
  return "unknown";
}

/// Flags of an opened event.
enum class OpenedFlag : uint8_t {
  /// This side asked for the connection with connect.
  outbound = 1,
  /// A former instance of this app had the connection; uncommitted bytes follow.
  inherited = 2,
};
inline constexpr uint32_t kOpenedFlagCount = 3;
inline constexpr const char* name_of(OpenedFlag value) {
  switch (value) {
    case OpenedFlag::outbound: return "outbound";
    case OpenedFlag::inherited: return "inherited";
  }
  return "unknown";
}

/// Flags of send, sendv and forward.
enum class SendFlag : uint8_t {
  /// Tell when this has been acknowledged (event sent).
  notify = 1,
};
inline constexpr uint32_t kSendFlagCount = 2;
inline constexpr const char* name_of(SendFlag value) {
  switch (value) {
    case SendFlag::notify: return "notify";
  }
  return "unknown";
}

/// Flags of connect.
enum class ConnectFlag : uint8_t {
  /// To a [[connect]] entry by its index.
  entry = 1,
};
inline constexpr uint32_t kConnectFlagCount = 2;
inline constexpr const char* name_of(ConnectFlag value) {
  switch (value) {
    case ConnectFlag::entry: return "entry";
  }
  return "unknown";
}

/// Why a connection is over.
enum class CloseReason : uint8_t {
  /// Both sides closed and everything was acknowledged.
  finished = 0,
  /// The peer reset it.
  reset = 1,
  /// This side reset it.
  aborted = 2,
  /// The peer did not answer in time.
  timed_out = 3,
  /// The peer refused the connection.
  refused = 4,
  /// No route, or no answer from the next hop.
  unreachable = 5,
  /// A limit of the app or the host was reached.
  limit = 6,
  /// The address is not listed in [[connect]].
  forbidden = 7,
  /// More was sent than may be unacknowledged at once.
  send_limit = 8,
  /// The host is taking the app down.
  shutdown = 9,
  /// The host had no buffer left.
  no_memory = 10,
  /// The name has no address, or no name server answered.
  unresolved = 11,
};
inline constexpr uint32_t kCloseReasonCount = 12;
inline constexpr const char* name_of(CloseReason value) {
  switch (value) {
    case CloseReason::finished: return "finished";
    case CloseReason::reset: return "reset";
    case CloseReason::aborted: return "aborted";
    case CloseReason::timed_out: return "timed_out";
    case CloseReason::refused: return "refused";
    case CloseReason::unreachable: return "unreachable";
    case CloseReason::limit: return "limit";
    case CloseReason::forbidden: return "forbidden";
    case CloseReason::send_limit: return "send_limit";
    case CloseReason::shutdown: return "shutdown";
    case CloseReason::no_memory: return "no_memory";
    case CloseReason::unresolved: return "unresolved";
  }
  return "unknown";
}

/// Why a command was refused. Refusals are counted for each app; the instance goes on.
enum class Refusal : uint8_t {
  /// The handle's connection is over.
  stale_handle = 0,
  /// The handle belongs to somebody else.
  foreign_handle = 1,
  /// The bytes do not lie within guest memory.
  bad_range = 2,
  /// No such command, or a reserved one.
  bad_kind = 3,
  /// Not possible in this state: accepting twice, sending after close.
  bad_state = 4,
  /// More was given back than is held, or a view that is not held.
  not_held = 5,
  /// Connecting to an address that is not listed, or sending from a foreign port.
  forbidden = 6,
  /// A datagram or a piece list beyond its limit.
  too_long = 7,
  /// A limit of the app or host was reached.
  limit = 8,
  /// Connect without a valid ticket.
  bad_ticket = 9,
};
inline constexpr uint32_t kRefusalCount = 10;
inline constexpr const char* name_of(Refusal value) {
  switch (value) {
    case Refusal::stale_handle: return "stale_handle";
    case Refusal::foreign_handle: return "foreign_handle";
    case Refusal::bad_range: return "bad_range";
    case Refusal::bad_kind: return "bad_kind";
    case Refusal::bad_state: return "bad_state";
    case Refusal::not_held: return "not_held";
    case Refusal::forbidden: return "forbidden";
    case Refusal::too_long: return "too_long";
    case Refusal::limit: return "limit";
    case Refusal::bad_ticket: return "bad_ticket";
  }
  return "unknown";
}

/// Kinds of configuration records.
enum class ConfigKind : uint8_t {
  /// A [[listen]] entry.
  listen = 1,
  /// A [[connect]] entry; the name is empty.
  connect = 2,
  /// An entry of [vars].
  variable = 3,
};
inline constexpr uint32_t kConfigKindCount = 4;
inline constexpr const char* name_of(ConfigKind value) {
  switch (value) {
    case ConfigKind::listen: return "listen";
    case ConfigKind::connect: return "connect";
    case ConfigKind::variable: return "variable";
  }
  return "unknown";
}

/// Levels of the import weir.log.
enum class LogLevel : uint8_t {
  /// 
  debug = 0,
  /// 
  info = 1,
  /// 
  warn = 2,
  /// 
  error = 3,
};
inline constexpr uint32_t kLogLevelCount = 4;
inline constexpr const char* name_of(LogLevel value) {
  switch (value) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warn: return "warn";
    case LogLevel::error: return "error";
  }
  return "unknown";
}

/// An event: the host writes it, the guest reads it.
struct EventRecord {
  alignas(8) uint8_t bytes[kRecordBytes];
  /// What this record is.
  uint8_t kind() const { uint8_t value; std::memcpy(&value, bytes + 0, sizeof value); return value; }
  void set_kind(uint8_t value) { std::memcpy(bytes + 0, &value, sizeof value); }
  /// Flags of its kind.
  uint8_t flags() const { uint8_t value; std::memcpy(&value, bytes + 1, sizeof value); return value; }
  void set_flags(uint8_t value) { std::memcpy(bytes + 1, &value, sizeof value); }
  /// The remote port, host byte order.
  uint16_t port() const { uint16_t value; std::memcpy(&value, bytes + 2, sizeof value); return value; }
  void set_port(uint16_t value) { std::memcpy(bytes + 2, &value, sizeof value); }
  /// The guest's own value for this connection.
  uint32_t cookie() const { uint32_t value; std::memcpy(&value, bytes + 4, sizeof value); return value; }
  void set_cookie(uint32_t value) { std::memcpy(bytes + 4, &value, sizeof value); }
  /// Index of the [[listen]] entry.
  uint32_t listen() const { uint32_t value; std::memcpy(&value, bytes + 4, sizeof value); return value; }
  void set_listen(uint32_t value) { std::memcpy(bytes + 4, &value, sizeof value); }
  /// The connection.
  uint64_t handle() const { uint64_t value; std::memcpy(&value, bytes + 8, sizeof value); return value; }
  void set_handle(uint64_t value) { std::memcpy(bytes + 8, &value, sizeof value); }
  /// Address of the datagram's bytes.
  uint32_t datagram() const { uint32_t value; std::memcpy(&value, bytes + 8, sizeof value); return value; }
  void set_datagram(uint32_t value) { std::memcpy(bytes + 8, &value, sizeof value); }
  /// How many.
  uint32_t datagram_bytes() const { uint32_t value; std::memcpy(&value, bytes + 12, sizeof value); return value; }
  void set_datagram_bytes(uint32_t value) { std::memcpy(bytes + 12, &value, sizeof value); }
  /// Monotonic time of the wake-up; 0 for none.
  uint64_t deadline_us() const { uint64_t value; std::memcpy(&value, bytes + 8, sizeof value); return value; }
  void set_deadline_us(uint64_t value) { std::memcpy(bytes + 8, &value, sizeof value); }
  /// Address of the bytes.
  uint32_t data() const { uint32_t value; std::memcpy(&value, bytes + 16, sizeof value); return value; }
  void set_data(uint32_t value) { std::memcpy(bytes + 16, &value, sizeof value); }
  /// How many.
  uint32_t data_bytes() const { uint32_t value; std::memcpy(&value, bytes + 20, sizeof value); return value; }
  void set_data_bytes(uint32_t value) { std::memcpy(bytes + 20, &value, sizeof value); }
  /// The remote address, 16 bytes, IPv4 as ::ffff:a.b.c.d.
  const uint8_t* address() const { return bytes + 16; }
  uint8_t* address() { return bytes + 16; }
  /// A CloseReason.
  uint32_t reason() const { uint32_t value; std::memcpy(&value, bytes + 16, sizeof value); return value; }
  void set_reason(uint32_t value) { std::memcpy(bytes + 16, &value, sizeof value); }
  /// Bytes acknowledged on this connection so far.
  uint64_t acknowledged_bytes() const { uint64_t value; std::memcpy(&value, bytes + 16, sizeof value); return value; }
  void set_acknowledged_bytes(uint64_t value) { std::memcpy(bytes + 16, &value, sizeof value); }
};
static_assert(sizeof(EventRecord) == kRecordBytes);

/// A command: the guest writes it, the host copies it once.
struct CommandRecord {
  alignas(8) uint8_t bytes[kRecordBytes];
  /// What this record is.
  uint8_t kind() const { uint8_t value; std::memcpy(&value, bytes + 0, sizeof value); return value; }
  void set_kind(uint8_t value) { std::memcpy(bytes + 0, &value, sizeof value); }
  /// Flags of its kind.
  uint8_t flags() const { uint8_t value; std::memcpy(&value, bytes + 1, sizeof value); return value; }
  void set_flags(uint8_t value) { std::memcpy(bytes + 1, &value, sizeof value); }
  /// The remote port, host byte order.
  uint16_t port() const { uint16_t value; std::memcpy(&value, bytes + 2, sizeof value); return value; }
  void set_port(uint16_t value) { std::memcpy(bytes + 2, &value, sizeof value); }
  /// The guest's own value for this connection.
  uint32_t cookie() const { uint32_t value; std::memcpy(&value, bytes + 4, sizeof value); return value; }
  void set_cookie(uint32_t value) { std::memcpy(bytes + 4, &value, sizeof value); }
  /// Index of the [[listen]] entry.
  uint32_t listen() const { uint32_t value; std::memcpy(&value, bytes + 4, sizeof value); return value; }
  void set_listen(uint32_t value) { std::memcpy(bytes + 4, &value, sizeof value); }
  /// The connection.
  uint64_t handle() const { uint64_t value; std::memcpy(&value, bytes + 8, sizeof value); return value; }
  void set_handle(uint64_t value) { std::memcpy(bytes + 8, &value, sizeof value); }
  /// Address of the datagram's bytes.
  uint32_t datagram() const { uint32_t value; std::memcpy(&value, bytes + 8, sizeof value); return value; }
  void set_datagram(uint32_t value) { std::memcpy(bytes + 8, &value, sizeof value); }
  /// How many.
  uint32_t datagram_bytes() const { uint32_t value; std::memcpy(&value, bytes + 12, sizeof value); return value; }
  void set_datagram_bytes(uint32_t value) { std::memcpy(bytes + 12, &value, sizeof value); }
  /// Monotonic time of the wake-up; 0 for none.
  uint64_t deadline_us() const { uint64_t value; std::memcpy(&value, bytes + 8, sizeof value); return value; }
  void set_deadline_us(uint64_t value) { std::memcpy(bytes + 8, &value, sizeof value); }
  /// Address of the bytes.
  uint32_t data() const { uint32_t value; std::memcpy(&value, bytes + 16, sizeof value); return value; }
  void set_data(uint32_t value) { std::memcpy(bytes + 16, &value, sizeof value); }
  /// So much may still be unacknowledged.
  uint32_t remaining_bytes() const { uint32_t value; std::memcpy(&value, bytes + 16, sizeof value); return value; }
  void set_remaining_bytes(uint32_t value) { std::memcpy(bytes + 16, &value, sizeof value); }
  /// How many.
  uint32_t data_bytes() const { uint32_t value; std::memcpy(&value, bytes + 20, sizeof value); return value; }
  void set_data_bytes(uint32_t value) { std::memcpy(bytes + 20, &value, sizeof value); }
  /// The remote address, 16 bytes, IPv4 as ::ffff:a.b.c.d.
  const uint8_t* address() const { return bytes + 16; }
  uint8_t* address() { return bytes + 16; }
  /// The connection whose received view is sent and given back.
  uint64_t source() const { uint64_t value; std::memcpy(&value, bytes + 24, sizeof value); return value; }
  void set_source(uint64_t value) { std::memcpy(bytes + 24, &value, sizeof value); }
};
static_assert(sizeof(CommandRecord) == kRecordBytes);

/// A configuration record in the info block.
struct ConfigRecord {
  alignas(8) uint8_t bytes[kConfigRecordBytes];
  /// A ConfigKind.
  uint32_t kind() const { uint32_t value; std::memcpy(&value, bytes + 0, sizeof value); return value; }
  void set_kind(uint32_t value) { std::memcpy(bytes + 0, &value, sizeof value); }
  /// Position within its kind, from 0: the number that events and commands call `listen`.
  uint32_t index() const { uint32_t value; std::memcpy(&value, bytes + 4, sizeof value); return value; }
  void set_index(uint32_t value) { std::memcpy(bytes + 4, &value, sizeof value); }
  /// Address of the name.
  uint32_t name() const { uint32_t value; std::memcpy(&value, bytes + 8, sizeof value); return value; }
  void set_name(uint32_t value) { std::memcpy(bytes + 8, &value, sizeof value); }
  /// Its length.
  uint32_t name_bytes() const { uint32_t value; std::memcpy(&value, bytes + 12, sizeof value); return value; }
  void set_name_bytes(uint32_t value) { std::memcpy(bytes + 12, &value, sizeof value); }
  /// Address of the value: `http:80`, `tcp:7`, `udp:53` for a listen, `10.0.0.2:9000` for a connect, the text for a var.
  uint32_t value() const { uint32_t value; std::memcpy(&value, bytes + 16, sizeof value); return value; }
  void set_value(uint32_t value) { std::memcpy(bytes + 16, &value, sizeof value); }
  /// Its length.
  uint32_t value_bytes() const { uint32_t value; std::memcpy(&value, bytes + 20, sizeof value); return value; }
  void set_value_bytes(uint32_t value) { std::memcpy(bytes + 20, &value, sizeof value); }
};
static_assert(sizeof(ConfigRecord) == kConfigRecordBytes);

/// The host's contract version.
inline constexpr uint32_t kInfoAbiOffset = 0;
/// Index of the worker that runs this instance.
inline constexpr uint32_t kInfoWorkerOffset = 4;
/// Monotonic time of this call, microseconds.
inline constexpr uint32_t kInfoMonoUsOffset = 8;
/// Time of day of this call, microseconds since 1970.
inline constexpr uint32_t kInfoWallUsOffset = 16;
/// Random bits, new for every instance.
inline constexpr uint32_t kInfoSeedOffset = 24;
/// How many instances of this app this worker started before.
inline constexpr uint32_t kInfoGenerationOffset = 32;
/// End of linear memory; it never grows.
inline constexpr uint32_t kInfoMemoryBytesOffset = 36;
/// Bytes one connection may have sent and not yet acknowledged; a send beyond it resets the connection.
inline constexpr uint32_t kInfoSendLimitBytesOffset = 40;
/// How many tickets are valid in this call.
inline constexpr uint32_t kInfoTicketCountOffset = 44;
/// How many configuration records there are.
inline constexpr uint32_t kInfoConfigCountOffset = 48;
/// Address of the first configuration record.
inline constexpr uint32_t kInfoConfigOffset = 52;
/// Connections this app may have at once on this worker.
inline constexpr uint32_t kInfoConnectionsLimitOffset = 56;
/// Handles for connect: ticket_count of them, each for one use.
inline constexpr uint32_t kInfoTicketsOffset = 64;

}  // namespace weir::abi
