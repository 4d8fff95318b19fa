#include "net/ip/routing.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace weir::net::ip {

namespace {

/// The first `bits` bits of 16 bytes, as words that lie in memory.
void make_mask(uint32_t bits, uint64_t mask[2]) {
  uint8_t bytes[16] = {};
  for (uint32_t i = 0; i < bits; i++) bytes[i / 8] |= static_cast<uint8_t>(0x80 >> (i % 8));
  std::memcpy(mask, bytes, sizeof bytes);
}

/// A prefix's length within 16 bytes: IPv4 begins behind ::ffff:0:0/96.
uint32_t bits_of(const Address& prefix, uint8_t prefix_bits) {
  return prefix.is_v4() ? 96u + std::min<uint32_t>(prefix_bits, 32)
                        : std::min<uint32_t>(prefix_bits, 128);
}

uint32_t mask_v4(uint8_t prefix_bits) {
  return prefix_bits == 0 ? 0 : UINT32_MAX << (32 - std::min<uint32_t>(prefix_bits, 32));
}

Address masked(const Address& address, uint8_t prefix_bits) {
  uint64_t mask[2];
  make_mask(bits_of(address, prefix_bits), mask);
  const uint64_t words[2] = {address.high_word() & mask[0], address.low_word() & mask[1]};
  Address result;
  std::memcpy(result.bytes.data(), words, sizeof words);
  return result;
}

uint32_t common_bits(const Address& a, const Address& b) {
  for (uint32_t i = 0; i < 16; i++)
    if (const uint8_t difference = a.bytes[i] ^ b.bytes[i]; difference != 0)
      return i * 8 + static_cast<uint32_t>(std::countl_zero(difference));
  return 128;
}

/// RFC 6724 section 3.1: how far an address reaches, as multicast scopes say it (RFC 4291 section
/// 2.7).
uint8_t scope_of(const Address& address) {
  constexpr uint8_t kLinkLocal = 2, kGlobal = 14;
  if (address.is_v6_multicast()) return address.bytes[1] & 0x0f;
  return address.is_v6_link_local() ? kLinkLocal : kGlobal;
}

}  // namespace

Address solicited_node_group(const Address& address) {
  Address group = Address::v6(0xff02, 0, 0, 0, 0, 1, 0xff00, 0);
  std::copy_n(address.bytes.begin() + 13, 3, group.bytes.begin() + 13);
  return group;
}

Routing::Routing(const StackConfig& config) {
  using State = LocalAddress::State;
  for (const InterfaceAddress& own : config.addresses) {
    const bool probes =
        own.address.is_v4() ? config.probe_v4_addresses : config.duplicate_address_probes > 0;
    add_address(own.address, own.prefix_bits, Origin::configured,
                probes ? State::tentative : State::assigned);
    speaks_v6_ |= !own.address.is_v4();
  }
  for (const Route& route : config.routes)
    add_route(route.prefix, route.prefix_bits, route.gateway, Origin::configured);
  speaks_v6_ |= config.accept_router_advertisements;
  if (!speaks_v6_) return;
  // RFC 4862 section 5.3, with the interface identifier of RFC 2464 section 4.
  Address link_local = Address::v6(0xfe80, 0, 0, 0, 0, 0x00ff, 0xfe00, 0);
  const auto& mac = config.link_address;
  std::copy_n(mac.begin(), 3, link_local.bytes.begin() + 8);
  link_local.bytes[8] ^= 0x02;
  std::copy_n(mac.begin() + 3, 3, link_local.bytes.begin() + 13);
  add_address(link_local, 64, Origin::link_local,
              config.duplicate_address_probes > 0 ? State::tentative : State::assigned);
}

bool Routing::is_station_v6(const Address& address) {
  // Loopback and unspecified addresses, multicast groups, and what stands for IPv4.
  if (address.is_v6_multicast() || address.is_v4()) return false;
  constexpr uint64_t kOneAtTheEnd = uint64_t{1} << 56;
  return address.high_word() != 0 || (address.low_word() & ~kOneAtTheEnd) != 0;
}

bool Routing::is_member(const Address& group) const {
  if (!group.is_v6_multicast() || !speaks_v6_) return false;
  // All nodes, of the interface and of the link (RFC 4291 section 2.8).
  if (group == kAllNodes || group == Address::v6(0xff01, 0, 0, 0, 0, 0, 0, 1)) return true;
  for (const LocalAddress& own : addresses_) {
    if (own.state == LocalAddress::State::free || own.address.is_v4()) continue;
    if (group == solicited_node_group(own.address)) return true;
  }
  return false;
}

bool Routing::is_on_link(const Address& address) const {
  if (!address.is_v4()) {
    const RouteV6* route = match_v6(address);
    return route != nullptr && route->gateway.is_unspecified();
  }
  const uint32_t v4 = address.v4_host_order();
  for (uint32_t i = 0; i < v4_count_; i++)
    if ((v4 & v4_[i].mask) == v4_[i].network) return v4_[i].gateway == 0;
  return false;
}

