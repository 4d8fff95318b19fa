#include "net/ip/input.h"
#include "net/testing_v6.h"

namespace weir::net::ip {
namespace {

using namespace weir::net::testing;

class KeepingProblems final : public ProblemListener {
 public:
  struct Problem {
    uint8_t code;
    uint32_t pointer;
    bool even_to_group;
  };
  void on_parameter_problem(const Received&, uint8_t code, uint32_t pointer,
                            bool even_to_group) override {
    problems.push_back({code, pointer, even_to_group});
  }
  void on_reassembly_timeout(const Received& first) override { timeouts.push_back(first.source); }
  std::vector<Problem> problems;
  std::vector<Address> timeouts;
};

class InputV6Test : public LayerTest {
 protected:
  static StackConfig config() {
    StackConfig config;
    config.link_address = kOwnLink;
    config.duplicate_address_probes = 0;
    config.addresses = {{Address::v4(kOwn), 24}, {kOwn6, 64}};
    return config;
  }
  bool receive(std::span<const uint8_t> packet, bool to_link_group = false,
               std::initializer_list<size_t> segments = {}) {
    rte_mbuf* frame_bytes = frame(ethernet(packet, kTypeV6), segments);
    if (!input_.receive_v6(frame_bytes, to_link_group, incoming_)) return false;
    take();
    return true;
  }
  bool receive_v4(std::span<const uint8_t> packet) {
    if (!input_.receive_v4(frame(ethernet(packet)), false, incoming_)) return false;
    take();
    return true;
  }
  void take() {
    rte_mbuf* packet = incoming_.received.frame;
    rte_mbuf_sanity_check(packet, 1);
    const Bytes all = bytes_of(packet);
    whole_ = Bytes(all.begin() + 14, all.end());
    ASSERT_EQ(all.size(),
              incoming_.received.transport_offset_bytes + incoming_.received.transport_bytes);
    transport_.assign(all.begin() + incoming_.received.transport_offset_bytes, all.end());
    EXPECT_GE(packet->data_len,
              std::min<size_t>(all.size(), incoming_.received.transport_offset_bytes + 60));
    rte_pktmbuf_free(packet);
  }
  /// Extension header: next header, body; padded to 8.
  static Bytes extension(uint8_t next, Bytes body) {
    Bytes header = Bytes{next, 0} + body;
    header.resize((header.size() + 7) / 8 * 8);
    header[1] = static_cast<uint8_t>(header.size() / 8 - 1);
    return header;
  }

