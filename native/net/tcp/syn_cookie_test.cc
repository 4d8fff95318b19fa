#include "net/tcp/syn_cookie.h"

#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

class SynCookieTest : public TcpTest {
 protected:
  SynCookieTest() {
    StackConfig config = small();
    config.max_half_open = 2;
    config.receive_buffer_bytes = 1024 * 1024;
    start(config);
    // Strangers fill what is kept.
    for (uint16_t port = 1000; port < 1002; port++) {
      Peer stranger(*this, {.port = port});
      stranger.deliver(stranger.segment(kSyn));
      stranger.forget();
    }
  }
  size_t opened() { return events().flows.size(); }
};

TEST_F(SynCookieTest, a_connection_opens_though_nothing_was_kept) {
  Peer peer(*this, {.mss = 1460, .window_scale = 7, .timestamps = true, .sack = true});
  const StackUsage before = tcp().usage();
  peer.open();
  EXPECT_EQ(count(Counter::tcp_cookies_tx), 1u);
  EXPECT_EQ(count(Counter::tcp_cookies_taken), 1u);
  EXPECT_EQ(tcp().usage().connections, before.connections + 1);
  EXPECT_EQ(tcp().usage().half_open, 2u);
  EXPECT_TRUE(peer.other_syn.sack_permitted && peer.other_syn.window_scale);
  // The window is scaled, timestamps go on, SACK blocks are believed.
  EXPECT_EQ(tcp().info(connection()).send_window_bytes, uint32_t{peer.window} << 7);
  send_all(pattern(5000), 250);
  EXPECT_EQ(peer.receive(), pattern(5000));
  Segment early = peer.segment(kAck, pattern(10));
  early.sequence += 100;
  peer.deliver(early);
  EXPECT_EQ(peer.next().sacks.size(), 1u);
  peer.send(kAck, pattern(100));
  EXPECT_EQ(flow().received, pattern(100) + pattern(10));
}

TEST_F(SynCookieTest, data_may_come_with_the_third_segment) {
  Peer peer(*this, {.timestamps = true});
  peer.send(kSyn);
  peer.timestamps_agreed = true;
  peer.expect(kSyn | kAck);
  peer.send(kAck, pattern(50));
  EXPECT_EQ(flow().received, pattern(50));
}

TEST_F(SynCookieTest, without_timestamps_nothing_but_the_mss_is_agreed) {
  Peer peer(*this, {.mss = 1400, .window_scale = 7, .sack = true});
  peer.open();
  EXPECT_FALSE(peer.other_syn.sack_permitted);
  EXPECT_FALSE(peer.other_syn.window_scale.has_value());
  EXPECT_EQ(tcp().info(connection()).mss_bytes, 1400);
  EXPECT_EQ(tcp().info(connection()).send_window_bytes, peer.window);
}

TEST_F(SynCookieTest, a_cookie_is_good_for_two_periods) {
  for (const uint64_t wait_s : {60, 200}) {
    Peer peer(*this, {.port = static_cast<uint16_t>(3000 + wait_s)});
    peer.send(kSyn);
    peer.expect(kSyn | kAck);
    const size_t before = opened();
    advance(wait_s * kSecond / 2);
    // Others keep it in use.
    for (uint16_t port = 5000; port < 5003; port++) {
      Peer stranger(*this, {.port = static_cast<uint16_t>(port + wait_s)});
      stranger.deliver(stranger.segment(kSyn));
      stranger.forget();
    }
    advance(wait_s * kSecond / 2);
    peer.forget();
    peer.ack();
    EXPECT_EQ(opened() - before, wait_s == 60 ? 1u : 0u);
  }
}

TEST_F(SynCookieTest, what_is_no_cookie_is_reset) {
  Peer peer(*this, {.mss = 1460, .window_scale = 7, .timestamps = true, .sack = true});
  peer.send(kSyn);
  peer.timestamps_agreed = true;
  peer.expect(kSyn | kAck);
  const size_t before = opened();
  uint64_t wrong = 0;
  const auto refused = [&](Segment segment) {
    peer.deliver(segment);
    EXPECT_TRUE(peer.next().is(kRst));
    EXPECT_EQ(count(Counter::drop_tcp_cookie), ++wrong);
  };
  for (int bit = 0; bit < 32; bit += 3) {
    Segment segment = peer.segment(kAck);
    segment.acknowledgment ^= 1u << bit;
    refused(segment);
  }
  // What the timestamp holds is covered, and so is the peer's own number.
  Segment terms = peer.segment(kAck);
  terms.timestamps->echo ^= 0x10;
  refused(terms);
  Segment number = peer.segment(kAck);
  number.sequence++;
  refused(number);
  Segment port = peer.segment(kAck);
  port.timestamps.reset();
  refused(port);
  EXPECT_EQ(opened(), before);
}

TEST_F(SynCookieTest, they_are_believed_only_while_they_are_in_use) {
  start(small());
  Peer peer(*this);
  peer.deliver(peer.segment(kAck));
  EXPECT_TRUE(peer.next().is(kRst));
  EXPECT_EQ(count(Counter::drop_tcp_cookie), 0u);
}

}  // namespace
}  // namespace weir::net::tcp
