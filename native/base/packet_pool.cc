#include "base/packet_pool.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>

#include <algorithm>
#include <new>

namespace weir {

namespace {

/// Buffers that a thread keeps at hand, most recently used first.
constexpr uint32_t kCacheBuffers = 256;
constexpr size_t kLargePageBytes = 2 << 20;

uint16_t room_of(const PacketPoolConfig& config) {
  return static_cast<uint16_t>(RTE_PKTMBUF_HEADROOM + config.data_bytes);
}
uint32_t cache_of(const PacketPoolConfig& config) {
  // A cache may hold one and a half times its size; a small pool must not lie in it whole.
  return std::min(kCacheBuffers, config.count / 8);
}
const char* operations_of(const PacketPoolConfig& config) {
  return config.single_thread ? "ring_sp_sc" : "ring_mp_mc";
}

/// Memory of ours for all buffers of a pool, for which the kernel may have large pages. nullptr
/// without memory.
std::unique_ptr<PageArray<uint8_t>> memory_for(const rte_mempool* pool) {
  size_t chunk_bytes = 0, alignment_bytes = 0;
  const ssize_t needed =
      rte_mempool_op_calc_mem_size_default(pool, pool->size, 0, &chunk_bytes, &alignment_bytes);
  if (needed <= 0) return nullptr;
  const size_t bytes = (static_cast<size_t>(needed) + alignment_bytes + kLargePageBytes - 1) &
                       ~(kLargePageBytes - 1);
  if (bytes > UINT32_MAX) return nullptr;
  try {
    return std::make_unique<PageArray<uint8_t>>(static_cast<uint32_t>(bytes));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

/// A pool whose buffers lie in `memory`, one behind the other: DPDK would put one of these on each
/// small page, where they all fall into the same lines of the first cache. nullptr with rte_errno.
rte_mempool* create_outside(const PacketPoolConfig& config,
                            std::unique_ptr<PageArray<uint8_t>>& memory) {
  rte_pktmbuf_pool_private layout{};
  layout.mbuf_data_room_size = room_of(config);
  rte_mempool* pool = rte_mempool_create_empty(
      config.name.c_str(), config.count, static_cast<unsigned>(sizeof(rte_mbuf)) + room_of(config),
      cache_of(config), sizeof layout, SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
  if (pool == nullptr) return nullptr;
  rte_mempool_set_ops_byname(pool, operations_of(config), nullptr);
  rte_pktmbuf_pool_init(pool, &layout);
  memory = memory_for(pool);
  if (memory == nullptr || rte_mempool_populate_virt(pool, reinterpret_cast<char*>(memory->data()),
                                                     memory->size_bytes(), kLargePageBytes, nullptr,
                                                     nullptr) != static_cast<int>(pool->size)) {
    rte_mempool_free(pool);
    rte_errno = ENOMEM;
    return nullptr;
  }
  rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
  return pool;
}

}  // namespace

std::unique_ptr<PacketPool> PacketPool::create(const PacketPoolConfig& config, std::string& error) {
  std::unique_ptr<PageArray<uint8_t>> memory;
  rte_mempool* pool =
      rte_eal_has_hugepages() != 0 || config.for_card
          ? rte_pktmbuf_pool_create_by_ops(config.name.c_str(), config.count, cache_of(config), 0,
                                           room_of(config), SOCKET_ID_ANY, operations_of(config))
          : create_outside(config, memory);
  if (pool != nullptr) return std::unique_ptr<PacketPool>(new PacketPool(pool, std::move(memory)));

  const int reason = rte_errno;
  error = "cannot create packet pool " + config.name + " of " + std::to_string(config.count) +
          " buffers of " + std::to_string(config.data_bytes) + " bytes: " + rte_strerror(reason);
  if (reason == ENOMEM) error += " (give DPDK more memory, or the pool fewer buffers)";
  if (reason == EEXIST) error += " (a pool of that name exists)";
  return nullptr;
}

PacketPool::~PacketPool() { rte_mempool_free(pool_); }

uint32_t PacketPool::free_count() const { return rte_mempool_avail_count(pool_); }

}  // namespace weir
