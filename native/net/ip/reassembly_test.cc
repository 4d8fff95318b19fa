#include "net/ip/reassembly.h"

#include <optional>

#include "net/testing_v6.h"

namespace weir::net::ip {
namespace {

using namespace weir::net::testing;

class NoTimeouts final : public ReassemblyListener {
 public:
  void on_reassembly_timeout(const Received&) override { told++; }
  int told = 0;
};

class ReassemblyTest : public LayerTest {
 protected:
  ReassemblyTest() { make({}); }
  void make(const ReassemblyLimits& limits) {
    reassembly_.emplace(limits, clock_, environment_, listener_);
  }
  /// Gives the bytes [from, to) of whole_ as a fragment; the packet if that makes it whole.
  std::optional<Bytes> add(size_t from, size_t to, uint32_t identification = 1,
                           uint32_t source = kPeer) {
    const Bytes headers(34, 0xaa);
    const Bytes bytes = headers + std::span(whole_).subspan(from, to - from) + Bytes(5, 0xbb);
    uint32_t payload_bytes = 0;
    rte_mbuf* packet =
        reassembly_->add({Address::v4(source), Address::v4(kOwn), identification, 17},
                         {frame(bytes), 34, static_cast<uint32_t>(from),
                          static_cast<uint32_t>(to - from), to < whole_.size()},
                         payload_bytes);
    if (packet == nullptr) return std::nullopt;
    rte_mbuf_sanity_check(packet, 1);
    Bytes all = bytes_of(packet);
    rte_pktmbuf_free(packet);
    EXPECT_EQ(all.size(), 34 + payload_bytes);
    EXPECT_EQ(Bytes(all.begin(), all.begin() + 34), headers);
    return Bytes(all.begin() + 34, all.end());
  }

  Bytes whole_ = pattern(4000);
  NoTimeouts listener_;
  std::optional<Reassembly> reassembly_;
};

TEST_F(ReassemblyTest, AnyOrder) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; round++) {
    std::vector<std::pair<size_t, size_t>> parts;
    for (size_t at = 0; at < whole_.size();) {
      const size_t end = std::min(whole_.size(), at + 8 * (1 + random() % 100));
      parts.emplace_back(at, end);
      at = end;
    }
    std::shuffle(parts.begin(), parts.end(), random);
    for (size_t i = 0; i < parts.size(); i++) {
      const auto packet = add(parts[i].first, parts[i].second, round);
      ASSERT_EQ(packet.has_value(), i + 1 == parts.size());
      if (packet) {
        EXPECT_EQ(*packet, whole_);
      }
    }
    EXPECT_EQ(reassembly_->waiting(), 0u);
  }
}

TEST_F(ReassemblyTest, DuplicatesAreDroppedAlone) {
  EXPECT_FALSE(add(0, 800));
  EXPECT_FALSE(add(0, 800));
  EXPECT_FALSE(add(1600, 4000));
  EXPECT_FALSE(add(1600, 4000));
  EXPECT_TRUE(add(800, 1600));
  EXPECT_EQ(count(Counter::drop_fragment_duplicate), 2u);
}

TEST_F(ReassemblyTest, OverlapsMakeAllVoid) {
  const std::pair<size_t, size_t> overlaps[] = {{0, 808}, {792, 1600}, {8, 16}, {0, 4000}};
  uint32_t identification = 10;
  for (const auto& [from, to] : overlaps) {
    identification++;
    EXPECT_FALSE(add(0, 800, identification));
    EXPECT_FALSE(add(1600, 4000, identification));
    EXPECT_FALSE(add(from, to, identification));
    EXPECT_FALSE(add(800, 1600, identification)) << "what still comes of it is dropped too";
  }
  EXPECT_EQ(count(Counter::drop_fragment_overlap), 4u * 4);
  EXPECT_EQ(frames_->free_count(), kPoolBuffers);
  clock_.now_us += 30'000'000;
  reassembly_->run_timers();
  EXPECT_EQ(reassembly_->waiting(), 0u);
  EXPECT_EQ(listener_.told, 0);
  EXPECT_FALSE(add(0, 800, identification));
  EXPECT_TRUE(add(800, 4000, identification));
}

