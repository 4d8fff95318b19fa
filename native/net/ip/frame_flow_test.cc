#include "net/ip/frame_flow.h"

#include "net/flow_steering.h"
#include "net/testing_v6.h"

namespace weir::net::ip {
namespace {

using namespace weir::net::testing;
using Kind = FrameFlow::Kind;

class FrameFlowTest : public LayerTest {
 protected:
  FrameFlow look(std::span<const uint8_t> bytes) {
    rte_mbuf* packet = frame(bytes);
    const FrameFlow flow = flow_of(packet);
    rte_pktmbuf_free(packet);
    return flow;
  }
  static Bytes ports(uint16_t source, uint16_t destination, size_t more = 16) {
    Bytes bytes(4 + more);
    put16(bytes, 0, source);
    put16(bytes, 2, destination);
    return bytes;
  }
  static void expect_flow(const FrameFlow& flow, const Endpoint& source,
                          const Endpoint& destination) {
    EXPECT_EQ(flow.kind, Kind::flow);
    EXPECT_EQ(flow.source, source);
    EXPECT_EQ(flow.destination, destination);
  }
  const Endpoint peer_{Address::v4(kPeer), 40000};
  const Endpoint own_{Address::v4(kOwn), 80};
  const Endpoint peer_address_{Address::v4(kPeer), 0};
  const Endpoint own_address_{Address::v4(kOwn), 0};
};

TEST_F(FrameFlowTest, PortsOfTcpAndUdp) {
  expect_flow(look(ethernet(ipv4(ports(40000, 80), {.protocol = 6}))), peer_, own_);
  expect_flow(look(ethernet(ipv4(ports(40000, 80), {.protocol = 17}))), peer_, own_);
  // Behind options, and behind a VLAN tag.
  expect_flow(look(ethernet(ipv4(ports(40000, 80), {.protocol = 6, .options = Bytes(8, 1)}))),
              peer_, own_);
  const Bytes tagged = Bytes{0, 7, 8, 0} + ipv4(ports(40000, 80), {.protocol = 6});
  expect_flow(look(ethernet(tagged, link::kTypeVlan)), peer_, own_);
}

TEST_F(FrameFlowTest, FragmentsGoByTheirAddresses) {
  for (const uint16_t fragment : {0x2000, 0x0010, 0x2010})
    expect_flow(look(ethernet(ipv4(ports(40000, 80), {.protocol = 6, .fragment = fragment}))),
                peer_address_, own_address_);
  // "Don't fragment" is none.
  expect_flow(look(ethernet(ipv4(ports(40000, 80), {.protocol = 6, .fragment = 0x4000}))), peer_,
              own_);
}

TEST_F(FrameFlowTest, AnErrorIsOfTheFlowItIsAbout) {
  // What we sent comes back, in the answer of a router.
  const Bytes quoted =
      ipv4(ports(80, 40000, 4), {.protocol = 6, .source = kOwn, .destination = kPeer});
  const Bytes error = testing::icmp(3, 4, 1400, quoted);
  const FrameFlow flow = look(ethernet(ipv4(error, {.protocol = 1, .source = kGateway})));
  expect_flow(flow, own_, peer_);
  const FlowGroups groups(1, 2, 7);
  EXPECT_EQ(groups.group_of(flow.source, flow.destination), groups.group_of(peer_, own_));
  // Cut short, it is somebody's all the same.
  const Bytes whole = ethernet(ipv4(error, {.protocol = 1, .source = kGateway}));
  for (size_t length = 0; length < whole.size(); length++) look(std::span(whole).first(length));
  // A ping has no ports.
  expect_flow(look(ethernet(ipv4(testing::icmp(8, 0, 0, Bytes(32)), {.protocol = 1}))),
              peer_address_, own_address_);
}

TEST_F(FrameFlowTest, WhatConcernsTheLink) {
  EXPECT_EQ(look(ethernet(arp(), link::kTypeArp)).kind, Kind::everyone);
  EXPECT_EQ(look(ethernet(Bytes(50), 0x88cc)).kind, Kind::speaker);
  EXPECT_EQ(look(ethernet(ipv4(ports(67, 68), {.protocol = 17}))).kind, Kind::speaker);
}

TEST_F(FrameFlowTest, Ipv6) {
  const auto packet = [](uint8_t next, std::span<const uint8_t> payload) {
    Bytes bytes(40);
    bytes[0] = 0x60;
    put16(bytes, 4, static_cast<uint16_t>(payload.size()));
    bytes[6] = next;
    bytes[7] = 64;
    bytes[8] = bytes[24] = 0xfd;
    bytes[23] = 2;
    bytes[39] = 1;
    return ethernet(bytes + payload, link::kTypeIpv6);
  };
  Address peer{}, own{};
  peer.bytes[0] = own.bytes[0] = 0xfd;
  peer.bytes[15] = 2;
  own.bytes[15] = 1;
  expect_flow(look(packet(6, ports(40000, 80))), {peer, 40000}, {own, 80});
  // Behind a fragment header or others there may be ports, or not.
  expect_flow(look(packet(44, Bytes(8) + ports(40000, 80))), {peer, 0}, {own, 0});
  expect_flow(look(packet(0, Bytes{6, 0, 1, 4, 0, 0, 0, 0} + ports(40000, 80))), {peer, 0},
              {own, 0});
  for (const uint8_t type : {130, 134, 135, 136, 143})
    EXPECT_EQ(look(packet(58, Bytes{type} + Bytes(31))).kind, Kind::everyone);
  EXPECT_EQ(look(packet(0, Bytes{58, 0, 5, 2, 0, 0, 1, 0, 130} + Bytes(31))).kind, Kind::everyone);
  expect_flow(look(packet(58, Bytes{128} + Bytes(31))), {peer, 0}, {own, 0});
  const Bytes about = packet(6, ports(80, 40000));
  expect_flow(look(packet(58, Bytes{2, 0, 0, 0, 0, 0, 5, 0} + std::span(about).subspan(14))),
              {peer, 80}, {own, 40000});
}

TEST_F(FrameFlowTest, AnyBytes) {
  std::mt19937 random(3);
  for (int round = 0; round < 20'000; round++) {
    Bytes bytes(random() % 120);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    if (bytes.size() > 14) {
      const bool is_v4 = random() % 2 == 0;
      put16(bytes, 12, is_v4 ? link::kTypeIpv4 : link::kTypeIpv6);
      bytes[14] = is_v4 ? static_cast<uint8_t>(0x40 | bytes[14] % 16) : 0x60;
    }
    look(bytes);
  }
}

TEST(FlowGroupsTest, BothDirectionsAndAllWorkers) {
  const FlowGroups groups(0x1234, 0x5678, 3);
  std::array<int, 3> flows{};
  for (uint32_t i = 0; i < 3000; i++) {
    const Endpoint a{Address::v4(0x0a000000 + i % 50), static_cast<uint16_t>(1024 + i)};
    const Endpoint b{Address::v4(kOwn), 80};
    EXPECT_EQ(groups.owner_of(a, b), groups.owner_of(b, a));
    flows[groups.owner_of(a, b)]++;
  }
  for (const int count : flows) EXPECT_NEAR(count, 1000, 200);
  // Who does not know the key cannot tell.
  const FlowGroups others(0x4321, 0x5678, 256);
  int same = 0;
  for (uint16_t port = 1; port <= 1000; port++) {
    const Endpoint a{Address::v4(kPeer), port}, b{Address::v4(kOwn), 80};
    same += FlowGroups(0x1234, 0x5678, 256).group_of(a, b) == others.group_of(a, b);
  }
  EXPECT_LT(same, 30);
}

}  // namespace
}  // namespace weir::net::ip
