#include "net/ip/input.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "net/checksum.h"
#include "net/ip/extension_headers.h"
#include "net/ip/ipv4_header.h"
#include "net/ip/ipv6_header.h"
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

constexpr uint32_t kOffset = link::kHeaderBytes;

/// NONE says that the bytes carry no checksum but are known to be intact.
bool is_checksum_known_good(const rte_mbuf* frame) {
  const uint64_t l4_checksum = frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
  return l4_checksum == RTE_MBUF_F_RX_L4_CKSUM_GOOD || l4_checksum == RTE_MBUF_F_RX_L4_CKSUM_NONE;
}

/// Bytes that the header of a transport has at least: what a first fragment must hold (RFC 7112
/// section 5).
uint32_t least_header_bytes(uint8_t protocol) {
  switch (protocol) {
    case kProtocolTcp:
      return 20;
    case kProtocolUdp:
    case kProtocolIcmpV6:
      return 8;
    default:
      return 0;
  }
}

}  // namespace

Input::Input(const Clock& clock, const Environment& environment, const Routing& routing,
             ProblemListener& listener, const ReassemblyLimits& limits)
    : environment_(environment),
      routing_(routing),
      listener_(listener),
      reassembly_(limits, clock, environment, listener) {}

bool Input::drop(rte_mbuf* frame, Counter reason) {
  environment_.counters.add(reason);
  rte_pktmbuf_free(frame);
  return false;
}

bool Input::receive_v4(rte_mbuf* frame, bool to_link_group, Incoming& incoming) {
  environment_.counters.add(Counter::ip_rx);
  if (!pull_up(frame, kOffset + sizeof(Ipv4Header))) [[unlikely]]
    return drop(frame, Counter::drop_ip_malformed);
  const auto* header = rte_pktmbuf_mtod_offset(frame, const Ipv4Header*, kOffset);
  uint32_t header_bytes = header->header_bytes();
  uint32_t total_bytes = rte_be_to_cpu_16(header->total_bytes_be);
  if (header->version() != 4 || header_bytes < sizeof(Ipv4Header) || total_bytes < header_bytes ||
      total_bytes > frame->pkt_len - kOffset) [[unlikely]]
    return drop(frame, Counter::drop_ip_malformed);
  // The link may have padded a short packet (RFC 894).
  trim_to(frame, kOffset + total_bytes);
  // From here on everything that is read in place lies in the first segment.
  const uint32_t in_place =
      std::min(kOffset + header_bytes + kTransportHeaderBytes, frame->pkt_len);
  if (!pull_up(frame, in_place)) [[unlikely]]
    return drop(frame, Counter::drop_ip_malformed);
  if (checksum_finish(checksum_add(0, header, header_bytes)) != 0) [[unlikely]]
    return drop(frame, Counter::drop_ip_checksum);
  if (header_bytes > sizeof(Ipv4Header) &&
      !are_options_acceptable(reinterpret_cast<const uint8_t*>(header + 1),
                              header_bytes - sizeof(Ipv4Header))) [[unlikely]]
    return drop(frame, Counter::drop_ip_options);

  const Address source = Address::v4(rte_be_to_cpu_32(header->source_be));
  const Address destination = Address::v4(rte_be_to_cpu_32(header->destination_be));
  bool to_broadcast = false;
  uint64_t pair;
  std::memcpy(&pair, &header->source_be, sizeof pair);
  uint64_t& place = place_of(header->source_be, header->destination_be);
  if (place != pair || pair == 0 || to_link_group || known_version_ != routing_.version()) {
    if (!accept_addresses(frame, source, destination, to_link_group, header->protocol,
                          to_broadcast))
      return false;
    if (known_version_ != routing_.version()) {
      known_version_ = routing_.version();
      known_pairs_.fill(0);
    }
    if (!to_broadcast && !to_link_group) place = pair;
  }
  // The time to live is not looked at: it is for routers, and a host takes a packet whatever is
  // left of it (RFC 1122 section 3.2.1.7).

  const uint16_t fragment = rte_be_to_cpu_16(header->fragment_be);
  if ((fragment & (kMoreFragments | kFragmentOffsetMask)) != 0) [[unlikely]] {
    frame = reassemble_v4(frame);
    if (frame == nullptr) return false;
    incoming.may_be_elsewhere = true;
    header = rte_pktmbuf_mtod_offset(frame, const Ipv4Header*, kOffset);
    header_bytes = header->header_bytes();
    total_bytes = frame->pkt_len - kOffset;
    // The first fragment's header may have had another length than the last one's.
    if (!pull_up(frame, std::min(kOffset + header_bytes + kTransportHeaderBytes, frame->pkt_len)))
      return drop(frame, Counter::drop_ip_malformed);
  }
  const uint32_t transport_offset = kOffset + header_bytes;
  incoming.received = {.frame = frame,
                       .transport_offset_bytes = static_cast<uint16_t>(transport_offset),
                       .transport_bytes = kOffset + total_bytes - transport_offset,
                       .source = source,
                       .destination = destination,
                       .checksum_known_good = is_checksum_known_good(frame),
                       .ecn = static_cast<uint8_t>(header->type_of_service & 3)};
  incoming.protocol = header->protocol;
  incoming.to_broadcast = to_broadcast;
  return true;
}

