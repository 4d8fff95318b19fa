#pragma once
#include <cstdint>
#include <optional>

#include "net/address.h"

namespace weir::net::tcp {

/// What a SYN agreed on that a connection cannot do without.
struct CookieTerms {
  uint16_t mss_bytes = 536;
  /// Without timestamps the rest has no place to be kept in, and is not agreed on.
  bool timestamps = false;
  bool sack_permitted = false;
  bool ecn = false;
  bool window_scaling = false;
  uint8_t window_scale = 0;
};

/// SYN cookies (RFC 4987 section 3.6): under a flood the answer to a SYN carries what the
/// connection needs, and nothing is kept. The initial sequence number holds a time (5 bits), an
/// index of MSS (3 bits) and a keyed hash (24 bits); window scale, SACK and ECN stand in the lowest
/// six bits of the timestamp, which the peer echoes. The hash covers all of it.
class SynCookie {
 public:
  /// How long a cookie is good for, twice over: one is believed in its own period and in the next.
  static constexpr uint64_t kPeriodUs = 64'000'000;
  static constexpr uint32_t kTimestampBits = 6;

  explicit SynCookie(const uint64_t key[2]) : key_{key[0], key[1]} {}

  /// The largest MSS of the table that is not above the peer's.
  static uint16_t mss_for(uint16_t peer_mss_bytes);
  /// The initial sequence number for an answer to the SYN numbered `peer_sequence`.
  uint32_t sequence(uint64_t now_us, const Endpoint& local, const Endpoint& remote,
                    uint32_t peer_sequence, const CookieTerms& terms) const;
  /// A timestamp that is not after `timestamp` and holds the terms.
  static uint32_t timestamp(uint32_t timestamp, const CookieTerms& terms);
  /// What was agreed on by the SYN numbered `peer_sequence`, if `sequence` was the answer to it.
  /// `timestamp_echo` is what the peer echoes, or null where it sends no timestamps.
  std::optional<CookieTerms> check(uint64_t now_us, const Endpoint& local, const Endpoint& remote,
                                   uint32_t peer_sequence, uint32_t sequence,
                                   const uint32_t* timestamp_echo) const;

 private:
  uint32_t hash(uint32_t period, uint32_t mss_index, uint32_t terms, const Endpoint& local,
                const Endpoint& remote, uint32_t peer_sequence) const;
  uint64_t key_[2];
};

}  // namespace weir::net::tcp
