#include "net/link/neighbor_discovery.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include <algorithm>

#include "net/link/nd_message.h"

namespace weir::net::link {

namespace {

// RFC 4861 section 10.
constexpr uint64_t kRetransmitUs = 1'000'000;
constexpr uint64_t kMaxStartDelayUs = 1'000'000;
constexpr uint8_t kAdvertisements = 2;

// Flags of an advertisement (RFC 4861 section 4.4).
constexpr uint32_t kFlagRouter = 0x80000000;
constexpr uint32_t kFlagSolicited = 0x40000000;
constexpr uint32_t kFlagOverride = 0x20000000;

/// A solicitation or advertisement with room for one link address option (RFC 4861 sections 4.3 and
/// 4.4), as it lies in memory.
struct __attribute__((packed)) NeighborMessage {
  icmp::IcmpHeader header;
  uint8_t target[16];
  uint8_t option_type;
  uint8_t option_units;
  LinkAddress link_address;
};
static_assert(sizeof(NeighborMessage) == 32);
constexpr uint32_t kBodyBytes = offsetof(NeighborMessage, option_type);
constexpr uint32_t kTargetOffset = offsetof(NeighborMessage, target);

}  // namespace

NeighborDiscovery::NeighborDiscovery(const Clock& clock, const Environment& environment,
                                     ip::Routing& routing, Ethernet& ethernet,
                                     NeighborCache& neighbors, ip::Sender& sender,
                                     AddressListener& listener, uint8_t probes, bool speaks)
    : clock_(clock),
      environment_(environment),
      routing_(routing),
      ethernet_(ethernet),
      neighbors_(neighbors),
      sender_(sender),
      listener_(listener),
      probes_(probes),
      speaks_(speaks) {
  if (!routing.speaks_v6()) deadline_us_ = UINT64_MAX;
}

void NeighborDiscovery::input_solicitation(const ip::Incoming& message) {
  environment_.counters.add(Counter::nd_rx);
  const ip::Received& received = message.received;
  NdMessage solicitation;
  if (!solicitation.read(message, kBodyBytes))
    return environment_.counters.add(Counter::drop_nd_malformed);
  const Address target = Address::v6(solicitation.at(kTargetOffset));
  const bool from_nobody = received.source == Address{};
  LinkAddress link_address;
  const bool has_link = solicitation.link_address(kOptionSourceLink, link_address);
  // RFC 4861 section 7.1.1: who has no address asks in the group and cannot be answered.
  if (target.is_v6_multicast() ||
      (from_nobody && (has_link || received.destination != ip::solicited_node_group(target))))
    return environment_.counters.add(Counter::drop_nd_malformed);

  ip::LocalAddress* own = routing_.find(target);
  if (own == nullptr || own->state == ip::LocalAddress::State::duplicate)
    return environment_.counters.add(Counter::drop_nd_foreign);
  if (own->state == ip::LocalAddress::State::tentative) {
    // RFC 4862 section 5.4.3: somebody else is finding out about it too. What we said ourselves may
    // come back.
    const auto* frame = rte_pktmbuf_mtod(received.frame, const EthernetHeader*);
    if (from_nobody && frame->source != ethernet_.own() && speaks_) found_duplicate(*own);
    return;
  }
  if (from_nobody && !speaks_) return;
  if (from_nobody)
    return send_advertisement(target, ip::kAllNodes, link_group(ip::kAllNodes), false);
  if (!routing_.is_neighbor(received.source))
    return environment_.counters.add(Counter::drop_nd_foreign);
  if (has_link) {
    neighbors_.note(received.source, link_address, *this);
  } else {
    // A unicast poll of one that knows us may leave it out (section 4.3): it is where the frame
    // came from.
    link_address = rte_pktmbuf_mtod(received.frame, const EthernetHeader*)->source;
  }
  if (speaks_) send_advertisement(target, received.source, link_address, true);
}

void NeighborDiscovery::input_advertisement(const ip::Incoming& message) {
  environment_.counters.add(Counter::nd_rx);
  NdMessage advertisement;
  if (!advertisement.read(message, kBodyBytes))
    return environment_.counters.add(Counter::drop_nd_malformed);
  const uint32_t flags = advertisement.number(offsetof(icmp::IcmpHeader, rest));
  const Address target = Address::v6(advertisement.at(kTargetOffset));
  const bool is_solicited = (flags & kFlagSolicited) != 0;
  // RFC 4861 section 7.1.2.
  if (target.is_v6_multicast() || (is_solicited && message.received.destination.is_v6_multicast()))
    return environment_.counters.add(Counter::drop_nd_malformed);

  if (ip::LocalAddress* own = routing_.find(target); own != nullptr) {
    const auto* frame = rte_pktmbuf_mtod(message.received.frame, const EthernetHeader*);
    if (frame->source == ethernet_.own() || !speaks_) return;
    if (own->state == ip::LocalAddress::State::tentative) return found_duplicate(*own);
    // RFC 4862 section 5.4.4. An address in use is kept: there is no telling who is right.
    environment_.counters.add(Counter::nd_conflicts);
    if (own->has_defended && clock_.now_us - own->defended_at_us < kDefendIntervalUs) return;
    own->has_defended = true;
    own->defended_at_us = clock_.now_us;
    listener_.on_address(own->address, AddressChange::contested);
    return;
  }
  LinkAddress link_address;
  const bool has_link = advertisement.link_address(kOptionTargetLink, link_address);
  if (!neighbors_.advertise(target, has_link ? &link_address : nullptr, is_solicited,
                            (flags & kFlagOverride) != 0))
    return environment_.counters.add(Counter::drop_nd_foreign);
  // Who was a router and is none any more leads nowhere (RFC 4861 section 7.2.5).
  if ((flags & kFlagRouter) == 0) routing_.remove_routes(target, ip::Origin::router);
}

void NeighborDiscovery::solicit(const Address& target, const LinkAddress* known) {
  const Address source = routing_.source_near(target);
  if (source == Address{} || source.is_v4()) return;
  if (known != nullptr) return send_solicitation(source, target, target, *known);
  const Address group = ip::solicited_node_group(target);
  send_solicitation(source, group, target, link_group(group));
}

void NeighborDiscovery::run_timers() {
  if (clock_.now_us < deadline_us_) return;
  deadline_us_ = UINT64_MAX;
  for (uint32_t i = 0; i < ip::Routing::kMaxAddresses; i++) {
    ip::LocalAddress& own = routing_.slot(i);
    if (own.state == ip::LocalAddress::State::free || own.address.is_v4()) continue;
    if (own.next_us <= clock_.now_us) run_timer(own);
    deadline_us_ = std::min(deadline_us_, own.next_us);
  }
}

void NeighborDiscovery::run_timer(ip::LocalAddress& own) {
  using State = ip::LocalAddress::State;
  if (own.state == State::duplicate) {
    own.state = State::tentative;
    own.probes_sent = 0;
    own.next_us = 0;
  }
  if (own.state == State::tentative) {
    if (own.probes_sent == 0 && own.next_us == 0) {
      // RFC 4862 section 5.4.2: stations that start together must not ask together.
      own.next_us = clock_.now_us + 1 + environment_.random.next() % kMaxStartDelayUs;
      return;
    }
    if (own.probes_sent < probes_) {
      own.probes_sent++;
      const Address group = ip::solicited_node_group(own.address);
      send_solicitation({}, group, own.address, link_group(group));
      own.next_us = clock_.now_us + kRetransmitUs;
      return;
    }
    own.state = State::assigned;
    own.announcements_sent = 0;
    routing_.commit();
    listener_.on_address(own.address, AddressChange::assigned);
  }
  send_advertisement(own.address, ip::kAllNodes, link_group(ip::kAllNodes), false);
  own.announcements_sent++;
  own.next_us =
      own.announcements_sent < kAdvertisements ? clock_.now_us + kRetransmitUs : UINT64_MAX;
}

void NeighborDiscovery::found_duplicate(ip::LocalAddress& own) {
  environment_.counters.add(Counter::nd_conflicts);
  own.state = ip::LocalAddress::State::duplicate;
  own.next_us = clock_.now_us + kProbeAgainUs;
  deadline_us_ = std::min(deadline_us_, own.next_us);
  listener_.on_address(own.address, AddressChange::duplicate);
}

void NeighborDiscovery::send_solicitation(const Address& source, const Address& destination,
                                          const Address& target,
                                          const LinkAddress& link_destination) {
  rte_mbuf* packet = rte_pktmbuf_alloc(environment_.header_pool);
  if (packet == nullptr) return environment_.counters.add(Counter::drop_no_mbuf);
  // Without a source address there is no link address to tell (RFC 4861 section 4.3).
  const bool tells_link = source != Address{};
  auto* message = reinterpret_cast<NeighborMessage*>(
      rte_pktmbuf_append(packet, tells_link ? sizeof(NeighborMessage) : kBodyBytes));
  message->header = {icmp::kNeighborSolicitation, 0, 0, 0};
  std::copy(target.bytes.begin(), target.bytes.end(), message->target);
  if (tells_link) {
    message->option_type = kOptionSourceLink;
    message->option_units = 1;
    message->link_address = ethernet_.own();
  }
  finish_icmp_v6(packet, source, destination);
  environment_.counters.add(Counter::nd_tx);
  sender_.send_on_link(packet, source, destination, ip::kProtocolIcmpV6, link_destination,
                       kOnLinkHopLimit);
}

void NeighborDiscovery::send_advertisement(const Address& source, const Address& destination,
                                           const LinkAddress& link_destination, bool is_solicited) {
  rte_mbuf* packet = rte_pktmbuf_alloc(environment_.header_pool);
  if (packet == nullptr) return environment_.counters.add(Counter::drop_no_mbuf);
  auto* message =
      reinterpret_cast<NeighborMessage*>(rte_pktmbuf_append(packet, sizeof(NeighborMessage)));
  message->header = {icmp::kNeighborAdvertisement, 0, 0,
                     rte_cpu_to_be_32(kFlagOverride | (is_solicited ? kFlagSolicited : 0))};
  std::copy(source.bytes.begin(), source.bytes.end(), message->target);
  message->option_type = kOptionTargetLink;
  message->option_units = 1;
  message->link_address = ethernet_.own();
  finish_icmp_v6(packet, source, destination);
  environment_.counters.add(Counter::nd_tx);
  sender_.send_on_link(packet, source, destination, ip::kProtocolIcmpV6, link_destination,
                       kOnLinkHopLimit);
}

}  // namespace weir::net::link
