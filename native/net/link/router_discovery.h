#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "net/clock.h"
#include "net/environment.h"
#include "net/ip/input.h"
#include "net/ip/routing.h"
#include "net/ip/sender.h"
#include "net/link/neighbor_discovery.h"

namespace weir::net::link {

/// What routers say of the link (RFC 4861 section 6.3): default routes, prefixes on the link, MTU
/// and hop limit, name servers (RFC 8106); and from prefixes our own addresses (RFC 4862
/// section 5.5).
class RouterDiscovery {
 public:
  /// Default routers that are kept; name servers are as many as configured ones may be.
  static constexpr uint32_t kMaxRouters = 8;
  /// Addresses made from prefixes.
  static constexpr uint32_t kMaxAddresses = 4;

  RouterDiscovery(const Clock& clock, const Environment& environment, ip::Routing& routing,
                  Ethernet& ethernet, NeighborCache& neighbors, ip::Sender& sender,
                  NeighborDiscovery& discovery, bool accepts, uint8_t probes);

  /// Processes an advertisement whose checksum is right. The frame stays the caller's.
  void input_advertisement(const ip::Incoming& message);
  /// Asks for routers until one answers (RFC 4861 section 6.3.7, RFC 7559).
  void run_timers();
  uint64_t next_deadline_us() const { return solicit_at_us_; }
  std::span<const Address> name_servers() const {
    return {name_servers_.data(), name_server_count_};
  }

 private:
  void take_router(const Address& router, uint32_t lifetime_s);
  void take_prefix(std::span<const uint8_t> option);
  void take_name_servers(std::span<const uint8_t> option);
  void make_address(const Address& prefix, uint32_t valid_s, uint32_t preferred_s);
  void send_solicitation();
  uint64_t until_us(uint32_t lifetime_s) const;

  const Clock& clock_;
  Environment environment_;
  ip::Routing& routing_;
  Ethernet& ethernet_;
  NeighborCache& neighbors_;
  ip::Sender& sender_;
  NeighborDiscovery& discovery_;
  bool accepts_;
  uint8_t probes_;
  bool has_begun_ = false;
  uint64_t solicit_at_us_ = UINT64_MAX;
  uint64_t interval_us_ = 0;
  std::array<Address, kMaxRouters> routers_{};
  uint32_t router_count_ = 0;
  std::array<Address, kMaxNameServers> name_servers_{};
  uint32_t name_server_count_ = 0;
};

}  // namespace weir::net::link
