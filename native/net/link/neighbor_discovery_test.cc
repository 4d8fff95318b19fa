#include "net/link/neighbor_discovery.h"

#include "net/link/multicast_listener.h"
#include "net/link/router_discovery.h"
#include "net/testing_v6.h"

namespace weir::net::link {
namespace {

using namespace weir::net::testing;
using State = NeighborCache::State;

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

class DiscoveryTest : public LayerTest {
 protected:
  static StackConfig config(uint8_t probes) {
    StackConfig config;
    config.link_address = kOwnLink;
    config.duplicate_address_probes = probes;
    config.addresses = {{kOwn6, 64}};
    return config;
  }
  explicit DiscoveryTest(uint8_t probes = 0) : probes_(probes), routing_(config(probes)) {}

  /// What IP would hand up.
  ip::Incoming incoming(const Bytes& packet) {
    const bool to_group = packet[24] == 0xff;
    return {.received = {.frame = frame(ethernet(packet, kTypeV6)),
                         .transport_offset_bytes = 54,
                         .transport_bytes = static_cast<uint32_t>(packet.size() - 40),
                         .source = Address::v6(packet.data() + 8),
                         .destination = Address::v6(packet.data() + 24),
                         .checksum_known_good = false},
            .protocol = 58,
            .to_broadcast = to_group,
            .hop_limit = packet[7]};
  }
  void solicitation(const Bytes& packet) {
    const ip::Incoming message = incoming(packet);
    discovery_.input_solicitation(message);
    rte_pktmbuf_free(message.received.frame);
  }
  void advertisement(const Bytes& packet) {
    const ip::Incoming message = incoming(packet);
    discovery_.input_advertisement(message);
    rte_pktmbuf_free(message.received.frame);
  }
  static Bytes target(const Address& address) {
    return Bytes(address.bytes.begin(), address.bytes.end());
  }
  static Bytes ask(const Ipv6& ip, const Address& whom = kOwn6, bool with_link = true) {
    return icmp6_packet(135, 0, 0, target(whom) + (with_link ? link_option(1, kPeerLink) : Bytes{}),
                        ip);
  }
  static Bytes answer(uint32_t flags, const Address& whom = kPeer6,
                      const LinkAddress& address = kPeerLink, Ipv6 ip = {.hop_limit = 255}) {
    return icmp6_packet(136, 0, flags, target(whom) + link_option(2, address), ip);
  }
  /// Runs timers as they are due, for so long.
  void advance(uint64_t us) {
    const uint64_t end = clock_.now_us + us;
    const auto run = [&] {
      routing_.run_timers(clock_.now_us);
      groups_.run_timers();
      discovery_.run_timers();
      routers_.run_timers();
    };
    for (;;) {
      const uint64_t next = std::min({discovery_.next_deadline_us(), routers_.next_deadline_us(),
                                      groups_.next_deadline_us(), routing_.next_deadline_us()});
      if (next > end) break;
      clock_.now_us = std::max(clock_.now_us, next);
      run();
    }
    clock_.now_us = end;
    run();
  }
  size_t sent_of_type(uint8_t type) const {
    return static_cast<size_t>(std::count_if(
        sink_.sent.begin(), sink_.sent.end(),
        [&](const Bytes& bytes) { return bytes[14 + 6] == 58 && bytes[14 + 40] == type; }));
  }

