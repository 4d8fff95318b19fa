#include "net/icmp/icmp_v6.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "net/checksum.h"
#include "net/icmp/icmp_header.h"
#include "net/ip/ipv6_header.h"
#include "net/link/ethernet.h"
#include "net/packet_bytes.h"

namespace weir::net::icmp {

namespace {

// RFC 4443 section 2.1.
constexpr uint8_t kDestinationUnreachableV6 = 1;
constexpr uint8_t kPacketTooBig = 2;
constexpr uint8_t kTimeExceededV6 = 3;
constexpr uint8_t kParameterProblemV6 = 4;
constexpr uint8_t kFirstInformational = 128;
constexpr uint8_t kEchoRequestV6 = 128;
constexpr uint8_t kEchoReplyV6 = 129;
// Codes (sections 3.1 and 3.3).
constexpr uint8_t kPortUnreachable = 4;
constexpr uint8_t kReassemblyV6 = 1;

/// Where ICMPv6 says what it is, if the packet at `frame` is of it: then whether it is an error or
/// a redirect, about which nobody is told (RFC 4443 section 2.4 (e.1) and (e.2)).
bool is_error_or_redirect(const rte_mbuf* frame) {
  uint8_t bytes[8];
  const auto read = [&](uint32_t offset) {
    return static_cast<const uint8_t*>(rte_pktmbuf_read(frame, offset, sizeof bytes, bytes));
  };
  uint8_t next =
      rte_pktmbuf_mtod_offset(frame, const ip::Ipv6Header*, link::kHeaderBytes)->next_header;
  uint32_t at = link::kHeaderBytes + sizeof(ip::Ipv6Header);
  constexpr int kMaxHeaders = 10;
  for (int i = 0; i < kMaxHeaders; i++) {
    const uint8_t* header = read(at);
    if (header == nullptr) return false;
    switch (next) {
      case ip::kNextHopByHop:
      case ip::kNextRouting:
      case ip::kNextDestination:
        at += (header[1] + 1u) * 8;
        break;
      case ip::kNextFragment:
        at += sizeof(ip::FragmentHeader);
        break;
      case ip::kProtocolIcmpV6:
        return header[0] < kFirstInformational || header[0] == kRedirect;
      default:
        return false;
    }
    next = header[0];
  }
  return true;
}

}  // namespace

IcmpV6::IcmpV6(const Clock& clock, const Environment& environment, const ip::Routing& routing,
               ip::Output& output, ErrorListener& listener)
    : environment_(environment),
      routing_(routing),
      output_(output),
      listener_(listener),
      errors_(clock, environment) {}

bool IcmpV6::check(const ip::Incoming& message, uint8_t& type) {
  const ip::Received& received = message.received;
  const auto drop = [&](Counter reason) {
    environment_.counters.add(reason);
    rte_pktmbuf_free(received.frame);
    return false;
  };
  environment_.counters.add(Counter::icmp_rx);
  if (received.transport_bytes < sizeof(IcmpHeader)) return drop(Counter::drop_icmp_malformed);
  const ChecksumSum sum = checksum_pseudo_header(received.source, received.destination,
                                                 ip::kProtocolIcmpV6, received.transport_bytes);
  if (checksum_finish(checksum_add_packet(sum, received.frame, received.transport_offset_bytes,
                                          received.transport_bytes)) != 0)
    return drop(Counter::drop_icmp_checksum);
  type = *rte_pktmbuf_mtod_offset(received.frame, const uint8_t*, received.transport_offset_bytes);
  return true;
}

void IcmpV6::input(const ip::Incoming& message) {
  const ip::Received& received = message.received;
  const auto header =
      *rte_pktmbuf_mtod_offset(received.frame, const IcmpHeader*, received.transport_offset_bytes);
  switch (header.type) {
    case kEchoRequestV6:
      return answer_echo(message);
    case kDestinationUnreachableV6:
    case kPacketTooBig:
    case kTimeExceededV6:
    case kParameterProblemV6:
      environment_.counters.add(Counter::icmp_errors_rx);
      if (!process_error(received, header.type, header.code))
        environment_.counters.add(Counter::drop_icmp_unknown);
      break;
    default:
      // Redirects too: a host that others can send elsewhere is a host that others can rob.
      environment_.counters.add(Counter::drop_icmp_unknown);
  }
  rte_pktmbuf_free(received.frame);
}

/// RFC 4443 section 4.2: the reply is the request with its type changed, in the buffer it came in.
void IcmpV6::answer_echo(const ip::Incoming& message) {
  const ip::Received& received = message.received;
  rte_mbuf* packet = received.frame;
  // To answer what was sent to a group amplifies it; so the limit of errors holds.
  const Address source =
      message.to_broadcast ? output_.source_for(received.source) : received.destination;
  if (source == Address{} || (message.to_broadcast && !errors_.take(received.source)))
    return rte_pktmbuf_free(packet);
  if (!is_head_writable(packet)) {
    packet = rte_pktmbuf_copy(received.frame, environment_.frame_pool, 0, UINT32_MAX);
    rte_pktmbuf_free(received.frame);
    if (packet == nullptr) return environment_.counters.add(Counter::drop_no_mbuf);
  }
  rte_pktmbuf_adj(packet, received.transport_offset_bytes);
  packet->ol_flags &= ~(RTE_MBUF_F_RX_L4_CKSUM_MASK | RTE_MBUF_F_RX_IP_CKSUM_MASK);
  auto* header = rte_pktmbuf_mtod(packet, IcmpHeader*);
  header->type = kEchoReplyV6;
  header->code = 0;
  header->checksum = 0;
  const ChecksumSum sum =
      checksum_pseudo_header(source, received.source, ip::kProtocolIcmpV6, packet->pkt_len);
  header->checksum = checksum_finish(checksum_add_packet(sum, packet, 0, packet->pkt_len));
  environment_.counters.add(Counter::icmp_echo_replies);
  output_.send(packet, source, received.source, ip::kProtocolIcmpV6, {.may_fragment = true});
}

/// Finds out which flow an error is about. False if it is none of ours.
bool IcmpV6::process_error(const ip::Received& message, uint8_t type, uint8_t code) {
  // An IPv6 header, a fragment header (we send no others) and 8 bytes.
  constexpr uint32_t kQuoteBytes = sizeof(ip::Ipv6Header) + sizeof(ip::FragmentHeader) + 8;
  uint8_t copy[kQuoteBytes];
  const uint32_t offset = message.transport_offset_bytes + sizeof(IcmpHeader);
  const uint32_t quoted_bytes =
      std::min<uint32_t>(message.transport_bytes - sizeof(IcmpHeader), kQuoteBytes);
  if (quoted_bytes < sizeof(ip::Ipv6Header) + 8) return false;
  const auto* bytes =
      static_cast<const uint8_t*>(rte_pktmbuf_read(message.frame, offset, quoted_bytes, copy));
  const auto* quoted = reinterpret_cast<const ip::Ipv6Header*>(bytes);
  if (quoted->version() != 6) return false;
  uint8_t protocol = quoted->next_header;
  uint32_t at = sizeof(ip::Ipv6Header);
  if (protocol == ip::kNextFragment) {
    const auto* fragment = reinterpret_cast<const ip::FragmentHeader*>(bytes + at);
    // A later fragment has no transport header.
    if ((rte_be_to_cpu_16(fragment->offset_be) & ip::kFragmentOffsetMaskV6) != 0) return false;
    protocol = fragment->next_header;
    at += sizeof(ip::FragmentHeader);
    if (at + 8 > quoted_bytes) return false;
  }
  const Address local = Address::v6(quoted->source);
  if (!routing_.is_local(local)) return false;
  // Nobody at that port, or nobody for that protocol: trying again is of no use (RFC 4443 sections
  // 3.1 and 3.4). All others may pass.
  ip::DeliveryError error{ip::DeliveryError::Kind::soft};
  if ((type == kDestinationUnreachableV6 && code == kPortUnreachable) ||
      (type == kParameterProblemV6 && code == ip::kProblemNextHeader))
    error.kind = ip::DeliveryError::Kind::hard;
  if (type == kPacketTooBig) {
    const auto* header =
        rte_pktmbuf_mtod_offset(message.frame, const IcmpHeader*, message.transport_offset_bytes);
    error = {ip::DeliveryError::Kind::too_big,
             static_cast<uint16_t>(std::min<uint32_t>(rte_be_to_cpu_32(header->rest), UINT16_MAX))};
  }
  return listener_.on_icmp_error(protocol, local, Address::v6(quoted->destination),
                                 {bytes + at, quoted_bytes - at}, error);
}

void IcmpV6::send_port_unreachable(const ip::Received& cause) {
  send_error(cause, kDestinationUnreachableV6, kPortUnreachable, 0);
}

void IcmpV6::send_parameter_problem(const ip::Received& cause, uint8_t code, uint32_t pointer_bytes,
                                    bool even_to_group) {
  send_error(cause, kParameterProblemV6, code, rte_cpu_to_be_32(pointer_bytes), even_to_group);
}

void IcmpV6::send_reassembly_timeout(const ip::Received& first) {
  send_error(first, kTimeExceededV6, kReassemblyV6, 0);
}

void IcmpV6::send_error(const ip::Received& cause, uint8_t type, uint8_t code, uint32_t rest,
                        bool even_to_group) {
  // RFC 4443 section 2.4 (e).
  const bool to_group = cause.destination.is_v6_multicast();
  if ((to_group && !even_to_group) || !routing_.is_station(cause.source) ||
      is_error_or_redirect(cause.frame))
    return;
  const Address source = to_group ? output_.source_for(cause.source) : cause.destination;
  if (source == Address{} || !errors_.take(cause.source)) return;
  const uint32_t available =
      cause.transport_offset_bytes - link::kHeaderBytes + cause.transport_bytes;
  // As much as fits into what every link takes (section 2.4 (c)).
  const uint32_t quoted_bytes =
      std::min<uint32_t>(available, kMinMtuV6Bytes - sizeof(ip::Ipv6Header) - sizeof(IcmpHeader));
  rte_mbuf* packet = rte_pktmbuf_alloc(environment_.frame_pool);
  char* start =
      packet == nullptr
          ? nullptr
          : rte_pktmbuf_append(packet, static_cast<uint16_t>(sizeof(IcmpHeader) + quoted_bytes));
  if (start == nullptr) {
    rte_pktmbuf_free(packet);
    return environment_.counters.add(Counter::drop_no_mbuf);
  }
  auto* header = reinterpret_cast<IcmpHeader*>(start);
  *header = {type, code, 0, rest};
  auto* quote = reinterpret_cast<uint8_t*>(header + 1);
  const void* quoted = rte_pktmbuf_read(cause.frame, link::kHeaderBytes, quoted_bytes, quote);
  if (quoted != quote) std::memcpy(quote, quoted, quoted_bytes);
  const ChecksumSum sum =
      checksum_pseudo_header(source, cause.source, ip::kProtocolIcmpV6, packet->pkt_len);
  header->checksum = checksum_finish(checksum_add(sum, start, packet->pkt_len));
  environment_.counters.add(Counter::icmp_errors_tx);
  output_.send(packet, source, cause.source, ip::kProtocolIcmpV6);
}

}  // namespace weir::net::icmp
