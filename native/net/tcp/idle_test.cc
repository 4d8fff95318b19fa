// What happens to connections of which nothing is heard, and on paths that change.
#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

class IdleTest : public TcpTest {
 protected:
  static StackConfig with_keep_alive() {
    StackConfig config = small();
    config.keep_alive_idle_ms = 60'000;
    config.keep_alive_interval_ms = 5'000;
    config.keep_alive_probes = 3;
    return config;
  }
};

// RFC 9293 section 3.8.4: SEG.SEQ = SND.NXT - 1, without data.
TEST_F(IdleTest, a_silent_peer_is_probed_and_given_up) {
  start(with_keep_alive());
  Peer peer(*this);
  peer.open();
  advance(59 * kSecond);
  peer.expect_silence();
  for (int i = 0; i < 3; i++) {
    advance_until_sent(6 * kSecond);
    const Segment probe = peer.next();
    EXPECT_EQ(probe.sequence, peer.acknowledgment - 1);
    EXPECT_EQ(probe.length(), 0u);
    EXPECT_EQ(probe.acknowledgment, peer.sequence);
  }
  EXPECT_FALSE(flow().closed);
  advance(6 * kSecond);
  EXPECT_EQ(flow().closed, CloseReason::timed_out);
}

TEST_F(IdleTest, an_answer_starts_the_wait_anew) {
  start(with_keep_alive());
  Peer peer(*this);
  peer.open();
  for (int i = 0; i < 3; i++) {
    advance(61 * kSecond);
    ASSERT_TRUE(peer.has_next());
    peer.forget();
    peer.ack();
    advance(58 * kSecond);
    peer.expect_silence();
    advance(3 * kSecond);
    peer.forget();
    peer.ack();
  }
  EXPECT_FALSE(flow().closed);
}

TEST_F(IdleTest, without_keep_alive_silence_may_last) {
  StackConfig config = small();
  config.keep_alive_idle_ms = 0;
  start(config);
  Peer peer(*this);
  peer.open();
  advance(100'000 * kSecond);
  peer.expect_silence();
  EXPECT_FALSE(flow().closed);
}

// RFC 5482.
TEST_F(IdleTest, unacknowledged_bytes_wait_no_longer_than_the_user) {
  StackConfig config = small();
  config.user_timeout_ms = 5'000;
  start(config);
  Peer peer(*this);
  peer.open();
  send_all(pattern(100));
  advance(4 * kSecond);
  EXPECT_FALSE(flow().closed);
  advance(20 * kSecond);
  EXPECT_EQ(flow().closed, CloseReason::timed_out);
}

TEST_F(IdleTest, nor_does_a_closed_window) {
  StackConfig config = small();
  config.user_timeout_ms = 5'000;
  start(config);
  Peer peer(*this, {.window = 0});
  peer.open();
  send_all(pattern(100));
  for (int i = 0; i < 60 && !flow().closed; i++) {
    advance(kSecond);
    peer.forget();
    if (!flow().closed) peer.ack();
  }
  EXPECT_EQ(flow().closed, CloseReason::timed_out);
}

class PathTest : public TcpTest {
 protected:
  void too_big(const Segment& about, uint16_t mtu_bytes) {
    Bytes quoted(8);
    put16(quoted, 0, about.source_port);
    put16(quoted, 2, about.destination_port);
    put32(quoted, 4, about.sequence);
    tcp().on_icmp_error(Address::v4(kOwn), Address::v4(kPeer), quoted,
                        {ip::DeliveryError::Kind::too_big, mtu_bytes});
    flush();
  }
};

// RFC 1191 section 6.5: what was too long goes out again at once, shorter.
TEST_F(PathTest, segments_shrink_when_a_router_says_so) {
  Peer peer(*this, {.mss = 1460});
  peer.open();
  send_all(pattern(3000), 250);
  const std::vector<Segment> sent = peer.all();
  const uint32_t window = tcp().info(connection()).congestion_window_bytes;
  output().mtu = 1000;
  too_big(sent[0], 1000);
  Bytes again;
  for (const Segment& segment : peer.all()) {
    EXPECT_LE(segment.payload.size(), 960u);
    again = again + segment.payload;
  }
  EXPECT_EQ(again, pattern(3000));
  EXPECT_EQ(tcp().info(connection()).congestion_window_bytes, window);
}

// RFC 5927 section 7.2.
TEST_F(PathTest, who_quotes_nothing_that_is_under_way_is_not_believed) {
  Peer peer(*this, {.mss = 1460});
  peer.open();
  send_all(pattern(1000), 250);
  Segment sent = peer.next();
  sent.sequence -= 10'000;
  output().mtu = 600;
  too_big(sent, 600);
  peer.expect_silence();
  EXPECT_EQ(tcp().info(connection()).mss_bytes, 1460);
}

// RFC 4821 section 7.7.
TEST_F(PathTest, a_path_that_swallows_long_segments_gets_short_ones) {
  Peer peer(*this, {.mss = 1460});
  peer.open();
  send_all(pattern(3000), 250);
  size_t longest = 1460;
  for (int i = 0; i < 8 && longest > 536; i++) {
    peer.forget();
    advance_until_sent(100 * kSecond);
    longest = peer.next().payload.size();
  }
  EXPECT_LE(longest, 536u);
}

// ---- the receive buffer ----

TEST_F(PathTest, a_peer_that_fills_the_window_is_offered_more) {
  StackConfig config = small();
  config.receive_buffer_bytes = 1024 * 1024;
  config.first_receive_buffer_bytes = 64 * 1024;
  start(config);
  events().consumes = true;
  Peer peer(*this, {.window_scale = 7, .timestamps = false, .handshake_us = 20 * kMs});
  peer.open();
  uint32_t offered = 0;
  for (int round = 0; round < 8; round++) {
    for (int i = 0; i < 64; i++) peer.send(kAck, pattern(1000));
    advance(20 * kMs);
    const std::vector<Segment> answers = peer.all();
    offered = uint32_t{answers.back().window} << *peer.other_syn.window_scale;
  }
  // Twice what it fills in a round trip, and no more.
  EXPECT_EQ(offered, 256u * 1024);
}

TEST_F(PathTest, a_slow_peer_is_not) {
  StackConfig config = small();
  config.receive_buffer_bytes = 1024 * 1024;
  config.first_receive_buffer_bytes = 64 * 1024;
  start(config);
  events().consumes = true;
  Peer peer(*this, {.window_scale = 7, .handshake_us = 20 * kMs});
  peer.open();
  for (int round = 0; round < 400; round++) {
    peer.send(kAck, pattern(1000));
    advance(10 * kMs);
  }
  EXPECT_LE(uint32_t{peer.all().back().window} << *peer.other_syn.window_scale, 64u * 1024 + 8);
}

TEST_F(PathTest, a_handler_short_of_memory_offers_less) {
  start(small());
  Peer peer(*this);
  peer.open();
  events().room_bytes = 80'000;
  peer.send(kAck, pattern(1000));
  peer.send(kAck, pattern(1000));
  // The edge that was told stays; nothing is added to it.
  const Segment first = peer.next();
  EXPECT_EQ(first.window, 65535 - 2000);
  for (int i = 0; i < 80; i++) peer.send(kAck, pattern(1000));
  EXPECT_LE(peer.all().back().window, 10'000);
}

}  // namespace
}  // namespace weir::net::tcp
