#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/packet_pool.h"
#include "sandbox/app_counters.h"
#include "sandbox/engine.h"
#include "sandbox/event_log.h"
#include "sim/link.h"
#include "sim/pcap.h"
#include "testbed/link_port.h"
#include "testbed/peer.h"
#include "worker/worker.h"

namespace weir::testbed {

struct TestbedConfig {
  /// Of all that is drawn by lot: the same seed and calls make the same frames.
  uint64_t seed = 1;
  /// The host's, at most one of each family.
  std::vector<net::Address> addresses;
  /// Time of day at the start, microseconds.
  uint64_t wall_start_us = 0;
  /// Where frames are captured at the host's port; "" for nowhere.
  std::string capture_path;
};

/// A direction of the link.
enum class Direction : uint8_t { to_host, from_host };

/// Why run() came back.
enum class Stop : uint8_t {
  /// Something happened at a peer.
  stirred,
  /// The time is up.
  reached,
  /// Enough was done for one call.
  paused,
};

/// A host for the test of one app: a real worker (stack, sandbox, engine) on a virtual clock, and
/// the test's peers at the other end of a simulated link. Time passes in run() only.
///
/// One thread; several testbeds may live in one process, one after another or side by side.
class Testbed {
 public:
  /// The monotonic clock's value at the start.
  static constexpr uint64_t kStartUs = 1'000'000;
  static constexpr uint16_t kMtuBytes = 1500;
  /// Addresses that a test may play.
  static constexpr size_t kMaxPeers = 64;
  /// Turns of one run().
  static constexpr uint32_t kMaxTurns = 50'000;

  /// nullptr with what is wrong and what to do. DPDK's environment has been started; `engine`
  /// outlives the testbed.
  static std::unique_ptr<Testbed> create(const TestbedConfig& config, sandbox::Engine& engine,
                                         std::string& error);
  ~Testbed();
  Testbed(const Testbed&) = delete;
  Testbed& operator=(const Testbed&) = delete;

  /// Puts the app on the worker, or replaces it. False with what is wrong.
  bool deploy(sandbox::AppConfig config, std::span<const uint8_t> compiled, std::string& error);
  /// For frames that are sent from now on.
  void configure(Direction direction, const sim::LinkConfig& config);

  uint64_t now_us() const { return now_us_; }
  /// Lets time pass until something happens at a peer, or to `until_us`.
  Stop run(uint64_t until_us);

  // What the test does at its peers. Those that return false say why in `error`.
  bool connect(uint32_t id, const net::Address& from, uint16_t port, std::string& error);
  bool listen(uint32_t id, const net::Address& address, uint16_t port, std::string& error);
  bool bind(uint32_t id, const net::Address& address, uint16_t port, std::string& error);
  /// Queues bytes; returns how many TCP took.
  uint32_t write(uint32_t id, std::span<const uint8_t> bytes);
  /// Received bytes that were not taken yet; the window stays closed for them until consume.
  std::vector<uint8_t> take(uint32_t id);
  void consume(uint32_t id, uint32_t bytes);
  void end(uint32_t id);
  void abort(uint32_t id);
  /// The oldest connection that waits at a listener, 0 for none.
  uint32_t accept(uint32_t id);
  bool send_datagram(uint32_t id, uint16_t port, std::span<const uint8_t> bytes);
  /// False when none waits.
  bool receive_datagram(uint32_t id, Datagram& datagram);
  /// Forgets what has this number; a connection that is open is reset.
  void close(uint32_t id);

  const PeerConnection* connection(uint32_t id) const;
  const PeerSocket* socket(uint32_t id) const;
  /// What TCP knows of a connection; nothing when it is over.
  std::optional<net::ConnectionInfo> info(uint32_t id) const;
  std::deque<sandbox::AppEvent> drain_events() { return log_.drain(); }
  std::span<const uint64_t> counters() const { return values_; }
  std::span<const uint64_t> app_counters() const { return app_values_; }
  const sim::Link& link(Direction direction) const {
    return direction == Direction::to_host ? to_host_ : from_host_;
  }
  /// Frames that were lost because too many were under way at once.
  uint64_t overflowed() const;

  /// Ends everything; returns how many packet buffers nobody gave back, which should be none.
  uint32_t shut_down();

 private:
  Testbed(const TestbedConfig& config, sandbox::Engine& engine);
  bool make_pools(std::string& error);
  void make_worker();
  Peer* peer_at(const net::Address& address, std::string& error);
  void introduce(Peer& peer);
  /// The host's address of the family of `peer`; nullptr when it has none.
  const net::Address* host_address(const net::Address& peer) const;
  PeerConnection* find(uint32_t id);
  uint64_t next_us() const;
  uint64_t host_next_us() const;
  void turn();
  void enter_time(uint64_t now_us);

  static constexpr uint32_t kBuffers = 4095;

  const TestbedConfig config_;
  sandbox::Engine& engine_;
  uint64_t now_us_ = kStartUs;
  /// A cycle takes a microsecond: however busy the worker is, time passes.
  uint64_t host_busy_until_us_ = 0;
  std::unique_ptr<PacketPool> frames_;
  std::unique_ptr<PacketPool> headers_;
  sim::Link to_host_;
  sim::Link from_host_;
  std::unique_ptr<sim::PcapWriter> capture_;
  sandbox::EventLog log_;
  std::array<uint64_t, kCounterCount> values_{};
  std::array<uint64_t, sandbox::kAppCounterCount> app_values_{};
  Endpoints endpoints_;
  std::unique_ptr<LinkPort> port_;
  std::unique_ptr<worker::Worker> worker_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

}  // namespace weir::testbed
