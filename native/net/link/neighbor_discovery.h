#pragma once
#include <cstdint>

#include "net/clock.h"
#include "net/environment.h"
#include "net/ip/input.h"
#include "net/ip/routing.h"
#include "net/ip/sender.h"
#include "net/link/arp.h"
#include "net/link/ethernet.h"
#include "net/link/neighbor_cache.h"

namespace weir::net::link {

/// Address resolution for IPv6 (RFC 4861 section 7) over the neighbor cache, and duplicate address
/// detection for each of our addresses (RFC 4862 section 5.4).
class NeighborDiscovery final : public Resolver {
 public:
  /// `probes`: DupAddrDetectTransmits. `speaks` as in Arp.
  NeighborDiscovery(const Clock& clock, const Environment& environment, ip::Routing& routing,
                    Ethernet& ethernet, NeighborCache& neighbors, ip::Sender& sender,
                    AddressListener& listener, uint8_t probes, bool speaks = true);

  /// Process messages whose checksum is right. The frame stays the caller's.
  void input_solicitation(const ip::Incoming& message);
  void input_advertisement(const ip::Incoming& message);
  void solicit(const Address& target, const LinkAddress* known) override;

  /// Probes for tentative addresses, and advertises the others unasked (RFC 4861 section 7.2.6):
  /// after a start we may have another link address than before.
  void run_timers();
  uint64_t next_deadline_us() const { return deadline_us_; }
  void addresses_changed() { deadline_us_ = 0; }

 private:
  void run_timer(ip::LocalAddress& own);
  void found_duplicate(ip::LocalAddress& own);
  void send_solicitation(const Address& source, const Address& destination, const Address& target,
                         const LinkAddress& link_destination);
  void send_advertisement(const Address& source, const Address& destination,
                          const LinkAddress& link_destination, bool is_solicited);

  const Clock& clock_;
  Environment environment_;
  ip::Routing& routing_;
  Ethernet& ethernet_;
  NeighborCache& neighbors_;
  ip::Sender& sender_;
  AddressListener& listener_;
  uint8_t probes_;
  bool speaks_;
  uint64_t deadline_us_ = 0;
};

}  // namespace weir::net::link
