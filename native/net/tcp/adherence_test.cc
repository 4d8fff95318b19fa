// Rules that docs/tcp.md says are kept and that no other test looks at.
#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

using AdherenceTest = TcpTest;

// RFC 9293 section 3.5 (MUST-11): who opened hears of the end, whatever came between.
TEST_F(AdherenceTest, a_reset_while_both_sides_open_is_told) {
  ASSERT_NE(connect(9000), nullptr);
  Peer peer(*this, {.port = 9000});
  peer.local_port = peer.next().source_port;
  peer.send(kSyn);
  peer.forget();
  peer.deliver(peer.segment(kRst));
  EXPECT_EQ(flow().closed, CloseReason::refused);
  EXPECT_EQ(tcp().connection_count(), 0u);
}

// RFC 9293 section 3.9.1.1 (MUST-42).
TEST_F(AdherenceTest, the_port_of_a_connection_that_is_being_opened_can_be_listened_on) {
  ASSERT_NE(connect(9000), nullptr);
  Peer server(*this, {.port = 9000});
  const Segment syn = server.next();
  ASSERT_TRUE(tcp().listen(syn.source_port, events(), 3));

  Peer client(*this, {.port = 40000});
  client.local_port = syn.source_port;
  client.open();
  EXPECT_FALSE(flow().outbound);
  EXPECT_EQ(flow().tag, 3u);

  server.local_port = syn.source_port;
  server.acknowledgment = syn.end();
  server.send(kSyn | kAck);
  server.expect_ack();
  EXPECT_EQ(events().flows[0].opened, 1u);
  EXPECT_EQ(tcp().connection_count(), 2u);
}

// RFC 9293 section 3.5.3 (SHLD-2).
TEST_F(AdherenceTest, a_reset_may_carry_data) {
  Peer peer(*this);
  peer.open();
  peer.deliver(peer.segment(kRst, pattern(20)));
  EXPECT_EQ(flow().closed, CloseReason::reset);
  EXPECT_TRUE(flow().received.empty());
}

// RFC 9293 section 3.10.7 (MUST-58, MUST-59).
TEST_F(AdherenceTest, a_batch_is_acknowledged_once) {
  Peer peer(*this);
  peer.open();
  const Segment first = peer.segment(kAck, pattern(1000));
  Segment second = peer.segment(kAck, pattern(1000, 9));
  second.sequence = first.end();
  Segment third = peer.segment(kAck, pattern(1000, 17));
  third.sequence = second.end();
  peer.deliver_batch({first, second, third});
  peer.sequence = third.end();
  peer.expect_ack();
  peer.expect_silence();
}

// RFC 9293 section 3.8.4 (MUST-26).
TEST_F(AdherenceTest, keep_alive_leaves_bytes_under_way_to_retransmission) {
  StackConfig config = small();
  config.keep_alive_idle_ms = 60'000;
  config.keep_alive_interval_ms = 5'000;
  config.keep_alive_probes = 3;
  start(config);
  Peer peer(*this);
  peer.open();
  send_all(pattern(100));
  advance(100 * kSecond);
  EXPECT_FALSE(flow().closed.has_value());
  EXPECT_GT(count(Counter::tcp_retransmits), 0u);
  EXPECT_EQ(count(Counter::tcp_keep_alives), 0u);
}

// RFC 9293 section 3.8.4 (MUST-28).
TEST_F(AdherenceTest, keep_alive_waits_for_two_hours_by_default) {
  StackConfig config = small();
  config.keep_alive_idle_ms = StackConfig{}.keep_alive_idle_ms;
  start(config);
  Peer peer(*this);
  peer.open();
  advance(7199 * kSecond);
  peer.expect_silence();
  advance_until_sent(2 * kSecond);
  EXPECT_TRUE(peer.has_next());
}

// RFC 3168 sections 6.1.1 and 6.1.1.1.
TEST_F(AdherenceTest, ecn_is_asked_for_once) {
  StackConfig config = small();
  config.request_ecn = true;
  start(config);
  ASSERT_NE(connect(9000), nullptr);
  ASSERT_EQ(output().sent.size(), 1u);
  EXPECT_EQ(output().sent[0].segment.flags, kSyn | kEce | kCwr);
  output().sent.clear();
  advance_until_sent(2 * kSecond);
  ASSERT_EQ(output().sent.size(), 1u);
  EXPECT_EQ(output().sent[0].segment.flags, kSyn);
}

// RFC 3168 sections 6.1.1, 6.1.4 and 6.1.5.
TEST_F(AdherenceTest, only_new_data_is_ecn_capable) {
  Peer peer(*this, {.sack = true});
  peer.send(kSyn | kEce | kCwr);
  ASSERT_EQ(output().sent.size(), 1u);
  EXPECT_EQ(output().sent[0].ecn, 0) << "the answer to a SYN";
  peer.expect(kSyn | kAck | kEce);
  peer.ack();

  send_all(pattern(100));
  ASSERT_EQ(output().sent.size(), 1u);
  EXPECT_EQ(output().sent[0].ecn, 2);
  output().sent.clear();

  peer.send(kAck, pattern(1000));
  peer.send(kAck, pattern(1000));
  ASSERT_EQ(output().sent.size(), 1u);
  EXPECT_EQ(output().sent[0].ecn, 0) << "an acknowledgement";
  output().sent.clear();

  advance_until_sent(kSecond);
  ASSERT_EQ(output().sent.size(), 1u);
  EXPECT_EQ(output().sent[0].segment.payload, pattern(100));
  EXPECT_EQ(output().sent[0].ecn, 0) << "a repetition";
}

// RFC 3168 section 6.1.1: there are peers that send back all the bits that they do not know.
TEST_F(AdherenceTest, only_ece_alone_agrees_to_ecn) {
  StackConfig config = small();
  config.request_ecn = true;
  start(config);
  uint16_t port = 9000;
  for (const int flags : {kEce, kEce | kCwr, 0}) {
    SCOPED_TRACE(flags);
    ASSERT_NE(connect(port), nullptr);
    Peer peer(*this, {.port = port++});
    ASSERT_EQ(output().sent.size(), 1u);
    const Segment syn = output().sent[0].segment;
    output().sent.clear();
    peer.local_port = syn.source_port;
    peer.acknowledgment = syn.end();
    peer.send(kSyn | kAck | flags);
    peer.expect_ack();

    input_marked(peer.encoded(peer.segment(kAck, pattern(100))), peer.address());
    advance(kSecond);
    const Segment ack = peer.next();
    EXPECT_TRUE(ack.is(flags == kEce ? kAck | kEce : kAck)) << ack;
  }
}

}  // namespace
}  // namespace weir::net::tcp
