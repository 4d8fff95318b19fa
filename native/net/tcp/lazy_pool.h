#pragma once
#include <cstdint>
#include <new>

#include "base/page_array.h"

namespace weir::net::tcp {

/// A fixed number of objects whose memory is taken from the kernel page by page as they are first
/// used, and that are handed out and taken back in constant time. Objects are constructed when
/// taken and must be trivially destructible.
template <typename T>
class LazyPool {
 public:
  explicit LazyPool(uint32_t capacity) : items_(capacity), capacity_(capacity) {}
  LazyPool(const LazyPool&) = delete;
  LazyPool& operator=(const LazyPool&) = delete;

  /// nullptr when all are in use.
  T* take() {
    T* item;
    if (free_ != nullptr) {
      item = free_;
      free_ = *reinterpret_cast<T**>(item);
    } else if (touched_ < capacity_) {
      item = &items_[touched_++];
    } else {
      return nullptr;
    }
    used_++;
    // Not T(): that would zero what has no initializer, the storage of copied bytes among it.
    return new (item) T;
  }
  void give_back(T* item) {
    *reinterpret_cast<T**>(item) = free_;
    free_ = item;
    used_--;
  }
  T& operator[](uint32_t index) { return items_[index]; }
  uint32_t index_of(const T* item) const { return static_cast<uint32_t>(item - items_.data()); }
  /// Items that were ever taken lie below this index.
  uint32_t touched() const { return touched_; }
  uint32_t used() const { return used_; }
  uint32_t capacity() const { return capacity_; }

 private:
  PageArray<T> items_;
  T* free_ = nullptr;
  uint32_t capacity_;
  uint32_t touched_ = 0;
  uint32_t used_ = 0;
};

}  // namespace weir::net::tcp
