#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

namespace weir::net::tcp {

/// The window's growth in congestion avoidance by CUBIC (RFC 9438), from one reduction to the next.
/// Windows in segments, times in seconds, as the RFC has them.
class CubicEpoch {
 public:
  static constexpr float kC = 0.4F;     // section 5.1
  static constexpr float kBeta = 0.7F;  // section 4.6
  /// Section 4.3.
  static constexpr float kAlpha = 3 * (1 - kBeta) / (1 + kBeta);

  /// What the time before an epoch left behind: the window around which growth is slow
  /// (section 4.6), and the one at the last reduction.
  struct Past {
    float w_max = 0;
    float window = 0;

    /// A loss or a mark at this window; fast convergence as of section 4.7.
    void on_congestion(float at) {
      w_max = at < w_max ? at * (1 + kBeta) / 2 : at;
      window = at;
    }
  };

  /// Nothing was under way for this long: it does not count as time in which the path was free
  /// (section 5.8).
  void on_idle(uint64_t idle_us) {
    if (begin_us_ != 0) begin_us_ += idle_us;
  }

  /// The window after `acknowledged` segments (sections 4.2 to 4.5).
  float grow(uint64_t now_us, uint32_t rtt_us, const Past& past, float window, float acknowledged) {
    if (begin_us_ == 0) {
      begin_us_ = now_us;
      estimate_ = window;
      origin_ = std::max(past.w_max, window);
      k_ = std::cbrt((origin_ - window) / kC);
    }
    float at = static_cast<float>(now_us - begin_us_) * 1e-6F - k_;
    float ahead = at + static_cast<float>(rtt_us) * 1e-6F;
    float target = std::clamp(origin_ + kC * ahead * ahead * ahead, window, 1.5F * window);
    // What Reno would have; section 4.3: once it is where it was, it grows by one a round trip.
    estimate_ += (estimate_ < past.window ? kAlpha : 1.0F) * acknowledged / window;
    if (origin_ + kC * at * at * at < estimate_) return std::max(window, estimate_);
    return window + (target - window) / window * acknowledged;
  }

 private:
  uint64_t begin_us_ = 0;
  float origin_ = 0;
  float k_ = 0;
  float estimate_ = 0;
};

}  // namespace weir::net::tcp
