#include "port/ring_port.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <bit>

namespace weir::port {

struct RingPort::Ring {
  explicit Ring(rte_ring* memory) : ring(memory) {}
  ~Ring() {
    void* frame = nullptr;
    while (rte_ring_sc_dequeue(ring, &frame) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(frame));
    std::free(ring);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  static std::shared_ptr<Ring> make(uint32_t capacity) {
    const uint32_t slots = std::bit_ceil(capacity + 1);
    const ssize_t bytes = rte_ring_get_memsize(slots);
    if (bytes < 0) return nullptr;
    void* memory = std::aligned_alloc(RTE_CACHE_LINE_SIZE, static_cast<size_t>(bytes));
    if (memory == nullptr) return nullptr;
    auto* ring = static_cast<rte_ring*>(memory);
    if (rte_ring_init(ring, "weir", slots, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
      std::free(memory);
      return nullptr;
    }
    return std::make_shared<Ring>(ring);
  }

  rte_ring* ring;
};

RingPort::Pair RingPort::make_pair(uint32_t capacity, uint16_t mtu_bytes) {
  auto forth = Ring::make(capacity);
  auto back = Ring::make(capacity);
  if (forth == nullptr || back == nullptr) return {};
  return {std::unique_ptr<RingPort>(new RingPort(back, forth, 1, mtu_bytes)),
          std::unique_ptr<RingPort>(new RingPort(forth, back, 2, mtu_bytes))};
}

RingPort::RingPort(std::shared_ptr<Ring> incoming, std::shared_ptr<Ring> outgoing,
                   uint8_t last_byte, uint16_t mtu_bytes)
    : incoming_(std::move(incoming)),
      outgoing_(std::move(outgoing)),
      link_address_{0x02, 0, 0, 0, 0, last_byte},
      mtu_bytes_(mtu_bytes) {}

RingPort::~RingPort() = default;

uint32_t RingPort::receive(rte_mbuf** frames, uint32_t capacity) {
  return rte_ring_sc_dequeue_burst(incoming_->ring, reinterpret_cast<void**>(frames), capacity,
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
  return rte_ring_sp_enqueue_burst(outgoing_->ring, reinterpret_cast<void* const*>(frames), count,
                                   nullptr);
}

}  // namespace weir::port
