#include "net/ip/frame_flow.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <span>

#include "net/dhcp/message.h"
#include "net/icmp/icmp_header.h"
#include "net/ip/ipv4_header.h"
#include "net/ip/ipv6_header.h"
#include "net/ip/output.h"
#include "net/link/ethernet.h"

namespace weir::net::ip {

namespace {

/// Link header with a tag, the longest IPv4 header, an ICMP error's and what it quotes.
constexpr uint32_t kLookedAtBytes = 192;

using Bytes = std::span<const uint8_t>;

uint16_t number_at(Bytes bytes, size_t offset) {
  return static_cast<uint16_t>(bytes[offset] << 8 | bytes[offset + 1]);
}

bool has_ports(uint8_t protocol) { return protocol == kProtocolTcp || protocol == kProtocolUdp; }

/// RFC 792 and RFC 4443 section 2.1: errors quote the packet that they are about.
bool is_error(uint8_t type, bool is_v4) {
  return is_v4 ? type == 3 || type == 4 || type == 11 || type == 12 : type < 128;
}

FrameFlow flow_of_packet(Bytes packet, bool is_v4, bool is_quoted);

/// With what is behind the IP header: ports, or what an ICMP error quotes.
FrameFlow with_transport(FrameFlow flow, uint8_t protocol, Bytes transport, bool is_v4,
                         bool is_quoted) {
  if (has_ports(protocol) && transport.size() >= 4) {
    flow.source.port = number_at(transport, 0);
    flow.destination.port = number_at(transport, 2);
    if (is_v4 && protocol == kProtocolUdp && flow.destination.port == dhcp::kClientPort)
      flow.kind = FrameFlow::Kind::speaker;
    return flow;
  }
  if (protocol != (is_v4 ? kProtocolIcmp : kProtocolIcmpV6) || is_quoted ||
      transport.size() < sizeof(icmp::IcmpHeader))
    return flow;
  const uint8_t type = transport[0];
  if (is_error(type, is_v4))
    return flow_of_packet(transport.subspan(sizeof(icmp::IcmpHeader)), is_v4, true);
  if (!is_v4 &&
      ((type >= icmp::kListenerQuery && type <= icmp::kRedirect) || type == icmp::kListenerReport))
    flow.kind = FrameFlow::Kind::everyone;
  return flow;
}

FrameFlow flow_of_packet(Bytes packet, bool is_v4, bool is_quoted) {
  FrameFlow flow{FrameFlow::Kind::flow, {}, {}};
  if (is_v4) {
    if (packet.size() < sizeof(Ipv4Header)) return flow;
    const auto* header = reinterpret_cast<const Ipv4Header*>(packet.data());
    flow.source.address = Address::v4(rte_be_to_cpu_32(header->source_be));
    flow.destination.address = Address::v4(rte_be_to_cpu_32(header->destination_be));
    const uint16_t fragment = rte_be_to_cpu_16(header->fragment_be);
    if ((fragment & (kMoreFragments | kFragmentOffsetMask)) != 0 && !is_quoted) return flow;
    const size_t header_bytes = std::min<size_t>(header->header_bytes(), packet.size());
    return with_transport(flow, header->protocol, packet.subspan(header_bytes), true, is_quoted);
  }
  if (packet.size() < sizeof(Ipv6Header)) return flow;
  const auto* header = reinterpret_cast<const Ipv6Header*>(packet.data());
  flow.source.address = Address::v6(header->source);
  flow.destination.address = Address::v6(header->destination);
  Bytes rest = packet.subspan(sizeof(Ipv6Header));
  uint8_t next = header->next_header;
  // Multicast listeners' messages stand behind a router alert (RFC 2711).
  if (next == kNextHopByHop && rest.size() >= 8 && rest.size() >= rest[1] * 8u + 8u) {
    next = rest[0];
    rest = rest.subspan(rest[1] * 8u + 8u);
    if (has_ports(next)) return flow;
  }
  return with_transport(flow, next, rest, false, is_quoted);
}

}  // namespace

FrameFlow flow_of(const rte_mbuf* frame) {
  uint8_t copy[kLookedAtBytes];
  const uint32_t length = std::min<uint32_t>(frame->pkt_len, kLookedAtBytes);
  const auto* at = static_cast<const uint8_t*>(rte_pktmbuf_read(frame, 0, length, copy));
  const Bytes bytes{at, length};
  size_t offset = link::kHeaderBytes;
  const FrameFlow anybody{FrameFlow::Kind::flow, {}, {}};
  if (length < offset) return anybody;
  uint16_t type = number_at(bytes, offset - 2);
  if (type == link::kTypeVlan) {
    offset += 4;
    if (length < offset) return anybody;
    type = number_at(bytes, offset - 2);
  }
  if (type == link::kTypeIpv4) return flow_of_packet(bytes.subspan(offset), true, false);
  if (type == link::kTypeIpv6) return flow_of_packet(bytes.subspan(offset), false, false);
  return {type == link::kTypeArp ? FrameFlow::Kind::everyone : FrameFlow::Kind::speaker, {}, {}};
}

}  // namespace weir::net::ip
