#pragma once
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>

#include "base/frame_ring.h"
#include "port/port.h"

namespace weir::port {

/// One end of a pair of ports in this process: what one sends the other receives, the same buffers.
/// Each end is for one thread. Buffers are freed at the other end: when the ends belong to
/// different threads, the pools must allow for that.
class RingPort final : public Port {
 public:
  using Pair = std::pair<std::unique_ptr<RingPort>, std::unique_ptr<RingPort>>;

  /// Two ports that are connected. Each direction holds `capacity` frames (rounded up to a power of
  /// two, less one). The link addresses are 02:00:00:00:00:01 and 02:00:00:00:00:02. Nothing when
  /// memory is short.
  static Pair make_pair(uint32_t capacity, uint16_t mtu_bytes = 1500);
  ~RingPort() override;
  RingPort(const RingPort&) = delete;
  RingPort& operator=(const RingPort&) = delete;

  uint32_t receive(rte_mbuf** frames, uint32_t capacity) override;
  uint32_t transmit(rte_mbuf** frames, uint32_t count) override;
  /// There is nothing to wait on: -1.
  int wait_descriptor() const override { return -1; }
  std::array<uint8_t, 6> link_address() const override { return link_address_; }
  uint16_t mtu_bytes() const override { return mtu_bytes_; }

 private:
  RingPort(std::shared_ptr<FrameRing> incoming, std::shared_ptr<FrameRing> outgoing,
           uint8_t last_byte, uint16_t mtu_bytes);

  std::shared_ptr<FrameRing> incoming_;
  std::shared_ptr<FrameRing> outgoing_;
  std::array<uint8_t, 6> link_address_;
  uint16_t mtu_bytes_;
};

}  // namespace weir::port
