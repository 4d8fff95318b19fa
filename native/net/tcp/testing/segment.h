#pragma once
// TCP segments as the tests write and read them: built and taken apart byte by byte, by code that
// shares nothing with what it tests.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <ostream>
#include <span>
#include <vector>

#include "net/testing.h"

namespace weir::net::tcp::testing {

using namespace weir::net::testing;

inline constexpr int kFin = 0x01;
inline constexpr int kSyn = 0x02;
inline constexpr int kRst = 0x04;
inline constexpr int kPsh = 0x08;
inline constexpr int kAck = 0x10;
inline constexpr int kUrg = 0x20;
inline constexpr int kEce = 0x40;
inline constexpr int kCwr = 0x80;

/// RFC 7323 section 3.2.
struct Timestamps {
  uint32_t value;
  uint32_t echo;
};

/// A block of a SACK option (RFC 2018 section 3).
struct SackBlock {
  uint32_t start;
  uint32_t end;
  friend bool operator==(const SackBlock&, const SackBlock&) = default;
};

/// A segment (RFC 9293 section 3.1), numbers in host byte order.
struct Segment {
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint32_t sequence = 0;
  uint32_t acknowledgment = 0;
  uint8_t flags = 0;
  uint16_t window = 0;
  std::optional<uint16_t> mss = {};
  std::optional<uint8_t> window_scale = {};
  std::optional<Timestamps> timestamps = {};
  bool sack_permitted = false;
  std::vector<SackBlock> sacks = {};
  /// Written behind the options above, and padded to a multiple of four with zeros.
  Bytes other_options = {};
  Bytes payload = {};
  /// When it was sent; only of captured segments.
  uint64_t at_us = 0;

  /// Whether these are its flags; PSH may be there or not.
  bool is(int expected) const { return (flags & ~kPsh) == expected; }
  /// SEG.LEN: payload, SYN and FIN.
  uint32_t length() const {
    return static_cast<uint32_t>(payload.size()) + ((flags & kSyn) != 0) + ((flags & kFin) != 0);
  }
  uint32_t end() const { return sequence + length(); }
};

inline std::ostream& operator<<(std::ostream& out, const Segment& segment) {
  const char* names[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
  out << '<';
  for (int bit = 0; bit < 8; bit++)
    if ((segment.flags >> bit & 1) != 0) out << names[bit] << ' ';
  out << "seq " << segment.sequence << " ack " << segment.acknowledgment << " window "
      << segment.window << " payload " << segment.payload.size();
  if (segment.mss) out << " mss " << *segment.mss;
  if (segment.window_scale) out << " scale " << int{*segment.window_scale};
  if (segment.timestamps)
    out << " ts " << segment.timestamps->value << '/' << segment.timestamps->echo;
  for (const SackBlock& sack : segment.sacks) out << " sack " << sack.start << '-' << sack.end;
  return out << " at " << segment.at_us << " us>";
}

/// Writes the checksum of a segment that goes from `source` to `destination`.
inline void set_checksum(Bytes& segment, uint32_t source, uint32_t destination) {
  put16(segment, 16, 0);
  put16(segment, 16,
        plain_checksum(segment, plain_pseudo_sum(source, destination, 6,
                                                 static_cast<uint32_t>(segment.size()))));
}

inline bool has_right_checksum(std::span<const uint8_t> segment, uint32_t source,
                               uint32_t destination) {
  return plain_checksum(segment, plain_pseudo_sum(source, destination, 6,
                                                  static_cast<uint32_t>(segment.size()))) == 0;
}

inline Bytes encode(const Segment& segment, uint32_t source, uint32_t destination) {
  Bytes options;
  if (segment.mss)
    options = options + Bytes{2, 4, static_cast<uint8_t>(*segment.mss >> 8),
                              static_cast<uint8_t>(*segment.mss)};
  if (segment.sack_permitted) options = options + Bytes{1, 1, 4, 2};
  if (segment.window_scale) options = options + Bytes{1, 3, 3, *segment.window_scale};
  if (segment.timestamps) {
    Bytes option = {1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0};
    put32(option, 4, segment.timestamps->value);
    put32(option, 8, segment.timestamps->echo);
    options = options + option;
  }
  if (!segment.sacks.empty()) {
    Bytes option(4 + 8 * segment.sacks.size(), 1);
    option[2] = 5;
    option[3] = static_cast<uint8_t>(option.size() - 2);
    for (size_t i = 0; i < segment.sacks.size(); i++) {
      put32(option, 4 + 8 * i, segment.sacks[i].start);
      put32(option, 8 + 8 * i, segment.sacks[i].end);
    }
    options = options + option;
  }
  options = options + segment.other_options;
  options.resize((options.size() + 3) / 4 * 4);

  Bytes bytes(20);
  put16(bytes, 0, segment.source_port);
  put16(bytes, 2, segment.destination_port);
  put32(bytes, 4, segment.sequence);
  put32(bytes, 8, segment.acknowledgment);
  bytes[12] = static_cast<uint8_t>((20 + options.size()) / 4 << 4);
  bytes[13] = segment.flags;
  put16(bytes, 14, segment.window);
  bytes = bytes + options + segment.payload;
  set_checksum(bytes, source, destination);
  return bytes;
}

/// Nothing where the header or an option is malformed, or an option is of a kind that weir does not
/// send.
inline std::optional<Segment> parse(std::span<const uint8_t> bytes) {
  if (bytes.size() < 20) return std::nullopt;
  const size_t header_bytes = size_t{bytes[12]} >> 4 << 2;
  if (header_bytes < 20 || header_bytes > bytes.size() || (bytes[12] & 15) != 0)
    return std::nullopt;
  Segment segment = {.source_port = get16(bytes, 0),
                     .destination_port = get16(bytes, 2),
                     .sequence = get32(bytes, 4),
                     .acknowledgment = get32(bytes, 8),
                     .flags = bytes[13],
                     .window = get16(bytes, 14)};
  const std::span<const uint8_t> options = bytes.subspan(20, header_bytes - 20);
  for (size_t at = 0; at < options.size();) {
    if (options[at] == 0) break;
    if (options[at] == 1) {
      at++;
      continue;
    }
    if (at + 1 >= options.size() || options[at + 1] < 2 || at + options[at + 1] > options.size())
      return std::nullopt;
    const uint8_t kind = options[at], length = options[at + 1];
    if (kind == 2 && length == 4)
      segment.mss = get16(options, at + 2);
    else if (kind == 3 && length == 3)
      segment.window_scale = options[at + 2];
    else if (kind == 4 && length == 2)
      segment.sack_permitted = true;
    else if (kind == 8 && length == 10)
      segment.timestamps = Timestamps{get32(options, at + 2), get32(options, at + 6)};
    else if (kind == 5 && length >= 10 && (length - 2) % 8 == 0)
      for (size_t block = at + 2; block < at + length; block += 8)
        segment.sacks.push_back({get32(options, block), get32(options, block + 4)});
    else
      return std::nullopt;
    at += length;
  }
  segment.payload.assign(bytes.begin() + header_bytes, bytes.end());
  return segment;
}

}  // namespace weir::net::tcp::testing
