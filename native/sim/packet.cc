#include "sim/packet.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace weir::sim {
namespace {

constexpr uint16_t kTypeIpv4 = 0x0800;
constexpr uint16_t kTypeIpv6 = 0x86dd;
constexpr uint8_t kProtocolIcmp = 1;
constexpr uint8_t kProtocolTcp = 6;
constexpr uint8_t kProtocolIcmpv6 = 58;
constexpr uint32_t kIpv4Bytes = 20;
constexpr uint32_t kIpv6Bytes = 40;
constexpr uint32_t kTcpBytes = 20;

uint16_t get16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }
uint32_t get32(const uint8_t* at) { return uint32_t{get16(at)} << 16 | get16(at + 2); }
void put16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
void put32(uint8_t* at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

/// RFC 1071, two bytes at a time.
class Checksum {
 public:
  Checksum& add(std::span<const uint8_t> bytes) {
    size_t i = 0;
    for (; i + 1 < bytes.size(); i += 2) sum_ += get16(bytes.data() + i);
    if (i < bytes.size()) sum_ += uint32_t{bytes[i]} << 8;
    return *this;
  }
  Checksum& add(uint32_t value) {
    sum_ += (value >> 16) + (value & 0xffff);
    return *this;
  }
  uint16_t finish() const {
    uint64_t sum = sum_;
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
  }

 private:
  uint64_t sum_ = 0;
};

std::span<const uint8_t> address_bytes(const net::Address& address) {
  return address.is_v4() ? std::span(address.bytes).last(4) : std::span(address.bytes);
}

Checksum pseudo_header(const net::Address& source, const net::Address& destination,
                       uint8_t protocol, size_t bytes) {
  Checksum sum;
  sum.add(address_bytes(source)).add(address_bytes(destination));
  sum.add(uint32_t{protocol}).add(static_cast<uint32_t>(bytes));
  return sum;
}

/// Where the transport header of a frame stands.
struct Transport {
  net::Address source, destination;
  uint8_t protocol;
  uint8_t ecn;
  uint8_t hop_limit;
  uint32_t offset_bytes;
  uint32_t length_bytes;
};

/// False where there is no whole packet with a header of the usual kind.
bool find_transport(std::span<const uint8_t> frame, Transport& found) {
  if (frame.size() < kEthernetBytes) return false;
  const uint16_t type = get16(frame.data() + 12);
  const uint8_t* ip = frame.data() + kEthernetBytes;
  const size_t room = frame.size() - kEthernetBytes;
  if (type == kTypeIpv4) {
    if (room < kIpv4Bytes || ip[0] >> 4 != 4) return false;
    const uint32_t header = (ip[0] & 15u) * 4;
    const uint32_t total = get16(ip + 2);
    // A fragment other than a whole packet.
    if (header < kIpv4Bytes || total < header || total > room || (get16(ip + 6) & 0x3fff) != 0)
      return false;
    found = {net::Address::v4(get32(ip + 12)),
             net::Address::v4(get32(ip + 16)),
             ip[9],
             static_cast<uint8_t>(ip[1] & 3),
             ip[8],
             kEthernetBytes + header,
             total - header};
    return true;
  }
  if (type == kTypeIpv6) {
    if (room < kIpv6Bytes || ip[0] >> 4 != 6) return false;
    const uint32_t payload = get16(ip + 4);
    if (payload + kIpv6Bytes > room) return false;
    found.protocol = ip[6];
    found.hop_limit = ip[7];
    found.ecn = static_cast<uint8_t>(ip[1] >> 4 & 3);
    std::memcpy(found.source.bytes.data(), ip + 8, 16);
    std::memcpy(found.destination.bytes.data(), ip + 24, 16);
    found.offset_bytes = kEthernetBytes + kIpv6Bytes;
    found.length_bytes = payload;
    return true;
  }
  return false;
}

bool parse_options(std::span<const uint8_t> options, Segment& segment) {
  for (size_t at = 0; at < options.size();) {
    const uint8_t kind = options[at];
    if (kind == 0) break;
    if (kind == 1) {
      at++;
      continue;
    }
    if (at + 1 >= options.size() || options[at + 1] < 2 || at + options[at + 1] > options.size())
      return false;
    const uint8_t length = options[at + 1];
    const uint8_t* value = options.data() + at + 2;
    if (kind == 2 && length == 4) {
      segment.mss = get16(value);
    } else if (kind == 3 && length == 3) {
      segment.window_scale = value[0];
    } else if (kind == 4 && length == 2) {
      segment.sack_permitted = true;
    } else if (kind == 5 && length >= 10 && length <= 34 && length % 8 == 2) {
      segment.sack_count = (length - 2) / 8;
      for (uint32_t i = 0; i < segment.sack_count; i++)
        segment.sacks[i] = {get32(value + 8 * i), get32(value + 8 * i + 4)};
    } else if (kind == 8 && length == 10) {
      segment.timestamps = Timestamps{get32(value), get32(value + 4)};
    } else {
      segment.other_options.insert(segment.other_options.end(), value - 2, value - 2 + length);
    }
    at += length;
  }
  return true;
}

/// Writes Ethernet and IP headers for `transport_bytes` to come; returns the frame, and where they
/// begin.
Frame begin_frame(const LinkAddress& source_link, const LinkAddress& destination_link,
                  const net::Address& source, const net::Address& destination, uint8_t protocol,
                  uint8_t ecn, uint8_t hop_limit, size_t transport_bytes, size_t& offset) {
  const bool v4 = source.is_v4();
  offset = kEthernetBytes + (v4 ? kIpv4Bytes : kIpv6Bytes);
  Frame frame(offset + transport_bytes);
  std::copy(destination_link.begin(), destination_link.end(), frame.begin());
  std::copy(source_link.begin(), source_link.end(), frame.begin() + 6);
  put16(frame.data() + 12, v4 ? kTypeIpv4 : kTypeIpv6);
  uint8_t* ip = frame.data() + kEthernetBytes;
  if (v4) {
    ip[0] = 0x45;
    ip[1] = ecn;
    put16(ip + 2, static_cast<uint32_t>(kIpv4Bytes + transport_bytes));
    put16(ip + 6, 0x4000);  // don't fragment
    ip[8] = hop_limit;
    ip[9] = protocol;
    put32(ip + 12, source.v4_host_order());
    put32(ip + 16, destination.v4_host_order());
    put16(ip + 10, Checksum().add({ip, kIpv4Bytes}).finish());
  } else {
    ip[0] = 0x60;
    ip[1] = static_cast<uint8_t>(ecn << 4);
    put16(ip + 4, static_cast<uint32_t>(transport_bytes));
    ip[6] = protocol;
    ip[7] = hop_limit;
    std::copy(source.bytes.begin(), source.bytes.end(), ip + 8);
    std::copy(destination.bytes.begin(), destination.bytes.end(), ip + 24);
  }
  return frame;
}

Frame encode_options(const Segment& segment) {
  Frame options;
  const auto add = [&](std::initializer_list<uint32_t> bytes) {
    for (const uint32_t byte : bytes) options.push_back(static_cast<uint8_t>(byte));
  };
  const auto add32 = [&](uint32_t value) { add({value >> 24, value >> 16, value >> 8, value}); };
  if (segment.mss) add({2, 4, uint32_t{*segment.mss} >> 8, *segment.mss});
  if (segment.sack_permitted) add({1, 1, 4, 2});
  if (segment.window_scale) add({1, 3, 3, *segment.window_scale});
  if (segment.timestamps) {
    add({1, 1, 8, 10});
    add32(segment.timestamps->value);
    add32(segment.timestamps->echo);
  }
  if (segment.sack_count != 0) {
    add({1, 1, 5, 2 + 8 * segment.sack_count});
    for (uint32_t i = 0; i < segment.sack_count; i++) {
      add32(segment.sacks[i].left);
      add32(segment.sacks[i].right);
    }
  }
  options.insert(options.end(), segment.other_options.begin(), segment.other_options.end());
  options.resize((options.size() + 3) / 4 * 4);
  return options;
}

}  // namespace

