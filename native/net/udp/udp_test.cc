#include "net/udp/udp.h"

#include "net/testing.h"

namespace weir::net::udp {
namespace {

using namespace weir::net::testing;

class NoListener final : public icmp::ErrorListener {
 public:
  bool on_icmp_error(uint8_t, const Address&, const Address&, std::span<const uint8_t>,
                     const ip::DeliveryError&) override {
    return false;
  }
};

class KeepingOutput final : public ip::Output {
 public:
  void send(rte_mbuf* packet, const Address& source, const Address& destination, uint8_t protocol,
            const ip::SendOptions&) override {
    rte_mbuf_sanity_check(packet, 1);
    EXPECT_GE(rte_pktmbuf_headroom(packet), 34);
    sources.push_back(source);
    sent.push_back(bytes_of(packet));
    protocols.push_back(protocol);
    destinations.push_back(destination);
    rte_pktmbuf_free(packet);
  }
  Address source_for(const Address& destination) const override {
    return destination == Address::v4(kFar) ? Address{} : Address::v4(kOwn);
  }
  bool is_local(const Address& address) const override {
    return address == Address::v4(kOwn) || (address == second && !second.is_unspecified());
  }
  void lower_path_mtu(const Address&, uint16_t mtu_bytes) override { lowered = mtu_bytes; }
  uint16_t mtu_bytes(const Address&) const override { return mtu; }
  uint16_t mtu = 1500;
  uint16_t lowered = 0;
  Address second;
  std::vector<Address> sources;
  std::vector<Bytes> sent;
  std::vector<uint8_t> protocols;
  std::vector<Address> destinations;
};

class UdpTest : public LayerTest {
 protected:
  static StackConfig config() {
    StackConfig config;
    config.addresses = {{Address::v4(kOwn), 24}};
    return config;
  }
  void input(std::span<const uint8_t> transport, bool known_good = false, bool to_broadcast = false,
             std::initializer_list<size_t> segments = {}) {
    const uint32_t destination = to_broadcast ? 0xffffffff : kOwn;
    udp_.input({.received = {.frame = frame(ethernet(ipv4(transport, {.destination = destination})),
                                            segments),
                             .transport_offset_bytes = 34,
                             .transport_bytes = static_cast<uint32_t>(transport.size()),
                             .source = Address::v4(kPeer),
                             .destination = Address::v4(destination),
                             .checksum_known_good = known_good},
                .protocol = 17,
                .to_broadcast = to_broadcast});
  }

