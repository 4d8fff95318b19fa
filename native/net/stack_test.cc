#include "net/stack.h"

#include <optional>

#include "net/testing.h"

namespace weir::net {
namespace {

using namespace weir::net::testing;

constexpr uint64_t kSecondUs = 1'000'000;

class StackTest : public LayerTest {
 protected:
  StackTest() {
    StackConfig config;
    config.link_address = kOwnLink;
    config.addresses = {{Address::v4(kOwn), 24}};
    config.routes = {Route::default_through(Address::v4(kGateway))};
    config.max_connections = 64;
    config.max_half_open = 16;
    config.max_time_wait = 16;
    config.max_neighbors = 32;
    config.send_copy_bytes = 256 * 1024;
    config.max_reorder_segments_total = 64;
    stack_.emplace(config, environment_);
    set_now(1'000);
    stack_->run_timers();
    sink_.clear();  // the announcement
  }
  void set_now(uint64_t now_us) {
    clock_.now_us = now_us;
    stack_->set_now(now_us);
  }
  void input(std::span<const uint8_t> bytes, std::initializer_list<size_t> segments = {}) {
    rte_mbuf* packet = frame(bytes, segments);
    stack_->input(&packet, 1);
  }
  /// Makes the peer's link address known, as its own request does.
  void meet_peer() {
    input(ethernet(arp(), link::kTypeArp, link::kBroadcast));
    sink_.clear();
  }
  uint64_t drops() const {
    uint64_t sum = 0;
    for (size_t i = 0; i < kCounterCount; i++)
      if (std::string(kCounterDescriptions[i].group) == "drop") sum += values_[i];
    return sum;
  }

  KeepingEvents events_;
  std::optional<Stack> stack_;
};

TEST_F(StackTest, AnnouncesItsAddressAtTheFirstTimers) {
  EXPECT_EQ(count(Counter::arp_tx), 1u);
  EXPECT_EQ(stack_->next_deadline_us(), 1'000 + 2 * kSecondUs);
  set_now(stack_->next_deadline_us());
  stack_->run_timers();
  EXPECT_EQ(count(Counter::arp_tx), 2u);
  EXPECT_EQ(stack_->next_deadline_us(), UINT64_MAX);
}

TEST_F(StackTest, AnswersAPing) {
  meet_peer();
  input(ethernet(ipv4(testing::icmp(8, 0, 5, pattern(56)), {.protocol = 1})));
  ASSERT_EQ(sink_.sent.size(), 1u);
  Bytes reply = ipv4(testing::icmp(0, 0, 5, pattern(56)),
                     {.protocol = 1, .source = kOwn, .destination = kPeer, .fragment = 0x4000});
  put16(reply, 4, 0);
  set_header_checksum(reply);
  EXPECT_EQ(sink_.sent[0], ethernet(reply, 0x0800, kPeerLink, kOwnLink));
}

TEST_F(StackTest, AsksForAPeerItDoesNotKnowAndThenAnswers) {
  input(ethernet(ipv4(testing::icmp(8, 0, 5, pattern(56)), {.protocol = 1})));
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(get16(sink_.sent[0], 12), link::kTypeArp);
  input(ethernet(arp({.operation = 2, .target_link = kOwnLink}), link::kTypeArp));
  ASSERT_EQ(sink_.sent.size(), 2u);
  EXPECT_EQ(get16(sink_.sent[1], 12), link::kTypeIpv4);
}

TEST_F(StackTest, AnswersPeersBehindTheGatewayThroughIt) {
  const LinkAddress gateway_link = {0x02, 0, 0, 0, 0, 0xfe};
  input(ethernet(arp({.sender_link = gateway_link, .sender = kGateway}), link::kTypeArp,
                 link::kBroadcast));
  sink_.clear();
  input(ethernet(ipv4(testing::icmp(8, 0, 5, {}), {.protocol = 1, .source = kFar})));
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_TRUE(std::equal(gateway_link.begin(), gateway_link.end(), sink_.sent[0].begin()));
  EXPECT_EQ(get32(sink_.sent[0], 14 + 16), kFar);
}

TEST_F(StackTest, UdpGoesInAndOut) {
  meet_peer();
  ASSERT_TRUE(stack_->udp_bind(7, events_, 3));
  input(ethernet(ipv4(testing::udp(pattern(100), 7, 999))));
  ASSERT_EQ(events_.datagrams.size(), 1u);
  EXPECT_TRUE(stack_->udp_send(7, events_.datagrams[0].remote, events_.datagrams[0].bytes));
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(Bytes(sink_.sent[0].begin() + 34, sink_.sent[0].end()),
            testing::udp(pattern(100), 999, 7, {.source = kOwn, .destination = kPeer}));
  stack_->udp_unbind(7);
  input(ethernet(ipv4(testing::udp(pattern(100), 7, 999))));
  EXPECT_EQ(events_.datagrams.size(), 1u);
  EXPECT_EQ(count(Counter::drop_udp_no_port), 1u);
}

TEST_F(StackTest, CountsEachReasonBelowTheTransports) {
  meet_peer();
  struct Case {
    Counter reason;
    Bytes bytes;
  };
  const Bytes packet = ipv4(pattern(20));
  Bytes wrong_checksum = packet;
  wrong_checksum[10] ^= 1;
  Bytes wrong_version = packet;
  wrong_version[0] = 0x65;
  for (const Case& c : {
           Case{Counter::drop_link_short, Bytes(13)},
           Case{Counter::drop_link_foreign, ethernet(packet, 0x0800, kPeerLink)},
           Case{Counter::drop_link_unknown_type, ethernet(packet, 0x88cc)},
           Case{Counter::drop_link_vlan, ethernet(Bytes{0, 7, 8, 0} + packet, 0x8100)},
           Case{Counter::drop_ip_v6, ethernet(packet, 0x86dd, {0x33, 0x33, 0, 0, 0, 1})},
           Case{Counter::drop_arp_malformed, ethernet(Bytes(27), 0x0806)},
           Case{Counter::drop_arp_foreign,
                ethernet(arp({.sender = kFar, .target = kPeer}), 0x0806)},
           Case{Counter::drop_ip_malformed, ethernet(wrong_version)},
           Case{Counter::drop_ip_checksum, ethernet(wrong_checksum)},
           Case{Counter::drop_ip_options, ethernet(ipv4(pattern(20), {.options = {7, 1, 0, 0}}))},
           Case{Counter::drop_ip_foreign, ethernet(ipv4(pattern(20), {.destination = kFar}))},
           Case{Counter::drop_ip_source, ethernet(ipv4(pattern(20), {.source = kOwn}))},
           Case{Counter::drop_fragment_malformed,
                ethernet(ipv4(pattern(20), {.fragment = 0x2000}))},
           Case{Counter::drop_ip_protocol, ethernet(ipv4(pattern(20), {.protocol = 99}))},
           Case{Counter::drop_icmp_malformed, ethernet(ipv4(pattern(7), {.protocol = 1}))},
           Case{Counter::drop_icmp_checksum, ethernet(ipv4(pattern(9), {.protocol = 1}))},
           Case{Counter::drop_icmp_unknown,
                ethernet(ipv4(testing::icmp(0, 0, 0, {}), {.protocol = 1}))},
           Case{Counter::drop_udp_malformed, ethernet(ipv4(pattern(7)))},
           Case{Counter::drop_udp_no_port, ethernet(ipv4(testing::udp({}, 1, 1)))},
       }) {
    const uint64_t before = count(c.reason), all_before = drops();
    input(c.bytes);
    EXPECT_EQ(count(c.reason), before + 1)
        << kCounterDescriptions[static_cast<size_t>(c.reason)].name;
    EXPECT_EQ(drops(), all_before + 1);
    input(c.bytes, {5, 10, 3});
    EXPECT_EQ(count(c.reason), before + 2);
  }
}

TEST_F(StackTest, SaysThatAProtocolIsUnreachable) {
  meet_peer();
  const Bytes packet = ipv4(pattern(20), {.protocol = 132});
  input(ethernet(packet));
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(Bytes(sink_.sent[0].begin() + 34, sink_.sent[0].end()), testing::icmp(3, 2, 0, packet));
}

TEST_F(StackTest, TakesBatchesOfAnySize) {
  meet_peer();
  ASSERT_TRUE(stack_->udp_bind(7, events_, 3));
  size_t expected = 0;
  for (const uint32_t size : {0, 1, 3, 63, 64, 65, 200}) {
    std::vector<rte_mbuf*> batch;
    for (uint32_t i = 0; i < size; i++)
      batch.push_back(frame(ethernet(ipv4(testing::udp(pattern(10, i), 7, 999)))));
    stack_->input(batch.data(), size);
    expected += size;
    EXPECT_EQ(events_.datagrams.size(), expected);
    for (uint32_t i = 0; i < size; i++)
      EXPECT_EQ(events_.datagrams[expected - size + i].bytes, pattern(10, i));
  }
}

TEST_F(StackTest, DeadlinesOfTheNeighborsAreItsOwn) {
  set_now(3 * kSecondUs);
  stack_->run_timers();
  EXPECT_EQ(stack_->next_deadline_us(), UINT64_MAX);
  EXPECT_TRUE(stack_->udp_send(7, {Address::v4(kPeer), 5}, pattern(5)));
  EXPECT_EQ(stack_->next_deadline_us(), 4 * kSecondUs);
  for (int i = 1; i <= 3; i++) {
    set_now((3 + i) * kSecondUs);
    stack_->run_timers();
  }
  EXPECT_EQ(count(Counter::drop_neighbor_unreachable), 1u);
  EXPECT_EQ(stack_->next_deadline_us(), UINT64_MAX);
}

TEST_F(StackTest, GivesBackWhatWaitsWhenItEnds) {
  for (int i = 0; i < 5; i++) EXPECT_TRUE(stack_->udp_send(7, {Address::v4(kPeer), 5}, pattern(5)));
  stack_.reset();
  EXPECT_EQ(frames_->free_count(), kPoolBuffers);
}

/// Frames of every kind, whole, mutated and random, in chains, with the clock going on: nothing may
/// crash or be lost.
TEST_F(StackTest, SurvivesMutatedAndRandomFrames) {
  std::mt19937 random(20);
  ASSERT_TRUE(stack_->udp_bind(7, events_, 3));
  stack_->tcp_listen(7, events_, 4);
  Bytes syn(20);
  put16(syn, 0, 5555);
  put16(syn, 2, 7);
  syn[12] = 0x50;
  syn[13] = 2;
  put16(syn, 16, plain_checksum(syn, plain_pseudo_sum(kPeer, kOwn, 6, 20)));
  const Bytes ours = ipv4(syn, {.protocol = 6, .source = kOwn, .destination = kPeer});
  const std::vector<Bytes> seeds = {
      ethernet(arp(), 0x0806, link::kBroadcast),
      ethernet(arp({.operation = 2, .target_link = kOwnLink}), 0x0806),
      ethernet(ipv4(testing::icmp(8, 0, 5, pattern(300)), {.protocol = 1})),
      ethernet(ipv4(testing::icmp(3, 3, 0, ours), {.protocol = 1})),
      ethernet(ipv4(testing::icmp(11, 0, 0, ours),
                    {.protocol = 1, .options = {7, 7, 4, 0, 0, 0, 0, 0}})),
      ethernet(ipv4(testing::udp(pattern(99), 7, 9))),
      ethernet(ipv4(testing::udp(pattern(99), 8, 9), {.options = Bytes(40, 1)})),
      ethernet(ipv4(syn, {.protocol = 6})),
      ethernet(ipv4(pattern(60), {.protocol = 132})),
  };
  uint64_t now_us = 1'000;
  for (int round = 0; round < 3'000; round++) {
    rte_mbuf* batch[40];
    const uint32_t size = 1 + random() % 40;
    for (uint32_t i = 0; i < size; i++) {
      Bytes bytes = seeds[random() % seeds.size()];
      switch (random() % 4) {
        case 0:
          break;
        case 1:
          bytes.resize(random() % (bytes.size() + 20));
          break;
        case 2:
          for (int n = random() % 8; n >= 0; n--) bytes[random() % bytes.size()] = random();
          break;
        case 3:
          if (random() % 2 == 0) bytes.resize(14 + random() % 200);
          for (size_t at = 14; at < bytes.size(); at++) bytes[at] = random();
          if (bytes.size() > 14) bytes[14] = 0x45 + random() % 11;
          break;
      }
      // Most mutations should get past the header checksum.
      if (bytes.size() >= 34 && random() % 4 != 0 && bytes[12] == 8 && bytes[13] == 0) {
        if (random() % 2 == 0) put16(bytes, 16, static_cast<uint16_t>(bytes.size() - 14));
        Bytes packet(bytes.begin() + 14, bytes.end());
        if (packet.size() >= size_t{4} * (packet[0] & 15) && (packet[0] & 15) >= 5) {
          set_header_checksum(packet);
          std::copy(packet.begin(), packet.end(), bytes.begin() + 14);
        }
      }
      batch[i] = random() % 2 == 0 ? frame(bytes)
                                   : frame(bytes, {random() % 60, random() % 60, random() % 60});
    }
    stack_->input(batch, size);
    stack_->flush();
    now_us += random() % 3 == 0 ? random() % kSecondUs : 0;
    set_now(now_us);
    stack_->run_timers();
    sink_.clear();
    events_.datagrams.clear();
  }
  EXPECT_GT(count(Counter::udp_rx), 1'000u);
  EXPECT_GT(count(Counter::icmp_echo_replies), 1'000u);
  EXPECT_GT(count(Counter::tcp_rx) + count(Counter::icmp_errors_rx), 1'000u);
}

}  // namespace
}  // namespace weir::net
