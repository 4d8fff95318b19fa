#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "latency.h"
#include "port/port.h"
#include "segments.h"

struct rte_mempool;

namespace weir::load {

struct LoadConfig {
  /// IPv4, in host order.
  uint32_t server = 0;
  uint16_t server_port = 0;
  /// The first of the addresses that clients have; the next ones follow it.
  uint32_t first_client = 0;
  uint32_t connections = 64;
  /// Messages under way at once, over all connections.
  uint32_t outstanding = 64;
  std::vector<uint8_t> request;
  /// The request is expected back, with its connection's and its own number in its first bytes;
  /// else any bytes, so many of them.
  bool is_echo = true;
  uint32_t response_bytes = 64;
  /// Open loop: messages a second, whatever the answers do; 0 for the closed loop.
  double rate = 0;
  /// Messages of one connection, which then is reset and opened again; 0: it stays.
  uint32_t messages_per_connection = 0;
  uint32_t segment_bytes = 1460;
  uint32_t batch = 64;
  /// Two turns further apart have a stall between them: the thread did not run.
  double stall_us = 100;
};

/// What happened in a window of time.
struct LoadCounts {
  uint64_t messages = 0;
  uint64_t response_bytes = 0;
  uint64_t opened = 0;
  uint64_t resent = 0;
  /// Answers that were not what was sent, connections that the server reset.
  uint64_t wrong = 0;
  uint64_t resets = 0;
  uint64_t frames_sent = 0;
  uint64_t frames_received = 0;
  /// Ticks of the time stamp counter: all, in turns that found nothing to do, and lost between two
  /// turns that lay further apart than a stall.
  uint64_t ticks = 0;
  uint64_t idle_ticks = 0;
  uint64_t stalled_ticks = 0;
  uint64_t stalls = 0;
  /// Messages whose time is not in the latencies, because a stall fell into it.
  uint64_t excluded = 0;
};

/// Clients of a TCP server that cost much less than the server: no stack, but segments from
/// templates and as much of TCP as a path without loss needs, with repetition where something is
/// lost after all.
class TcpLoad {
 public:
  TcpLoad(const LoadConfig& config, port::Port& port, rte_mempool* pool);

  /// Asks for the server's link address and opens all connections. What went wrong, or nothing.
  std::string open(double patience_s);
  /// Loads the server for so long; `counts()` and `latency()` tell of it.
  void run(double seconds);
  /// Resets all connections.
  void close();
  const LoadCounts& counts() const { return counts_; }
  const Latency& latency() const { return latency_; }

 private:
  enum class State : uint8_t { closed, opening, open };

  struct Flow {
    uint32_t snd_una = 0;
    uint32_t snd_nxt = 0;
    uint32_t rcv_nxt = 0;
    /// Up to here everything has been acknowledged to the server.
    uint32_t acknowledged = 0;
    /// Where the present message begins.
    uint32_t message_start = 0;
    /// Bytes of the present answer.
    uint32_t received = 0;
    /// The server's window.
    uint32_t window = 0;
    /// Number of the message.
    uint32_t count = 0;
    /// When the message was due, and when something was last sent.
    uint64_t due = 0;
    uint64_t sent = 0;
    State state = State::closed;
    uint8_t window_scale = 0;
    bool is_busy = false;
    /// Stands in the list of those who owe an acknowledgement.
    bool owes = false;
  };
  static_assert(sizeof(Flow) <= 56, "there may be millions of them");
  struct Owed {
    uint32_t flow;
    uint64_t since;
  };

  uint32_t client_of(uint32_t index) const;
  uint64_t tag_of(uint32_t index, const Flow& flow) const {
    return uint64_t{index} << 32 | flow.count;
  }
  void put_idle(uint32_t index);
  uint32_t take_idle();
  bool turn();
  void take(rte_mbuf* frame, uint64_t now);
  void take_arp(const uint8_t* at, uint32_t bytes);
  void take_segment(uint32_t index, const SegmentHeaders& headers, uint32_t frame_bytes,
                    uint64_t now);
  bool take_answer(uint32_t index, Flow& flow, const uint8_t* payload, uint32_t bytes,
                   uint64_t now);
  void open_flow(uint32_t index, uint64_t now);
  void send_syn(uint32_t index, Flow& flow, uint64_t now);
  void begin(uint32_t index, uint64_t due, uint64_t now);
  void pump(uint32_t index, Flow& flow, uint64_t now);
  void send(uint32_t index, Flow& flow, uint8_t flags, uint32_t sequence,
            std::span<const uint8_t> options, uint32_t offset, uint32_t bytes);
  void acknowledge(uint32_t index, Flow& flow);
  void look_after(uint64_t now);
  void ask_for_server();
  void flush();
  bool is_full() const { return out_.size() >= kMostWaiting; }

  static constexpr uint32_t kMostWaiting = 512;

  LoadConfig config_;
  port::Port& port_;
  rte_mempool* pool_;
  Message request_;
  std::array<uint8_t, 6> server_link_{};
  bool knows_server_ = false;
  std::unique_ptr<SegmentTemplate> template_;
  std::vector<Flow> flows_;
  /// Connections that have nothing to do, oldest first: a ring.
  std::vector<uint32_t> idle_;
  uint32_t idle_at_ = 0;
  uint32_t idle_count_ = 0;
  std::vector<Owed> owed_;
  uint32_t owed_at_ = 0;
  uint32_t owed_count_ = 0;
  std::vector<rte_mbuf*> out_;
  uint32_t busy_ = 0;
  uint32_t opening_ = 0;
  uint32_t opened_ = 0;
  uint32_t next_to_open_ = 0;
  uint32_t looked_at_ = 0;
  bool sends_messages_ = false;
  /// Open loop: when the next message is due, and the time between two.
  double next_due_ = 0;
  double interval_ = 0;
  uint64_t last_turn_ = 0;
  uint64_t stall_end_ = 0;
  double ticks_per_us_;
  LoadCounts counts_;
  Latency latency_;
};

}  // namespace weir::load
