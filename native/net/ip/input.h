#pragma once
#include <array>
#include <cstdint>

#include "net/clock.h"
#include "net/environment.h"
#include "net/ip/reassembly.h"
#include "net/ip/received.h"
#include "net/ip/routing.h"

namespace weir::net::ip {

/// A received packet with what the layers between link and transport need to know.
struct Incoming {
  Received received;
  uint8_t protocol;
  /// Sent to a broadcast address or an IPv6 multicast group; only UDP and ICMPv6 come that far.
  bool to_broadcast;
  uint8_t hop_limit = 0;
  /// A fragment header was there, even that of a packet in one piece (RFC 6980 section 5 asks).
  bool had_fragment_header = false;
  /// Its ports were not where they mostly are: behind extension headers, or it came in fragments.
  bool may_be_elsewhere = false;
  /// RFC 2711.
  bool has_router_alert = false;
  /// Where the byte is that names `protocol`, counted from the IPv6 header.
  uint16_t protocol_pointer_bytes = 0;
};

/// Told of packets whose sender has to hear what is wrong with them.
class ProblemListener : public ReassemblyListener {
 public:
  /// RFC 4443 section 3.4: code, and where in the packet, counted from its IPv6 header.
  /// `even_to_group` says that the sender is told although the packet went to a group. `packet` is
  /// freed after the call.
  virtual void on_parameter_problem(const Received& packet, uint8_t code, uint32_t pointer_bytes,
                                    bool even_to_group) = 0;

 protected:
  ~ProblemListener() = default;
};

/// The receiving half of IP: the checks of RFC 1122 section 3.2.1 and RFC 8200, and what puts
/// fragments together.
class Input {
 public:
  Input(const Clock& clock, const Environment& environment, const Routing& routing,
        ProblemListener& listener, const ReassemblyLimits& limits = {});

  /// Checks an IPv4 frame. False: it goes no further; it has been counted and freed, or waits for
  /// other fragments.
  bool receive_v4(rte_mbuf* frame, bool to_link_group, Incoming& incoming);
  /// The same for IPv6.
  bool receive_v6(rte_mbuf* frame, bool to_link_group, Incoming& incoming);

  void run_timers() { reassembly_.run_timers(); }
  uint64_t next_deadline_us() const { return reassembly_.next_deadline_us(); }
  uint32_t waiting_packets() const { return reassembly_.waiting(); }

 private:
  /// Pairs of addresses whose packets were taken before; one with the same place takes the place.
  static constexpr uint32_t kKnownPairs = 256;

  uint64_t& place_of(uint32_t source_be, uint32_t destination_be) {
    const uint32_t mixed =
        source_be ^ source_be >> 8 ^ source_be >> 16 ^ source_be >> 24 ^ destination_be >> 24;
    return known_pairs_[mixed % kKnownPairs];
  }
  bool drop(rte_mbuf* frame, Counter reason);
  bool accept_addresses(rte_mbuf* frame, const Address& source, const Address& destination,
                        bool to_link_group, uint8_t protocol, bool& to_broadcast);
  rte_mbuf* reassemble_v4(rte_mbuf* frame);
  rte_mbuf* reassemble_v6(rte_mbuf* frame, class ExtensionHeaders& headers, uint32_t& end_bytes);
  bool tell_problem(rte_mbuf* frame, const ExtensionHeaders& headers, uint32_t end_bytes);

  Environment environment_;
  const Routing& routing_;
  ProblemListener& listener_;
  Reassembly reassembly_;
  /// Source and destination as they lie in the header; 0 for none. Of this version of the addresses
  /// and routes.
  std::array<uint64_t, kKnownPairs> known_pairs_{};
  uint32_t known_version_ = 0;
};

}  // namespace weir::net::ip
