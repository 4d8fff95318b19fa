#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

class CloseTest : public TcpTest {
 protected:
  /// The connection is over for the handler, and after `wait_us` for TCP.
  void expect_finished(uint64_t wait_us = 0) {
    EXPECT_EQ(flow().closed, CloseReason::finished);
    if (wait_us > 0) advance(wait_us);
    EXPECT_EQ(tcp().connection_count(), 0u);
  }
  /// Brings the connection to TIME-WAIT, with nothing left to look at.
  void to_time_wait(Peer& peer) {
    peer.open();
    close();
    peer.expect(kFin | kAck);
    peer.send(kFin | kAck);
    peer.expect_ack();
    EXPECT_EQ(flow().closed, CloseReason::finished);
  }
};

constexpr uint64_t kTimeWaitUs = 60 * kSecond;

TEST_F(CloseTest, we_close_first) {
  Peer peer(*this);
  peer.open();
  close();
  peer.expect(kFin | kAck);
  peer.ack();
  peer.expect_silence();
  EXPECT_FALSE(flow().ended);
  EXPECT_FALSE(flow().closed.has_value());
  peer.send(kFin | kAck);
  peer.expect_ack();
  EXPECT_TRUE(flow().ended);
  expect_finished(kTimeWaitUs + kSecond);
}

TEST_F(CloseTest, the_peer_closes_first) {
  Peer peer(*this);
  peer.open();
  peer.send(kFin | kAck);
  peer.expect_ack();
  EXPECT_TRUE(flow().ended);
  EXPECT_FALSE(flow().closed.has_value());
  close();
  peer.expect(kFin | kAck);
  EXPECT_FALSE(flow().closed.has_value());
  peer.ack();
  expect_finished();
  peer.expect_silence();
}

// RFC 9293 section 3.6, case 3.
TEST_F(CloseTest, both_close_at_once) {
  Peer peer(*this);
  peer.open();
  close();
  const Segment fin = peer.next();
  EXPECT_TRUE(fin.is(kFin | kAck)) << fin;
  peer.send(kFin | kAck);  // does not acknowledge ours
  EXPECT_TRUE(flow().ended);
  EXPECT_FALSE(flow().closed.has_value());
  const Segment ack = peer.next();
  EXPECT_EQ(ack.acknowledgment, peer.sequence) << ack;
  peer.ack(fin.end());
  expect_finished(kTimeWaitUs + kSecond);
}

TEST_F(CloseTest, a_fin_that_acknowledges_ours) {
  Peer peer(*this);
  to_time_wait(peer);
  EXPECT_TRUE(flow().ended);
  expect_finished(kTimeWaitUs + kSecond);
}

TEST_F(CloseTest, a_fin_goes_out_behind_the_data) {
  Peer peer(*this);
  peer.open();
  ASSERT_EQ(send(pattern(200)), SendResult::ok);
  ASSERT_EQ(send(pattern(200, 9)), SendResult::ok);
  close();
  Bytes received;
  Segment last;
  while (peer.has_next()) {
    last = peer.next();
    received = received + last.payload;
  }
  EXPECT_EQ(received, pattern(200) + pattern(200, 9));
  EXPECT_TRUE((last.flags & kFin) != 0) << last;
  peer.ack(last.end());
  peer.send(kFin | kAck);
  expect_finished(kTimeWaitUs + kSecond);
}

TEST_F(CloseTest, a_fin_waits_for_the_window) {
  Peer peer(*this, {.window = 2000});
  peer.open();
  send_all(pattern(3000));
  close();
  EXPECT_EQ(peer.receive(), pattern(2000));
  peer.ack();
  const Segment last = peer.next();
  EXPECT_TRUE(last.is(kFin | kAck)) << last;
  EXPECT_EQ(last.payload.size(), 1000u);
}

TEST_F(CloseTest, a_fin_with_data_ends_after_the_data) {
  Peer peer(*this);
  peer.open();
  events().end_hook = [](Flow& flow) { EXPECT_EQ(flow.received, pattern(500)); };
  peer.send(kFin | kAck, pattern(500));
  EXPECT_TRUE(flow().ended);
  peer.expect_ack();
}

