#pragma once
#include <cstdint>

namespace weir::net::ip {

/// What the network says about a packet of ours, by ICMP, ICMPv6, or because the link has nobody to
/// give it to.
struct DeliveryError {
  enum class Kind : uint8_t {
    /// May pass (RFC 5461 section 2).
    soft,
    /// Trying again is of no use (RFC 1122 section 4.2.3.9).
    hard,
    /// The packet was larger than a link on its way takes (RFC 1191, RFC 8201).
    too_big,
  };
  Kind kind;
  /// With too_big: the largest IP packet that link takes. Where the router does not say, an
  /// estimate from the packet's length (RFC 1191 section 5); 0 when there is none.
  uint16_t mtu_bytes = 0;
};

}  // namespace weir::net::ip
