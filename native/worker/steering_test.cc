#include "worker/steering.h"

#include <poll.h>

#include <array>
#include <optional>

#include "net/ip/frame_flow.h"
#include "net/testing.h"

namespace weir::worker {
namespace {

using namespace weir::net::testing;

/// Two workers' sides of a crossing, on one thread.
class SteeringTest : public ::testing::Test {
 protected:
  struct Side {
    std::unique_ptr<PacketPool> pool;
    std::array<uint64_t, kCounterCount> values{};
    std::optional<Steering> steering;
    uint64_t operator[](Counter counter) const { return values[static_cast<size_t>(counter)]; }
  };

  void SetUp() override {
    std::string error;
    crossing_ = Crossing::create(2, 11, 22, error);
    ASSERT_NE(crossing_, nullptr) << error;
    for (uint32_t i = 0; i < 2; i++) {
      sides_[i].pool =
          PacketPool::create({.name = "steering" + std::to_string(i), .count = 4095}, error);
      ASSERT_NE(sides_[i].pool, nullptr) << error;
      sides_[i].steering.emplace(*crossing_, i, Counters(sides_[i].values.data()),
                                 sides_[i].pool->get());
    }
  }
  void TearDown() override {
    crossing_.reset();
    for (Side& side : sides_) EXPECT_EQ(side.pool->free_count(), 4095u);
  }

  static Bytes segment(uint16_t port, size_t bytes = 100) {
    Bytes transport(20 + bytes, 0x5a);
    put16(transport, 0, port);
    put16(transport, 2, 80);
    return ethernet(ipv4(transport, {.protocol = 6}));
  }
  /// A port whose flow is `worker`'s.
  uint16_t port_of(uint32_t worker, uint16_t from = 1024) const {
    const net::Endpoint own{net::Address::v4(kOwn), 80};
    while (crossing_->groups().owner_of({net::Address::v4(kPeer), from}, own) != worker) from++;
    return from;
  }
  rte_mbuf* frame(uint32_t side, const Bytes& bytes) {
    rte_mbuf* made = rte_pktmbuf_alloc(sides_[side].pool->get());
    std::memcpy(rte_pktmbuf_append(made, static_cast<uint16_t>(bytes.size())), bytes.data(),
                bytes.size());
    return made;
  }
  static Bytes bytes_of(const rte_mbuf* frame) {
    Bytes bytes(frame->pkt_len);
    const void* read = rte_pktmbuf_read(frame, 0, frame->pkt_len, bytes.data());
    if (read != bytes.data()) std::memcpy(bytes.data(), read, bytes.size());
    return bytes;
  }
  bool is_woken(uint32_t side) {
    pollfd descriptor{sides_[side].steering->descriptor(), POLLIN, 0};
    return poll(&descriptor, 1, 0) == 1;
  }

