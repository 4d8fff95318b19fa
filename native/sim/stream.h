#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace weir::sim {

/// The bytes of a stream as a function of its number and the place in it, so that whoever sees some
/// of them knows whether they are right.
class Stream {
 public:
  explicit Stream(uint32_t number = 0) : number_(number) {}

  /// At most kMostBytes from a place on. Valid for ever.
  std::span<const uint8_t> part(uint64_t place, size_t bytes) const {
    return std::span(table()).subspan((place + uint64_t{number_} * kApart) % kPeriod, bytes);
  }
  bool matches(uint64_t place, std::span<const uint8_t> bytes) const {
    for (size_t at = 0; at < bytes.size(); at += kMostBytes) {
      const size_t here = std::min<size_t>(bytes.size() - at, kMostBytes);
      if (std::memcmp(bytes.data() + at, part(place + at, here).data(), here) != 0) return false;
    }
    return true;
  }
  static constexpr size_t kMostBytes = 65'536;

 private:
  /// Prime, and larger than what is under way at once: a shift by any power of two shows.
  static constexpr uint64_t kPeriod = 1'048'573;
  static constexpr uint64_t kApart = 77'003;

  static const std::vector<uint8_t>& table() {
    static const std::vector<uint8_t> bytes = [] {
      std::vector<uint8_t> all(kPeriod + kMostBytes);
      uint64_t state = 0x9e3779b97f4a7c15;
      for (uint64_t i = 0; i < kPeriod; i++) {
        state = state * 6364136223846793005 + 1442695040888963407;
        all[i] = static_cast<uint8_t>(state >> 56);
      }
      std::copy_n(all.begin(), kMostBytes, all.begin() + kPeriod);
      return all;
    }();
    return bytes;
  }

  uint32_t number_;
};

}  // namespace weir::sim
