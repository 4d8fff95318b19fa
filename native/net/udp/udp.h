#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "net/environment.h"
#include "net/flow_events.h"
#include "net/icmp/icmp.h"
#include "net/icmp/icmp_v6.h"
#include "net/ip/delivery_error.h"
#include "net/ip/input.h"
#include "net/ip/output.h"
#include "net/udp/reply_sources.h"

namespace weir::net::udp {

/// Longest payload of a datagram: that of IPv4's longest packet.
inline constexpr uint32_t kMaxPayloadBytes = 65507;

/// UDP (RFC 768, RFC 1122 section 4.1, RFC 8200 section 8.1). Longer datagrams than the path takes
/// go out in fragments.
class Udp {
 public:
  Udp(const Environment& environment, ip::Output& output, icmp::Icmp& icmp, icmp::IcmpV6& icmp_v6,
      uint32_t max_ports);

  /// Processes a datagram. Takes ownership of the frame.
  void input(const ip::Incoming& datagram);

  /// False if the port is 0 or somebody else's, or the table is full. Who has it already goes on
  /// with the new tag.
  bool bind(uint16_t port, FlowEvents& events, uint32_t listener_tag);
  void unbind(uint16_t port);
  bool send(uint16_t local_port, const Endpoint& remote, std::span<const uint8_t> bytes);
  /// The checksummed datagram for `send` and for whoever sends past the routes. nullptr when no
  /// buffer is free.
  rte_mbuf* make(const Endpoint& local, const Endpoint& remote, std::span<const uint8_t> bytes);
  /// An ICMP error quoted a datagram of ours, of which `quoted` are the first 8 bytes and more.
  /// False if nobody here has that port.
  bool on_icmp_error(const Address& remote, std::span<const uint8_t> quoted,
                     const ip::DeliveryError& error);
  bool is_bound(uint16_t port) const { return ports_[port] != kUnbound; }

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
  icmp::IcmpV6& icmp_v6_;
  /// For each port its index in bindings_: one load finds a listener.
  std::vector<uint16_t> ports_;
  std::vector<Binding> bindings_;
  uint16_t free_binding_ = kUnbound;
  /// Answers carry the address that was asked, where we have several.
  ReplySources reply_sources_;
};

}  // namespace weir::net::udp
