#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/timer_wheel.h"
#include "net/tcp/control_block.h"
#include "net/tcp/flow_table.h"
#include "net/tcp/header.h"
#include "net/tcp/options.h"
#include "net/tcp/tcp.h"
#include "net/tcp/time_wait.h"

namespace weir::net::tcp {

inline constexpr uint32_t kDelayedAckUs = 40'000;
inline constexpr uint8_t kMaxSynRetries = 6;
inline constexpr uint8_t kMaxSynAckRetries = 5;
/// Doubling from the minimum of 200 ms these take more than the 100 s that RFC 9293 section 3.8.3
/// asks for.
inline constexpr uint8_t kMaxRetries = 10;
inline constexpr uint8_t kMaxProbes = 10;
/// A peer that owes its FIN and says nothing for this long is gone.
inline constexpr uint64_t kFinWait2Us = 60'000'000;
/// RFC 9293 section 3.7.1: assumed when the peer names none.
inline constexpr uint16_t kDefaultMss = 536;
/// A smaller MSS would make headers outweigh the data; Linux has such a floor too.
inline constexpr uint16_t kMinMss = 88;
/// Time between challenge acknowledgements of one connection (RFC 5961 section 7).
inline constexpr uint64_t kChallengeUs = 500'000;
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
  Options options;

  bool has(uint8_t flag) const { return (flags & flag) != 0; }
  uint32_t length() const { return payload_bytes + has(kSyn) + has(kFin); }
};

struct Listener {
  FlowEvents* events = nullptr;
  uint32_t tag = 0;
  uint32_t half_open = 0;
};

/// Everything of a Tcp. Split over tcp.cc (handlers' calls, timers), segment_in.cc and
/// segment_out.cc.
struct Tcp::State {
  State(const StackConfig& config, const Environment& environment, ip::Output& output);

  // segment_in.cc
  bool parse(const ip::Received& received, Segment& segment);
  void input_one(Segment& segment);
  void input_closed(const Segment& segment);
  /// `beyond`: the new connection's sequence numbers begin behind this one.
  void input_listen(const Segment& segment, Listener& listener, const uint32_t* beyond = nullptr);
  void input_time_wait(uint32_t slot, const Segment& segment);
  void input_syn_sent(ControlBlock& block, Segment& segment);
  void input_connection(ControlBlock& block, Segment& segment);
  bool check_acknowledgement(ControlBlock& block, const Segment& segment);
  void take_acknowledgement(ControlBlock& block, const Segment& segment);
  bool deliver(ControlBlock& block, const Payload& payload);
  bool take_data(ControlBlock& block, Segment& segment);
  void take_fin(ControlBlock& block);
  void take_window(ControlBlock& block, const Segment& segment);
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
  bool send_segment(ControlBlock& block, uint32_t sequence, uint32_t bytes, uint8_t flags,
                    SendQueue::Cursor& cursor);
  void send_syn(ControlBlock& block);
  void send_ack(ControlBlock& block);
  void send_bare(const Endpoint& local, const Endpoint& remote, uint32_t sequence,
                 uint32_t acknowledgement, uint8_t flags, uint16_t window,
                 const uint32_t* timestamps);
  void send_reset_for(const Segment& segment);
  void retransmit_head(ControlBlock& block);
  uint16_t window_field(ControlBlock& block);
  uint32_t write_header(ControlBlock& block, uint8_t* at, uint32_t sequence, uint8_t flags);
  void note_sent(ControlBlock& block, uint32_t sequence, uint32_t bytes, bool fin);

  // tcp.cc
  ControlBlock* create(const Endpoint& local, const Endpoint& remote, uint64_t hash);
  void destroy(ControlBlock& block);
  void finish(ControlBlock& block, CloseReason reason);
  void enter_time_wait(ControlBlock& block);
  void remove_time_wait(uint32_t slot);
  void on_timer(ControlBlock& block);
  void on_retransmit_timeout(ControlBlock& block);
  void on_persist(ControlBlock& block);
  void arm(ControlBlock& block, uint64_t deadline_us) {
    if (!block.timer.armed() || deadline_us < block.timer.tick * TimerWheel::kSlotUs)
      wheel.arm(block.timer, deadline_us);
  }
  void start_retransmit_timer(ControlBlock& block) {
    block.retransmit_at_us = now_us + block.round_trip.timeout_us();
    arm(block, block.retransmit_at_us);
  }
  void request_close(ControlBlock& block);
  ControlBlock* find(const Endpoint& local, const Endpoint& remote, uint64_t hash);
  uint32_t initial_sequence(const Endpoint& local, const Endpoint& remote);
  uint32_t timestamp_now(uint32_t offset) const {
    return static_cast<uint32_t>(now_us / 1000) + offset;
  }
  uint32_t now_ms() const { return static_cast<uint32_t>(now_us / 1000); }
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
  uint64_t hash_key[2];
  uint64_t isn_key[2];
  uint8_t receive_scale = 0;

  LazyPool<ControlBlock> blocks;
  FlowTable flows;
  TimeWaitRing time_wait;
  SendPool send_pool;
  LazyPool<EarlySegment> early;
  TimerWheel wheel;
  std::unordered_map<uint16_t, Listener> listeners;
  uint32_t half_open = 0;
  ControlBlock* output_head = nullptr;
  /// Dead blocks that somebody up the call stack may still look at; freed at the end of the cycle.
  std::vector<ControlBlock*> graveyard;
  std::vector<Segment> batch;
};

}  // namespace weir::net::tcp
