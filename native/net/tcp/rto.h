#pragma once
#include <algorithm>
#include <cstdint>

namespace weir::net::tcp {

/// The retransmission timer's value (RFC 6298), microseconds.
///
/// Deviation: the minimum is 200 ms and not the second of section 2.4 (SHOULD), as Linux does.
class RoundTrip {
 public:
  static constexpr uint32_t kInitialUs = 1'000'000;
  static constexpr uint32_t kInitialAfterLossUs = 3'000'000;
  static constexpr uint32_t kMinUs = 200'000;
  static constexpr uint32_t kMaxUs = 60'000'000;
  /// Clock granularity G of section 2: deadlines are rounded to the worker's cycles.
  static constexpr uint32_t kGranularityUs = 1000;

  /// Section 2.2 and 2.3.
  void sample(uint32_t rtt_us) {
    rtt_us = std::clamp<uint32_t>(rtt_us, 1, kMaxUs);
    if (smoothed_us_ == 0) {
      smoothed_us_ = rtt_us;
      variation_us_ = rtt_us / 2;
    } else {
      uint32_t error = smoothed_us_ > rtt_us ? smoothed_us_ - rtt_us : rtt_us - smoothed_us_;
      variation_us_ = variation_us_ - variation_us_ / 4 + error / 4;
      smoothed_us_ = smoothed_us_ - smoothed_us_ / 8 + rtt_us / 8;
    }
    backoff_ = 0;
  }
  /// Section 5.5: doubles the time-out.
  void back_off() {
    if (backoff_ < 16) backoff_++;
  }
  /// The doubling is over.
  void reset_backoff() { backoff_ = 0; }
  /// Section 5.7: a SYN was lost, so without a measurement data waits for three seconds.
  void on_syn_lost() { initial_us_ = kInitialAfterLossUs; }
  uint32_t timeout_us() const {
    uint64_t base =
        smoothed_us_ == 0
            ? initial_us_
            : std::max(kMinUs, smoothed_us_ + std::max(kGranularityUs, 4 * variation_us_));
    return static_cast<uint32_t>(std::min<uint64_t>(base << backoff_, kMaxUs));
  }
  uint32_t smoothed_us() const { return smoothed_us_; }

 private:
  uint32_t smoothed_us_ = 0;
  uint32_t variation_us_ = 0;
  uint32_t initial_us_ = kInitialUs;
  uint8_t backoff_ = 0;
};

}  // namespace weir::net::tcp
