#pragma once
#include <cstdint>

namespace weir {

/// Both halves of a product of two words, folded into one: what keyed hashes of short keys are made
/// of.
inline uint64_t multiply_fold(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace weir
