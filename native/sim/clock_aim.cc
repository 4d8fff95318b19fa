#include "sim/clock_aim.h"

#include <algorithm>
#include <array>
#include <vector>

#include "sim/app.h"

namespace weir::sim {
namespace {

/// Virtual time that a handshake may take.
constexpr uint64_t kLongestNs = 5'000'000'000;
constexpr uint64_t kSequenceTickUs = 4;
constexpr uint64_t kSequenceCycleUs = kSequenceTickUs << 32;
constexpr uint64_t kMsUs = 1000;
constexpr uint64_t kSecondUs = 1'000'000;
/// The wheel's slots are 16 us; 2^24 of them are its span, and 2^32 a number of 32 bits.
constexpr uint64_t kWheelSpanUs = 16ull << 24;
constexpr uint64_t kWheelNumberUs = 16ull << 32;

/// Two hosts on one wire that takes no time, until each has sent a SYN.
class Handshake final : public Watcher {
 public:
  Handshake(const Scenario& scenario, HostPools& pools_a, HostPools& pools_b) {
    pairs_.push_back(scenario.pairs[0]);
    pairs_[0].opens_at_ns = 0;
    HostPools* pools[] = {&pools_a, &pools_b};
    for (uint32_t i = 0; i < 2; i++) {
      AppConfig calm;
      calm.peer = scenario.apps[i].peer;
      hosts_[i] = std::make_unique<Host>(i, scenario.hosts[i], *pools[i], *this, Random(i));
      apps_[i] = std::make_unique<App>(*hosts_[i], pairs_, calm, *this, Random(i));
      hosts_[i]->set_handler(*apps_[i]);
    }
    hosts_[1]->stack().tcp_listen(pairs_[0].port, *apps_[1], 0);
    // With IPv6 it may take a while until the hosts use their addresses (RFC 4862 section 5.4).
    while (!(seen_[0] && seen_[1])) {
      const uint64_t next_ns = std::min(hosts_[0]->next_ns(), hosts_[1]->next_ns());
      if (next_ns > kLongestNs) break;
      for (auto& host : hosts_)
        if (host->next_ns() <= next_ns) host->cycle(next_ns);
    }
  }
  ~Handshake() {
    for (auto& host : hosts_) host.reset();
  }

  const Segment* syn(uint32_t host) const { return seen_[host] ? &syns_[host] : nullptr; }

  void on_transmit(Host& host, const Frame& frame) override {
    Segment segment;
    if (parse(frame, segment) == FrameKind::tcp && segment.has(kSyn)) {
      segment.payload = {};
      syns_[host.index()] = segment;
      seen_[host.index()] = true;
    }
    hosts_[1 - host.index()]->arrive({.frame = frame});
  }
  void on_input(Host&, const Link::Arrival&) override {}
  void on_discard(Host&, const Link::Arrival&) override {}
  void after_input(Host&, uint32_t, uint32_t) override {}
  void before_flush(Host&) override {}
  void after_flush(Host&) override {}
  /// What is wrong shows in the run itself.
  void fail(std::string) override {}

 private:
  std::deque<Pair> pairs_;
  std::array<std::unique_ptr<App>, 2> apps_;
  std::array<std::unique_ptr<Host>, 2> hosts_;
  std::array<Segment, 2> syns_;
  std::array<bool, 2> seen_{};
};

}  // namespace

void aim_clocks(Scenario& scenario, HostPools& pools_a, HostPools& pools_b) {
  const Handshake handshake(scenario, pools_a, pools_b);
  Random random(scenario.seed);
  for (uint32_t i = 0; i < 2; i++) {
    uint64_t& offset_us = scenario.hosts[i].clock_offset_us;
    // When the host sends its SYN: the server after an exchange of ARP each way and the SYN itself.
    const uint64_t later_us =
        i == 0 ? 0 : (2 * scenario.links[0].delay_ns + scenario.links[1].delay_ns) / 1000;
    const uint64_t soon_us = random.below(10 * kSecondUs) + 1;
    const Segment* syn = handshake.syn(i);
    const auto before = [&](uint64_t cycle_us, uint64_t by_us) {
      offset_us = (random.between(1, 20) * cycle_us) - by_us;
    };
    switch (scenario.aims[i]) {
      case ClockAim::sequence_wrap:
        if (syn == nullptr) break;
        offset_us += uint64_t{0u - scenario.before_wrap[i] - 1 - syn->sequence} * kSequenceTickUs;
        offset_us += kSequenceCycleUs - later_us;
        break;
      case ClockAim::timestamp_wrap:
        if (syn == nullptr || !syn->timestamps) break;
        offset_us += uint64_t{0u - syn->timestamps->value} * kMsUs;
        offset_us += (kMsUs << 32) - soon_us;
        break;
      case ClockAim::millisecond_wrap:
        before(kMsUs << 32, soon_us);
        break;
      case ClockAim::wheel_wrap:
        before(random.one_in(2) ? kWheelSpanUs : kWheelNumberUs, soon_us);
        break;
      case ClockAim::anything:
        break;
    }
  }
}

}  // namespace weir::sim
