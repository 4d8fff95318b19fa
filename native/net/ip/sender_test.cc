#include "net/ip/sender.h"

#include "net/testing_v6.h"

namespace weir::net::ip {
namespace {

using namespace weir::net::testing;

class NoResolver final : public link::Resolver {
 public:
  void solicit(const Address&, const link::LinkAddress*) override {}
};
class IgnoringListener final : public link::UnreachableListener {
 public:
  void on_unreachable(const rte_mbuf*) override {}
};

class SenderTest : public LayerTest {
 protected:
  static StackConfig config() {
    StackConfig config;
    config.addresses = {{Address::v4(kOwn), 24}, {kOwn6, 64}};
    config.duplicate_address_probes = 0;
    config.routes = {Route::default_through(Address::v4(kGateway))};
    return config;
  }
  SenderTest() { neighbors_.learn(Address::v4(kPeer), kPeerLink, resolver_); }
  void send(rte_mbuf* packet, uint32_t destination = kPeer, uint8_t hop_limit = 0) {
    sender_.send(packet, Address::v4(kOwn), Address::v4(destination), 17, {.hop_limit = hop_limit});
  }

  NoResolver resolver_;
  IgnoringListener listener_;
  Routing routing_{config()};
  link::Ethernet ethernet_{kOwnLink, environment_};
  link::NeighborCache neighbors_{{}, clock_, environment_, ethernet_, listener_};
  Sender sender_{clock_, environment_, routing_, ethernet_, neighbors_, resolver_, resolver_, 1500};
};

TEST_F(SenderTest, PutsHeadersBeforeAPacket) {
  send(frame(pattern(33)));
  ASSERT_EQ(sink_.sent.size(), 1u);
  Bytes expected = ipv4(pattern(33), {.source = kOwn, .destination = kPeer, .fragment = 0x4000});
  put16(expected, 4, 0);
  set_header_checksum(expected);
  EXPECT_EQ(sink_.sent[0], ethernet(expected, 0x0800, kPeerLink, kOwnLink));
  EXPECT_EQ(count(Counter::ip_tx), 1u);
}

TEST_F(SenderTest, TakesAHopLimit) {
  send(frame(pattern(3)), kPeer, 7);
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(sink_.sent[0][14 + 8], 7);
  EXPECT_EQ(plain_checksum(std::span(sink_.sent[0]).subspan(14, 20)), 0);
}

TEST_F(SenderTest, HasAHopLimitOfItsOwn) {
  sender_.set_hop_limit_v4(9);
  send(frame(pattern(3)));
  send(frame(pattern(3)), kPeer, 7);
  ASSERT_EQ(sink_.sent.size(), 2u);
  EXPECT_EQ(sink_.sent[0][14 + 8], 9);
  EXPECT_EQ(sink_.sent[1][14 + 8], 7);
}

TEST_F(SenderTest, SendsThroughTheGateway) {
  neighbors_.learn(Address::v4(kGateway), {0x02, 0, 0, 0, 0, 0x55}, resolver_);
  send(frame(pattern(3)), kFar);
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(sink_.sent[0][5], 0x55);
  EXPECT_EQ(get32(sink_.sent[0], 14 + 16), kFar);
}

TEST_F(SenderTest, AWayIsKnownAsLongAsItIsOne) {
  const auto last_link = [&] { return sink_.sent.back()[5]; };
  for (int i = 0; i < 3; i++) send(frame(pattern(3)));
  EXPECT_EQ(last_link(), kPeerLink[5]);
  // The neighbor has another link address.
  neighbors_.learn(Address::v4(kPeer), {0x02, 0, 0, 0, 0, 0x66}, resolver_);
  send(frame(pattern(3)));
  EXPECT_EQ(last_link(), 0x66);
  // A more special route leads elsewhere.
  neighbors_.learn(Address::v4(kGateway), {0x02, 0, 0, 0, 0, 0x55}, resolver_);
  ASSERT_TRUE(
      routing_.add_route(Address::v4(kPeer), 32, Address::v4(kGateway), Origin::configured));
  send(frame(pattern(3)));
  EXPECT_EQ(last_link(), 0x55);
  // Nobody has answered for long: it is asked again, and sent on meanwhile.
  clock_.now_us += 40'000'000;
  send(frame(pattern(3)));
  EXPECT_EQ(neighbors_.state_of(Address::v4(kGateway)), link::NeighborCache::State::probing);
  EXPECT_EQ(sink_.sent.size(), 6u);
  routing_.remove_address(*routing_.find(Address::v4(kOwn)));
  send(frame(pattern(2000)));
  EXPECT_EQ(sink_.sent.size(), 6u);
}

TEST_F(SenderTest, DropsWhatHasNoRoute) {
  for (const uint32_t destination : {kOwn, 0u, 0x7f000001u, 0xe0000001u, 0xffffffffu, 0x0a0000ffu})
    send(frame(pattern(3)), destination);
  sender_.send(frame(pattern(3)), Address{}, Address::v4(kPeer), 17);
  EXPECT_EQ(count(Counter::drop_ip_no_route), 7u);
  EXPECT_TRUE(sink_.sent.empty());
}

TEST_F(SenderTest, DropsWhatIsLongerThanTheMtu) {
  send(frame(pattern(1480)));
  EXPECT_EQ(sink_.sent.size(), 1u);
  send(frame(pattern(1481)));
  EXPECT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(count(Counter::drop_ip_too_long), 1u);
}

TEST_F(SenderTest, SendsIpv6) {
  neighbors_.learn(kPeer6, kPeerLink, resolver_);
  sender_.send(frame(pattern(33)), kOwn6, kPeer6, 17, {.hop_limit = 9, .ecn = 2});
  Bytes expected = ipv6(pattern(33), {.source = kOwn6, .destination = kPeer6, .hop_limit = 9});
  expected[1] = 0x20;
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(sink_.sent[0], ethernet(expected, kTypeV6, kPeerLink, kOwnLink));
  sender_.send(frame(pattern(3)), Address::v4(kOwn), kPeer6, 17);
  sender_.send(frame(pattern(3)), kOwn6, kFar6, 17);
  EXPECT_EQ(count(Counter::drop_ip_no_route), 2u);
  sender_.send(frame(pattern(1461)), kOwn6, kPeer6, 6);
  EXPECT_EQ(count(Counter::drop_ip_too_long), 1u);
}

/// Puts fragments together as they were sent; every one must fit.
TEST_F(SenderTest, CutsLongPacketsOfIpv4) {
  for (const size_t length : {1481, 2960, 2961, 65507 + 8}) {
    sink_.clear();
    const Bytes payload = pattern(length);
    sender_.send(packet_of(frames_->get(), payload), Address::v4(kOwn), Address::v4(kPeer), 17,
                 {.may_fragment = true});
    Bytes joined;
    for (const Bytes& sent : sink_.sent) {
      const std::span packet = std::span(sent).subspan(14);
      ASSERT_LE(packet.size(), 1500u);
      EXPECT_EQ(get16(packet, 2), packet.size());
      EXPECT_EQ(plain_checksum(packet.first(20)), 0);
      EXPECT_EQ(get16(packet, 4), get16(std::span(sink_.sent[0]), 14 + 4));
      EXPECT_EQ((get16(packet, 6) & 0x1fff) * 8u, joined.size());
      EXPECT_EQ((get16(packet, 6) & 0x2000) != 0, &sent != &sink_.sent.back());
      EXPECT_EQ(get16(packet, 6) & 0x4000, 0);
      joined = joined + packet.subspan(20);
    }
    EXPECT_EQ(joined, payload);
  }
  sink_.clear();
  sender_.send(packet_of(frames_->get(), pattern(65516)), Address::v4(kOwn), Address::v4(kPeer), 17,
               {.may_fragment = true});
  EXPECT_EQ(count(Counter::drop_ip_too_long), 1u);
  EXPECT_TRUE(sink_.sent.empty());
}

TEST_F(SenderTest, CutsLongPacketsOfIpv6) {
  neighbors_.learn(kPeer6, kPeerLink, resolver_);
  const Bytes payload = pattern(5000);
  sender_.send(packet_of(frames_->get(), payload), kOwn6, kPeer6, 17, {.may_fragment = true});
  ASSERT_EQ(sink_.sent.size(), 4u);
  Bytes joined;
  for (const Bytes& sent : sink_.sent) {
    const bool more = &sent != &sink_.sent.back();
    const std::span part = std::span(sent).subspan(14 + 48);
    const uint32_t identification = get32(std::span(sink_.sent[0]), 14 + 44);
    EXPECT_EQ(sent, ethernet(ipv6(fragment6(17, joined.size(), more, identification, part),
                                  {.protocol = 44, .source = kOwn6, .destination = kPeer6}),
                             kTypeV6, kPeerLink, kOwnLink));
    EXPECT_LE(sent.size(), 14u + 1500);
    joined = joined + part;
  }
  EXPECT_EQ(joined, payload);
}

TEST_F(SenderTest, IdentificationsAreNotPredictable) {
  const auto identification = [&](uint32_t destination) {
    sink_.clear();
    sender_.send(packet_of(frames_->get(), pattern(1500)), Address::v4(kOwn),
                 Address::v4(destination), 17, {.may_fragment = true});
    return get16(std::span(sink_.sent[0]), 14 + 4);
  };
  const uint16_t first = identification(kPeer), second = identification(kPeer);
  EXPECT_NE(first, second);
  EXPECT_LE(static_cast<uint16_t>(second - first), 8);
  neighbors_.learn(Address::v4(0x0a000003), kPeerLink, resolver_);
  EXPECT_GT(static_cast<uint16_t>(identification(0x0a000003) - second), 8) << "another counter";
}

TEST_F(SenderTest, KeepsToWhatThePathTakes) {
  const Address peer = Address::v4(kPeer);
  sender_.lower_path_mtu(peer, 1000);
  EXPECT_EQ(sender_.mtu_bytes(peer), 1000);
  sender_.send(frame(pattern(981)), Address::v4(kOwn), peer, 17, {.may_fragment = true});
  EXPECT_EQ(sink_.sent.size(), 2u);
  sink_.clear();
  send(frame(pattern(981)));
  ASSERT_EQ(sink_.sent.size(), 1u) << "TCP has its own ways";
  EXPECT_EQ(get16(std::span(sink_.sent[0]), 14 + 6), 0x4000);
  sender_.lower_path_mtu(peer, 296);
  EXPECT_EQ(sender_.mtu_bytes(peer), 552);
  send(frame(pattern(500)));
  EXPECT_EQ(get16(std::span(sink_.sent[1]), 14 + 6), 0) << "routers may cut it";
}

TEST_F(SenderTest, SendsAllFragmentsOrNone) {
  rte_mbuf* packet = packet_of(frames_->get(), pattern(9000));
  std::vector<rte_mbuf*> others;
  while (frames_->free_count() > 3) others.push_back(rte_pktmbuf_alloc(frames_->get()));
  sender_.send(packet, Address::v4(kOwn), Address::v4(kPeer), 17, {.may_fragment = true});
  for (rte_mbuf* other : others) rte_pktmbuf_free(other);
  EXPECT_TRUE(sink_.sent.empty());
  EXPECT_EQ(count(Counter::drop_no_mbuf), 1u);
}

TEST_F(SenderTest, CountsPacketsWithoutHeadroom) {
  rte_mbuf* packet = frame(pattern(3));
  rte_pktmbuf_prepend(packet, RTE_PKTMBUF_HEADROOM - 19);
  send(packet);
  EXPECT_EQ(count(Counter::drop_no_headroom), 1u);
}

TEST_F(SenderTest, KnowsItsSourceAndMtu) {
  EXPECT_EQ(sender_.source_for(Address::v4(kPeer)), Address::v4(kOwn));
  EXPECT_EQ(sender_.source_for(Address::v4(kFar)), Address::v4(kOwn));
  EXPECT_TRUE(sender_.source_for(Address::v4(kOwn)).is_unspecified());
  EXPECT_EQ(sender_.mtu_bytes(Address::v4(kPeer)), 1500);
}

}  // namespace
}  // namespace weir::net::ip
