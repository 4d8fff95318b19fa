#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "net/flow_events.h"
#include "sim/stream.h"

namespace weir::net {
struct Connection;
}

namespace weir::sim {

/// What one end of a connection means to do, and how far it is.
struct End {
  // The plan.
  Stream sends, receives;
  uint64_t send_bytes = 0;
  /// Writes so much, and then nothing for a while.
  uint64_t write_bytes = UINT64_MAX;
  uint64_t pause_ns = 0;
  /// Sends FIN only when the peer has.
  bool closes_last = false;
  /// Aborts when it has received so much, or at this time.
  uint64_t aborts_at_bytes = UINT64_MAX;
  uint64_t aborts_at_ns = UINT64_MAX;
  /// Does not want the connection when it is there.
  bool refuses = false;

  // What happened.
  net::Connection* connection = nullptr;
  bool opened = false;
  uint64_t sent_bytes = 0;
  uint64_t received_bytes = 0;
  uint64_t acknowledged_bytes = 0;
  uint64_t written_bytes = 0;
  uint64_t pauses_until_ns = 0;
  bool is_closing = false;
  /// The peer's FIN was reported.
  bool ended = false;
  bool aborted = false;
  std::optional<net::CloseReason> closed = {};
  uint64_t closed_ns = 0;

  bool is_over() const { return aborted || closed.has_value(); }
};

/// The port of the first pair; the others have those behind it.
inline constexpr uint16_t kFirstPort = 1000;

/// Both ends of one connection.
struct Pair {
  /// Index of the host that opens it, and when it does.
  uint32_t opener = 0;
  uint64_t opens_at_ns = 0;
  /// Where the other host listens, if it does; no two pairs have the same one.
  uint16_t port = 0;
  bool listens = true;
  /// By host.
  std::array<End, 2> ends;

  /// The opener's, once it has tried.
  uint16_t opener_port = 0;
  bool tried = false;
  /// A segment that resets it was put on the wire by somebody else.
  bool reset_injected = false;

  End& client() { return ends[opener]; }
  End& server() { return ends[1 - opener]; }
  bool is_over() const { return tried && ends[0].is_over() && ends[1].is_over(); }
};

}  // namespace weir::sim