  std::unique_ptr<Crossing> crossing_;
  std::array<Side, 2> sides_;
};

TEST_F(SteeringTest, EachWorkerGetsItsFlowsAndBuffersComeBack) {
  const Bytes ours = segment(port_of(0)), theirs = segment(port_of(1));
  for (int round = 0; round < 5'000; round++) {
    rte_mbuf* frames[3] = {frame(0, theirs), frame(0, ours), frame(0, theirs)};
    ASSERT_EQ(sides_[0].steering->sort(frames, 3), 1u);
    EXPECT_EQ(bytes_of(frames[0]), ours);
    rte_pktmbuf_free(frames[0]);
    rte_mbuf* taken[8];
    ASSERT_EQ(sides_[1].steering->take(taken, 8), 2u);
    for (int i = 0; i < 2; i++) {
      EXPECT_EQ(bytes_of(taken[i]), theirs);
      EXPECT_EQ(taken[i]->pool, sides_[1].pool->get());
      rte_pktmbuf_free(taken[i]);
    }
  }
  EXPECT_EQ(sides_[0][Counter::steered_out], 10'000u);
  EXPECT_EQ(sides_[1][Counter::steered_in], 10'000u);
  EXPECT_EQ(sides_[1][Counter::copied_steered_bytes], 10'000 * theirs.size());
  EXPECT_EQ(sides_[0][Counter::drop_steer_full], 0u);
}

TEST_F(SteeringTest, WhatFindsNoRoomIsDroppedAndCounted) {
  const Bytes theirs = segment(port_of(1));
  for (uint32_t i = 0; i < 2 * Crossing::kLaneFrames; i++) {
    rte_mbuf* one = frame(0, theirs);
    EXPECT_EQ(sides_[0].steering->sort(&one, 1), 0u);
  }
  EXPECT_EQ(sides_[0][Counter::steered_out], Crossing::kLaneFrames - 1);
  EXPECT_EQ(sides_[0][Counter::drop_steer_full], Crossing::kLaneFrames + 1);
  rte_mbuf* taken[64];
  uint32_t all = 0;
  while (const uint32_t count = sides_[1].steering->take(taken, 64)) {
    for (uint32_t i = 0; i < count; i++) rte_pktmbuf_free(taken[i]);
    all += count;
  }
  EXPECT_EQ(all, Crossing::kLaneFrames - 1);
  // There is room again.
  rte_mbuf* one = frame(0, theirs);
  sides_[0].steering->sort(&one, 1);
  EXPECT_EQ(sides_[0][Counter::steered_out], Crossing::kLaneFrames);
}

TEST_F(SteeringTest, BuffersComeBackWithoutFurtherFrames) {
  const Bytes theirs = segment(port_of(1));
  rte_mbuf* frames[200];
  for (rte_mbuf*& each : frames) each = frame(0, theirs);
  EXPECT_EQ(sides_[0].steering->sort(frames, 200), 0u);
  rte_mbuf* taken[64];
  while (const uint32_t count = sides_[1].steering->take(taken, 64))
    for (uint32_t i = 0; i < count; i++) rte_pktmbuf_free(taken[i]);
  EXPECT_EQ(sides_[0].pool->free_count(), 4095u - 200);
  // A worker that has nothing left to receive into must get them.
  EXPECT_EQ(sides_[0].steering->sort(nullptr, 0), 0u);
  EXPECT_EQ(sides_[0].pool->free_count(), 4095u);
}

TEST_F(SteeringTest, AllHearWhoHasWhichLinkAddress) {
  rte_mbuf* one = frame(0, ethernet(arp(), net::link::kTypeArp));
  EXPECT_EQ(sides_[0].steering->sort(&one, 1), 1u);
  rte_mbuf* other;
  ASSERT_EQ(sides_[1].steering->take(&other, 1), 1u);
  EXPECT_EQ(bytes_of(one), bytes_of(other));
  rte_pktmbuf_free(one);
  rte_pktmbuf_free(other);
  // DHCP is the first worker's.
  Bytes lease(20);
  put16(lease, 0, 67);
  put16(lease, 2, 68);
  one = frame(1, ethernet(ipv4(lease)));
  EXPECT_EQ(sides_[1].steering->sort(&one, 1), 0u);
  ASSERT_EQ(sides_[0].steering->take(&other, 1), 1u);
  rte_pktmbuf_free(other);
}

TEST_F(SteeringTest, ChainsArriveWholeAndReassembledPacketsGoHome) {
  const Bytes big = segment(port_of(1), 6'000);
  rte_mbuf* head = frame(0, Bytes(big.begin(), big.begin() + 1000));
  for (size_t at = 1000; at < big.size(); at += 1500)
    ASSERT_EQ(
        rte_pktmbuf_chain(
            head, frame(0, Bytes(big.begin() + at, big.begin() + std::min(at + 1500, big.size())))),
        0);
  head->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  const net::Endpoint own{net::Address::v4(kOwn), 80}, peer{net::Address::v4(kPeer), port_of(1)};
  EXPECT_FALSE(sides_[0].steering->is_home(own, peer));
  EXPECT_TRUE(sides_[1].steering->is_home(own, peer));
  sides_[0].steering->send_home(head, own, peer);
  rte_mbuf* taken;
  ASSERT_EQ(sides_[1].steering->take(&taken, 1), 1u);
  EXPECT_EQ(bytes_of(taken), big);
  EXPECT_NE(taken->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_GOOD, 0u);
  rte_pktmbuf_free(taken);
}

TEST_F(SteeringTest, WhoSleepsIsWoken) {
  const Bytes theirs = segment(port_of(1));
  Steering& sleeper = *sides_[1].steering;
  const auto give = [&] {
    rte_mbuf* one = frame(0, theirs);
    sides_[0].steering->sort(&one, 1);
  };
  const auto take = [&] {
    rte_mbuf* one;
    ASSERT_EQ(sleeper.take(&one, 1), 1u);
    rte_pktmbuf_free(one);
  };
  EXPECT_TRUE(sleeper.may_sleep());
  EXPECT_FALSE(is_woken(1));
  give();
  EXPECT_TRUE(is_woken(1));
  sleeper.wake_up();
  EXPECT_FALSE(is_woken(1));
  EXPECT_FALSE(sleeper.may_sleep()) << "a frame waits";
  take();
  // Who is awake is not called.
  give();
  EXPECT_FALSE(is_woken(1));
  take();
}

TEST_F(SteeringTest, AWorkerWithoutAQueueSendsThroughAnother) {
  const Bytes bytes = segment(9);
  std::vector<rte_mbuf*> frames;
  for (uint32_t i = 0; i < Crossing::kLaneFrames + 100; i++) frames.push_back(frame(1, bytes));
  const uint32_t sent =
      sides_[1].steering->send_through(0, frames.data(), static_cast<uint32_t>(frames.size()));
  EXPECT_EQ(sent, Crossing::kLaneFrames - 1);
  for (size_t i = sent; i < frames.size(); i++) rte_pktmbuf_free(frames[i]);
  rte_mbuf* taken[64];
  EXPECT_EQ(sides_[0].steering->take(taken, 64), 0u);
  uint32_t all = 0;
  while (const uint32_t count = sides_[0].steering->take_outward(taken, 64)) {
    for (uint32_t i = 0; i < count; i++) {
      EXPECT_EQ(bytes_of(taken[i]), bytes);
      rte_pktmbuf_free(taken[i]);
    }
    all += count;
  }
  EXPECT_EQ(all, sent);
}

}  // namespace
}  // namespace weir::worker
