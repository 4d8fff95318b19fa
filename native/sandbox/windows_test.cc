#include "sandbox/windows.h"

#include <gtest/gtest.h>

#include <vector>

namespace weir::sandbox {
namespace {

TEST(WindowsTest, PlacesPayloadsInGranules) {
  auto windows = Windows::create();
  uint32_t a = windows->allocate(1);
  uint32_t b = windows->allocate(65);
  uint32_t c = windows->allocate(1);
  EXPECT_EQ(a, abi::kPackets);
  EXPECT_EQ(b, a + 64);
  EXPECT_EQ(c, b + 128);
}

TEST(WindowsTest, RefusesNothingAndTooMuch) {
  auto windows = Windows::create();
  EXPECT_EQ(windows->allocate(0), 0u);
  EXPECT_EQ(windows->allocate(abi::kPacketChunkBytes + 1), 0u);
  EXPECT_NE(windows->allocate(abi::kPacketChunkBytes), 0u);
}

TEST(WindowsTest, UsesAChunkAgainAsSoonAsItIsGivenBack) {
  auto windows = Windows::create();
  for (int i = 0; i < 100'000; i++) {
    uint32_t at = windows->allocate(1400);
    ASSERT_LT(at, abi::kPackets + abi::kPacketChunkBytes);
    windows->release(at);
  }
}

TEST(WindowsTest, IsFullAtItsBoundAndRecovers) {
  auto windows = Windows::create();
  std::vector<uint32_t> held;
  while (uint32_t at = windows->allocate(abi::kPacketChunkBytes)) held.push_back(at);
  EXPECT_EQ(held.size(),
            (abi::kRxWindowBytes - (abi::kPackets - abi::kRxWindow)) / abi::kPacketChunkBytes);
  EXPECT_TRUE(windows->above_watermark(abi::kPackets));
  EXPECT_TRUE(windows->in_use());
  for (uint32_t at : held) windows->release(at);
  EXPECT_FALSE(windows->above_watermark(abi::kPackets));
  EXPECT_FALSE(windows->in_use());
  EXPECT_NE(windows->allocate(64), 0u);
}

TEST(WindowsTest, AHeldPayloadKeepsItsBytesWhileOthersComeAndGo) {
  auto windows = Windows::create();
  uint32_t held = windows->allocate(64);
  *windows->host(held) = 77;
  for (int i = 0; i < 20'000; i++) {
    uint32_t at = windows->allocate(1400);
    ASSERT_NE(at, 0u);
    *windows->host(at) = 1;
    windows->release(at);
  }
  EXPECT_EQ(*windows->host(held), 77);
  EXPECT_TRUE(windows->held(held, 1));
}

TEST(WindowsTest, GrantedCoversWhatWasAllocatedAndNoMore) {
  auto windows = Windows::create();
  EXPECT_TRUE(windows->granted(abi::kRxWindow, abi::kPackets - abi::kRxWindow));
  EXPECT_FALSE(windows->granted(abi::kPackets, 1));
  windows->allocate(64);
  EXPECT_TRUE(windows->granted(abi::kPackets, abi::kPacketChunkBytes));
  EXPECT_FALSE(windows->granted(abi::kPackets, abi::kPacketChunkBytes + 1));
  EXPECT_FALSE(windows->granted(abi::kRxWindow - 1, 2));
  EXPECT_FALSE(windows->granted(abi::kRxWindow, 0xffffffff));
  EXPECT_FALSE(windows->granted(abi::kPackets + abi::kPacketChunkBytes * 200, 1));
}

}  // namespace
}  // namespace weir::sandbox
