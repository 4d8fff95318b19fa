#include "net/icmp/icmp.h"

#include <set>

#include "net/testing.h"

namespace weir::net::icmp {
namespace {

using namespace weir::net::testing;

class KeepingListener final : public ErrorListener {
 public:
  struct Error {
    uint8_t protocol;
    Address local;
    Address remote;
    Bytes quoted;
    ip::DeliveryError error;
  };
  bool on_icmp_error(uint8_t protocol, const Address& local, const Address& remote,
                     std::span<const uint8_t> quoted, const ip::DeliveryError& error) override {
    errors.push_back({protocol, local, remote, Bytes(quoted.begin(), quoted.end()), error});
    return protocol == 6 || protocol == 17;
  }
  std::vector<Error> errors;
};

class KeepingOutput final : public ip::Output {
 public:
  void send(rte_mbuf* packet, const Address& source, const Address& destination, uint8_t protocol,
            const ip::SendOptions&) override {
    rte_mbuf_sanity_check(packet, 1);
    EXPECT_GE(rte_pktmbuf_headroom(packet), 34);
    EXPECT_EQ(source, Address::v4(kOwn));
    EXPECT_EQ(protocol, ip::kProtocolIcmp);
    EXPECT_EQ(packet->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, 0u);
    sent.push_back(bytes_of(packet));
    buffers.push_back(packet);
    destinations.push_back(destination);
    rte_pktmbuf_free(packet);
  }
  Address source_for(const Address&) const override { return Address::v4(kOwn); }
  bool is_local(const Address& address) const override { return address == Address::v4(kOwn); }
  void lower_path_mtu(const Address&, uint16_t) override {}
  uint16_t mtu_bytes(const Address&) const override { return 1500; }
  std::vector<Bytes> sent;
  std::vector<const rte_mbuf*> buffers;
  std::vector<Address> destinations;
};

class IcmpTest : public LayerTest {
 protected:
  static StackConfig config() {
    StackConfig config;
    config.addresses = {{Address::v4(kOwn), 24}};
    return config;
  }
  /// What the IP layer would hand up.
  ip::Received received(std::span<const uint8_t> transport,
                        std::initializer_list<size_t> segments = {}, uint8_t protocol = 1) {
    const Bytes bytes = ethernet(ipv4(transport, {.protocol = protocol}));
    return {.frame = frame(bytes, segments),
            .transport_offset_bytes = 34,
            .transport_bytes = static_cast<uint32_t>(transport.size()),
            .source = Address::v4(kPeer),
            .destination = Address::v4(kOwn),
            .checksum_known_good = false};
  }
  void input(const Bytes& message) { icmp_.input(received(message)); }
  /// An error about a packet, as a router would send it.
  static Bytes error(uint8_t type, uint8_t code, std::span<const uint8_t> quoted) {
    return testing::icmp(type, code, 0, quoted);
  }
  static Bytes ours(uint8_t protocol, std::span<const uint8_t> transport) {
    return ipv4(transport, {.protocol = protocol, .source = kOwn, .destination = kFar});
  }

