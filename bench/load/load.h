#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dialogue.h"
#include "fifo.h"
#include "frames.h"
#include "latency.h"
#include "port/port.h"
#include "schedule.h"

struct rte_mempool;

namespace weir::load {

struct LoadConfig {
  /// IPv4, in host order.
  uint32_t server = 0;
  uint16_t server_port = 0;
  /// The first of the addresses that clients have; the next ones follow it.
  uint32_t first_client = 0;
  /// Of clients: each is an address and a port.
  uint32_t connections = 64;
  /// Messages under way at once, over all connections.
  uint32_t outstanding = 64;
  /// Open loop: requests a second, whatever the answers do; 0 for the closed loop.
  double rate = 0;
  /// Messages of one connection, which then is reset and opened again; 0: it stays.
  uint32_t messages_per_connection = 0;
  uint32_t segment_bytes = 1460;
  uint32_t batch = 64;
  /// Two turns further apart have a stall between them: the thread did not run.
  double stall_us = 100;
  /// The counters of the worker that is loaded, kCounterCount words, from which its own stalls are
  /// read; nullptr where it does not tell.
  const uint64_t* worker_counters = nullptr;
};

/// What happened in a window of time.
struct LoadCounts {
  /// Requests that were answered.
  uint64_t messages = 0;
  uint64_t response_bytes = 0;
  uint64_t opened = 0;
  uint64_t resent = 0;
  /// Answers that were not what they should be, and bytes that nobody had asked for.
  uint64_t wrong = 0;
  /// Answers to a message that another one had answered already: both copies arrived.
  uint64_t late = 0;
  /// Connections that the server ended.
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
  /// Of the worker that is loaded.
  uint64_t worker_stalls = 0;
};

/// Clients of a server that cost much less than the server: no stack, but frames from templates,
/// with repetition where something is lost. What they have in common, whatever carries their
/// messages: who waits for a message, when one is due, how long it took, and the link.
class Load {
 public:
  /// Without an answer for so long, a message is sent again.
  static constexpr double kPatienceUs = 300'000;

  virtual ~Load() = default;
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  /// Asks for the server's link address, opens all connections, and says what the dialogue wants
  /// said before the load. What went wrong, or nothing.
  std::string open(double patience_s);
  /// Loads the server for so long; `counts()` and `latency()` tell of it.
  void run(double seconds);
  /// Takes leave of the server.
  void close();
  const LoadCounts& counts() const { return counts_; }
  const Latency& latency() const { return latency_; }

 protected:
  Load(const LoadConfig& config, Dialogue& dialogue, port::Port& port, rte_mempool* pool);

  /// Where the server is has become known.
  virtual void on_route(const Route& route) = 0;
  /// An IPv4 frame from the server to one of the clients, whose payload may be cut short.
  virtual void take(uint32_t client, const uint8_t* frame, uint32_t bytes, uint64_t now) = 0;
  /// Sends the next message of a client that has nothing under way. `due`: when it should have
  /// been sent.
  virtual void begin(uint32_t client, uint64_t due, uint64_t now) = 0;
  /// What is due without a frame, some of it at each turn. True when there was anything.
  virtual bool tend(uint64_t now) = 0;
  /// Clients that can be given messages.
  virtual uint32_t open_count() const = 0;
  /// Ends what the server would keep.
  virtual void end_all(uint64_t deadline) {}

  /// `client` may be given a message.
  void wait(uint32_t client) { waiting_.push(client); }
  void count_begin() { busy_++; }
  /// A message was given up.
  void count_abandoned() { busy_--; }
  /// A message that was due then has been answered, to its end.
  void count_answered(uint64_t due, uint64_t now);
  bool is_loading() const { return phase_ == Phase::preparing || phase_ == Phase::loading; }

  Client client_of(uint32_t client) const;
  uint64_t ticks(double us) const { return static_cast<uint64_t>(us * ticks_per_us_); }
  bool is_full() const { return out_.size() >= kMostWaiting; }
  rte_mbuf* allocate();
  void transmit(rte_mbuf* frame) { out_.push_back(frame); }
  bool turn();
  void flush();

  const LoadConfig config_;
  Dialogue& dialogue_;
  LoadCounts counts_;

 private:
  enum class Phase : uint8_t { opening, preparing, loading, ending };
  static constexpr uint32_t kMostWaiting = 512;

  bool begin_messages(uint64_t now);
  void take_frame(rte_mbuf* frame, uint64_t now);
  void take_arp(const uint8_t* at, uint32_t bytes);
  void ask_for_server();
  void look_for_worker_stall();

  port::Port& port_;
  rte_mempool* pool_;
  Phase phase_ = Phase::opening;
  bool knows_server_ = false;
  /// Clients that have nothing to do, oldest first.
  Fifo<uint32_t> waiting_;
  std::optional<Schedule> schedule_;
  uint32_t busy_ = 0;
  std::vector<rte_mbuf*> out_;
  uint64_t last_turn_ = 0;
  uint64_t stall_end_ = 0;
  uint64_t worker_stalls_seen_ = 0;
  double ticks_per_us_;
  Latency latency_;
};

}  // namespace weir::load
