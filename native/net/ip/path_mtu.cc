#include "net/ip/path_mtu.h"

#include <algorithm>

#include "base/siphash.h"
#include "net/stack.h"

namespace weir::net::ip {

PathMtuCache::PathMtuCache(const Clock& clock, const Environment& environment)
    : clock_(clock),
      environment_(environment),
      hash_key_{environment.random.next(), environment.random.next()},
      entries_(kSets * kWays) {}

/// Keyed: peers choose their addresses.
uint32_t PathMtuCache::set_of(const Address& destination) const {
  return static_cast<uint32_t>(siphash(hash_key_, destination.bytes.data(), 16) % kSets);
}

const PathMtuCache::Entry* PathMtuCache::entry_of(const Address& destination) const {
  const Entry* set = &entries_[set_of(destination) * kWays];
  for (uint32_t i = 0; i < kWays; i++)
    if (set[i].expires_us > clock_.now_us && set[i].destination == destination) return &set[i];
  return nullptr;
}

uint16_t PathMtuCache::find(const Address& destination, uint16_t link_mtu_bytes) const {
  const Entry* entry = entry_of(destination);
  return entry == nullptr ? link_mtu_bytes : std::min(entry->mtu_bytes, link_mtu_bytes);
}

bool PathMtuCache::is_below_least(const Address& destination) const {
  const Entry* entry = entry_of(destination);
  return entry != nullptr && entry->lets_fragment;
}

void PathMtuCache::lower(const Address& destination, uint16_t mtu_bytes, uint16_t link_mtu_bytes) {
  const bool is_v4 = destination.is_v4();
  // RFC 8201 section 4 forbids to believe less than 1,280.
  if (mtu_bytes < (is_v4 ? kLeastMtuV4Bytes : kMinMtuV6Bytes)) return;
  const bool lets_fragment = is_v4 && mtu_bytes < kMinPathMtuV4Bytes;
  const uint16_t taken = lets_fragment ? kMinPathMtuV4Bytes : mtu_bytes;
  const uint16_t known = get(destination, link_mtu_bytes);
  if (taken > known || (taken == known && (!lets_fragment || is_below_least(destination)))) return;

  Entry* set = &entries_[set_of(destination) * kWays];
  Entry* chosen = std::min_element(
      set, set + kWays, [](const Entry& a, const Entry& b) { return a.expires_us < b.expires_us; });
  for (uint32_t i = 0; i < kWays; i++)
    if (set[i].destination == destination && set[i].expires_us != 0) chosen = &set[i];
  *chosen = {destination, taken, lets_fragment, clock_.now_us + kLifetimeUs};
  used_ = true;
  lets_fragment_ |= lets_fragment;
  environment_.counters.add(Counter::path_mtu_lowered);
}

}  // namespace weir::net::ip
