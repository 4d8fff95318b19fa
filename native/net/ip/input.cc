#include "net/ip/input.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include <algorithm>

#include "net/checksum.h"
#include "net/ip/ipv4_header.h"
#include "net/ip/output.h"
#include "net/link/ethernet.h"
#include "net/packet_bytes.h"

namespace weir::net::ip {

namespace {

/// The longest transport header that is read in place: TCP with all its options.
constexpr uint32_t kTransportHeaderBytes = 60;

/// Looks at the options of a header (RFC 791 section 3.1). False if they are malformed or ask for a
/// source route, which a host is not to follow (RFC 1122 section 3.2.1.8 (c), RFC 7126
/// section 4.3). All others are skipped.
bool are_options_acceptable(const uint8_t* options, uint32_t length_bytes) {
  constexpr uint8_t kEnd = 0, kNoOperation = 1, kLooseSourceRoute = 131, kStrictSourceRoute = 137;
  uint32_t at = 0;
  while (at < length_bytes) {
    const uint8_t kind = options[at];
    if (kind == kEnd) return true;
    if (kind == kNoOperation) {
      at++;
      continue;
    }
    if (kind == kLooseSourceRoute || kind == kStrictSourceRoute) return false;
    if (at + 1 >= length_bytes || options[at + 1] < 2 || at + options[at + 1] > length_bytes)
      return false;
    at += options[at + 1];
  }
  return true;
}

}  // namespace

Input::Input(const Environment& environment, const Routing& routing)
    : environment_(environment), routing_(routing) {}

bool Input::receive_v4(rte_mbuf* frame, bool to_link_group, Incoming& incoming) {
  const auto drop = [&](Counter reason) {
    environment_.counters.add(reason);
    rte_pktmbuf_free(frame);
    return false;
  };
  environment_.counters.add(Counter::ip_rx);
  constexpr uint32_t kOffset = link::kHeaderBytes;

  if (!pull_up(frame, kOffset + sizeof(Ipv4Header))) [[unlikely]]
    return drop(Counter::drop_ip_malformed);
  const auto* header = rte_pktmbuf_mtod_offset(frame, const Ipv4Header*, kOffset);
  const uint32_t header_bytes = header->header_bytes();
  const uint32_t total_bytes = rte_be_to_cpu_16(header->total_bytes_be);
  if (header->version() != 4 || header_bytes < sizeof(Ipv4Header) || total_bytes < header_bytes ||
      total_bytes > frame->pkt_len - kOffset) [[unlikely]]
    return drop(Counter::drop_ip_malformed);
  // The link may have padded a short packet (RFC 894).
  trim_to(frame, kOffset + total_bytes);

  // From here on everything that is read in place lies in the first segment.
  const uint32_t in_place =
      std::min(kOffset + header_bytes + kTransportHeaderBytes, frame->pkt_len);
  if (!pull_up(frame, in_place)) [[unlikely]]
    return drop(Counter::drop_ip_malformed);
  if (checksum_finish(checksum_add(0, header, header_bytes)) != 0) [[unlikely]]
    return drop(Counter::drop_ip_checksum);
  if (header_bytes > sizeof(Ipv4Header) &&
      !are_options_acceptable(reinterpret_cast<const uint8_t*>(header + 1),
                              header_bytes - sizeof(Ipv4Header))) [[unlikely]]
    return drop(Counter::drop_ip_options);

  const Address source = Address::v4(rte_be_to_cpu_32(header->source_be));
  const Address destination = Address::v4(rte_be_to_cpu_32(header->destination_be));
  const bool to_broadcast = routing_.is_broadcast(destination);
  // A packet for us alone does not come by a link broadcast (RFC 1122 section 3.3.6).
  if (to_broadcast ? !to_link_group : (!routing_.is_local(destination) || to_link_group))
      [[unlikely]]
    return drop(Counter::drop_ip_foreign);
  if (!routing_.is_station(source) || routing_.is_local(source)) [[unlikely]]
    return drop(Counter::drop_ip_source);
  const uint16_t fragment = rte_be_to_cpu_16(header->fragment_be);
  if ((fragment & (kMoreFragments | kFragmentOffsetMask)) != 0) [[unlikely]]
    return drop(Counter::drop_ip_fragment);
  // The time to live is not looked at: it is for routers, and a host takes a packet whatever is
  // left of it (RFC 1122 section 3.2.1.7).

  // TCP knows no broadcast (RFC 9293 section 3.9.2.3, MUST-57), and to answer an echo request to
  // one would amplify it (RFC 1122 section 3.2.2.6).
  if (to_broadcast && header->protocol != kProtocolUdp) [[unlikely]]
    return drop(Counter::drop_ip_broadcast);

  const uint64_t l4_checksum = frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
  incoming.received = {.frame = frame,
                       .transport_offset_bytes = static_cast<uint16_t>(kOffset + header_bytes),
                       .transport_bytes = total_bytes - header_bytes,
                       .source = source,
                       .destination = destination,
                       // NONE says that the bytes carry no checksum but are known to be intact.
                       .checksum_known_good = l4_checksum == RTE_MBUF_F_RX_L4_CKSUM_GOOD ||
                                              l4_checksum == RTE_MBUF_F_RX_L4_CKSUM_NONE,
                       .ecn = static_cast<uint8_t>(header->type_of_service & 3)};
  incoming.protocol = header->protocol;
  incoming.to_broadcast = to_broadcast;
  return true;
}

}  // namespace weir::net::ip
