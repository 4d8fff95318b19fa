#pragma once
#include <array>
#include <cstdint>

#include "base/counters.h"
#include "sandbox/abi.h"

namespace weir::sandbox {

enum class AppCounter : uint32_t {
#define WEIR_APP_COUNTER(name, group, meaning) name,
#include "sandbox/app_counters.def"
#undef WEIR_APP_COUNTER
};

inline constexpr size_t kAppCounterCount = 0
#define WEIR_APP_COUNTER(name, group, meaning) +1
#include "sandbox/app_counters.def"
#undef WEIR_APP_COUNTER
    ;

inline constexpr std::array<CounterDescription, kAppCounterCount> kAppCounterDescriptions = {{
#define WEIR_APP_COUNTER(name, group, meaning) {#name, #group, meaning},
#include "sandbox/app_counters.def"
#undef WEIR_APP_COUNTER
}};

/// The counters of one app, in memory that other processes may map; see Counters.
class AppCounters {
 public:
  explicit AppCounters(uint64_t* values) : values_(values) {}
  void add(AppCounter counter, uint64_t amount = 1) {
    uint64_t& value = values_[static_cast<size_t>(counter)];
    __atomic_store_n(&value, value + amount, __ATOMIC_RELAXED);
  }
  void set(AppCounter counter, uint64_t amount) {
    __atomic_store_n(&values_[static_cast<size_t>(counter)], amount, __ATOMIC_RELAXED);
  }
  void refused(abi::Refusal why) {
    add(static_cast<AppCounter>(static_cast<uint32_t>(AppCounter::refused_stale_handle) +
                                static_cast<uint32_t>(why)));
  }
  uint64_t operator[](AppCounter counter) const { return values_[static_cast<size_t>(counter)]; }
  /// For an id that is used again by another app.
  void clear() {
    for (size_t i = 0; i < kAppCounterCount; i++)
      __atomic_store_n(&values_[i], 0, __ATOMIC_RELAXED);
  }

 private:
  uint64_t* values_;
};

static_assert(static_cast<uint32_t>(AppCounter::refused_bad_ticket) -
                      static_cast<uint32_t>(AppCounter::refused_stale_handle) + 1 ==
                  abi::kRefusalCount,
              "one counter for each abi::Refusal");

}  // namespace weir::sandbox
