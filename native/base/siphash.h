#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weir {

/// SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash that cannot be predicted without the
/// key.
inline uint64_t siphash(const uint64_t key[2], const void* data, size_t length_bytes) {
  uint64_t v0 = key[0] ^ 0x736f6d6570736575, v1 = key[1] ^ 0x646f72616e646f6d,
           v2 = key[0] ^ 0x6c7967656e657261, v3 = key[1] ^ 0x7465646279746573;
  auto round = [&] {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  };
  const auto* at = static_cast<const uint8_t*>(data);
  size_t left = length_bytes;
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
  uint64_t last = 0;
  std::memcpy(&last, at, left);
  last |= static_cast<uint64_t>(length_bytes) << 56;
  v3 ^= last;
  round();
  round();
  v0 ^= last;
  v2 ^= 0xff;
  for (int i = 0; i < 4; i++) round();
  return v0 ^ v1 ^ v2 ^ v3;
}

}  // namespace weir
