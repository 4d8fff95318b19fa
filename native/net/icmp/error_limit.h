#pragma once
#include <array>
#include <cstdint>

#include "base/siphash.h"
#include "net/address.h"
#include "net/clock.h"
#include "net/environment.h"
#include "net/icmp/token_bucket.h"

namespace weir::net::icmp {

/// How many errors go out (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f)): a limit for each
/// group of peers, and one for all. One bucket for everybody would tell whoever watches it which of
/// the packets that he sends under another's address are answered (RFC 6056's ports, guessed one by
/// one): so a peer is held back by its own first, and what is left of the common one is blurred.
class ErrorLimit {
 public:
  static constexpr uint32_t kPerSecond = 1000;
  static constexpr uint32_t kBurst = 50;
  static constexpr uint32_t kPeerPerSecond = 100;
  static constexpr uint32_t kPeerBurst = 10;

  ErrorLimit(const Clock& clock, const Environment& environment)
      : clock_(clock),
        environment_(environment),
        hash_key_{environment.random.next(), environment.random.next()} {
    peers_.fill(TokenBucket(kPeerPerSecond, kPeerBurst));
  }

  /// Whether `peer` may be sent an error now. Counts what may not.
  bool take(const Address& peer) {
    TokenBucket& own = peers_[siphash(hash_key_, peer.bytes.data(), 16) % kPeerGroups];
    if (environment_.random.next() % kBlur == 0) all_.take(clock_.now_us);
    if (own.take(clock_.now_us) && all_.take(clock_.now_us)) return true;
    environment_.counters.add(Counter::drop_icmp_rate);
    return false;
  }

 private:
  static constexpr uint32_t kPeerGroups = 64;
  /// One token in so many is lost.
  static constexpr uint32_t kBlur = 8;

  const Clock& clock_;
  Environment environment_;
  uint64_t hash_key_[2];
  std::array<TokenBucket, kPeerGroups> peers_;
  TokenBucket all_{kPerSecond, kBurst};
};

}  // namespace weir::net::icmp
