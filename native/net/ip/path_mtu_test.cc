#include "net/ip/path_mtu.h"

#include "net/testing_v6.h"

namespace weir::net::ip {
namespace {

using namespace weir::net::testing;

class PathMtuTest : public LayerTest {
 protected:
  uint16_t get(const Address& destination) { return cache_.get(destination, 1500); }
  PathMtuCache cache_{clock_, environment_};
};

TEST_F(PathMtuTest, KnowsWhatAPathTakesForTenMinutes) {
  EXPECT_EQ(get(kFar6), 1500);
  cache_.lower(kFar6, 1400, 1500);
  EXPECT_EQ(get(kFar6), 1400);
  EXPECT_EQ(cache_.get(kFar6, 1300), 1300);
  EXPECT_EQ(get(kPeer6), 1500);
  cache_.lower(kFar6, 1450, 1500);
  cache_.lower(kFar6, 1400, 1500);
  EXPECT_EQ(get(kFar6), 1400);
  EXPECT_EQ(count(Counter::path_mtu_lowered), 1u);
  clock_.now_us += PathMtuCache::kLifetimeUs - 1;
  EXPECT_EQ(get(kFar6), 1400);
  clock_.now_us += 1;
  EXPECT_EQ(get(kFar6), 1500);
  cache_.lower(kFar6, 1450, 1500);
  EXPECT_EQ(get(kFar6), 1450);
}

TEST_F(PathMtuTest, BelievesNothingBelowTheLeast) {
  cache_.lower(kFar6, 1279, 1500);
  EXPECT_EQ(get(kFar6), 1500);
  cache_.lower(kFar6, 1280, 1500);
  EXPECT_EQ(get(kFar6), 1280);
  const Address v4 = Address::v4(kFar);
  cache_.lower(v4, 67, 1500);
  EXPECT_EQ(get(v4), 1500);
  cache_.lower(v4, 552, 1500);
  EXPECT_EQ(get(v4), 552);
  EXPECT_FALSE(cache_.lets_fragment(v4));
  cache_.lower(v4, 296, 1500);
  EXPECT_EQ(get(v4), 552);
  EXPECT_TRUE(cache_.lets_fragment(v4));
  EXPECT_FALSE(cache_.lets_fragment(Address::v4(kPeer)));
}

TEST_F(PathMtuTest, IsBounded) {
  for (uint32_t i = 0; i < 100'000; i++) cache_.lower(Address::v4(0x0b000000 + i), 1000, 1500);
  uint32_t known = 0;
  for (uint32_t i = 0; i < 100'000; i++) known += get(Address::v4(0x0b000000 + i)) == 1000;
  EXPECT_EQ(known, PathMtuCache::kSets * PathMtuCache::kWays);
}

}  // namespace
}  // namespace weir::net::ip
