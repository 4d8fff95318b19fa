#include "net/packet_bytes.h"

#include "net/testing.h"

namespace weir::net {
namespace {

using namespace weir::net::testing;

class PacketBytesTest : public LayerTest {};

TEST_F(PacketBytesTest, PullUpMovesBytesAndFreesWhatIsEmpty) {
  const Bytes bytes = pattern(100);
  rte_mbuf* packet = frame(bytes, {3, 4, 0, 5});
  EXPECT_TRUE(pull_up(packet, 10));
  EXPECT_EQ(packet->data_len, 10);
  EXPECT_EQ(packet->nb_segs, 3);
  EXPECT_EQ(bytes_of(packet), bytes);
  EXPECT_TRUE(pull_up(packet, 100));
  EXPECT_EQ(packet->nb_segs, 1);
  EXPECT_EQ(bytes_of(packet), bytes);
  rte_mbuf_sanity_check(packet, 1);
  EXPECT_FALSE(pull_up(packet, 101));
  rte_pktmbuf_free(packet);
}

TEST_F(PacketBytesTest, PullUpLeavesWhatOthersHold) {
  rte_mbuf* packet = frame(pattern(20), {8});
  rte_mbuf_refcnt_update(packet, 1);
  EXPECT_FALSE(pull_up(packet, 10));
  rte_mbuf_refcnt_update(packet, -1);
  rte_mbuf_refcnt_update(packet->next, 1);
  EXPECT_FALSE(pull_up(packet, 10));
  rte_mbuf_refcnt_update(packet->next, -1);
  EXPECT_TRUE(pull_up(packet, 10));
  rte_pktmbuf_free(packet);
}

TEST_F(PacketBytesTest, TrimCutsAtAnyPlace) {
  const Bytes bytes = pattern(60);
  for (uint32_t length = 0; length <= 61; length++) {
    rte_mbuf* packet = frame(bytes, {10, 20});
    trim_to(packet, length);
    EXPECT_EQ(bytes_of(packet), Bytes(bytes.begin(), bytes.begin() + std::min(length, 60u)));
    EXPECT_EQ(packet->nb_segs, length <= 10 ? 1 : length <= 30 ? 2 : 3);
    EXPECT_EQ(packet->pkt_len, std::min(length, 60u));
    rte_pktmbuf_free(packet);
  }
}

TEST_F(PacketBytesTest, AppendGrowsAChain) {
  const Bytes bytes = pattern(9000);
  rte_mbuf* packet = frame(pattern(8, 9));
  ASSERT_TRUE(append_copy(packet, bytes, frames_->get()));
  EXPECT_EQ(bytes_of(packet), pattern(8, 9) + bytes);
  EXPECT_GT(packet->nb_segs, 4);
  rte_mbuf_sanity_check(packet, 1);
  const Drained drained(*frames_);
  EXPECT_FALSE(append_copy(packet, pattern(4000), frames_->get()));
  rte_pktmbuf_free(packet);
}

}  // namespace
}  // namespace weir::net
