#pragma once
#include <cstdint>

#include "net/environment.h"
#include "net/ip/received.h"
#include "net/ip/routing.h"

namespace weir::net::ip {

/// A received packet with what the layers between link and transport need to know.
struct Incoming {
  Received received;
  uint8_t protocol;
  /// Sent to a broadcast address; only UDP comes that far.
  bool to_broadcast;
};

/// The receiving half of IP: the checks of RFC 1122 section 3.2.1.
class Input {
 public:
  Input(const Environment& environment, const Routing& routing);

  /// Checks an IPv4 frame. False: it goes no further; it has been counted and freed.
  bool receive_v4(rte_mbuf* frame, bool to_link_group, Incoming& incoming);

 private:
  Environment environment_;
  const Routing& routing_;
};

}  // namespace weir::net::ip
