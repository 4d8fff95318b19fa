#pragma once
#include <cstdint>

namespace weir::net {

/// The stack's time, set by the worker and read by the layers. Microseconds, monotonic.
struct Clock {
  uint64_t now_us = 0;
};

}  // namespace weir::net
