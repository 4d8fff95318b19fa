#pragma once
#include <cstdint>

namespace weir::net {

/// What TCP knows of a connection: for people who watch it, and for tests that hold it to what must
/// always be true. Sequence numbers are RFC 9293 section 3.3.1's.
struct ConnectionInfo {
  /// RFC 9293 section 3.3.2, in its spelling: "ESTABLISHED".
  const char* state;
  uint32_t snd_una;
  uint32_t snd_nxt;
  /// The highest sequence number ever sent.
  uint32_t snd_max;
  uint32_t rcv_nxt;
  uint32_t send_window_bytes;
  uint32_t receive_window_bytes;
  uint32_t congestion_window_bytes;
  /// UINT32_MAX before the first loss.
  uint32_t slow_start_threshold_bytes;
  /// What RFC 6675 section 2 calls the pipe: sent, and neither acknowledged nor taken for lost.
  uint32_t in_flight_bytes;
  uint32_t mss_bytes;
  /// Smoothed round trip; 0 before the first measurement.
  uint32_t round_trip_us;
  uint32_t timeout_us;
  /// Bytes not yet acknowledged or not yet sent, and received bytes that were not given back.
  uint32_t send_queue_bytes;
  uint32_t unconsumed_bytes;
  /// When its timer is due; UINT64_MAX for none.
  uint64_t timer_us;
};

/// What of a stack's bounded resources is in use.
struct StackUsage {
  uint32_t connections;
  uint32_t half_open;
  uint32_t time_wait;
  uint32_t armed_timers;
  /// Blocks of bytes that wait to be acknowledged, and segments kept out of order.
  uint32_t send_blocks;
  uint32_t reorder_segments;
  /// Packets that wait for a neighbor's link address.
  uint32_t waiting_packets;
  /// Packets whose fragments are not all there.
  uint32_t fragmented_packets = 0;
};

}  // namespace weir::net
