#include "base/packet_pool.h"

#include <rte_errno.h>
#include <rte_mempool.h>

#include <algorithm>

namespace weir {

namespace {
/// Buffers that a thread keeps at hand, most recently used first.
constexpr uint32_t kCacheBuffers = 256;
}  // namespace

std::unique_ptr<PacketPool> PacketPool::create(const PacketPoolConfig& config, std::string& error) {
  // A cache may hold one and a half times its size; a small pool must not lie in it whole.
  const uint32_t cache = std::min(kCacheBuffers, config.count / 8);
  rte_mempool* pool = rte_pktmbuf_pool_create_by_ops(
      config.name.c_str(), config.count, cache, 0,
      static_cast<uint16_t>(RTE_PKTMBUF_HEADROOM + config.data_bytes), SOCKET_ID_ANY,
      config.single_thread ? "ring_sp_sc" : "ring_mp_mc");
  if (pool != nullptr) return std::unique_ptr<PacketPool>(new PacketPool(pool));

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
