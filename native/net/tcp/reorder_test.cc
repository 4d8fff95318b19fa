#include <random>

#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

class ReorderTest : public TcpTest {
 protected:
  /// The bytes of a stream from `at` on, as a segment.
  static Segment part(const Peer& peer, const Bytes& stream, size_t at, size_t length) {
    length = std::min(length, stream.size() - at);
    Segment segment = peer.segment(kAck, Bytes(stream.begin() + at, stream.begin() + at + length));
    segment.sequence += static_cast<uint32_t>(at);
    return segment;
  }
  static Bytes random_bytes(std::mt19937_64& random, size_t length) {
    Bytes bytes(length);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    return bytes;
  }
  /// Each event brings bytes that are right and new.
  void expect_prefixes_of(const Bytes& stream) {
    events().data_hook = [&stream](Flow& flow, const Bytes& bytes) {
      const size_t at = flow.received.size();
      EXPECT_LE(at + bytes.size(), stream.size());
      EXPECT_TRUE(at + bytes.size() <= stream.size() &&
                  std::equal(bytes.begin(), bytes.end(), stream.begin() + at));
      return true;
    };
  }
  size_t frames_held() const { return kPoolBuffers - frames_->free_count(); }
};

TEST_F(ReorderTest, every_gap_is_told_at_once) {
  Peer peer(*this);
  peer.open();
  const Bytes stream = pattern(5000);
  for (const size_t at : {1000, 3000, 2000, 4000}) {
    peer.deliver(part(peer, stream, at, 1000));
    const Segment duplicate = peer.next();
    EXPECT_EQ(duplicate.acknowledgment, peer.sequence) << duplicate;
    peer.expect_silence();
  }
  EXPECT_EQ(count(Counter::tcp_out_of_order), 4u);
  EXPECT_TRUE(flow().received.empty());
  peer.deliver(part(peer, stream, 0, 1000));
  EXPECT_EQ(flow().received, stream);
  const Segment ack = peer.next();  // RFC 5681 section 4.2: at once too
  EXPECT_EQ(ack.acknowledgment, peer.sequence + 5000);
}

