#pragma once
#include <cstdint>

namespace weir::net::ip {

/// An IPv4 header as it lies in memory (RFC 791 section 3.1); fields ending in _be are in network
/// byte order.
struct __attribute__((packed)) Ipv4Header {
  uint8_t version_and_length;
  uint8_t type_of_service;
  uint16_t total_bytes_be;
  uint16_t identification_be;
  uint16_t fragment_be;
  uint8_t time_to_live;
  uint8_t protocol;
  uint16_t checksum;
  uint32_t source_be;
  uint32_t destination_be;

  uint8_t version() const { return version_and_length >> 4; }
  uint8_t header_bytes() const { return static_cast<uint8_t>((version_and_length & 0x0f) * 4); }
};
static_assert(sizeof(Ipv4Header) == 20);

inline constexpr uint8_t kIpv4VersionAndLength = 0x45;
inline constexpr uint16_t kDontFragment = 0x4000;
inline constexpr uint16_t kMoreFragments = 0x2000;
inline constexpr uint16_t kFragmentOffsetMask = 0x1fff;
/// RFC 1700 page 64; hosts use the same value for IPv6.
inline constexpr uint8_t kDefaultHopLimit = 64;

}  // namespace weir::net::ip
