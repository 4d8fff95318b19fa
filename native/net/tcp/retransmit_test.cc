#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

class RetransmitTest : public TcpTest {
 protected:
  static constexpr double kToleranceUs = 5 * kMs;

  /// Sends `segments` full segments and takes them off the wire, unacknowledged.
  std::vector<Segment> send_segments(Peer& peer, size_t segments) {
    send_all(pattern(segments * 1000), 250);
    std::vector<Segment> sent = peer.all();
    EXPECT_EQ(sent.size(), segments);
    return sent;
  }
  void duplicate_ack(Peer& peer, int times = 1) {
    for (int i = 0; i < times; i++) peer.deliver(peer.segment(kAck));
  }
  /// When the next segment is sent, counted from now.
  uint64_t next_after_us(Peer& peer, Segment& segment, uint64_t limit_us = 200 * kSecond) {
    const uint64_t start_us = now_us();
    advance_until_sent(limit_us);
    segment = peer.next();
    return segment.at_us - start_us;
  }
};

// RFC 6298 sections 2.2, 2.3 and 5.5: the handshake took R = 100 ms, so RTO = R + 4 * R/2.
TEST_F(RetransmitTest, timeouts_double) {
  Peer peer(*this, {.handshake_us = 100 * kMs});
  peer.open();
  const Segment first = send_segments(peer, 1)[0];
  double expected_us = 300 * kMs;
  for (int i = 0; i < 8; i++, expected_us *= 2) {
    Segment again;
    EXPECT_NEAR(next_after_us(peer, again), std::min(expected_us, 60e6), kToleranceUs) << i;
    EXPECT_EQ(again.sequence, first.sequence);
    // Shorter in the end, should the path swallow long ones (RFC 4821 section 7.7).
    EXPECT_EQ(again.payload,
              Bytes(first.payload.begin(), first.payload.begin() + again.payload.size()));
    EXPECT_GE(again.payload.size(), i < 5 ? 1000u : 536u);
  }
  EXPECT_EQ(count(Counter::tcp_timeouts), 8u);
  EXPECT_EQ(count(Counter::tcp_retransmits), 8u);
}

TEST_F(RetransmitTest, timeouts_are_at_least_200_ms) {
  Peer peer(*this);
  peer.open();
  send_segments(peer, 1);
  Segment again;
  EXPECT_NEAR(next_after_us(peer, again), 200 * kMs, kToleranceUs);
}

TEST_F(RetransmitTest, nothing_is_due_when_all_is_acknowledged) {
  Peer peer(*this);
  peer.open();
  send_segments(peer, 3);
  peer.ack(peer.acknowledgment + 3000);
  advance(100 * kSecond);
  peer.expect_silence();
  EXPECT_EQ(tcp().next_deadline_us(), UINT64_MAX);
}

// RFC 6298 section 5.3.
TEST_F(RetransmitTest, an_acknowledgement_starts_the_timer_anew) {
  Peer peer(*this, {.handshake_us = 100 * kMs});
  peer.open();
  send_segments(peer, 3);
  advance(150 * kMs);
  peer.ack(peer.acknowledgment + 1000);
  // R' = 150 ms: RTTVAR = 3/4 * 50 + 1/4 * 50, SRTT = 7/8 * 100 + 1/8 * 150 (section 2.3)
  Segment again;
  EXPECT_NEAR(next_after_us(peer, again), (106.25 + 4 * 50) * kMs, kToleranceUs);
  EXPECT_EQ(again.sequence, peer.acknowledgment);
}

// RFC 6298 section 5.7.
TEST_F(RetransmitTest, a_repeated_syn_leaves_three_seconds) {
  Peer peer(*this);
  peer.send(kSyn);
  peer.next();
  advance_until_sent(10 * kSecond);
  peer.expect(kSyn | kAck);  // repeated
  peer.ack();
  send_segments(peer, 1);
  Segment again;
  EXPECT_NEAR(next_after_us(peer, again), 3 * kSecond, 20 * kMs);
}

// RFC 6298 section 3 (Karn): what was sent twice measures nothing, and backing off stays.
TEST_F(RetransmitTest, repeated_segments_are_not_measured) {
  Peer peer(*this, {.handshake_us = 100 * kMs});
  peer.open();
  send_segments(peer, 1);
  Segment again;
  next_after_us(peer, again);
  next_after_us(peer, again);  // backed off to 1,200 ms
  advance(kMs);
  peer.ack(again.end());
  send_segments(peer, 1);
  EXPECT_NEAR(next_after_us(peer, again), 1200 * kMs, kToleranceUs);
  peer.ack(again.end());
  // A new measurement ends the backing off.
  send_segments(peer, 1);
  advance(100 * kMs);
  peer.ack(peer.acknowledgment + 1000);
  send_segments(peer, 1);
  EXPECT_LT(next_after_us(peer, again), 400 * kMs);
}

