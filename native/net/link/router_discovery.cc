#include "net/link/router_discovery.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "net/link/nd_message.h"

namespace weir::net::link {

namespace {

// RFC 4861 section 10, RFC 7559 section 2.
constexpr uint64_t kMaxSolicitDelayUs = 1'000'000;
constexpr uint64_t kFirstIntervalUs = 4'000'000;
constexpr uint64_t kLastIntervalUs = 3'600'000'000;
/// RFC 4862 section 5.5.3 (e): nobody shortens an address's life below this.
constexpr uint64_t kTwoHoursUs = 7'200'000'000;
constexpr uint32_t kForever = UINT32_MAX;

// Offsets in an advertisement (RFC 4861 section 4.2) and in its options (sections 4.6.2 and 4.6.4,
// RFC 8106 section 5.1).
constexpr uint32_t kAdvertisementBytes = 16;
constexpr uint32_t kHopLimitOffset = 4;
constexpr uint32_t kLifetimeOffset = 6;
constexpr uint32_t kPrefixOptionBytes = 32;
constexpr uint8_t kFlagOnLink = 0x80;
constexpr uint8_t kFlagAutonomous = 0x40;

}  // namespace

RouterDiscovery::RouterDiscovery(const Clock& clock, const Environment& environment,
                                 ip::Routing& routing, Ethernet& ethernet, NeighborCache& neighbors,
                                 ip::Sender& sender, NeighborDiscovery& discovery, bool accepts,
                                 uint8_t probes)
    : clock_(clock),
      environment_(environment),
      routing_(routing),
      ethernet_(ethernet),
      neighbors_(neighbors),
      sender_(sender),
      discovery_(discovery),
      accepts_(accepts),
      probes_(probes),
      solicit_at_us_(accepts ? 0 : UINT64_MAX) {}

uint64_t RouterDiscovery::until_us(uint32_t lifetime_s) const {
  return lifetime_s == kForever ? UINT64_MAX : clock_.now_us + uint64_t{lifetime_s} * 1'000'000;
}

void RouterDiscovery::run_timers() {
  if (clock_.now_us < solicit_at_us_) return;
  const auto random_us = [&](uint64_t below_us) { return environment_.random.next() % below_us; };
  if (!has_begun_) {
    has_begun_ = true;
    interval_us_ = kFirstIntervalUs;
    solicit_at_us_ = clock_.now_us + 1 + random_us(kMaxSolicitDelayUs);
    return;
  }
  send_solicitation();
  // RFC 7559 section 2: doubled, with a tenth at random, until somebody answers.
  solicit_at_us_ = clock_.now_us + interval_us_ - interval_us_ / 10 + random_us(interval_us_ / 5);
  interval_us_ = std::min(interval_us_ * 2, kLastIntervalUs);
}

void RouterDiscovery::send_solicitation() {
  rte_mbuf* packet = rte_pktmbuf_alloc(environment_.header_pool);
  if (packet == nullptr) return environment_.counters.add(Counter::drop_no_mbuf);
  const Address source = routing_.link_local();
  // Without an address there is no link address to tell (RFC 4861 section 4.1).
  const bool tells_link = source != Address{};
  auto* bytes = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(packet, tells_link ? 16 : 8));
  std::fill_n(bytes, 8, 0);
  bytes[0] = icmp::kRouterSolicitation;
  if (tells_link) {
    bytes[8] = kOptionSourceLink;
    bytes[9] = 1;
    std::copy(ethernet_.own().begin(), ethernet_.own().end(), bytes + 10);
  }
  finish_icmp_v6(packet, source, ip::kAllRouters);
  environment_.counters.add(Counter::nd_tx);
  sender_.send_on_link(packet, source, ip::kAllRouters, ip::kProtocolIcmpV6,
                       link_group(ip::kAllRouters), kOnLinkHopLimit);
}

void RouterDiscovery::input_advertisement(const ip::Incoming& message) {
  environment_.counters.add(Counter::nd_rx);
  NdMessage advertisement;
  const Address& router = message.received.source;
  // RFC 4861 section 6.1.2.
  if (!advertisement.read(message, kAdvertisementBytes) || !router.is_v6_link_local())
    return environment_.counters.add(Counter::drop_nd_malformed);
  if (!accepts_) return environment_.counters.add(Counter::drop_nd_foreign);
  const uint32_t lifetime_s =
      uint32_t{*advertisement.at(kLifetimeOffset)} << 8 | *advertisement.at(kLifetimeOffset + 1);
  // RFC 7559 section 2.1: one that leads nowhere is no answer.
  if (lifetime_s > 0) solicit_at_us_ = UINT64_MAX;
  LinkAddress link_address;
  if (advertisement.link_address(kOptionSourceLink, link_address))
    neighbors_.note(router, link_address, discovery_);
  take_router(router, lifetime_s);
  sender_.set_hop_limit_v6(*advertisement.at(kHopLimitOffset));
  advertisement.for_each_option([&](uint8_t type, std::span<const uint8_t> option) {
    if (type == kOptionPrefix && option.size() == kPrefixOptionBytes) take_prefix(option);
    if (type == kOptionMtu && option.size() == 8)
      sender_.set_mtu_v6(NdMessage::number_of(option.data() + 4));
    if (type == kOptionNameServers && option.size() >= 24) take_name_servers(option);
  });
}

