#pragma once
#include <algorithm>
#include <cstdint>

#include "net/tcp/sequence.h"

namespace weir::net::tcp {

/// Which segments are lost, by the time they were sent: RACK (RFC 8985 section 6). The scoreboard
/// holds the segments, this what the newest delivered one says about them.
class Rack {
 public:
  /// Section 6.2 step 4: sacked segments that say "loss" without waiting, where no reordering was
  /// ever seen.
  static constexpr uint32_t kDupThresh = 3;
  static constexpr uint8_t kPersist = 16;
  /// How long a smallest round trip is believed; a path can become longer.
  static constexpr uint32_t kMinRttAgeMs = 300'000;

  /// Step 1, and what a segment that was never sent again says.
  void measure(uint32_t rtt_us, uint32_t now_ms) {
    if (rtt_us <= min_rtt_us_ || now_ms - min_rtt_at_ms_ > kMinRttAgeMs) {
      min_rtt_us_ = rtt_us;
      min_rtt_at_ms_ = now_ms;
    }
  }
  /// Steps 2 and 3 for one segment that was delivered. `echoes_original`: the acknowledgement's
  /// timestamp says that an earlier copy arrived.
  void delivered(uint64_t sent_us, uint32_t end, bool retransmitted, bool echoes_original,
                 uint64_t now_us) {
    if (!fack_valid_ || seq_gt(end, fack_)) {
      fack_ = end;
      fack_valid_ = true;
    } else if (seq_lt(end, fack_) && !retransmitted) {
      reordering_seen_ = true;
    }
    auto rtt_us = static_cast<uint32_t>(std::min<uint64_t>(now_us - sent_us, UINT32_MAX));
    if (retransmitted && (echoes_original || (min_rtt_us_ != UINT32_MAX && rtt_us < min_rtt_us_)))
      return;
    if (sent_us > sent_us_ || (sent_us == sent_us_ && seq_gt(end, end_))) {
      sent_us_ = sent_us;
      end_ = end;
      rtt_us_ = rtt_us;
    }
  }
  /// Step 4: a duplicate was reported, so a loss was found where none was.
  void on_duplicate_sack(uint32_t snd_una, uint32_t snd_nxt) {
    if (round_valid_ && seq_lt(snd_una, round_)) return;
    round_ = snd_nxt;
    round_valid_ = true;
    if (multiplier_ < 255) multiplier_++;
    persist_ = kPersist;
  }
  void on_recovery_end() {
    if (persist_ > 0 && --persist_ == 0) multiplier_ = 1;
  }
  /// How much later than the newest delivered segment one may be.
  uint32_t window_us(bool recovering, uint32_t sacked_count, uint32_t smoothed_us) const {
    if (!reordering_seen_ && (recovering || sacked_count >= kDupThresh)) return 0;
    uint64_t min_rtt_us = min_rtt_us_ == UINT32_MAX ? smoothed_us : min_rtt_us_;
    return static_cast<uint32_t>(std::min<uint64_t>(multiplier_ * min_rtt_us / 4, smoothed_us));
  }
  /// Whether a segment was sent before the newest delivered one.
  bool before_delivered(uint64_t sent_us, uint32_t end) const {
    return sent_us < sent_us_ || (sent_us == sent_us_ && seq_lt(end, end_));
  }
  uint32_t rtt_us() const { return rtt_us_; }
  uint32_t min_rtt_us() const { return min_rtt_us_; }

 private:
  uint64_t sent_us_ = 0;
  uint32_t end_ = 0;
  uint32_t rtt_us_ = 0;
  uint32_t min_rtt_us_ = UINT32_MAX;
  uint32_t min_rtt_at_ms_ = 0;
  uint32_t fack_ = 0;
  uint32_t round_ = 0;
  uint8_t multiplier_ = 1;
  uint8_t persist_ = 0;
  bool fack_valid_ : 1 = false;
  bool round_valid_ : 1 = false;
  bool reordering_seen_ : 1 = false;
};

}  // namespace weir::net::tcp
