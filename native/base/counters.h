#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace weir {

/// One counter of a worker; counters.def is the list.
enum class Counter : uint32_t {
#define WEIR_COUNTER(name, group, meaning) name,
#include "base/counters.def"
#undef WEIR_COUNTER
};

inline constexpr size_t kCounterCount = 0
#define WEIR_COUNTER(name, group, meaning) +1
#include "base/counters.def"
#undef WEIR_COUNTER
    ;

struct CounterDescription {
  const char* name;
  const char* group;
  const char* meaning;
};

inline constexpr std::array<CounterDescription, kCounterCount> kCounterDescriptions = {{
#define WEIR_COUNTER(name, group, meaning) {#name, #group, meaning},
#include "base/counters.def"
#undef WEIR_COUNTER
}};

/// The counters of one worker. They live in memory that other processes may map; only the worker
/// writes them, with plain stores of aligned words, so a reader sees each value whole.
class Counters {
 public:
  /// `values` points at kCounterCount words that outlive this object.
  explicit Counters(uint64_t* values) : values_(values) {}

  void add(Counter counter, uint64_t amount = 1) {
    uint64_t& value = values_[static_cast<size_t>(counter)];
    __atomic_store_n(&value, value + amount, __ATOMIC_RELAXED);
  }
  /// For the few that are no sums.
  void set(Counter counter, uint64_t value) {
    __atomic_store_n(&values_[static_cast<size_t>(counter)], value, __ATOMIC_RELAXED);
  }
  uint64_t operator[](Counter counter) const { return values_[static_cast<size_t>(counter)]; }

 private:
  uint64_t* values_;
};

}  // namespace weir
