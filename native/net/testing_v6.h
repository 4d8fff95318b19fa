#pragma once
// IPv6 packets built byte by byte, for the tests of all layers.
#include "net/testing.h"

namespace weir::net::testing {

/// fd44::1 is ours, fd44::2 the peer's, fd44::fe the gateway's.
inline constexpr Address kOwn6 = Address::v6(0xfd44, 0, 0, 0, 0, 0, 0, 1);
inline constexpr Address kPeer6 = Address::v6(0xfd44, 0, 0, 0, 0, 0, 0, 2);
inline constexpr Address kFar6 = Address::v6(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5);
/// Of kOwnLink and kPeerLink.
inline constexpr Address kOwnLocal6 = Address::v6(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);
inline constexpr Address kPeerLocal6 = Address::v6(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 2);
inline constexpr uint16_t kTypeV6 = link::kTypeIpv6;

struct Ipv6 {
  uint8_t protocol = 17;
  Address source = kPeer6;
  Address destination = kOwn6;
  uint8_t hop_limit = 64;
};

inline Bytes ipv6(std::span<const uint8_t> payload, const Ipv6& fields = {}) {
  Bytes packet(8);
  packet[0] = 0x60;
  put16(packet, 4, static_cast<uint16_t>(payload.size()));
  packet[6] = fields.protocol;
  packet[7] = fields.hop_limit;
  return packet + fields.source.bytes + fields.destination.bytes + payload;
}

inline uint32_t plain_pseudo_sum(const Address& source, const Address& destination,
                                 uint8_t protocol, size_t length) {
  Bytes pseudo(8);
  put32(pseudo, 0, static_cast<uint32_t>(length));
  pseudo[7] = protocol;
  pseudo = pseudo + source.bytes + destination.bytes;
  return static_cast<uint16_t>(~plain_checksum(pseudo));
}

inline Bytes udp6(std::span<const uint8_t> payload, uint16_t destination_port, uint16_t source_port,
                  const Ipv6& ip = {}) {
  Bytes datagram(8);
  put16(datagram, 0, source_port);
  put16(datagram, 2, destination_port);
  put16(datagram, 4, static_cast<uint16_t>(8 + payload.size()));
  datagram = datagram + payload;
  const uint16_t checksum =
      plain_checksum(datagram, plain_pseudo_sum(ip.source, ip.destination, 17, datagram.size()));
  put16(datagram, 6, checksum == 0 ? 0xffff : checksum);
  return datagram;
}

/// A message of ICMPv6 with its checksum; `rest` is the second word.
inline Bytes icmp6(uint8_t type, uint8_t code, uint32_t rest, std::span<const uint8_t> payload,
                   const Ipv6& ip = {}) {
  Bytes message(8);
  message[0] = type;
  message[1] = code;
  put32(message, 4, rest);
  message = message + payload;
  put16(message, 2,
        plain_checksum(message, plain_pseudo_sum(ip.source, ip.destination, 58, message.size())));
  return message;
}

/// The whole packet of an ICMPv6 message.
inline Bytes icmp6_packet(uint8_t type, uint8_t code, uint32_t rest,
                          std::span<const uint8_t> payload, Ipv6 ip = {}) {
  ip.protocol = 58;
  return ipv6(icmp6(type, code, rest, payload, ip), ip);
}

/// An option of Neighbor Discovery with a link address.
inline Bytes link_option(uint8_t type, const LinkAddress& address) {
  return Bytes{type, 1} + address;
}

inline Bytes fragment6(uint8_t next, uint32_t offset_bytes, bool more, uint32_t identification,
                       std::span<const uint8_t> payload) {
  Bytes header(8);
  header[0] = next;
  put16(header, 2, static_cast<uint16_t>(offset_bytes | (more ? 1 : 0)));
  put32(header, 4, identification);
  return header + payload;
}

inline LinkAddress group_link(const Address& group) {
  return {0x33, 0x33, group.bytes[12], group.bytes[13], group.bytes[14], group.bytes[15]};
}

/// The solicited-node group of kOwn6 and of its link-local address.
inline constexpr Address kOwnGroup6 = Address::v6(0xff02, 0, 0, 0, 0, 1, 0xff00, 1);

}  // namespace weir::net::testing
