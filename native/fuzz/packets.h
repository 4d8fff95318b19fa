#pragma once
// Packets as the fuzz targets put them together. Checksums are left at 0: Harness::input writes
// those that are right.
#include <cstdint>
#include <span>
#include <vector>

#include "net/address.h"
#include "sim/packet.h"

namespace weir::fuzz {

using Bytes = std::vector<uint8_t>;

Bytes operator+(Bytes left, const Bytes& right);

/// The bytes of a number in network order.
Bytes number16(uint16_t value);
Bytes number32(uint32_t value);
/// An address as it stands in a packet: 4 or 16 bytes.
Bytes address_bytes(const net::Address& address);

/// From where to where a packet goes.
struct Way {
  sim::LinkAddress source_link{};
  sim::LinkAddress destination_link{};
  net::Address source;
  net::Address destination;
};

/// What else the header of an IPv4 packet says (RFC 791 section 3.1).
struct Ipv4Fields {
  uint16_t identification = 0x0102;
  /// Flags and offset in units of 8 bytes.
  uint16_t fragment = 0;
};

/// A frame with an IPv4 packet.
Bytes ipv4_frame(const Way& way, uint8_t protocol, const Bytes& payload, Ipv4Fields fields = {});
/// A frame with an IPv6 packet.
Bytes ipv6_frame(const Way& way, uint8_t next_header, const Bytes& payload, uint8_t hop_limit = 64);
/// Of the family of the source.
Bytes ip_frame(const Way& way, uint8_t protocol, const Bytes& payload);
/// An ARP packet (RFC 826): 1 asks, 2 answers.
Bytes arp_frame(const Way& way, uint16_t operation);
/// A UDP header and what follows.
Bytes udp(uint16_t source_port, uint16_t destination_port, const Bytes& payload);
/// A message of ICMP or ICMPv6: type, code, and everything behind the checksum.
Bytes icmp(uint8_t type, uint8_t code, const Bytes& rest);
/// A fragment header of IPv6 (RFC 8200 section 4.5).
Bytes fragment_header(uint8_t next_header, uint16_t offset_bytes, bool more,
                      uint32_t identification);

/// Writes the checksums that would be right, as far as headers are where they should be.
void repair_checksums(Bytes& frame);

/// An IP packet in a frame that a stack has sent. Its lengths have been compared with the frame.
struct PacketView {
  net::Address source;
  net::Address destination;
  uint8_t hop_limit = 0;
  /// What stands behind a hop-by-hop header, if there is one, else behind the IP header.
  uint8_t protocol = 0;
  bool has_hop_by_hop = false;
  std::span<const uint8_t> payload;
};

/// False if the frame holds no IP packet; gives up on one that is malformed.
bool read_packet(std::span<const uint8_t> frame, PacketView& packet);
/// Whether the checksum of a UDP, ICMP or ICMPv6 packet is right.
bool has_right_checksum(const PacketView& packet);

}  // namespace weir::fuzz
