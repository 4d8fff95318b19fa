#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/packet_pool.h"
#include "net/environment.h"
#include "net/stack.h"
#include "sim/link.h"
#include "sim/packet.h"
#include "sim/random.h"
#include "worker/random.h"

namespace weir::sim {

class Host;

/// A host's buffers. They outlive the scenarios that use them, one after the other, and are full
/// between two of them.
struct HostPools {
  std::unique_ptr<PacketPool> frames;
  std::unique_ptr<PacketPool> headers;

  static constexpr uint32_t kBuffers = 4095;
  /// Nothing, and `error` set, when DPDK has no memory for them. `name` is at most 12 characters.
  static std::unique_ptr<HostPools> create(const std::string& name, std::string& error);
  bool are_full() const {
    return frames->free_count() == kBuffers && headers->free_count() == kBuffers;
  }
};

/// A worker as the simulator has it: one core that runs a stack and a handler.
struct HostConfig {
  net::StackConfig stack;
  /// The host's clock runs this much ahead of the simulation's.
  uint64_t clock_offset_us = 0;
  uint64_t stack_seed = 0;
  /// Frames taken in one cycle, and frames that may wait for it; more are lost.
  uint32_t batch = 64;
  uint32_t ring_frames = 512;
  /// What a cycle takes, and what one in stall_one_in takes on top, up to.
  uint64_t cycle_ns = 5'000;
  uint64_t stall_ns = 0;
  uint64_t stall_one_in = 200;
  /// How long the port holds on to frames that were sent.
  uint64_t transmit_hold_ns = 0;
  /// Told what becomes of the stack's addresses; nullptr for nobody.
  net::AddressEvents* address_events = nullptr;
};

/// What runs on a host.
class Handler {
 public:
  /// Between two events, once a cycle.
  virtual void run(uint64_t now_ns) = 0;
  /// When it wants to run although nothing happens; UINT64_MAX for never.
  virtual uint64_t next_ns() const = 0;

 protected:
  ~Handler() = default;
};

/// Who looks on.
class Watcher {
 public:
  virtual void on_transmit(Host& host, const Frame& frame) = 0;
  /// A frame that the stack is about to see.
  virtual void on_input(Host& host, const Link::Arrival& arrival) = 0;
  /// A frame that arrived and was lost all the same: no room, or no buffer.
  virtual void on_discard(Host& host, const Link::Arrival& arrival) = 0;
  /// The batch is worked off; `sent` frames went out meanwhile.
  virtual void after_input(Host& host, uint32_t received, uint32_t sent) = 0;
  virtual void before_flush(Host& host) = 0;
  virtual void after_flush(Host& host) = 0;
  /// Something that must never be.
  virtual void fail(std::string what) = 0;

 protected:
  ~Watcher() = default;
};

/// A whole stack on a virtual clock.
class Host final : public net::FrameSink {
 public:
  Host(uint32_t index, const HostConfig& config, HostPools& pools, Watcher& watcher, Random random);
  ~Host();

  uint32_t index() const { return index_; }
  const HostConfig& config() const { return config_; }
  net::Stack& stack() { return *stack_; }
  const Counters& counters() const { return counters_; }
  void set_handler(Handler& handler) { handler_ = &handler; }

  /// Packets that the port cut.
  uint64_t cut_packets() const { return cut_packets_; }
  uint64_t now_ns() const { return now_ns_; }
  /// The host's own clock at a time of the simulation's.
  uint64_t clock_us(uint64_t at_ns) const { return at_ns / 1000 + config_.clock_offset_us; }
  /// A timer that is due fires at most this much later.
  uint64_t lateness_ns() const;

  /// A frame arrives at the port. `first`: it goes before those that wait, and alone.
  void arrive(Link::Arrival arrival, bool first = false);
  /// When the next cycle begins; UINT64_MAX for never.
  uint64_t next_ns() const;
  void cycle(uint64_t now_ns);

  /// Somebody else takes all buffers that are free, then and after each cycle, until feed.
  void starve(bool header_buffers, bool frame_buffers);
  void feed();
  bool is_starved() const { return !starved_.empty(); }

  /// The port gives back what it sent.
  void release_sent(uint64_t until_ns = UINT64_MAX);

  void transmit(rte_mbuf* frame) override;

 private:
  struct Sent {
    uint64_t release_ns;
    rte_mbuf* buffer;
    Frame bytes;
  };

  void complete(const rte_mbuf* frame, const Frame& bytes);
  rte_mbuf* to_buffer(std::span<const uint8_t> frame);

  const uint32_t index_;
  const HostConfig config_;
  HostPools& pools_;
  Watcher& watcher_;
  Random random_;
  worker::Random stack_random_;
  std::array<uint64_t, kCounterCount> values_{};
  Counters counters_{values_.data()};
  std::unique_ptr<net::Stack> stack_;
  Handler* handler_ = nullptr;
  uint64_t now_ns_ = 0;
  uint64_t busy_until_ns_ = 0;
  std::deque<Link::Arrival> ring_;
  std::deque<Sent> sent_;
  std::vector<rte_mbuf*> batch_;
  std::vector<rte_mbuf*> starved_;
  bool starves_headers_ = false, starves_frames_ = false;
  uint32_t sent_in_cycle_ = 0;
  uint64_t cut_packets_ = 0;
  /// Cycles in a row that had nothing to do although the stack asked for them.
  uint32_t idle_cycles_ = 0;
};

}  // namespace weir::sim