TEST_F(ReassemblyTest, TwoEndsContradictEachOther) {
  EXPECT_FALSE(add(3000, 4000));
  whole_.resize(3992);
  EXPECT_FALSE(add(2000, 3992));
  EXPECT_EQ(count(Counter::drop_fragment_overlap), 2u);
  // Something beyond the end, and the end before something.
  whole_ = pattern(4000);
  EXPECT_FALSE(add(3200, 4000, 2));
  whole_ = pattern(6000);
  EXPECT_FALSE(add(4000, 4800, 2));
  EXPECT_FALSE(add(4000, 4800, 3));
  whole_ = pattern(4000);
  EXPECT_FALSE(add(3200, 4000, 3));
  EXPECT_EQ(count(Counter::drop_fragment_overlap), 6u);
}

TEST_F(ReassemblyTest, RefusesImpossibleFragments) {
  whole_ = pattern(1000);
  EXPECT_FALSE(add(0, 0));
  EXPECT_FALSE(add(0, 7));
  uint32_t payload_bytes;
  EXPECT_EQ(reassembly_->add({}, {frame(Bytes(134)), 34, 65528, 100, false}, payload_bytes),
            nullptr);
  EXPECT_EQ(count(Counter::drop_fragment_malformed), 3u);
  EXPECT_EQ(reassembly_->waiting(), 0u);
}

TEST_F(ReassemblyTest, BoundsPacketsOfASourceAndOfAll) {
  make({.max_datagrams = 6, .max_datagrams_per_source = 4});
  for (uint32_t i = 0; i < 5; i++) EXPECT_FALSE(add(0, 800, i));
  EXPECT_EQ(reassembly_->waiting(), 4u);
  EXPECT_FALSE(add(800, 4000, 0)) << "the oldest has given way";
  for (uint32_t i = 0; i < 4; i++) EXPECT_FALSE(add(0, 800, i, kFar + i));
  EXPECT_EQ(reassembly_->waiting(), 6u);
  EXPECT_TRUE(add(800, 4000, 3, kFar + 3));
  EXPECT_GT(count(Counter::drop_fragment_limit), 3u);
}

TEST_F(ReassemblyTest, BoundsBuffers) {
  const uint32_t buffer = 2048 + RTE_PKTMBUF_HEADROOM;
  make({.max_bytes = 8 * buffer, .max_bytes_per_source = 4 * buffer});
  for (uint32_t i = 0; i < 4; i++) EXPECT_FALSE(add(8 * i, 8 * i + 8, 1));
  EXPECT_FALSE(add(0, 8, 2));
  EXPECT_EQ(count(Counter::drop_fragment_limit), 4u) << "the first packet went";
  for (uint32_t i = 0; i < 4; i++) EXPECT_FALSE(add(8 * i, 8 * i + 8, 3, kFar));
  for (uint32_t i = 0; i < 4; i++) EXPECT_FALSE(add(8 * i, 8 * i + 8, 3, kFar + 1));
  EXPECT_GE(frames_->free_count(), kPoolBuffers - 8);
  // One that is larger than all that its source may have.
  for (uint32_t i = 0; i < 5; i++) EXPECT_FALSE(add(8 * i, 8 * i + 8, 9, kFar + 2));
  EXPECT_EQ(frames_->free_count() + 8 >= kPoolBuffers, true);
}

TEST_F(ReassemblyTest, BoundsFragmentsOfAPacket) {
  for (uint32_t i = 0; i <= Reassembly::kMaxFragments; i++) EXPECT_FALSE(add(8 * i, 8 * i + 8));
  EXPECT_EQ(reassembly_->waiting(), 0u);
  EXPECT_EQ(count(Counter::drop_fragment_limit), Reassembly::kMaxFragments + 1);
}

TEST_F(ReassemblyTest, KeepsTheLongestPacket) {
  whole_ = pattern(65515);
  for (size_t at = 0; at < whole_.size(); at += 1480) {
    const auto packet = add(at, std::min(at + 1480, whole_.size()));
    ASSERT_EQ(packet.has_value(), at + 1480 >= whole_.size());
    if (packet) {
      EXPECT_EQ(*packet, whole_);
    }
  }
}

}  // namespace
}  // namespace weir::net::ip
