#include "net/tcp/syn_cookie.h"

#include "base/siphash.h"

namespace weir::net::tcp {
namespace {

/// What paths and stacks commonly name, both families, ascending.
constexpr uint16_t kCommonMss[8] = {88, 536, 1024, 1220, 1360, 1400, 1440, 1460};
constexpr uint32_t kNoScale = 15;

uint32_t pack(const CookieTerms& terms) {
  if (!terms.timestamps) return 0;
  return (terms.window_scaling ? terms.window_scale : kNoScale) |
         uint32_t{terms.sack_permitted} << 4 | uint32_t{terms.ecn} << 5;
}

uint32_t index_for(uint16_t mss_bytes) {
  uint32_t index = 0;
  while (index < 7 && kCommonMss[index + 1] <= mss_bytes) index++;
  return index;
}

}  // namespace

uint16_t SynCookie::mss_for(uint16_t peer_mss_bytes) {
  return kCommonMss[index_for(peer_mss_bytes)];
}

uint32_t SynCookie::hash(uint32_t period, uint32_t mss_index, uint32_t terms, const Endpoint& local,
                         const Endpoint& remote, uint32_t peer_sequence) const {
  struct {
    Address local, remote;
    uint32_t ports, peer_sequence, period, terms;
  } covered{local.address, remote.address, uint32_t{local.port} << 16 | remote.port,
            peer_sequence, period,         mss_index << 8 | terms};
  return static_cast<uint32_t>(siphash(key_, &covered, sizeof covered)) & 0xff'ffff;
}

uint32_t SynCookie::sequence(uint64_t now_us, const Endpoint& local, const Endpoint& remote,
                             uint32_t peer_sequence, const CookieTerms& terms) const {
  auto period = static_cast<uint32_t>(now_us / kPeriodUs);
  uint32_t index = index_for(terms.mss_bytes);
  return (period & 31) << 27 | index << 24 |
         hash(period, index, pack(terms), local, remote, peer_sequence);
}

uint32_t SynCookie::timestamp(uint32_t timestamp, const CookieTerms& terms) {
  constexpr uint32_t kMask = (1u << kTimestampBits) - 1;
  uint32_t value = (timestamp & ~kMask) | pack(terms);
  return static_cast<int32_t>(value - timestamp) > 0 ? value - (kMask + 1) : value;
}

std::optional<CookieTerms> SynCookie::check(uint64_t now_us, const Endpoint& local,
                                            const Endpoint& remote, uint32_t peer_sequence,
                                            uint32_t sequence,
                                            const uint32_t* timestamp_echo) const {
  auto now = static_cast<uint32_t>(now_us / kPeriodUs);
  uint32_t age = (now - (sequence >> 27)) & 31;
  if (age > 1) return std::nullopt;
  uint32_t index = sequence >> 24 & 7;
  uint32_t packed = 0;
  if (timestamp_echo != nullptr) packed = *timestamp_echo & ((1u << kTimestampBits) - 1);
  if (hash(now - age, index, packed, local, remote, peer_sequence) != (sequence & 0xff'ffff))
    return std::nullopt;
  CookieTerms terms;
  terms.mss_bytes = kCommonMss[index];
  terms.timestamps = timestamp_echo != nullptr;
  if (terms.timestamps) {
    terms.window_scaling = (packed & 15) != kNoScale;
    terms.window_scale = terms.window_scaling ? packed & 15 : 0;
    terms.sack_permitted = (packed >> 4 & 1) != 0;
    terms.ecn = (packed >> 5 & 1) != 0;
  }
  return terms;
}

}  // namespace weir::net::tcp
