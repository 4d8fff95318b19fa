#include <set>

#include "net/tcp/sequence.h"
#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

class SackTest : public TcpTest {
 protected:
  static PeerConfig with_sack(uint64_t handshake_us = 50 * kMs) {
    return {.sack = true, .handshake_us = handshake_us};
  }
  std::vector<Segment> send_segments(Peer& peer, size_t segments) {
    send_all(pattern(segments * 1000), 250);
    std::vector<Segment> sent = peer.all();
    EXPECT_EQ(sent.size(), segments);
    return sent;
  }
  /// An acknowledgement of what came in order, with blocks.
  static void sack(Peer& peer, std::vector<SackBlock> blocks) {
    Segment segment = peer.segment(kAck);
    segment.sacks = std::move(blocks);
    peer.deliver(segment);
  }
  static Segment part(const Peer& peer, size_t at, size_t length) {
    Segment segment = peer.segment(kAck, pattern(length, static_cast<uint8_t>(1 + at * 7)));
    segment.sequence += static_cast<uint32_t>(at);
    return segment;
  }
};

// ---- the receiver: RFC 2018 section 4 ----

TEST_F(SackTest, what_is_there_is_reported_newest_first) {
  Peer peer(*this, with_sack());
  peer.open();
  const uint32_t start = peer.sequence;
  peer.deliver(part(peer, 1000, 100));
  EXPECT_EQ(peer.expect_ack().sacks, (std::vector<SackBlock>{{start + 1000, start + 1100}}));
  peer.deliver(part(peer, 3000, 100));
  EXPECT_EQ(peer.expect_ack().sacks,
            (std::vector<SackBlock>{{start + 3000, start + 3100}, {start + 1000, start + 1100}}));
  peer.deliver(part(peer, 1100, 100));
  EXPECT_EQ(peer.expect_ack().sacks,
            (std::vector<SackBlock>{{start + 1000, start + 1200}, {start + 3000, start + 3100}}));
  // The gap closes: what was reported is acknowledged.
  peer.send(kAck, pattern(1000));
  peer.sequence = start + 1200;
  EXPECT_EQ(peer.expect_ack().sacks, (std::vector<SackBlock>{{start + 3000, start + 3100}}));
}

TEST_F(SackTest, at_most_four_blocks_fit_and_three_beside_timestamps) {
  Peer plain(*this, {.sack = true});
  plain.open();
  Peer stamped(*this, {.port = 40001, .timestamps = true, .sack = true});
  stamped.open();
  for (Peer* peer : {&plain, &stamped})
    for (size_t i = 1; i <= 6; i++) peer->deliver(part(*peer, i * 1000, 10));
  EXPECT_EQ(plain.all().back().sacks.size(), 4u);
  EXPECT_EQ(stamped.all().back().sacks.size(), 3u);
}

TEST_F(SackTest, nothing_is_reported_to_a_peer_that_did_not_ask) {
  Peer peer(*this);
  peer.open();
  peer.deliver(part(peer, 1000, 100));
  EXPECT_TRUE(peer.expect_ack().sacks.empty());
}

// RFC 2883 section 4.
TEST_F(SackTest, duplicates_are_reported_once) {
  Peer peer(*this, with_sack());
  peer.open();
  const uint32_t start = peer.sequence;
  peer.send(kAck, pattern(500));
  advance(100 * kMs);
  peer.forget();
  Segment again = part(peer, 0, 500);
  again.sequence = start;
  peer.deliver(again);
  EXPECT_EQ(peer.expect_ack().sacks, (std::vector<SackBlock>{{start, start + 500}}));
  peer.deliver(part(peer, 1000, 100));
  EXPECT_EQ(peer.expect_ack().sacks, (std::vector<SackBlock>{{start + 1500, start + 1600}}));
  peer.deliver(part(peer, 1000, 100));
  EXPECT_EQ(peer.expect_ack().sacks,
            (std::vector<SackBlock>{{start + 1500, start + 1600}, {start + 1500, start + 1600}}));
}

TEST_F(SackTest, data_leaves_room_for_the_report) {
  Peer peer(*this, {.mss = 1460, .timestamps = true, .sack = true});
  peer.open();
  for (size_t i = 1; i <= 3; i++) peer.deliver(part(peer, i * 1000, 10));
  peer.forget();
  send_all(pattern(4000), 250);
  const Segment data = peer.next();
  EXPECT_EQ(data.sacks.size(), 3u);
  EXPECT_EQ(data.payload.size(), 1460u - 12 - 28);
}

// ---- the sender: RFC 6675, RFC 8985 ----