TEST_F(ReorderTest, random_overlaps_against_the_stream) {
  for (uint64_t seed = 1; seed <= 60; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    start(small());
    Peer peer(*this, {.initial_sequence = static_cast<uint32_t>(random())});
    peer.open();
    const Bytes stream = random_bytes(random, 1 + random() % 20'000);
    expect_prefixes_of(stream);
    for (int i = 0; i < 200; i++) {
      const size_t at = random() % stream.size();
      peer.deliver(part(peer, stream, at, 1 + random() % 1400));
      if (random() % 8 == 0) advance(random() % 100 * kMs);
      for (const Segment& ack : peer.all())
        EXPECT_EQ(ack.acknowledgment, peer.sequence + flow().received.size()) << ack;
    }
    for (size_t at = flow().received.size(); at < stream.size(); at = flow().received.size()) {
      peer.deliver(part(peer, stream, at, 1400));
      ASSERT_GT(flow().received.size(), at);
    }
    EXPECT_EQ(flow().received, stream);
    EXPECT_EQ(frames_held(), 0u) << "segments that were overtaken are still kept";
    peer.forget();
    peer.sequence += static_cast<uint32_t>(stream.size());
    peer.send(kFin | kAck);
    EXPECT_TRUE(flow().ended);
    abort();
  }
}

TEST_F(ReorderTest, whole_batches_in_any_order) {
  for (uint64_t seed = 1; seed <= 30; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    start(small());
    Peer peer(*this);
    peer.open();
    const Bytes stream = random_bytes(random, 30'000);
    expect_prefixes_of(stream);
    std::vector<Bytes> batch;
    for (size_t at = 0; at < stream.size(); at += 1000)
      batch.push_back(peer.encoded(part(peer, stream, at, 1000)));
    std::shuffle(batch.begin(), batch.end(), random);
    peer.deliver_bytes(batch);
    EXPECT_EQ(flow().received, stream);
    abort();
  }
}

TEST_F(ReorderTest, a_connection_keeps_so_many_segments) {
  StackConfig config = small();
  config.max_reorder_segments = 4;
  start(config);
  Peer peer(*this);
  peer.open();
  const Bytes stream = pattern(20'000);
  for (size_t at = 1000; at < 20'000; at += 2000) peer.deliver(part(peer, stream, at, 1000));
  EXPECT_LE(frames_held(), 4u);
  EXPECT_GT(count(Counter::drop_tcp_reorder_full), 0u);
  for (size_t at = 0; at < 20'000; at = flow().received.size())
    peer.deliver(part(peer, stream, at, 1000));
  EXPECT_EQ(flow().received, stream);
  EXPECT_EQ(frames_held(), 0u);
}

TEST_F(ReorderTest, all_connections_keep_so_many_segments) {
  StackConfig config = small();
  config.max_reorder_segments_total = 10;
  start(config);
  const Bytes stream = pattern(10'000);
  std::deque<Peer> peers;
  for (uint16_t i = 0; i < 5; i++) {
    peers.emplace_back(*this, PeerConfig{.port = static_cast<uint16_t>(40000 + i)});
    peers.back().open();
    for (size_t at = 1000; at < 10'000; at += 2000)
      peers.back().deliver(part(peers.back(), stream, at, 500));
    EXPECT_LE(frames_held(), 10u);
  }
  EXPECT_GT(count(Counter::drop_tcp_reorder_full), 0u);
  for (Peer& peer : peers) peer.deliver(peer.segment(kRst));
  EXPECT_EQ(frames_held(), 0u);
  // What was given back can be used again.
  Peer peer(*this, {.port = 41000});
  peer.open();
  peer.deliver(part(peer, stream, 1000, 1000));
  peer.deliver(part(peer, stream, 0, 1000));
  EXPECT_EQ(flow().received.size(), 2000u);
}

TEST_F(ReorderTest, what_is_kept_is_freed_with_the_connection) {
  const Bytes stream = pattern(5000);
  for (int way = 0; way < 4; way++) {
    start(small());
    Peer peer(*this);
    peer.open();
    peer.deliver(part(peer, stream, 1000, 1000));
    peer.deliver(part(peer, stream, 3000, 1000));
    EXPECT_EQ(frames_held(), 2u);
    if (way == 0) abort();
    if (way == 1) peer.deliver(peer.segment(kRst));
    if (way == 2) {
      ASSERT_EQ(send(pattern(10)), SendResult::ok);
      flush();
      advance(2000 * kSecond);
      EXPECT_EQ(flow().closed, CloseReason::timed_out);
    }
    if (way < 3) {
      EXPECT_EQ(frames_held(), 0u) << way;
    }
  }  // way 3: the destructor, and then the fixture's
}

TEST_F(ReorderTest, kept_segments_may_lie_in_several_buffers) {
  Peer peer(*this);
  peer.open();
  const Bytes stream = pattern(3000);
  const Bytes second[] = {peer.encoded(part(peer, stream, 1500, 1400))};
  const Bytes first[] = {peer.encoded(part(peer, stream, 0, 1460))};
  const Bytes middle[] = {peer.encoded(part(peer, stream, 1300, 300))};
  input(second, peer.address(), false, {60, 700, 13});
  input(middle, peer.address(), false, {54, 1, 2});
  input(first, peer.address(), false, {300});
  flush();
  EXPECT_EQ(flow().received, Bytes(stream.begin(), stream.begin() + 2900));
}

// FlowEvents::on_data: what is refused will be sent again.
TEST_F(ReorderTest, refused_bytes_come_again) {
  Peer peer(*this);
  peer.open();
  const Bytes stream = pattern(1000);
  bool full = true;
  events().data_hook = [&full](Flow&, const Bytes&) { return !full; };
  peer.deliver(part(peer, stream, 0, 1000));
  EXPECT_TRUE(flow().received.empty());
  for (const Segment& ack : peer.all())
    EXPECT_EQ(ack.acknowledgment, peer.sequence) << "acknowledged, but never taken: " << ack;
  EXPECT_EQ(count(Counter::drop_app_full), 1u);
  EXPECT_EQ(frames_held(), 0u);
  full = false;
  peer.deliver(part(peer, stream, 0, 1000));
  EXPECT_EQ(flow().received, stream);
}

TEST_F(ReorderTest, refused_bytes_with_a_fin_do_not_end) {
  Peer peer(*this);
  peer.open();
  bool full = true;
  events().data_hook = [&full](Flow&, const Bytes&) { return !full; };
  const Segment last = peer.segment(kFin | kAck, pattern(100));
  peer.deliver(last);
  EXPECT_FALSE(flow().ended);
  full = false;
  peer.deliver(last);
  EXPECT_EQ(flow().received, pattern(100));
  EXPECT_TRUE(flow().ended);
}

TEST_F(ReorderTest, refusing_at_random_loses_nothing) {
  for (uint64_t seed = 1; seed <= 30; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    start(small());
    Peer peer(*this);
    peer.open();
    const Bytes stream = random_bytes(random, 20'000);
    events().data_hook = [&](Flow& flow, const Bytes& bytes) {
      const size_t at = flow.received.size();
      EXPECT_TRUE(at + bytes.size() <= stream.size() &&
                  std::equal(bytes.begin(), bytes.end(), stream.begin() + at));
      return random() % 2 == 0;
    };
    for (int i = 0; i < 150; i++)
      peer.deliver(part(peer, stream, random() % stream.size(), 1 + random() % 1400));
    for (int i = 0; i < 1000 && flow().received.size() < stream.size(); i++)
      peer.deliver(part(peer, stream, flow().received.size(), 1000));
    EXPECT_EQ(flow().received, stream);
    EXPECT_EQ(frames_held(), 0u);
    abort();
  }
}

TEST_F(ReorderTest, delayed_acknowledgements) {
  Peer peer(*this);
  peer.open();
  // RFC 9293 section 3.8.6.3 (MUST-58, SHLD-18): every second full segment, and within 500 ms.
  peer.send(kAck, pattern(1000));
  peer.expect_silence();
  peer.send(kAck, pattern(1000));
  peer.expect_ack();
  peer.send(kAck, pattern(10));
  peer.expect_silence();
  const uint64_t sent_us = now_us();
  advance_until_sent(kSecond);
  const Segment ack = peer.expect_ack();
  EXPECT_NEAR(ack.at_us - sent_us, 40 * kMs, 2 * kMs);
  EXPECT_EQ(count(Counter::tcp_delayed_acks), 1u);
  // It rides on data where there is some.
  peer.send(kAck, pattern(10));
  send_all(pattern(20));
  const Segment data = peer.next();
  EXPECT_EQ(data.acknowledgment, peer.sequence);
  peer.acknowledgment = data.end();
  peer.ack();
  advance(kSecond);
  peer.expect_silence();
}

}  // namespace
}  // namespace weir::net::tcp