void RouterDiscovery::take_router(const Address& router, uint32_t lifetime_s) {
  const auto known = std::find(routers_.begin(), routers_.begin() + router_count_, router);
  const bool is_known = known != routers_.begin() + router_count_;
  if (lifetime_s == 0) {
    routing_.remove_routes(router, ip::Origin::router);
    if (!is_known) return;
    std::copy(known + 1, routers_.begin() + router_count_, known);
    router_count_--;
    return;
  }
  if (!is_known) {
    // Those whose time is over or who are routers no more make room.
    const auto end =
        std::remove_if(routers_.begin(), routers_.begin() + router_count_,
                       [&](const Address& each) { return !routing_.is_gateway(each); });
    router_count_ = static_cast<uint32_t>(end - routers_.begin());
    if (router_count_ == kMaxRouters) return environment_.counters.add(Counter::drop_nd_limit);
    routers_[router_count_++] = router;
  }
  if (!routing_.add_route(Address{}, 0, router, ip::Origin::router, until_us(lifetime_s)))
    environment_.counters.add(Counter::drop_nd_limit);
}

/// RFC 4861 section 6.3.4 and RFC 4862 section 5.5.3.
void RouterDiscovery::take_prefix(std::span<const uint8_t> option) {
  const uint8_t prefix_bits = option[2];
  const uint8_t flags = option[3];
  const uint32_t valid_s = NdMessage::number_of(option.data() + 4);
  const uint32_t preferred_s = NdMessage::number_of(option.data() + 8);
  const Address prefix = Address::v6(option.data() + 16);
  if (prefix_bits > 128 || prefix.is_v6_link_local() || prefix.is_v6_multicast() ||
      preferred_s > valid_s)
    return;
  if ((flags & kFlagOnLink) != 0 && prefix_bits > 0) {
    if (valid_s == 0)
      routing_.remove_route(prefix, prefix_bits, {}, ip::Origin::router);
    else if (!routing_.add_route(prefix, prefix_bits, {}, ip::Origin::router, until_us(valid_s)))
      environment_.counters.add(Counter::drop_nd_limit);
  }
  // The interface identifier has 64 bits (RFC 2464 section 4), so the prefix has as many.
  if ((flags & kFlagAutonomous) != 0 && prefix_bits == 64)
    make_address(prefix, valid_s, preferred_s);
}

void RouterDiscovery::make_address(const Address& prefix, uint32_t valid_s, uint32_t preferred_s) {
  Address address = prefix;
  uint32_t of_routers = 0;
  for (const ip::LocalAddress& own : routing_.addresses()) {
    if (own.state == ip::LocalAddress::State::free) continue;
    if (own.origin == ip::Origin::link_local)
      std::copy_n(own.address.bytes.begin() + 8, 8, address.bytes.begin() + 8);
    of_routers += own.origin == ip::Origin::router;
  }
  const uint64_t valid_us = until_us(valid_s), preferred_us = until_us(preferred_s);
  if (ip::LocalAddress* own = routing_.find(address); own != nullptr) {
    if (own->origin != ip::Origin::router) return;
    own->preferred_until_us = preferred_us;
    // Section 5.5.3 (e): a short life comes only near its natural end.
    const uint64_t left_us =
        own->valid_until_us == UINT64_MAX ? UINT64_MAX : own->valid_until_us - clock_.now_us;
    if (valid_us == UINT64_MAX || valid_us - clock_.now_us > kTwoHoursUs ||
        valid_us - clock_.now_us > left_us)
      own->valid_until_us = valid_us;
    else if (left_us > kTwoHoursUs)
      own->valid_until_us = clock_.now_us + kTwoHoursUs;
    if (own->state == ip::LocalAddress::State::deprecated && preferred_s > 0)
      own->state = ip::LocalAddress::State::assigned;
    routing_.commit();
    return;
  }
  if (valid_s == 0) return;
  using State = ip::LocalAddress::State;
  ip::LocalAddress* made =
      of_routers >= kMaxAddresses
          ? nullptr
          : routing_.add_address(address, 64, ip::Origin::router,
                                 probes_ > 0 ? State::tentative : State::assigned, false);
  if (made == nullptr) return environment_.counters.add(Counter::drop_nd_limit);
  made->valid_until_us = valid_us;
  made->preferred_until_us = preferred_us;
  routing_.commit();
  discovery_.addresses_changed();
}

/// The newest ones count (RFC 8106 section 6.1); their lifetime is that of our interest in them: a
/// server that is gone is asked in vain and the next one then.
void RouterDiscovery::take_name_servers(std::span<const uint8_t> option) {
  if (NdMessage::number_of(option.data() + 4) == 0) return;
  name_server_count_ = 0;
  for (size_t at = 8; at + 16 <= option.size() && name_server_count_ < kMaxNameServers; at += 16) {
    const Address server = Address::v6(option.data() + at);
    if (!server.is_v6_multicast() && !server.is_unspecified())
      name_servers_[name_server_count_++] = server;
  }
}

}  // namespace weir::net::link
