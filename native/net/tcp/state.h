#pragma once
#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/siphash.h"
#include "base/timer_wheel.h"
#include "net/tcp/control_block.h"
#include "net/tcp/flow_table.h"
#include "net/tcp/header.h"
#include "net/tcp/options.h"
#include "net/tcp/syn_cookie.h"
#include "net/tcp/tcp.h"
#include "net/tcp/time_wait.h"

namespace weir::net::tcp {

inline constexpr uint32_t kDelayedAckUs = 40'000;
/// How long other receivers may delay one: WCDelAckT of RFC 8985 section 7.2.
inline constexpr uint64_t kLongestDelayedAckUs = 200'000;
/// A worker may be kept from running for milliseconds, which is no loss: neither a tail loss probe
/// nor the end of the reordering window comes sooner.
inline constexpr uint64_t kTailProbeFloorUs = 10'000;
inline constexpr uint64_t kReorderFloorUs = 1'000;
inline constexpr uint8_t kMaxSynRetries = 6;
inline constexpr uint8_t kMaxSynAckRetries = 5;
/// After so many SYNs sent again, three seconds, another address of the same name is tried.
inline constexpr uint8_t kAddressSynRetries = 1;
/// Doubling from the minimum of 200 ms these take more than the 100 s that RFC 9293 section 3.8.3
/// asks for.
inline constexpr uint8_t kMaxRetries = 10;
inline constexpr uint8_t kMaxProbes = 10;
/// A peer that owes its FIN and says nothing for this long is gone.
inline constexpr uint64_t kFinWait2Us = 60'000'000;
/// RFC 9293 section 3.7.1: assumed when the peer names none.
inline constexpr uint16_t kDefaultMss = 536;
inline constexpr uint16_t kDefaultMssV6 = 1220;
/// A smaller MSS would make headers outweigh the data; Linux has such a floor too.
inline constexpr uint16_t kMinMss = 88;
/// After so many time-outs in a row a path that swallows long segments is suspected (RFC 4821
/// section 7.7), and segments of these many bytes are tried, then of kDefaultMss.
inline constexpr uint8_t kBlackHoleRetries = 3;
inline constexpr uint16_t kBaseMss = 1024;
/// Time between challenge acknowledgements of one connection (RFC 5961 section 7).
inline constexpr uint32_t kChallengeMs = 500;
inline constexpr uint16_t kFirstEphemeralPort = 32768;
inline constexpr uint16_t kLastEphemeralPort = 60999;

/// A segment that has been parsed. Sequence space is what it occupies including SYN and FIN.
struct Segment {
  rte_mbuf* frame;
  Endpoint local;
  Endpoint remote;
  uint64_t hash;
  uint32_t sequence;
  uint32_t acknowledgement;
  uint32_t payload_offset_bytes;
  uint32_t payload_bytes;
  uint16_t window;
  uint8_t flags;
  /// A router on the way marked the packet (RFC 3168 section 5).
  bool congested;
  Options options;

  bool has(uint8_t flag) const { return (flags & flag) != 0; }
  uint32_t length() const { return payload_bytes + has(kSyn) + has(kFin); }
};

/// What one acknowledgement says.
struct AckNews {
  /// Bytes that arrived, in order or not, since the one before.
  uint32_t delivered = 0;
  /// Round trips of the first and of the last segment that it speaks of, of those that were sent
  /// once; 0 for none.
  uint32_t first_rtt_us = 0;
  uint32_t last_rtt_us = 0;
  bool sacked = false;
  /// A segment arrived twice (RFC 2883).
  bool duplicate = false;
  /// Something arrived that was sent once only.
  bool original_delivered = false;
  /// Segments were found to be lost.
  bool lost = false;
};

struct Listener {
  FlowEvents* events = nullptr;
  uint32_t tag = 0;
};

/// Everything of a Tcp. Split over tcp.cc (handlers' calls, slow timers), segment_in.cc,
/// loss_recovery.cc and segment_out.cc.
struct Tcp::State {
  State(const StackConfig& config, const Environment& environment, ip::Output& output);

  // segment_in.cc
  void prefetch_blocks();
  bool parse(const ip::Received& received, Segment& segment);
  void input_one(Segment& segment);
  void input_closed(const Segment& segment);
  /// `beyond`: the new connection's sequence numbers begin behind this one.
  void input_listen(Segment& segment, Listener& listener, const uint32_t* beyond = nullptr);
  void answer_with_cookie(const Segment& segment);
  bool input_cookie(Segment& segment, Listener& listener);
  void input_time_wait(uint32_t slot, Segment& segment);
  void input_syn_sent(ControlBlock& block, Segment& segment);
  void input_connection(ControlBlock& block, Segment& segment);
  bool input_predicted(ControlBlock& block, const Segment& segment);
  void note_text(ControlBlock& block, uint32_t bytes, bool fin);
  bool check_acknowledgement(ControlBlock& block, const Segment& segment);
  void take_options(ControlBlock& block, const Segment& segment);
  bool deliver(ControlBlock& block, const Payload& payload);
  bool take_data(ControlBlock& block, Segment& segment);
  void widen(ControlBlock& block);
  void note_duplicate(ControlBlock& block, uint32_t start, uint32_t end);
  void take_fin(ControlBlock& block);
  void take_window(ControlBlock& block, const Segment& segment, bool advances);
  bool establish(ControlBlock& block);
  void challenge(ControlBlock& block);

