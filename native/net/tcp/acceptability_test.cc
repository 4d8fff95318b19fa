// What a segment must be like to count: RFC 9293 section 3.10.7.4, RFC 5961, RFC 7323 section 5.
#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

enum class In { established, fin_wait_1, fin_wait_2, close_wait, closing, last_ack, time_wait };

std::string name_of(const ::testing::TestParamInfo<In>& info) {
  const char* names[] = {"established", "fin_wait_1", "fin_wait_2", "close_wait",
                         "closing",     "last_ack",   "time_wait"};
  return names[static_cast<int>(info.param)];
}

class AcceptabilityTest : public TcpTest, public ::testing::WithParamInterface<In> {
 protected:
  /// Brings a connection to the state under test. What the peer says next is in order, and
  /// acknowledges nothing that would change the state.
  void bring(Peer& peer) {
    peer.open();
    const bool peer_first = GetParam() == In::close_wait || GetParam() == In::last_ack;
    if (peer_first) peer.send(kFin | kAck);
    if (GetParam() == In::last_ack) close();
    if (!peer_first && GetParam() != In::established) {
      close();
      if (GetParam() == In::closing) peer.send(kFin | kAck);
      if (GetParam() == In::fin_wait_2 || GetParam() == In::time_wait) peer.acknowledgment++;
      if (GetParam() == In::fin_wait_2) peer.ack();
      if (GetParam() == In::time_wait) peer.send(kFin | kAck);
    }
    // What we send next, whether or not the FIN was acknowledged.
    send_next_ = peer.other_initial_sequence + 1;
    if (GetParam() != In::established && GetParam() != In::close_wait) send_next_++;
    peer.forget();
    connections_ = tcp().connection_count();
    is_closed_ = flow().closed.has_value();
    received_bytes_ = flow().received.size();
  }
  bool receives() const {
    return GetParam() == In::established || GetParam() == In::fin_wait_1 ||
           GetParam() == In::fin_wait_2;
  }
  /// The answer is an acknowledgement with the numbers that count, and nothing changed.
  void expect_challenge(Peer& peer) {
    expect_answer(peer);
    // Challenges are rare (RFC 5961 section 7); what is repeated meanwhile is of no interest.
    advance(kSecond);
    peer.forget();
  }
  void expect_answer(Peer& peer) {
    ASSERT_TRUE(peer.has_next());
    const Segment answer = peer.next();
    EXPECT_TRUE(answer.is(kAck)) << answer;
    EXPECT_EQ(answer.acknowledgment, peer.sequence) << answer;
    EXPECT_EQ(answer.sequence, send_next_) << answer;
    expect_unchanged(peer);
  }
  void expect_unchanged(Peer& peer) {
    peer.expect_silence();
    EXPECT_EQ(tcp().connection_count(), connections_);
    EXPECT_EQ(flow().closed.has_value(), is_closed_);
    EXPECT_EQ(flow().received.size(), received_bytes_);
  }

  uint32_t send_next_ = 0;
  uint32_t connections_ = 0;
  bool is_closed_ = false;
  size_t received_bytes_ = 0;
};

INSTANTIATE_TEST_SUITE_P(, AcceptabilityTest,
                         ::testing::Values(In::established, In::fin_wait_1, In::fin_wait_2,
                                           In::close_wait, In::closing, In::last_ack,
                                           In::time_wait),
                         name_of);

TEST_P(AcceptabilityTest, before_the_window) {
  Peer peer(*this);
  bring(peer);
  Segment old = peer.segment(kAck, pattern(100));
  old.sequence -= 1000;
  peer.deliver(old);
  expect_challenge(peer);
}

TEST_P(AcceptabilityTest, behind_the_window) {
  Peer peer(*this);
  bring(peer);
  Segment ahead = peer.segment(kAck, pattern(100));
  ahead.sequence += 100'000;
  peer.deliver(ahead);
  expect_challenge(peer);
  if (GetParam() != In::time_wait) {
    EXPECT_EQ(count(Counter::drop_tcp_unacceptable), 1u);
  }
}

TEST_P(AcceptabilityTest, an_exact_reset) {
  if (GetParam() == In::time_wait) GTEST_SKIP() << "ignored there: close_test";
  Peer peer(*this);
  bring(peer);
  peer.deliver(peer.segment(kRst));
  EXPECT_EQ(flow().closed, CloseReason::reset);
  EXPECT_EQ(tcp().connection_count(), 0u);
  EXPECT_EQ(count(Counter::tcp_resets_rx), 1u);
  peer.expect_silence();
}

