#pragma once
#include <cstdint>
#include <initializer_list>

#include "worker/random.h"

namespace weir::sim {

/// Seeded choices. What one part of a simulation draws must not change what another one gets: each
/// has a generator of its own, split off from the scenario's.
class Random {
 public:
  explicit Random(uint64_t seed) : generator_(seed) {}

  uint64_t next() { return generator_.next(); }
  /// A generator that goes its own way from here.
  Random split() { return Random(next()); }
  /// In [0, bound); 0 for a bound of 0.
  uint64_t below(uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  /// In [least, most].
  uint64_t between(uint64_t least, uint64_t most) { return least + below(most - least + 1); }
  /// In [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  bool happens(double probability) { return probability > 0 && unit() < probability; }
  bool one_in(uint64_t count) { return below(count) == 0; }
  /// In [least, most], as likely to lie in one octave as in any other.
  uint64_t spread(uint64_t least, uint64_t most) {
    uint64_t octaves = 0;
    while (octaves < 63 && (least << octaves) < most) octaves++;
    const uint64_t from = least << below(octaves + 1);
    const uint64_t value = from + below(from);
    return value > most ? most : value;
  }
  template <typename T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[below(values.size())];
  }

 private:
  worker::Random generator_;
};

}  // namespace weir::sim