TEST_F(SackTest, all_holes_are_repaired_in_one_round_trip) {
  Peer peer(*this, with_sack());
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 10);
  // 0, 3 and 6 are lost.
  advance(50 * kMs);
  peer.acknowledgment = sent[0].sequence;
  sack(peer, {{sent[1].sequence, sent[3].sequence}});
  peer.expect_silence();
  sack(peer, {{sent[4].sequence, sent[6].sequence}, {sent[1].sequence, sent[3].sequence}});
  EXPECT_EQ(peer.next().sequence, sent[0].sequence);
  sack(peer, {{sent[7].sequence, sent[9].end()},
              {sent[4].sequence, sent[6].sequence},
              {sent[1].sequence, sent[3].sequence}});
  std::vector<uint32_t> again;
  for (const Segment& segment : peer.all()) again.push_back(segment.sequence);
  EXPECT_EQ(again, (std::vector<uint32_t>{sent[3].sequence, sent[6].sequence}));
  peer.ack(sent[9].end());
  EXPECT_EQ(count(Counter::tcp_fast_retransmits), 1u);
  EXPECT_EQ(count(Counter::tcp_retransmits), 3u);
  EXPECT_EQ(count(Counter::tcp_timeouts), 0u);
}

// RFC 8985 section 6.2 step 5: no duplicates are counted, only time.
TEST_F(SackTest, one_segment_behind_the_hole_is_enough_after_a_quarter_round_trip) {
  Peer peer(*this, with_sack(100 * kMs));
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 2);
  advance(100 * kMs);
  peer.acknowledgment = sent[0].sequence;
  sack(peer, {{sent[1].sequence, sent[1].end()}});
  peer.expect_silence();
  const uint64_t before_us = now_us();
  advance_until_sent(kSecond);
  EXPECT_NEAR(static_cast<double>(now_us() - before_us), 25 * kMs, 2 * kMs);
  EXPECT_EQ(peer.next().sequence, sent[0].sequence);
}

TEST_F(SackTest, a_lost_repetition_is_found_without_a_timeout) {
  Peer peer(*this, with_sack());
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 10);
  advance(50 * kMs);
  peer.acknowledgment = sent[0].sequence;
  sack(peer, {{sent[1].sequence, sent[5].end()}});
  EXPECT_EQ(peer.next().sequence, sent[0].sequence);
  // New data goes out behind the repetition, and arrives before it.
  send_all(pattern(3000), 250);
  sack(peer, {{sent[1].sequence, sent[9].end()}});
  std::vector<Segment> news = peer.all();
  ASSERT_FALSE(news.empty());
  advance(50 * kMs);
  sack(peer, {{sent[1].sequence, news.front().end()}});
  advance(60 * kMs);
  bool repeated = false;
  for (const Segment& segment : peer.all()) repeated |= segment.sequence == sent[0].sequence;
  EXPECT_TRUE(repeated);
  EXPECT_EQ(count(Counter::tcp_timeouts), 0u);
}

TEST_F(SackTest, blocks_about_nothing_that_is_under_way_are_refused) {
  Peer peer(*this, with_sack());
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 5);
  peer.acknowledgment = sent[0].sequence;
  const uint32_t una = sent[0].sequence, nxt = sent[4].end();
  for (const SackBlock& block : {SackBlock{nxt, nxt + 1000}, SackBlock{una + 1000, nxt + 1},
                                 SackBlock{una + 2000, una + 1000}, SackBlock{una, una + 1000},
                                 SackBlock{una + 0x8000'0000, una + 0x8000'0100}})
    sack(peer, {block});
  EXPECT_EQ(count(Counter::drop_tcp_sack), 5u);
  peer.expect_silence();
  // And none of it was believed: a time-out sends the first one again, and the rest follows.
  while (count(Counter::tcp_timeouts) == 0) advance(10 * kMs);
  EXPECT_EQ(peer.all().back().sequence, una);
}

TEST_F(SackTest, a_part_of_a_segment_may_be_reported) {
  Peer peer(*this, with_sack());
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 6);
  peer.acknowledgment = sent[0].sequence;
  sack(peer, {{sent[0].sequence + 300, sent[5].end()}});
  const Segment again = peer.next();
  EXPECT_EQ(again.sequence, sent[0].sequence);
  EXPECT_EQ(again.payload.size(), 300u);
  peer.ack(sent[5].end());
  peer.expect_silence();
}

