#include "net/ip/input.h"

#include "net/testing.h"

namespace weir::net::ip {
namespace {

using namespace weir::net::testing;

class NoProblems final : public ProblemListener {
 public:
  void on_parameter_problem(const Received&, uint8_t, uint32_t, bool) override { ADD_FAILURE(); }
  void on_reassembly_timeout(const Received&) override { ADD_FAILURE(); }
};

class IpInputTest : public LayerTest {
 protected:
  static StackConfig config(uint8_t prefix_bits = 24) {
    StackConfig config;
    config.addresses = {{Address::v4(kOwn), prefix_bits}};
    return config;
  }
  /// Gives a frame to the layer; what it lets through is in incoming_ and transport_.
  bool receive(std::span<const uint8_t> frame_bytes, std::initializer_list<size_t> segments = {},
               bool to_link_group = false, uint64_t flags = 0) {
    rte_mbuf* packet = frame(frame_bytes, segments);
    packet->ol_flags |= flags;
    if (!input_.receive_v4(packet, to_link_group, incoming_)) return false;
    rte_mbuf_sanity_check(packet, 1);
    const Bytes all = bytes_of(packet);
    EXPECT_EQ(all.size(),
              incoming_.received.transport_offset_bytes + incoming_.received.transport_bytes);
    transport_.assign(all.begin() + incoming_.received.transport_offset_bytes, all.end());
    first_segment_bytes_ = packet->data_len;
    rte_pktmbuf_free(packet);
    return true;
  }
  bool receive_packet(const Bytes& packet) { return receive(ethernet(packet)); }
  static Bytes with(Bytes packet, size_t at, uint8_t value) {
    packet[at] = value;
    set_header_checksum(packet);
    return packet;
  }