TEST_F(CloseTest, a_fin_before_missing_data_waits) {
  Peer peer(*this);
  peer.open();
  Segment first = peer.segment(kAck, pattern(100));
  Segment second = peer.segment(kAck, pattern(100, 9));
  second.sequence = first.end();
  Segment fin = peer.segment(kFin | kAck);
  fin.sequence = second.end();
  peer.deliver(fin);
  Segment duplicate = peer.next();
  EXPECT_EQ(duplicate.acknowledgment, first.sequence) << "at once, so that the peer repeats";
  peer.deliver(second);
  EXPECT_FALSE(flow().ended);
  peer.forget();
  peer.deliver(first);
  EXPECT_EQ(flow().received, pattern(100) + pattern(100, 9));
  // The FIN itself may have to be sent again.
  if (!flow().ended) peer.deliver(fin);
  EXPECT_TRUE(flow().ended);
  EXPECT_EQ(peer.all().back().acknowledgment, fin.end());
}

TEST_F(CloseTest, data_with_fin_out_of_order) {
  Peer peer(*this);
  peer.open();
  Segment first = peer.segment(kAck, pattern(100));
  Segment last = peer.segment(kFin | kAck, pattern(100, 9));
  last.sequence = first.end();
  peer.deliver(last);
  EXPECT_FALSE(flow().ended);
  peer.deliver(first);
  if (!flow().ended) peer.deliver(last);
  EXPECT_EQ(flow().received, pattern(100) + pattern(100, 9));
  EXPECT_TRUE(flow().ended);
  EXPECT_EQ(peer.all().back().acknowledgment, last.end());
}

TEST_F(CloseTest, data_behind_a_fin_is_ignored) {
  Peer peer(*this);
  peer.open();
  peer.send(kFin | kAck);
  peer.expect_ack();
  Segment beyond = peer.segment(kAck, pattern(100));
  peer.deliver(beyond);
  EXPECT_TRUE(flow().received.empty());
  EXPECT_FALSE(flow().closed.has_value());
  for (const Segment& segment : peer.all()) EXPECT_EQ(segment.acknowledgment, peer.sequence);
}

