#pragma once
#include <algorithm>
#include <cstdint>

namespace weir::net::icmp {

/// Allows `per_second` on average and `burst` at once.
class TokenBucket {
 public:
  /// One that never gives.
  constexpr TokenBucket() : TokenBucket(1, 0) {}
  constexpr TokenBucket(uint32_t per_second, uint32_t burst)
      : microtokens_per_us_(per_second),
        capacity_microtokens_(uint64_t{burst} * kToken),
        microtokens_(capacity_microtokens_) {}

  /// Takes a token if there is one.
  bool take(uint64_t now_us) {
    const uint64_t to_full = (capacity_microtokens_ - microtokens_) / microtokens_per_us_ + 1;
    const uint64_t elapsed_us = std::min(now_us - filled_at_us_, to_full);
    microtokens_ = std::min(microtokens_ + elapsed_us * microtokens_per_us_, capacity_microtokens_);
    filled_at_us_ = now_us;
    if (microtokens_ < kToken) return false;
    microtokens_ -= kToken;
    return true;
  }

 private:
  static constexpr uint64_t kToken = 1'000'000;
  uint64_t microtokens_per_us_;
  uint64_t capacity_microtokens_;
  uint64_t microtokens_;
  uint64_t filled_at_us_ = 0;
};

}  // namespace weir::net::icmp
