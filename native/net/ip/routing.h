#pragma once
#include <cstdint>

#include "net/address.h"
#include "net/stack.h"

namespace weir::net::ip {

/// Which addresses are ours and where packets go (RFC 1122 section 3.3.1): the prefix of the
/// interface, and a gateway for the rest.
class Routing {
 public:
  explicit Routing(const StackConfig& config) : local_(config.address), gateway_(config.gateway) {
    if (!local_.address.is_v4()) return;
    const uint32_t bits = local_.prefix_bits > 32 ? 32 : local_.prefix_bits;
    const uint32_t mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
    // Prefixes of 31 and 32 bits have no broadcast address (RFC 3021 section 2.1).
    has_subnet_broadcast_ = bits < 31;
    network_v4_ = local_.address.v4_host_order() & mask;
    mask_v4_ = mask;
  }

  const Address& local() const { return local_.address; }
  bool is_local(const Address& address) const { return address == local_.address; }

  /// The limited broadcast address and that of our subnet (RFC 919).
  bool is_broadcast(const Address& address) const {
    if (!address.is_v4()) return false;
    const uint32_t v4 = address.v4_host_order();
    return v4 == UINT32_MAX || (has_subnet_broadcast_ && v4 == (network_v4_ | ~mask_v4_));
  }

  /// Whether one station can have this address: RFC 1122 section 3.2.1.3 names those that it
  /// cannot.
  bool is_station(const Address& address) const {
    if (!address.is_v4()) return false;
    const uint32_t v4 = address.v4_host_order();
    const uint32_t first = v4 >> 24;
    if (first == 0 || first == 127 || (v4 >> 28) == 0xe || is_broadcast(address)) return false;
    // The all-zeros host of a subnet is its old broadcast address (RFC 1122 section 3.3.6).
    return !(has_subnet_broadcast_ && v4 == network_v4_);
  }

  bool is_on_link(const Address& address) const {
    return address.is_v4() && local_.address.is_v4() &&
           (address.v4_host_order() & mask_v4_) == network_v4_;
  }

  /// Whether this can be the address of another station on our link.
  bool is_neighbor(const Address& address) const {
    return is_station(address) && !is_local(address) &&
           (is_on_link(address) || address == gateway_);
  }

  /// Finds where packets to `destination` go next. False: nowhere, or it is an address that no
  /// single station other than us can have.
  bool next_hop(const Address& destination, Address& hop) const {
    if (!is_station(destination) || is_local(destination)) return false;
    if (is_on_link(destination)) {
      hop = destination;
      return true;
    }
    if (gateway_.is_unspecified()) return false;
    hop = gateway_;
    return true;
  }

 private:
  InterfaceAddress local_;
  Address gateway_;
  uint32_t network_v4_ = 0;
  uint32_t mask_v4_ = UINT32_MAX;
  bool has_subnet_broadcast_ = false;
};

}  // namespace weir::net::ip