TEST_F(CloseTest, a_handler_that_closed_still_receives) {
  Peer peer(*this);
  peer.open();
  close();
  peer.expect(kFin | kAck);
  for (int i = 0; i < 100; i++) {
    peer.send(kAck, pattern(1000, static_cast<uint8_t>(i)));
    advance(kSecond);
  }
  EXPECT_EQ(flow().received.size(), 100'000u);
  EXPECT_FALSE(flow().closed.has_value());
  peer.forget();
  peer.send(kFin | kAck);
  peer.expect_ack();
  expect_finished(kTimeWaitUs + kSecond);
}

TEST_F(CloseTest, a_peer_that_closed_still_receives) {
  Peer peer(*this);
  peer.open();
  peer.send(kFin | kAck);
  peer.expect_ack();
  Bytes received;
  for (int i = 0; i < 100; i++) {
    send_all(pattern(1000, static_cast<uint8_t>(i)));
    received = received + peer.receive();
    peer.ack();
    advance(kSecond);
  }
  EXPECT_EQ(received.size(), 100'000u);
  close();
  peer.expect(kFin | kAck);
  peer.ack();
  expect_finished();
}

TEST_F(CloseTest, a_repeated_fin_is_acknowledged_again) {
  Peer peer(*this);
  peer.open();
  const Segment fin = peer.segment(kFin | kAck);
  peer.send(kFin | kAck);
  peer.expect_ack();
  for (int i = 0; i < 3; i++) {
    peer.deliver(fin);
    peer.expect_ack();
  }
}

TEST_F(CloseTest, our_fin_is_repeated) {
  Peer peer(*this);
  peer.open();
  close();
  const Segment fin = peer.expect(kFin | kAck);
  advance_until_sent(2 * kSecond);
  const Segment again = peer.next();
  EXPECT_TRUE(again.is(kFin | kAck)) << again;
  EXPECT_EQ(again.sequence, fin.sequence);
  peer.ack();
  advance(5 * kSecond);
  peer.expect_silence();
}

TEST_F(CloseTest, our_fin_is_repeated_in_last_ack) {
  Peer peer(*this);
  peer.open();
  peer.send(kFin | kAck);
  peer.expect_ack();
  close();
  const Segment fin = peer.expect(kFin | kAck);
  for (int i = 0; i < 3; i++) {
    advance_until_sent(10 * kSecond);
    EXPECT_EQ(peer.next().end(), fin.end());
  }
  peer.ack();
  expect_finished();
}

TEST_F(CloseTest, a_last_acknowledgement_that_never_comes) {
  Peer peer(*this);
  peer.open();
  peer.send(kFin | kAck);
  close();
  advance(1000 * kSecond);
  EXPECT_EQ(flow().closed, CloseReason::timed_out);
  EXPECT_EQ(tcp().connection_count(), 0u);
}

TEST_F(CloseTest, a_peer_that_never_closes_is_left_after_a_while) {
  Peer peer(*this);
  peer.open();
  close();
  peer.expect(kFin | kAck);
  peer.ack();
  advance(59 * kSecond);
  EXPECT_FALSE(flow().closed.has_value());
  advance(5 * kSecond);
  EXPECT_TRUE(flow().closed.has_value());
  EXPECT_EQ(tcp().connection_count(), 0u);
  peer.forget();
  peer.send(kFin | kAck);
  const Segment reset = peer.next();
  EXPECT_TRUE(reset.is(kRst)) << reset;
}

// RFC 9293 section 3.10.7.4, eighth step: a FIN in TIME-WAIT starts the time anew.
TEST_F(CloseTest, time_wait_acknowledges_again) {
  Peer peer(*this);
  to_time_wait(peer);
  advance(50 * kSecond);
  Segment fin = peer.segment(kFin | kAck);
  fin.sequence--;
  peer.deliver(fin);
  peer.expect_ack();
  advance(50 * kSecond);
  peer.deliver(fin);
  peer.expect_ack();
  advance(59 * kSecond);
  peer.deliver(fin);
  peer.expect_ack();
  advance(61 * kSecond);
  EXPECT_EQ(tcp().connection_count(), 0u);
  peer.deliver(fin);
  const Segment reset = peer.next();
  EXPECT_TRUE(reset.is(kRst)) << reset;
}

// RFC 1337: a reset must not end TIME-WAIT.
TEST_F(CloseTest, time_wait_ignores_resets) {
  Peer peer(*this);
  to_time_wait(peer);
  peer.deliver(peer.segment(kRst));
  peer.deliver(peer.segment(kRst | kAck));
  peer.expect_silence();
  Segment fin = peer.segment(kFin | kAck);
  fin.sequence--;
  peer.deliver(fin);
  peer.expect_ack();
}

TEST_F(CloseTest, time_wait_answers_old_segments) {
  Peer peer(*this);
  to_time_wait(peer);
  Segment old = peer.segment(kAck, pattern(100));
  old.sequence -= 500;
  peer.deliver(old);
  peer.expect_ack();
  EXPECT_TRUE(flow().received.empty());
}

// RFC 9293 section 3.6.1 (MUST-13 and MAY-2): a greater sequence number opens a new connection.
TEST_F(CloseTest, time_wait_gives_way_to_a_new_syn) {
  Peer peer(*this);
  to_time_wait(peer);
  const uint32_t old_sequence = peer.acknowledgment;
  Peer again(*this, {.initial_sequence = peer.sequence + 100'000});
  again.open();
  EXPECT_GT(static_cast<int32_t>(again.other_initial_sequence - old_sequence), 0);
  EXPECT_EQ(events().flows.size(), 2u);
  again.send(kAck, pattern(10));
  EXPECT_EQ(flow().received, pattern(10));
  EXPECT_EQ(tcp().connection_count(), 1u);
  advance(2 * kTimeWaitUs);
  EXPECT_FALSE(flow().closed.has_value()) << "the old connection's timer";
}

TEST_F(CloseTest, time_wait_does_not_give_way_to_an_old_syn) {
  Peer peer(*this);
  to_time_wait(peer);
  Segment syn = peer.segment(kSyn);
  syn.sequence -= 5000;
  peer.deliver(syn);
  peer.expect_ack();
  EXPECT_EQ(events().flows.size(), 1u);
}

// RFC 6191 section 2: a greater timestamp will do.
TEST_F(CloseTest, time_wait_gives_way_to_a_later_timestamp) {
  Peer peer(*this, {.timestamps = true});
  to_time_wait(peer);
  Peer again(*this, {.initial_sequence = peer.sequence - 100'000, .timestamps = true});
  again.timestamp = peer.timestamp + 1000;
  again.open();
  EXPECT_EQ(events().flows.size(), 2u);
  again.send(kAck, pattern(10));
  EXPECT_EQ(flow().received, pattern(10));
}

// Clients behind an address translator share addresses and ports, not clocks. What the SYN of
// another one is answered with, it resets.
TEST_F(CloseTest, time_wait_gives_way_to_who_knows_nothing_of_it) {
  Peer peer(*this, {.timestamps = true});
  to_time_wait(peer);
  const uint32_t expected = peer.sequence;
  Peer other(*this, {.initial_sequence = peer.sequence + 100'000, .timestamps = true});
  other.timestamp = peer.timestamp - 1000;
  other.deliver(other.segment(kSyn));
  const Segment challenge = other.next();
  EXPECT_TRUE(challenge.is(kAck)) << challenge;
  EXPECT_EQ(challenge.acknowledgment, expected);
  // RFC 9293 section 3.10.7.3: from SYN-SENT.
  Segment reset = other.segment(kRst);
  reset.sequence = challenge.acknowledgment + 1;
  other.deliver(reset);
  other.deliver(other.segment(kSyn));
  EXPECT_TRUE(other.next().is(kAck)) << "only a reset of just that";
  reset.sequence = challenge.acknowledgment;
  other.deliver(reset);
  other.expect_silence();
  other.open();
  EXPECT_EQ(events().flows.size(), 2u);
  other.send(kAck, pattern(10));
  EXPECT_EQ(flow().received, pattern(10));
  EXPECT_EQ(tcp().connection_count(), 1u);
}

TEST_F(CloseTest, time_wait_is_bounded) {
  StackConfig config = small();
  config.max_time_wait = 4;
  start(config);
  for (uint16_t i = 0; i < 20; i++) {
    Peer peer(*this, {.port = static_cast<uint16_t>(40000 + i)});
    to_time_wait(peer);
  }
  EXPECT_LE(tcp().connection_count(), 4u);
  advance(kTimeWaitUs + kSecond);
  EXPECT_EQ(tcp().connection_count(), 0u);
}

TEST_F(CloseTest, time_wait_is_as_long_as_configured) {
  StackConfig config = small();
  config.time_wait_ms = 500;
  start(config);
  Peer peer(*this);
  to_time_wait(peer);
  Segment fin = peer.segment(kFin | kAck);
  fin.sequence--;
  advance(490 * kMs);
  peer.deliver(fin);
  peer.expect_ack();
  advance(510 * kMs);
  peer.deliver(fin);
  EXPECT_TRUE(peer.next().is(kRst));
}

TEST_F(CloseTest, a_segment_after_the_end_is_reset) {
  Peer peer(*this);
  peer.open();
  peer.send(kFin | kAck);
  close();
  peer.forget();
  peer.acknowledgment++;
  peer.ack();
  expect_finished();
  peer.send(kAck, pattern(10));
  const Segment reset = peer.next();
  EXPECT_TRUE(reset.is(kRst)) << reset;
  EXPECT_EQ(reset.sequence, peer.acknowledgment);
}

TEST_F(CloseTest, nothing_can_be_sent_after_close) {
  Peer peer(*this);
  peer.open();
  close();
  EXPECT_EQ(send(pattern(10)), SendResult::closing);
  EXPECT_EQ(tcp().send_held(connection(), owner().hold(pattern(1000))), SendResult::closing);
  EXPECT_EQ(owner().released_count, 0u);
  close();
  close();
  peer.expect(kFin | kAck);
  peer.expect_silence();
}

TEST_F(CloseTest, abort_resets) {
  Peer peer(*this);
  peer.open();
  send_all(pattern(500));
  EXPECT_EQ(peer.receive(), pattern(500));
  abort();
  const Segment reset = peer.next();
  EXPECT_TRUE((reset.flags & kRst) != 0) << reset;
  EXPECT_EQ(reset.sequence, peer.acknowledgment);
  EXPECT_EQ(tcp().connection_count(), 0u);
  EXPECT_EQ(count(Counter::tcp_resets_tx), 1u);
  peer.send(kAck, pattern(10));
  EXPECT_TRUE(peer.next().is(kRst));
}

TEST_F(CloseTest, abort_with_data_that_was_never_sent) {
  Peer peer(*this, {.window = 1000});
  peer.open();
  send_all(pattern(5000));
  EXPECT_EQ(peer.receive(), pattern(1000));
  abort();
  EXPECT_EQ(peer.next().sequence, peer.acknowledgment) << "SND.NXT, which is in the window";
}

// The peer has all of it, but what it said is lost: the reset must still fit.
TEST_F(CloseTest, abort_after_a_timeout) {
  Peer peer(*this);
  peer.open();
  send_all(pattern(3000));
  EXPECT_EQ(peer.receive(), pattern(3000));
  advance(300 * kMs);
  peer.forget();
  abort();
  EXPECT_EQ(peer.next().sequence, peer.acknowledgment);
}

TEST_F(CloseTest, abort_while_connecting) {
  ASSERT_NE(connect(9000), nullptr);
  abort();
  EXPECT_EQ(tcp().connection_count(), 0u);
  advance(10 * kSecond);
  for (const auto& sent : output().sent)
    EXPECT_EQ(sent.segment.at_us, kStartUs) << "the SYN is not repeated";
}

TEST_F(CloseTest, abort_in_every_state) {
  for (int state = 0; state < 4; state++) {
    Peer peer(*this, {.port = static_cast<uint16_t>(40000 + state)});
    peer.open();
    if (state == 1) peer.send(kFin | kAck);  // CLOSE-WAIT
    if (state >= 2) {
      close();  // FIN-WAIT-1
      peer.receive();
      if (state == 3) peer.ack();  // FIN-WAIT-2
    }
    peer.forget();
    abort();
    EXPECT_TRUE((peer.next().flags & kRst) != 0) << state;
    EXPECT_EQ(tcp().connection_count(), 0u) << state;
  }
}

TEST_F(CloseTest, a_peer_resets_in_every_state) {
  for (int state = 0; state < 6; state++) {
    Peer peer(*this, {.port = static_cast<uint16_t>(40000 + state)});
    peer.open();
    if (state == 1 || state == 4) peer.send(kFin | kAck);  // CLOSE-WAIT, and LAST-ACK below
    if (state >= 2) close();                               // FIN-WAIT-1
    if (state == 3) {
      peer.receive();
      peer.ack();  // FIN-WAIT-2
    }
    if (state == 5) peer.send(kFin | kAck);  // CLOSING
    peer.forget();
    peer.deliver(peer.segment(kRst));
    EXPECT_EQ(flow().closed, CloseReason::reset) << state;
    EXPECT_EQ(tcp().connection_count(), 0u) << state;
    peer.expect_silence();
  }
}

TEST_F(CloseTest, close_while_connecting) {
  ASSERT_NE(connect(9000), nullptr);
  Peer peer(*this, {.port = 9000});
  close();
  // RFC 9293 section 3.10.4: it may end here; or the FIN follows the handshake.
  if (tcp().connection_count() > 0) {
    const Segment syn = peer.next();
    peer.local_port = syn.source_port;
    peer.acknowledgment = syn.end();
    peer.send(kSyn | kAck);
    const Bytes none = peer.receive();
    EXPECT_TRUE(none.empty());
    if (tcp().connection_count() > 0) {
      peer.ack();
      peer.send(kFin | kAck);
    }
    advance(2 * kTimeWaitUs);
  }
  EXPECT_EQ(tcp().connection_count(), 0u);
}

TEST_F(CloseTest, a_handler_is_replaced) {
  Peer peer(*this);
  peer.open();
  peer.send(kAck, pattern(10));
  RecordingEvents other;
  other.tcp = &tcp();
  other.flows.push_back({.connection = flow().connection, .opened = 1});
  connection().user = 0;
  tcp().set_events(connection(), other);
  peer.send(kAck, pattern(20));
  peer.send(kFin | kAck);
  EXPECT_EQ(flow().received, pattern(10));
  EXPECT_EQ(other.flows[0].received, pattern(20));
  EXPECT_TRUE(other.flows[0].ended);
  peer.deliver(peer.segment(kRst));
  EXPECT_EQ(other.flows[0].closed, CloseReason::reset);
}

}  // namespace
}  // namespace weir::net::tcp
