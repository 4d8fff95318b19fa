#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

namespace weir::net::tcp {

/// The window's growth in congestion avoidance by CUBIC (RFC 9438). Windows in segments, times in
/// seconds, as the RFC has them.
class Cubic {
 public:
  static constexpr float kC = 0.4F;     // section 5.1
  static constexpr float kBeta = 0.7F;  // section 4.6
  /// Section 4.3.
  static constexpr float kAlpha = 3 * (1 - kBeta) / (1 + kBeta);

  /// A loss or a mark at this window (sections 4.6, 4.7).
  void on_congestion(float window) {
    w_max_ = window < w_max_ ? window * (1 + kBeta) / 2 : window;
    window_before_ = window;
    epoch_us_ = 0;
  }
  /// Nothing was under way for this long: it does not count as time in which the path was free
  /// (section 5.8).
  void on_idle(uint64_t idle_us) {
    if (epoch_us_ != 0) epoch_us_ += idle_us;
  }
  /// Slow start ended by itself: growth begins here.
  void reset() { epoch_us_ = 0; }

  /// The window after `acknowledged` segments (sections 4.2 to 4.5).
  float grow(uint64_t now_us, uint32_t rtt_us, float window, float acknowledged) {
    if (epoch_us_ == 0) {
      epoch_us_ = now_us;
      estimate_ = window;
      if (w_max_ <= window) {
        k_ = 0;
        w_max_ = window;
      } else {
        k_ = std::cbrt((w_max_ - window) / kC);
      }
    }
    float t = static_cast<float>(now_us - epoch_us_) * 1e-6F;
    float ahead = t + static_cast<float>(rtt_us) * 1e-6F - k_;
    float target = std::clamp(w_max_ + kC * ahead * ahead * ahead, window, 1.5F * window);
    // What Reno would have; section 4.3: once it is where it was, it grows by one a round trip.
    estimate_ += (estimate_ < window_before_ ? kAlpha : 1.0F) * acknowledged / window;
    float at = t - k_;
    if (w_max_ + kC * at * at * at < estimate_) return std::max(window, estimate_);
    return window + (target - window) / window * acknowledged;
  }

  /// For undoing a reduction (section 4.9).
  float w_max() const { return w_max_; }
  void restore(float w_max) {
    w_max_ = w_max;
    epoch_us_ = 0;
  }

 private:
  uint64_t epoch_us_ = 0;
  float w_max_ = 0;
  float k_ = 0;
  float estimate_ = 0;
  float window_before_ = 0;
};

}  // namespace weir::net::tcp
