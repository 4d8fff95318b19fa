#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

class OptionsTest : public TcpTest {
 protected:
  /// A connection by a SYN with just these options.
  void open_with(Peer& peer, const Bytes& options) {
    Segment syn = peer.segment(kSyn);
    syn.mss.reset();
    syn.other_options = options;
    peer.sequence = syn.end();
    peer.deliver(syn);
    const Segment answer = peer.expect(kSyn | kAck);
    peer.timestamps_agreed = answer.timestamps.has_value();
    peer.ack();
  }
  /// The largest payload of the segments that carry `bytes`.
  size_t largest_payload(Peer& peer, const Bytes& bytes) {
    send_all(bytes);
    size_t largest = 0;
    Bytes received;
    for (int round = 0; round < 10'000 && received.size() < bytes.size(); round++) {
      while (peer.has_next()) {
        const Segment segment = peer.next();
        EXPECT_EQ(segment.sequence, peer.acknowledgment) << segment;
        largest = std::max(largest, segment.payload.size());
        received = received + segment.payload;
        peer.acknowledgment = segment.end();
      }
      peer.ack();
    }
    EXPECT_EQ(received, bytes);
    return largest;
  }
};

TEST_F(OptionsTest, impossible_headers) {
  Peer peer(*this);
  const Bytes good = peer.encoded(peer.segment(kSyn));
  const auto deliver = [&](Bytes segment) {
    if (segment.size() >= 18) set_checksum(segment, kPeer, kOwn);
    const Bytes segments[] = {segment};
    peer.deliver_bytes(segments);
  };
  for (size_t length = 1; length < 20; length++)
    deliver(Bytes(good.begin(), good.begin() + length));
  for (const int words : {0, 1, 4, 7, 15}) {
    Bytes segment = good;
    segment[12] = static_cast<uint8_t>(words << 4);
    deliver(segment);
  }
  EXPECT_EQ(count(Counter::drop_tcp_malformed), 19u + 5);
  EXPECT_EQ(tcp().connection_count(), 0u);
  peer.expect_silence();
}

// RFC 9293 section 3.1 (MUST-7): an illegal length, zero for one, must do no harm.
TEST_F(OptionsTest, impossible_options) {
  const Bytes all[] = {{2, 0, 0, 0},    {2, 1, 0, 0},     {253, 0, 0, 0},
                       {253, 1, 0, 0},  {1, 1, 1, 2},     {1, 1, 1, 253},
                       {2, 5, 3, 0xe8}, {253, 200, 0, 0}, {1, 1, 8, 10, 0, 0, 0, 1},
                       {3, 255, 1, 1}};
  uint16_t port = 40000;
  for (const Bytes& options : all) {
    Peer peer(*this, {.port = port++});
    Segment syn = peer.segment(kSyn);
    syn.mss.reset();
    syn.other_options = options;
    peer.deliver(syn);
    // Dropped, or taken without what cannot be read.
    for (const Segment& answer : peer.all()) EXPECT_TRUE(answer.is(kSyn | kAck)) << answer;
  }
  Peer good(*this, {.port = 50000});
  good.open();
  for (const Bytes& options : all) {
    Segment data = good.segment(kAck, pattern(4));
    data.other_options = options;
    good.deliver(data);
    good.forget();
  }
  EXPECT_TRUE(flow().received.empty() || flow().received == pattern(4));
  good.deliver(good.segment(kAck, pattern(4)));
  EXPECT_EQ(flow().received, pattern(4));
}

TEST_F(OptionsTest, unknown_options_are_skipped) {
  Peer peer(*this);
  open_with(peer, {253, 6, 1, 2, 3, 4, 1, 254, 2, 30, 4, 9, 9, 2, 4, 2, 0});  // MSS 512 at the end
  EXPECT_EQ(largest_payload(peer, pattern(4000)), 512u);
}

TEST_F(OptionsTest, nothing_counts_behind_the_end) {
  Peer peer(*this);
  open_with(peer, {2, 4, 2, 0, 0, 2, 4, 1, 8, 0, 3, 0});
  EXPECT_EQ(largest_payload(peer, pattern(4000)), 512u);
}

// RFC 2018 section 2.
TEST_F(OptionsTest, selective_acknowledgements_are_agreed_where_the_peer_asks) {
  Peer without(*this);
  without.open();
  EXPECT_FALSE(without.other_syn.sack_permitted);
  Peer with(*this, {.port = 40001, .sack = true});
  with.open();
  EXPECT_TRUE(with.other_syn.sack_permitted);
}

