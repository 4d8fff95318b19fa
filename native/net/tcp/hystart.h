#pragma once
#include <algorithm>
#include <cstdint>

#include "net/tcp/sequence.h"

namespace weir::net::tcp {

/// When to leave slow start before a loss says so: HyStart++ (RFC 9406).
class HyStart {
 public:
  /// Section 4.3.
  static constexpr uint32_t kMinThresholdUs = 4000;
  static constexpr uint32_t kMaxThresholdUs = 16'000;
  static constexpr uint32_t kRttDivisor = 8;
  static constexpr uint8_t kRttSamples = 8;
  static constexpr uint32_t kGrowthDivisor = 4;
  static constexpr uint8_t kConservativeRounds = 5;

  void start(uint32_t snd_nxt) {
    *this = {};
    round_end_ = snd_nxt;
  }
  /// Conservative slow start: the window grows by a fraction.
  bool conservative() const { return rounds_ > 0; }

  /// An acknowledgement during slow start; `rtt_us` 0 when it measured nothing. True when slow
  /// start is over.
  bool on_ack(uint32_t una, uint32_t snd_nxt, uint32_t rtt_us) {
    if (seq_ge(una, round_end_)) {
      last_min_us_ = current_min_us_;
      current_min_us_ = UINT32_MAX;
      samples_ = 0;
      round_end_ = snd_nxt;
      if (rounds_ > 0 && ++rounds_ > kConservativeRounds) return true;
    }
    if (rtt_us != 0) {
      current_min_us_ = std::min(current_min_us_, rtt_us);
      if (samples_ < 255) samples_++;
    }
    if (samples_ < kRttSamples || current_min_us_ == UINT32_MAX) return false;
    if (rounds_ == 0) {
      if (last_min_us_ == UINT32_MAX) return false;
      uint32_t threshold_us =
          std::clamp(last_min_us_ / kRttDivisor, kMinThresholdUs, kMaxThresholdUs);
      if (current_min_us_ >= last_min_us_ + threshold_us) {
        baseline_us_ = current_min_us_;
        rounds_ = 1;
      }
    } else if (current_min_us_ < baseline_us_) {
      // The delay was none of ours: back to full slow start.
      rounds_ = 0;
      baseline_us_ = UINT32_MAX;
    }
    return false;
  }

 private:
  uint32_t round_end_ = 0;
  uint32_t last_min_us_ = UINT32_MAX;
  uint32_t current_min_us_ = UINT32_MAX;
  uint32_t baseline_us_ = UINT32_MAX;
  uint8_t samples_ = 0;
  /// Rounds of conservative slow start, from 1; 0 outside of it.
  uint8_t rounds_ = 0;
};

}  // namespace weir::net::tcp
