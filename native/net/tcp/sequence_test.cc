// Sequence numbers on both sides pass 2^32 (RFC 9293 section 3.4).
#include <random>

#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

/// The parameter is the number that our side begins with.
class SequenceTest : public TcpTest, public ::testing::WithParamInterface<uint32_t> {
 protected:
  /// The initial sequence number moves by one every 4 us (RFC 6528 section 3): starting at the
  /// right time gives any of them.
  void start_at_sequence() {
    // Both instances take the same secret from the generator.
    random_ = SeededRandom(1);
    start(small());
    Peer probe(*this, {.initial_sequence = kPeerSequence});
    probe.open();
    const uint32_t offset = GetParam() - probe.other_initial_sequence;
    random_ = SeededRandom(1);
    set_start_us(kStartUs + uint64_t{offset} * 4);
    start(small());
    events().flows.clear();
  }
  static constexpr uint32_t kPeerSequence = 0xffff'f000;
};

INSTANTIATE_TEST_SUITE_P(, SequenceTest,
                         ::testing::Values(0xffff'ffffu, 0xffff'fffeu, 0xffff'fc00u, 0xffff'0000u,
                                           0x7fff'fffeu, 0x7fff'0000u, 0u));

TEST_P(SequenceTest, data_both_ways) {
  start_at_sequence();
  Peer peer(*this, {.initial_sequence = kPeerSequence});
  peer.open();
  ASSERT_EQ(peer.other_initial_sequence, GetParam());
  Bytes sent, received;
  std::mt19937_64 random(1);
  for (int i = 0; i < 100; i++) {
    const Bytes bytes = pattern(1 + random() % 3000, static_cast<uint8_t>(i));
    sent = sent + bytes;
    if (i % 2 == 0)
      ASSERT_EQ(tcp().send_held(connection(), owner().hold(bytes)), SendResult::ok);
    else
      ASSERT_EQ(send(bytes), SendResult::ok);
    flush();
    if (i % 7 == 3) {
      peer.forget();  // lost
      advance_until_sent(10 * kSecond);
    }
    for (int round = 0; round < 100; round++) {
      for (const Segment& segment : peer.all()) {
        const uint32_t known = peer.acknowledgment - segment.sequence;
        if (known >= segment.payload.size()) continue;
        received.insert(received.end(), segment.payload.begin() + known, segment.payload.end());
        peer.acknowledgment = segment.end();
      }
      peer.ack();
      if (!peer.has_next() && received.size() < sent.size()) advance_until_sent(10 * kSecond);
      if (!peer.has_next()) break;
    }
    ASSERT_EQ(received.size(), sent.size());
  }
  EXPECT_EQ(received, sent);
  EXPECT_EQ(owner().released_count, 50u);

  Bytes stream;
  for (int i = 0; i < 40; i++) {
    const Bytes bytes = pattern(1000, static_cast<uint8_t>(i));
    if (i % 2 == 0) {  // the second of a pair comes first
      Segment ahead = peer.segment(kAck, pattern(1000, static_cast<uint8_t>(i + 1)));
      ahead.sequence += 1000;
      peer.deliver(ahead);
      stream = stream + bytes + ahead.payload;
      peer.deliver(peer.segment(kAck, bytes));
      peer.sequence += 2000;
    }
  }
  EXPECT_EQ(flow().received, stream);
  peer.forget();
  close();
  peer.expect(kFin | kAck);
  peer.send(kFin | kAck);
  peer.expect_ack();
  EXPECT_EQ(flow().closed, CloseReason::finished);
}

TEST_P(SequenceTest, the_edges_of_the_window) {
  start_at_sequence();
  events().consumes = false;
  Peer peer(*this, {.initial_sequence = 0xffff'fff0});
  peer.open();
  const uint32_t window = peer.other_syn.window;
  Segment beyond = peer.segment(kRst);
  beyond.sequence += window + 1;
  peer.deliver(beyond);
  peer.expect_silence();
  Segment inside = peer.segment(kRst);
  inside.sequence += window - 1;
  peer.deliver(inside);
  peer.expect_ack();
  EXPECT_FALSE(flow().closed.has_value());
  send_all(pattern(10));
  peer.receive();
  Segment early = peer.segment(kAck);
  early.acknowledgment += 1;
  peer.deliver(early);
  peer.forget();
  peer.ack();
  advance(10 * kSecond);
  peer.expect_silence();
}

}  // namespace
}  // namespace weir::net::tcp
