#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

#include "net/clock.h"
#include "net/environment.h"
#include "net/ip/input.h"
#include "net/ip/routing.h"
#include "net/ip/sender.h"

namespace weir::net::link {

/// Tells multicast routers and switches in which groups we are: those of our addresses (MLDv2, RFC
/// 3810). Groups are only ever wanted from all sources; that of all nodes is never reported.
class MulticastListener {
 public:
  MulticastListener(const Clock& clock, const Environment& environment, const ip::Routing& routing,
                    ip::Sender& sender);

  /// Processes a query whose checksum is right. The frame stays the caller's.
  void input_query(const ip::Incoming& query);
  /// Our groups are others than before: they are reported, and once more for the case of loss (RFC
  /// 3810 section 6.1).
  void groups_changed();
  void run_timers();
  uint64_t next_deadline_us() const { return std::min(change_at_us_, answer_at_us_); }

 private:
  void report(uint8_t record_type, const Address* only);

  const Clock& clock_;
  Environment environment_;
  const ip::Routing& routing_;
  ip::Sender& sender_;
  uint64_t change_at_us_ = UINT64_MAX;
  uint8_t changes_left_ = 0;
  uint64_t answer_at_us_ = UINT64_MAX;
  /// The group that was asked for; the unspecified address asks for all.
  Address answer_for_{};
};

}  // namespace weir::net::link
