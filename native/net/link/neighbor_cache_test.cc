#include "net/link/neighbor_cache.h"

#include <functional>
#include <optional>

#include "net/testing.h"

namespace weir::net::link {
namespace {

using namespace weir::net::testing;
using State = NeighborCache::State;

constexpr uint64_t kSecondUs = 1'000'000;
constexpr LinkAddress kOtherLink = {0x02, 0, 0, 0, 0, 0x33};

class KeepingResolver final : public Resolver {
 public:
  struct Request {
    Address target;
    std::optional<LinkAddress> known;
  };
  void solicit(const Address& target, const LinkAddress* known) override {
    requests.push_back({target, known == nullptr ? std::nullopt : std::optional(*known)});
  }
  std::vector<Request> requests;
};

class KeepingListener final : public UnreachableListener {
 public:
  void on_unreachable(const rte_mbuf* packet) override { packets.push_back(bytes_of(packet)); }
  std::vector<Bytes> packets;
};

class NeighborCacheTest : public LayerTest {
 protected:
  void make(NeighborLimits limits = {}) {
    cache_.emplace(limits, clock_, environment_, ethernet_, listener_);
  }
  NeighborCacheTest() { make(); }
  static Address address(uint32_t host) { return Address::v4(0x0a000000 + host); }
  void send(uint32_t host, uint8_t first = 1) {
    cache_->send(frame(pattern(20, first)), address(host), resolver_);
  }
  void advance(uint64_t us) {
    const uint64_t end = clock_.now_us + us;
    while (cache_->next_deadline_us() <= end) {
      clock_.now_us = std::max(clock_.now_us, cache_->next_deadline_us());
      cache_->run_timers();
    }
    clock_.now_us = end;
    cache_->run_timers();
  }
  State state(uint32_t host) const { return cache_->state_of(address(host)); }

