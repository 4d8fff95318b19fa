#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/app.h"
#include "sim/host.h"
#include "sim/link.h"
#include "sim/meddler.h"
#include "sim/observer.h"
#include "sim/pcap.h"
#include "sim/scenario.h"

namespace weir::sim {

/// What a run was like.
struct Outcome {
  /// What failed, and when; empty for nothing.
  std::string failure;
  /// Over all frames, their times and places.
  uint64_t digest = 0;
  uint64_t virtual_ns = 0;
  uint64_t frames = 0;
  /// Bytes that handlers got.
  uint64_t bytes = 0;
  uint64_t connections = 0;
  /// Ends, by how it went.
  uint64_t finished = 0, aborted = 0, failed = 0, orphaned = 0;
  /// Streams whose sequence numbers went past 2^32.
  uint64_t wrapped = 0;
  /// Packets that a port cut into pieces.
  uint64_t cut = 0;
  uint64_t forged = 0;
  /// Of both hosts.
  std::array<uint64_t, kCounterCount> counters{};

  /// Adds another run's counts; failure and digest stay.
  void add(const Outcome& other);
};

/// Runs one scenario from its start to the end of its last TIME-WAIT, and looks at everything.
class Simulation final : public Watcher {
 public:
  /// The pools' buffers must all be there. `pcaps`: what passes at the hosts' ports; may be null.
  Simulation(const Scenario& scenario, HostPools& pools_a, HostPools& pools_b,
             std::array<PcapWriter*, 2> pcaps = {});
  ~Simulation();

  Outcome run();

  void on_transmit(Host& host, const Frame& frame) override;
  void on_input(Host& host, const Link::Arrival& arrival) override;
  void on_discard(Host& host, const Link::Arrival& arrival) override;
  void after_input(Host& host, uint32_t received, uint32_t sent) override;
  void before_flush(Host& host) override;
  void after_flush(Host& host) override;
  void fail(std::string what) override;

 private:
  /// The next thing that happens; false when that is after `until_ns`.
  bool step(uint64_t until_ns);
  uint64_t next_ns() const;
  void deliver(uint32_t host);
  void happen(const Event& event);
  void heal();
  bool is_over() const;
  void check_connection(Host& host, Pair& pair, const net::ConnectionInfo& info);
  void judge();
  void judge_end(Pair& pair, uint32_t host);
  void wind_up();
  void note_loss(const Frame& frame);
  void record(uint32_t host, std::span<const uint8_t> frame);

  Scenario scenario_;
  std::array<HostPools*, 2> pools_;
  std::array<PcapWriter*, 2> pcaps_;
  Outcome outcome_;
  uint64_t now_ns_ = 0;
  size_t next_event_ = 0;
  Observer observer_;
  std::array<std::unique_ptr<Link>, 2> links_;
  std::array<std::unique_ptr<App>, 2> apps_;
  std::array<std::unique_ptr<Host>, 2> hosts_;
  std::array<std::unique_ptr<Meddler>, 2> meddlers_;
  /// Packets that waited for a link address when a host's last cycle ended.
  std::array<uint32_t, 2> waiting_{};
  /// Frames other than TCP that were lost: a neighbor may well be unreachable then.
  uint64_t lost_requests_ = 0;
  /// Before the flush, by pair.
  std::vector<net::ConnectionInfo> before_;
  std::vector<Link::Arrival> passed_;
  bool meddled_acks_ = false;
};

/// Draws the scenario of a seed and runs it. `pcap_path`: writes what passed at host A's port
/// there, and what passed at B's beside it; empty for neither.
Outcome simulate(uint64_t seed, HostPools& pools_a, HostPools& pools_b,
                 const std::string& pcap_path = {});

/// A few lines about a scenario, for people.
std::string describe(const Scenario& scenario);

}  // namespace weir::sim
