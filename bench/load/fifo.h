#pragma once
#include <cstdint>
#include <vector>

namespace weir::load {

/// A queue of bounded length. The caller looks whether there is room, and whether there is
/// anything.
template <typename T>
class Fifo {
 public:
  explicit Fifo(uint32_t capacity) : entries_(capacity) {}

  bool is_empty() const { return count_ == 0; }
  bool is_full() const { return count_ == entries_.size(); }
  const T& front() const { return entries_[at_]; }
  void push(const T& entry) {
    const uint64_t end = uint64_t{at_} + count_++;
    entries_[end < entries_.size() ? end : end - entries_.size()] = entry;
  }
  T pop() {
    const T entry = entries_[at_];
    at_ = at_ + 1 == entries_.size() ? 0 : at_ + 1;
    count_--;
    return entry;
  }

 private:
  std::vector<T> entries_;
  uint32_t at_ = 0;
  uint32_t count_ = 0;
};

}  // namespace weir::load
