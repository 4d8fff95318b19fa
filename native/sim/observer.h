#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "sim/host.h"
#include "sim/packet.h"
#include "sim/plan.h"
#include "sim/sequence_ranges.h"

namespace weir::sim {

/// What the wire has shown of one host's side of a connection.
struct WireSide {
  // What it sent.
  bool syn_sent = false;
  net::Address address, peer_address;
  uint32_t iss = 0;
  uint16_t mss_bytes = 536;
  uint32_t syn_count = 0;
  std::optional<uint8_t> window_scale = {};
  bool timestamps = false;
  bool sack_permitted = false;
  uint16_t syn_window = 0;
  /// It answered the same SYN with different numbers (with cookies it may); which of them its peer
  /// took shows when it is open.
  bool ambiguous = false;
  /// Behind the highest sequence number sent.
  uint32_t sent_end = 0;
  bool acknowledges = false;
  uint32_t last_ack = 0;
  uint32_t right_edge = 0;
  std::optional<Timestamps> last_timestamps = {};

  // What reached it.
  SequenceRanges received;
  bool peer_syn_seen = false;
  uint32_t peer_iss = 0;
  /// The highest acknowledgement of what it did send, and the right edge it may send up to.
  uint32_t acknowledged = 0;
  uint32_t peer_edge = 0;
  uint32_t newest_timestamp = 0;
  /// Segments that reached it, and that acknowledged nothing new.
  uint64_t segments = 0;
  uint64_t idle_segments = 0;

  /// Copies of the oldest segment that is not acknowledged, sent since anything was heard.
  uint32_t copied_sequence = 0;
  std::vector<uint64_t> copies_ns;
};

struct WireConnection {
  std::array<WireSide, 2> sides;
  /// When frames of it, of either direction, were lost; the newest ones.
  std::deque<uint64_t> losses_ns;

  uint8_t scale(uint32_t side) const {
    return sides[0].window_scale && sides[1].window_scale ? *sides[side].window_scale : 0;
  }
  bool has_timestamps() const { return sides[0].timestamps && sides[1].timestamps; }
  bool has_sack() const { return sides[0].sack_permitted && sides[1].sack_permitted; }
};

/// Reads all frames and holds both stacks to what RFC 9293 and its companions say of what can be
/// seen from outside.
class Observer {
 public:
  Observer(std::deque<Pair>& pairs, Watcher& watcher);

  void on_transmit(Host& host, const Frame& frame);
  void on_input(Host& host, const Link::Arrival& arrival);
  /// A frame between the hosts was lost, wherever that was.
  void on_loss(const Frame& frame, uint64_t now_ns);
  /// What is known of timing from now on does not fit what was before (buffers were short).
  void forget_timing(uint32_t host);

  const WireConnection& connection(const Pair& pair) const {
    return connections_[static_cast<size_t>(pair.port - kFirstPort)];
  }
  /// Losses of a connection since a time; counts up to kLossesKept.
  uint32_t losses_since(const Pair& pair, uint64_t since_ns) const;
  static constexpr size_t kLossesKept = 32;

  /// Which pair a segment belongs to; nullptr for none. The segment goes to or comes from its host.
  Pair* pair_of(const Segment& segment) const;

 private:
  void fail(const Segment& segment, const WireConnection& connection, uint32_t side,
            const char* what);
  void check_syn(Host& host, const Segment& segment, WireConnection& connection, const Pair& pair);
  void check_acknowledgement(Host& host, const Segment& segment, WireConnection& connection);
  void check_options(Host& host, const Segment& segment, WireConnection& connection);
  void check_data(Host& host, const Segment& segment, WireConnection& connection, const Pair& pair);
  void check_backoff(Host& host, const Segment& segment, WireConnection& connection);

  std::deque<Pair>& pairs_;
  Watcher& watcher_;
  std::vector<WireConnection> connections_;
  /// Of each host, when it last ran out of buffers.
  std::array<uint64_t, 2> no_buffer_count_{};
};

}  // namespace weir::sim
