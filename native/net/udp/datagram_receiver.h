#pragma once
#include "net/flow_events.h"

namespace weir::net::udp {

/// Somebody inside the stack who has a UDP port and no connections.
class DatagramReceiver : public FlowEvents {
 public:
  bool on_knock(uint32_t, const Endpoint&) final { return false; }
  bool on_opened(Connection&, uint32_t, bool) final { return false; }
  bool on_data(Connection&, const Payload&) final { return false; }
  void on_end(Connection&) final {}
  void on_acknowledged(Connection&, uint32_t) final {}
  void on_closed(Connection&, CloseReason) final {}

 protected:
  ~DatagramReceiver() = default;
};

}  // namespace weir::net::udp
