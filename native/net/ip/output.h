#pragma once
#include <cstdint>

#include "net/address.h"

struct rte_mbuf;

namespace weir::net::ip {

inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolIcmpV6 = 58;

/// What a packet carries besides addresses and protocol.
struct SendOptions {
  /// 0 for the default.
  uint8_t hop_limit = 0;
  /// The two bits of RFC 3168 section 5: 0 not ECN-capable, 2 ECT(0).
  uint8_t ecn = 0;
  /// A packet longer than the path takes goes out in fragments; else it is dropped.
  bool may_fragment = false;
};

/// The way down from a transport: adds the IP and link headers, finds the next hop, and transmits.
class Output {
 public:
  /// `packet` starts at the transport header and has RTE_PKTMBUF_HEADROOM bytes free before it; its
  /// checksum is complete. Takes ownership; a packet that cannot go out is freed and counted.
  virtual void send(rte_mbuf* packet, const Address& source, const Address& destination,
                    uint8_t protocol, const SendOptions& options = {}) = 0;
  /// The local address that packets to `destination` carry; unspecified when there is no route.
  virtual Address source_for(const Address& destination) const = 0;
  /// Whether this is an address of ours that one station alone has: no broadcast, no group.
  virtual bool is_local(const Address& address) const = 0;
  /// Largest IP packet for `destination`, bytes: the link's, or that of the path as far as known.
  virtual uint16_t mtu_bytes(const Address& destination) const = 0;
  /// A transport has found that the path takes no more. It has checked who says so (RFC 5927); a
  /// value below the protocol's least, or above what is known, changes nothing.
  virtual void lower_path_mtu(const Address& destination, uint16_t mtu_bytes) = 0;

 protected:
  ~Output() = default;
};

}  // namespace weir::net::ip
