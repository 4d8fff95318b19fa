#include "net/link/arp.h"

#include <optional>

#include "net/testing.h"

namespace weir::net::link {
namespace {

using namespace weir::net::testing;
using State = NeighborCache::State;
using ArpFields = weir::net::testing::Arp;

constexpr uint64_t kSecondUs = 1'000'000;

class IgnoringListener final : public UnreachableListener {
 public:
  void on_unreachable(const rte_mbuf*) override {}
};

class KeepingAddressListener final : public AddressListener {
 public:
  void on_address(const Address& address, AddressChange change) override {
    if (change == AddressChange::assigned) assigned.push_back(address);
    if (change == AddressChange::duplicate) duplicates.push_back(address);
    if (change == AddressChange::contested) contested.push_back(address);
  }
  std::vector<Address> assigned;
  std::vector<Address> duplicates;
  std::vector<Address> contested;
};

class ArpTest : public LayerTest {
 protected:
  static StackConfig config() {
    StackConfig config;
    config.addresses = {{Address::v4(kOwn), 24}};
    return config;
  }
  void input(std::span<const uint8_t> packet, std::initializer_list<size_t> segments = {}) {
    arp_.input(frame(ethernet(packet, kTypeArp, kBroadcast), segments));
  }
  State state(uint32_t address) const { return neighbors_.state_of(Address::v4(address)); }