// RFC 2018 section 8: only what is acknowledged is gone.
TEST_F(SackTest, a_peer_that_reneges_gets_everything_again) {
  Peer peer(*this, with_sack());
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 6);
  peer.acknowledgment = sent[0].sequence;
  sack(peer, {{sent[1].sequence, sent[5].end()}});
  peer.forget();
  // The hole is filled, and the peer has forgotten the rest.
  peer.ack(sent[1].sequence);
  peer.forget();
  std::set<uint32_t> again;
  for (int i = 0; i < 12 && again.size() < 5; i++) {
    advance_until_sent(10 * kSecond);
    for (const Segment& segment : peer.all()) {
      again.insert(segment.sequence);
      if (segment.sequence == peer.acknowledgment) peer.ack(segment.end());
    }
  }
  EXPECT_EQ(again.size(), 5u);
  EXPECT_EQ(peer.acknowledgment, sent[5].end());
}

// ---- tail loss probes: RFC 8985 section 7 ----

TEST_F(SackTest, a_lost_tail_is_probed_before_the_timeout) {
  Peer peer(*this, with_sack(50 * kMs));
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 4);
  const uint64_t before_us = now_us();
  advance_until_sent(kSecond);
  EXPECT_NEAR(static_cast<double>(now_us() - before_us), 100 * kMs, 5 * kMs);
  EXPECT_EQ(peer.next().sequence, sent[3].sequence);
  EXPECT_EQ(count(Counter::tcp_tail_probes), 1u);
  // It tells of the others, which are repaired at once.
  advance(50 * kMs);
  peer.acknowledgment = sent[0].sequence;
  sack(peer, {{sent[3].sequence, sent[3].end()}});
  EXPECT_EQ(peer.next().sequence, sent[0].sequence);
  peer.acknowledgment = sent[0].end();
  advance(50 * kMs);
  sack(peer, {{sent[3].sequence, sent[3].end()}});
  EXPECT_EQ(peer.all().size(), 2u);
  EXPECT_EQ(count(Counter::tcp_timeouts), 0u);
}

TEST_F(SackTest, new_data_is_the_better_probe) {
  Peer peer(*this, with_sack(50 * kMs));
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 10);  // a whole initial window
  send_all(pattern(500));
  peer.expect_silence();
  advance_until_sent(kSecond);
  EXPECT_EQ(peer.next().sequence, sent[9].end());
}

TEST_F(SackTest, one_probe_and_then_the_timeout) {
  Peer peer(*this, with_sack(50 * kMs));
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 4);
  advance_until_sent(kSecond);
  peer.forget();
  advance_until_sent(kSecond);
  EXPECT_EQ(peer.next().sequence, sent[0].sequence);
  EXPECT_EQ(count(Counter::tcp_tail_probes), 1u);
  EXPECT_EQ(count(Counter::tcp_timeouts), 1u);
}

// Section 7.4.2: the probe repaired a loss, and the window pays for it.
TEST_F(SackTest, a_probe_that_repaired_a_loss_reduces_the_window) {
  Peer peer(*this, with_sack(50 * kMs));
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 4);
  const uint32_t before = tcp().info(connection()).congestion_window_bytes;
  advance_until_sent(kSecond);
  peer.forget();
  send_all(pattern(500));
  peer.ack(peer.next().end());
  EXPECT_LT(tcp().info(connection()).congestion_window_bytes, before);
}

// ---- second thoughts ----

TEST_F(SackTest, a_duplicate_report_undoes_a_recovery) {
  Peer peer(*this, with_sack());
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 8);
  const uint32_t before = tcp().info(connection()).congestion_window_bytes;
  peer.acknowledgment = sent[0].sequence;
  sack(peer, {{sent[1].sequence, sent[4].end()}});
  EXPECT_EQ(peer.next().sequence, sent[0].sequence);
  EXPECT_LT(tcp().info(connection()).congestion_window_bytes, before);
  // The first was only late: both copies arrive.
  peer.ack(sent[4].end());
  sack(peer, {{sent[0].sequence, sent[0].end()}});
  EXPECT_EQ(count(Counter::tcp_spurious_recoveries), 1u);
  EXPECT_GE(tcp().info(connection()).congestion_window_bytes, before);
}

// RFC 3522 section 3.2.
TEST_F(SackTest, a_timestamp_of_the_original_undoes_a_timeout) {
  Peer peer(*this, {.timestamps = true, .sack = true, .handshake_us = 50 * kMs});
  peer.open();
  send_all(pattern(988), 250);
  const Segment sent = peer.next();
  const uint32_t stamp = peer.timestamp_echo;
  const uint32_t before = tcp().info(connection()).congestion_window_bytes;
  while (count(Counter::tcp_timeouts) == 0) advance(10 * kMs);
  peer.forget();
  EXPECT_LT(tcp().info(connection()).congestion_window_bytes, before);
  peer.timestamp_echo = stamp;
  peer.ack(sent.end());
  EXPECT_EQ(count(Counter::tcp_spurious_recoveries), 1u);
  EXPECT_GE(tcp().info(connection()).congestion_window_bytes, before);
}

