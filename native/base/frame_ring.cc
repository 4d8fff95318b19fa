#include "base/frame_ring.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <bit>
#include <cstdlib>

namespace weir {

std::unique_ptr<FrameRing> FrameRing::make(uint32_t capacity) {
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
  return std::unique_ptr<FrameRing>(new FrameRing(ring));
}

FrameRing::~FrameRing() {
  void* frame = nullptr;
  while (rte_ring_sc_dequeue(ring_, &frame) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(frame));
  std::free(ring_);
}

}  // namespace weir
