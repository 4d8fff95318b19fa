#include "fuzz/packets.h"

#include <algorithm>
#include <cstring>

#include "fuzz/harness.h"
#include "net/checksum.h"

namespace weir::fuzz {
namespace {

constexpr size_t kEthernet = sim::kEthernetBytes;
constexpr size_t kIpv4Bytes = 20, kIpv6Bytes = 40;
constexpr uint8_t kHopByHop = 0, kIcmp = 1, kTcp = 6, kUdp = 17, kIcmpV6 = 58;

void store16(uint8_t* at, uint16_t value) { std::memcpy(at, &value, 2); }
uint16_t get16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

net::Address address_v4(const uint8_t* at) {
  return net::Address::v4(static_cast<uint32_t>(at[0]) << 24 | static_cast<uint32_t>(at[1]) << 16 |
                          static_cast<uint32_t>(at[2]) << 8 | at[3]);
}

Bytes link_header(const Way& way, uint16_t type) {
  Bytes bytes(way.destination_link.begin(), way.destination_link.end());
  bytes.insert(bytes.end(), way.source_link.begin(), way.source_link.end());
  return bytes + number16(type);
}

/// Where the checksum of a transport stands; 0 for those that have none.
size_t checksum_offset(uint8_t protocol) {
  switch (protocol) {
    case kTcp:
      return 16;
    case kUdp:
      return 6;
    case kIcmp:
    case kIcmpV6:
      return 2;
    default:
      return 0;
  }
}

uint16_t transport_checksum(const net::Address& source, const net::Address& destination,
                            uint8_t protocol, std::span<const uint8_t> bytes) {
  const net::ChecksumSum pseudo =
      protocol == kIcmp ? 0
                        : net::checksum_pseudo_header(source, destination, protocol,
                                                      static_cast<uint32_t>(bytes.size()));
  return net::checksum_finish(net::checksum_add(pseudo, bytes.data(), bytes.size()));
}

}  // namespace

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Bytes number16(uint16_t value) {
  return {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
}

Bytes number32(uint32_t value) {
  return number16(static_cast<uint16_t>(value >> 16)) + number16(static_cast<uint16_t>(value));
}

Bytes address_bytes(const net::Address& address) {
  if (address.is_v4()) return number32(address.v4_host_order());
  return {address.bytes.begin(), address.bytes.end()};
}

Bytes ipv4_frame(const Way& way, uint8_t protocol, const Bytes& payload, Ipv4Fields fields) {
  return link_header(way, 0x0800) + Bytes{0x45, 0} +
         number16(static_cast<uint16_t>(kIpv4Bytes + payload.size())) +
         number16(fields.identification) + number16(fields.fragment) + Bytes{64, protocol, 0, 0} +
         number32(way.source.v4_host_order()) + number32(way.destination.v4_host_order()) + payload;
}

Bytes ipv6_frame(const Way& way, uint8_t next_header, const Bytes& payload, uint8_t hop_limit) {
  const auto all = [](const net::Address& address) {
    return Bytes(address.bytes.begin(), address.bytes.end());
  };
  return link_header(way, 0x86dd) + Bytes{0x60, 0, 0, 0} +
         number16(static_cast<uint16_t>(payload.size())) + Bytes{next_header, hop_limit} +
         all(way.source) + all(way.destination) + payload;
}

Bytes ip_frame(const Way& way, uint8_t protocol, const Bytes& payload) {
  return way.source.is_v4() ? ipv4_frame(way, protocol, payload)
                            : ipv6_frame(way, protocol, payload);
}

Bytes arp_frame(const Way& way, uint16_t operation) {
  const auto link = [](const sim::LinkAddress& address) {
    return Bytes(address.begin(), address.end());
  };
  return link_header(way, 0x0806) + Bytes{0, 1, 8, 0, 6, 4} + number16(operation) +
         link(way.source_link) + number32(way.source.v4_host_order()) +
         (operation == 1 ? Bytes(6) : link(way.destination_link)) +
         number32(way.destination.v4_host_order());
}

Bytes udp(uint16_t source_port, uint16_t destination_port, const Bytes& payload) {
  return number16(source_port) + number16(destination_port) +
         number16(static_cast<uint16_t>(8 + payload.size())) + Bytes{0, 0} + payload;
}

Bytes icmp(uint8_t type, uint8_t code, const Bytes& rest) { return Bytes{type, code, 0, 0} + rest; }

Bytes fragment_header(uint8_t next_header, uint16_t offset_bytes, bool more,
                      uint32_t identification) {
  return Bytes{next_header, 0} +
         number16(static_cast<uint16_t>((offset_bytes & 0xfff8) | (more ? 1 : 0))) +
         number32(identification);
}

void repair_checksums(Bytes& frame) {
  if (frame.size() < kEthernet + kIpv4Bytes) return;
  uint8_t* ip = frame.data() + kEthernet;
  const size_t room = frame.size() - kEthernet;
  net::Address source, destination;
  uint8_t protocol = 0;
  size_t header = 0, total = 0;
  if (get16(&frame[12]) == 0x0800) {
    header = (ip[0] & 15u) * 4;
    total = get16(ip + 2);
    if (header < kIpv4Bytes || header > room || total < header || total > room) return;
    store16(ip + 10, 0);
    store16(ip + 10, net::checksum_finish(net::checksum_add(0, ip, header)));
    // The transport checksum of a fragment is over more than is here.
    if ((get16(ip + 6) & 0x3fff) != 0) return;
    protocol = ip[9];
    source = address_v4(ip + 12);
    destination = address_v4(ip + 16);
  } else if (get16(&frame[12]) == 0x86dd && room >= kIpv6Bytes) {
    header = kIpv6Bytes;
    total = kIpv6Bytes + get16(ip + 4);
    if (total > room) return;
    protocol = ip[6];
    if (protocol == kHopByHop && total >= header + 8) {
      protocol = ip[header];
      header += (ip[header + 1] + 1u) * 8;
      if (header > total) return;
    }
    source = net::Address::v6(ip + 8);
    destination = net::Address::v6(ip + 24);
  } else {
    return;
  }
  const size_t bytes = total - header;
  const size_t at = checksum_offset(protocol);
  if (at == 0 || bytes < at + 2) return;
  uint8_t* transport = ip + header;
  store16(transport + at, 0);
  store16(transport + at, transport_checksum(source, destination, protocol, {transport, bytes}));
}

bool read_packet(std::span<const uint8_t> frame, PacketView& packet) {
  if (frame.size() < kEthernet) give_up("a frame without a link header was sent");
  const uint16_t type = get16(&frame[12]);
  const std::span<const uint8_t> ip = frame.subspan(kEthernet);
  if (type == 0x0800) {
    if (ip.size() < kIpv4Bytes || ip[0] != 0x45 || get16(&ip[2]) > ip.size() ||
        get16(&ip[2]) < kIpv4Bytes ||
        net::checksum_finish(net::checksum_add(0, ip.data(), 20)) != 0)
      give_up("a malformed IPv4 header was sent");
    packet = {address_v4(&ip[12]),
              address_v4(&ip[16]),
              ip[8],
              ip[9],
              false,
              ip.subspan(kIpv4Bytes, get16(&ip[2]) - kIpv4Bytes)};
    return true;
  }
  if (type != 0x86dd) return false;
  if (ip.size() < kIpv6Bytes || ip[0] >> 4 != 6 || kIpv6Bytes + get16(&ip[4]) > ip.size())
    give_up("a malformed IPv6 header was sent");
  packet = {net::Address::v6(&ip[8]),
            net::Address::v6(&ip[24]),
            ip[7],
            ip[6],
            false,
            ip.subspan(kIpv6Bytes, get16(&ip[4]))};
  if (packet.protocol == kHopByHop) {
    if (packet.payload.size() < 8 || packet.payload.size() < (packet.payload[1] + 1u) * 8)
      give_up("a malformed hop-by-hop header was sent");
    packet.protocol = packet.payload[0];
    packet.has_hop_by_hop = true;
    packet.payload = packet.payload.subspan((packet.payload[1] + 1u) * 8);
  }
  return true;
}

bool has_right_checksum(const PacketView& packet) {
  return transport_checksum(packet.source, packet.destination, packet.protocol, packet.payload) ==
         0;
}

}  // namespace weir::fuzz