FrameKind parse(std::span<const uint8_t> frame, Segment& segment) {
  Transport transport;
  if (!find_transport(frame, transport) || transport.protocol != kProtocolTcp)
    return FrameKind::other;
  const uint8_t* at = frame.data() + transport.offset_bytes;
  if (transport.length_bytes < kTcpBytes) return FrameKind::malformed;
  const uint32_t header = (at[12] >> 4) * 4u;
  if (header < kTcpBytes || header > transport.length_bytes) return FrameKind::malformed;
  segment = {};
  std::copy_n(frame.data(), 6, segment.destination_link.begin());
  std::copy_n(frame.data() + 6, 6, segment.source_link.begin());
  segment.source = transport.source;
  segment.destination = transport.destination;
  segment.ecn = transport.ecn;
  segment.hop_limit = transport.hop_limit;
  segment.source_port = get16(at);
  segment.destination_port = get16(at + 2);
  segment.sequence = get32(at + 4);
  segment.acknowledgement = get32(at + 8);
  segment.reserved = at[12] & 15;
  segment.flags = at[13];
  segment.window = get16(at + 14);
  segment.urgent = get16(at + 18);
  segment.payload = {at + header, transport.length_bytes - header};
  return parse_options({at + kTcpBytes, header - kTcpBytes}, segment) ? FrameKind::tcp
                                                                      : FrameKind::malformed;
}

