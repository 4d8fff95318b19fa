#pragma once
#include <cstddef>
#include <cstdint>

#include "base/timer_wheel.h"
#include "net/flow_events.h"
#include "net/tcp/congestion.h"
#include "net/tcp/connection.h"
#include "net/tcp/reorder_queue.h"
#include "net/tcp/rto.h"
#include "net/tcp/send_queue.h"

namespace weir::net::tcp {

/// RFC 9293 section 3.3.2. LISTEN has no block, TIME-WAIT a smaller one; dead ones wait for the end
/// of the cycle.
enum class State : uint8_t {
  dead,
  syn_sent,
  syn_received,
  established,
  fin_wait_1,
  fin_wait_2,
  close_wait,
  closing,
  last_ack,
};

/// A connection's state. The first two cache lines are what a segment in order touches.
struct alignas(64) ControlBlock : Connection {
  State state = State::dead;
  bool timestamps : 1 = false;
  bool window_scaling : 1 = false;
  /// The handler asked for FIN.
  bool close_requested : 1 = false;
  /// An acknowledgement has to go out at the end of the cycle.
  bool ack_now : 1 = false;
  bool in_output_list : 1 = false;
  bool outbound : 1 = false;
  /// A segment is being timed (RFC 6298 section 3).
  bool timing : 1 = false;
  bool fin_received : 1 = false;
  bool fin_sent : 1 = false;
  uint8_t send_scale = 0;
  uint8_t receive_scale = 0;
  FlowEvents* events = nullptr;
  uint32_t listener_tag = 0;

  // Second line: sequence variables (RFC 9293 section 3.3.1).
  alignas(64) uint32_t snd_una = 0;
  uint32_t snd_nxt = 0;
  /// The highest sequence number sent; snd_nxt goes back behind it after a time-out.
  uint32_t snd_max = 0;
  uint32_t snd_wnd = 0;
  uint32_t snd_wl1 = 0;
  uint32_t snd_wl2 = 0;
  uint32_t rcv_nxt = 0;
  /// The right edge that the peer has been told; never goes back.
  uint32_t rcv_edge = 0;
  /// Bytes delivered that the handler has not consumed.
  uint32_t unconsumed_bytes = 0;
  uint32_t last_ack_sent = 0;
  uint32_t ts_recent = 0;
  uint32_t ts_offset = 0;
  uint16_t mss_bytes = 536;
  /// In-order segments since the last acknowledgement.
  uint16_t unacknowledged_segments = 0;
  uint32_t index = 0;
  ControlBlock* next_output = nullptr;

  SendQueue queue;
  SendQueue::Cursor cursor;
  /// Where the cursor stands; it is sought again when snd_nxt is elsewhere.
  uint32_t cursor_seq = 0;
  uint32_t max_snd_wnd = 0;
  Congestion congestion;
  RoundTrip round_trip;
  uint32_t timed_seq = 0;
  uint64_t timed_at_us = 0;
  uint64_t last_send_us = 0;
  uint64_t ts_recent_us = 0;

  TimerNode timer;
  /// True deadlines; UINT64_MAX for none. The timer node is armed for the earliest or before it.
  uint64_t retransmit_at_us = UINT64_MAX;
  uint64_t delayed_ack_at_us = UINT64_MAX;
  uint64_t persist_at_us = UINT64_MAX;
  /// FIN-WAIT-2.
  uint64_t give_up_at_us = UINT64_MAX;
  uint64_t challenge_us = 0;
  uint64_t hash = 0;

  ReorderQueue reorder;
  uint32_t iss = 0;
  uint32_t irs = 0;
  uint32_t fin_sequence = 0;
  uint8_t retries = 0;
  uint8_t probes = 0;

  /// Sequence number behind the last byte that was queued. Only in established states, and until
  /// FIN is acknowledged.
  uint32_t data_end() const { return snd_una + queue.bytes(); }
  bool established_or_later() const { return state >= State::established; }
  bool fin_acknowledged() const { return fin_sent && seq_gt(snd_una, fin_sequence); }
};
static_assert(offsetof(ControlBlock, queue) <= 128,
              "what a segment touches lies in two cache lines");
static_assert(sizeof(ControlBlock) <= 512, "an idle connection costs at most 512 bytes");

}  // namespace weir::net::tcp
