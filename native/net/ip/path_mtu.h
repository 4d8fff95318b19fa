#pragma once
#include <cstdint>
#include <vector>

#include "net/address.h"
#include "net/clock.h"
#include "net/environment.h"

namespace weir::net::ip {

/// The least that a path of IPv4 is believed to take: what reports less is met by letting routers
/// fragment (Linux's net.ipv4.route.min_pmtu; RFC 1191 section 3 would go down to 68).
inline constexpr uint16_t kMinPathMtuV4Bytes = 552;
/// RFC 791 section 3.2: every link takes this much.
inline constexpr uint16_t kLeastMtuV4Bytes = 68;

/// What paths are known to take less than their first link (RFC 1191 section 6.3, RFC 8201 section
/// 5.2). A bounded table; the entries that expire first give way, and all expire.
class PathMtuCache {
 public:
  static constexpr uint32_t kSets = 128;
  static constexpr uint32_t kWays = 4;
  /// RFC 1191 section 6.3, RFC 8201 section 4: after ten minutes a larger one is tried.
  static constexpr uint64_t kLifetimeUs = 600'000'000;

  PathMtuCache(const Clock& clock, const Environment& environment);

  /// The path's, if it is known to be smaller than `link_mtu_bytes`, else that.
  uint16_t get(const Address& destination, uint16_t link_mtu_bytes) const {
    return used_ ? find(destination, link_mtu_bytes) : link_mtu_bytes;
  }
  /// Whether there is any destination that lets_fragment says yes to.
  bool lets_fragment_anywhere() const { return lets_fragment_; }
  /// Whether all paths take what the link takes, as far as known.
  bool is_empty() const { return !used_; }
  /// Whether packets for `destination` may be fragmented on their way because it takes less than
  /// kMinPathMtuV4Bytes.
  bool lets_fragment(const Address& destination) const {
    return lets_fragment_ && is_below_least(destination);
  }
  /// A value below the protocol's least, or not below what is known, changes nothing.
  void lower(const Address& destination, uint16_t mtu_bytes, uint16_t link_mtu_bytes);

 private:
  struct Entry {
    Address destination;
    uint16_t mtu_bytes = 0;
    bool lets_fragment = false;
    uint64_t expires_us = 0;
  };

  uint32_t set_of(const Address& destination) const;
  const Entry* entry_of(const Address& destination) const;
  uint16_t find(const Address& destination, uint16_t link_mtu_bytes) const;
  bool is_below_least(const Address& destination) const;

  const Clock& clock_;
  Environment environment_;
  uint64_t hash_key_[2];
  /// Whether anything was ever entered: most stacks never see such a path.
  bool used_ = false;
  bool lets_fragment_ = false;
  std::vector<Entry> entries_;
};

}  // namespace weir::net::ip
