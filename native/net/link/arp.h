#pragma once
#include <cstdint>

#include "net/ip/routing.h"
#include "net/link/ethernet.h"
#include "net/link/neighbor_cache.h"

namespace weir::net::link {

/// Address resolution for IPv4 over Ethernet (RFC 826), with the announcements and the defence of
/// RFC 5227.
class Arp : public Resolver {
 public:
  Arp(const Clock& clock, const Environment& environment, const ip::Routing& routing,
      Ethernet& ethernet, NeighborCache& neighbors);

  /// Processes a frame of type ARP. Takes ownership.
  void input(rte_mbuf* frame);
  void solicit(const Address& target, const LinkAddress* known) override;

  /// Announces our address when it is due: at start, and once more (RFC 5227 section 2.3).
  void run_timers();
  uint64_t next_deadline_us() const { return announce_at_us_; }

 private:
  void process(rte_mbuf* frame);
  void announce();
  void send(uint16_t operation, const LinkAddress& destination, const LinkAddress& target_link,
            uint32_t target_be);

  const Clock& clock_;
  Environment environment_;
  const ip::Routing& routing_;
  Ethernet& ethernet_;
  NeighborCache& neighbors_;
  uint64_t announce_at_us_ = 0;
  uint8_t announcements_sent_ = 0;
  uint64_t defended_at_us_ = 0;
  bool has_defended_ = false;
};

}  // namespace weir::net::link
