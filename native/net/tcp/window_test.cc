#include <random>

#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

class WindowTest : public TcpTest {
 protected:
  /// A receive buffer small enough to be filled, and a handler that keeps what it gets.
  void start_with_buffer(uint32_t bytes) {
    StackConfig config = small();
    config.receive_buffer_bytes = bytes;
    start(config);
    events().consumes = false;
  }
  void consume(uint32_t bytes) {
    tcp().consume(connection(), bytes);
    flush();
  }
};

TEST_F(WindowTest, it_closes_with_what_the_handler_keeps) {
  start_with_buffer(5000);
  Peer peer(*this);
  peer.open();
  EXPECT_EQ(peer.other_syn.window, 5000);
  for (uint16_t i = 1; i <= 5; i++) {
    peer.send(kAck, pattern(1000));
    advance(kSecond);
    EXPECT_EQ(peer.all().back().window, 5000 - i * 1000);
  }
  peer.deliver(peer.segment(kAck, pattern(1)));
  EXPECT_EQ(peer.expect_ack().window, 0);
  EXPECT_EQ(flow().received.size(), 5000u);
}

// RFC 9293 section 3.8.6.2.2: no update for less than a segment or half of the buffer.
TEST_F(WindowTest, it_opens_in_steps_worth_telling) {
  start_with_buffer(5000);
  Peer peer(*this);
  peer.open();
  for (int i = 0; i < 5; i++) peer.send(kAck, pattern(1000));
  peer.forget();
  consume(1);
  consume(500);
  peer.expect_silence();
  consume(499);
  EXPECT_EQ(peer.expect_ack().window, 1000);
  advance(10 * kSecond);
  peer.expect_silence();
}

TEST_F(WindowTest, a_small_buffer_opens_by_half) {
  start_with_buffer(1000);
  Peer peer(*this);
  peer.open();
  peer.send(kAck, pattern(1000));
  peer.forget();
  advance(kSecond);
  peer.forget();
  consume(400);
  peer.expect_silence();
  consume(150);
  EXPECT_EQ(peer.expect_ack().window, 550);
}

// A probe must not be answered with a silly window either.
TEST_F(WindowTest, a_probe_is_answered_without_a_silly_window) {
  start_with_buffer(5000);
  Peer peer(*this);
  peer.open();
  for (int i = 0; i < 5; i++) peer.send(kAck, pattern(1000));
  peer.forget();
  consume(10);
  peer.deliver(peer.segment(kAck, pattern(1)));
  for (const Segment& answer : peer.all()) EXPECT_EQ(answer.window, 0) << answer;
}

