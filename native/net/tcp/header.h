#pragma once
#include <cstdint>

namespace weir::net::tcp {

inline constexpr uint8_t kFin = 0x01;
inline constexpr uint8_t kSyn = 0x02;
inline constexpr uint8_t kRst = 0x04;
inline constexpr uint8_t kPsh = 0x08;
inline constexpr uint8_t kAck = 0x10;
inline constexpr uint8_t kUrg = 0x20;
/// RFC 3168 section 6.1.
inline constexpr uint8_t kEce = 0x40;
inline constexpr uint8_t kCwr = 0x80;

/// The TCP header as it lies in a packet (RFC 9293 section 3.1), network byte order. Packed:
/// packets are not aligned.
struct __attribute__((packed)) Header {
  uint16_t source_port_be;
  uint16_t destination_port_be;
  uint32_t sequence_be;
  uint32_t acknowledgement_be;
  /// Upper four bits: header length in words.
  uint8_t data_offset;
  uint8_t flags;
  uint16_t window_be;
  uint16_t checksum;
  uint16_t urgent_be;
};
static_assert(sizeof(Header) == 20);

inline constexpr uint32_t kMaxHeaderBytes = 60;
/// Timestamps with two bytes of padding (RFC 7323 appendix A).
inline constexpr uint32_t kTimestampOptionBytes = 12;

}  // namespace weir::net::tcp