// RFC 5961 section 3.2.
TEST_P(AcceptabilityTest, a_reset_elsewhere_in_the_window) {
  if (GetParam() == In::time_wait) GTEST_SKIP() << "ignored there: close_test";
  Peer peer(*this);
  bring(peer);
  Segment reset = peer.segment(kRst);
  reset.sequence += 100;
  peer.deliver(reset);
  expect_challenge(peer);
  EXPECT_EQ(count(Counter::tcp_challenge_acks), 1u);
}

TEST_P(AcceptabilityTest, a_reset_outside_the_window) {
  Peer peer(*this);
  bring(peer);
  for (const int offset : {-1, -1000, 100'000}) {
    Segment reset = peer.segment(kRst);
    reset.sequence += offset;
    peer.deliver(reset);
    expect_unchanged(peer);
  }
}

// RFC 5961 section 4.2: whatever its sequence number is.
TEST_P(AcceptabilityTest, a_syn) {
  if (GetParam() == In::time_wait) GTEST_SKIP() << "may open a new connection: close_test";
  Peer peer(*this);
  bring(peer);
  for (const int offset : {0, 100, -100, 100'000}) {
    Segment syn = peer.segment(kSyn);
    syn.sequence += offset;
    peer.deliver(syn);
    expect_challenge(peer);
  }
}

// RFC 9293 section 3.10.7.4, fifth step: without ACK a segment is dropped.
TEST_P(AcceptabilityTest, without_an_acknowledgement) {
  Peer peer(*this);
  bring(peer);
  peer.deliver(peer.segment(0, pattern(100)));
  peer.deliver(peer.segment(kFin));
  expect_unchanged(peer);
}

TEST_P(AcceptabilityTest, an_acknowledgement_of_what_was_not_sent) {
  if (GetParam() == In::time_wait) GTEST_SKIP() << "only a FIN counts there";
  Peer peer(*this);
  bring(peer);
  for (const uint32_t beyond : {1u, 1000u, 0x7fff'0000u}) {
    Segment segment = peer.segment(kAck, receives() ? pattern(100) : Bytes{});
    segment.acknowledgment = send_next_ + beyond;
    peer.deliver(segment);
    expect_challenge(peer);
  }
}

TEST_P(AcceptabilityTest, data_that_begins_before_the_window) {
  if (!receives()) GTEST_SKIP() << "the peer has closed";
  Peer peer(*this);
  bring(peer);
  peer.send(kAck, pattern(100));
  Segment overlapping = peer.segment(kAck, pattern(150));
  overlapping.sequence -= 100;
  peer.deliver(overlapping);
  const Bytes all = pattern(150);
  EXPECT_EQ(flow().received, all);
}

using EstablishedTest = TcpTest;

TEST_F(EstablishedTest, old_acknowledgements) {
  Peer peer(*this);
  peer.open();
  for (int i = 0; i < 50; i++) {
    send_all(pattern(1000));
    peer.receive();
    peer.ack();
  }
  const auto data_with_old_ack = [&](uint32_t age) {
    Segment segment = peer.segment(kAck, pattern(10));
    segment.acknowledgment -= age;
    peer.deliver(segment);
  };
  // RFC 5961 section 5.2: as old as the largest window we saw will do.
  data_with_old_ack(40'000);
  EXPECT_EQ(flow().received.size(), 10u);
  peer.sequence += 10;
  advance(kSecond);
  peer.forget();
  data_with_old_ack(200'000);
  EXPECT_EQ(flow().received.size(), 10u);
  const Segment challenge = peer.next();
  EXPECT_TRUE(challenge.is(kAck)) << challenge;
  EXPECT_EQ(challenge.acknowledgment, peer.sequence);
}

// RFC 5961 section 7.
TEST_F(EstablishedTest, challenges_are_limited) {
  Peer peer(*this);
  peer.open();
  uint64_t answers = 0;
  for (int i = 0; i < 5000; i++) {
    peer.deliver(peer.segment(kSyn));
    answers += peer.all().size();
  }
  EXPECT_GT(answers, 0u);
  EXPECT_LT(answers, 1000u);
  advance(10 * kSecond);
  peer.deliver(peer.segment(kSyn));
  EXPECT_TRUE(peer.has_next());
}

TEST_F(EstablishedTest, a_window_of_zero_takes_acknowledgements_and_resets) {
  StackConfig config = small();
  config.receive_buffer_bytes = 4000;
  start(config);
  events().consumes = false;
  Peer peer(*this);
  peer.open();
  for (int i = 0; i < 4; i++) peer.send(kAck, pattern(1000));
  EXPECT_EQ(peer.all().back().window, 0);
  send_all(pattern(500));
  EXPECT_EQ(peer.receive(), pattern(500));
  peer.ack();
  advance(10 * kSecond);
  peer.expect_silence();  // so the acknowledgement counted
  peer.deliver(peer.segment(kAck, pattern(1)));
  const Segment answer = peer.expect_ack();
  EXPECT_EQ(answer.window, 0);
  EXPECT_EQ(flow().received.size(), 4000u);
  peer.deliver(peer.segment(kRst));
  EXPECT_EQ(flow().closed, CloseReason::reset);
}

TEST_F(EstablishedTest, data_beyond_the_window_is_cut_off) {
  StackConfig config = small();
  config.receive_buffer_bytes = 2500;
  start(config);
  events().consumes = false;
  Peer peer(*this);
  peer.open();
  peer.send(kAck, pattern(1000));
  Segment beyond = peer.segment(kAck, pattern(1400, 9));
  peer.deliver(beyond);
  peer.sequence += 1400;
  peer.deliver(peer.segment(kAck, pattern(1000, 17)));
  const Bytes expected = pattern(1000) + pattern(1400, 9) + pattern(100, 17);
  EXPECT_LE(flow().received.size(), 2500u);
  EXPECT_TRUE(std::equal(flow().received.begin(), flow().received.end(), expected.begin()));
  EXPECT_GE(flow().received.size(), 2400u);
}

TEST_F(EstablishedTest, urgent_data_is_data) {
  Peer peer(*this);
  peer.open();
  peer.send(kAck | kUrg | kPsh, pattern(10));
  EXPECT_EQ(flow().received, pattern(10));
}

class PawsTest : public TcpTest {
 protected:
  PawsTest() {
    peer_.open();
    peer_.send(kAck, pattern(10));
    advance(kSecond);
    peer_.forget();
  }
  Peer peer_{*this, {.timestamps = true}};
};

// RFC 7323 section 5.3.
TEST_F(PawsTest, an_old_timestamp) {
  Segment old = peer_.segment(kAck, pattern(10, 9));
  old.timestamps->value -= 1;
  peer_.deliver(old);
  EXPECT_EQ(flow().received.size(), 10u);
  EXPECT_EQ(count(Counter::drop_tcp_paws), 1u);
  peer_.expect_ack();
  peer_.send(kAck, pattern(10, 9));
  EXPECT_EQ(flow().received.size(), 20u);
}

TEST_F(PawsTest, timestamps_wrap) {
  for (const uint32_t timestamp : {0x7fff'fff0u, 0xffff'ffe0u, 5u}) {
    peer_.timestamp = timestamp;
    peer_.send(kAck, pattern(10));
    advance(kSecond);  // a timestamp counts once its segment is acknowledged
  }
  EXPECT_EQ(flow().received.size(), 40u);
  Segment old = peer_.segment(kAck, pattern(10));
  old.timestamps->value = 0xffff'ffff;
  peer_.deliver(old);
  EXPECT_EQ(flow().received.size(), 40u);
}

// RFC 7323 section 5.2: no such test for resets.
TEST_F(PawsTest, a_reset_needs_no_timestamp) {
  Segment reset = peer_.segment(kRst);
  reset.timestamps = Timestamps{peer_.timestamp - 100, 0};
  peer_.deliver(reset);
  EXPECT_EQ(flow().closed, CloseReason::reset);
}

// RFC 7323 section 3.2: once agreed they should be in every segment.
TEST_F(PawsTest, a_missing_timestamp) {
  Segment without = peer_.segment(kAck, pattern(10, 9));
  without.timestamps.reset();
  peer_.deliver(without);
  EXPECT_EQ(flow().received.size(), 10u);
  peer_.forget();
  peer_.send(kAck, pattern(10, 9));
  EXPECT_EQ(flow().received.size(), 20u);
}

// RFC 7323 section 4.3: an out-of-order segment with a later timestamp does not move TS.Recent.
TEST_F(PawsTest, a_gap_does_not_outdate_what_fills_it) {
  Segment first = peer_.segment(kAck, pattern(10));
  Segment second = peer_.segment(kAck, pattern(10, 9));
  second.sequence += 10;
  second.timestamps->value += 50;
  peer_.deliver(second);
  peer_.deliver(first);
  EXPECT_EQ(flow().received, pattern(10) + pattern(10) + pattern(10, 9));
}

// RFC 7323 section 5.5: a connection that idled for 24 days must not freeze.
TEST_F(PawsTest, an_old_recent_timestamp_is_forgotten) {
  advance(25ull * 24 * 3600 * kSecond);
  peer_.forget();
  peer_.timestamp += 0x9000'0000;
  peer_.send(kAck, pattern(10, 9));
  EXPECT_EQ(flow().received.size(), 20u);
}

}  // namespace
}  // namespace weir::net::tcp
