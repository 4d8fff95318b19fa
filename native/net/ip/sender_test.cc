#include "net/ip/sender.h"

#include "net/testing.h"

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
    config.addresses = {{Address::v4(kOwn), 24}};
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
  Sender sender_{clock_,     environment_, routing_,  ethernet_,
                 neighbors_, resolver_,    resolver_, 1500};
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

TEST_F(SenderTest, SendsThroughTheGateway) {
  neighbors_.learn(Address::v4(kGateway), {0x02, 0, 0, 0, 0, 0x55}, resolver_);
  send(frame(pattern(3)), kFar);
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(sink_.sent[0][5], 0x55);
  EXPECT_EQ(get32(sink_.sent[0], 14 + 16), kFar);
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