  // segment_out.cc
  void want_output(ControlBlock& block) {
    if (block.in_output_list) return;
    block.in_output_list = true;
    block.next_output = output_head;
    output_head = &block;
  }
  void want_ack(ControlBlock& block) {
    block.ack_now = true;
    want_output(block);
  }
  void output_one(ControlBlock& block);
  bool output_predicted(ControlBlock& block);
  bool send_segment(ControlBlock& block, uint32_t sequence, uint32_t bytes, uint8_t flags,
                    SendQueue::Cursor& cursor, bool resent);
  bool send_new(ControlBlock& block, uint32_t bytes, bool fin);
  bool resend(ControlBlock& block, SentSegment& sent);
  void send_header(rte_mbuf* packet, uint32_t header_bytes, const Address& local,
                   const Address& remote);
  void send_syn(ControlBlock& block);
  void send_ack(ControlBlock& block);
  void send_bare(const Endpoint& local, const Endpoint& remote, uint32_t sequence,
                 uint32_t acknowledgement, uint8_t flags, uint16_t window,
                 const uint32_t* timestamps);
  void send_reset_for(const Segment& segment);
  uint16_t window_field(ControlBlock& block);
  uint32_t write_header(ControlBlock& block, uint8_t* at, uint32_t sequence, uint8_t flags);
  void acknowledge_later(ControlBlock& block);
  uint32_t segment_bytes(const ControlBlock& block) const;
  uint32_t large_segment_bytes(ControlBlock& block, uint32_t bytes);
  bool repair_losses(ControlBlock& block);
  bool send_queued(ControlBlock& block);

  // loss_recovery.cc
  void take_acknowledgement(ControlBlock& block, const Segment& segment);
  bool is_duplicate(const ControlBlock& block, const Segment& segment) const;
  bool echoes_original(const ControlBlock& block, const Segment& segment) const;
  void note_delivered(ControlBlock& block, const SentSegment& sent, const Segment& segment,
                      AckNews& news);
  void read_sack(ControlBlock& block, const Segment& segment, AckNews& news);
  void mark_sack(ControlBlock& block, const SackBlock& sack, const Segment& segment, AckNews& news);
  void acknowledge_sent(ControlBlock& block, const Segment& segment, AckNews& news);
  void measure_round_trip(ControlBlock& block, const Segment& segment, const AckNews& news);
  bool detect_losses(ControlBlock& block);
  void find_losses(ControlBlock& block, bool advances, AckNews& news, uint32_t pipe_before,
                   uint32_t flight);
  /// Bytes under way: sent, and neither acknowledged nor sacked nor lost (RFC 6675 section 4).
  static uint32_t pipe(const ControlBlock& block) {
    uint32_t out = block.snd_nxt - block.snd_una;
    uint32_t arrived = block.board.sacked_bytes() + block.board.lost_bytes();
    // Without SACK each duplicate says that one segment has left the network (RFC 6582
    // section 3.2).
    if (!block.sack_permitted) arrived += block.duplicates * uint32_t{block.mss_bytes};
    return out - std::min(out, arrived);
  }
  void begin_undo(ControlBlock& block);
  void undo(ControlBlock& block);
  void enter_recovery(ControlBlock& block, uint32_t flight, uint32_t pipe_before);
  void take_congestion_mark(ControlBlock& block, uint32_t flight);
  void reduce_window(ControlBlock& block, uint32_t flight);
  void end_tail_probe(ControlBlock& block, const AckNews& news, uint32_t pipe_before);
  void second_thoughts(ControlBlock& block, const Segment& segment, bool advances,
                       const AckNews& news);
  void grow_window(ControlBlock& block, const AckNews& news, uint32_t pipe_before);
  void move_on(ControlBlock& block, bool advances, const AckNews& news, uint32_t pipe_before);
  void set_loss_timer(ControlBlock& block);
  bool may_probe_tail(const ControlBlock& block) const;
  void on_loss_timer(ControlBlock& block);
  void on_tail_probe(ControlBlock& block);
  void on_retransmit_timeout(ControlBlock& block);
  void on_persist(ControlBlock& block);