  NoProblems problems_;
  Routing routing_{config()};
  Input input_{clock_, environment_, routing_, problems_};
  Incoming incoming_{};
  Bytes transport_;
  uint32_t first_segment_bytes_ = 0;
};

TEST_F(IpInputTest, PassesAPacketForUs) {
  ASSERT_TRUE(receive_packet(ipv4(pattern(30), {.protocol = 6})));
  EXPECT_EQ(incoming_.protocol, 6);
  EXPECT_EQ(incoming_.received.source, Address::v4(kPeer));
  EXPECT_EQ(incoming_.received.destination, Address::v4(kOwn));
  EXPECT_FALSE(incoming_.to_broadcast);
  EXPECT_FALSE(incoming_.received.checksum_known_good);
  EXPECT_EQ(incoming_.received.transport_offset_bytes, 34);
  EXPECT_EQ(transport_, pattern(30));
  EXPECT_EQ(count(Counter::ip_rx), 1u);
}

TEST_F(IpInputTest, CutsLinkPaddingOff) {
  for (size_t length = 0; length < 30; length++) {
    ASSERT_TRUE(receive(ethernet(ipv4(pattern(length)) + Bytes(46, 0xee)), {length, 20}));
    EXPECT_EQ(transport_, pattern(length));
  }
}

TEST_F(IpInputTest, GathersHeadersThatAreSpread) {
  const Bytes bytes = ethernet(ipv4(pattern(1000), {.options = {1, 1, 1, 0}}));
  ASSERT_TRUE(receive(bytes, {14, 3, 1, 30, 100}));
  EXPECT_EQ(transport_, pattern(1000));
  EXPECT_GE(first_segment_bytes_, 14u + 24u + 60u);
}

TEST_F(IpInputTest, SaysWhetherThePortVerifiedTheChecksum) {
  const Bytes bytes = ethernet(ipv4(pattern(30)));
  ASSERT_TRUE(receive(bytes, {}, false, RTE_MBUF_F_RX_L4_CKSUM_GOOD));
  EXPECT_TRUE(incoming_.received.checksum_known_good);
  ASSERT_TRUE(receive(bytes, {}, false, RTE_MBUF_F_RX_L4_CKSUM_NONE));
  EXPECT_TRUE(incoming_.received.checksum_known_good);
  ASSERT_TRUE(receive(bytes, {}, false, RTE_MBUF_F_RX_L4_CKSUM_BAD));
  EXPECT_FALSE(incoming_.received.checksum_known_good);
}

TEST_F(IpInputTest, DropsMalformedHeaders) {
  const Bytes good = ipv4(pattern(8));
  uint64_t drops = 0;
  for (size_t length = 0; length < good.size(); length++, drops++)
    EXPECT_FALSE(receive(ethernet(std::span(good).first(length)))) << length;
  for (const uint8_t first : {0x44, 0x40, 0x55, 0x65, 0x4f}) {
    // 0x4f claims 60 bytes of header in 28 of packet.
    Bytes packet = good;
    packet[0] = first;
    EXPECT_FALSE(receive_packet(packet));
    drops++;
  }
  for (const uint16_t total : {0, 19, 29, 0xffff}) {
    Bytes packet = good;
    put16(packet, 2, total);
    set_header_checksum(packet);
    EXPECT_FALSE(receive_packet(packet));
    drops++;
  }
  EXPECT_EQ(count(Counter::drop_ip_malformed), drops);
}

TEST_F(IpInputTest, DropsAnyHeaderWithOneWrongBit) {
  const Bytes good = ipv4(pattern(8));
  for (size_t bit = 0; bit < 160; bit++) {
    Bytes packet = good;
    packet[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(receive_packet(packet)) << bit;
  }
  EXPECT_GT(count(Counter::drop_ip_checksum), 130u);
  EXPECT_EQ(count(Counter::drop_ip_checksum) + count(Counter::drop_ip_malformed), 160u);
}

TEST_F(IpInputTest, SkipsWellFormedOptions) {
  for (const Bytes& options :
       {Bytes{1, 1, 1, 1}, Bytes{0, 0, 0, 0}, Bytes{0, 0xff, 1, 2}, Bytes{148, 4, 0, 0},
        Bytes{7, 7, 4, 0, 0, 0, 0, 0}, Bytes{1, 0x88, 2, 0}, Bytes(40, 1)}) {
    EXPECT_TRUE(receive_packet(ipv4(pattern(9), {.options = options})));
    EXPECT_EQ(transport_, pattern(9));
  }
}

TEST_F(IpInputTest, DropsMalformedOptionsAndSourceRoutes) {
  uint64_t drops = 0;
  for (const Bytes& options :
       {Bytes{7, 0, 0, 0}, Bytes{7, 1, 0, 0}, Bytes{7, 5, 0, 0}, Bytes{1, 1, 1, 7},
        Bytes{1, 1, 7, 3}, Bytes{7, 255, 1, 1}, Bytes{131, 7, 4, 1, 2, 3, 4, 0},
        Bytes{137, 7, 4, 1, 2, 3, 4, 0}, Bytes{1, 1, 1, 131}}) {
    EXPECT_FALSE(receive_packet(ipv4(pattern(9), {.options = options})));
    drops++;
  }
  EXPECT_EQ(count(Counter::drop_ip_options), drops);
}

TEST_F(IpInputTest, TakesAnyTimeToLive) {
  EXPECT_TRUE(receive_packet(ipv4(pattern(9), {.time_to_live = 0})));
  EXPECT_TRUE(receive_packet(ipv4(pattern(9), {.time_to_live = 1})));
}

TEST_F(IpInputTest, DropsPacketsForOthers) {
  for (const uint32_t destination : {kFar, kPeer, 0x0a000000u, 0xe0000001u, 0x7f000001u, 0u})
    EXPECT_FALSE(receive_packet(ipv4(pattern(9), {.destination = destination})));
  EXPECT_EQ(count(Counter::drop_ip_foreign), 6u);
}

TEST_F(IpInputTest, ALinkBroadcastCarriesOnlyIpBroadcasts) {
  EXPECT_FALSE(receive(ethernet(ipv4(pattern(9))), {}, true));
  EXPECT_FALSE(receive_packet(ipv4(pattern(9), {.destination = 0xffffffff})));
  EXPECT_EQ(count(Counter::drop_ip_foreign), 2u);
}

TEST_F(IpInputTest, OfBroadcastsOnlyUdpPasses) {
  for (const uint32_t destination : {0xffffffffu, 0x0a0000ffu}) {
    EXPECT_TRUE(receive(ethernet(ipv4(pattern(9), {.destination = destination})), {}, true));
    EXPECT_TRUE(incoming_.to_broadcast);
    for (const uint8_t protocol : {1, 6, 99})
      EXPECT_FALSE(
          receive(ethernet(ipv4(pattern(9), {.protocol = protocol, .destination = destination})),
                  {}, true));
  }
  EXPECT_EQ(count(Counter::drop_ip_broadcast), 6u);
}

TEST_F(IpInputTest, DropsImpossibleSources) {
  for (const uint32_t source : {0u, 0x00010203u, 0x7f000001u, 0xe0000001u, 0xefffffffu, 0xffffffffu,
                                0x0a0000ffu, 0x0a000000u, kOwn})
    EXPECT_FALSE(receive_packet(ipv4(pattern(9), {.source = source})));
  EXPECT_EQ(count(Counter::drop_ip_source), 9u);
  EXPECT_TRUE(receive_packet(ipv4(pattern(9), {.source = kFar})));
}

TEST_F(IpInputTest, WhatItKnowsOfAddressesEndsWithThem) {
  const Bytes packet = ipv4(pattern(30), {.protocol = 6});
  EXPECT_TRUE(receive_packet(packet));
  EXPECT_TRUE(receive_packet(packet));
  // The same pair by a link broadcast is looked at anew.
  EXPECT_FALSE(receive(ethernet(packet), {}, true));
  routing_.remove_address(*routing_.find(Address::v4(kOwn)));
  EXPECT_FALSE(receive_packet(packet));
  EXPECT_EQ(count(Counter::drop_ip_foreign), 2u);
}

TEST_F(IpInputTest, APairOfNoAddressesIsNotKnown) {
  EXPECT_FALSE(receive_packet(ipv4(pattern(30), {.protocol = 6, .source = 0, .destination = 0})));
  EXPECT_EQ(count(Counter::drop_ip_foreign), 1u);
}

TEST_F(IpInputTest, TakesWhatMayOnlyNotBeFragmented) {
  EXPECT_TRUE(receive_packet(ipv4(pattern(16), {.fragment = 0x4000})));
}

}  // namespace
}  // namespace weir::net::ip
