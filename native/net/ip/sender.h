#pragma once
#include "net/environment.h"
#include "net/ip/output.h"
#include "net/ip/routing.h"
#include "net/link/neighbor_cache.h"

namespace weir::net::ip {

/// The sending half of IP: header, route, next hop.
class Sender final : public Output {
 public:
  /// `resolver_v4` asks for the link addresses of IPv4 neighbors.
  Sender(const Environment& environment, const Routing& routing, link::NeighborCache& neighbors,
         link::Resolver& resolver_v4, uint16_t mtu_bytes);

  void send(rte_mbuf* packet, const Address& source, const Address& destination, uint8_t protocol,
            const SendOptions& options = {}) override;
  Address source_for(const Address& destination) const override;
  bool is_local(const Address& address) const override { return routing_.is_local(address); }
  uint16_t mtu_bytes(const Address&) const override { return mtu_bytes_; }
  void lower_path_mtu(const Address&, uint16_t) override {}

 private:
  Environment environment_;
  const Routing& routing_;
  link::NeighborCache& neighbors_;
  link::Resolver& resolver_v4_;
  uint16_t mtu_bytes_;
};

}  // namespace weir::net::ip
