#include "net/ip/sender.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include "net/checksum.h"
#include "net/ip/ipv4_header.h"

namespace weir::net::ip {

Sender::Sender(const Environment& environment, const Routing& routing,
               link::NeighborCache& neighbors, link::Resolver& resolver_v4, uint16_t mtu_bytes)
    : environment_(environment),
      routing_(routing),
      neighbors_(neighbors),
      resolver_v4_(resolver_v4),
      mtu_bytes_(mtu_bytes) {}

void Sender::send(rte_mbuf* packet, const Address& source, const Address& destination,
                  uint8_t protocol, const SendOptions& options) {
  const auto drop = [&](Counter reason) {
    environment_.counters.add(reason);
    rte_pktmbuf_free(packet);
  };
  Address hop;
  if (!source.is_v4() || !routing_.next_hop(destination, hop)) [[unlikely]]
    return drop(Counter::drop_ip_no_route);
  const uint32_t total_bytes = packet->pkt_len + sizeof(Ipv4Header);
  if (total_bytes > mtu_bytes_) [[unlikely]]
    return drop(Counter::drop_ip_too_long);
  auto* header = reinterpret_cast<Ipv4Header*>(rte_pktmbuf_prepend(packet, sizeof(Ipv4Header)));
  if (header == nullptr) [[unlikely]]
    return drop(Counter::drop_no_headroom);

  *header = {.version_and_length = kIpv4VersionAndLength,
             .type_of_service = options.ecn,
             .total_bytes_be = rte_cpu_to_be_16(static_cast<uint16_t>(total_bytes)),
             // A datagram that may not be fragmented needs no identification (RFC 6864
             // section 4.1); a constant tells nobody how much we send.
             .identification_be = 0,
             // No packet of ours is fragmented on its way (RFC 1191 section 2).
             .fragment_be = rte_cpu_to_be_16(kDontFragment),
             .time_to_live = options.hop_limit == 0 ? kDefaultHopLimit : options.hop_limit,
             .protocol = protocol,
             .checksum = 0,
             .source_be = rte_cpu_to_be_32(source.v4_host_order()),
             .destination_be = rte_cpu_to_be_32(destination.v4_host_order())};
  header->checksum = checksum_finish(checksum_add(0, header, sizeof(Ipv4Header)));
  packet->l3_len = sizeof(Ipv4Header);
  environment_.counters.add(Counter::ip_tx);
  neighbors_.send(packet, hop, resolver_v4_);
}

Address Sender::source_for(const Address& destination) const {
  Address hop;
  return routing_.next_hop(destination, hop) ? routing_.local() : Address{};
}

}  // namespace weir::net::ip
