#pragma once
#include <cstdint>
#include <vector>

#include "sandbox/flow_table.h"

namespace weir::sandbox {

/// Received bytes that a guest has been shown, or will be, and has not given back.
struct View {
  uint32_t address;
  uint32_t length_bytes;
  uint32_t next;
  /// Given back out of order, by a forward; it goes when the views before it have gone.
  bool given_back;
};

/// The views of one app. Bounded, and not touched before it is used.
class ViewPool {
 public:
  static constexpr uint32_t kCapacity = 65536;

  bool has_room(uint32_t count) const { return kCapacity - in_use_ >= count; }
  /// Flow::kNone when all are in use.
  uint32_t take(uint32_t address, uint32_t length_bytes) {
    uint32_t index;
    if (free_head_ != Flow::kNone) {
      index = free_head_;
      free_head_ = views_[index].next;
    } else {
      if (views_.size() == kCapacity) return Flow::kNone;
      index = static_cast<uint32_t>(views_.size());
      views_.emplace_back();
    }
    views_[index] = {address, length_bytes, Flow::kNone, false};
    in_use_++;
    return index;
  }
  void give_back(uint32_t index) {
    views_[index].next = free_head_;
    free_head_ = index;
    in_use_--;
  }
  View& operator[](uint32_t index) { return views_[index]; }

  ViewPool() { views_.reserve(kCapacity); }

 private:
  std::vector<View> views_;
  uint32_t free_head_ = Flow::kNone;
  uint32_t in_use_ = 0;
};

}  // namespace weir::sandbox