bool has_right_checksums(std::span<const uint8_t> frame) {
  Transport transport;
  if (!find_transport(frame, transport)) return false;
  if (transport.source.is_v4() &&
      Checksum()
              .add(frame.subspan(kEthernetBytes, transport.offset_bytes - kEthernetBytes))
              .finish() != 0)
    return false;
  Checksum sum = pseudo_header(transport.source, transport.destination, transport.protocol,
                               transport.length_bytes);
  return sum.add(frame.subspan(transport.offset_bytes, transport.length_bytes)).finish() == 0;
}

Frame encode(const Segment& segment) {
  const Frame options = encode_options(segment);
  const size_t bytes = kTcpBytes + options.size() + segment.payload.size();
  size_t offset = 0;
  Frame frame =
      begin_frame(segment.source_link, segment.destination_link, segment.source,
                  segment.destination, kProtocolTcp, segment.ecn, segment.hop_limit, bytes, offset);
  uint8_t* at = frame.data() + offset;
  put16(at, segment.source_port);
  put16(at + 2, segment.destination_port);
  put32(at + 4, segment.sequence);
  put32(at + 8, segment.acknowledgement);
  at[12] = static_cast<uint8_t>((kTcpBytes + options.size()) / 4 << 4 | segment.reserved);
  at[13] = segment.flags;
  put16(at + 14, segment.window);
  put16(at + 18, segment.urgent);
  std::copy(options.begin(), options.end(), at + kTcpBytes);
  std::copy(segment.payload.begin(), segment.payload.end(), at + kTcpBytes + options.size());
  Checksum sum = pseudo_header(segment.source, segment.destination, kProtocolTcp, bytes);
  put16(at + 16, sum.add({at, bytes}).finish());
  return frame;
}

std::vector<Frame> cut(const Segment& segment, uint32_t segment_bytes) {
  std::vector<Frame> frames;
  size_t at = 0;
  do {
    Segment piece = segment;
    piece.payload =
        segment.payload.subspan(at, std::min<size_t>(segment_bytes, segment.payload.size() - at));
    piece.sequence += static_cast<uint32_t>(at);
    if (at != 0) piece.flags &= static_cast<uint8_t>(~kCwr);
    at += piece.payload.size();
    if (at != segment.payload.size()) piece.flags &= static_cast<uint8_t>(~(kFin | kPsh));
    frames.push_back(encode(piece));
  } while (at != segment.payload.size());
  return frames;
}

Frame encode_packet(const Segment& way, uint8_t protocol, std::span<const uint8_t> payload) {
  size_t offset = 0;
  Frame frame = begin_frame(way.source_link, way.destination_link, way.source, way.destination,
                            protocol, way.ecn, way.hop_limit, payload.size(), offset);
  std::copy(payload.begin(), payload.end(), frame.begin() + static_cast<ptrdiff_t>(offset));
  write_checksums(frame);
  return frame;
}

void write_checksums(Frame& frame) {
  uint8_t* ip = frame.data() + kEthernetBytes;
  if (frame.size() >= kEthernetBytes + kIpv4Bytes && get16(frame.data() + 12) == kTypeIpv4) {
    put16(ip + 10, 0);
    put16(ip + 10, Checksum().add({ip, (ip[0] & 15u) * 4}).finish());
  }
  Transport transport;
  if (!find_transport(frame, transport)) return;
  const uint8_t protocol = transport.protocol;
  const bool has_pseudo_header = protocol == kProtocolTcp || protocol == kProtocolIcmpv6;
  if (!has_pseudo_header && protocol != kProtocolIcmp) return;
  uint8_t* at = frame.data() + transport.offset_bytes;
  const uint32_t place = protocol == kProtocolTcp ? 16 : 2;
  if (transport.length_bytes < place + 2) return;
  put16(at + place, 0);
  Checksum sum = has_pseudo_header ? pseudo_header(transport.source, transport.destination,
                                                   protocol, transport.length_bytes)
                                   : Checksum();
  put16(at + place, sum.add({at, transport.length_bytes}).finish());
}

