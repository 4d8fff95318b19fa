#pragma once
#include <algorithm>
#include <cstdint>

namespace weir::net::tcp {

/// How much may be sent while losses are repaired: proportional rate reduction (RFC 9937
/// section 6). Bytes.
class RateReduction {
 public:
  /// `flight`: bytes between SND.UNA and SND.NXT before the acknowledgement that began recovery.
  void start(uint32_t flight) {
    delivered_ = out_ = 0;
    flight_ = std::max(flight, 1u);
  }
  void on_sent(uint32_t bytes) { out_ += bytes; }

  /// The congestion window after `delivered` more bytes arrived. `safe`: SND.UNA moved and no new
  /// loss was found.
  uint32_t window(uint32_t delivered, uint32_t pipe, uint32_t threshold, uint32_t mss, bool safe) {
    delivered_ += delivered;
    int64_t send;
    if (pipe > threshold) {
      send =
          static_cast<int64_t>((uint64_t{delivered_} * threshold + flight_ - 1) / flight_) - out_;
    } else {
      int64_t limit = std::max<int64_t>(int64_t{delivered_} - out_, delivered);
      if (safe) limit += mss;
      send = std::min<int64_t>(int64_t{threshold} - pipe, limit);
    }
    // The first segment goes out in any case: it is the fast retransmit.
    if (out_ == 0) send = std::max<int64_t>(send, mss);
    return pipe + static_cast<uint32_t>(std::max<int64_t>(send, 0));
  }

 private:
  uint32_t delivered_ = 0;
  uint32_t out_ = 0;
  uint32_t flight_ = 1;
};

}  // namespace weir::net::tcp
