#pragma once
#include <cstdint>

#include "net/address_events.h"
#include "net/ip/routing.h"
#include "net/link/ethernet.h"
#include "net/link/neighbor_cache.h"

namespace weir::net::link {

/// Told what becomes of our addresses.
class AddressListener {
 public:
  virtual void on_address(const Address& address, AddressChange change) = 0;

 protected:
  ~AddressListener() = default;
};

/// RFC 5227 section 1.1, RATE_LIMIT_INTERVAL: a duplicate address is asked for again after so long.
inline constexpr uint64_t kProbeAgainUs = 60'000'000;
/// RFC 5227 section 1.1, DEFEND_INTERVAL.
inline constexpr uint64_t kDefendIntervalUs = 10'000'000;

/// Address resolution for IPv4 over Ethernet (RFC 826), with the probes, announcements and defence
/// of RFC 5227 for each of our addresses.
class Arp : public Resolver {
 public:
  /// `speaks` is false where another stack answers who asks for our addresses, and defends them.
  Arp(const Clock& clock, const Environment& environment, ip::Routing& routing, Ethernet& ethernet,
      NeighborCache& neighbors, AddressListener& listener, bool speaks = true);

  /// Processes a frame of type ARP. Takes ownership.
  void input(rte_mbuf* frame);
  void solicit(const Address& target, const LinkAddress* known) override;

  /// Probes for tentative addresses (RFC 5227 section 2.1.1) and announces the others twice
  /// (section 2.3).
  void run_timers();
  uint64_t next_deadline_us() const { return deadline_us_; }
  /// There is an address to probe for or to announce.
  void addresses_changed() { deadline_us_ = 0; }

 private:
  void process(rte_mbuf* frame);
  void run_timer(ip::LocalAddress& own);
  void found_conflict(ip::LocalAddress& own);
  void announce(const Address& address);
  void send(uint16_t operation, const LinkAddress& destination, uint32_t sender_be,
            const LinkAddress& target_link, uint32_t target_be);
  uint64_t random_us(uint64_t below_us) { return environment_.random.next() % below_us; }

  const Clock& clock_;
  Environment environment_;
  ip::Routing& routing_;
  Ethernet& ethernet_;
  NeighborCache& neighbors_;
  AddressListener& listener_;
  bool speaks_;
  uint64_t deadline_us_ = 0;
};

}  // namespace weir::net::link
