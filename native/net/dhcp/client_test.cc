#include "net/dhcp/client.h"

#include <optional>

#include "net/icmp/icmp.h"
#include "net/icmp/icmp_v6.h"
#include "net/testing.h"

namespace weir::net::dhcp {
namespace {

using namespace weir::net::testing;
using State = Client::State;

constexpr uint64_t kSecondUs = 1'000'000;
constexpr uint32_t kServer = 0x0a0000fe;
constexpr uint32_t kLeased = 0x0a000063;

Bytes option(uint8_t code, const Bytes& value) {
  return Bytes{code, static_cast<uint8_t>(value.size())} + value;
}
Bytes option32(uint8_t code, uint32_t value) {
  Bytes bytes(4);
  put32(bytes, 0, value);
  return option(code, bytes);
}

/// A reply with these options.
Bytes reply(uint32_t transaction, uint32_t yours, const Bytes& options) {
  Bytes message(240);
  message[0] = 2;
  message[1] = 1;
  message[2] = 6;
  put32(message, 4, transaction);
  put32(message, 16, yours);
  std::copy(kOwnLink.begin(), kOwnLink.end(), message.begin() + 28);
  put32(message, 236, 0x63825363);
  return message + options + Bytes{255};
}

Bytes lease(uint8_t type, uint32_t lease_s = 3600) {
  return option(53, {type}) + option32(54, kServer) + option32(51, lease_s) +
         option32(1, 0xffffff00) + option32(3, kGateway) + option(6, {10, 0, 0, 53, 10, 0, 0, 54});
}

TEST(DhcpMessageTest, ReadsWhatAServerSays) {
  Reply found;
  ASSERT_TRUE(
      parse(reply(77, kLeased, Bytes{0, 0} + lease(5) + option32(58, 100) + option32(59, 200)),
            kOwnLink, found));
  EXPECT_EQ(found.type, MessageType::ack);
  EXPECT_EQ(found.transaction, 77u);
  EXPECT_EQ(found.address, kLeased);
  EXPECT_EQ(found.server, kServer);
  EXPECT_EQ(found.prefix_bits, 24);
  EXPECT_EQ(found.router, kGateway);
  EXPECT_EQ(found.lease_s, 3600u);
  EXPECT_EQ(found.renew_s, 100u);
  EXPECT_EQ(found.rebind_s, 200u);
  ASSERT_EQ(found.name_server_count, 2u);
  EXPECT_EQ(found.name_servers[1], 0x0a000036u);
}

TEST(DhcpMessageTest, ReadsClasslessRoutesAndOverloadedFields) {
  Reply found;
  Bytes message = reply(1, kLeased, option(53, {5}) + option(52, {3}));
  const Bytes in_file = option(121, {24, 192, 0, 2, 10, 0, 0, 7, 0, 10, 0, 0, 1}) + Bytes{255};
  std::copy(in_file.begin(), in_file.end(), message.begin() + 108);
  const Bytes in_name = option32(3, kGateway) + Bytes{255};
  std::copy(in_name.begin(), in_name.end(), message.begin() + 44);
  ASSERT_TRUE(parse(message, kOwnLink, found));
  ASSERT_EQ(found.route_count, 2u);
  EXPECT_EQ(found.routes[0].network, 0xc0000200u);
  EXPECT_EQ(found.routes[0].prefix_bits, 24);
  EXPECT_EQ(found.routes[0].gateway, 0x0a000007u);
  EXPECT_EQ(found.routes[1].prefix_bits, 0);
  EXPECT_EQ(found.router, kGateway);
}

TEST(DhcpMessageTest, RefusesWhatIsMalformed) {
  Reply found;
  const Bytes good = reply(1, kLeased, lease(5));
  ASSERT_TRUE(parse(good, kOwnLink, found));
  for (size_t length = 0; length < 240; length++)
    EXPECT_FALSE(parse(std::span(good).first(length), kOwnLink, found));
  EXPECT_FALSE(parse(good, kPeerLink, found));
  for (const size_t at : {0, 1, 2, 236}) {
    Bytes broken = good;
    broken[at] ^= 1;
    EXPECT_FALSE(parse(broken, kOwnLink, found)) << at;
  }
  for (const Bytes& options :
       {Bytes{53}, Bytes{53, 2, 5}, option(53, {}), option(54, {1, 2, 3}), option32(1, 0xff00ff00),
        option(3, {1, 2}), option(6, {1, 2, 3}), option(121, {33, 1, 2, 3, 4, 5, 6, 7, 8, 9}),
        option(121, {24, 1, 2, 3, 10, 0})}) {
    Bytes message = reply(1, kLeased, {});
    message.pop_back();
    EXPECT_FALSE(parse(message + options, kOwnLink, found));
  }
}

TEST(DhcpMessageTest, SurvivesRandomOptions) {
  std::mt19937 random(3);
  Reply found;
  for (int i = 0; i < 20'000; i++) {
    Bytes message = reply(1, kLeased, lease(5));
    message.resize(240 + random() % 100);
    for (size_t at = 240; at < message.size(); at++)
      if (random() % 3 == 0) message[at] = static_cast<uint8_t>(random());
    parse(message, kOwnLink, found);
  }
}

class NobodyListens final : public link::UnreachableListener,
                            public link::AddressListener,
                            public icmp::ErrorListener {
 public:
  void on_unreachable(const rte_mbuf*) override {}
  void on_address(const Address& address, AddressChange change) override {
    if (change == AddressChange::duplicate) client->on_address_duplicate(address);
    changes.push_back(change);
  }
  std::vector<AddressChange> changes;
  bool on_icmp_error(uint8_t, const Address&, const Address&, std::span<const uint8_t>,
                     const ip::DeliveryError&) override {
    return false;
  }
  Client* client = nullptr;
};

class DhcpClientTest : public LayerTest {
 protected:
  DhcpClientTest() { make(false); }
  void make(bool probes) {
    client_.emplace(clock_, environment_, routing_, arp_, sender_, udp_, listener_, kOwnLink,
                    probes);
    listener_.client = &*client_;
    udp_.unbind(68);
    ASSERT_TRUE(client_->start());
  }
  static StackConfig config() {
    StackConfig config;
    config.link_address = kOwnLink;
    config.dhcp = true;
    return config;
  }
  void advance(uint64_t us) {
    const uint64_t end = clock_.now_us + us;
    for (;;) {
      const uint64_t next = std::min(client_->next_deadline_us(), arp_.next_deadline_us());
      if (next > end) break;
      clock_.now_us = std::max(clock_.now_us, next);
      client_->run_timers();
      arp_.run_timers();
    }
    clock_.now_us = end;
  }
  /// The DHCP messages sent since, each behind its headers.
  std::vector<Bytes> sent() {
    std::vector<Bytes> messages;
    for (const Bytes& bytes : sink_.sent)
      if (get16(bytes, 12) == link::kTypeIpv4)
        messages.emplace_back(bytes.begin() + 42, bytes.end());
    sink_.clear();
    return messages;
  }
  static Bytes option_of(const Bytes& message, uint8_t code) {
    for (size_t at = 240; at + 1 < message.size() && message[at] != 255; at += 2u + message[at + 1])
      if (message[at] == code)
        return Bytes(message.begin() + static_cast<ptrdiff_t>(at) + 2,
                     message.begin() + static_cast<ptrdiff_t>(at) + 2 + message[at + 1]);
    return {};
  }
  void answer(const Bytes& message, uint16_t port = 67) {
    const testing::Ipv4 ip{.source = kServer, .destination = 0xffffffff};
    rte_mbuf* packet = frame(ethernet(ipv4(testing::udp(message, 68, port, ip), ip)));
    udp_.input({.received = {.frame = packet,
                             .transport_offset_bytes = 34,
                             .transport_bytes = static_cast<uint32_t>(8 + message.size()),
                             .source = Address::v4(kServer),
                             .destination = Address::v4(0xffffffff),
                             .checksum_known_good = false},
                .protocol = 17,
                .to_broadcast = true});
  }
  uint32_t transaction_of(const Bytes& message) { return get32(message, 4); }
  /// Takes a lease and returns its transaction.
  void bind(uint32_t lease_s = 3600) {
    advance(2 * kSecondUs);
    const auto discovers = sent();
    ASSERT_FALSE(discovers.empty());
    answer(reply(transaction_of(discovers[0]), kLeased, lease(2, lease_s)));
    const auto requests = sent();
    ASSERT_EQ(requests.size(), 1u);
    answer(reply(transaction_of(requests[0]), kLeased, lease(5, lease_s)));
  }

