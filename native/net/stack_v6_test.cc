#include <optional>

#include "net/ip/routing.h"
#include "net/stack.h"
#include "net/tcp/connection.h"
#include "net/testing_v6.h"

namespace weir::net {
namespace {

using namespace weir::net::testing;

constexpr uint64_t kSecondUs = 1'000'000;

class StackV6Test : public LayerTest {
 protected:
  StackV6Test() {
    StackConfig config;
    config.link_address = kOwnLink;
    config.addresses = {{Address::v4(kOwn), 24}, {kOwn6, 64}};
    config.routes = {Route::default_through(kPeerLocal6)};
    config.duplicate_address_probes = 0;
    config.max_connections = 64;
    config.max_half_open = 16;
    config.max_time_wait = 16;
    config.max_neighbors = 32;
    config.send_copy_bytes = 256 * 1024;
    config.max_reorder_segments_total = 64;
    config_ = config;
    start();
  }
  void start() {
    stack_.emplace(config_, environment_);
    set_now(1'000);
    stack_->run_timers();
    for (int i = 0; i < 10; i++) {
      set_now(clock_.now_us + kSecondUs);
      stack_->run_timers();
    }
    sink_.clear();
  }
  void set_now(uint64_t now_us) {
    clock_.now_us = now_us;
    stack_->set_now(now_us);
  }
  void input(std::span<const uint8_t> bytes, std::initializer_list<size_t> segments = {}) {
    rte_mbuf* packet = frame(bytes, segments);
    stack_->input(&packet, 1);
    stack_->flush();
  }
  void input_packet(const Bytes& packet) { input(ethernet(packet, kTypeV6)); }
  /// The peer asks for our address, and so is known.
  void meet_peer(const Address& peer = kPeer6) {
    input(ethernet(
        icmp6_packet(135, 0, 0,
                     Bytes(kOwn6.bytes.begin(), kOwn6.bytes.end()) + link_option(1, kPeerLink),
                     {.source = peer, .destination = kOwnGroup6, .hop_limit = 255}),
        kTypeV6, group_link(kOwnGroup6)));
    // Its advertisement makes it reachable, so that nobody asks in between.
    input_packet(icmp6_packet(
        136, 0, 0x60000000, Bytes(peer.bytes.begin(), peer.bytes.end()) + link_option(2, kPeerLink),
        {.source = peer, .hop_limit = 255}));
    sink_.clear();
  }

  StackConfig config_;
  KeepingEvents events_;
  std::optional<Stack> stack_;
};

TEST_F(StackV6Test, AnswersPingsOfEverySize) {
  meet_peer();
  for (const size_t length : {0, 1, 56, 1452}) {
    sink_.clear();
    input_packet(icmp6_packet(128, 0, 77, pattern(length)));
    ASSERT_EQ(sink_.sent.size(), 1u);
    EXPECT_EQ(sink_.sent[0], ethernet(icmp6_packet(129, 0, 77, pattern(length),
                                                   {.source = kOwn6, .destination = kPeer6}),
                                      kTypeV6, kPeerLink, kOwnLink));
  }
}

TEST_F(StackV6Test, AnswersPingsInFragments) {
  meet_peer();
  const Bytes request = testing::icmp6(128, 0, 77, pattern(4000));
  for (size_t at = 0; at < request.size(); at += 1448) {
    const size_t length = std::min<size_t>(1448, request.size() - at);
    input_packet(ipv6(
        fragment6(58, at, at + length < request.size(), 5, std::span(request).subspan(at, length)),
        {.protocol = 44}));
  }
  ASSERT_EQ(sink_.sent.size(), 3u);
  Bytes joined;
  for (const Bytes& sent : sink_.sent) joined = joined + std::span(sent).subspan(14 + 48);
  EXPECT_EQ(joined,
            testing::icmp6(129, 0, 77, pattern(4000), {.source = kOwn6, .destination = kPeer6}));
}

TEST_F(StackV6Test, AnswersPingsToAllNodes) {
  meet_peer(kPeerLocal6);
  input(ethernet(
      icmp6_packet(128, 0, 77, pattern(8), {.source = kPeerLocal6, .destination = ip::kAllNodes}),
      kTypeV6, group_link(ip::kAllNodes)));
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(sink_.sent[0],
            ethernet(icmp6_packet(129, 0, 77, pattern(8),
                                  {.source = kOwnLocal6, .destination = kPeerLocal6}),
                     kTypeV6, kPeerLink, kOwnLink));
}

// RFC 4862 section 5.3: what is said while the link is down nobody hears.
TEST_F(StackV6Test, BeginsWhenTheLinkIsUp) {
  config_.duplicate_address_probes = 1;
  config_.probe_v4_addresses = true;
  config_.dhcp = true;
  config_.accept_router_advertisements = true;
  const auto sent = [&] {
    return std::array{count(Counter::nd_tx), count(Counter::arp_tx), count(Counter::mld_tx),
                      count(Counter::dhcp_tx)};
  };
  const auto before = sent();
  stack_.emplace(config_, environment_);
  stack_->set_link(false);
  for (uint64_t second = 1; second < 100; second++) {
    set_now(clock_.now_us + kSecondUs);
    EXPECT_GT(stack_->next_deadline_us(), clock_.now_us);
    stack_->run_timers();
  }
  EXPECT_TRUE(sink_.sent.empty());
  input_packet(icmp6_packet(128, 0, 1, pattern(8)));
  EXPECT_TRUE(sink_.sent.empty()) << "the address is not ours yet";
  EXPECT_EQ(sent(), before);
  stack_->set_link(true);
  EXPECT_LE(stack_->next_deadline_us(), clock_.now_us);
  for (int i = 0; i < 100; i++) {
    set_now(clock_.now_us + kSecondUs / 10);
    stack_->run_timers();
  }
  const auto now = sent();
  const std::array<uint64_t, 4> least = {2, 3, 2, 1};
  for (size_t i = 0; i < least.size(); i++) EXPECT_GE(now[i] - before[i], least[i]) << i;
  meet_peer();
  input_packet(icmp6_packet(128, 0, 1, pattern(8)));
  EXPECT_FALSE(sink_.sent.empty());
}

TEST_F(StackV6Test, CountsWhatIsForRouters) {
  const uint64_t before = count(Counter::drop_icmp_unknown);
  // A router solicitation, the reports of both versions of MLD, and "done".
  for (const uint8_t type : {133, 131, 143, 132})
    input_packet(icmp6_packet(type, 0, 0, pattern(20), {.hop_limit = 255}));
  EXPECT_EQ(count(Counter::drop_icmp_unknown) - before, 4u);
  EXPECT_TRUE(sink_.sent.empty());
}

TEST_F(StackV6Test, UdpGoesInAndOut) {
  meet_peer();
  ASSERT_TRUE(stack_->udp_bind(7, events_, 3));
  input_packet(ipv6(udp6(pattern(100), 7, 999)));
  ASSERT_EQ(events_.datagrams.size(), 1u);
  EXPECT_EQ(events_.datagrams[0].remote, (Endpoint{kPeer6, 999}));
  EXPECT_TRUE(stack_->udp_send(7, events_.datagrams[0].remote, events_.datagrams[0].bytes));
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(Bytes(sink_.sent[0].begin() + 54, sink_.sent[0].end()),
            udp6(pattern(100), 999, 7, {.source = kOwn6, .destination = kPeer6}));
  Bytes none = udp6(pattern(100), 7, 999);
  put16(none, 6, 0);
  input_packet(ipv6(none));
  EXPECT_EQ(count(Counter::drop_udp_checksum), 1u) << "IPv6 has no checksum of its own";
  input_packet(ipv6(udp6(pattern(10), 8, 999)));
  EXPECT_EQ(Bytes(sink_.sent[1].begin() + 54, sink_.sent[1].end()),
            testing::icmp6(1, 4, 0, ipv6(udp6(pattern(10), 8, 999)),
                           {.source = kOwn6, .destination = kPeer6}));
}

TEST_F(StackV6Test, LowersThePathMtuOfUdp) {
  meet_peer(kPeerLocal6);
  ASSERT_TRUE(stack_->udp_bind(7, events_, 3));
  EXPECT_TRUE(stack_->udp_send(7, {kFar6, 9}, pattern(1452)));
  ASSERT_EQ(sink_.sent.size(), 1u);
  const std::span quoted = std::span(sink_.sent[0]).subspan(14, 1232);
  input_packet(icmp6_packet(2, 0, 1300, quoted));
  EXPECT_EQ(count(Counter::path_mtu_lowered), 1u);
  sink_.clear();
  EXPECT_TRUE(stack_->udp_send(7, {kFar6, 9}, pattern(1452)));
  EXPECT_EQ(sink_.sent.size(), 2u);
  for (const Bytes& sent : sink_.sent) EXPECT_LE(sent.size(), 14u + 1300);
}

TEST_F(StackV6Test, SaysWhichProtocolIsNotThere) {
  meet_peer();
  const Bytes packet = ipv6(pattern(20), {.protocol = 132});
  input_packet(packet);
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(Bytes(sink_.sent[0].begin() + 54, sink_.sent[0].end()),
            testing::icmp6(4, 1, 6, packet, {.source = kOwn6, .destination = kPeer6}));
  sink_.clear();
  input_packet(ipv6({}, {.protocol = 59}));
  // Nothing about errors, and not to whom nobody can answer.
  input_packet(
      ipv6(Bytes{58, 0, 0x9e, 4, 0, 0, 0, 0} + testing::icmp6(1, 4, 0, packet), {.protocol = 60}));
  EXPECT_TRUE(sink_.sent.empty());
}

TEST_F(StackV6Test, QuotesUpToTheLeastMtu) {
  meet_peer();
  input_packet(ipv6(udp6(pattern(1400), 8, 999)));
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(sink_.sent[0].size(), 14u + 1280);
}

/// Two stacks on one link.
class StackPairTest : public LayerTest {
 protected:
  class Host final : public FlowEvents, public FrameSink {
   public:
    Host(StackPairTest& test, uint8_t number, uint16_t vlan_id) : random(number) {
      StackConfig config;
      config.link_address = {2, 0, 0, 0, 0, number};
      config.addresses = {{Address::v4(0x0a000000u + number), 24},
                          {Address::v6(0xfd44, 0, 0, 0, 0, 0, 0, number), 64}};
      config.vlan_id = vlan_id;
      config.max_connections = 16;
      config.max_time_wait = 16;
      config.send_copy_bytes = 1024 * 1024;
      config.max_reorder_segments_total = 64;
      stack.emplace(config, Environment{*this, random, test.counters_, test.headers_->get(),
                                        test.frames_->get()});
    }
    ~Host() {
      for (rte_mbuf* each : out) rte_pktmbuf_free(each);
    }
    void transmit(rte_mbuf* each) override { out.push_back(each); }
    bool on_knock(uint32_t, const Endpoint& remote) override {
      knocked = remote;
      return true;
    }
    bool on_opened(Connection& connection, uint32_t, bool) override {
      open = &connection;
      return true;
    }
    bool on_data(Connection& connection, const Payload& payload) override {
      const Bytes all = bytes_of(payload.head);
      received.insert(received.end(), all.begin() + payload.offset_bytes,
                      all.begin() + payload.offset_bytes + payload.length_bytes);
      stack->consume(connection, payload.length_bytes);
      return true;
    }
    void on_end(Connection& connection) override { stack->close(connection); }
    void on_acknowledged(Connection&, uint32_t) override {}
    void on_closed(Connection&, CloseReason reason) override {
      closed = reason;
      open = nullptr;
    }
    bool on_datagram(uint32_t, const Endpoint&, const Endpoint&, const Payload&) override {
      return true;
    }
    SeededRandom random;
    std::optional<Stack> stack;
    std::vector<rte_mbuf*> out;
    Connection* open = nullptr;
    std::optional<Endpoint> knocked;
    std::optional<CloseReason> closed;
    Bytes received;
  };

