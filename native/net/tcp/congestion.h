#pragma once
#include <algorithm>
#include <cstdint>

#include "net/tcp/sequence.h"

namespace weir::net::tcp {

/// NewReno (RFC 5681, 6582) with appropriate byte counting (RFC 3465) and an initial window of ten
/// segments (RFC 6928). All in bytes.
class Congestion {
 public:
  void start(uint32_t mss_bytes) {
    mss_ = mss_bytes;
    window_ = initial_window();
    threshold_ = UINT32_MAX;
  }
  uint32_t window_bytes() const { return window_; }
  uint32_t threshold_bytes() const { return threshold_; }
  bool recovering() const { return recovering_; }

  /// `acknowledged` new bytes outside of recovery. `limited`: the window was what held the sender
  /// back; otherwise it does not grow (RFC 7661 section 1).
  void on_progress(uint32_t acknowledged, bool limited) {
    duplicates_ = 0;
    if (!limited) return;
    if (window_ < threshold_) {
      // RFC 3465 section 2.2, L = 2.
      window_ += std::min(acknowledged, 2 * mss_);
    } else {
      counted_ += acknowledged;
      if (counted_ >= window_) {
        counted_ -= window_;
        window_ += mss_;
      }
    }
    window_ = std::min(window_, kMaxWindow);
  }
  /// A duplicate acknowledgement. True when the third one starts fast retransmit (RFC 6582
  /// section 3.2 step 2).
  bool on_duplicate(uint32_t una, uint32_t max_sent) {
    if (recovering_) {
      window_ = std::min(window_ + mss_, kMaxWindow);
      return false;
    }
    if (duplicates_ < 255) duplicates_++;
    if (duplicates_ != 3 || (recover_valid_ && seq_lt(una, recover_))) return false;
    threshold_ = std::max((max_sent - una) / 2, 2 * mss_);
    window_ = threshold_ + 3 * mss_;
    recover_ = max_sent;
    recover_valid_ = true;
    recovering_ = true;
    return true;
  }
  /// Limited transmit (RFC 3042): what the first two duplicates allow beyond the window.
  uint32_t limited_transmit_bytes() const {
    return recovering_ ? 0 : std::min<uint32_t>(duplicates_, 2) * mss_;
  }
  /// New bytes up to `una` were acknowledged during recovery. True for a partial acknowledgement:
  /// the next hole is to be sent again (RFC 6582 section 3.2 step 3).
  bool on_recovery_progress(uint32_t una, uint32_t acknowledged, uint32_t in_flight) {
    if (seq_ge(una, recover_)) {
      window_ = std::min(threshold_, std::max(in_flight, mss_) + mss_);
      recovering_ = false;
      duplicates_ = 0;
      return false;
    }
    window_ -= std::min(acknowledged, window_ - mss_);
    if (acknowledged >= mss_) window_ += mss_;
    return true;
  }
  /// RFC 5681 section 3.1, equation 4, and RFC 6582 section 4.
  void on_timeout(uint32_t una, uint32_t max_sent, bool first) {
    if (first) threshold_ = std::max((max_sent - una) / 2, 2 * mss_);
    window_ = mss_;
    recovering_ = false;
    duplicates_ = 0;
    counted_ = 0;
    recover_ = max_sent;
    recover_valid_ = true;
  }
  /// Nothing was sent for longer than the retransmission time-out (RFC 5681 section 4.1).
  void on_idle() { window_ = std::min(window_, initial_window()); }
  void on_syn_lost() { window_ = mss_; }
  uint8_t duplicates() const { return duplicates_; }

 private:
  static constexpr uint32_t kMaxWindow = 64u * 1024 * 1024;
  uint32_t initial_window() const { return std::min(10 * mss_, std::max(2 * mss_, 14600u)); }

  uint32_t window_ = 0;
  uint32_t threshold_ = UINT32_MAX;
  uint32_t recover_ = 0;
  uint32_t counted_ = 0;
  uint32_t mss_ = 536;
  uint8_t duplicates_ = 0;
  bool recovering_ = false;
  bool recover_valid_ = false;
};

}  // namespace weir::net::tcp
