#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "sim/app.h"
#include "sim/host.h"
#include "sim/link.h"
#include "sim/meddler.h"
#include "sim/plan.h"

namespace weir::sim {

/// Addresses of the two hosts, and of the router that may stand between them.
LinkAddress link_address_of(uint32_t host);
net::Address host_address(uint32_t host, bool v6);
net::Address router_address(bool v6);

/// What happens at a time.
struct Event {
  enum class Kind : uint8_t {
    /// Both directions: nothing passes, or something does again.
    partition,
    reunite,
    /// The link from `host` becomes `link`.
    configure,
    /// The host's free buffers are taken away, and given back.
    starve,
    feed,
    /// From here on links lose nothing and nobody meddles.
    heal,
  };
  uint64_t at_ns;
  Kind kind;
  uint32_t host = 0;
  LinkConfig link = {};
  bool header_buffers = false;
  bool frame_buffers = false;
};

/// What a host's clock is to reach soon after the start.
enum class ClockAim : uint8_t {
  anything,
  /// Its initial sequence number lies shortly before 2^32.
  sequence_wrap,
  /// So do its timestamps, its milliseconds, or the slots of its timer wheel.
  timestamp_wrap,
  millisecond_wrap,
  wheel_wrap,
};

/// All that a run depends on, drawn from one number.
struct Scenario {
  uint64_t seed = 0;
  /// The hosts speak IPv6 with each other.
  bool v6 = false;
  std::array<HostConfig, 2> hosts;
  std::array<ClockAim, 2> aims{};
  /// Of its first connection: how far before the end of the sequence space a host begins.
  std::array<uint32_t, 2> before_wrap{};
  std::array<AppConfig, 2> apps;
  /// The link from a host.
  std::array<LinkConfig, 2> links;
  /// A router between the hosts tells senders of packets that are too long.
  bool router_answers = true;
  /// Of what reaches a host.
  std::array<Meddling, 2> meddling;
  std::deque<Pair> pairs;
  /// In order of time.
  std::vector<Event> events;
  uint64_t heal_ns = 0;

  static Scenario draw(uint64_t seed);
};

}  // namespace weir::sim
