#pragma once
#include <cstdint>

#include "net/address.h"

namespace weir::net {

/// What a handler sees of a connection. TCP's own state lies behind it (tcp/control_block.h).
struct Connection {
  /// The handler's own value.
  uint32_t user = 0;
  /// Ask for FlowEvents::on_acknowledged.
  bool wants_acknowledged = false;
  Endpoint local;
  Endpoint remote;
};

}  // namespace weir::net
