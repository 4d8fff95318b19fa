#include "net/link/arp.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include <algorithm>

#include "net/packet_bytes.h"

namespace weir::net::link {

namespace {

constexpr uint16_t kHardwareEthernet = 1;
constexpr uint16_t kRequest = 1;
constexpr uint16_t kReply = 2;
// RFC 5227 section 1.1.
constexpr uint8_t kAnnouncements = 2;
constexpr uint64_t kAnnounceIntervalUs = 2'000'000;
constexpr uint8_t kProbes = 3;
constexpr uint64_t kProbeWaitUs = 1'000'000;
constexpr uint64_t kProbeMinUs = 1'000'000;
constexpr uint64_t kProbeMaxUs = 2'000'000;
constexpr uint64_t kAnnounceWaitUs = 2'000'000;

/// An ARP packet for IPv4 over Ethernet as it lies in memory, network byte order.
struct __attribute__((packed)) ArpPacket {
  uint16_t hardware_be;
  uint16_t protocol_be;
  uint8_t hardware_length;
  uint8_t protocol_length;
  uint16_t operation_be;
  LinkAddress sender_link;
  uint32_t sender_be;
  LinkAddress target_link;
  uint32_t target_be;
};
static_assert(sizeof(ArpPacket) == 28);

}  // namespace

Arp::Arp(const Clock& clock, const Environment& environment, ip::Routing& routing,
         Ethernet& ethernet, NeighborCache& neighbors, AddressListener& listener, bool speaks)
    : clock_(clock),
      environment_(environment),
      routing_(routing),
      ethernet_(ethernet),
      neighbors_(neighbors),
      listener_(listener),
      speaks_(speaks) {}

void Arp::input(rte_mbuf* frame) {
  environment_.counters.add(Counter::arp_rx);
  process(frame);
  rte_pktmbuf_free(frame);
}

void Arp::process(rte_mbuf* frame) {
  if (!pull_up(frame, kHeaderBytes + sizeof(ArpPacket))) {
    environment_.counters.add(Counter::drop_arp_malformed);
    return;
  }
  const auto packet = *rte_pktmbuf_mtod_offset(frame, const ArpPacket*, kHeaderBytes);
  const uint16_t operation = rte_be_to_cpu_16(packet.operation_be);
  if (packet.hardware_be != rte_cpu_to_be_16(kHardwareEthernet) ||
      packet.protocol_be != rte_cpu_to_be_16(kTypeIpv4) || packet.hardware_length != 6 ||
      packet.protocol_length != 4 || (operation != kRequest && operation != kReply) ||
      is_group(packet.sender_link) || packet.sender_link == LinkAddress{}) {
    environment_.counters.add(Counter::drop_arp_malformed);
    return;
  }
  const Address sender = Address::v4(rte_be_to_cpu_32(packet.sender_be));
  const Address target = Address::v4(rte_be_to_cpu_32(packet.target_be));

  using State = ip::LocalAddress::State;
  if (ip::LocalAddress* own = routing_.find(sender); own != nullptr) {
    if (packet.sender_link != ethernet_.own()) found_conflict(*own);
    return;  // our own words, come back
  }
  ip::LocalAddress* asked = routing_.find(target);
  // Somebody else probes for the address that we probe for (RFC 5227 section 2.1.1).
  if (asked != nullptr && asked->state == State::tentative && sender.is_unspecified() &&
      operation == kRequest) {
    if (packet.sender_link != ethernet_.own()) found_conflict(*asked);
    return;
  }

  // A sender of 0.0.0.0 probes whether an address is free (RFC 5227 section 2.1.1): there is
  // nothing to learn.
  const bool can_learn = routing_.is_neighbor(sender);
  if (asked != nullptr && asked->is_usable()) {
    if (operation == kRequest) {
      if (can_learn) neighbors_.learn(sender, packet.sender_link, *this);
      if (speaks_)
        send(kReply, packet.sender_link, packet.target_be, packet.sender_link, packet.sender_be);
    } else if (can_learn) {
      neighbors_.confirm(sender, packet.sender_link);
    }
    return;
  }
  // RFC 826: what is known of a sender is brought up to date whomever the packet is for.
  if (!can_learn || !neighbors_.overhear(sender, packet.sender_link))
    environment_.counters.add(Counter::drop_arp_foreign);
}

/// Somebody else claims an address of ours.
void Arp::found_conflict(ip::LocalAddress& own) {
  using State = ip::LocalAddress::State;
  if (own.state == State::duplicate || !speaks_) return;
  environment_.counters.add(Counter::arp_conflicts);
  if (own.state == State::tentative) {
    own.state = State::duplicate;
    own.next_us = clock_.now_us + kProbeAgainUs;
    deadline_us_ = std::min(deadline_us_, own.next_us);
    listener_.on_address(own.address, AddressChange::duplicate);
    return;
  }
  // It is defended, but not more than once in ten seconds (RFC 5227 section 2.4 (c)).
  if (own.has_defended && clock_.now_us - own.defended_at_us < kDefendIntervalUs) return;
  own.has_defended = true;
  own.defended_at_us = clock_.now_us;
  announce(own.address);
  listener_.on_address(own.address, AddressChange::contested);
}

void Arp::solicit(const Address& target, const LinkAddress* known) {
  const Address source = routing_.source_near(target);
  if (!source.is_v4()) return;
  send(kRequest, known != nullptr ? *known : kBroadcast, rte_cpu_to_be_32(source.v4_host_order()),
       LinkAddress{}, rte_cpu_to_be_32(target.v4_host_order()));
}

void Arp::run_timers() {
  if (clock_.now_us < deadline_us_) return;
  deadline_us_ = UINT64_MAX;
  for (uint32_t i = 0; i < ip::Routing::kMaxAddresses; i++) {
    ip::LocalAddress& own = routing_.slot(i);
    if (own.state == ip::LocalAddress::State::free || !own.address.is_v4()) continue;
    if (own.next_us <= clock_.now_us) run_timer(own);
    deadline_us_ = std::min(deadline_us_, own.next_us);
  }
}

void Arp::run_timer(ip::LocalAddress& own) {
  using State = ip::LocalAddress::State;
  if (own.state == State::duplicate) {
    own.state = State::tentative;
    own.probes_sent = 0;
    own.next_us = 0;
  }
  if (own.state == State::tentative) {
    if (own.probes_sent == 0 && own.next_us == 0) {
      // Many stations may start at once, after the power was off (RFC 5227 section 2.1.1).
      own.next_us = clock_.now_us + 1 + random_us(kProbeWaitUs);
      return;
    }
    if (own.probes_sent < kProbes) {
      own.probes_sent++;
      send(kRequest, kBroadcast, 0, LinkAddress{}, rte_cpu_to_be_32(own.address.v4_host_order()));
      own.next_us = clock_.now_us + (own.probes_sent == kProbes
                                         ? kAnnounceWaitUs
                                         : kProbeMinUs + random_us(kProbeMaxUs - kProbeMinUs));
      return;
    }
    own.state = State::assigned;
    own.announcements_sent = 0;
    routing_.commit();
    listener_.on_address(own.address, AddressChange::assigned);
  }
  announce(own.address);
  own.announcements_sent++;
  own.next_us =
      own.announcements_sent < kAnnouncements ? clock_.now_us + kAnnounceIntervalUs : UINT64_MAX;
}

/// An announcement is a request whose sender and target are both our address (RFC 5227
/// section 2.3).
void Arp::announce(const Address& address) {
  const uint32_t own_be = rte_cpu_to_be_32(address.v4_host_order());
  send(kRequest, kBroadcast, own_be, LinkAddress{}, own_be);
}

void Arp::send(uint16_t operation, const LinkAddress& destination, uint32_t sender_be,
               const LinkAddress& target_link, uint32_t target_be) {
  rte_mbuf* packet = rte_pktmbuf_alloc(environment_.header_pool);
  if (packet == nullptr) {
    environment_.counters.add(Counter::drop_no_mbuf);
    return;
  }
  auto* arp = reinterpret_cast<ArpPacket*>(rte_pktmbuf_append(packet, sizeof(ArpPacket)));
  arp->hardware_be = rte_cpu_to_be_16(kHardwareEthernet);
  arp->protocol_be = rte_cpu_to_be_16(kTypeIpv4);
  arp->hardware_length = 6;
  arp->protocol_length = 4;
  arp->operation_be = rte_cpu_to_be_16(operation);
  arp->sender_link = ethernet_.own();
  arp->sender_be = sender_be;
  arp->target_link = target_link;
  arp->target_be = target_be;
  environment_.counters.add(Counter::arp_tx);
  ethernet_.transmit(packet, destination, kTypeArp);
}

}  // namespace weir::net::link