bool Routing::is_gateway(const Address& address) const {
  for (uint32_t i = 0; i < route_count_; i++)
    if (routes_[i].gateway == address) return true;
  return false;
}

bool Routing::is_neighbor(const Address& address) const {
  return is_station(address) && !is_local(address) && (is_on_link(address) || is_gateway(address));
}

const Routing::RouteV6* Routing::match_v6(const Address& destination) const {
  const uint64_t high = destination.high_word(), low = destination.low_word();
  for (uint32_t i = 0; i < v6_count_; i++) {
    const RouteV6& route = v6_[i];
    if ((high & route.mask[0]) == route.prefix[0] && (low & route.mask[1]) == route.prefix[1])
      return &route;
  }
  return nullptr;
}

bool Routing::next_hop_v6(const Address& destination, Address& hop) const {
  if (!is_station_v6(destination) || is_local(destination)) return false;
  const RouteV6* route = match_v6(destination);
  if (route == nullptr) return false;
  hop = route->gateway.is_unspecified() ? destination : route->gateway;
  return true;
}

Address Routing::source_for(const Address& destination) const {
  Address hop;
  if (!next_hop(destination, hop)) return {};
  if (destination.is_v4()) return source_near(hop);
  return source_near(destination);
}

Address Routing::source_near(const Address& neighbor) const {
  const LocalAddress* best = nullptr;
  const uint8_t scope = scope_of(neighbor);
  const auto is_better = [&](const LocalAddress& a, const LocalAddress& b) {
    if (!neighbor.is_v4()) {
      // RFC 6724 section 5, rule 2: the smallest scope that reaches the other, else the largest.
      const uint8_t scope_a = scope_of(a.address), scope_b = scope_of(b.address);
      if (scope_a != scope_b) return scope_a < scope_b ? scope_a >= scope : scope_b < scope;
    }
    // Rule 3.
    if (a.state != b.state) return a.state == LocalAddress::State::assigned;
    // Rule 8: the longest prefix in common, as far as our own prefix goes.
    const auto matching = [&](const LocalAddress& own) {
      return std::min(common_bits(own.address, neighbor), bits_of(own.address, own.prefix_bits));
    };
    return matching(a) > matching(b);
  };
  for (const LocalAddress& own : addresses_) {
    if (!own.is_usable() || own.address.is_v4() != neighbor.is_v4()) continue;
    if (best == nullptr || is_better(own, *best)) best = &own;
  }
  return best == nullptr ? Address{} : best->address;
}

Address Routing::link_local() const {
  for (const LocalAddress& own : addresses_)
    if (own.is_usable() && own.address.is_v6_link_local()) return own.address;
  return {};
}

const LocalAddress* Routing::find(const Address& address) const {
  for (const LocalAddress& own : addresses_)
    if (own.state != LocalAddress::State::free && own.address == address) return &own;
  return nullptr;
}
LocalAddress* Routing::find(const Address& address) {
  return const_cast<LocalAddress*>(std::as_const(*this).find(address));
}

uint32_t Routing::address_count() const {
  return static_cast<uint32_t>(std::count_if(
      addresses_.begin(), addresses_.end(),
      [](const LocalAddress& own) { return own.state != LocalAddress::State::free; }));
}

void Routing::commit() {
  version_++;
  usable_count_ = 0;
  next_expiry_us_ = UINT64_MAX;
  for (const LocalAddress& own : addresses_) {
    if (own.is_usable()) usable_[usable_count_++] = own.address;
    if (own.state == LocalAddress::State::free) continue;
    next_expiry_us_ = std::min(next_expiry_us_, own.valid_until_us);
    if (own.state == LocalAddress::State::assigned)
      next_expiry_us_ = std::min(next_expiry_us_, own.preferred_until_us);
  }
  for (uint32_t i = 0; i < route_count_; i++)
    next_expiry_us_ = std::min(next_expiry_us_, routes_[i].valid_until_us);
}

LocalAddress* Routing::add_address(const Address& address, uint8_t prefix_bits, Origin origin,
                                   LocalAddress::State state, bool is_on_link) {
  if (find(address) != nullptr) return nullptr;
  for (LocalAddress& own : addresses_) {
    if (own.state != LocalAddress::State::free) continue;
    if (is_on_link && !add_route(masked(address, prefix_bits), prefix_bits, {}, origin))
      return nullptr;
    own = {.address = address, .prefix_bits = prefix_bits, .state = state, .origin = origin};
    sort_routes();
    return &own;
  }
  return nullptr;
}