// RFC 7323 section 4.1: with timestamps a repeated segment can be measured.
TEST_F(RetransmitTest, timestamps_measure) {
  Peer peer(*this, {.timestamps = true, .handshake_us = 100 * kMs});
  peer.open();
  send_all(pattern(500));
  Segment again;
  peer.next();
  next_after_us(peer, again);
  next_after_us(peer, again);
  advance(100 * kMs);
  peer.timestamp += 100;
  peer.ack(again.end());
  send_all(pattern(500));
  peer.next();
  EXPECT_LT(next_after_us(peer, again), 500 * kMs);
}

// RFC 5681 section 3.1 and RFC 6298 section 5.4: one segment, the oldest.
TEST_F(RetransmitTest, a_timeout_repeats_one_segment_and_starts_slowly) {
  Peer peer(*this);
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 10);
  advance(200 * kMs + 10 * kMs);
  Segment again = peer.next();
  EXPECT_EQ(again.sequence, sent[0].sequence);
  peer.expect_silence();
  peer.ack(sent[1].sequence);
  const std::vector<Segment> next = peer.all();
  ASSERT_FALSE(next.empty());
  EXPECT_LE(next.size(), 2u);
  EXPECT_EQ(next[0].sequence, sent[1].sequence);
}

// RFC 5681 section 3.2.
TEST_F(RetransmitTest, the_third_duplicate_repeats_at_once) {
  Peer peer(*this);
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 10);
  peer.acknowledgment = sent[0].sequence;
  duplicate_ack(peer, 2);
  peer.expect_silence();
  duplicate_ack(peer);
  const Segment again = peer.next();
  EXPECT_EQ(again.sequence, sent[0].sequence);
  EXPECT_EQ(again.payload, sent[0].payload);
  peer.expect_silence();
  EXPECT_EQ(count(Counter::tcp_fast_retransmits), 1u);
  peer.ack(sent.back().end());
  EXPECT_EQ(count(Counter::tcp_timeouts), 0u);
  advance(10 * kSecond);
  peer.expect_silence();
}

TEST_F(RetransmitTest, what_is_no_duplicate) {
  Peer peer(*this);
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 10);
  peer.acknowledgment = sent[0].sequence;
  for (int i = 0; i < 10; i++) {  // the window changes
    peer.window -= 1;
    duplicate_ack(peer);
  }
  for (int i = 0; i < 10; i++) peer.send(kAck, pattern(1));  // data
  for (const Segment& segment : peer.all()) EXPECT_TRUE(segment.payload.empty()) << segment;
  EXPECT_EQ(count(Counter::tcp_fast_retransmits), 0u);
  peer.ack(sent.back().end());
  duplicate_ack(peer, 10);  // nothing is outstanding
  peer.expect_silence();
  EXPECT_EQ(count(Counter::tcp_fast_retransmits), 0u);
}