  Ethernet ethernet_{kOwnLink, environment_};
  KeepingResolver resolver_;
  KeepingListener listener_;
  std::optional<NeighborCache> cache_;
};

TEST_F(NeighborCacheTest, APacketWaitsForTheAnswer) {
  send(2, 1);
  send(2, 2);
  EXPECT_EQ(state(2), State::incomplete);
  ASSERT_EQ(resolver_.requests.size(), 1u);
  EXPECT_EQ(resolver_.requests[0].target, address(2));
  EXPECT_FALSE(resolver_.requests[0].known.has_value());
  EXPECT_TRUE(sink_.sent.empty());
  EXPECT_EQ(cache_->waiting(), 2u);
  cache_->confirm(address(2), kPeerLink);
  EXPECT_EQ(state(2), State::reachable);
  ASSERT_EQ(sink_.sent.size(), 2u);
  EXPECT_EQ(sink_.sent[0], ethernet(pattern(20, 1), kTypeIpv4, kPeerLink, kOwnLink));
  EXPECT_EQ(sink_.sent[1], ethernet(pattern(20, 2), kTypeIpv4, kPeerLink, kOwnLink));
  EXPECT_EQ(cache_->waiting(), 0u);
  EXPECT_EQ(cache_->next_deadline_us(), UINT64_MAX);
  send(2, 3);
  EXPECT_EQ(sink_.sent.size(), 3u);
  EXPECT_EQ(resolver_.requests.size(), 1u);
}

TEST_F(NeighborCacheTest, AsksThreeTimesASecondApartThenGivesUp) {
  send(2, 1);
  send(2, 2);
  EXPECT_EQ(cache_->next_deadline_us(), kSecondUs);
  advance(kSecondUs - 1);
  EXPECT_EQ(resolver_.requests.size(), 1u);
  advance(1);
  EXPECT_EQ(resolver_.requests.size(), 2u);
  advance(kSecondUs);
  EXPECT_EQ(resolver_.requests.size(), 3u);
  EXPECT_TRUE(listener_.packets.empty());
  advance(kSecondUs);
  EXPECT_EQ(resolver_.requests.size(), 3u);
  EXPECT_EQ(state(2), State::free);
  EXPECT_EQ(cache_->size(), 0u);
  EXPECT_EQ(count(Counter::drop_neighbor_unreachable), 2u);
  ASSERT_EQ(listener_.packets.size(), 2u);
  EXPECT_EQ(listener_.packets[0], pattern(20, 1));
  EXPECT_EQ(cache_->next_deadline_us(), UINT64_MAX);
  // A further packet begins anew.
  send(2);
  EXPECT_EQ(resolver_.requests.size(), 4u);
}

TEST_F(NeighborCacheTest, TheListenerMaySendAtOnce) {
  struct Sender final : UnreachableListener {
    explicit Sender(std::function<void()> action) : send_again(std::move(action)) {}
    void on_unreachable(const rte_mbuf*) override { send_again(); }
    std::function<void()> send_again;
  } sender([this] { send(2, 9); });
  cache_.emplace(NeighborLimits{}, clock_, environment_, ethernet_, sender);
  for (int i = 0; i < 5; i++) send(2);
  advance(3 * kSecondUs);
  EXPECT_EQ(state(2), State::incomplete);
  EXPECT_EQ(cache_->waiting(), 5u);
  EXPECT_EQ(count(Counter::drop_neighbor_unreachable), 5u);
  cache_.reset();
}

TEST_F(NeighborCacheTest, KeepsTheNewestSixteenPackets) {
  for (int i = 0; i < 20; i++) send(2, static_cast<uint8_t>(i));
  EXPECT_EQ(cache_->waiting(), NeighborCache::kMaxWaitingPerNeighbor);
  EXPECT_EQ(count(Counter::drop_neighbor_queue_full), 4u);
  cache_->confirm(address(2), kPeerLink);
  ASSERT_EQ(sink_.sent.size(), 16u);
  EXPECT_EQ(sink_.sent.front(), ethernet(pattern(20, 4), kTypeIpv4, kPeerLink, kOwnLink));
  EXPECT_EQ(sink_.sent.back(), ethernet(pattern(20, 19), kTypeIpv4, kPeerLink, kOwnLink));
}

TEST_F(NeighborCacheTest, BoundsThePacketsOfAllNeighbors) {
  make({.max_waiting_total = 4});
  for (uint32_t host = 2; host < 6; host++) send(host);
  send(2, 7);  // makes room by its own oldest
  send(9);     // has none to give
  EXPECT_EQ(cache_->waiting(), 4u);
  EXPECT_EQ(count(Counter::drop_neighbor_queue_full), 2u);
  cache_->confirm(address(2), kPeerLink);
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(sink_.sent[0], ethernet(pattern(20, 7), kTypeIpv4, kPeerLink, kOwnLink));
}

TEST_F(NeighborCacheTest, AStaleEntryIsUsedWhileItIsPolled) {
  send(2);
  cache_->confirm(address(2), kPeerLink);
  sink_.clear();
  advance(30 * kSecondUs - 1);
  EXPECT_EQ(state(2), State::reachable);
  advance(1);
  EXPECT_EQ(state(2), State::stale);
  EXPECT_EQ(resolver_.requests.size(), 1u) << "nobody needs it: nothing is asked";
  send(2);
  EXPECT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(state(2), State::probing);
  ASSERT_EQ(resolver_.requests.size(), 2u);
  EXPECT_EQ(resolver_.requests[1].known, kPeerLink);
  send(2);
  EXPECT_EQ(resolver_.requests.size(), 2u);
  cache_->confirm(address(2), kPeerLink);
  EXPECT_EQ(state(2), State::reachable);
  EXPECT_EQ(cache_->next_deadline_us(), UINT64_MAX);
}

TEST_F(NeighborCacheTest, PollsByUnicastThenAsksTheWholeLink) {
  send(2);
  cache_->confirm(address(2), kPeerLink);
  advance(31 * kSecondUs);
  send(2);
  advance(kSecondUs);
  ASSERT_EQ(resolver_.requests.size(), 3u);
  EXPECT_EQ(resolver_.requests[2].known, kPeerLink);
  advance(kSecondUs);
  ASSERT_EQ(resolver_.requests.size(), 4u);
  EXPECT_FALSE(resolver_.requests[3].known.has_value());
  EXPECT_EQ(state(2), State::incomplete);
  sink_.clear();
  send(2, 5);
  EXPECT_TRUE(sink_.sent.empty());
  cache_->confirm(address(2), kOtherLink);
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(sink_.sent[0], ethernet(pattern(20, 5), kTypeIpv4, kOtherLink, kOwnLink));
}

TEST_F(NeighborCacheTest, GivesAPolledNeighborUpInTheEnd) {
  send(2);
  cache_->confirm(address(2), kPeerLink);
  advance(31 * kSecondUs);
  send(2);
  advance(10 * kSecondUs);
  EXPECT_EQ(resolver_.requests.size(), 1u + 2u + 3u);
  EXPECT_EQ(cache_->size(), 0u);
}

TEST_F(NeighborCacheTest, ForgetsWhatWasNotUsed) {
  send(2);
  cache_->confirm(address(2), kPeerLink);
  sink_.clear();
  advance(600 * kSecondUs);
  send(2);
  EXPECT_TRUE(sink_.sent.empty());
  EXPECT_EQ(state(2), State::incomplete);
  EXPECT_EQ(cache_->size(), 1u);
}

TEST_F(NeighborCacheTest, AnAnswerNobodyAskedForEntersNobody) {
  cache_->confirm(address(2), kPeerLink);
  EXPECT_FALSE(cache_->overhear(address(3), kPeerLink));
  EXPECT_EQ(cache_->size(), 0u);
}

TEST_F(NeighborCacheTest, WhatIsSaidUnaskedChangesAnEntryButProvesNothing) {
  cache_->learn(address(2), kPeerLink, resolver_);
  EXPECT_EQ(state(2), State::reachable);
  EXPECT_TRUE(cache_->overhear(address(2), kPeerLink));
  EXPECT_EQ(state(2), State::reachable);
  cache_->confirm(address(2), kOtherLink);
  EXPECT_EQ(state(2), State::stale);
  send(2);
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(sink_.sent[0], ethernet(pattern(20), kTypeIpv4, kOtherLink, kOwnLink));
  ASSERT_EQ(resolver_.requests.size(), 1u);
  EXPECT_EQ(resolver_.requests[0].known, kOtherLink);
}

TEST_F(NeighborCacheTest, ANeighborThatAsksAnswersOurQuestion) {
  send(2);
  cache_->learn(address(2), kPeerLink, resolver_);
  EXPECT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(cache_->next_deadline_us(), UINT64_MAX);
}

TEST_F(NeighborCacheTest, OverhearingResolvesWhatIsIncomplete) {
  send(2);
  EXPECT_TRUE(cache_->overhear(address(2), kPeerLink));
  EXPECT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(state(2), State::stale);
  EXPECT_EQ(cache_->next_deadline_us(), UINT64_MAX);
}

TEST_F(NeighborCacheTest, AFullTableForgetsTheLeastRecentlyUsed) {
  make({.max_neighbors = 4});
  for (uint32_t host = 2; host < 6; host++) {
    clock_.now_us++;
    cache_->learn(address(host), kPeerLink, resolver_);
  }
  clock_.now_us++;
  send(2);
  cache_->learn(address(9), kPeerLink, resolver_);
  EXPECT_EQ(cache_->size(), 4u);
  EXPECT_EQ(state(2), State::reachable);
  EXPECT_EQ(state(3), State::free);
  EXPECT_EQ(state(9), State::reachable);
}

TEST_F(NeighborCacheTest, OpenQuestionsGetHalfOfTheTable) {
  make({.max_neighbors = 4});
  for (uint32_t host = 2; host < 5; host++) send(host);
  EXPECT_EQ(state(4), State::free);
  EXPECT_EQ(count(Counter::drop_neighbor_table_full), 1u);
  // An answer makes room for another question.
  cache_->confirm(address(3), kPeerLink);
  send(4);
  EXPECT_EQ(state(4), State::incomplete);
  // So does the end of one that got none.
  advance(4 * kSecondUs);
  EXPECT_EQ(state(2), State::free);
  send(2);
  EXPECT_EQ(state(2), State::incomplete);
}

TEST_F(NeighborCacheTest, WhoAsksForStationsThatAreNotThereDisturbsNoneThatIs) {
  make({.max_neighbors = 64});
  cache_->learn(address(2), kPeerLink, resolver_);
  for (uint32_t host = 100; host < 100'000; host++) {
    if (host % 1000 == 0) advance(kSecondUs / 10);
    send(host);
    if (host % 100 == 0) send(2);
    ASSERT_NE(state(2), State::free);
    ASSERT_NE(state(2), State::incomplete);
    if (!resolver_.requests.empty() && resolver_.requests.back().known)
      cache_->confirm(address(2), kPeerLink);
    resolver_.requests.clear();
  }
  // A further station that asks for us is known from then on.
  cache_->learn(address(3), kPeerLink, resolver_);
  EXPECT_EQ(state(3), State::reachable);
  EXPECT_LE(cache_->size(), 34u);
}

TEST_F(NeighborCacheTest, IsKeyedByAddressesOfBothFamilies) {
  Address v6 = address(2);
  v6.bytes[0] = 0xfe;
  v6.bytes[1] = 0x80;
  cache_->learn(v6, kPeerLink, resolver_);
  EXPECT_EQ(state(2), State::free);
  cache_->send(frame(pattern(40)), v6, resolver_);
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(get16(sink_.sent[0], 12), kTypeIpv6);
}

/// Random calls against a plain model of who may be entered, with the invariants checked after
/// each.
TEST_F(NeighborCacheTest, HoldsItsBoundsUnderRandomUse) {
  make({.max_neighbors = 24, .max_waiting_total = 40});
  std::mt19937 random(3);
  for (int i = 0; i < 50'000; i++) {
    const uint32_t host = 2 + random() % 60;
    const LinkAddress link_address = {0x02, 0, 0, 0, 0, static_cast<uint8_t>(random() % 4)};
    switch (random() % 8) {
      case 0:
        cache_->learn(address(host), link_address, resolver_);
        break;
      case 1:
        cache_->confirm(address(host), link_address);
        break;
      case 2:
        cache_->overhear(address(host), link_address);
        break;
      case 3:
        advance(random() % (random() % 50 == 0 ? 700 * kSecondUs : 2 * kSecondUs));
        break;
      default:
        send(host);
        ASSERT_TRUE(state(host) == State::free || cache_->size() > 0);
        break;
    }
    ASSERT_LE(cache_->size(), 24u);
    ASSERT_LE(cache_->waiting(), 40u);
    ASSERT_GT(cache_->next_deadline_us(), clock_.now_us);
    ASSERT_EQ(frames_->free_count() + cache_->waiting(), kPoolBuffers);
    if (i % 64 == 0) {
      sink_.clear();
      resolver_.requests.clear();
      listener_.packets.clear();
    }
  }
}

}  // namespace
}  // namespace weir::net::link