  ip::Routing routing_{config()};
  NoListener listener_;
  KeepingOutput output_;
  icmp::Icmp icmp_{clock_, environment_, routing_, output_, listener_};
  icmp::IcmpV6 icmp_v6_{clock_, environment_, routing_, output_, listener_};
  Udp udp_{environment_, output_, icmp_, icmp_v6_, 4};
  KeepingEvents events_;
};

TEST_F(UdpTest, DeliversToTheBoundPort) {
  ASSERT_TRUE(udp_.bind(53, events_, 77));
  for (const size_t length : {0, 1, 2, 9, 1471, 1472}) {
    input(testing::udp(pattern(length), 53, 4000));
    ASSERT_FALSE(events_.datagrams.empty());
    const auto& got = events_.datagrams.back();
    EXPECT_EQ(got.tag, 77u);
    EXPECT_EQ(got.remote, (Endpoint{Address::v4(kPeer), 4000}));
    EXPECT_EQ(got.local, (Endpoint{Address::v4(kOwn), 53}));
    EXPECT_EQ(got.bytes, pattern(length));
  }
  EXPECT_EQ(count(Counter::udp_rx), 6u);
}

TEST_F(UdpTest, DeliversChainsAndCutsWhatIsBehindTheLength) {
  ASSERT_TRUE(udp_.bind(53, events_, 1));
  input(testing::udp(pattern(5000), 53, 4000), false, false, {42, 3, 1001});
  EXPECT_EQ(events_.datagrams.back().bytes, pattern(5000));
  input(testing::udp(pattern(10), 53, 4000) + Bytes{1, 2, 3});
  EXPECT_EQ(events_.datagrams.back().bytes, pattern(10));
}

TEST_F(UdpTest, DropsWrongLengths) {
  ASSERT_TRUE(udp_.bind(53, events_, 1));
  for (size_t length = 0; length < 8; length++) input(Bytes(length));
  for (const uint16_t length : {0, 7, 19, 65535}) {
    Bytes datagram = testing::udp(pattern(10), 53, 4000);
    put16(datagram, 4, length);
    input(datagram, true);
  }
  EXPECT_EQ(count(Counter::drop_udp_malformed), 12u);
  EXPECT_TRUE(events_.datagrams.empty());
}

TEST_F(UdpTest, ChecksTheChecksum) {
  ASSERT_TRUE(udp_.bind(53, events_, 1));
  Bytes datagram = testing::udp(pattern(11), 53, 4000);
  datagram[12] ^= 1;
  input(datagram);
  EXPECT_EQ(count(Counter::drop_udp_checksum), 1u);
  input(datagram, true);  // the port says that it is right
  EXPECT_EQ(events_.datagrams.size(), 1u);
  put16(datagram, 6, 0);  // the sender says nothing
  input(datagram);
  EXPECT_EQ(events_.datagrams.size(), 2u);
}

TEST_F(UdpTest, AnswersForPortsNobodyListensOn) {
  const Bytes datagram = testing::udp(pattern(11), 54, 4000);
  input(datagram);
  EXPECT_EQ(count(Counter::drop_udp_no_port), 1u);
  ASSERT_EQ(output_.sent.size(), 1u);
  EXPECT_EQ(output_.protocols[0], 1);
  EXPECT_EQ(output_.sent[0], testing::icmp(3, 3, 0, ipv4(datagram)));
  input(datagram, false, true);
  EXPECT_EQ(count(Counter::drop_udp_no_port), 1u) << "its checksum is for another address";
  input(testing::udp(pattern(11), 54, 4000, {.destination = 0xffffffff}), false, true);
  EXPECT_EQ(count(Counter::drop_udp_no_port), 2u);
  EXPECT_EQ(output_.sent.size(), 1u) << "no error about a broadcast";
}

TEST_F(UdpTest, DeliversBroadcasts) {
  ASSERT_TRUE(udp_.bind(53, events_, 1));
  input(testing::udp(pattern(11), 53, 4000, {.destination = 0xffffffff}), false, true);
  ASSERT_EQ(events_.datagrams.size(), 1u);
  EXPECT_EQ(events_.datagrams[0].local.address, Address::v4(0xffffffff));
}

TEST_F(UdpTest, CountsWhatTheAppHasNoRoomFor) {
  events_.accepts = false;
  ASSERT_TRUE(udp_.bind(53, events_, 1));
  input(testing::udp(pattern(11), 53, 4000));
  EXPECT_EQ(count(Counter::drop_udp_refused), 1u);
}

TEST_F(UdpTest, BindsUpToItsBound) {
  EXPECT_FALSE(udp_.bind(0, events_, 1));
  for (uint16_t port = 1; port <= 4; port++) EXPECT_TRUE(udp_.bind(port, events_, port));
  KeepingEvents others;
  EXPECT_FALSE(udp_.bind(1, others, 1));
  EXPECT_TRUE(udp_.bind(1, events_, 8)) << "its own, with another tag";
  EXPECT_FALSE(udp_.bind(65535, events_, 1));
  udp_.unbind(2);
  udp_.unbind(2);
  EXPECT_TRUE(udp_.bind(65535, events_, 9));
  EXPECT_FALSE(udp_.bind(2, events_, 1));
  input(testing::udp({}, 65535, 1));
  input(testing::udp({}, 2, 1));
  input(testing::udp({}, 1, 1));
  ASSERT_EQ(events_.datagrams.size(), 2u);
  EXPECT_EQ(events_.datagrams[0].tag, 9u);
  EXPECT_EQ(events_.datagrams[1].tag, 8u);
}

TEST_F(UdpTest, Sends) {
  for (const size_t length : {0, 1, 2, 9, 1471, 1472}) {
    EXPECT_TRUE(udp_.send(53, {Address::v4(kPeer), 4000}, pattern(length)));
    EXPECT_EQ(output_.sent.back(),
              testing::udp(pattern(length), 4000, 53, {.source = kOwn, .destination = kPeer}));
    EXPECT_EQ(output_.protocols.back(), 17);
  }
  EXPECT_EQ(count(Counter::udp_tx), 6u);
}

TEST_F(UdpTest, SendsChainsWhereADatagramIsLongerThanABuffer) {
  EXPECT_TRUE(udp_.send(53, {Address::v4(kPeer), 4000}, pattern(8972)));
  EXPECT_EQ(output_.sent.back(),
            testing::udp(pattern(8972), 4000, 53, {.source = kOwn, .destination = kPeer}));
  EXPECT_TRUE(udp_.send(53, {Address::v4(kPeer), 4000}, pattern(65507)));
  EXPECT_EQ(output_.sent.back(),
            testing::udp(pattern(65507), 4000, 53, {.source = kOwn, .destination = kPeer}));
}

TEST_F(UdpTest, AChecksumOfZeroIsSentAsAllOnes) {
  // Two bytes of payload that bring the sum to 0xffff.
  const Bytes zero = testing::udp(Bytes(2), 4000, 53, {.source = kOwn, .destination = kPeer});
  Bytes payload(2);
  put16(payload, 0, get16(zero, 6));
  EXPECT_TRUE(udp_.send(53, {Address::v4(kPeer), 4000}, payload));
  EXPECT_EQ(get16(output_.sent.back(), 6), 0xffff);
}

TEST_F(UdpTest, AnswersFromTheAddressThatWasAsked) {
  output_.second = Address::v4(0x0a000063);
  ASSERT_TRUE(udp_.bind(53, events_, 1));
  const testing::Ipv4 asked{.destination = 0x0a000063};
  udp_.input({.received = {.frame = frame(
                               ethernet(ipv4(testing::udp(pattern(5), 53, 4000, asked), asked))),
                           .transport_offset_bytes = 34,
                           .transport_bytes = 13,
                           .source = Address::v4(kPeer),
                           .destination = output_.second,
                           .checksum_known_good = false},
              .protocol = 17,
              .to_broadcast = false});
  EXPECT_TRUE(udp_.send(53, {Address::v4(kPeer), 4000}, pattern(5)));
  EXPECT_EQ(output_.sources.back(), output_.second);
  EXPECT_TRUE(udp_.send(53, {Address::v4(kPeer), 4001}, pattern(5)));
  EXPECT_EQ(output_.sources.back(), Address::v4(kOwn)) << "another peer";
  output_.second = {};
  EXPECT_TRUE(udp_.send(53, {Address::v4(kPeer), 4000}, pattern(5)));
  EXPECT_EQ(output_.sources.back(), Address::v4(kOwn)) << "that address is gone";
}

TEST_F(UdpTest, LowersThePathMtuForPortsOfItsOwn) {
  ASSERT_TRUE(udp_.bind(53, events_, 1));
  const ip::DeliveryError error{ip::DeliveryError::Kind::too_big, 1300};
  const Bytes quoted = testing::udp({}, 4000, 53);
  EXPECT_TRUE(udp_.on_icmp_error(Address::v4(kPeer), quoted, error));
  EXPECT_EQ(output_.lowered, 1300);
  output_.lowered = 0;
  EXPECT_FALSE(udp_.on_icmp_error(Address::v4(kPeer), testing::udp({}, 4000, 54), error));
  EXPECT_TRUE(udp_.on_icmp_error(Address::v4(kPeer), quoted, {ip::DeliveryError::Kind::hard}));
  EXPECT_EQ(output_.lowered, 0);
}

TEST_F(UdpTest, RefusesWhatCannotBeSent) {
  EXPECT_FALSE(udp_.send(53, {Address::v4(kPeer), 4000}, pattern(65508)));
  EXPECT_FALSE(udp_.send(53, {Address::v4(kFar), 4000}, pattern(1)));
  EXPECT_FALSE(udp_.send(53, {Address::v4(kPeer), 0}, pattern(1)));
  EXPECT_EQ(count(Counter::drop_no_mbuf), 0u);
  const Drained drained(*frames_);
  EXPECT_FALSE(udp_.send(53, {Address::v4(kPeer), 4000}, pattern(1)));
  EXPECT_EQ(count(Counter::drop_no_mbuf), 1u);
  EXPECT_TRUE(output_.sent.empty());
}

}  // namespace
}  // namespace weir::net::udp
