#pragma once
#include <cstddef>

namespace weir {

/// Asks the kernel for large pages (2 MiB on x86) wherever they fit into [start, start + bytes),
/// memory that nobody has touched yet: walks over many connections and packet buffers miss the TLB
/// otherwise. It is a wish; where there are none, nothing changes.
void prefer_large_pages(void* start, size_t bytes);

}  // namespace weir