  NobodyListens listener_;
  ip::Routing routing_{config()};
  link::Ethernet ethernet_{kOwnLink, environment_};
  link::NeighborCache neighbors_{{}, clock_, environment_, ethernet_, listener_};
  link::Arp arp_{clock_, environment_, routing_, ethernet_, neighbors_, listener_};
  ip::Sender sender_{clock_, environment_, routing_, ethernet_, neighbors_, arp_, arp_, 1500};
  icmp::Icmp icmp_{clock_, environment_, routing_, sender_, listener_};
  icmp::IcmpV6 icmp_v6_{clock_, environment_, routing_, sender_, listener_};
  udp::Udp udp_{environment_, sender_, icmp_, icmp_v6_, 4};
  std::optional<Client> client_;
};

TEST_F(DhcpClientTest, TakesALease) {
  advance(2 * kSecondUs);
  EXPECT_EQ(client_->state(), State::selecting);
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(Bytes(sink_.sent[0].begin(), sink_.sent[0].begin() + 6), Bytes(6, 0xff));
  EXPECT_EQ(get32(sink_.sent[0], 14 + 12), 0u);
  EXPECT_EQ(get32(sink_.sent[0], 14 + 16), 0xffffffffu);
  const Bytes discover = sent()[0];
  EXPECT_EQ(discover.size(), 300u);
  EXPECT_EQ(discover[10], 0x80) << "the answer is to be broadcast";
  EXPECT_EQ(option_of(discover, 53), Bytes{1});
  EXPECT_EQ(option_of(discover, 61), (Bytes{1} + kOwnLink));
  answer(reply(transaction_of(discover), kLeased, lease(2)));
  const Bytes request = sent()[0];
  EXPECT_EQ(option_of(request, 53), Bytes{3});
  EXPECT_EQ(option_of(request, 50), (Bytes{10, 0, 0, 0x63}));
  EXPECT_EQ(option_of(request, 54), (Bytes{10, 0, 0, 0xfe}));
  answer(reply(transaction_of(request), kLeased, lease(5)));
  EXPECT_EQ(client_->state(), State::bound);
  EXPECT_TRUE(routing_.is_local(Address::v4(kLeased)));
  Address hop;
  EXPECT_TRUE(routing_.next_hop(Address::v4(kFar), hop));
  EXPECT_EQ(hop, Address::v4(kGateway));
  EXPECT_TRUE(routing_.is_on_link(Address::v4(kPeer)));
  ASSERT_EQ(client_->name_servers().size(), 2u);
  EXPECT_EQ(client_->name_servers()[0], Address::v4(0x0a000035));
  EXPECT_EQ(client_->next_deadline_us(), clock_.now_us + 1800 * kSecondUs);
}

TEST_F(DhcpClientTest, AsksMoreAndMoreSeldom) {
  std::vector<uint64_t> times;
  for (int i = 0; i < 8; i++) {
    while (sent().empty()) advance(kSecondUs / 10);
    times.push_back(clock_.now_us);
  }
  for (size_t i = 2; i < times.size(); i++) {
    const uint64_t expected = std::min<uint64_t>(4u << (i - 1), 64) * kSecondUs;
    EXPECT_NEAR(static_cast<double>(times[i] - times[i - 1]), static_cast<double>(expected),
                1.2 * kSecondUs);
  }
}

TEST_F(DhcpClientTest, IgnoresWhatIsNotForIt) {
  advance(2 * kSecondUs);
  const Bytes discover = sent()[0];
  const uint32_t transaction = transaction_of(discover);
  answer(reply(transaction + 1, kLeased, lease(2)));
  answer(reply(transaction, kLeased, lease(2)), 68);
  answer(Bytes(100));
  EXPECT_EQ(count(Counter::drop_dhcp_malformed), 3u);
  answer(reply(transaction, kLeased, lease(5)));
  answer(reply(transaction, 0xe0000001, lease(2)));
  answer(reply(transaction, kLeased, lease(2, 59)));
  EXPECT_EQ(client_->state(), State::selecting);
  EXPECT_TRUE(sink_.sent.empty());
}

TEST_F(DhcpClientTest, ARefusalBeginsAnew) {
  advance(2 * kSecondUs);
  answer(reply(transaction_of(sent()[0]), kLeased, lease(2)));
  answer(reply(transaction_of(sent()[0]), 0, option(53, {6}) + option32(54, kServer)));
  EXPECT_EQ(client_->state(), State::init);
  advance(3 * kSecondUs);
  EXPECT_EQ(option_of(sent()[0], 53), Bytes{1});
}

TEST_F(DhcpClientTest, GivesAnOfferUpThatIsNotConfirmed) {
  advance(2 * kSecondUs);
  answer(reply(transaction_of(sent()[0]), kLeased, lease(2)));
  advance(120 * kSecondUs);
  const auto messages = sent();
  EXPECT_EQ(std::count_if(messages.begin(), messages.end(),
                          [](const Bytes& message) { return option_of(message, 53) == Bytes{3}; }),
            4);
  EXPECT_EQ(option_of(messages.back(), 53), Bytes{1});
}

TEST_F(DhcpClientTest, RenewsWithItsServerThenWithAnyThenLosesTheLease) {
  bind(36'000);
  advance(18'000 * kSecondUs - 1);
  EXPECT_EQ(client_->state(), State::bound);
  advance(2);
  EXPECT_EQ(client_->state(), State::renewing);
  sink_.clear();
  neighbors_.learn(Address::v4(kServer), kPeerLink, arp_);
  const auto first = std::find_if(sink_.sent.begin(), sink_.sent.end(), [](const Bytes& bytes) {
    return get16(bytes, 12) == link::kTypeIpv4;
  });
  ASSERT_NE(first, sink_.sent.end());
  EXPECT_EQ(get32(*first, 14 + 16), kServer) << "its own server, by unicast";
  EXPECT_EQ(get32(*first, 14 + 12), kLeased);
  EXPECT_EQ(get32(*first, 42 + 12), kLeased);
  // One answer and all is well for as long again.
  answer(
      reply(transaction_of(Bytes(first->begin() + 42, first->end())), kLeased, lease(5, 36'000)));
  EXPECT_EQ(client_->state(), State::bound);
  EXPECT_EQ(client_->next_deadline_us(), clock_.now_us + 18'000 * kSecondUs);
  advance(31'501 * kSecondUs);
  EXPECT_EQ(client_->state(), State::rebinding);
  EXPECT_TRUE(routing_.is_local(Address::v4(kLeased)));
  advance(4'500 * kSecondUs);
  EXPECT_FALSE(routing_.is_local(Address::v4(kLeased)));
  EXPECT_EQ(count(Counter::dhcp_lost), 1u);
  EXPECT_EQ(listener_.changes, (std::vector{AddressChange::assigned, AddressChange::gone}));
  Address hop;
  EXPECT_FALSE(routing_.next_hop(Address::v4(kFar), hop));
  EXPECT_FALSE(routing_.is_on_link(Address::v4(kPeer)));
}

TEST_F(DhcpClientTest, DeclinesAnAddressThatAnotherHas) {
  make(true);
  bind();
  EXPECT_FALSE(routing_.is_local(Address::v4(kLeased))) << "it is asked for first";
  advance(2 * kSecondUs);
  sink_.clear();
  arp_.input(frame(ethernet(arp({.operation = 2, .sender = kLeased}), link::kTypeArp)));
  EXPECT_EQ(option_of(sent()[0], 53), Bytes{4});
  EXPECT_EQ(routing_.find(Address::v4(kLeased)), nullptr);
  advance(9 * kSecondUs);
  EXPECT_TRUE(sent().empty());
  advance(3 * kSecondUs);
  EXPECT_EQ(option_of(sent()[0], 53), Bytes{1});
}

TEST_F(DhcpClientTest, RenewsNothingThatIsStillAskedFor) {
  make(true);
  advance(2 * kSecondUs);
  answer(reply(transaction_of(sent()[0]), kLeased, lease(2)));
  answer(reply(transaction_of(sent()[0]), kLeased, lease(5) + option32(58, 1) + option32(59, 2)));
  while (!routing_.is_local(Address::v4(kLeased))) {
    EXPECT_EQ(client_->state(), State::bound);
    EXPECT_TRUE(sent().empty());
    advance(kSecondUs / 10);
  }
  advance(10 * kSecondUs);
  EXPECT_EQ(client_->state(), State::rebinding);
}

TEST_F(DhcpClientTest, DeclinesAnAddressThatTurnsOutToBeAnothersWhileItIsRenewed) {
  bind();
  advance(1801 * kSecondUs);
  ASSERT_EQ(client_->state(), State::renewing);
  sink_.clear();
  client_->on_address_duplicate(Address::v4(kLeased));
  EXPECT_EQ(option_of(sent()[0], 53), Bytes{4});
  EXPECT_EQ(routing_.find(Address::v4(kLeased)), nullptr);
  EXPECT_EQ(client_->state(), State::init);
}

TEST_F(DhcpClientTest, UsesAnAddressThatNobodyElseHas) {
  make(true);
  bind();
  advance(8 * kSecondUs);
  EXPECT_TRUE(routing_.is_local(Address::v4(kLeased)));
}

TEST_F(DhcpClientTest, AnEndlessLeaseIsNeverRenewed) {
  bind(UINT32_MAX);
  EXPECT_EQ(client_->next_deadline_us(), UINT64_MAX);
}

}  // namespace
}  // namespace weir::net::dhcp