  IgnoringListener listener_;
  KeepingAddressListener addresses_;
  ip::Routing routing_{config()};
  Ethernet ethernet_{kOwnLink, environment_};
  NeighborCache neighbors_{{}, clock_, environment_, ethernet_, listener_};
  link::Arp arp_{clock_, environment_, routing_, ethernet_, neighbors_, addresses_};
};

TEST_F(ArpTest, AnswersARequestForOurAddressAndLearnsWhoAsked) {
  input(arp());
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(sink_.sent[0], ethernet(arp({.operation = 2,
                                         .sender_link = kOwnLink,
                                         .sender = kOwn,
                                         .target_link = kPeerLink,
                                         .target = kPeer}),
                                    kTypeArp, kPeerLink, kOwnLink));
  EXPECT_EQ(state(kPeer), State::reachable);
  EXPECT_EQ(count(Counter::arp_rx), 1u);
  EXPECT_EQ(count(Counter::arp_tx), 1u);
}

TEST_F(ArpTest, ReadsARequestThatIsPaddedOrSpread) {
  input(arp() + Bytes(18));
  input(arp(), {16, 5});
  EXPECT_EQ(sink_.sent.size(), 2u);
}

TEST_F(ArpTest, AnswersAProbeAndLearnsNothing) {
  input(arp({.sender = 0}));
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(neighbors_.size(), 0u);
}

TEST_F(ArpTest, AnswersButDoesNotLearnWhoIsNotOnTheLink) {
  for (const uint32_t sender :
       {kFar, 0xffffffffu, 0x0a0000ffu, 0x0a000000u, 0xe0000001u, 0x7f000001u})
    input(arp({.sender = sender}));
  EXPECT_EQ(sink_.sent.size(), 6u);
  EXPECT_EQ(neighbors_.size(), 0u);
}

TEST_F(ArpTest, IsSilentAboutOtherAddresses) {
  input(arp({.target = 0x0a000009}));
  EXPECT_TRUE(sink_.sent.empty());
  EXPECT_EQ(neighbors_.size(), 0u);
  EXPECT_EQ(count(Counter::drop_arp_foreign), 1u);
}

TEST_F(ArpTest, DropsMalformedPackets) {
  const Bytes good = arp();
  const auto broken = [&](size_t at, uint8_t value) {
    Bytes bytes = good;
    bytes[at] = value;
    return bytes;
  };
  for (const auto& [at, value] : std::initializer_list<std::pair<size_t, uint8_t>>{
           {1, 6}, {2, 9}, {4, 8}, {5, 16}, {7, 3}, {7, 0}, {6, 1}, {8, 0x03}})
    input(broken(at, value));
  Bytes zero = good;
  std::fill_n(zero.begin() + 8, 6, 0);
  input(zero);
  for (size_t length = 0; length < good.size(); length++) input(std::span(good).first(length));
  EXPECT_EQ(count(Counter::drop_arp_malformed), 9u + good.size());
  EXPECT_TRUE(sink_.sent.empty());
  EXPECT_EQ(neighbors_.size(), 0u);
}

TEST_F(ArpTest, AsksTheLinkAndTakesTheAnswer) {
  neighbors_.send(frame(pattern(20)), Address::v4(kPeer), arp_);
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(sink_.sent[0], ethernet(arp({.sender_link = kOwnLink, .sender = kOwn, .target = kPeer}),
                                    kTypeArp, kBroadcast, kOwnLink));
  input(arp({.operation = 2, .target_link = kOwnLink}));
  ASSERT_EQ(sink_.sent.size(), 2u);
  EXPECT_EQ(sink_.sent[1], ethernet(pattern(20), kTypeIpv4, kPeerLink, kOwnLink));
  EXPECT_EQ(state(kPeer), State::reachable);
}

TEST_F(ArpTest, PollsAKnownNeighborAlone) {
  input(arp());
  sink_.clear();
  clock_.now_us = 31 * kSecondUs;
  neighbors_.send(frame(pattern(20)), Address::v4(kPeer), arp_);
  ASSERT_EQ(sink_.sent.size(), 2u);
  EXPECT_EQ(sink_.sent[0], ethernet(arp({.sender_link = kOwnLink, .sender = kOwn, .target = kPeer}),
                                    kTypeArp, kPeerLink, kOwnLink));
}

TEST_F(ArpTest, AnUnsolicitedAnswerEntersNobodyButUpdates) {
  const LinkAddress other = {0x02, 0, 0, 0, 0, 0x44};
  input(arp({.operation = 2, .target_link = kOwnLink}));
  EXPECT_EQ(neighbors_.size(), 0u);
  input(arp());
  // A gratuitous request of a neighbor whose station has changed (RFC 5227 section 3).
  input(arp({.sender_link = other, .target = kPeer}));
  EXPECT_EQ(state(kPeer), State::stale);
  sink_.clear();
  neighbors_.send(frame(pattern(20)), Address::v4(kPeer), arp_);
  EXPECT_EQ(sink_.sent.back(), ethernet(pattern(20), kTypeIpv4, other, kOwnLink));
}

TEST_F(ArpTest, AnnouncesItselfTwice) {
  const Bytes announcement =
      ethernet(arp({.sender_link = kOwnLink, .sender = kOwn, .target = kOwn}), kTypeArp, kBroadcast,
               kOwnLink);
  clock_.now_us = 5;
  EXPECT_LE(arp_.next_deadline_us(), clock_.now_us);
  arp_.run_timers();
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(sink_.sent[0], announcement);
  EXPECT_EQ(arp_.next_deadline_us(), 5 + 2 * kSecondUs);
  arp_.run_timers();
  EXPECT_EQ(sink_.sent.size(), 1u);
  clock_.now_us += 2 * kSecondUs;
  arp_.run_timers();
  EXPECT_EQ(sink_.sent.size(), 2u);
  EXPECT_EQ(arp_.next_deadline_us(), UINT64_MAX);
}

TEST_F(ArpTest, DefendsItsAddressOnceInTenSeconds) {
  const Bytes claim = arp({.sender = kOwn, .target = kOwn});
  for (int i = 0; i < 3; i++) input(claim);
  EXPECT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(count(Counter::arp_conflicts), 3u);
  EXPECT_EQ(addresses_.contested.size(), 1u);
  clock_.now_us += 10 * kSecondUs;
  input(claim);
  EXPECT_EQ(sink_.sent.size(), 2u);
  input(arp({.sender_link = kOwnLink, .sender = kOwn, .target = kOwn}));
  EXPECT_EQ(count(Counter::arp_conflicts), 4u) << "our own announcement is no conflict";
  EXPECT_EQ(neighbors_.size(), 0u);
}

/// An address that is asked for before it is used (RFC 5227 section 2.1).
class ArpProbeTest : public ArpTest {
 protected:
  ArpProbeTest() {
    ip::LocalAddress& own = *routing_.find(Address::v4(kOwn));
    own.state = ip::LocalAddress::State::tentative;
    routing_.commit();
  }
  void advance(uint64_t us) {
    const uint64_t end = clock_.now_us + us;
    while (arp_.next_deadline_us() <= end) {
      clock_.now_us = std::max(clock_.now_us, arp_.next_deadline_us());
      arp_.run_timers();
    }
    clock_.now_us = end;
  }
  bool is_ours() const { return routing_.is_local(Address::v4(kOwn)); }
  static Bytes probe() {
    return ethernet(arp({.sender_link = kOwnLink, .sender = 0, .target = kOwn}), kTypeArp,
                    kBroadcast, kOwnLink);
  }
};

TEST_F(ArpProbeTest, AsksThreeTimesBeforeItUsesAnAddress) {
  advance(3 * kSecondUs);
  EXPECT_FALSE(is_ours());
  input(arp());
  advance(5 * kSecondUs);
  EXPECT_TRUE(is_ours());
  ASSERT_GE(sink_.sent.size(), 4u);
  for (int i = 0; i < 3; i++) EXPECT_EQ(sink_.sent[i], probe());
  EXPECT_EQ(sink_.sent[3], ethernet(arp({.sender_link = kOwnLink, .sender = kOwn, .target = kOwn}),
                                    kTypeArp, kBroadcast, kOwnLink));
  EXPECT_EQ(addresses_.assigned.size(), 1u);
}

TEST_F(ArpProbeTest, AnAnswerSaysThatItIsTaken) {
  advance(2 * kSecondUs);
  input(arp({.operation = 2, .sender = kOwn, .target_link = kOwnLink, .target = 0}));
  EXPECT_EQ(addresses_.duplicates.size(), 1u);
  EXPECT_EQ(count(Counter::arp_conflicts), 1u);
  sink_.clear();
  advance(59 * kSecondUs);
  input(arp());
  EXPECT_TRUE(sink_.sent.empty()) << "it is not ours to answer for";
  advance(10 * kSecondUs);
  EXPECT_TRUE(is_ours()) << "asked again after a minute";
}

TEST_F(ArpProbeTest, SoDoesAnotherOnesProbeButNotOurOwn) {
  advance(2 * kSecondUs);
  input(arp({.sender_link = kOwnLink, .sender = 0}));
  EXPECT_TRUE(addresses_.duplicates.empty());
  input(arp({.sender = 0}));
  EXPECT_EQ(addresses_.duplicates.size(), 1u);
}

TEST_F(ArpTest, CountsWhenNoBufferIsFree) {
  const Drained drained(*headers_);
  input(arp());
  EXPECT_EQ(count(Counter::drop_no_mbuf), 1u);
  EXPECT_TRUE(sink_.sent.empty());
}

}  // namespace
}  // namespace weir::net::link
