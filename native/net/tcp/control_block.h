#pragma once
#include <cstddef>
#include <cstdint>

#include "base/timer_wheel.h"
#include "net/flow_events.h"
#include "net/tcp/congestion.h"
#include "net/tcp/connection.h"
#include "net/tcp/prr.h"
#include "net/tcp/rack.h"
#include "net/tcp/reorder_queue.h"
#include "net/tcp/rto.h"
#include "net/tcp/send_queue.h"
#include "net/tcp/sent_segments.h"

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

/// How the sender stands with the network.
enum class Phase : uint8_t {
  open,
  /// The window was reduced for a mark or a tail loss, and nothing is being repaired (RFC 3168
  /// section 6.1.2).
  reduced,
  /// Losses are repaired at the rate of RFC 9937.
  recovery,
  /// After a retransmission time-out.
  loss,
};

/// What the time in ControlBlock::loss_at_us is for; one at a time (RFC 8985 section 8).
enum class LossTimer : uint8_t { timeout, tail_probe, reorder, persist };

/// A connection's state. The first two cache lines are what a segment in order touches.
struct alignas(64) ControlBlock : Connection {
  State state = State::dead;
  bool timestamps : 1 = false;
  bool window_scaling : 1 = false;
  bool sack_permitted : 1 = false;
  /// RFC 3168 was agreed on.
  bool ecn : 1 = false;
  /// The peer is to be told of congestion until it says that it has reduced its window.
  bool echo_congestion : 1 = false;
  /// The next new segment says that the window was reduced.
  bool tell_reduced : 1 = false;
  /// The handler asked for FIN.
  bool close_requested : 1 = false;
  /// An acknowledgement has to go out at the end of the cycle.
  bool ack_now : 1 = false;
  bool in_output_list : 1 = false;
  bool outbound : 1 = false;
  bool fin_received : 1 = false;
  bool fin_sent : 1 = false;
  uint8_t send_scale = 0;
  uint8_t receive_scale = 0;
  Phase phase = Phase::open;
  FlowEvents* events = nullptr;
  uint32_t listener_tag = 0;

  // Second line: sequence variables (RFC 9293 section 3.3.1).
  alignas(64) uint32_t snd_una = 0;
  uint32_t snd_nxt = 0;
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
  uint32_t max_snd_wnd = 0;
  ControlBlock* next_output = nullptr;

  SendQueue queue;
  /// Where the byte at snd_nxt stands; null when it has to be sought.
  SendQueue::Cursor cursor;
  SentSegments board;
  Congestion congestion;
  RoundTrip round_trip;
  Rack rack;
  RateReduction reduction;

  TimerNode timer;
  /// True deadlines; UINT64_MAX for none. The timer node is armed for the earliest or before it.
  uint64_t loss_at_us = UINT64_MAX;
  union {
    /// While it is being opened: when the SYN went out.
    uint64_t opened_us = 0;
    /// When RACK's oldest suspect counts as lost.
    uint64_t reorder_at_us;
  };
  uint64_t delayed_ack_at_us = UINT64_MAX;
  /// The end of FIN-WAIT-2, or the next look whether the peer is still there.
  uint64_t idle_at_us = UINT64_MAX;

  ReorderQueue reorder;
  uint32_t iss = 0;
  uint32_t irs = 0;
  uint32_t fin_sequence = 0;
  /// A duplicate that the next acknowledgement reports (RFC 2883); start == end for none.
  SackBlock duplicate{0, 0};
  /// Milliseconds of the stack's clock, modulo 2^32: the last segment with bytes, the last progress
  /// of snd_una, the age of ts_recent, the last challenge.
  uint32_t last_send_ms = 0;
  uint32_t progress_ms = 0;
  uint32_t ts_recent_ms = 0;
  uint32_t challenge_ms = 0;
  /// The last segment of the peer.
  uint32_t heard_ms = 0;
  /// The present receive buffer, and since when and from which sequence number its use is watched.
  uint32_t receive_limit_bytes = 0;
  uint32_t watch_seq = 0;
  uint32_t watch_ms = 0;
  /// The phase ends when this is acknowledged.
  uint32_t recover = 0;
  uint32_t tail_probe_end = 0;
  /// Our timestamp in the first segment that was sent again in this phase.
  uint32_t resent_stamp = 0;
  /// Segments sent again in this phase that no duplicate report has answered.
  uint16_t undo_resent = 0;
  uint8_t retries = 0;
  uint8_t probes = 0;
  /// Duplicate acknowledgements of a peer without SACK.
  uint8_t duplicates = 0;
  /// Step of RFC 5682 section 3.1; 0 when it is not in use.
  uint8_t frto = 0;
  LossTimer loss_timer = LossTimer::timeout;
  bool undo_valid : 1 = false;
  bool undo_any_resent : 1 = false;
  bool resent_stamp_valid : 1 = false;
  bool tail_probe : 1 = false;
  /// The tail probe was a copy, not new data.
  bool tail_probe_copy : 1 = false;
  /// last_send_ms and challenge_ms are times, not their initial value.
  bool has_sent : 1 = false;
  bool has_challenged : 1 = false;

  /// Sequence number behind the last byte that was queued. Only in established states, and until
  /// FIN is acknowledged.
  uint32_t data_end() const { return snd_una + queue.bytes(); }
  bool established_or_later() const { return state >= State::established; }
  /// An acknowledgement has something to say in a SACK option.
  bool reports() const {
    return sack_permitted && (!reorder.empty() || duplicate.start != duplicate.end);
  }
  bool fin_acknowledged() const { return fin_sent && seq_gt(snd_una, fin_sequence); }
};
static_assert(offsetof(ControlBlock, queue) <= 128,
              "what a segment touches lies in two cache lines");
static_assert(sizeof(ControlBlock) <= 512, "an idle connection costs at most 512 bytes");

}  // namespace weir::net::tcp