// RFC 5682 section 3.1.
TEST_F(SackTest, what_was_sent_once_and_arrives_undoes_a_timeout) {
  Peer peer(*this, with_sack());
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 10);
  send_all(pattern(4000), 250);
  const uint32_t before = tcp().info(connection()).congestion_window_bytes;
  while (count(Counter::tcp_timeouts) == 0) advance(10 * kMs);
  peer.forget();
  // Step 2: the repetition is acknowledged, and new data finds out about the rest.
  peer.ack(sent[0].end());
  EXPECT_TRUE(seq_ge(peer.next().sequence, sent[9].end()));
  peer.forget();
  peer.ack(sent[1].end());
  EXPECT_EQ(count(Counter::tcp_spurious_recoveries), 1u);
  EXPECT_GE(tcp().info(connection()).congestion_window_bytes, before);
}

TEST_F(SackTest, a_timeout_that_was_right_stays) {
  Peer peer(*this, with_sack());
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 6);
  while (count(Counter::tcp_timeouts) == 0) advance(10 * kMs);
  // All were lost; what is repeated arrives.
  peer.acknowledgment = sent[0].sequence;
  for (int i = 0; i < 20 && peer.acknowledgment != sent[5].end(); i++) {
    for (const Segment& segment : peer.all())
      if (segment.sequence == peer.acknowledgment) peer.acknowledgment = segment.end();
    advance(50 * kMs);
    peer.ack();
  }
  EXPECT_EQ(peer.acknowledgment, sent[5].end());
  EXPECT_EQ(count(Counter::tcp_spurious_recoveries), 0u);
}

// ---- ECN: RFC 3168 ----

class EcnTest : public SackTest {
 protected:
  void open(Peer& peer) {
    Segment syn = peer.segment(kSyn | kEce | kCwr);
    peer.sequence = syn.end();
    peer.deliver(syn);
    const Segment answer = peer.expect(kSyn | kAck | kEce);
    peer.other_syn = answer;
    peer.ack();
  }
};

TEST_F(EcnTest, a_mark_is_echoed_until_the_peer_has_reduced_its_window) {
  Peer peer(*this, {.sack = true});
  open(peer);
  input_marked(peer.encoded(peer.segment(kAck, pattern(100))), peer.address());
  peer.sequence += 100;
  EXPECT_TRUE(peer.next().is(kAck | kEce));
  peer.send(kAck, pattern(100));
  peer.send(kAck, pattern(100));
  EXPECT_TRUE(peer.next().is(kAck | kEce));
  peer.send(kAck | kCwr, pattern(100));
  peer.send(kAck, pattern(100));
  EXPECT_TRUE(peer.next().is(kAck));
}

TEST_F(EcnTest, an_echoed_mark_reduces_the_window_once_and_is_answered) {
  Peer peer(*this, {.sack = true});
  open(peer);
  const std::vector<Segment> sent = send_segments(peer, 8);
  const uint32_t before = tcp().info(connection()).congestion_window_bytes;
  peer.acknowledgment = sent[1].end();
  peer.send(kAck | kEce);
  const uint32_t reduced = tcp().info(connection()).congestion_window_bytes;
  EXPECT_LT(reduced, before);
  peer.acknowledgment = sent[2].end();
  peer.send(kAck | kEce);
  EXPECT_EQ(tcp().info(connection()).congestion_window_bytes, reduced);
  peer.ack(sent[7].end());
  send_all(pattern(1500), 250);
  const std::vector<Segment> next = peer.all();
  ASSERT_GE(next.size(), 2u);
  EXPECT_TRUE(next[0].is(kAck | kCwr));
  EXPECT_TRUE(next[1].is(kAck));
}

TEST_F(EcnTest, who_did_not_agree_is_not_believed) {
  Peer peer(*this, {.sack = true});
  peer.open();
  const std::vector<Segment> sent = send_segments(peer, 8);
  const uint32_t before = tcp().info(connection()).congestion_window_bytes;
  peer.acknowledgment = sent[1].end();
  peer.send(kAck | kEce);
  EXPECT_GE(tcp().info(connection()).congestion_window_bytes, before);
}

}  // namespace
}  // namespace weir::net::tcp
