#include "net/dns/resolver.h"

#include <functional>
#include <optional>

#include "net/icmp/icmp.h"
#include "net/icmp/icmp_v6.h"
#include "net/testing.h"

namespace weir::net::dns {
namespace {

using namespace weir::net::testing;

constexpr uint64_t kSecondUs = 1'000'000;
constexpr Address kServer = Address::v4(0x0a000035);
constexpr Address kOther = Address::v4(0x0a000036);

Name name_of(std::string_view text) {
  Name name;
  EXPECT_TRUE(make_name(text, name));
  return name;
}
/// A name on the wire.
Bytes wire(std::string_view text) {
  Bytes bytes;
  for (size_t from = 0; from <= text.size();) {
    const size_t to = std::min(text.find('.', from), text.size());
    bytes.push_back(static_cast<uint8_t>(to - from));
    for (; from < to; from++) bytes.push_back(static_cast<uint8_t>(text[from]));
    from = to + 1;
  }
  bytes.push_back(0);
  return bytes;
}
Bytes number16(uint16_t value) {
  Bytes bytes(2);
  put16(bytes, 0, value);
  return bytes;
}
Bytes record(const Bytes& owner, uint16_t type, uint32_t lifetime_s, const Bytes& data) {
  Bytes bytes = owner + number16(type) + number16(1) + Bytes(4);
  put32(bytes, bytes.size() - 4, lifetime_s);
  return bytes + number16(static_cast<uint16_t>(data.size())) + data;
}
Bytes answer(uint16_t id, std::string_view name, Type type, const std::vector<Bytes>& records,
             uint16_t flags = 0x8180) {
  Bytes bytes = number16(id) + number16(flags) + number16(1) +
                number16(static_cast<uint16_t>(records.size())) + Bytes(4) + wire(name) +
                number16(static_cast<uint16_t>(type)) + number16(1);
  for (const Bytes& each : records) bytes = bytes + each;
  return bytes;
}
/// Points at the question's name.
const Bytes kQuestion = {0xc0, 12};

TEST(DnsMessageTest, TakesNamesOfHosts) {
  EXPECT_EQ(name_of("WWW.Example.com.").view(), "www.example.com");
  Name name;
  for (const std::string& text :
       {std::string(), std::string("."), std::string("a..b"), std::string(".a"), std::string("a b"),
        std::string(64, 'a'), std::string("a\0b", 3)})
    EXPECT_FALSE(make_name(text, name)) << text;
  std::string longest;
  for (int i = 0; i < 63; i++) longest += "abc.";
  EXPECT_TRUE(make_name(longest + "a", name));
  EXPECT_FALSE(make_name(longest + "ab", name));
}

TEST(DnsMessageTest, WritesAQuestion) {
  std::array<uint8_t, kMaxQueryBytes> message;
  const uint32_t bytes = write_query(0x1234, name_of("ab.c"), Type::aaaa, message);
  EXPECT_EQ(Bytes(message.begin(), message.begin() + bytes),
            (Bytes{0x12, 0x34, 1,  0, 0, 1, 0, 0,  0,    0,    0, 1, 2, 'a', 'b', 1, 'c',
                   0,    0,    28, 0, 1, 0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0,   0,   0}));
}

TEST(DnsMessageTest, ReadsAddressesAndFollowsAliases) {
  Answer found;
  ASSERT_TRUE(parse_answer(
      answer(7, "WWW.a.b", Type::a,
             {record(wire("x.b"), 1, 9, {10, 0, 0, 9}), record(wire("y.b"), 1, 50, {10, 0, 0, 1}),
              record(kQuestion, 5, 70, Bytes{1, 'y'} + Bytes{0xc0, 18}),
              record(wire("Y.b"), 1, 60, {10, 0, 0, 2})}),
      7, name_of("www.a.b"), Type::a, found));
  EXPECT_EQ(found.outcome, Answer::Outcome::found);
  ASSERT_EQ(found.count, 2u);
  EXPECT_EQ(found.addresses[0], Address::v4(0x0a000001));
  EXPECT_EQ(found.lifetime_s, 50u);
}

TEST(DnsMessageTest, KnowsWhatIsNotThereFromWhatFailed) {
  Answer found;
  ASSERT_TRUE(parse_answer(answer(7, "a", Type::a, {}, 0x8183), 7, name_of("a"), Type::a, found));
  EXPECT_EQ(found.outcome, Answer::Outcome::nothing);
  ASSERT_TRUE(parse_answer(answer(7, "a", Type::a, {}), 7, name_of("a"), Type::a, found));
  EXPECT_EQ(found.outcome, Answer::Outcome::nothing);
  ASSERT_TRUE(parse_answer(answer(7, "a", Type::a, {}, 0x8182), 7, name_of("a"), Type::a, found));
  EXPECT_EQ(found.outcome, Answer::Outcome::failed);
  // Aliases that go in circles.
  ASSERT_TRUE(parse_answer(answer(7, "a", Type::a, {record(kQuestion, 5, 9, kQuestion)}), 7,
                           name_of("a"), Type::a, found));
  EXPECT_EQ(found.outcome, Answer::Outcome::nothing);
}

TEST(DnsMessageTest, RefusesWhatIsMalformedOrNotAsked) {
  Answer found;
  const Bytes good = answer(7, "a.b", Type::a, {record(kQuestion, 1, 9, {10, 0, 0, 1})});
  const Name name = name_of("a.b");
  ASSERT_TRUE(parse_answer(good, 7, name, Type::a, found));
  for (size_t length = 0; length < good.size(); length++)
    EXPECT_FALSE(parse_answer(std::span(good).first(length), 7, name, Type::a, found));
  EXPECT_FALSE(parse_answer(good, 8, name, Type::a, found));
  EXPECT_FALSE(parse_answer(good, 7, name_of("a.c"), Type::a, found));
  EXPECT_FALSE(parse_answer(good, 7, name, Type::aaaa, found));
  EXPECT_FALSE(parse_answer(answer(7, "a.b", Type::a, {}, 0x0180), 7, name, Type::a, found));
  // Names that point at themselves, forwards, or are of a kind that is not there.
  for (const Bytes& owner : {Bytes{0xc0, 21}, Bytes{0xc0, 40}, Bytes{0x40}, Bytes{0x80, 0}})
    EXPECT_FALSE(parse_answer(answer(7, "a.b", Type::a, {record(owner, 1, 9, {10, 0, 0, 1})}), 7,
                              name, Type::a, found));
}

TEST(DnsMessageTest, SurvivesRandomAnswers) {
  std::mt19937 random(5);
  const Bytes good =
      answer(7, "a.b", Type::a,
             {record(kQuestion, 5, 9, wire("c.d")), record(wire("c.d"), 1, 9, {1, 2, 3, 4})});
  Answer found;
  uint32_t read = 0;
  for (int i = 0; i < 50'000; i++) {
    Bytes message = good;
    for (int n = random() % 6; n >= 0; n--)
      message[random() % message.size()] = static_cast<uint8_t>(random());
    message.resize(message.size() - random() % 8);
    read += parse_answer(message, 7, name_of("a.b"), Type::a, found);
  }
  EXPECT_GT(read, 100u);
}

class KeepingOutput final : public ip::Output {
 public:
  void send(rte_mbuf* packet, const Address&, const Address& destination, uint8_t,
            const ip::SendOptions&) override {
    sent.push_back({destination, bytes_of(packet)});
    rte_pktmbuf_free(packet);
  }
  Address source_for(const Address& destination) const override {
    return destination.is_v4() || has_v6 ? Address::v4(kOwn) : Address{};
  }
  bool is_local(const Address&) const override { return true; }
  uint16_t mtu_bytes(const Address&) const override { return 1500; }
  void lower_path_mtu(const Address&, uint16_t) override {}
  std::vector<std::pair<Address, Bytes>> sent;
  bool has_v6 = true;
};

class ResolverTest : public LayerTest, public ServerList, public ResolveListener {
 protected:
  uint32_t servers(std::span<Address, kMaxServers> into) const override {
    std::copy(servers_.begin(), servers_.end(), into.begin());
    return static_cast<uint32_t>(servers_.size());
  }
  void on_resolved(uint32_t tag, std::span<const Address> addresses) override {
    resolved_.push_back({tag, {addresses.begin(), addresses.end()}});
    if (again_) again_();
  }
  class NoListener final : public icmp::ErrorListener {
    bool on_icmp_error(uint8_t, const Address&, const Address&, std::span<const uint8_t>,
                       const ip::DeliveryError&) override {
      return false;
    }
  };
  struct Question {
    Address server;
    uint16_t port, id;
    Type type;
  };
  std::vector<Question> questions() {
    std::vector<Question> found;
    for (const auto& [server, bytes] : std::exchange(output_.sent, {}))
      found.push_back({server, get16(bytes, 0), get16(bytes, 8),
                       get16(bytes, bytes.size() - 15) == 1 ? Type::a : Type::aaaa});
    return found;
  }
  void reply(const Question& question, const std::vector<Bytes>& records, uint16_t flags = 0x8180,
             std::optional<Address> from = {}) {
    const Bytes message = answer(question.id, "host.example", question.type, records, flags);
    const testing::Ipv4 ip{.source = from.value_or(question.server).v4_host_order()};
    udp_.input({.received = {.frame = frame(
                                 ethernet(ipv4(testing::udp(message, question.port, 53, ip), ip))),
                             .transport_offset_bytes = 34,
                             .transport_bytes = static_cast<uint32_t>(8 + message.size()),
                             .source = Address::v4(ip.source),
                             .destination = Address::v4(kOwn),
                             .checksum_known_good = false},
                .protocol = 17,
                .to_broadcast = false});
  }
  static Bytes a(uint32_t lifetime_s = 60) {
    return record(kQuestion, 1, lifetime_s, {192, 0, 2, 5});
  }
  static Bytes aaaa() {
    Bytes data(16);
    data[0] = 0xfd;
    data[15] = 9;
    return record(kQuestion, 28, 60, data);
  }
  static constexpr Address kFound6 = Address::v6(0xfd00, 0, 0, 0, 0, 0, 0, 9);
  void answer_both(const std::vector<Question>& asked) {
    for (const Question& each : asked) reply(each, {each.type == Type::a ? a() : aaaa()});
  }

