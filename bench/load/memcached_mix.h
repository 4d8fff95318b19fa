#pragma once
#include <cstdint>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "popularity.h"

namespace weir::load {

/// Two of the loads of Atikoglu et al., Workload Analysis of a Large-Scale Key-Value Store
/// (SIGMETRICS'12).
enum class MemcachedKind : uint8_t {
  /// The general one: small keys, values of many lengths, 30 gets for each set.
  etc,
  /// Keys of 16 and 21 bytes, values of 2, 998 gets for each 2 sets.
  usr,
};

/// The keys of a load, the lengths of their values, and which of them is asked for how often.
class MemcachedMix {
 public:
  static constexpr uint32_t kMostKeyBytes = 45;
  static constexpr uint32_t kMostValueBytes = 1'024;
  static constexpr double kZipfExponent = 0.99;

  struct Request {
    uint32_t key;
    bool is_set;
  };

  MemcachedMix(MemcachedKind kind, uint32_t keys, uint64_t seed);

  uint32_t keys() const { return static_cast<uint32_t>(items_.size()); }
  Request draw();
  /// Writes the key with this number and returns its length.
  uint32_t write_key(uint32_t number, char* to) const;
  /// The value that belongs to a key.
  std::string_view value(uint32_t number) const;

 private:
  struct Item {
    uint16_t value_bytes;
    uint8_t key_bytes;
  };

  std::mt19937_64 random_;
  /// Keys of two kinds are different ones.
  uint64_t first_;
  double set_share_;
  std::vector<Item> items_;
  Popularity popularity_;
};

}  // namespace weir::load