/// Whether a packet from `source` to `destination` is for us; if not, it is dropped and counted.
bool Input::accept_addresses(rte_mbuf* frame, const Address& source, const Address& destination,
                             bool to_link_group, uint8_t protocol, bool& to_broadcast) {
  if (!routing_.is_local(destination)) [[unlikely]] {
    to_broadcast = routing_.is_broadcast(destination);
    if (!to_broadcast || !to_link_group) return drop(frame, Counter::drop_ip_foreign);
  } else if (to_link_group) [[unlikely]] {
    // A packet for us alone does not come by a link broadcast (RFC 1122 section 3.3.6).
    return drop(frame, Counter::drop_ip_foreign);
  }
  if (!routing_.is_station(source) || routing_.is_local(source)) [[unlikely]]
    return drop(frame, Counter::drop_ip_source);
  // TCP knows no broadcast (RFC 9293 section 3.9.2.3, MUST-57), and to answer an echo request to
  // one would amplify it (RFC 1122 section 3.2.2.6).
  if (to_broadcast && protocol != kProtocolUdp) return drop(frame, Counter::drop_ip_broadcast);
  return true;
}

/// Keeps a fragment. When the packet is whole, it gets a header that says so.
rte_mbuf* Input::reassemble_v4(rte_mbuf* frame) {
  const auto* header = rte_pktmbuf_mtod_offset(frame, const Ipv4Header*, kOffset);
  const uint32_t header_bytes = header->header_bytes();
  const uint16_t fragment = rte_be_to_cpu_16(header->fragment_be);
  uint32_t payload_bytes = 0;
  frame = reassembly_.add({.source = Address::v4(rte_be_to_cpu_32(header->source_be)),
                           .destination = Address::v4(rte_be_to_cpu_32(header->destination_be)),
                           .identification = rte_be_to_cpu_16(header->identification_be),
                           .protocol = header->protocol},
                          {.frame = frame,
                           .header_bytes = kOffset + header_bytes,
                           .offset_bytes = (fragment & kFragmentOffsetMask) * 8u,
                           .length_bytes = rte_be_to_cpu_16(header->total_bytes_be) - header_bytes,
                           .more = (fragment & kMoreFragments) != 0},
                          payload_bytes);
  if (frame == nullptr) return nullptr;
  auto* whole = rte_pktmbuf_mtod_offset(frame, Ipv4Header*, kOffset);
  const uint32_t total_bytes = frame->pkt_len - kOffset;
  if (total_bytes > UINT16_MAX || !is_head_writable(frame)) {
    drop(frame, Counter::drop_fragment_malformed);
    return nullptr;
  }
  whole->total_bytes_be = rte_cpu_to_be_16(static_cast<uint16_t>(total_bytes));
  whole->fragment_be = 0;
  whole->checksum = 0;
  whole->checksum = checksum_finish(checksum_add(0, whole, whole->header_bytes()));
  return frame;
}

