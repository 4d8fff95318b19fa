#pragma once
#include <array>
#include <cstdint>

#include "net/address.h"
#include "net/stack.h"

namespace weir::net::ip {

/// Who gave us an address or a route.
enum class Origin : uint8_t { configured, link_local, router, dhcp };

/// One of our addresses. Whoever speaks for it on the link (link::Arp, link::NeighborDiscovery)
/// keeps the state of probing and announcing here.
struct LocalAddress {
  enum class State : uint8_t {
    free,
    /// Nobody else may have it, which is still being found out; not used yet (RFC 4862 section
    /// 5.4).
    tentative,
    assigned,
    /// Not for new connections (RFC 4862 section 5.5.4).
    deprecated,
    /// Somebody else has it: not used.
    duplicate,
  };
  Address address;
  uint8_t prefix_bits = 0;
  State state = State::free;
  Origin origin = Origin::configured;
  uint64_t preferred_until_us = UINT64_MAX;
  uint64_t valid_until_us = UINT64_MAX;
  /// When the next probe or announcement is due; UINT64_MAX for none.
  uint64_t next_us = 0;
  uint8_t probes_sent = 0;
  uint8_t announcements_sent = 0;
  bool has_defended = false;
  uint64_t defended_at_us = 0;

  bool is_usable() const { return state == State::assigned || state == State::deprecated; }
};

/// The group of a unicast address that its neighbors ask in (RFC 4291 section 2.7.1).
Address solicited_node_group(const Address& address);

/// ff02::1.
inline constexpr Address kAllNodes = Address::v6(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// ff02::2.
inline constexpr Address kAllRouters = Address::v6(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Which addresses are ours and where packets go (RFC 1122 section 3.3.1, RFC 4861 section 5.2):
/// the prefixes of the link, and gateways for the rest.
class Routing {
 public:
  /// The configured ones, a link-local address, and what routers and DHCP give.
  static constexpr uint32_t kMaxAddresses = 24;
  static constexpr uint32_t kMaxRoutes = 96;

  explicit Routing(const StackConfig& config);

  /// Whether this is an address of ours that may be used.
  bool is_local(const Address& address) const {
    for (uint32_t i = 0; i < usable_count_; i++)
      if (usable_[i] == address) return true;
    return false;
  }
  /// The limited broadcast address and those of our subnets (RFC 919).
  bool is_broadcast(const Address& address) const {
    return address.is_v4() && is_broadcast_v4(address.v4_host_order());
  }
  /// Whether we belong to an IPv6 multicast group: all nodes, and those of our addresses.
  bool is_member(const Address& group) const;
  /// Whether one station can have this address: RFC 1122 section 3.2.1.3 and RFC 4291 section 2
  /// name those that it cannot.
  bool is_station(const Address& address) const {
    return address.is_v4() ? is_station_v4(address.v4_host_order()) : is_station_v6(address);
  }
  bool is_on_link(const Address& address) const;
  /// Whether this can be the address of another station on our link.
  bool is_neighbor(const Address& address) const;

  /// Finds where packets to `destination` go next. False: nowhere, or it is an address that no
  /// single station other than us can have.
  bool next_hop(const Address& destination, Address& hop) const {
    if (!destination.is_v4()) return next_hop_v6(destination, hop);
    const uint32_t v4 = destination.v4_host_order();
    for (uint32_t i = 0; i < v4_count_; i++) {
      const RouteV4& route = v4_[i];
      if ((v4 & route.mask) != route.network) continue;
      if (route.gateway != 0) {
        hop = Address::v4(route.gateway);
        return is_station_v4(v4) && !is_local(destination);
      }
      // On the link: the route's own prefix says which of its addresses no station has, and all of
      // them are unicast, as our own in it is, unless the prefix is shorter than what tells.
      const uint32_t host = v4 & ~route.mask;
      if (~route.mask > 1 && (host == 0 || host == ~route.mask)) return false;
      hop = destination;
      return (route.mask >= kClassMask || is_unicast_v4(v4)) && !is_local(destination);
    }
    return false;
  }
  /// The address of ours that packets to `destination` carry (RFC 6724 section 5; RFC 1122 section
  /// 3.3.4.3 for IPv4); unspecified when there is no route or no address.
  Address source_for(const Address& destination) const;
  /// Our address among the stations around `neighbor`, which need not have a route.
  Address source_near(const Address& neighbor) const;
  /// A usable link-local address of ours; unspecified if there is none yet.
  Address link_local() const;
  /// Whether IPv6 is spoken.
  bool speaks_v6() const { return speaks_v6_; }
  uint32_t address_count() const;

  /// Slots, the free ones too.
  const std::array<LocalAddress, kMaxAddresses>& addresses() const { return addresses_; }
  const LocalAddress* find(const Address& address) const;
  LocalAddress* find(const Address& address);
  /// By slot, for those who probe and announce; commit() after a change of `state`.
  LocalAddress& slot(uint32_t index) { return addresses_[index]; }
  /// Takes effect of changed states.
  void commit();
  /// Adds an address and the route of its prefix (of none for `is_on_link` false). nullptr when no
  /// slot is free, or it is there already.
  LocalAddress* add_address(const Address& address, uint8_t prefix_bits, Origin origin,
                            LocalAddress::State state, bool is_on_link = true);
  void remove_address(LocalAddress& address);
  /// Adds a route or renews its time. False when the table is full. An unspecified `gateway` says
  /// that the prefix is on the link.
  bool add_route(const Address& prefix, uint8_t prefix_bits, const Address& gateway, Origin origin,
                 uint64_t valid_until_us = UINT64_MAX);
  /// Removes those of an origin through `gateway`.
  void remove_routes(const Address& gateway, Origin origin);
  void remove_all_routes(Origin origin);
  void remove_route(const Address& prefix, uint8_t prefix_bits, const Address& gateway,
                    Origin origin);
  bool is_gateway(const Address& address) const;

  /// Drops what has had its time.
  void run_timers(uint64_t now_us);
  uint64_t next_deadline_us() const { return next_expiry_us_; }

  /// Another one whenever an address or a route has changed: what was found out before may be
  /// wrong.
  uint32_t version() const { return version_; }
  /// Becomes like `other`, with a version that this one has not had.
  void assign(const Routing& other) {
    const uint32_t next = version_ + 1;
    *this = other;
    version_ = next;
  }

 private:
  struct Entry {
    Address prefix;
    Address gateway;
    uint64_t valid_until_us;
    uint8_t prefix_bits;
    Origin origin;
  };
  static constexpr uint32_t kClassMask = 0xff000000;

  /// Gateway 0: on the link.
  struct RouteV4 {
    uint32_t network;
    uint32_t mask;
    uint32_t gateway;
  };
  struct SubnetV4 {
    uint32_t network;
    uint32_t broadcast;
  };
  /// Words as they lie in memory.
  struct RouteV6 {
    uint64_t prefix[2];
    uint64_t mask[2];
    Address gateway;
  };

  bool is_broadcast_v4(uint32_t v4) const {
    if (v4 == UINT32_MAX) return true;
    for (uint32_t i = 0; i < subnet_count_; i++)
      if (v4 == subnets_[i].broadcast) return true;
    return false;
  }
  static bool is_unicast_v4(uint32_t v4) {
    const uint32_t first = v4 >> 24;
    return first != 0 && first != 127 && (v4 >> 28) != 0xe && v4 != UINT32_MAX;
  }
  bool is_station_v4(uint32_t v4) const {
    if (!is_unicast_v4(v4)) return false;
    // The all-zeros host of a subnet is its old broadcast address (RFC 1122 section 3.3.6).
    for (uint32_t i = 0; i < subnet_count_; i++)
      if (v4 == subnets_[i].broadcast || v4 == subnets_[i].network) return false;
    return true;
  }
  static bool is_station_v6(const Address& address);
  const RouteV6* match_v6(const Address& destination) const;
  bool next_hop_v6(const Address& destination, Address& hop) const;
  template <typename Condition>
  void remove_routes_if(Condition&& condition);
  Entry* find_route(const Address& prefix, uint8_t prefix_bits, const Address& gateway,
                    Origin origin);
  void sort_routes();

  std::array<LocalAddress, kMaxAddresses> addresses_{};
  /// The usable ones: what packets are compared with.
  std::array<Address, kMaxAddresses> usable_{};
  uint32_t usable_count_ = 0;
  bool speaks_v6_ = false;
  /// Longest prefix first; v4_ and v6_ are made from it.
  std::array<Entry, kMaxRoutes> routes_{};
  uint32_t route_count_ = 0;
  std::array<RouteV4, kMaxRoutes> v4_{};
  uint32_t v4_count_ = 0;
  std::array<SubnetV4, kMaxAddresses> subnets_{};
  uint32_t subnet_count_ = 0;
  std::array<RouteV6, kMaxRoutes> v6_{};
  uint32_t v6_count_ = 0;
  uint64_t next_expiry_us_ = UINT64_MAX;
  uint32_t version_ = 1;
};

}  // namespace weir::net::ip
