#include "port/ring_port.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

namespace weir::port {

RingPort::Pair RingPort::make_pair(uint32_t capacity, uint16_t mtu_bytes) {
  const std::shared_ptr<FrameRing> forth = FrameRing::make(capacity);
  const std::shared_ptr<FrameRing> back = FrameRing::make(capacity);
  if (forth == nullptr || back == nullptr) return {};
  return {std::unique_ptr<RingPort>(new RingPort(back, forth, 1, mtu_bytes)),
          std::unique_ptr<RingPort>(new RingPort(forth, back, 2, mtu_bytes))};
}

RingPort::RingPort(std::shared_ptr<FrameRing> incoming, std::shared_ptr<FrameRing> outgoing,
                   uint8_t last_byte, uint16_t mtu_bytes)
    : incoming_(std::move(incoming)),
      outgoing_(std::move(outgoing)),
      link_address_{0x02, 0, 0, 0, 0, last_byte},
      mtu_bytes_(mtu_bytes) {}

RingPort::~RingPort() = default;

uint32_t RingPort::receive(rte_mbuf** frames, uint32_t capacity) {
  return rte_ring_sc_dequeue_burst(incoming_->get(), reinterpret_cast<void**>(frames), capacity,
                                   nullptr);
}

uint32_t RingPort::transmit(rte_mbuf** frames, uint32_t count) {
  // What the sender asks of its device, the receiver finds done: a checksum that is left to the
  // device is not there, and the bytes are intact.
  for (uint32_t i = 0; i < count; i++) {
    uint64_t& flags = frames[i]->ol_flags;
    const bool without_checksum = (flags & RTE_MBUF_F_TX_L4_MASK) != 0;
    flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    if (without_checksum) flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
  }
  return rte_ring_sp_enqueue_burst(outgoing_->get(), reinterpret_cast<void* const*>(frames), count,
                                   nullptr);
}

}  // namespace weir::port
