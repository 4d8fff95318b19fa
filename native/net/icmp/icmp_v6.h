#pragma once
#include <cstdint>

#include "net/clock.h"
#include "net/environment.h"
#include "net/icmp/error_limit.h"
#include "net/icmp/icmp.h"
#include "net/ip/input.h"
#include "net/ip/output.h"
#include "net/ip/routing.h"

namespace weir::net::icmp {

/// ICMPv6 (RFC 4443). Neighbor Discovery and multicast listener discovery are messages of it too;
/// others process those.
class IcmpV6 {
 public:
  IcmpV6(const Clock& clock, const Environment& environment, const ip::Routing& routing,
         ip::Output& output, ErrorListener& listener);

  /// Counts a message and checks its length and checksum. False: it has been freed.
  bool check(const ip::Incoming& message, uint8_t& type);
  /// Processes echoes and errors; all others are dropped. Takes ownership of the frame.
  void input(const ip::Incoming& message);

  // Errors about packets, which stay the caller's; none beyond the rate limit, and none that RFC
  // 4443 section 2.4 (e) forbids.
  void send_port_unreachable(const ip::Received& cause);
  /// `pointer_bytes` counts from the IPv6 header.
  void send_parameter_problem(const ip::Received& cause, uint8_t code, uint32_t pointer_bytes,
                              bool even_to_group = false);
  void send_reassembly_timeout(const ip::Received& first);

 private:
  void answer_echo(const ip::Incoming& message);
  bool process_error(const ip::Received& message, uint8_t type, uint8_t code);
  void send_error(const ip::Received& cause, uint8_t type, uint8_t code, uint32_t rest,
                  bool even_to_group = false);

  Environment environment_;
  const ip::Routing& routing_;
  ip::Output& output_;
  ErrorListener& listener_;
  ErrorLimit errors_;
};

}  // namespace weir::net::icmp