  KeepingProblems problems_;
  Routing routing_{config()};
  Input input_{clock_, environment_, routing_, problems_};
  Incoming incoming_{};
  Bytes transport_;
  Bytes whole_;
};

TEST_F(InputV6Test, PassesPacketsForUs) {
  for (const size_t length : {0, 1, 59, 60, 61, 1460}) {
    Bytes packet = ipv6(pattern(length), {.protocol = 6});
    packet[1] = 0x30;  // ECN: congestion experienced
    ASSERT_TRUE(receive(packet + Bytes(7, 0xee), false, {14, 20, 33}));
    EXPECT_EQ(incoming_.protocol, 6);
    EXPECT_EQ(incoming_.received.source, kPeer6);
    EXPECT_EQ(incoming_.received.destination, kOwn6);
    EXPECT_EQ(incoming_.received.ecn, 3);
    EXPECT_EQ(incoming_.hop_limit, 64);
    EXPECT_FALSE(incoming_.to_broadcast);
    EXPECT_EQ(transport_, pattern(length));
  }
}

TEST_F(InputV6Test, DropsWhatIsMalformedOrForOthers) {
  const Bytes good = ipv6(pattern(20), {.protocol = 6});
  for (size_t length = 0; length < good.size(); length++)
    EXPECT_FALSE(receive(std::span(good).first(length)));
  Bytes version = good;
  version[0] = 0x40;
  EXPECT_FALSE(receive(version));
  EXPECT_EQ(count(Counter::drop_ip_malformed), good.size() + 1);
  for (const Address& other : {kPeer6, kFar6, Address{}, Address::v4(kOwn), kAllRouters})
    EXPECT_FALSE(receive(ipv6(pattern(20), {.protocol = 17, .destination = other}),
                         other.is_v6_multicast()));
  EXPECT_FALSE(receive(good, true)) << "for us alone, but sent to a group of the link";
  EXPECT_EQ(count(Counter::drop_ip_foreign), 6u);
  for (const Address& source :
       {kOwn6, kAllNodes, Address::v4(kPeer), Address{}, Address::v6(0, 0, 0, 0, 0, 0, 0, 1)})
    EXPECT_FALSE(receive(ipv6(pattern(20), {.protocol = 6, .source = source})));
  EXPECT_EQ(count(Counter::drop_ip_source), 5u);
}

TEST_F(InputV6Test, GroupsAreForUdpAndIcmpOnly) {
  EXPECT_TRUE(receive(ipv6(pattern(20), {.protocol = 58, .destination = kOwnGroup6}), true));
  EXPECT_TRUE(incoming_.to_broadcast);
  EXPECT_TRUE(receive(ipv6(pattern(20), {.protocol = 17, .destination = kAllNodes}), true));
  EXPECT_FALSE(receive(ipv6(pattern(20), {.protocol = 6, .destination = kAllNodes}), true));
  EXPECT_EQ(count(Counter::drop_ip_broadcast), 1u);
}

TEST_F(InputV6Test, WithoutIpv6NothingComesIn) {
  StackConfig v4;
  v4.addresses = {{Address::v4(kOwn), 24}};
  const Routing routing(v4);
  Input input(clock_, environment_, routing, problems_);
  EXPECT_FALSE(input.receive_v6(frame(ethernet(ipv6({}), kTypeV6)), false, incoming_));
  EXPECT_EQ(count(Counter::drop_ip_v6), 1u);
}

TEST_F(InputV6Test, WalksOverExtensionHeaders) {
  const Bytes options = extension(60, {5, 2, 0, 0, 1, 0});      // router alert, padding
  const Bytes destination = extension(43, {1, 4, 0, 0, 0, 0});  // padding
  const Bytes routing = extension(6, {77, 0, 0, 0, 0, 0});      // no segments left
  ASSERT_TRUE(receive(ipv6(options + destination + routing + pattern(30), {.protocol = 0})));
  EXPECT_EQ(incoming_.protocol, 6);
  EXPECT_EQ(incoming_.received.transport_offset_bytes, 14 + 40 + 24);
  EXPECT_EQ(incoming_.protocol_pointer_bytes, 40 + 16);
  EXPECT_TRUE(incoming_.has_router_alert);
  EXPECT_EQ(transport_, pattern(30));
  ASSERT_TRUE(receive(ipv6(options + destination + routing + pattern(30), {.protocol = 0}), false,
                      {15, 40, 3, 9}));
}

TEST_F(InputV6Test, UnknownOptionsDoWhatTheirTypeSays) {
  const auto send = [&](uint8_t type, Address destination = kOwn6) {
    problems_.problems.clear();
    return receive(ipv6(extension(17, {1, 0, type, 2, 0, 0}) + pattern(20),
                        {.protocol = 60, .destination = destination}),
                   destination.is_v6_multicast());
  };
  EXPECT_TRUE(send(0x1e));
  EXPECT_FALSE(send(0x5e));
  EXPECT_TRUE(problems_.problems.empty());
  for (const uint8_t type : {0x9e, 0xde}) {
    EXPECT_FALSE(send(type));
    ASSERT_EQ(problems_.problems.size(), 1u);
    EXPECT_EQ(problems_.problems[0].code, 2);
    EXPECT_EQ(problems_.problems[0].pointer, 44u);
    EXPECT_EQ(problems_.problems[0].even_to_group, type == 0x9e);
  }
  EXPECT_EQ(count(Counter::drop_ip_extension), 3u);
}

TEST_F(InputV6Test, RefusesHeadersThatCannotBe) {
  const auto problem = [&](const Bytes& payload, uint8_t first) {
    problems_.problems.clear();
    EXPECT_FALSE(receive(ipv6(payload, {.protocol = first})));
    return problems_.problems.empty() ? KeepingProblems::Problem{0xff, 0, false}
                                      : problems_.problems[0];
  };
  // Hop-by-hop options anywhere but first.
  auto found = problem(extension(0, {1, 4, 0, 0, 0, 0}) + extension(6, {1, 4, 0, 0, 0, 0}), 60);
  EXPECT_EQ(found.code, 1);
  EXPECT_EQ(found.pointer, 40u);
  // A route to follow.
  found = problem(extension(6, {0, 1, 0, 0, 0, 0}) + pattern(20), 43);
  EXPECT_EQ(found.code, 0);
  EXPECT_EQ(found.pointer, 42u);
  // Cut off, an option that reaches beyond its header, and more than the bounds.
  EXPECT_EQ(problem(Bytes{6, 1, 1, 4, 0, 0, 0, 0}, 60).code, 0xff);
  EXPECT_EQ(problem(Bytes{6, 0, 1, 5, 0, 0, 0, 0}, 60).code, 0xff);
  EXPECT_EQ(problem(Bytes{6, 0, 1}, 60).code, 0xff);
  Bytes many;
  for (int i = 0; i < 9; i++) many = many + extension(i == 8 ? 6 : 60, {1, 4, 0, 0, 0, 0});
  EXPECT_EQ(problem(many + pattern(20), 60).code, 0xff);
  EXPECT_EQ(problem(extension(6, Bytes(600)) + pattern(20), 60).code, 0xff);
  Bytes options;
  for (int i = 0; i < 17; i++) options = options + Bytes{0x1e, 0};
  EXPECT_EQ(problem(extension(6, options) + pattern(20), 60).code, 0xff);
  EXPECT_EQ(count(Counter::drop_ip_extension), 8u);
}

TEST_F(InputV6Test, PutsFragmentsTogether) {
  const Bytes whole = udp6(pattern(3000), 7, 9);
  const Bytes before = extension(44, {1, 4, 0, 0, 0, 0});
  const auto part = [&](size_t from, size_t length, bool more) {
    return ipv6(before + fragment6(17, from, more, 99, std::span(whole).subspan(from, length)),
                {.protocol = 60});
  };
  EXPECT_FALSE(receive(part(1200, 1200, true)));
  EXPECT_FALSE(receive(part(2400, 608, false)));
  ASSERT_TRUE(receive(part(0, 1200, true)));
  EXPECT_TRUE(incoming_.had_fragment_header);
  EXPECT_EQ(incoming_.protocol, 17);
  EXPECT_EQ(transport_, whole);
  Bytes expected = before + whole;
  expected[0] = 17;
  EXPECT_EQ(whole_, ipv6(expected, {.protocol = 60})) << "as if it had never been cut";
  EXPECT_EQ(count(Counter::ip_reassembled), 1u);
  EXPECT_EQ(input_.waiting_packets(), 0u);
}

TEST_F(InputV6Test, AtomicFragmentsAreWhole) {
  EXPECT_FALSE(receive(ipv6(fragment6(6, 0, true, 5, pattern(24)), {.protocol = 44})));
  ASSERT_TRUE(receive(ipv6(fragment6(6, 0, false, 5, pattern(40)), {.protocol = 44})));
  EXPECT_EQ(transport_, pattern(40));
  EXPECT_TRUE(incoming_.had_fragment_header);
  EXPECT_EQ(input_.waiting_packets(), 1u) << "the other one still waits (RFC 6946)";
  EXPECT_FALSE(receive(
      ipv6(fragment6(44, 0, false, 5, fragment6(6, 0, false, 6, pattern(40))), {.protocol = 44})))
      << "a fragment in a fragment";
}

TEST_F(InputV6Test, TheFirstFragmentHoldsAllHeaders) {
  EXPECT_FALSE(receive(ipv6(fragment6(6, 0, true, 5, pattern(16)), {.protocol = 44})));
  ASSERT_EQ(problems_.problems.size(), 1u);
  EXPECT_EQ(problems_.problems[0].code, 3);
  EXPECT_FALSE(
      receive(ipv6(fragment6(60, 0, true, 5, extension(6, {1, 4, 0, 0, 0, 0})), {.protocol = 44})));
  EXPECT_EQ(problems_.problems.size(), 2u);
  // A length that is no multiple of 8, and one that would go beyond the longest packet.
  EXPECT_FALSE(receive(ipv6(fragment6(17, 0, true, 5, pattern(15)), {.protocol = 44})));
  EXPECT_EQ(problems_.problems.back().pointer, 4u);
  EXPECT_FALSE(receive(ipv6(fragment6(17, 0xfff8, false, 5, pattern(15)), {.protocol = 44})));
  EXPECT_EQ(problems_.problems.back().pointer, 42u);
  EXPECT_EQ(count(Counter::drop_fragment_malformed), 4u);
}

TEST_F(InputV6Test, FragmentsOfIpv4) {
  const Bytes whole = testing::udp(pattern(4000), 7, 9);
  const auto part = [&](size_t from, size_t length, bool more, uint16_t identification = 1) {
    Bytes packet = ipv4(std::span(whole).subspan(from, length),
                        {.fragment = static_cast<uint16_t>(from / 8 | (more ? 0x2000 : 0))});
    put16(packet, 4, identification);
    set_header_checksum(packet);
    return packet;
  };
  EXPECT_FALSE(receive_v4(part(1480, 1480, true)));
  EXPECT_FALSE(receive_v4(part(0, 1480, true)));
  EXPECT_FALSE(receive_v4(part(2960, 1048, false, 2))) << "of another packet";
  ASSERT_TRUE(receive_v4(part(2960, 1048, false)));
  EXPECT_EQ(transport_, whole);
  EXPECT_EQ(get16(whole_, 2), 20 + whole.size());
  EXPECT_EQ(get16(whole_, 6), 0);
  EXPECT_EQ(plain_checksum(std::span(whole_).first(20)), 0);
  EXPECT_FALSE(incoming_.received.checksum_known_good);
  clock_.now_us = 30'000'000;
  input_.run_timers();
  EXPECT_EQ(count(Counter::drop_fragment_timeout), 1u);
  EXPECT_TRUE(problems_.timeouts.empty()) << "its first fragment was not there";
}

TEST_F(InputV6Test, TellsWhoseFragmentsDidNotCome) {
  EXPECT_FALSE(receive(ipv6(fragment6(17, 0, true, 5, pattern(16)), {.protocol = 44})));
  EXPECT_EQ(input_.next_deadline_us(), 60'000'000u);
  clock_.now_us = 60'000'000;
  input_.run_timers();
  ASSERT_EQ(problems_.timeouts.size(), 1u);
  EXPECT_EQ(problems_.timeouts[0], kPeer6);
  EXPECT_EQ(input_.next_deadline_us(), UINT64_MAX);
}

}  // namespace
}  // namespace weir::net::ip
