#pragma once
#include <cstdint>

namespace weir::net::ip {

/// An IPv6 header as it lies in memory (RFC 8200 section 3); fields ending in _be are in network
/// byte order.
struct __attribute__((packed)) Ipv6Header {
  /// Version, traffic class (whose low two bits are ECN's, RFC 3168 section 5) and flow label.
  uint32_t version_class_flow_be;
  uint16_t payload_bytes_be;
  uint8_t next_header;
  uint8_t hop_limit;
  uint8_t source[16];
  uint8_t destination[16];

  uint8_t version() const {
    return static_cast<uint8_t>(__builtin_bswap32(version_class_flow_be) >> 28);
  }
  uint8_t ecn() const { return __builtin_bswap32(version_class_flow_be) >> 20 & 3; }
};
static_assert(sizeof(Ipv6Header) == 40);

/// RFC 8200 section 4.5.
struct __attribute__((packed)) FragmentHeader {
  uint8_t next_header;
  uint8_t reserved;
  /// Offset in units of 8 bytes in the upper 13 bits, "more fragments" in the lowest.
  uint16_t offset_be;
  uint32_t identification_be;
};
static_assert(sizeof(FragmentHeader) == 8);
inline constexpr uint16_t kFragmentOffsetMaskV6 = 0xfff8;
inline constexpr uint16_t kMoreFragmentsV6 = 0x0001;

// Next header values (RFC 8200 section 4.1, RFC 4302, RFC 4303).
inline constexpr uint8_t kNextHopByHop = 0;
inline constexpr uint8_t kNextRouting = 43;
inline constexpr uint8_t kNextFragment = 44;
inline constexpr uint8_t kNextEncapsulatingSecurity = 50;
inline constexpr uint8_t kNextNone = 59;
inline constexpr uint8_t kNextDestination = 60;

// Codes of an ICMPv6 parameter problem (RFC 4443 section 3.4, RFC 7112 section 5).
inline constexpr uint8_t kProblemField = 0;
inline constexpr uint8_t kProblemNextHeader = 1;
inline constexpr uint8_t kProblemOption = 2;
inline constexpr uint8_t kProblemIncompleteChain = 3;

}  // namespace weir::net::ip
