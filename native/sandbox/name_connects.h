#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "net/address.h"
#include "sandbox/flow_table.h"

namespace weir::sandbox {

/// A connection by name that is being opened: the addresses of the name, tried one after the other.
struct NameConnect {
  static constexpr uint32_t kMaxAddresses = 8;

  uint32_t flow = Flow::kNone;
  /// Index of the [[connect]] entry.
  uint32_t entry = 0;
  uint16_t port = 0;
  bool is_waiting = false;
  uint8_t count = 0;
  uint8_t next = 0;
  std::array<net::Address, kMaxAddresses> addresses{};
};

/// The connects by name of one app that are not open yet. Empty until the app makes one.
class NameConnects {
 public:
  static constexpr uint32_t kCapacity = 256;
  /// Names that one app may have looked up at the same time: the stack's lookups are everybody's.
  static constexpr uint32_t kMaxNames = 8;

  /// Index of a fresh one, or Flow::kNone at the bound.
  uint32_t take() {
    if (all_.empty()) all_.resize(kCapacity);
    for (uint32_t i = 0; i < kCapacity; i++)
      if (all_[i].flow == Flow::kNone) return i;
    return Flow::kNone;
  }
  NameConnect& operator[](uint32_t index) { return all_[index]; }
  auto begin() { return all_.begin(); }
  auto end() { return all_.end(); }
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }

 private:
  std::vector<NameConnect> all_;
};

}  // namespace weir::sandbox
