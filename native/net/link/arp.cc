#include "net/link/arp.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include "net/packet_bytes.h"

namespace weir::net::link {

namespace {

constexpr uint16_t kHardwareEthernet = 1;
constexpr uint16_t kRequest = 1;
constexpr uint16_t kReply = 2;
// RFC 5227 section 1.1.
constexpr uint8_t kAnnouncements = 2;
constexpr uint64_t kAnnounceIntervalUs = 2'000'000;
constexpr uint64_t kDefendIntervalUs = 10'000'000;

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

Arp::Arp(const Clock& clock, const Environment& environment, const ip::Routing& routing,
         Ethernet& ethernet, NeighborCache& neighbors)
    : clock_(clock),
      environment_(environment),
      routing_(routing),
      ethernet_(ethernet),
      neighbors_(neighbors) {
  if (!routing_.local().is_v4()) announce_at_us_ = UINT64_MAX;
}

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
  const Address& own = routing_.local();

  if (sender == own) {
    if (packet.sender_link == ethernet_.own()) return;  // our own words, come back
    // Somebody else uses our address: defend it, but not more than once in ten seconds (RFC 5227
    // section 2.4 (c)).
    environment_.counters.add(Counter::arp_conflicts);
    if (!has_defended_ || clock_.now_us - defended_at_us_ >= kDefendIntervalUs) {
      has_defended_ = true;
      defended_at_us_ = clock_.now_us;
      announce();
    }
    return;
  }

  // A sender of 0.0.0.0 probes whether an address is free (RFC 5227 section 2.1.1): there is
  // nothing to learn.
  const bool can_learn = routing_.is_neighbor(sender);
  if (target == own && own.is_v4()) {
    if (operation == kRequest) {
      if (can_learn) neighbors_.learn(sender, packet.sender_link, *this);
      send(kReply, packet.sender_link, packet.sender_link, packet.sender_be);
    } else if (can_learn) {
      neighbors_.confirm(sender, packet.sender_link);
    }
    return;
  }
  // RFC 826: what is known of a sender is brought up to date whomever the packet is for.
  if (!can_learn || !neighbors_.overhear(sender, packet.sender_link))
    environment_.counters.add(Counter::drop_arp_foreign);
}

void Arp::solicit(const Address& target, const LinkAddress* known) {
  send(kRequest, known != nullptr ? *known : kBroadcast, LinkAddress{},
       rte_cpu_to_be_32(target.v4_host_order()));
}

void Arp::run_timers() {
  if (clock_.now_us < announce_at_us_) return;
  announce();
  announcements_sent_++;
  announce_at_us_ =
      announcements_sent_ < kAnnouncements ? clock_.now_us + kAnnounceIntervalUs : UINT64_MAX;
}

/// An announcement is a request whose sender and target are both our address (RFC 5227
/// section 2.3).
void Arp::announce() {
  send(kRequest, kBroadcast, LinkAddress{}, rte_cpu_to_be_32(routing_.local().v4_host_order()));
}

void Arp::send(uint16_t operation, const LinkAddress& destination, const LinkAddress& target_link,
               uint32_t target_be) {
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
  arp->sender_be = rte_cpu_to_be_32(routing_.local().v4_host_order());
  arp->target_link = target_link;
  arp->target_be = target_be;
  environment_.counters.add(Counter::arp_tx);
  ethernet_.transmit(packet, destination, kTypeArp);
}

}  // namespace weir::net::link