bool Input::receive_v6(rte_mbuf* frame, bool to_link_group, Incoming& incoming) {
  environment_.counters.add(Counter::ip_rx);
  if (!routing_.speaks_v6()) return drop(frame, Counter::drop_ip_v6);
  if (!pull_up(frame, kOffset + sizeof(Ipv6Header))) [[unlikely]]
    return drop(frame, Counter::drop_ip_malformed);
  const auto* header = rte_pktmbuf_mtod_offset(frame, const Ipv6Header*, kOffset);
  const uint32_t total_bytes = sizeof(Ipv6Header) + rte_be_to_cpu_16(header->payload_bytes_be);
  if (header->version() != 6 || total_bytes > frame->pkt_len - kOffset) [[unlikely]]
    return drop(frame, Counter::drop_ip_malformed);
  uint32_t end_bytes = kOffset + total_bytes;
  trim_to(frame, end_bytes);
  constexpr uint32_t kPlainBytes = kOffset + sizeof(Ipv6Header) + kTransportHeaderBytes;
  if (!pull_up(frame, std::min(kPlainBytes, end_bytes))) [[unlikely]]
    return drop(frame, Counter::drop_ip_malformed);

  header = rte_pktmbuf_mtod_offset(frame, const Ipv6Header*, kOffset);
  const Address source = Address::v6(header->source);
  const Address destination = Address::v6(header->destination);
  const bool to_group = destination.is_v6_multicast();
  // A packet for us alone comes to us alone, like IPv4's (RFC 1122 section 3.3.6). What stands for
  // IPv4 (::ffff:0:0/96) is ours inside, and must not come from outside.
  if (to_group ? !routing_.is_member(destination)
               : destination.is_v4() || to_link_group || !routing_.is_local(destination))
      [[unlikely]]
    return drop(frame, Counter::drop_ip_foreign);
  const bool from_nobody = source == Address{};
  if ((!from_nobody && (source.is_v4() || !routing_.is_station(source))) ||
      routing_.is_local(source)) [[unlikely]]
    return drop(frame, Counter::drop_ip_source);

  incoming.had_fragment_header = false;
  ExtensionHeaders headers(frame, kOffset, end_bytes);
  if (headers.protocol != kProtocolTcp) [[unlikely]] {
    incoming.may_be_elsewhere = headers.protocol != kProtocolUdp;
    auto outcome = headers.walk();
    if (outcome == ExtensionHeaders::Outcome::fragment) {
      incoming.had_fragment_header = true;
      frame = reassemble_v6(frame, headers, end_bytes);
      if (frame == nullptr) return false;
      outcome = headers.walk();
      // One fragment header a packet, and a walk that began anew has counted its headers anew.
      if (outcome == ExtensionHeaders::Outcome::fragment) outcome = ExtensionHeaders::Outcome::drop;
    }
    if (outcome == ExtensionHeaders::Outcome::problem)
      return tell_problem(frame, headers, end_bytes);
    if (outcome == ExtensionHeaders::Outcome::drop ||
        !pull_up(frame, std::min(headers.offset_bytes + kTransportHeaderBytes, end_bytes)))
      return drop(frame, Counter::drop_ip_extension);
  }
  // Only ICMPv6 is spoken by stations without an address (RFC 4861, RFC 4862, RFC 3810).
  if (from_nobody && headers.protocol != kProtocolIcmpV6) [[unlikely]]
    return drop(frame, Counter::drop_ip_source);
  if (to_group && headers.protocol != kProtocolUdp && headers.protocol != kProtocolIcmpV6)
      [[unlikely]]
    return drop(frame, Counter::drop_ip_broadcast);
  header = rte_pktmbuf_mtod_offset(frame, const Ipv6Header*, kOffset);
  incoming.received = {.frame = frame,
                       .transport_offset_bytes = static_cast<uint16_t>(headers.offset_bytes),
                       .transport_bytes = end_bytes - headers.offset_bytes,
                       .source = source,
                       .destination = destination,
                       .checksum_known_good = is_checksum_known_good(frame),
                       .ecn = header->ecn()};
  incoming.protocol = headers.protocol;
  incoming.to_broadcast = to_group;
  incoming.hop_limit = header->hop_limit;
  incoming.has_router_alert = headers.has_router_alert;
  incoming.protocol_pointer_bytes = static_cast<uint16_t>(headers.next_field_bytes - kOffset);
  return true;
}