void Routing::remove_address(LocalAddress& address) {
  const LocalAddress gone = address;
  address = {};
  // A prefix that router advertisements call on the link lives by itself.
  const auto shares = [&](const LocalAddress& own) {
    return own.state != LocalAddress::State::free && own.origin == gone.origin &&
           own.prefix_bits == gone.prefix_bits &&
           masked(own.address, own.prefix_bits) == masked(gone.address, gone.prefix_bits);
  };
  if (gone.origin != Origin::router && std::none_of(addresses_.begin(), addresses_.end(), shares))
    remove_route(masked(gone.address, gone.prefix_bits), gone.prefix_bits, {}, gone.origin);
  sort_routes();
}

Routing::Entry* Routing::find_route(const Address& prefix, uint8_t prefix_bits,
                                    const Address& gateway, Origin origin) {
  for (uint32_t i = 0; i < route_count_; i++) {
    Entry& route = routes_[i];
    if (route.prefix == prefix && route.prefix_bits == prefix_bits && route.gateway == gateway &&
        route.origin == origin)
      return &route;
  }
  return nullptr;
}

bool Routing::add_route(const Address& prefix, uint8_t prefix_bits, const Address& gateway,
                        Origin origin, uint64_t valid_until_us) {
  const Address network = masked(prefix, prefix_bits);
  if (Entry* known = find_route(network, prefix_bits, gateway, origin); known != nullptr) {
    known->valid_until_us = valid_until_us;
    commit();
    return true;
  }
  if (route_count_ == kMaxRoutes) return false;
  routes_[route_count_++] = {network, gateway, valid_until_us, prefix_bits, origin};
  sort_routes();
  return true;
}

template <typename Condition>
void Routing::remove_routes_if(Condition&& condition) {
  const auto end =
      std::remove_if(routes_.begin(), routes_.begin() + route_count_, std::move(condition));
  route_count_ = static_cast<uint32_t>(end - routes_.begin());
  sort_routes();
}

void Routing::remove_routes(const Address& gateway, Origin origin) {
  remove_routes_if(
      [&](const Entry& route) { return route.gateway == gateway && route.origin == origin; });
}

void Routing::remove_all_routes(Origin origin) {
  remove_routes_if([&](const Entry& route) { return route.origin == origin; });
}

void Routing::remove_route(const Address& prefix, uint8_t prefix_bits, const Address& gateway,
                           Origin origin) {
  Entry* route = find_route(masked(prefix, prefix_bits), prefix_bits, gateway, origin);
  if (route == nullptr) return;
  std::move(route + 1, routes_.data() + route_count_, route);
  route_count_--;
  sort_routes();
}

/// Puts the longest prefixes first (those of one length stay in order), and makes what packets are
/// looked up in.
void Routing::sort_routes() {
  version_++;
  // By insertion: std::stable_sort would allocate.
  for (uint32_t i = 1; i < route_count_; i++)
    for (uint32_t j = i; j > 0 && routes_[j].prefix_bits > routes_[j - 1].prefix_bits; j--)
      std::swap(routes_[j], routes_[j - 1]);
  v4_count_ = v6_count_ = subnet_count_ = 0;
  for (uint32_t i = 0; i < route_count_; i++) {
    const Entry& route = routes_[i];
    if (!route.prefix.is_v4()) {
      RouteV6& made = v6_[v6_count_++];
      std::memcpy(made.prefix, route.prefix.bytes.data(), 16);
      make_mask(bits_of(route.prefix, route.prefix_bits), made.mask);
      made.gateway = route.gateway;
      continue;
    }
    const uint32_t mask = mask_v4(route.prefix_bits);
    const bool on_link = route.gateway.is_unspecified();
    v4_[v4_count_++] = {route.prefix.v4_host_order(), mask,
                        on_link ? 0 : route.gateway.v4_host_order()};
  }
  for (const LocalAddress& own : addresses_) {
    // Prefixes of 31 and 32 bits have no broadcast address (RFC 3021 section 2.1).
    if (own.state == LocalAddress::State::free || !own.address.is_v4() || own.prefix_bits >= 31)
      continue;
    const uint32_t mask = mask_v4(own.prefix_bits);
    const uint32_t network = own.address.v4_host_order() & mask;
    subnets_[subnet_count_++] = {network, network | ~mask};
  }
  commit();
}

void Routing::run_timers(uint64_t now_us) {
  if (now_us < next_expiry_us_) return;
  remove_routes_if([&](const Entry& route) { return route.valid_until_us <= now_us; });
  for (LocalAddress& own : addresses_) {
    if (own.state == LocalAddress::State::free) continue;
    if (own.valid_until_us <= now_us) {
      remove_address(own);
    } else if (own.state == LocalAddress::State::assigned && own.preferred_until_us <= now_us) {
      own.state = LocalAddress::State::deprecated;
    }
  }
  sort_routes();
}

}  // namespace weir::net::ip
