#pragma once
#include <algorithm>
#include <cstdint>

#include "net/stack.h"
#include "net/tcp/cubic.h"
#include "net/tcp/hystart.h"
#include "net/tcp/sequence.h"

namespace weir::net::tcp {

/// The congestion window: slow start with HyStart++ (RFC 9406), congestion avoidance by CUBIC (RFC
/// 9438) or as RFC 5681 has it, ten segments to begin with (RFC 6928), and what undoing takes (RFC
/// 4015). How much may go out while losses are repaired is prr.h's business, which are lost
/// rack.h's. All in bytes.
class Congestion {
 public:
  static constexpr uint32_t kMaxWindow = 64u * 1024 * 1024;

  void start(CongestionControl control, uint32_t mss_bytes, uint32_t snd_nxt) {
    control_ = control;
    mss_ = mss_bytes;
    window_ = initial_window();
    threshold_ = UINT32_MAX;
    growth_.slow_start.start(snd_nxt);
  }
  uint32_t window_bytes() const { return window_; }
  uint32_t threshold_bytes() const { return threshold_; }
  bool in_slow_start() const { return window_ < threshold_; }
  void set_mss(uint32_t mss_bytes) { mss_ = mss_bytes; }
  /// Of proportional rate reduction, and at the end of it.
  void set_window(uint32_t bytes) { window_ = std::clamp(bytes, mss_, kMaxWindow); }

  /// `bytes` were delivered outside of fast recovery. `limited`: the window was what held the
  /// sender back; otherwise it does not grow (RFC 7661 section 4.3). `rtt_us` is what this
  /// acknowledgement measured, or 0.
  void on_ack(uint64_t now_us, uint32_t bytes, uint32_t una, uint32_t snd_nxt, uint32_t rtt_us,
              uint32_t smoothed_us, bool limited) {
    if (in_slow_start()) {
      if (avoiding_) {
        avoiding_ = false;
        growth_.slow_start.start(snd_nxt);
      }
      if (growth_.slow_start.on_ack(una, snd_nxt, rtt_us)) {
        threshold_ = window_;
        return;
      }
      if (!limited) return;
      // RFC 9406 section 4.2, L = 8.
      uint32_t growth = std::min(bytes, 8 * mss_);
      if (growth_.slow_start.conservative()) growth /= HyStart::kGrowthDivisor;
      window_ = std::min(window_ + growth, kMaxWindow);
      return;
    }
    if (!avoiding_) begin_epoch();
    if (!limited) return;
    if (control_ == CongestionControl::cubic) {
      auto mss = static_cast<float>(mss_);
      float window = static_cast<float>(window_) / mss;
      float grown = growth_.avoidance.grow(now_us, smoothed_us, past_, window,
                                           static_cast<float>(bytes) / mss);
      window_ = std::min(window_ + static_cast<uint32_t>((grown - window) * mss), kMaxWindow);
      return;
    }
    // RFC 5681 section 3.1, by bytes (RFC 3465 section 2.1).
    counted_ += bytes;
    if (counted_ >= window_) {
      counted_ -= window_;
      window_ = std::min(window_ + mss_, kMaxWindow);
    }
  }

  /// A loss was found, or a router marked a packet: sets the threshold, and keeps what undo needs.
  /// `in_flight`: bytes under way. The window itself is led there by proportional rate reduction.
  void on_congestion(uint32_t in_flight) {
    save();
    reduce(in_flight);
  }
  /// RFC 5681 section 3.1, equation 4. `again`: no new data has been acknowledged since the last
  /// one.
  void on_timeout(uint32_t in_flight, bool again) {
    if (!again) {
      save();
      reduce(in_flight);
    }
    window_ = mss_;
    counted_ = 0;
  }
  /// The reduction was not called for: nothing was lost (RFC 4015 section 3.2).
  void undo() {
    window_ = std::max(window_, saved_window_);
    threshold_ = std::max(threshold_, saved_threshold_);
    past_.w_max = saved_w_max_;
    begin_epoch();
  }
  /// Nothing was under way for `idle_us`, `timeout_us` being the retransmission time-out: RFC 7661
  /// section 4.4.3, halved for each.
  void on_idle(uint64_t idle_us, uint32_t timeout_us) {
    if (avoiding_) growth_.avoidance.on_idle(idle_us);
    if (idle_us <= timeout_us) return;
    threshold_ = threshold_ == UINT32_MAX ? threshold_ : std::max(threshold_, window_ / 4 * 3);
    uint32_t floor = std::min(window_, initial_window());
    for (uint64_t left = idle_us; left > timeout_us && window_ > floor; left -= timeout_us)
      window_ /= 2;
    window_ = std::max(window_, floor);
  }
  /// RFC 5681 section 3.1: a lost SYN is a sign of congestion.
  void on_syn_lost() { window_ = mss_; }

 private:
  /// RFC 6928 section 2.
  uint32_t initial_window() const { return std::min(10 * mss_, std::max(2 * mss_, 14600u)); }
  void save() {
    saved_window_ = window_;
    saved_threshold_ = threshold_;
    saved_w_max_ = past_.w_max;
  }
  void reduce(uint32_t in_flight) {
    if (control_ == CongestionControl::cubic) {
      // RFC 9438 section 4.6; the window counts where it was in use, and what was under way where
      // the application or the peer held it back.
      uint32_t used = std::min(window_, std::max(in_flight, window_ / 2));
      past_.on_congestion(static_cast<float>(used) / static_cast<float>(mss_));
      threshold_ = static_cast<uint32_t>(static_cast<float>(used) * CubicEpoch::kBeta);
    } else {
      threshold_ = in_flight / 2;
    }
    threshold_ = std::max(threshold_, 2 * mss_);
    begin_epoch();
  }
  void begin_epoch() {
    avoiding_ = true;
    growth_.avoidance = {};
    counted_ = 0;
  }

  uint32_t window_ = 0;
  uint32_t threshold_ = UINT32_MAX;
  uint32_t mss_ = 536;
  uint32_t counted_ = 0;
  uint32_t saved_window_ = 0;
  uint32_t saved_threshold_ = 0;
  float saved_w_max_ = 0;
  CubicEpoch::Past past_;
  CongestionControl control_ = CongestionControl::cubic;
  /// Which of the two below is in use.
  bool avoiding_ = false;
  union Growth {
    HyStart slow_start;
    CubicEpoch avoidance;
    Growth() : slow_start() {}
  } growth_;
};

}  // namespace weir::net::tcp
