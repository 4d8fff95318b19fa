#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "net/environment.h"
#include "net/flow_events.h"
#include "net/icmp/icmp.h"
#include "net/ip/input.h"
#include "net/ip/output.h"

namespace weir::net::udp {

/// UDP (RFC 768, RFC 1122 section 4.1).
class Udp {
 public:
  Udp(const Environment& environment, ip::Output& output, icmp::Icmp& icmp, uint32_t max_ports);

  /// Processes a datagram. Takes ownership of the frame.
  void input(const ip::Incoming& datagram);

  /// False if the port is 0 or taken, or the table is full.
  bool bind(uint16_t port, FlowEvents& events, uint32_t listener_tag);
  void unbind(uint16_t port);
  bool send(uint16_t local_port, const Endpoint& remote, std::span<const uint8_t> bytes);

 private:
  static constexpr uint16_t kUnbound = UINT16_MAX;
  struct Binding {
    FlowEvents* events;
    uint32_t listener_tag;
    uint16_t next_free;
  };

  Environment environment_;
  ip::Output& output_;
  icmp::Icmp& icmp_;
  /// For each port its index in bindings_: one load finds a listener.
  std::vector<uint16_t> ports_;
  std::vector<Binding> bindings_;
  uint16_t free_binding_ = kUnbound;
};

}  // namespace weir::net::udp
