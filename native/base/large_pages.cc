#include "base/large_pages.h"

#include <sys/mman.h>

#include <cstdint>

namespace weir {

void prefer_large_pages(void* start, size_t bytes) {
  constexpr uintptr_t kPageBytes = 4096;
  const uintptr_t from = (reinterpret_cast<uintptr_t>(start) + kPageBytes - 1) & ~(kPageBytes - 1);
  const uintptr_t to = (reinterpret_cast<uintptr_t>(start) + bytes) & ~(kPageBytes - 1);
  if (from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
}

}  // namespace weir