// RFC 3042 section 2.
TEST_F(RetransmitTest, limited_transmit) {
  Peer peer(*this);
  peer.open();
  send_all(pattern(20'000));
  const std::vector<Segment> sent = peer.all();
  ASSERT_EQ(sent.size(), 10u) << "RFC 6928: ten segments";
  peer.acknowledgment = sent[0].sequence;
  for (int i = 0; i < 2; i++) {
    duplicate_ack(peer);
    const Segment fresh = peer.next();
    EXPECT_EQ(fresh.sequence, sent.back().end() + i * 1000);
    peer.expect_silence();
  }
  duplicate_ack(peer);
  EXPECT_EQ(peer.next().sequence, sent[0].sequence);
}

// RFC 6582 section 3.2: each partial acknowledgement repeats the next hole.
TEST_F(RetransmitTest, several_holes_in_one_window) {
  Peer peer(*this);
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 10);
  // 0, 3 and 6 are lost.
  peer.acknowledgment = sent[0].sequence;
  duplicate_ack(peer, 3);
  EXPECT_EQ(peer.next().sequence, sent[0].sequence);
  duplicate_ack(peer, 4);
  peer.expect_silence();
  peer.ack(sent[3].sequence);
  EXPECT_EQ(peer.next().sequence, sent[3].sequence);
  peer.expect_silence();
  peer.ack(sent[6].sequence);
  EXPECT_EQ(peer.next().sequence, sent[6].sequence);
  peer.expect_silence();
  peer.ack(sent.back().end());
  EXPECT_EQ(count(Counter::tcp_fast_retransmits), 1u);
  EXPECT_EQ(count(Counter::tcp_retransmits), 3u);
  EXPECT_EQ(count(Counter::tcp_timeouts), 0u);
  // Seven tenths of what was in flight remain (RFC 9438 section 4.6).
  send_all(pattern(30'000));
  const size_t burst = peer.all().size();
  EXPECT_GE(burst, 2u);
  EXPECT_LE(burst, 7u);
}

TEST_F(RetransmitTest, a_lost_repetition_is_repeated_by_the_timer) {
  Peer peer(*this);
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 10);
  peer.acknowledgment = sent[0].sequence;
  duplicate_ack(peer, 9);
  EXPECT_EQ(peer.next().sequence, sent[0].sequence);
  peer.expect_silence();
  Segment again;
  next_after_us(peer, again, 2 * kSecond);
  EXPECT_EQ(again.sequence, sent[0].sequence);
  peer.ack(sent.back().end());
  advance(10 * kSecond);
  peer.expect_silence();
}

// RFC 6582 section 4: duplicates of what a time-out repeated do not start another recovery.
TEST_F(RetransmitTest, no_fast_retransmit_for_what_a_timeout_repeated) {
  Peer peer(*this);
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 10);
  advance(210 * kMs);
  peer.next();
  peer.acknowledgment = sent[0].sequence;
  duplicate_ack(peer, 5);
  peer.forget();
  EXPECT_EQ(count(Counter::tcp_fast_retransmits), 0u);
  peer.ack(sent.back().end());
  advance(10 * kSecond);
  peer.expect_silence();
}

// RFC 5681 section 3.1: at most one segment more for each acknowledgement.
TEST_F(RetransmitTest, slow_start) {
  Peer peer(*this);
  peer.open();
  send_all(pattern(60'000));
  std::vector<Segment> sent = peer.all();
  ASSERT_EQ(sent.size(), 10u);
  size_t window = 10;
  for (size_t i = 0; i + 1 < 10; i += 2) {
    peer.ack(sent[i + 1].end());
    const size_t more = peer.all().size();
    EXPECT_GE(more, 2u);
    EXPECT_LE(more, 4u);
    window += more - 2;
  }
  EXPECT_GT(window, 12u);
  EXPECT_LE(window, 20u);
}

// RFC 5681 section 3.1 (4.1): a connection that idled starts anew.
TEST_F(RetransmitTest, an_idle_connection_does_not_burst) {
  Peer peer(*this);
  peer.open();
  for (int i = 0; i < 5; i++) {
    send_all(pattern(40'000));
    for (int round = 0; round < 10; round++) {
      peer.receive();
      peer.ack();
    }
  }
  advance(60 * kSecond);
  send_all(pattern(60'000));
  EXPECT_LE(peer.all().size(), 10u);
}

// RFC 9293 section 3.8.3 (MUST-20): R2 is at least 100 s.
TEST_F(RetransmitTest, a_silent_peer_is_given_up) {
  Peer peer(*this);
  peer.open();
  send_segments(peer, 3);
  const uint64_t start_us = now_us();
  advance(99 * kSecond);
  EXPECT_FALSE(flow().closed.has_value());
  while (!flow().closed.has_value() && now_us() - start_us < 2000 * kSecond) advance(kSecond);
  EXPECT_EQ(flow().closed, CloseReason::timed_out);
  EXPECT_EQ(tcp().connection_count(), 0u);
  EXPECT_LE(count(Counter::tcp_timeouts), 16u);
  EXPECT_GE(count(Counter::tcp_timeouts), 8u);
}

TEST_F(RetransmitTest, a_peer_that_answers_late_is_not_given_up) {
  Peer peer(*this);
  peer.open();
  for (int i = 0; i < 20; i++) {
    send_segments(peer, 1);
    advance(30 * kSecond);
    peer.forget();
    peer.ack(peer.acknowledgment + 1000);
  }
  EXPECT_FALSE(flow().closed.has_value());
}

TEST_F(RetransmitTest, partly_acknowledged_segments) {
  Peer peer(*this);
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 2);
  peer.ack(sent[0].sequence + 333);
  advance(kSecond);
  Segment again = peer.next();
  EXPECT_EQ(again.sequence, sent[0].sequence + 333);
  const Bytes all = pattern(2000);
  EXPECT_TRUE(std::equal(again.payload.begin(), again.payload.end(), all.begin() + 333));
}

// Bytes that were sent in small segments may be repeated in larger ones, but never other bytes.
TEST_F(RetransmitTest, small_segments_are_repeated_right) {
  Peer peer(*this);
  peer.open();
  const Bytes stream = pattern(700);
  for (size_t at = 0; at < 700; at += 70) {
    send(Bytes(stream.begin() + at, stream.begin() + at + 70));
    flush();
  }
  peer.forget();
  Bytes received;
  while (received.size() < stream.size() && now_us() < kStartUs + 100 * kSecond) {
    advance_until_sent(20 * kSecond);
    received = received + peer.receive();
    peer.ack();
  }
  EXPECT_EQ(received, stream);
}

}  // namespace
}  // namespace weir::net::tcp
