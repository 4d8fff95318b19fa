/// Connections that are prepared before their remote address is known, and that have several to
/// try.
#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

class AimTest : public TcpTest {
 protected:
  void prepare() {
    const uint32_t user = events().add_outbound();
    events().flows[user].connection = tcp().prepare(events(), user);
    ASSERT_NE(events().flows[user].connection, nullptr);
  }
  bool aim(uint16_t port, uint32_t address = kPeer) {
    const bool aimed = tcp().aim(connection(), {Address::v4(address), port});
    flush();
    return aimed;
  }
  /// The peer answers the SYN that it has got.
  void accept(Peer& peer) {
    const Segment syn = peer.next();
    ASSERT_TRUE(syn.is(kSyn)) << syn;
    peer.local_port = syn.source_port;
    peer.acknowledgment = syn.end();
    peer.send(kSyn | kAck);
  }
  /// It resets it.
  void refuse(Peer& peer) {
    const Segment syn = peer.next();
    ASSERT_TRUE(syn.is(kSyn)) << syn;
    peer.local_port = syn.source_port;
    peer.acknowledgment = syn.end();
    peer.deliver(peer.segment(kRst | kAck));
  }
};

TEST_F(AimTest, what_is_sent_before_waits) {
  prepare();
  send_all(pattern(500));
  advance(300 * kSecond);
  EXPECT_TRUE(output().sent.empty());
  EXPECT_EQ(tcp().next_deadline_us(), UINT64_MAX);
  ASSERT_TRUE(aim(9000));
  Peer peer(*this, {.port = 9000});
  accept(peer);
  EXPECT_EQ(flow().opened, 1u);
  EXPECT_EQ(peer.receive(), pattern(500));
  peer.send(kAck, pattern(10));
  EXPECT_EQ(flow().received, pattern(10));
  EXPECT_FALSE(aim(9001)) << "it is open";
}

TEST_F(AimTest, it_may_be_closed_before) {
  prepare();
  send_all(pattern(100));
  close();
  ASSERT_TRUE(aim(9000));
  Peer peer(*this, {.port = 9000});
  accept(peer);
  const uint32_t first = peer.acknowledgment;
  EXPECT_EQ(peer.receive(), pattern(100));
  EXPECT_EQ(peer.acknowledgment - first, 101u) << "and FIN";
}

TEST_F(AimTest, it_may_be_aborted_before) {
  prepare();
  send_all(pattern(100));
  abort();
  EXPECT_TRUE(output().sent.empty());
  EXPECT_EQ(tcp().connection_count(), 0u);
}

TEST_F(AimTest, without_a_route_it_stays_as_it_was) {
  prepare();
  EXPECT_FALSE(aim(9000, kFar));
  EXPECT_FALSE(aim(0));
  EXPECT_TRUE(output().sent.empty());
  EXPECT_TRUE(aim(9000));
  EXPECT_EQ(output().sent.size(), 1u);
  output().sent.clear();
}

TEST_F(AimTest, an_address_that_refuses_is_followed_by_the_next) {
  uint16_t next_port = 9001;
  events().address_failed_hook = [&](Flow& flow) {
    return next_port < 9003 && tcp().aim(*flow.connection, {Address::v4(kPeer), next_port++});
  };
  prepare();
  send_all(pattern(500));
  ASSERT_TRUE(aim(9000));
  for (const uint16_t port : {9000, 9001}) {
    Peer peer(*this, {.port = port});
    refuse(peer);
    EXPECT_FALSE(flow().closed.has_value());
  }
  Peer last(*this, {.port = 9002});
  accept(last);
  EXPECT_EQ(flow().opened, 1u);
  EXPECT_EQ(last.receive(), pattern(500));
  // What the others say now concerns nobody.
  Peer late(*this, {.port = 9000});
  late.local_port = last.local_port;
  late.deliver(late.segment(kRst | kAck));
  EXPECT_FALSE(flow().closed.has_value());
  EXPECT_EQ(tcp().connection_count(), 1u);
}

TEST_F(AimTest, the_last_one_that_refuses_ends_it) {
  uint32_t asked = 0;
  events().address_failed_hook = [&](Flow&) {
    asked++;
    return false;
  };
  prepare();
  ASSERT_TRUE(aim(9000));
  Peer peer(*this, {.port = 9000});
  refuse(peer);
  EXPECT_EQ(flow().closed, CloseReason::refused);
  EXPECT_EQ(asked, 1u);
  EXPECT_EQ(tcp().connection_count(), 0u);
}

TEST_F(AimTest, a_silent_address_is_left_after_three_seconds) {
  bool has_another = true;
  events().address_failed_hook = [&](Flow& flow) {
    return std::exchange(has_another, false) &&
           tcp().aim(*flow.connection, {Address::v4(kPeer), 9001});
  };
  prepare();
  ASSERT_TRUE(aim(9000));
  Peer silent(*this, {.port = 9000});
  const uint64_t began_us = now_us();
  EXPECT_TRUE(silent.next().is(kSyn));
  advance_until_sent(10 * kSecond);
  EXPECT_TRUE(silent.next().is(kSyn)) << "once more";
  advance_until_sent(10 * kSecond);
  EXPECT_NEAR(now_us() - began_us, 3 * kSecond, 10 * kMs);
  Peer other(*this, {.port = 9001});
  const Segment syn = other.next();
  EXPECT_TRUE(syn.is(kSyn)) << syn;
  // Nobody is left: this one is waited for as long as any.
  advance_until_sent(10 * kSecond);
  EXPECT_NEAR(now_us() - syn.at_us, kSecond, 10 * kMs);
  accept(other);
  EXPECT_EQ(flow().opened, 1u);
}

TEST_F(AimTest, a_hard_error_tries_the_next) {
  events().address_failed_hook = [&](Flow& flow) {
    events().address_failed_hook = nullptr;
    return tcp().aim(*flow.connection, {Address::v4(kPeer), 9001});
  };
  prepare();
  ASSERT_TRUE(aim(9000));
  Peer peer(*this, {.port = 9000});
  const Segment syn = peer.next();
  Bytes quoted(8);
  put16(quoted, 0, syn.source_port);
  put16(quoted, 2, 9000);
  put32(quoted, 4, syn.sequence);
  tcp().on_icmp_error(Address::v4(kOwn), Address::v4(kPeer), quoted,
                      {ip::DeliveryError::Kind::hard});
  EXPECT_FALSE(flow().closed.has_value());
  Peer other(*this, {.port = 9001});
  accept(other);
  EXPECT_EQ(flow().opened, 1u);
}

}  // namespace
}  // namespace weir::net::tcp
