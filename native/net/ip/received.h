#pragma once
#include <cstdint>

#include "net/address.h"

struct rte_mbuf;

namespace weir::net::ip {

/// A packet that passed the IP layer's checks, on its way up.
struct Received {
  /// The whole frame, possibly chained. All headers that the stack reads lie in the first segment.
  rte_mbuf* frame;
  /// Where the transport header starts, bytes from the first data byte of `frame`.
  uint16_t transport_offset_bytes;
  /// Bytes of transport header and payload (link padding is not counted).
  uint32_t transport_bytes;
  Address source;
  Address destination;
  /// The port has verified the transport checksum, or the frame never left this machine without
  /// one.
  bool checksum_known_good;
  /// The two bits of RFC 3168 section 5; 3 says that a router on the way was congested.
  uint8_t ecn = 0;
};

}  // namespace weir::net::ip
