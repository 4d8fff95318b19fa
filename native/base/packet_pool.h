#pragma once
#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/page_array.h"

namespace weir {

struct PacketPoolConfig {
  /// Unique in the process, at most 20 characters.
  std::string name;
  /// Buffers; 2^n - 1 wastes no memory.
  uint32_t count = 8191;
  /// Room for packet bytes in a buffer, behind RTE_PKTMBUF_HEADROOM.
  uint16_t data_bytes = 2048;
  /// Buffers are taken and given back by one thread only, after construction: no atomic operations
  /// are needed. False for buffers that travel between threads.
  bool single_thread = true;
  /// A card reads and writes the buffers itself: they have to lie where DPDK has told it.
  bool for_card = false;
};

/// Whole frames: 128 bytes of headroom and 2,048 of data make a stride of 2,176 bytes, which
/// spreads the headers over the sets of the first-level cache; a stride of 2,048 would put them all
/// into two.
inline constexpr uint16_t kFrameDataBytes = 2048;
/// Headers of packets whose payload lies elsewhere, and packets without payload.
inline constexpr uint16_t kHeaderDataBytes = 256;

/// A pool of packet buffers.
class PacketPool {
 public:
  /// DPDK's environment must have been started. Returns nothing and sets `error` (what failed, why,
  /// what to do) on failure.
  static std::unique_ptr<PacketPool> create(const PacketPoolConfig& config, std::string& error);
  /// All buffers must have been given back.
  ~PacketPool();
  PacketPool(const PacketPool&) = delete;
  PacketPool& operator=(const PacketPool&) = delete;

  rte_mempool* get() const { return pool_; }
  /// Buffers that nobody holds. For tests and statistics: it walks over all threads' caches.
  uint32_t free_count() const;

 private:
  PacketPool(rte_mempool* pool, std::unique_ptr<PageArray<uint8_t>> memory)
      : memory_(std::move(memory)), pool_(pool) {}

  /// The buffers, where DPDK has no hugepages for them.
  std::unique_ptr<PageArray<uint8_t>> memory_;
  rte_mempool* pool_;
};

}  // namespace weir
