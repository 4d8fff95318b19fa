#include "port/ring_port.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include "base/packet_pool.h"

namespace weir::port {
namespace {

class RingPortTest : public ::testing::Test {
 protected:
  RingPortTest() {
    std::string error;
    pool_ = PacketPool::create({.name = "test_ring", .count = 255}, error);
    EXPECT_NE(pool_, nullptr) << error;
  }
  ~RingPortTest() override { EXPECT_EQ(pool_->free_count(), 255u); }
  rte_mbuf* buffer() { return rte_pktmbuf_alloc(pool_->get()); }

  std::unique_ptr<PacketPool> pool_;
};

TEST_F(RingPortTest, CarriesFramesInOrderBothWays) {
  auto [left, right] = RingPort::make_pair(64);
  for (RingPort* from : {left.get(), right.get()}) {
    RingPort* to = from == left.get() ? right.get() : left.get();
    rte_mbuf* sent[10];
    for (rte_mbuf*& frame : sent) frame = buffer();
    EXPECT_EQ(from->transmit(sent, 10), 10u);
    rte_mbuf* got[16];
    EXPECT_EQ(from->receive(got, 16), 0u);
    EXPECT_EQ(to->receive(got, 4), 4u);
    EXPECT_EQ(to->receive(got + 4, 12), 6u);
    EXPECT_EQ(to->receive(got + 10, 1), 0u);
    for (int i = 0; i < 10; i++) {
      EXPECT_EQ(got[i], sent[i]);
      rte_pktmbuf_free(got[i]);
    }
  }
}

TEST_F(RingPortTest, TakesNoMoreThanItHolds) {
  auto [left, right] = RingPort::make_pair(7);
  rte_mbuf* frames[10];
  for (rte_mbuf*& frame : frames) frame = buffer();
  EXPECT_EQ(left->transmit(frames, 10), 7u);
  EXPECT_EQ(left->transmit(frames + 7, 3), 0u);
  for (int i = 7; i < 10; i++) rte_pktmbuf_free(frames[i]);
  // What nobody received is freed with the ports, whichever goes first.
  right.reset();
}

TEST_F(RingPortTest, AChecksumLeftToTheDeviceNeedsNone) {
  auto [left, right] = RingPort::make_pair(8);
  rte_mbuf* frames[2] = {buffer(), buffer()};
  frames[0]->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
  frames[1]->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
  EXPECT_EQ(left->transmit(frames, 2), 2u);
  EXPECT_EQ(right->receive(frames, 2), 2u);
  EXPECT_EQ(frames[0]->ol_flags, RTE_MBUF_F_RX_L4_CKSUM_NONE);
  EXPECT_EQ(frames[1]->ol_flags, 0u);
  for (rte_mbuf* frame : frames) rte_pktmbuf_free(frame);
}

TEST_F(RingPortTest, SaysWhatItIs) {
  auto [left, right] = RingPort::make_pair(8, 9000);
  EXPECT_EQ(left->mtu_bytes(), 9000);
  EXPECT_EQ(left->wait_descriptor(), -1);
  EXPECT_NE(left->link_address(), right->link_address());
}

}  // namespace
}  // namespace weir::port
