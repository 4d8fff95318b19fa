#pragma once
#include <cstdint>

namespace weir::load {

/// When the messages of an open loop are due: evenly, and whatever came of those before. Times are
/// ticks.
class Schedule {
 public:
  explicit Schedule(double interval_ticks) : interval_ticks_(interval_ticks) {}

  /// The first message is due now. What runs already goes on as it is, with what it is behind.
  void start(uint64_t now) {
    if (!is_running_) start_ = now;
    is_running_ = true;
  }
  bool is_due(uint64_t now) const { return is_running_ && due() <= now; }
  /// When the next message is due.
  uint64_t due() const {
    return start_ + static_cast<uint64_t>(static_cast<double>(count_) * interval_ticks_);
  }
  /// The time of the next message, which then is the one behind it.
  uint64_t take() {
    const uint64_t time = due();
    count_++;
    return time;
  }

 private:
  double interval_ticks_;
  uint64_t start_ = 0;
  /// Of messages: a sum of intervals would add up their errors.
  uint64_t count_ = 0;
  bool is_running_ = false;
};

}  // namespace weir::load