  static constexpr uint32_t kSolicited = 0x40000000, kOverride = 0x20000000, kRouter = 0x80000000;
  uint8_t probes_;
  IgnoringListener listener_;
  KeepingAddressListener addresses_;
  ip::Routing routing_;
  Ethernet ethernet_{kOwnLink, environment_};
  NeighborCache neighbors_{{}, clock_, environment_, ethernet_, listener_};
  ip::Sender sender_{clock_,     environment_, routing_,   ethernet_,
                     neighbors_, discovery_,   discovery_, 1500};
  NeighborDiscovery discovery_{clock_,     environment_, routing_,   ethernet_,
                               neighbors_, sender_,      addresses_, probes_};
  RouterDiscovery routers_{clock_,  environment_, routing_, ethernet_, neighbors_,
                           sender_, discovery_,   true,     probes_};
  MulticastListener groups_{clock_, environment_, routing_, sender_};
};

TEST_F(DiscoveryTest, AnswersWhoAsksAndKnowsThemUnproven) {
  solicitation(ask({.destination = kOwnGroup6, .hop_limit = 255}));
  ASSERT_EQ(sink_.sent.size(), 1u);
  const Bytes reply =
      icmp6_packet(136, 0, kSolicited | kOverride, target(kOwn6) + link_option(2, kOwnLink),
                   {.source = kOwn6, .destination = kPeer6, .hop_limit = 255});
  EXPECT_EQ(sink_.sent[0], ethernet(reply, kTypeV6, kPeerLink, kOwnLink));
  EXPECT_EQ(neighbors_.state_of(kPeer6), State::stale);
  solicitation(ask({.hop_limit = 255}, kOwn6, false));
  EXPECT_EQ(sink_.sent.size(), 2u) << "a poll by unicast without a link address";
}

TEST_F(DiscoveryTest, AnswersEverybodyWhoHasNoAddress) {
  solicitation(ask({.source = {}, .destination = kOwnGroup6, .hop_limit = 255}, kOwn6, false));
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(
      sink_.sent[0],
      ethernet(icmp6_packet(136, 0, kOverride, target(kOwn6) + link_option(2, kOwnLink),
                            {.source = kOwn6, .destination = ip::kAllNodes, .hop_limit = 255}),
               kTypeV6, group_link(ip::kAllNodes), kOwnLink));
  EXPECT_EQ(neighbors_.size(), 0u);
}

TEST_F(DiscoveryTest, DropsWhatIsMalformed) {
  const Ipv6 ip{.destination = kOwnGroup6, .hop_limit = 255};
  std::vector<Bytes> packets;
  packets.push_back(ask({.destination = kOwnGroup6, .hop_limit = 254}));
  packets.push_back(icmp6_packet(135, 1, 0, target(kOwn6), ip));
  packets.push_back(icmp6_packet(135, 0, 0, std::span(kOwn6.bytes).first(15), ip));
  packets.push_back(icmp6_packet(135, 0, 0, target(kOwn6) + Bytes{1, 0, 0, 0, 0, 0, 0, 0}, ip));
  packets.push_back(icmp6_packet(135, 0, 0, target(kOwn6) + Bytes{1, 2, 0, 0, 0, 0, 0, 0}, ip));
  packets.push_back(icmp6_packet(135, 0, 0, target(kOwn6) + Bytes{1}, ip));
  packets.push_back(ask(ip, ip::kAllNodes));
  packets.push_back(ask({.source = {}, .destination = kOwnGroup6, .hop_limit = 255}));
  packets.push_back(ask({.source = {}, .hop_limit = 255}, kOwn6, false));
  for (const Bytes& packet : packets) solicitation(packet);
  advertisement(
      answer(kSolicited, kPeer6, kPeerLink, {.destination = ip::kAllNodes, .hop_limit = 255}));
  advertisement(answer(0, ip::kAllNodes));
  ip::Incoming message = incoming(ask(ip));
  message.had_fragment_header = true;
  discovery_.input_solicitation(message);
  rte_pktmbuf_free(message.received.frame);
  EXPECT_EQ(count(Counter::drop_nd_malformed), packets.size() + 3);
  EXPECT_TRUE(sink_.sent.empty());
  EXPECT_EQ(neighbors_.size(), 0u);
}

TEST_F(DiscoveryTest, IsSilentAboutOthers) {
  solicitation(ask({.destination = kOwnGroup6, .hop_limit = 255}, kPeer6));
  solicitation(ask({.source = kFar6, .destination = kOwnGroup6, .hop_limit = 255}));
  advertisement(answer(kSolicited));
  EXPECT_EQ(count(Counter::drop_nd_foreign), 3u);
  EXPECT_TRUE(sink_.sent.empty());
}

TEST_F(DiscoveryTest, ResolvesNeighbors) {
  neighbors_.send(frame(pattern(20)), kPeer6, discovery_);
  ASSERT_EQ(sink_.sent.size(), 1u);
  const Address group = ip::solicited_node_group(kPeer6);
  EXPECT_EQ(sink_.sent[0],
            ethernet(icmp6_packet(135, 0, 0, target(kPeer6) + link_option(1, kOwnLink),
                                  {.source = kOwn6, .destination = group, .hop_limit = 255}),
                     kTypeV6, group_link(group), kOwnLink));
  advertisement(answer(kSolicited | kOverride));
  ASSERT_EQ(sink_.sent.size(), 2u);
  EXPECT_EQ(sink_.sent[1], ethernet(pattern(20), kTypeV6, kPeerLink, kOwnLink));
  EXPECT_EQ(neighbors_.state_of(kPeer6), State::reachable);
  // Polled by unicast when it is old.
  clock_.now_us += 31 * kSecondUs;
  neighbors_.send(frame(pattern(20)), kPeer6, discovery_);
  EXPECT_EQ(sink_.sent[2],
            ethernet(icmp6_packet(135, 0, 0, target(kPeer6) + link_option(1, kOwnLink),
                                  {.source = kOwn6, .destination = kPeer6, .hop_limit = 255}),
                     kTypeV6, kPeerLink, kOwnLink));
}

TEST_F(DiscoveryTest, AdvertisementsChangeEntriesAsRfc4861Section725Says) {
  const LinkAddress other = {0x02, 0, 0, 0, 0, 0x77};
  const auto link_of_peer = [&] {
    sink_.clear();
    neighbors_.send(frame(pattern(20)), kPeer6, discovery_);
    LinkAddress address;
    std::copy_n(sink_.sent.back().begin(), 6, address.begin());
    return address;
  };
  neighbors_.send(frame(pattern(20)), kPeer6, discovery_);
  advertisement(answer(0));
  EXPECT_EQ(neighbors_.state_of(kPeer6), State::stale) << "unsolicited";
  advertisement(answer(kSolicited));
  EXPECT_EQ(neighbors_.state_of(kPeer6), State::reachable);
  advertisement(answer(kSolicited, kPeer6, other));
  EXPECT_EQ(neighbors_.state_of(kPeer6), State::stale) << "another one, that does not override";
  EXPECT_EQ(link_of_peer(), kPeerLink);
  advertisement(answer(kOverride, kPeer6, other));
  EXPECT_EQ(neighbors_.state_of(kPeer6), State::stale);
  EXPECT_EQ(link_of_peer(), other);
  advertisement(answer(kSolicited | kOverride));
  EXPECT_EQ(neighbors_.state_of(kPeer6), State::reachable);
  EXPECT_EQ(link_of_peer(), kPeerLink);
}

TEST_F(DiscoveryTest, AdvertisesItselfAfterTheStart) {
  advance(3 * kSecondUs);
  EXPECT_EQ(sent_of_type(136), 4u) << "two addresses, twice each";
  EXPECT_EQ(discovery_.next_deadline_us(), UINT64_MAX);
}

TEST_F(DiscoveryTest, ReportsItsGroups) {
  advance(0);
  // fd44::1 and fe80::ff:fe00:1 share a group.
  ASSERT_FALSE(sink_.sent.empty());
  const Bytes& report = sink_.sent[0];
  EXPECT_EQ(report[14 + 6], 0) << "hop-by-hop options";
  EXPECT_EQ(report[14 + 7], 1);
  EXPECT_EQ(Bytes(report.begin() + 54, report.begin() + 62), (Bytes{58, 0, 5, 2, 0, 0, 1, 0}));
  const Address to = Address::v6(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
  EXPECT_EQ(Bytes(report.begin() + 62, report.end()),
            testing::icmp6(143, 0, 1, Bytes{4, 0, 0, 0} + kOwnGroup6.bytes,
                           {.source = kOwnLocal6, .destination = to}));
  advance(5 * kSecondUs);
  EXPECT_EQ(count(Counter::mld_tx), 2u);
}

TEST_F(DiscoveryTest, AnswersQueriesWithinTheTimeGiven) {
  advance(5 * kSecondUs);
  const uint64_t before = count(Counter::mld_tx);
  const auto query = [&](const Address& group, uint8_t hop_limit = 1, bool alert = true) {
    ip::Incoming message = incoming(icmp6_packet(
        130, 0, 2000u << 16, Bytes(group.bytes.begin(), group.bytes.end()) + Bytes(4),
        {.source = kPeerLocal6, .destination = ip::kAllNodes, .hop_limit = hop_limit}));
    message.has_router_alert = alert;
    groups_.input_query(message);
    rte_pktmbuf_free(message.received.frame);
  };
  query({}, 2);
  query({}, 1, false);
  query(kPeer6);
  EXPECT_EQ(groups_.next_deadline_us(), UINT64_MAX);
  query({});
  EXPECT_LE(groups_.next_deadline_us(), clock_.now_us + 2 * kSecondUs + 1);
  query({});
  advance(3 * kSecondUs);
  EXPECT_EQ(count(Counter::mld_tx), before + 1);
  query(kOwnGroup6);
  advance(3 * kSecondUs);
  EXPECT_EQ(count(Counter::mld_tx), before + 2);
}

class DuplicateTest : public DiscoveryTest {
 protected:
  DuplicateTest() : DiscoveryTest(1) {}
};

TEST_F(DuplicateTest, AsksBeforeItUsesAnAddress) {
  EXPECT_FALSE(routing_.is_local(kOwn6));
  advance(kSecondUs);
  ASSERT_GE(sent_of_type(135), 2u);
  const auto probe = std::find_if(sink_.sent.begin(), sink_.sent.end(), [](const Bytes& bytes) {
    return bytes[14 + 6] == 58 && bytes[54] == 135;
  });
  const Address target_address = Address::v6(probe->data() + 14 + 40 + 8);
  EXPECT_EQ(*probe,
            ethernet(icmp6_packet(135, 0, 0, target(target_address),
                                  {.source = {}, .destination = kOwnGroup6, .hop_limit = 255}),
                     kTypeV6, group_link(kOwnGroup6), kOwnLink));
  EXPECT_FALSE(routing_.is_local(kOwn6));
  advance(kSecondUs);
  EXPECT_TRUE(routing_.is_local(kOwn6));
  EXPECT_TRUE(routing_.is_local(kOwnLocal6));
  EXPECT_EQ(addresses_.assigned.size(), 2u);
}

TEST_F(DuplicateTest, AnAnswerOrAnotherProbeSaysThatItIsTaken) {
  advance(kSecondUs / 100);
  advertisement(
      answer(kOverride, kOwn6, kPeerLink, {.destination = ip::kAllNodes, .hop_limit = 255}));
  solicitation(ask({.source = {}, .destination = kOwnGroup6, .hop_limit = 255}, kOwnLocal6, false));
  EXPECT_EQ(addresses_.duplicates, (std::vector<Address>{kOwn6, kOwnLocal6}));
  EXPECT_EQ(count(Counter::nd_conflicts), 2u);
  advance(5 * kSecondUs);
  EXPECT_FALSE(routing_.is_local(kOwn6));
  solicitation(ask({.destination = kOwnGroup6, .hop_limit = 255}));
  EXPECT_EQ(sent_of_type(136), 0u) << "it is not ours to answer for";
  advance(60 * kSecondUs);
  EXPECT_TRUE(routing_.is_local(kOwn6)) << "asked again, and free by now";
}

TEST_F(DuplicateTest, OurOwnProbesMayComeBack) {
  advance(kSecondUs / 100);
  ip::Incoming message =
      incoming(ask({.source = {}, .destination = kOwnGroup6, .hop_limit = 255}, kOwn6, false));
  std::copy(kOwnLink.begin(), kOwnLink.end(),
            rte_pktmbuf_mtod(message.received.frame, uint8_t*) + 6);
  discovery_.input_solicitation(message);
  rte_pktmbuf_free(message.received.frame);
  EXPECT_TRUE(addresses_.duplicates.empty());
}

TEST_F(DiscoveryTest, AnAddressInUseIsKept) {
  advertisement(
      answer(kOverride, kOwn6, kPeerLink, {.destination = ip::kAllNodes, .hop_limit = 255}));
  EXPECT_TRUE(routing_.is_local(kOwn6));
  EXPECT_EQ(count(Counter::nd_conflicts), 1u);
}

/// A router's advertisement and its options.
class RouterTest : public DiscoveryTest {
 protected:
  void advertise(const Bytes& options, uint16_t lifetime_s = 1800, uint8_t hop_limit = 255,
                 Address source = kPeerLocal6) {
    Bytes body(8);
    const ip::Incoming message = incoming(
        icmp6_packet(134, 0, uint32_t{61} << 24 | lifetime_s, body + options,
                     {.source = source, .destination = ip::kAllNodes, .hop_limit = hop_limit}));
    routers_.input_advertisement(message);
    rte_pktmbuf_free(message.received.frame);
  }
  static Bytes prefix(const Address& prefix, uint8_t flags, uint32_t valid_s, uint32_t preferred_s,
                      uint8_t bits = 64) {
    Bytes option = {3, 4, bits, flags};
    option.resize(16);
    put32(option, 4, valid_s);
    put32(option, 8, preferred_s);
    return option + prefix.bytes;
  }
  static constexpr Address kPrefix = Address::v6(0x2001, 0xdb8, 0, 7, 0, 0, 0, 0);
  static constexpr Address kMade = Address::v6(0x2001, 0xdb8, 0, 7, 0, 0xff, 0xfe00, 1);
  static constexpr uint8_t kOnLink = 0x80, kAutonomous = 0x40;
};

TEST_F(RouterTest, AsksForRoutersUntilOneAnswers) {
  advance(30 * kSecondUs);
  const size_t asked = sent_of_type(133);
  EXPECT_GE(asked, 3u);
  EXPECT_LE(asked, 5u);
  const auto first = std::find_if(sink_.sent.begin(), sink_.sent.end(), [](const Bytes& bytes) {
    return bytes[14 + 6] == 58 && bytes[54] == 133;
  });
  EXPECT_EQ(*first,
            ethernet(icmp6_packet(
                         133, 0, 0, link_option(1, kOwnLink),
                         {.source = kOwnLocal6, .destination = ip::kAllRouters, .hop_limit = 255}),
                     kTypeV6, group_link(ip::kAllRouters), kOwnLink));
  advertise({});
  EXPECT_EQ(routers_.next_deadline_us(), UINT64_MAX);
}

TEST_F(RouterTest, TakesRouterPrefixMtuAndNameServers) {
  Bytes servers = {25, 3, 0, 0, 0, 0, 0x0e, 0x10};
  servers = servers + kFar6.bytes;
  Bytes mtu = {5, 1, 0, 0, 0, 0, 0, 0};
  put32(mtu, 4, 1400);
  advertise(link_option(1, kPeerLink) + prefix(kPrefix, kOnLink | kAutonomous, 7200, 3600) + mtu +
            servers);
  Address hop;
  EXPECT_TRUE(routing_.next_hop(kFar6, hop));
  EXPECT_EQ(hop, kPeerLocal6);
  EXPECT_TRUE(routing_.is_on_link(kMade));
  EXPECT_TRUE(routing_.is_local(kMade));
  EXPECT_EQ(neighbors_.state_of(kPeerLocal6), State::stale);
  EXPECT_EQ(sender_.mtu_bytes(kFar6), 1400);
  EXPECT_EQ(sender_.mtu_bytes(Address::v4(kPeer)), 1500);
  ASSERT_EQ(routers_.name_servers().size(), 1u);
  EXPECT_EQ(routers_.name_servers()[0], kFar6);
  sink_.clear();
  sender_.send(frame(pattern(9)), kMade, kFar6, 17);
  EXPECT_EQ(sink_.sent.back()[14 + 7], 61) << "the router's hop limit";
  // Their times are over.
  advance(1801 * kSecondUs);
  EXPECT_FALSE(routing_.next_hop(kFar6, hop));
  advance(1800 * kSecondUs);
  EXPECT_EQ(routing_.find(kMade)->state, ip::LocalAddress::State::deprecated);
  advance(3600 * kSecondUs);
  EXPECT_FALSE(routing_.is_local(kMade));
  EXPECT_FALSE(routing_.is_on_link(kMade));
}

TEST_F(RouterTest, ARouterThatIsNoneAnyMoreIsForgotten) {
  Address hop;
  advertise({});
  EXPECT_TRUE(routing_.next_hop(kFar6, hop));
  advertise({}, 0);
  EXPECT_FALSE(routing_.next_hop(kFar6, hop));
  advertise(link_option(1, kPeerLink));
  EXPECT_TRUE(routing_.next_hop(kFar6, hop));
  advertisement(answer(kOverride, kPeerLocal6, kPeerLink,
                       {.source = kPeerLocal6, .destination = ip::kAllNodes, .hop_limit = 255}));
  EXPECT_FALSE(routing_.next_hop(kFar6, hop)) << "it says itself that it is no router";
}

TEST_F(RouterTest, IgnoresWhatMustBeIgnored) {
  advertise(prefix(kPrefix, kAutonomous, 7200, 3600), 1800, 254);
  advertise(prefix(kPrefix, kAutonomous, 7200, 3600), 1800, 255, kPeer6);
  EXPECT_EQ(count(Counter::drop_nd_malformed), 2u);
  advertise(prefix(kPrefix, kAutonomous, 10, 20) + prefix(kPrefix, kAutonomous, 20, 10, 63) +
            prefix(Address::v6(0xfe80, 0, 0, 0, 0, 0, 0, 0), kAutonomous | kOnLink, 20, 10));
  EXPECT_FALSE(routing_.is_local(kMade));
  Bytes mtu = {5, 1, 0, 0, 0, 0, 0, 0};
  for (const uint32_t bytes : {1279u, 1501u, 70'000u}) {
    put32(mtu, 4, bytes);
    advertise(mtu);
    EXPECT_EQ(sender_.mtu_bytes(kFar6), 1500);
  }
}

TEST_F(RouterTest, NobodyShortensAnAddresssLifeBelowTwoHours) {
  advertise(prefix(kPrefix, kAutonomous, 100'000, 100'000));
  advertise(prefix(kPrefix, kAutonomous, 1, 1));
  EXPECT_EQ(routing_.find(kMade)->valid_until_us, clock_.now_us + 7200 * kSecondUs);
  advance(7000 * kSecondUs);
  EXPECT_TRUE(routing_.is_local(kMade));
  advertise(prefix(kPrefix, kAutonomous, 9'000, 9'000));
  EXPECT_EQ(routing_.find(kMade)->valid_until_us, clock_.now_us + 9'000 * kSecondUs);
}

TEST_F(RouterTest, RoutersAndPrefixesAreBounded) {
  for (uint16_t i = 0; i < 20; i++) {
    advertise(prefix(Address::v6(0x2001, 0xdb8, 1, i, 0, 0, 0, 0), kAutonomous, 9000, 9000), 1800,
              255, Address::v6(0xfe80, 0, 0, 0, 0, 0, 0, 100 + i));
  }
  uint32_t made = 0;
  for (const ip::LocalAddress& own : routing_.addresses())
    made += own.state != ip::LocalAddress::State::free && own.origin == ip::Origin::router;
  EXPECT_EQ(made, RouterDiscovery::kMaxAddresses);
  EXPECT_EQ(count(Counter::drop_nd_limit), 16u + 12u);
}

}  // namespace
}  // namespace weir::net::link
