#pragma once
// Frames as the simulator reads and writes them, by code that shares nothing with the stack's own.
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "net/address.h"

namespace weir::sim {

using Frame = std::vector<uint8_t>;
using LinkAddress = std::array<uint8_t, 6>;

inline constexpr uint8_t kFin = 0x01;
inline constexpr uint8_t kSyn = 0x02;
inline constexpr uint8_t kRst = 0x04;
inline constexpr uint8_t kPsh = 0x08;
inline constexpr uint8_t kAck = 0x10;
inline constexpr uint8_t kUrg = 0x20;
inline constexpr uint8_t kEce = 0x40;
inline constexpr uint8_t kCwr = 0x80;

inline constexpr uint32_t kEthernetBytes = 14;

/// RFC 3168 section 5: the codepoints of the ECN field.
inline constexpr uint8_t kNotEct = 0;
inline constexpr uint8_t kCongestionExperienced = 3;

struct Timestamps {
  uint32_t value;
  uint32_t echo;
};
/// RFC 2018 section 3: from the first byte to the one behind the last.
struct SackBlock {
  uint32_t left;
  uint32_t right;
};

/// A TCP segment with the packet around it, numbers in host byte order.
struct Segment {
  LinkAddress source_link{};
  LinkAddress destination_link{};
  net::Address source;
  net::Address destination;
  uint8_t ecn = kNotEct;
  uint8_t hop_limit = 64;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint32_t sequence = 0;
  uint32_t acknowledgement = 0;
  uint8_t flags = 0;
  /// The four bits behind the data offset.
  uint8_t reserved = 0;
  uint16_t window = 0;
  uint16_t urgent = 0;
  std::optional<uint16_t> mss = {};
  std::optional<uint8_t> window_scale = {};
  bool sack_permitted = false;
  std::optional<Timestamps> timestamps = {};
  std::array<SackBlock, 4> sacks{};
  uint32_t sack_count = 0;
  /// Options of other kinds, as they stand in the header; written behind the others.
  std::vector<uint8_t> other_options = {};
  /// Points into the frame that was read, or to what is to be written.
  std::span<const uint8_t> payload = {};

  bool has(uint8_t flag) const { return (flags & flag) != 0; }
  /// What it takes of the sequence space.
  uint32_t length() const { return static_cast<uint32_t>(payload.size()) + has(kSyn) + has(kFin); }
  uint32_t end() const { return sequence + length(); }
};

/// What a frame is, as far as the simulator cares.
enum class FrameKind : uint8_t { tcp, other, malformed };

/// Reads a frame. Headers and options must be whole for `tcp`; padding behind the packet is
/// allowed. Checksums are another matter: see has_right_checksums.
FrameKind parse(std::span<const uint8_t> frame, Segment& segment);

/// Whether the IPv4 header's and the TCP checksum of a frame that parse called tcp are right.
bool has_right_checksums(std::span<const uint8_t> frame);

/// The frame of a segment, checksums included; options are padded with zeros.
Frame encode(const Segment& segment);

/// What a port makes of a long TCP packet: the frames of its pieces, each with up to
/// `segment_bytes` of the payload and checksums of its own. FIN and PSH go with the last one, CWR
/// with the first (RFC 3168 section 6.1.2).
std::vector<Frame> cut(const Segment& segment, uint32_t segment_bytes);

/// A packet of any protocol around `payload`, with the link and IP addresses and the hop limit of
/// `way`. Checksums of ICMP and TCP are written, others are not.
Frame encode_packet(const Segment& way, uint8_t protocol, std::span<const uint8_t> payload);

/// Writes the checksums of a packet anew: those of an IPv4 header, ICMP and TCP.
void write_checksums(Frame& frame);

/// Length of the IP packet in a frame by its own header, bytes; 0 where it is neither IPv4 nor
/// IPv6.
uint32_t packet_bytes(std::span<const uint8_t> frame);

/// What a router says that has a packet too long for its next link: "fragmentation needed" (RFC 792
/// and 1191 section 4) or "packet too big" (RFC 4443 section 3.2), back to the sender. Nothing for
/// a packet that may be fragmented or must not be answered.
std::optional<Frame> too_big_reply(std::span<const uint8_t> frame, const net::Address& router,
                                   uint16_t mtu_bytes);

/// RFC 3168 section 5: an ECN-capable packet is marked; false, and nothing changes, for another.
bool mark_congestion(std::span<uint8_t> frame);

/// One line for people, sequence numbers less those given.
std::string describe(const Segment& segment, uint32_t sequence_base = 0, uint32_t ack_base = 0);

/// Sequence numbers are compared modulo 2^32 (RFC 9293 section 3.4).
inline bool seq_lt(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }
inline bool seq_le(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) <= 0; }
inline uint32_t seq_max(uint32_t a, uint32_t b) { return seq_lt(a, b) ? b : a; }

}  // namespace weir::sim