  std::vector<Address> servers_ = {kServer, kOther};
  std::vector<std::pair<uint32_t, std::vector<Address>>> resolved_;
  std::function<void()> again_;
  ip::Routing routing_{StackConfig{}};
  NoListener listener_;
  KeepingOutput output_;
  icmp::Icmp icmp_{clock_, environment_, routing_, output_, listener_};
  icmp::IcmpV6 icmp_v6_{clock_, environment_, routing_, output_, listener_};
  udp::Udp udp_{environment_, output_, icmp_, icmp_v6_, 128};
  Resolver resolver_{clock_, environment_, udp_, output_, *this};
};

TEST_F(ResolverTest, AsksForBothFamiliesAndRemembers) {
  ASSERT_TRUE(resolver_.resolve("Host.Example", *this, 5));
  const auto asked = questions();
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[0].server, kServer);
  EXPECT_EQ(asked[0].port, asked[1].port);
  EXPECT_NE(asked[0].id, asked[1].id);
  answer_both({asked[1], asked[0]});
  ASSERT_EQ(resolved_.size(), 1u);
  EXPECT_EQ(resolved_[0].first, 5u);
  EXPECT_EQ(resolved_[0].second, (std::vector{kFound6, Address::v4(kFar)}));
  EXPECT_FALSE(udp_.is_bound(asked[0].port));
  EXPECT_EQ(resolver_.next_deadline_us(), UINT64_MAX);
  ASSERT_TRUE(resolver_.resolve("host.example.", *this, 6));
  EXPECT_EQ(resolved_.size(), 2u) << "from the cache, at once";
  output_.has_v6 = false;
  ASSERT_TRUE(resolver_.resolve("host.example", *this, 7));
  EXPECT_EQ(resolved_[2].second, (std::vector{Address::v4(kFar)})) << "only what is reachable";
  clock_.now_us += 60 * kSecondUs;
  ASSERT_TRUE(resolver_.resolve("host.example", *this, 8));
  EXPECT_EQ(resolved_.size(), 3u);
  EXPECT_EQ(questions().size(), 2u);
}

TEST_F(ResolverTest, TriesThreeTimesFromNewPortsAndThenGivesUp) {
  ASSERT_TRUE(resolver_.resolve("host.example", *this, 5));
  std::vector<Question> all;
  for (int i = 0; i < 3; i++) {
    const auto asked = questions();
    ASSERT_EQ(asked.size(), 2u);
    EXPECT_EQ(asked[0].server, i == 1 ? kOther : kServer);
    all.push_back(asked[0]);
    clock_.now_us = resolver_.next_deadline_us();
    resolver_.run_timers();
  }
  EXPECT_TRUE(all[0].port != all[1].port || all[1].port != all[2].port);
  ASSERT_EQ(resolved_.size(), 1u);
  EXPECT_TRUE(resolved_[0].second.empty());
  EXPECT_EQ(clock_.now_us, 6 * kSecondUs);
  EXPECT_EQ(count(Counter::dns_failures), 1u);
}

TEST_F(ResolverTest, AnAnswerThatFailsGoesToTheNextServer) {
  ASSERT_TRUE(resolver_.resolve("host.example", *this, 5));
  auto asked = questions();
  reply(asked[0], {a()});
  reply(asked[1], {}, 0x8182);
  EXPECT_LE(resolver_.next_deadline_us(), clock_.now_us);
  resolver_.run_timers();
  asked = questions();
  ASSERT_EQ(asked.size(), 1u) << "only what is not answered yet";
  EXPECT_EQ(asked[0].type, Type::aaaa);
  EXPECT_EQ(asked[0].server, kOther);
  reply(asked[0], {}, 0x8183);
  ASSERT_EQ(resolved_.size(), 1u);
  EXPECT_EQ(resolved_[0].second, std::vector{Address::v4(kFar)});
}

TEST_F(ResolverTest, IgnoresAnswersThatWereNotAskedFor) {
  ASSERT_TRUE(resolver_.resolve("host.example", *this, 5));
  const auto asked = questions();
  reply(asked[0], {a()}, 0x8180, kOther);
  Question wrong = asked[0];
  wrong.id ^= 0x5555;
  reply(wrong, {a()});
  reply(asked[0], {a()});
  reply(asked[0], {a()});
  EXPECT_EQ(count(Counter::drop_dns_malformed), 3u);
  EXPECT_TRUE(resolved_.empty());
  reply(asked[1], {aaaa()});
  EXPECT_EQ(resolved_.size(), 1u);
}

TEST_F(ResolverTest, SaysLaterThatThereIsNobodyToAsk) {
  servers_.clear();
  ASSERT_TRUE(resolver_.resolve("host.example", *this, 5));
  EXPECT_TRUE(resolved_.empty());
  resolver_.run_timers();
  EXPECT_EQ(resolved_.size(), 1u);
}

TEST_F(ResolverTest, IsBoundedAndCanBeCancelled) {
  for (uint32_t i = 0; i < Resolver::kMaxLookups; i++)
    ASSERT_TRUE(resolver_.resolve("h" + std::to_string(i) + ".example", *this, i));
  EXPECT_FALSE(resolver_.resolve("one-more.example", *this, 99));
  EXPECT_FALSE(resolver_.resolve("no name", *this, 99));
  const auto asked = questions();
  resolver_.cancel(*this, 3);
  EXPECT_FALSE(udp_.is_bound(asked[6].port));
  EXPECT_TRUE(resolver_.resolve("one-more.example", *this, 99));
  for (uint32_t i = 0; i < Resolver::kMaxLookups; i++) resolver_.cancel(*this, i);
  resolver_.cancel(*this, 99);
  EXPECT_EQ(resolver_.next_deadline_us(), UINT64_MAX);
}

TEST_F(ResolverTest, WhoIsToldMayAskAgain) {
  again_ = [this] {
    again_ = nullptr;
    ASSERT_TRUE(resolver_.resolve("other.example", *this, 6));
  };
  ASSERT_TRUE(resolver_.resolve("host.example", *this, 5));
  answer_both(questions());
  EXPECT_EQ(resolved_.size(), 1u);
  EXPECT_EQ(questions().size(), 2u);
}

}  // namespace
}  // namespace weir::net::dns
