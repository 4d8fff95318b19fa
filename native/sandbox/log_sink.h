#pragma once
#include <cstdint>
#include <string_view>

#include "sandbox/abi.h"

namespace weir::sandbox {

/// Where a guest's log lines go. Never blocks; bounded behind it.
class LogSink {
 public:
  virtual void line(abi::LogLevel level, std::string_view text) = 0;
  /// Lines beyond the rate limit.
  virtual void lines_dropped(uint32_t count) = 0;

 protected:
  ~LogSink() = default;
};

}  // namespace weir::sandbox