// RFC 9293 section 3.8.6 (SHLD-14): the right edge never moves to the left.
TEST_F(WindowTest, it_never_shrinks) {
  for (uint64_t seed = 1; seed <= 30; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    start_with_buffer(static_cast<uint32_t>(2000 + random() % 100'000));
    Peer peer(*this, {.window_scale = 4});
    peer.open();
    const uint32_t first = peer.sequence;
    const int scale = peer.other_syn.window_scale.value_or(0);
    uint32_t edge = peer.other_syn.window;
    uint32_t consumed = 0;
    for (int i = 0; i < 300; i++) {
      const uint32_t room = first + edge - peer.sequence;
      const uint32_t length = static_cast<uint32_t>(random() % 1461);
      if (random() % 2 == 0 && length > 0 && length <= room) peer.send(kAck, pattern(length));
      const uint32_t kept = static_cast<uint32_t>(flow().received.size()) - consumed;
      if (random() % 2 == 0 && kept > 0) {
        const uint32_t bytes = static_cast<uint32_t>(1 + random() % kept);
        consume(bytes);
        consumed += bytes;
      }
      if (random() % 4 == 0) advance(random() % 60 * kMs);
      for (const Segment& ack : peer.all()) {
        const uint32_t told = ack.acknowledgment - first + (uint32_t{ack.window} << scale);
        EXPECT_GE(told, edge) << ack;
        edge = told;
      }
    }
    EXPECT_EQ(flow().received.size(), peer.sequence - first) << "what was offered is taken";
    abort();
  }
}

// RFC 9293 section 3.8.6.1.
TEST_F(WindowTest, a_closed_window_is_probed) {
  Peer peer(*this, {.window = 0, .handshake_us = 100 * kMs});
  peer.open();
  send_all(pattern(3000));
  peer.expect_silence();
  uint64_t last_us = now_us();
  uint64_t last_wait_us = 0;
  for (int i = 0; i < 14; i++) {
    advance_until_sent(100 * kSecond);
    const Segment probe = peer.next();
    EXPECT_LE(probe.payload.size(), 1u) << probe;
    const uint64_t wait_us = probe.at_us - last_us;
    EXPECT_GE(wait_us + 5 * kMs, last_wait_us) << "backs off (SHLD-30)";
    EXPECT_LE(wait_us, 61 * kSecond);
    last_wait_us = wait_us;
    last_us = probe.at_us;
    if (i == 0) {
      EXPECT_NEAR(wait_us, 300 * kMs, 100 * kMs) << "MUST-36: after the RTO";
    }
    peer.deliver(peer.segment(kAck));  // still closed
    peer.forget();
  }
  EXPECT_GT(last_wait_us, 30 * kSecond);
  EXPECT_GE(count(Counter::tcp_probes), 14u);
  EXPECT_FALSE(flow().closed.has_value()) << "as long as the peer answers";
  peer.window = 10'000;
  peer.ack();
  EXPECT_EQ(peer.receive(), pattern(3000));
}

TEST_F(WindowTest, a_closed_window_of_a_silent_peer_ends) {
  Peer peer(*this, {.window = 0});
  peer.open();
  send_all(pattern(3000));
  advance(2000 * kSecond);
  EXPECT_EQ(flow().closed, CloseReason::timed_out);
  EXPECT_EQ(tcp().connection_count(), 0u);
}

TEST_F(WindowTest, a_probe_that_is_taken_counts) {
  Peer peer(*this, {.window = 0});
  peer.open();
  send_all(pattern(3000));
  advance_until_sent(10 * kSecond);
  Bytes received;
  const Segment probe = peer.next();
  if (probe.sequence == peer.acknowledgment) received = received + probe.payload;
  peer.acknowledgment += static_cast<uint32_t>(received.size());
  peer.window = 10'000;
  peer.ack();
  received = received + peer.receive();
  EXPECT_EQ(received, pattern(3000));
}

TEST_F(WindowTest, a_closed_window_while_closing) {
  Peer peer(*this, {.window = 0});
  peer.open();
  send_all(pattern(100));
  close();
  advance(20 * kSecond);
  peer.forget();
  peer.window = 1000;
  peer.ack();
  // The byte that probed goes first, once more.
  const Segment probe = peer.next();
  const Segment last = peer.next();
  EXPECT_EQ(probe.payload + last.payload, pattern(100));
  EXPECT_TRUE(last.is(kFin | kAck) || peer.next().is(kFin | kAck));
}

TEST_F(WindowTest, a_fin_alone_needs_no_window) {
  Peer peer(*this, {.window = 0});
  peer.open();
  close();
  advance(kSecond);
  ASSERT_TRUE(peer.has_next());
  EXPECT_TRUE(peer.next().is(kFin | kAck));
}

// RFC 9293 section 3.8.6.2.1: rather wait than send crumbs.
TEST_F(WindowTest, no_crumbs) {
  Peer peer(*this, {.window = 10'000});
  peer.open();
  send_all(pattern(30'000));
  EXPECT_EQ(peer.receive().size(), 10'000u);
  peer.window = 100;
  peer.ack();
  peer.expect_silence();
  // But a window that stays small must do at last.
  Bytes received;
  for (int i = 0; i < 50 && received.size() < 300; i++) {
    advance_until_sent(61 * kSecond);
    for (const Segment& segment : peer.all()) {
      EXPECT_LE(segment.end() - peer.acknowledgment, 100u) << segment;
      if (segment.sequence == peer.acknowledgment) {
        received = received + segment.payload;
        peer.acknowledgment = segment.end();
      }
    }
    peer.ack();
  }
  EXPECT_GE(received.size(), 3u);
  peer.window = 60'000;
  peer.ack();
  const Bytes stream = pattern(30'000);
  for (int i = 0; i < 100 && received.size() < 20'000; i++) {
    for (const Segment& segment : peer.all()) {
      const uint32_t known = peer.acknowledgment - segment.sequence;
      if (known < segment.payload.size()) {
        received.insert(received.end(), segment.payload.begin() + known, segment.payload.end());
        peer.acknowledgment = segment.end();
      }
    }
    peer.ack();
    if (!peer.has_next()) advance(kSecond);
  }
  EXPECT_EQ(received, Bytes(stream.begin() + 10'000, stream.end()));
}

// RFC 9293 section 3.8.6 (MUST-34): a sender must be robust against it.
TEST_F(WindowTest, the_peer_takes_its_window_back) {
  Peer peer(*this, {.window = 10'000});
  peer.open();
  send_all(pattern(20'000));
  const std::vector<Segment> sent = peer.all();
  ASSERT_EQ(sent.size(), 10u);
  peer.window = 1000;
  peer.ack(sent[0].end());
  for (const Segment& segment : peer.all())
    EXPECT_LE(segment.end() - sent[0].end(), 9000u) << "new data beyond the window: " << segment;
  peer.window = 0;
  peer.ack(sent[1].end());
  for (int i = 0; i < 10; i++) {
    advance(20 * kSecond);
    peer.deliver(peer.segment(kAck));
    for (const Segment& segment : peer.all())
      EXPECT_LE(segment.end() - sent[0].end(), 9000u) << segment;
  }
  EXPECT_FALSE(flow().closed.has_value());
  peer.window = 60'000;
  peer.ack();
  const Bytes stream = pattern(20'000);
  Bytes received(stream.begin(), stream.begin() + 2000);
  for (int i = 0; i < 200 && received.size() < stream.size(); i++) {
    for (const Segment& segment : peer.all()) {
      const uint32_t known = peer.acknowledgment - segment.sequence;
      if (known < segment.payload.size()) {
        received.insert(received.end(), segment.payload.begin() + known, segment.payload.end());
        peer.acknowledgment = segment.end();
      }
    }
    peer.ack();
    if (!peer.has_next()) advance(kSecond);
  }
  EXPECT_EQ(received, stream);
}

// What is sent again fits the window as it is now, however small.
TEST_F(WindowTest, the_peer_takes_most_of_its_window_back) {
  Peer peer(*this, {.window = 10'000});
  peer.open();
  send_all(pattern(5000));
  peer.forget();
  peer.window = 300;
  peer.ack();
  const Bytes stream = pattern(5000);
  Bytes received;
  for (int i = 0; i < 40 && received.size() < stream.size(); i++) {
    advance_until_sent(100 * kSecond);
    EXPECT_FALSE(flow().closed.has_value());
    for (const Segment& segment : peer.all()) {
      const uint32_t known = peer.acknowledgment - segment.sequence;
      if (known >= segment.payload.size()) continue;
      received.insert(received.end(), segment.payload.begin() + known, segment.payload.end());
      peer.acknowledgment = segment.end();
    }
    peer.ack();
  }
  EXPECT_EQ(received, stream);
}

// An acknowledgement that tells nothing new must not stop what waits for the window.
TEST_F(WindowTest, a_small_window_told_again) {
  Peer peer(*this, {.window = 10'000});
  peer.open();
  send_all(pattern(30'000));
  EXPECT_EQ(peer.receive().size(), 10'000u);
  peer.window = 100;
  peer.ack();
  for (int i = 0; i < 3; i++) peer.ack();
  EXPECT_LT(tcp().next_deadline_us(), now_us() + 61 * kSecond);
  advance_until_sent(100 * kSecond);
  EXPECT_TRUE(peer.has_next());
}

// RFC 9293 section 3.10.7.4 (SND.WL1, SND.WL2): an old segment does not set the window.
TEST_F(WindowTest, an_old_segment_does_not_set_the_window) {
  Peer peer(*this, {.window = 5000});
  peer.open();
  Segment old = peer.segment(kAck, pattern(10));
  old.window = 50'000;
  peer.send(kAck, pattern(10));
  peer.window = 3000;
  peer.ack();
  peer.deliver(old);
  send_all(pattern(10'000));
  EXPECT_EQ(peer.receive().size(), 3000u);
}

TEST_F(WindowTest, an_update_alone_releases_what_waits) {
  Peer peer(*this, {.window = 2000});
  peer.open();
  send_all(pattern(5000));
  EXPECT_EQ(peer.receive().size(), 2000u);
  peer.window = 0;
  peer.ack();
  peer.expect_silence();
  peer.window = 5000;
  peer.ack();
  EXPECT_EQ(peer.receive().size(), 3000u);
}

TEST_F(WindowTest, consume_may_be_called_late_and_in_pieces) {
  start_with_buffer(4000);
  Peer peer(*this);
  peer.open();
  Bytes stream;
  for (int i = 0; i < 40; i++) {
    peer.send(kAck, pattern(1000, static_cast<uint8_t>(i)));
    stream = stream + pattern(1000, static_cast<uint8_t>(i));
    if (i % 4 == 3) {
      advance(kSecond);
      for (int piece = 0; piece < 40; piece++) consume(100);
      EXPECT_EQ(peer.all().back().window, 4000);
    }
  }
  EXPECT_EQ(flow().received, stream);
}

TEST_F(WindowTest, consume_after_the_peers_fin) {
  start_with_buffer(4000);
  Peer peer(*this);
  peer.open();
  peer.send(kAck | kFin, pattern(4000));
  peer.forget();
  consume(4000);
  EXPECT_TRUE(flow().ended);
  EXPECT_FALSE(flow().closed.has_value());
}

}  // namespace
}  // namespace weir::net::tcp
