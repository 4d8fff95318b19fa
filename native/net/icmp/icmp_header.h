#pragma once
#include <cstdint>

namespace weir::net::icmp {

/// The first 8 bytes of a message as they lie in memory (RFC 792, RFC 4443 section 2.1); `rest`
/// depends on the type.
struct __attribute__((packed)) IcmpHeader {
  uint8_t type;
  uint8_t code;
  uint16_t checksum;
  uint32_t rest;
};
static_assert(sizeof(IcmpHeader) == 8);

// ICMPv6 types that are not ICMPv6's own business (RFC 2710, RFC 3810, RFC 4861).
inline constexpr uint8_t kListenerQuery = 130;
inline constexpr uint8_t kListenerReportV1 = 131;
inline constexpr uint8_t kListenerDone = 132;
inline constexpr uint8_t kRouterSolicitation = 133;
inline constexpr uint8_t kRouterAdvertisement = 134;
inline constexpr uint8_t kNeighborSolicitation = 135;
inline constexpr uint8_t kNeighborAdvertisement = 136;
inline constexpr uint8_t kRedirect = 137;
inline constexpr uint8_t kListenerReport = 143;

}  // namespace weir::net::icmp