// RFC 9293 section 3.7.1 (MUST-15).
TEST_F(OptionsTest, no_mss_means_536) {
  Peer peer(*this);
  open_with(peer, {});
  EXPECT_EQ(largest_payload(peer, pattern(5000)), 536u);
}

TEST_F(OptionsTest, an_mss_beyond_our_link) {
  Peer peer(*this, {.mss = 65535});
  peer.open();
  EXPECT_EQ(largest_payload(peer, pattern(20'000)), kMtuBytes - 40u);
}

TEST_F(OptionsTest, an_mss_of_nothing) {
  uint16_t port = 40000;
  for (const uint16_t mss : {0, 1, 7, 40}) {
    Peer peer(*this, {.port = port++, .mss = mss});
    peer.open();
    const size_t largest = largest_payload(peer, pattern(2000));
    EXPECT_GT(largest, 0u);
    // A floor is allowed: a peer must not make us send bytes one by one.
    EXPECT_LE(largest, 536u);
  }
}

TEST_F(OptionsTest, timestamps_need_room) {
  Peer peer(*this, {.mss = 1000, .timestamps = true});
  peer.open();
  EXPECT_EQ(largest_payload(peer, pattern(9000)), 988u);  // RFC 9293 section 3.7.1
}

TEST_F(OptionsTest, a_late_mss_is_ignored) {
  Peer peer(*this);
  peer.open();
  Segment late = peer.segment(kAck);
  late.mss = 100;
  late.window_scale = 3;
  peer.deliver(late);
  EXPECT_EQ(largest_payload(peer, pattern(9000)), 1000u);
}

// RFC 7323 section 2.3: more than 14 is taken as 14.
TEST_F(OptionsTest, a_window_scale_beyond_14) {
  Peer peer(*this, {.window_scale = 200, .window = 65535});
  peer.open();
  peer.window = 1;
  peer.ack();
  send_all(pattern(20'000));
  Bytes received = peer.receive();
  peer.ack();
  received = received + peer.receive();
  // With 14 the window is 16,384 bytes; with 200 it would be nothing, or anything.
  EXPECT_GE(received.size(), 16'000u);
}

TEST_F(OptionsTest, windows_are_scaled) {
  Peer peer(*this, {.window_scale = 7, .window = 1000});
  peer.open();
  peer.window = 20;  // 2,560 bytes
  peer.ack();
  send_all(pattern(10'000));
  const size_t sent = peer.receive().size();
  EXPECT_GT(sent, 1000u);
  EXPECT_LE(sent, 2560u);
}

// RFC 7323 section 5.4: our clock runs in milliseconds.
TEST_F(OptionsTest, our_timestamps) {
  Peer peer(*this, {.timestamps = true});
  peer.open();
  const uint32_t first = peer.other_syn.timestamps->value;
  advance(100 * kMs);
  send_all(pattern(10));
  const Segment data = peer.next();
  ASSERT_TRUE(data.timestamps.has_value());
  EXPECT_EQ(data.timestamps->value - first, 100u);
  EXPECT_EQ(data.timestamps->echo, peer.timestamp);
}

// RFC 7323 section 4.3: an acknowledgement echoes the earliest segment that it acknowledges.
TEST_F(OptionsTest, a_delayed_acknowledgement_echoes_the_first_timestamp) {
  Peer peer(*this, {.mss = 1000, .timestamps = true});
  peer.open();
  peer.timestamp = 7000;
  peer.send(kAck, pattern(500));
  peer.timestamp = 7010;
  peer.send(kAck, pattern(500));
  advance(kSecond);
  const Segment ack = peer.all().back();
  EXPECT_EQ(ack.timestamps->echo, 7000u);
  peer.timestamp = 7020;
  peer.send(kAck, pattern(500));
  advance(kSecond);
  EXPECT_EQ(peer.all().back().timestamps->echo, 7020u);
}

TEST_F(OptionsTest, a_gap_is_acknowledged_with_the_timestamp_before_it) {
  Peer peer(*this, {.timestamps = true});
  peer.open();
  peer.timestamp = 7000;
  Segment ahead = peer.segment(kAck, pattern(500));
  ahead.sequence += 500;
  peer.deliver(ahead);
  EXPECT_EQ(peer.next().timestamps->echo, 5000u);
  peer.timestamp = 7010;
  peer.deliver(peer.segment(kAck, pattern(500)));
  EXPECT_EQ(peer.next().timestamps->echo, 7010u) << "of the segment that fills the gap";
}

}  // namespace
}  // namespace weir::net::tcp