  ip::Routing routing_{config()};
  KeepingListener listener_;
  KeepingOutput output_;
  Icmp icmp_{clock_, environment_, routing_, output_, listener_};
};

TEST_F(IcmpTest, AnswersEchoRequestsOfAnySizeInTheBufferTheyCameIn) {
  for (size_t length = 0; length <= 1472; length++) {
    const Bytes data = pattern(length);
    const ip::Received message = received(testing::icmp(8, 0, 0x12340000 + length, data));
    message.frame->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    icmp_.input(message);
    ASSERT_EQ(output_.sent.size(), length + 1);
    EXPECT_EQ(output_.sent[length], testing::icmp(0, 0, 0x12340000 + length, data));
    EXPECT_EQ(output_.buffers[length], message.frame);
  }
  EXPECT_EQ(output_.destinations[0], Address::v4(kPeer));
  EXPECT_EQ(count(Counter::icmp_echo_replies), 1473u);
}

TEST_F(IcmpTest, AnswersEchoRequestsThatAreChained) {
  for (const size_t length : {0, 1, 63, 1472, 8972}) {
    const Bytes data = pattern(length);
    icmp_.input(received(testing::icmp(8, 0, 7, data), {42, 1, 333, 7}));
    EXPECT_EQ(output_.sent.back(), testing::icmp(0, 0, 7, data));
  }
}

TEST_F(IcmpTest, AnswersWithTheChecksumOfTheDataNotWithAnEchoOfIt) {
  // Bytes whose sum is at the edges of one's complement arithmetic.
  for (uint32_t rest = 0xf7f0; rest < 0x10000; rest++) {
    input(testing::icmp(8, 0, rest, {}));
    EXPECT_EQ(plain_checksum(output_.sent.back()), 0) << rest;
  }
}

TEST_F(IcmpTest, CopiesARequestThatOthersHold) {
  const Bytes data = pattern(3000);
  const ip::Received message = received(testing::icmp(8, 0, 7, data));
  const Bytes before = bytes_of(message.frame);
  rte_pktmbuf_refcnt_update(message.frame, 1);
  icmp_.input(message);
  ASSERT_EQ(output_.sent.size(), 1u);
  EXPECT_EQ(output_.sent[0], testing::icmp(0, 0, 7, data));
  EXPECT_NE(output_.buffers[0], message.frame);
  EXPECT_EQ(bytes_of(message.frame), before);
  rte_pktmbuf_free(message.frame);
}

TEST_F(IcmpTest, DropsMalformedMessages) {
  for (size_t length = 0; length < 8; length++) input(Bytes(length));
  EXPECT_EQ(count(Counter::drop_icmp_malformed), 8u);
}

TEST_F(IcmpTest, DropsWrongChecksums) {
  Bytes message = testing::icmp(8, 0, 7, pattern(11));
  for (size_t at = 0; at < message.size(); at++) {
    message[at] ^= 0x10;
    input(message);
    message[at] ^= 0x10;
  }
  EXPECT_EQ(count(Counter::drop_icmp_checksum), message.size());
  EXPECT_TRUE(output_.sent.empty());
}

TEST_F(IcmpTest, DropsTypesThatAreNotHandled) {
  for (const uint8_t type : {0, 1, 4, 5, 9, 10, 13, 15, 17, 42, 255})
    input(testing::icmp(type, 0, 0, ours(6, pattern(20))));
  EXPECT_EQ(count(Counter::drop_icmp_unknown), 11u);
  EXPECT_TRUE(listener_.errors.empty());
  EXPECT_TRUE(output_.sent.empty());
}

TEST_F(IcmpTest, HandsErrorsAboutOurSegmentsUp) {
  struct Case {
    uint8_t type, code;
    bool hard;
  };
  for (const Case& c :
       {Case{3, 0, false}, Case{3, 1, false}, Case{3, 2, true}, Case{3, 3, true}, Case{3, 4, false},
        Case{3, 13, false}, Case{11, 0, false}, Case{12, 0, false}, Case{11, 3, false}}) {
    input(error(c.type, c.code, ours(6, pattern(20))));
    ASSERT_EQ(listener_.errors.size(), 1u);
    EXPECT_EQ(listener_.errors[0].protocol, 6);
    EXPECT_EQ(listener_.errors[0].local, Address::v4(kOwn));
    EXPECT_EQ(listener_.errors[0].remote, Address::v4(kFar));
    EXPECT_EQ(listener_.errors[0].quoted, pattern(20));
    EXPECT_EQ(listener_.errors[0].error.kind == ip::DeliveryError::Kind::hard, c.hard)
        << int{c.type} << " " << int{c.code};
    listener_.errors.clear();
  }
  EXPECT_EQ(count(Counter::icmp_errors_rx), 9u);
  EXPECT_EQ(count(Counter::drop_icmp_unknown), 0u);
}

TEST_F(IcmpTest, ReadsQuotesOfTheShortestAndLongestForm) {
  input(error(3, 3, ours(17, pattern(8))));
  input(error(3, 3,
              ipv4(pattern(8), {.source = kOwn, .destination = kFar, .options = Bytes(40, 1)})));
  icmp_.input(received(error(3, 3, ours(6, pattern(8))), {34, 9, 20}));
  ASSERT_EQ(listener_.errors.size(), 3u);
  for (const auto& e : listener_.errors) EXPECT_EQ(e.quoted, pattern(8));
}

TEST_F(IcmpTest, IgnoresErrorsThatQuoteNothingOfOurs) {
  const Bytes good = ours(6, pattern(8));
  uint64_t drops = 0;
  for (size_t length = 0; length < good.size(); length++, drops++)
    input(error(3, 3, std::span(good).first(length)));
  for (const uint8_t first : {0x65, 0x44, 0x46, 0x4f}) {
    Bytes bytes = good;
    bytes[0] = first;
    input(error(3, 3, bytes));
    drops++;
  }
  input(error(3, 3, ipv4(pattern(8), {.protocol = 6, .source = kPeer, .destination = kFar})));
  input(error(
      3, 3, ipv4(pattern(8), {.protocol = 6, .source = kOwn, .destination = kFar, .fragment = 5})));
  drops += 2;
  EXPECT_TRUE(listener_.errors.empty());
  input(error(3, 2, ours(99, pattern(8))));  // nobody's protocol
  drops++;
  EXPECT_EQ(count(Counter::drop_icmp_unknown), drops);
}

TEST_F(IcmpTest, SendsErrorsThatQuoteAsMuchAsFits) {
  for (const size_t length : {0, 8, 520, 528, 529, 1400}) {
    const ip::Received cause = received(pattern(length), {40, 100}, 17);
    icmp_.send_unreachable(cause, Unreachable::port);
    const Bytes packet = ipv4(pattern(length), {.protocol = 17});
    ASSERT_EQ(output_.sent.back().size(), 8 + std::min<size_t>(packet.size(), 548));
    EXPECT_EQ(output_.sent.back(),
              error(3, 3, std::span(packet).first(std::min<size_t>(packet.size(), 548))));
    rte_pktmbuf_free(cause.frame);
  }
  EXPECT_EQ(count(Counter::icmp_errors_tx), 6u);
  EXPECT_EQ(output_.destinations[0], Address::v4(kPeer));
}

TEST_F(IcmpTest, LimitsTheRateOfErrors) {
  clock_.now_us = 1'000'000;
  const ip::Received cause = received(pattern(10), {}, 17);
  for (int i = 0; i < 200; i++) icmp_.send_unreachable(cause, Unreachable::port);
  EXPECT_EQ(count(Counter::icmp_errors_tx), 10u);
  EXPECT_EQ(count(Counter::drop_icmp_rate), 190u);
  clock_.now_us += 20'000;
  for (int i = 0; i < 200; i++) icmp_.send_unreachable(cause, Unreachable::port);
  EXPECT_EQ(count(Counter::icmp_errors_tx), 12u);
  rte_pktmbuf_free(cause.frame);
}

TEST_F(IcmpTest, LimitsErrorsToAllPeersTogetherAndNotExactly) {
  clock_.now_us = 1'000'000;
  std::vector<uint32_t> sent;
  for (uint64_t seed = 1; seed <= 4; seed++) {
    SeededRandom random(seed);
    Environment environment{sink_, random, counters_, headers_->get(), frames_->get()};
    ErrorLimit limit(clock_, environment);
    uint32_t allowed = 0;
    for (uint32_t peer = 0; peer < 1'000; peer++) allowed += limit.take(Address::v4(kFar + peer));
    EXPECT_LE(allowed, ErrorLimit::kBurst);
    EXPECT_GE(allowed, ErrorLimit::kBurst / 2);
    sent.push_back(allowed);
  }
  EXPECT_GT(std::set<uint32_t>(sent.begin(), sent.end()).size(), 1u)
      << "what is left must not be there to be counted";
}

TEST_F(IcmpTest, EstimatesAnMtuThatARouterDoesNotSay) {
  Bytes long_packet = ours(6, pattern(1480));
  input(error(3, 4, long_packet));
  ASSERT_EQ(listener_.errors.size(), 1u);
  EXPECT_EQ(listener_.errors[0].error.kind, ip::DeliveryError::Kind::too_big);
  EXPECT_EQ(listener_.errors[0].error.mtu_bytes, 1492);
  input(testing::icmp(3, 4, 1300, long_packet));
  EXPECT_EQ(listener_.errors[1].error.mtu_bytes, 1300);
}

TEST_F(IcmpTest, TellsThatFragmentsDidNotCome) {
  const Bytes packet = ipv4(pattern(64), {.fragment = 0x2000});
  const ip::Received first = {.frame = frame(ethernet(packet)),
                              .transport_offset_bytes = 34,
                              .transport_bytes = 64,
                              .source = Address::v4(kPeer),
                              .destination = Address::v4(kOwn),
                              .checksum_known_good = false};
  icmp_.send_reassembly_timeout(first);
  ASSERT_EQ(output_.sent.size(), 1u);
  EXPECT_EQ(output_.sent[0], error(11, 1, packet));
  rte_pktmbuf_free(first.frame);
}

TEST_F(IcmpTest, CountsWhenNoBufferIsFree) {
  const ip::Received cause = received(pattern(10), {}, 17);
  const ip::Received echo = received(testing::icmp(8, 0, 7, pattern(10)));
  rte_mbuf_refcnt_update(echo.frame, 1);
  {
    const Drained drained(*frames_);
    icmp_.send_unreachable(cause, Unreachable::port);
    icmp_.input(echo);
  }
  EXPECT_EQ(count(Counter::drop_no_mbuf), 2u);
  EXPECT_EQ(count(Counter::icmp_errors_tx), 0u);
  rte_pktmbuf_free(cause.frame);
  rte_pktmbuf_free(echo.frame);
}

TEST(TokenBucketTest, FillsUpToItsBurst) {
  TokenBucket bucket(10, 3);
  for (int i = 0; i < 3; i++) EXPECT_TRUE(bucket.take(0));
  EXPECT_FALSE(bucket.take(0));
  EXPECT_FALSE(bucket.take(99'999));
  EXPECT_TRUE(bucket.take(100'000));
  EXPECT_FALSE(bucket.take(100'000));
  for (int i = 0; i < 3; i++) EXPECT_TRUE(bucket.take(UINT64_MAX / 2));
  EXPECT_FALSE(bucket.take(UINT64_MAX / 2));
}

}  // namespace
}  // namespace weir::net::icmp