uint32_t packet_bytes(std::span<const uint8_t> frame) {
  if (frame.size() < kEthernetBytes + kIpv4Bytes) return 0;
  const uint8_t* ip = frame.data() + kEthernetBytes;
  const uint16_t type = get16(frame.data() + 12);
  if (type == kTypeIpv4) return get16(ip + 2);
  return type == kTypeIpv6 ? kIpv6Bytes + get16(ip + 4) : 0;
}

std::optional<Frame> too_big_reply(std::span<const uint8_t> frame, const net::Address& router,
                                   uint16_t mtu_bytes) {
  Transport transport;
  if (!find_transport(frame, transport)) return std::nullopt;
  const uint8_t* ip = frame.data() + kEthernetBytes;
  const bool v4 = transport.source.is_v4();
  if (v4 && (get16(ip + 6) & 0x4000) == 0) return std::nullopt;
  // No error about an error (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)).
  if (transport.protocol == (v4 ? kProtocolIcmp : kProtocolIcmpv6)) return std::nullopt;
  // RFC 792: the header and 8 bytes; RFC 4443: as much as fits into the least MTU.
  const uint32_t header = transport.offset_bytes - kEthernetBytes;
  const size_t quoted = v4 ? std::min<size_t>(header + 8, frame.size() - kEthernetBytes)
                           : std::min<size_t>(1280 - kIpv6Bytes - 8, packet_bytes(frame));
  LinkAddress source_link, destination_link;
  std::copy_n(frame.data(), 6, source_link.begin());
  std::copy_n(frame.data() + 6, 6, destination_link.begin());
  size_t offset = 0;
  Frame reply = begin_frame(source_link, destination_link, router, transport.source,
                            v4 ? kProtocolIcmp : kProtocolIcmpv6, kNotEct, 64, 8 + quoted, offset);
  uint8_t* at = reply.data() + offset;
  at[0] = v4 ? 3 : 2;
  at[1] = v4 ? 4 : 0;
  put32(at + 4, mtu_bytes);
  std::copy_n(ip, quoted, at + 8);
  Checksum sum =
      v4 ? Checksum() : pseudo_header(router, transport.source, kProtocolIcmpv6, 8 + quoted);
  put16(at + 2, sum.add({at, 8 + quoted}).finish());
  return reply;
}

bool mark_congestion(std::span<uint8_t> frame) {
  Transport transport;
  if (!find_transport(frame, transport) || transport.ecn == kNotEct) return false;
  uint8_t* ip = frame.data() + kEthernetBytes;
  if (transport.source.is_v4()) {
    ip[1] |= kCongestionExperienced;
    put16(ip + 10, 0);
    put16(ip + 10, Checksum().add({ip, (ip[0] & 15u) * 4}).finish());
  } else {
    ip[1] |= kCongestionExperienced << 4;
  }
  return true;
}

std::string describe(const Segment& segment, uint32_t sequence_base, uint32_t ack_base) {
  static constexpr char kLetters[] = "FSRPAUEC";
  std::string text;
  for (int bit = 0; bit < 8; bit++)
    if ((segment.flags >> bit & 1) != 0) text += kLetters[bit];
  if (text.empty()) text = "-";
  char numbers[160];
  std::snprintf(numbers, sizeof numbers, " %u > %u seq %u:%u(%zu) ack %u win %u",
                segment.source_port, segment.destination_port, segment.sequence - sequence_base,
                segment.end() - sequence_base, segment.payload.size(),
                segment.acknowledgement - ack_base, segment.window);
  text += numbers;
  if (segment.mss) text += " mss " + std::to_string(*segment.mss);
  if (segment.window_scale) text += " wscale " + std::to_string(*segment.window_scale);
  if (segment.sack_permitted) text += " sackOK";
  if (segment.timestamps)
    text += " ts " + std::to_string(segment.timestamps->value) + "/" +
            std::to_string(segment.timestamps->echo);
  for (uint32_t i = 0; i < segment.sack_count; i++)
    text += " sack " + std::to_string(segment.sacks[i].left - ack_base) + ":" +
            std::to_string(segment.sacks[i].right - ack_base);
  return text;
}

}  // namespace weir::sim
