#include "base/packet_pool.h"

#include <gtest/gtest.h>
#include <rte_mempool.h>

#include <thread>
#include <vector>

#include "base/eal.h"

namespace weir {
namespace {

TEST(PacketPoolTest, GivesEveryBufferOnce) {
  std::string error;
  for (const bool single_thread : {true, false}) {
    const auto pool = PacketPool::create(
        {.name = "test_pool", .count = 1023, .data_bytes = 512, .single_thread = single_thread},
        error);
    ASSERT_NE(pool, nullptr) << error;
    EXPECT_EQ(pool->free_count(), 1023u);
    std::vector<rte_mbuf*> taken;
    while (rte_mbuf* buffer = rte_pktmbuf_alloc(pool->get())) taken.push_back(buffer);
    EXPECT_EQ(taken.size(), 1023u);
    EXPECT_EQ(rte_pktmbuf_headroom(taken[0]), RTE_PKTMBUF_HEADROOM);
    EXPECT_EQ(rte_pktmbuf_tailroom(taken[0]), 512);
    for (rte_mbuf* buffer : taken) rte_pktmbuf_free(buffer);
    EXPECT_EQ(pool->free_count(), 1023u);
  }
}

TEST(PacketPoolTest, ABufferOfAFrameHasTheStrideOfTheDesign) {
  EXPECT_EQ(RTE_PKTMBUF_HEADROOM + kFrameDataBytes, 2176);
}

TEST(PacketPoolTest, ErrorsSayWhy) {
  std::string error;
  EXPECT_EQ(PacketPool::create({.name = "test_huge", .count = 1u << 21}, error), nullptr);
  EXPECT_NE(error.find("test_huge"), std::string::npos) << error;
  EXPECT_NE(error.find("give DPDK more memory"), std::string::npos) << error;
  const auto pool = PacketPool::create({.name = "test_twice", .count = 15}, error);
  ASSERT_NE(pool, nullptr);
  EXPECT_EQ(PacketPool::create({.name = "test_twice", .count = 15}, error), nullptr);
  EXPECT_NE(error.find("a pool of that name exists"), std::string::npos) << error;
}

TEST(EalTest, StartsOnlyOnce) { EXPECT_EQ(start_eal({}), ""); }

TEST(EalTest, ARegisteredThreadHasACache) {
  std::string error;
  const auto pool = PacketPool::create({.name = "test_cache", .count = 1023}, error);
  ASSERT_NE(pool, nullptr) << error;
  std::thread([&] {
    EXPECT_EQ(rte_mempool_default_cache(pool->get(), rte_lcore_id()), nullptr);
    const EalThread thread;
    EXPECT_TRUE(thread.is_registered());
    {
      const EalThread again;
      EXPECT_TRUE(again.is_registered());
    }
    rte_mempool_cache* cache = rte_mempool_default_cache(pool->get(), rte_lcore_id());
    ASSERT_NE(cache, nullptr) << "the inner object must not have ended the registration";
    rte_pktmbuf_free(rte_pktmbuf_alloc(pool->get()));
    EXPECT_GT(cache->len, 0u);
    EXPECT_EQ(pool->free_count(), 1023u);
    // What a thread leaves in its cache when it goes is not lost to the count, but to other
    // threads.
    rte_mempool_cache_flush(cache, pool->get());
  }).join();
  EXPECT_EQ(pool->free_count(), 1023u);
}

}  // namespace
}  // namespace weir