/// `headers` stands at a fragment header. Keeps the fragment; when the packet is whole, `headers`
/// begins again at its front. RFC 8200 section 4.5.
rte_mbuf* Input::reassemble_v6(rte_mbuf* frame, ExtensionHeaders& headers, uint32_t& end_bytes) {
  const auto refuse = [&](Counter reason) {
    drop(frame, reason);
    return nullptr;
  };
  const uint32_t at = headers.offset_bytes;
  const auto fragment = *rte_pktmbuf_mtod_offset(frame, const FragmentHeader*, at);
  const uint16_t place = rte_be_to_cpu_16(fragment.offset_be);
  const uint32_t offset_bytes = place & kFragmentOffsetMaskV6;
  const bool more = (place & kMoreFragmentsV6) != 0;
  const uint32_t header_bytes = at + static_cast<uint32_t>(sizeof(FragmentHeader));
  const uint32_t length_bytes = end_bytes - header_bytes;
  const auto* ip = rte_pktmbuf_mtod_offset(frame, const Ipv6Header*, kOffset);
  const Address source = Address::v6(ip->source), destination = Address::v6(ip->destination);
  if (source == Address{} || destination.is_v6_multicast())
    return refuse(Counter::drop_fragment_malformed);

  // One that is all of a packet has nothing to do with others (RFC 6946 section 4).
  const bool is_whole = offset_bytes == 0 && !more;
  const auto tell = [&](uint8_t code, uint32_t pointer_bytes) {
    listener_.on_parameter_problem({.frame = frame,
                                    .transport_offset_bytes = static_cast<uint16_t>(header_bytes),
                                    .transport_bytes = length_bytes,
                                    .source = source,
                                    .destination = destination,
                                    .checksum_known_good = false},
                                   code, pointer_bytes, false);
    environment_.counters.add(Counter::ip_fragments_rx);
    return refuse(Counter::drop_fragment_malformed);
  };
  if (more && (length_bytes == 0 || length_bytes % 8 != 0))
    return tell(kProblemField, offsetof(Ipv6Header, payload_bytes_be));
  if (offset_bytes + length_bytes > UINT16_MAX - (at - kOffset - sizeof(Ipv6Header)))
    return tell(kProblemField, at - kOffset + offsetof(FragmentHeader, offset_be));
  if (offset_bytes == 0 && !is_whole) {
    // All headers, the transport's too, stand in the first fragment (RFC 7112 section 5).
    ExtensionHeaders rest = headers;
    const auto outcome = rest.walk_behind_fragment();
    if (outcome == ExtensionHeaders::Outcome::fragment) return refuse(Counter::drop_ip_extension);
    if (outcome == ExtensionHeaders::Outcome::drop ||
        (outcome == ExtensionHeaders::Outcome::transport &&
         rest.offset_bytes + least_header_bytes(rest.protocol) > end_bytes))
      return tell(kProblemIncompleteChain, 0);
  }
  uint32_t payload_bytes = 0;
  if (!is_whole) {
    frame = reassembly_.add({.source = source,
                             .destination = destination,
                             .identification = rte_be_to_cpu_32(fragment.identification_be)},
                            {frame, header_bytes, offset_bytes, length_bytes, more}, payload_bytes);
    if (frame == nullptr) return nullptr;
  }
  // The fragment header goes: what stands before it moves over it. Of several fragments the first
  // one's headers count, which may be others than those of the one that came last.
  ExtensionHeaders first(frame, kOffset, frame->pkt_len);
  if (first.walk() != ExtensionHeaders::Outcome::fragment || !is_head_writable(frame))
    return refuse(Counter::drop_ip_extension);
  const uint32_t first_at = first.offset_bytes;
  auto* bytes = rte_pktmbuf_mtod(frame, uint8_t*);
  bytes[first.next_field_bytes] = bytes[first_at];
  std::memmove(bytes + sizeof(FragmentHeader), bytes, first_at);
  rte_pktmbuf_adj(frame, sizeof(FragmentHeader));
  end_bytes = frame->pkt_len;
  const uint32_t carried_bytes = end_bytes - kOffset - static_cast<uint32_t>(sizeof(Ipv6Header));
  if (carried_bytes > UINT16_MAX) return refuse(Counter::drop_fragment_malformed);
  auto* whole = rte_pktmbuf_mtod_offset(frame, Ipv6Header*, kOffset);
  whole->payload_bytes_be = rte_cpu_to_be_16(static_cast<uint16_t>(carried_bytes));
  headers = ExtensionHeaders(frame, kOffset, end_bytes);
  return frame;
}

bool Input::tell_problem(rte_mbuf* frame, const ExtensionHeaders& headers, uint32_t end_bytes) {
  const auto* ip = rte_pktmbuf_mtod_offset(frame, const Ipv6Header*, kOffset);
  constexpr uint16_t kBehindHeader = kOffset + sizeof(Ipv6Header);
  listener_.on_parameter_problem({.frame = frame,
                                  .transport_offset_bytes = kBehindHeader,
                                  .transport_bytes = end_bytes - kBehindHeader,
                                  .source = Address::v6(ip->source),
                                  .destination = Address::v6(ip->destination),
                                  .checksum_known_good = false},
                                 headers.problem_code, headers.problem_pointer_bytes,
                                 headers.tells_of_group);
  return drop(frame, Counter::drop_ip_extension);
}

}  // namespace weir::net::ip
