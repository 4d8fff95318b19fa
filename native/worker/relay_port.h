#pragma once
#include "port/port.h"
#include "worker/steering.h"

namespace weir::worker {

/// The port of a worker that has no queue of its own: what it receives comes through the crossing,
/// and what it sends leaves through the queue of worker 0.
class RelayPort final : public port::Port {
 public:
  /// Both outlive this; `beside` is the port of worker 0.
  RelayPort(Steering& steering, const port::Port& beside)
      : steering_(steering),
        link_address_(beside.link_address()),
        mtu_bytes_(beside.mtu_bytes()),
        beside_(beside) {}

  uint32_t receive(rte_mbuf**, uint32_t) override { return 0; }
  uint32_t transmit(rte_mbuf** frames, uint32_t count) override {
    return steering_.send_through(0, frames, count);
  }
  int wait_descriptor() const override { return steering_.descriptor(); }
  std::array<uint8_t, 6> link_address() const override { return link_address_; }
  uint16_t mtu_bytes() const override { return mtu_bytes_; }
  bool is_up() const override { return beside_.is_up(); }

 private:
  Steering& steering_;
  std::array<uint8_t, 6> link_address_;
  uint16_t mtu_bytes_;
  const port::Port& beside_;
};

}  // namespace weir::worker