  // tcp.cc
  ControlBlock* create(const Endpoint& local, const Endpoint& remote, uint64_t hash);
  void enter(ControlBlock& block, const Endpoint& local, const Endpoint& remote, uint64_t hash);
  void leave(ControlBlock& block);
  ControlBlock* prepare(FlowEvents& events, uint32_t user);
  void aim(ControlBlock& block, const Endpoint& local, const Endpoint& remote);
  Endpoint free_endpoint(const Endpoint& remote);
  void destroy(ControlBlock& block);
  void finish(ControlBlock& block, CloseReason reason);
  void enter_time_wait(ControlBlock& block);
  void remove_time_wait(uint32_t slot);
  void on_timer(ControlBlock& block);
  void arm(ControlBlock& block, uint64_t deadline_us) {
    if (!block.timer.armed() || deadline_us < block.timer.tick * TimerWheel::kSlotUs)
      wheel.arm(block.timer, deadline_us);
  }
  void start_timer(ControlBlock& block, LossTimer what) {
    block.loss_timer = what;
    block.loss_at_us = now_us + block.round_trip.timeout_us();
    arm(block, block.loss_at_us);
  }
  void start_keep_alive(ControlBlock& block);
  void on_idle_timer(ControlBlock& block);
  bool outlasts_user(const ControlBlock& block) const;
  void shrink_segments(ControlBlock& block, uint16_t mss_bytes);
  /// Segments as long as the path takes by now.
  void fit_path(ControlBlock& block) {
    uint32_t options = block.timestamps ? kTimestampOptionBytes : 0;
    shrink_segments(block, static_cast<uint16_t>(our_mss(block.remote.address) - options));
  }
  void request_close(ControlBlock& block);
  /// Calls `action` with each connection that a peer is opening to a port.
  template <typename Action>
  void for_each_opening(uint16_t port, Action action) {
    for (uint32_t i = 0; i < blocks.touched(); i++) {
      ControlBlock& block = blocks[i];
      if (block.state == tcp::State::syn_received && !block.outbound && block.local.port == port)
        action(block);
    }
  }
  ControlBlock* find(const Endpoint& local, const Endpoint& remote, uint64_t hash);
  uint32_t initial_sequence(const Endpoint& local, const Endpoint& remote);
  /// A timestamp clock of its own for each peer says nothing about the machine's (RFC 7323
  /// section 7.1).
  uint32_t timestamp_offset(const Endpoint& remote) const {
    return static_cast<uint32_t>(siphash(isn_key, &remote, sizeof remote) >> 32);
  }
  uint32_t timestamp_now(uint32_t offset) const { return clock_ms + offset; }
  uint32_t now_ms() const { return clock_ms; }
  static uint32_t buffer_room(const ControlBlock& block) {
    return block.receive_limit_bytes - std::min(block.receive_limit_bytes, block.unconsumed_bytes);
  }
  /// Bytes that the peer may be offered: what the connection's buffer has left, and where the
  /// handler runs out of memory a share of what that has.
  uint32_t receive_room(const ControlBlock& block) const {
    uint32_t room = buffer_room(block);
    uint32_t share = block.events->receive_room_bytes() / 8;
    return std::min(room, std::max<uint32_t>(share, 2u * block.mss_bytes));
  }
  uint16_t our_mss(const Address& remote) const {
    // RFC 9293 section 3.7.1: without options, with the smallest IP header.
    return static_cast<uint16_t>(output.mtu_bytes(remote) - (remote.is_v4() ? 40 : 60));
  }
  static constexpr uint32_t kTimeWaitBit = 0x8000'0000;

  StackConfig config;
  Environment environment;
  Counters& counters;
  ip::Output& output;
  uint64_t now_us = 0;
  /// The same in milliseconds, modulo 2^32.
  uint32_t clock_ms = 0;
  uint64_t hash_key[2];
  uint64_t isn_key[2];
  SynCookie cookie;
  /// Until when somebody may come with a cookie.
  uint64_t cookies_until_us = 0;
  uint8_t receive_scale = 0;

  LazyPool<ControlBlock> blocks;
  FlowTable flows;
  TimeWaitRing time_wait;
  SendPool send_pool;
  ReorderPool early;
  LazyPool<SentSegment> sent_pool;
  TimerWheel wheel;
  std::unordered_map<uint16_t, Listener> listeners;
  uint32_t half_open = 0;
  ControlBlock* output_head = nullptr;
  /// Dead blocks that somebody up the call stack may still look at; freed at the end of the cycle.
  std::vector<ControlBlock*> graveyard;
  std::vector<Segment> batch;
  /// Connections that the batch is about, as far as a hash tells.
  std::vector<const ControlBlock*> candidates;
};

}  // namespace weir::net::tcp
