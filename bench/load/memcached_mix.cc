#include "memcached_mix.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace weir::load {
namespace {

/// Section 5.3 of the paper: how likely an ETC value of 0 to 14 bytes is; the others follow the
/// generalized Pareto distribution.
constexpr std::array kShortValues = {0.00536, 0.00047, 0.17820, 0.09239, 0.00018,
                                     0.02740, 0.00065, 0.00606, 0.00023, 0.00837,
                                     0.00837, 0.08989, 0.00092, 0.00326, 0.01980};
constexpr double kValueScale = 214.476;
constexpr double kValueShape = 0.348238;
/// Lengths of ETC keys follow the generalized extreme value distribution.
constexpr double kKeyLocation = 30.7984;
constexpr double kKeyScale = 8.20449;
constexpr double kKeyShape = 0.078688;
constexpr uint32_t kEtcKeyBytes[] = {20, MemcachedMix::kMostKeyBytes};
constexpr uint32_t kUsrKeyBytes[] = {16, 21};
constexpr uint32_t kUsrValueBytes = 2;
constexpr double kEtcSetShare = 1.0 / 31;
constexpr double kUsrSetShare = 0.002;

constexpr uint32_t kNumberDigits = 16;
constexpr uint32_t kLetters = 26;

/// In (0, 1).
double unit(std::mt19937_64& random) {
  return (static_cast<double>(random() >> 12) + 0.5) * 0x1p-52;
}

uint32_t etc_key_bytes(std::mt19937_64& random) {
  const double drawn =
      kKeyLocation + kKeyScale * (std::pow(-std::log(unit(random)), -kKeyShape) - 1) / kKeyShape;
  return std::clamp(static_cast<uint32_t>(std::max(0.0, std::round(drawn))), kEtcKeyBytes[0],
                    kEtcKeyBytes[1]);
}

uint32_t etc_value_bytes(std::mt19937_64& random) {
  double rest = unit(random);
  for (uint32_t bytes = 0; bytes < kShortValues.size(); bytes++) {
    rest -= kShortValues[bytes];
    if (rest < 0) return bytes;
  }
  const double drawn = kValueScale * (std::pow(unit(random), -kValueShape) - 1) / kValueShape;
  return static_cast<uint32_t>(
      std::clamp<double>(std::round(drawn), kShortValues.size(), MemcachedMix::kMostValueBytes));
}

/// Numbers that follow one another have keys that do not: each bit depends on all of them, and no
/// two numbers have the same (the finalizer of SplitMix64).
uint64_t scattered(uint64_t number) {
  number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9;
  number = (number ^ number >> 27) * 0x94d049bb133111eb;
  return number ^ number >> 31;
}

/// Values are parts of it.
const std::string& alphabet() {
  static const std::string letters = [] {
    std::string all;
    for (uint32_t i = 0; i < MemcachedMix::kMostValueBytes + kLetters; i++)
      all.push_back(static_cast<char>('a' + i % kLetters));
    return all;
  }();
  return letters;
}

}  // namespace

MemcachedMix::MemcachedMix(MemcachedKind kind, uint32_t keys, uint64_t seed)
    : random_(seed),
      first_(uint64_t{static_cast<uint8_t>(kind)} << 32),
      set_share_(kind == MemcachedKind::etc ? kEtcSetShare : kUsrSetShare),
      popularity_(Popularity::zipf(keys, kZipfExponent)) {
  for (uint32_t i = 0; i < keys; i++) {
    if (kind == MemcachedKind::etc)
      items_.push_back({.value_bytes = static_cast<uint16_t>(etc_value_bytes(random_)),
                        .key_bytes = static_cast<uint8_t>(etc_key_bytes(random_))});
    else
      items_.push_back({.value_bytes = kUsrValueBytes,
                        .key_bytes = static_cast<uint8_t>(kUsrKeyBytes[random_() & 1])});
  }
}

MemcachedMix::Request MemcachedMix::draw() {
  return {.key = popularity_.draw(random_), .is_set = unit(random_) < set_share_};
}

uint32_t MemcachedMix::write_key(uint32_t number, char* to) const {
  uint64_t digits = scattered(first_ + number);
  for (uint32_t i = 0; i < kNumberDigits; i++, digits >>= 4)
    to[i] = "0123456789abcdef"[digits & 15];
  const uint32_t bytes = items_[number].key_bytes;
  std::fill(to + kNumberDigits, to + bytes, 'k');
  return bytes;
}

std::string_view MemcachedMix::value(uint32_t number) const {
  return std::string_view(alphabet()).substr(number % kLetters, items_[number].value_bytes);
}

}  // namespace weir::load
