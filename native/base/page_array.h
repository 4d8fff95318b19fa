#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include "base/large_pages.h"

namespace weir {

/// A fixed number of objects that begin as zeros, in pages that the kernel gives as they are first
/// written, large ones where it has them. Objects are neither constructed nor destroyed.
template <typename T>
class PageArray {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  /// Throws std::bad_alloc when the address space has no room.
  explicit PageArray(uint32_t count) : bytes_(size_t{count} * sizeof(T)) {
    if (bytes_ == 0) return;
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    prefer_large_pages(memory, bytes_);
    items_ = static_cast<T*>(memory);
  }
  ~PageArray() {
    if (items_ != nullptr) munmap(items_, bytes_);
  }
  PageArray(const PageArray&) = delete;
  PageArray& operator=(const PageArray&) = delete;

  T* data() { return items_; }
  const T* data() const { return items_; }
  size_t size_bytes() const { return bytes_; }
  T& operator[](uint32_t index) { return items_[index]; }
  const T& operator[](uint32_t index) const { return items_[index]; }

 private:
  T* items_ = nullptr;
  size_t bytes_;
};

}  // namespace weir
