#pragma once
#include <cstdint>

#include "net/address.h"

struct rte_mbuf;

namespace weir::net::ip {

inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;

/// The way down from a transport: adds the IP and link headers, finds the next hop, and transmits.
class Output {
 public:
  /// `packet` starts at the transport header and has RTE_PKTMBUF_HEADROOM bytes free before it; its
  /// checksum is complete. Takes ownership; a packet that cannot go out is freed and counted.
  /// `hop_limit` 0 means the default.
  virtual void send(rte_mbuf* packet, const Address& source, const Address& destination,
                    uint8_t protocol, uint8_t hop_limit = 0) = 0;
  /// The local address that packets to `destination` carry; unspecified when there is no route.
  virtual Address source_for(const Address& destination) const = 0;
  /// Largest IP packet for `destination`, bytes.
  virtual uint16_t mtu_bytes(const Address& destination) const = 0;

 protected:
  ~Output() = default;
};

}  // namespace weir::net::ip
