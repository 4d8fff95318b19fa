#pragma once
#include <bit>
#include <cstdint>
#include <vector>

namespace weir::load {

/// How many times took how long: counts in steps of less than one percent, from a nanosecond to
/// minutes. bench/latency.js makes percentiles of it.
class Latency {
 public:
  Latency() : counts_(kBuckets) {}

  void record(uint64_t ns) { counts_[bucket_of(ns)]++; }
  void clear() { counts_.assign(kBuckets, 0); }

  /// Calls `action` with the least time of each step, nanoseconds, and its count, where there are
  /// any.
  template <typename Action>
  void for_each(Action action) const {
    for (uint32_t i = 0; i < kBuckets; i++)
      if (counts_[i] != 0) action(least_of(i), counts_[i]);
  }

 private:
  /// Each power of two has so many steps, as a power of two.
  static constexpr uint32_t kStepsLog2 = 7;
  static constexpr uint32_t kLargestLog2 = 40;
  static constexpr uint32_t kBuckets = (kLargestLog2 - kStepsLog2 + 1) << kStepsLog2;

  static uint32_t bucket_of(uint64_t ns) {
    if (ns < 1u << kStepsLog2) return static_cast<uint32_t>(ns);
    if (ns >> kLargestLog2 != 0) return kBuckets - 1;
    const auto shift = static_cast<uint32_t>(std::bit_width(ns)) - 1 - kStepsLog2;
    return (shift << kStepsLog2) + static_cast<uint32_t>(ns >> shift);
  }
  static uint64_t least_of(uint32_t bucket) {
    if (bucket < 2u << kStepsLog2) return bucket;
    const uint32_t shift = (bucket >> kStepsLog2) - 1;
    return uint64_t{(bucket & ((1u << kStepsLog2) - 1)) + (1u << kStepsLog2)} << shift;
  }

  std::vector<uint64_t> counts_;
};

}  // namespace weir::load
