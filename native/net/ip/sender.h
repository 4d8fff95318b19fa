#pragma once
#include <array>

#include "net/clock.h"
#include "net/environment.h"
#include "net/ip/output.h"
#include "net/ip/path_mtu.h"
#include "net/ip/routing.h"
#include "net/link/neighbor_cache.h"

namespace weir::net::ip {

/// The sending half of IP: header, route, next hop, fragments.
class Sender final : public Output {
 public:
  /// The resolvers ask for the link addresses of neighbors of either family.
  Sender(const Clock& clock, const Environment& environment, const Routing& routing,
         link::Ethernet& ethernet, link::NeighborCache& neighbors, link::Resolver& resolver_v4,
         link::Resolver& resolver_v6, uint16_t mtu_bytes);

  void send(rte_mbuf* packet, const Address& source, const Address& destination, uint8_t protocol,
            const SendOptions& options = {}) override;
  /// Sends past routes and the neighbor cache, to a station or a group of the link: what Neighbor
  /// Discovery and others have to say who have no address yet. `packet` as for send.
  void send_on_link(rte_mbuf* packet, const Address& source, const Address& destination,
                    uint8_t protocol, const link::LinkAddress& link_destination, uint8_t hop_limit);
  Address source_for(const Address& destination) const override {
    return routing_.source_for(destination);
  }
  bool is_local(const Address& address) const override { return routing_.is_local(address); }
  uint16_t mtu_bytes(const Address& destination) const override {
    return path_mtu_.get(destination, link_mtu_bytes(destination.is_v4()));
  }
  void lower_path_mtu(const Address& destination, uint16_t mtu_bytes) override {
    path_mtu_.lower(destination, mtu_bytes, link_mtu_bytes(destination.is_v4()));
  }

  /// Time to live of IPv4 packets (RFC 9293 MUST-49).
  void set_hop_limit_v4(uint8_t hop_limit) { hop_limit_v4_ = hop_limit; }
  /// What routers advertise (RFC 4861 section 6.3.4); 0 leaves it as it is.
  void set_hop_limit_v6(uint8_t hop_limit) {
    if (hop_limit != 0) hop_limit_v6_ = hop_limit;
  }
  uint8_t hop_limit_v6() const { return hop_limit_v6_; }
  uint16_t mtu_v6_bytes() const { return mtu_v6_bytes_; }
  /// IPv6's own MTU on this link; the link's is its bound.
  void set_mtu_v6(uint32_t mtu_bytes);

 private:
  static constexpr uint32_t kIdentifications = 256;

  bool write_header_v4(rte_mbuf* packet, const Address& source, const Address& destination,
                       uint8_t protocol, const SendOptions& options, uint16_t identification,
                       uint16_t fragment);
  [[gnu::noinline]] bool write_fragmentable_header(rte_mbuf* packet, const Address& source,
                                                   const Address& destination, uint8_t protocol,
                                                   const SendOptions& options);
  bool write_header_v6(rte_mbuf* packet, const Address& source, const Address& destination,
                       uint8_t protocol, const SendOptions& options);
  void send_fragments(rte_mbuf* packet, const Address& source, const Address& destination,
                      const Address& hop, uint8_t protocol, const SendOptions& options,
                      uint16_t mtu_bytes);
  uint32_t next_identification(const Address& source, const Address& destination);
  link::Resolver& resolver_of(const Address& hop) {
    return hop.is_v4() ? resolver_v4_ : resolver_v6_;
  }
  uint16_t link_mtu_bytes(bool is_v4) const { return is_v4 ? mtu_bytes_ : mtu_v6_bytes_; }

  /// A way that was found before, from an address of ours to another: the long search gave this
  /// neighbor.
  struct Way {
    uint32_t source = 0;
    uint32_t destination = 0;
    link::NeighborCache::Ticket neighbor;
  };
  /// Some ways, where the next packet mostly goes, by destination; one with the same place takes
  /// the place. All are forgotten when an address or a route changes.
  static constexpr uint32_t kWays = 256;

  static uint32_t place_of(uint32_t destination) {
    return (destination ^ destination >> 8 ^ destination >> 16) % kWays;
  }
  bool send_known_way(rte_mbuf* packet, const Address& source, const Address& destination,
                      uint8_t protocol, const SendOptions& options);
  void learn_way(const Address& source, const Address& destination, const Address& hop);

  Environment environment_;
  const Routing& routing_;
  link::Ethernet& ethernet_;
  link::NeighborCache& neighbors_;
  link::Resolver& resolver_v4_;
  link::Resolver& resolver_v6_;
  uint16_t mtu_bytes_;
  uint16_t mtu_v6_bytes_;
  uint8_t hop_limit_v4_;
  uint8_t hop_limit_v6_;
  PathMtuCache path_mtu_;
  uint64_t hash_key_[2];
  std::array<uint32_t, kIdentifications> identifications_;
  uint32_t ways_version_ = 0;
  std::array<Way, kWays> ways_;
};

}  // namespace weir::net::ip
