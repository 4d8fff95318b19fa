#pragma once
#include <sys/random.h>

#include <bit>
#include <cstdint>

#include "net/environment.h"

namespace weir::worker {

/// The worker's random numbers (xoshiro256**). Not for secrets that outlive the process: keys made
/// from it are 64 bits and more of the seed, which comes from the kernel, or from a test.
class Random final : public net::RandomSource {
 public:
  /// Seeded by the kernel.
  Random() {
    // Cannot fail for so few bytes once the kernel's generator is up (getrandom(2)).
    while (getrandom(state_, sizeof state_, 0) != sizeof state_) {
    }
  }
  /// The same numbers for the same seed.
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      uint64_t z = seed;
      z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
      z = (z ^ z >> 27) * 0x94d049bb133111eb;
      word = z ^ z >> 31;
    }
  }
  uint64_t next() override {
    uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

 private:
  uint64_t state_[4];
};

}  // namespace weir::worker
