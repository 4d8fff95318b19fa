#include "net/icmp/icmp.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include <algorithm>

#include "net/checksum.h"
#include "net/icmp/icmp_header.h"
#include "net/ip/ipv4_header.h"
#include "net/link/ethernet.h"
#include "net/packet_bytes.h"

namespace weir::net::icmp {

namespace {

constexpr uint8_t kEchoReply = 0;
constexpr uint8_t kDestinationUnreachable = 3;
constexpr uint8_t kFragmentationNeeded = 4;
constexpr uint8_t kEchoRequest = 8;
constexpr uint8_t kTimeExceeded = 11;
constexpr uint8_t kParameterProblem = 12;

/// An error is not longer than this (RFC 1812 section 4.3.2.3).
constexpr uint32_t kLongestErrorBytes = 576;
/// Code of time exceeded (RFC 792).
constexpr uint8_t kReassembly = 1;

/// RFC 1191 section 7.1: what links are known to take. A router that does not say what the next one
/// takes is believed to mean the next step below the packet that was too long for it.
constexpr uint16_t kPlateausBytes[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68};

uint16_t plateau_below(uint16_t packet_bytes) {
  for (const uint16_t plateau : kPlateausBytes)
    if (plateau < packet_bytes) return plateau;
  return 0;
}

/// A type and code as the 16-bit word that the checksum sums up.
uint16_t type_word(uint8_t type, uint8_t code) {
  return rte_cpu_to_be_16(static_cast<uint16_t>(type << 8 | code));
}

}  // namespace

Icmp::Icmp(const Clock& clock, const Environment& environment, const ip::Routing& routing,
           ip::Output& output, ErrorListener& listener)
    : environment_(environment),
      routing_(routing),
      output_(output),
      listener_(listener),
      errors_(clock, environment) {}

void Icmp::input(const ip::Received& message) {
  rte_mbuf* frame = message.frame;
  const auto drop = [&](Counter reason) {
    environment_.counters.add(reason);
    rte_pktmbuf_free(frame);
  };
  environment_.counters.add(Counter::icmp_rx);
  if (message.transport_bytes < sizeof(IcmpHeader)) return drop(Counter::drop_icmp_malformed);
  if (checksum_finish(checksum_add_packet(0, frame, message.transport_offset_bytes,
                                          message.transport_bytes)) != 0)
    return drop(Counter::drop_icmp_checksum);
  const auto header =
      *rte_pktmbuf_mtod_offset(frame, const IcmpHeader*, message.transport_offset_bytes);
  switch (header.type) {
    case kEchoRequest:
      return answer_echo(message);
    case kDestinationUnreachable:
    case kTimeExceeded:
    case kParameterProblem:
      environment_.counters.add(Counter::icmp_errors_rx);
      if (!process_error(message, header.type, header.code))
        environment_.counters.add(Counter::drop_icmp_unknown);
      rte_pktmbuf_free(frame);
      return;
    default:
      // Of the rest, redirects are not for a host with one gateway, source quench is dead (RFC
      // 6633), and the other queries are obsolete (RFC 6918). Unknown types are discarded in
      // silence (RFC 1122 section 3.2.2).
      return drop(Counter::drop_icmp_unknown);
  }
}

/// The reply is the request with its type changed (RFC 1122 section 3.2.2.6), in the buffer it came
/// in.
void Icmp::answer_echo(const ip::Received& message) {
  rte_mbuf* packet = message.frame;
  if (!is_head_writable(packet)) {
    packet = rte_pktmbuf_copy(message.frame, environment_.frame_pool, 0, UINT32_MAX);
    rte_pktmbuf_free(message.frame);
    if (packet == nullptr) {
      environment_.counters.add(Counter::drop_no_mbuf);
      return;
    }
  }
  rte_pktmbuf_adj(packet, message.transport_offset_bytes);
  packet->ol_flags &= ~(RTE_MBUF_F_RX_L4_CKSUM_MASK | RTE_MBUF_F_RX_IP_CKSUM_MASK);
  auto* header = rte_pktmbuf_mtod(packet, IcmpHeader*);
  header->checksum = checksum_update(header->checksum, type_word(kEchoRequest, header->code),
                                     type_word(kEchoReply, 0));
  header->type = kEchoReply;
  header->code = 0;
  environment_.counters.add(Counter::icmp_echo_replies);
  output_.send(packet, message.destination, message.source, ip::kProtocolIcmp,
               {.may_fragment = true});
}

/// Finds out which flow an error is about. False if it is none of ours.
bool Icmp::process_error(const ip::Received& message, uint8_t type, uint8_t code) {
  const uint32_t offset = message.transport_offset_bytes + sizeof(IcmpHeader);
  const uint32_t quoted_bytes = message.transport_bytes - sizeof(IcmpHeader);
  // Two IP headers and 8 bytes behind each: the longest that is looked at.
  uint8_t copy[68];
  const uint32_t copied = std::min<uint32_t>(quoted_bytes, sizeof copy);
  if (copied < sizeof(ip::Ipv4Header) + 8) return false;
  const auto* bytes =
      static_cast<const uint8_t*>(rte_pktmbuf_read(message.frame, offset, copied, copy));
  const auto* quoted = reinterpret_cast<const ip::Ipv4Header*>(bytes);
  const uint32_t header_bytes = quoted->header_bytes();
  if (quoted->version() != 4 || header_bytes < sizeof(ip::Ipv4Header) || header_bytes + 8 > copied)
    return false;
  // What we sent had our address, and was no fragment (a later fragment would have no transport
  // header).
  if ((rte_be_to_cpu_16(quoted->fragment_be) & ip::kFragmentOffsetMask) != 0) return false;
  const Address local = Address::v4(rte_be_to_cpu_32(quoted->source_be));
  if (!routing_.is_local(local)) return false;
  // Protocol and port unreachable are hard, all others may pass (RFC 1122 sections 3.2.2.1
  // and 4.2.3.9).
  ip::DeliveryError error{ip::DeliveryError::Kind::soft};
  if (type == kDestinationUnreachable && (code == static_cast<uint8_t>(Unreachable::protocol) ||
                                          code == static_cast<uint8_t>(Unreachable::port)))
    error.kind = ip::DeliveryError::Kind::hard;
  if (type == kDestinationUnreachable && code == kFragmentationNeeded) {
    // RFC 1191 section 4: the low half of the second word is the next hop's MTU.
    const auto* header =
        rte_pktmbuf_mtod_offset(message.frame, const IcmpHeader*, message.transport_offset_bytes);
    error = {ip::DeliveryError::Kind::too_big,
             static_cast<uint16_t>(rte_be_to_cpu_32(header->rest))};
    if (error.mtu_bytes == 0)
      error.mtu_bytes = plateau_below(rte_be_to_cpu_16(quoted->total_bytes_be));
  }
  return listener_.on_icmp_error(quoted->protocol, local,
                                 Address::v4(rte_be_to_cpu_32(quoted->destination_be)),
                                 {bytes + header_bytes, copied - header_bytes}, error);
}

void Icmp::send_unreachable(const ip::Received& cause, Unreachable code) {
  send_error(cause, kDestinationUnreachable, static_cast<uint8_t>(code));
}

void Icmp::send_reassembly_timeout(const ip::Received& first) {
  // A fragment of an ICMP error may be among those that waited (RFC 1122 section 3.2.2).
  const auto* quoted =
      rte_pktmbuf_mtod_offset(first.frame, const ip::Ipv4Header*, link::kHeaderBytes);
  if (quoted->protocol == ip::kProtocolIcmp || !routing_.is_local(first.destination)) return;
  send_error(first, kTimeExceeded, kReassembly);
}

void Icmp::send_error(const ip::Received& cause, uint8_t type, uint8_t code) {
  // RFC 1122 section 3.2.2 forbids errors about ICMP errors, about packets to a broadcast or
  // multicast address of IP or link, about later fragments and from no single station. The last
  // three have not come this far (ip/input.cc), the first is not UDP nor unknown.
  if (!errors_.take(cause.source)) return;
  const uint32_t available =
      cause.transport_offset_bytes - link::kHeaderBytes + cause.transport_bytes;
  const uint32_t quoted_bytes = std::min<uint32_t>(
      available, kLongestErrorBytes - sizeof(ip::Ipv4Header) - sizeof(IcmpHeader));
  rte_mbuf* packet = rte_pktmbuf_alloc(environment_.frame_pool);
  char* start =
      packet == nullptr ? nullptr : rte_pktmbuf_append(packet, sizeof(IcmpHeader) + quoted_bytes);
  if (start == nullptr) {
    rte_pktmbuf_free(packet);
    environment_.counters.add(Counter::drop_no_mbuf);
    return;
  }
  auto* header = reinterpret_cast<IcmpHeader*>(start);
  *header = {type, code, 0, 0};
  uint8_t* quote = reinterpret_cast<uint8_t*>(header + 1);
  const void* quoted = rte_pktmbuf_read(cause.frame, link::kHeaderBytes, quoted_bytes, quote);
  if (quoted != quote) std::memcpy(quote, quoted, quoted_bytes);
  header->checksum = checksum_finish(checksum_add(0, header, sizeof(IcmpHeader) + quoted_bytes));
  environment_.counters.add(Counter::icmp_errors_tx);
  output_.send(packet, cause.destination, cause.source, ip::kProtocolIcmp);
}

}  // namespace weir::net::icmp