  /// A copy of a frame, as a wire makes it.
  rte_mbuf* carried(rte_mbuf* sent) {
    const Bytes bytes = bytes_of(sent);
    rte_pktmbuf_free(sent);
    seen.push_back(bytes);
    return frame(bytes);
  }
  void run(uint64_t for_us) {
    const uint64_t end_us = now_us + for_us;
    for (; now_us < end_us; now_us += 10'000) {
      for (auto& [from, to] : {std::pair<Host*, Host*>{&a, &b}, {&b, &a}}) {
        to->stack->set_now(now_us);
        std::vector<rte_mbuf*> frames;
        for (rte_mbuf* each : std::exchange(from->out, {})) frames.push_back(carried(each));
        to->stack->input(frames.data(), static_cast<uint32_t>(frames.size()));
        to->stack->run_timers();
        to->stack->flush();
      }
    }
  }

  uint16_t vlan_ = 0;
  uint64_t now_us = 1'000'000;
  std::vector<Bytes> seen;
  Host a{*this, 1, vlan_};
  Host b{*this, 2, vlan_};
};

TEST_F(StackPairTest, TcpGoesOverIpv6AndIpv4) {
  ASSERT_TRUE(b.stack->tcp_listen(80, b, 0));
  run(4'000'000);  // duplicate address detection
  const Address to6 = Address::v6(0xfd44, 0, 0, 0, 0, 0, 0, 2);
  for (const Address& to :
       {to6, Address::v4(0x0a000002), Address::v6(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 2)}) {
    a.received.clear(), b.received.clear();
    ASSERT_NE(a.stack->tcp_connect({to, 80}, a, 0), nullptr);
    run(200'000);
    ASSERT_NE(a.open, nullptr);
    ASSERT_NE(b.open, nullptr);
    EXPECT_EQ(b.knocked->address.is_v4(), to.is_v4());
    const Bytes data = pattern(20'000);
    ASSERT_EQ(a.stack->send_copy(*a.open, data), SendResult::ok);
    ASSERT_EQ(b.stack->send_copy(*b.open, data), SendResult::ok);
    run(500'000);
    EXPECT_EQ(a.received, data);
    EXPECT_EQ(b.received, data);
    a.stack->close(*a.open);
    run(500'000);
    EXPECT_EQ(b.closed, CloseReason::finished);
  }
  for (const Bytes& bytes : seen) EXPECT_LE(bytes.size(), 1514u);
}

TEST_F(StackPairTest, NobodyThereEndsAConnectionThatIsBeingOpened) {
  run(4'000'000);
  ASSERT_NE(a.stack->tcp_connect({Address::v6(0xfd44, 0, 0, 0, 0, 0, 0, 9), 80}, a, 0), nullptr);
  run(4'000'000);
  EXPECT_EQ(a.closed, CloseReason::unreachable);
  ASSERT_NE(a.stack->tcp_connect({Address::v6(0xfd44, 0, 0, 0, 0, 0, 0, 2), 81}, a, 0), nullptr);
  a.closed.reset();
  run(4'000'000);
  EXPECT_EQ(a.closed, CloseReason::refused);
}

class VlanPairTest : public StackPairTest {
 protected:
  VlanPairTest() : tagged_(*this, 3, 7), other_(*this, 4, 8) {}
  Host tagged_;
  Host other_;
};

TEST_F(VlanPairTest, FramesCarryTheTagOfTheirVlan) {
  const Address peer = Address::v4(0x0a000009);
  tagged_.stack->set_now(now_us);
  EXPECT_TRUE(tagged_.stack->udp_send(7, {peer, 9}, pattern(5)));
  ASSERT_FALSE(tagged_.out.empty());
  const Bytes request = bytes_of(tagged_.out[0]);
  EXPECT_EQ(get16(request, 12), 0x8100);
  EXPECT_EQ(get16(request, 14), 7);
  EXPECT_EQ(get16(request, 16), link::kTypeArp);
  const auto input = [&](Host& host, const Bytes& bytes) {
    rte_mbuf* each = frame(bytes);
    host.stack->set_now(now_us);
    host.stack->input(&each, 1);
  };
  const Bytes question =
      arp({.sender_link = kPeerLink, .sender = 0x0a000009, .target = 0x0a000003});
  input(tagged_, ethernet(question, link::kTypeArp, link::kBroadcast));
  input(tagged_, ethernet(Bytes{0, 8, 8, 6} + question, 0x8100, link::kBroadcast));
  EXPECT_EQ(count(Counter::drop_link_vlan), 2u);
  EXPECT_EQ(tagged_.out.size(), 1u);
  // Priority bits do not count.
  input(tagged_, ethernet(Bytes{0xe0, 7, 8, 6} + question, 0x8100, link::kBroadcast));
  ASSERT_EQ(tagged_.out.size(), 3u) << "the answer, and the datagram that waited";
  // Without a VLAN, frames with nothing but a priority are ours.
  input(a, ethernet(Bytes{0xe0, 0, 8, 6} + arp({.target = 0x0a000001}), 0x8100, link::kBroadcast));
  EXPECT_EQ(a.out.size(), 1u);
  EXPECT_EQ(count(Counter::drop_link_vlan), 2u);
}

TEST_F(StackV6Test, SurvivesMutatedFrames) {
  std::mt19937 random(21);
  ASSERT_TRUE(stack_->udp_bind(7, events_, 3));
  stack_->tcp_listen(7, events_, 4);
  const Bytes own(kOwn6.bytes.begin(), kOwn6.bytes.end());
  Bytes syn(20);
  put16(syn, 0, 5555);
  put16(syn, 2, 7);
  syn[12] = 0x50;
  syn[13] = 2;
  put16(syn, 16, plain_checksum(syn, testing::plain_pseudo_sum(kPeer6, kOwn6, 6, 20)));
  const Bytes datagram = udp6(pattern(900), 7, 9);
  const std::vector<Bytes> seeds = {
      icmp6_packet(135, 0, 0, own + link_option(1, kPeerLink),
                   {.destination = kOwnGroup6, .hop_limit = 255}),
      icmp6_packet(136, 0, 0x60000000,
                   Bytes(kPeer6.bytes.begin(), kPeer6.bytes.end()) + link_option(2, kPeerLink),
                   {.hop_limit = 255}),
      icmp6_packet(134, 0, 1800, Bytes(8) + link_option(1, kPeerLink),
                   {.source = kPeerLocal6, .destination = ip::kAllNodes, .hop_limit = 255}),
      icmp6_packet(130, 0, 1000u << 16, Bytes(20),
                   {.source = kPeerLocal6, .destination = ip::kAllNodes, .hop_limit = 1}),
      icmp6_packet(128, 0, 5, pattern(300)),
      icmp6_packet(2, 0, 1300, ipv6(syn, {.protocol = 6, .source = kOwn6, .destination = kPeer6})),
      ipv6(datagram),
      ipv6(syn, {.protocol = 6}),
      ipv6(Bytes{60, 0, 5, 2, 0, 0, 1, 0} + Bytes{17, 0, 1, 4, 0, 0, 0, 0} + datagram,
           {.protocol = 0}),
      ipv6(fragment6(17, 0, true, 3, std::span(datagram).first(400)), {.protocol = 44}),
      ipv6(fragment6(17, 400, false, 3, std::span(datagram).subspan(400)), {.protocol = 44}),
      ipv4(std::span(datagram).first(400), {.fragment = 0x2000}),
      ipv4(std::span(datagram).subspan(400), {.fragment = 50}),
  };
  uint64_t now_us = clock_.now_us;
  for (int round = 0; round < 4'000; round++) {
    rte_mbuf* batch[20];
    const uint32_t size = 1 + random() % 20;
    for (uint32_t i = 0; i < size; i++) {
      Bytes packet = seeds[random() % seeds.size()];
      if (random() % 2 == 0)
        for (int n = random() % 6; n >= 0; n--) packet[random() % packet.size()] = random();
      if (random() % 8 == 0) packet.resize(1 + random() % packet.size());
      const bool v6 = packet[0] >> 4 == 6;
      if (!v6 && packet.size() > 20 && (packet[0] & 15) == 5) set_header_checksum(packet);
      // Most ICMPv6 should get past its checksum.
      if (v6 && packet.size() >= 48 && packet[6] == 58 && random() % 4 != 0) {
        put16(packet, 42, 0);
        put16(packet, 42,
              plain_checksum(std::span(packet).subspan(40),
                             testing::plain_pseudo_sum(Address::v6(packet.data() + 8),
                                                       Address::v6(packet.data() + 24), 58,
                                                       packet.size() - 40)));
      }
      LinkAddress to = kOwnLink;
      if (v6 && packet.size() >= 40 && packet[24] == 0xff)
        to = group_link(Address::v6(packet.data() + 24));
      const Bytes bytes = ethernet(packet, v6 ? kTypeV6 : link::kTypeIpv4, to);
      batch[i] = random() % 2 == 0 ? frame(bytes)
                                   : frame(bytes, {random() % 60, random() % 60, random() % 60});
    }
    stack_->input(batch, size);
    stack_->flush();
    now_us += random() % 3 == 0 ? random() % kSecondUs : 0;
    set_now(now_us);
    stack_->run_timers();
    sink_.clear();
    events_.datagrams.clear();
  }
  EXPECT_GT(count(Counter::ip_reassembled), 100u);
  EXPECT_GT(count(Counter::nd_rx), 1'000u);
  EXPECT_GT(count(Counter::icmp_errors_tx), 100u);
}

}  // namespace
}  // namespace weir::net
