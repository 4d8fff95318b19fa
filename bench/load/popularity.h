#pragma once
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace weir::load {

/// Draws numbers by weight in constant time (Walker, 1977; Vose, 1991): each slot of a table is
/// shared by at most two numbers.
class Popularity {
 public:
  explicit Popularity(const std::vector<double>& weights) : slots_(weights.size()) {
    double sum = 0;
    for (double weight : weights) sum += weight;
    std::vector<double> shares;
    std::vector<uint32_t> small, large;
    for (uint32_t i = 0; i < weights.size(); i++) {
      shares.push_back(weights[i] * static_cast<double>(weights.size()) / sum);
      (shares[i] < 1 ? small : large).push_back(i);
    }
    while (!small.empty() && !large.empty()) {
      const uint32_t less = small.back(), more = large.back();
      small.pop_back();
      slots_[less] = {static_cast<float>(shares[less]), more};
      shares[more] -= 1 - shares[less];
      if (shares[more] >= 1) continue;
      large.pop_back();
      small.push_back(more);
    }
    for (const auto& rest : {small, large})
      for (uint32_t i : rest) slots_[i] = {1, i};
  }

  /// Of n numbers, the k-th is as likely as 1 / k^exponent says, from k = 1 on.
  static Popularity zipf(uint32_t n, double exponent) {
    std::vector<double> weights;
    for (uint32_t i = 0; i < n; i++) weights.push_back(std::pow(i + 1.0, -exponent));
    return Popularity(weights);
  }

  uint32_t draw(std::mt19937_64& random) const {
    const uint64_t word = random();
    // The upper half chooses a slot, the lower one whose part of it.
    const auto slot = static_cast<uint32_t>((word >> 32) * slots_.size() >> 32);
    const float part = static_cast<float>(word & 0xffffff) * 0x1p-24f;
    return part < slots_[slot].share ? slot : slots_[slot].other;
  }

 private:
  struct Slot {
    float share = 1;
    uint32_t other = 0;
  };
  std::vector<Slot> slots_;
};

}  // namespace weir::load
