#include <random>

#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

class SendTest : public TcpTest {
 protected:
  SendResult hold(const Bytes& bytes) { return tcp().send_held(connection(), owner().hold(bytes)); }
};

TEST_F(SendTest, small_sends_share_a_segment) {
  Peer peer(*this);
  peer.open();
  send_all(pattern(1000), 20);
  const Segment data = peer.next();
  EXPECT_EQ(data.payload, pattern(1000));
  EXPECT_TRUE((data.flags & kPsh) != 0) << "RFC 9293 section 3.9.1.2 (MUST-61)";
  peer.expect_silence();
}

TEST_F(SendTest, nothing_is_sent_before_flush) {
  Peer peer(*this);
  peer.open();
  ASSERT_EQ(send(pattern(10)), SendResult::ok);
  peer.expect_silence();
  flush();
  EXPECT_EQ(peer.receive(), pattern(10));
}

TEST_F(SendTest, large_sends_are_cut) {
  Peer peer(*this);
  peer.open();
  ASSERT_EQ(send(pattern(2500)), SendResult::ok);
  flush();
  std::vector<Segment> sent = peer.all();
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[0].payload.size(), 1000u);
  EXPECT_EQ(sent[2].payload.size(), 500u);
  EXPECT_EQ(sent[0].payload + sent[1].payload + sent[2].payload, pattern(2500));
  EXPECT_TRUE((sent[2].flags & kPsh) != 0);
}

TEST_F(SendTest, empty_sends_do_nothing) {
  Peer peer(*this);
  peer.open();
  EXPECT_EQ(send({}), SendResult::ok);
  flush();
  advance(kSecond);
  peer.expect_silence();
}

TEST_F(SendTest, held_bytes_go_out_by_reference) {
  Peer peer(*this);
  peer.open();
  ASSERT_EQ(hold(pattern(5000)), SendResult::ok);
  flush();
  EXPECT_EQ(count(Counter::referenced_tx_bytes) + count(Counter::copied_tx_bytes), 0u)
      << "counted by whoever calls, if at all";
  EXPECT_EQ(peer.receive(), pattern(5000));
  EXPECT_EQ(owner().released_count, 0u);
  peer.ack(peer.acknowledgment - 1);
  EXPECT_EQ(owner().released_count, 0u);
  peer.ack(peer.acknowledgment + 1);
  EXPECT_EQ(owner().released_count, 1u);
}

// HeldBuffer: the port does not look at the bytes any more, either.
TEST_F(SendTest, held_bytes_are_kept_while_the_port_has_them) {
  Peer peer(*this);
  peer.open();
  output().holds_frames = true;
  ASSERT_EQ(hold(pattern(3000)), SendResult::ok);
  flush();
  EXPECT_EQ(peer.receive(), pattern(3000));
  peer.ack();
  EXPECT_EQ(owner().released_count, 0u);
  output().release_frames();
  output().holds_frames = false;
  flush();
  advance(kSecond);
  EXPECT_EQ(owner().released_count, 1u);
}

TEST_F(SendTest, held_bytes_are_kept_while_the_port_has_them_after_abort) {
  Peer peer(*this);
  peer.open();
  output().holds_frames = true;
  ASSERT_EQ(hold(pattern(3000)), SendResult::ok);
  flush();
  abort();
  EXPECT_EQ(owner().released_count, 0u);
  output().release_frames();
  flush();
  advance(kSecond);
  EXPECT_EQ(owner().released_count, 1u);
}

TEST_F(SendTest, held_bytes_come_back_however_a_connection_ends) {
  for (int way = 0; way < 6; way++) {
    start(small());
    CountingOwner& owner = this->owner();
    Peer peer(*this, {.window = 4000});
    peer.open();
    ASSERT_EQ(hold(pattern(3000)), SendResult::ok);
    ASSERT_EQ(hold(pattern(3000)), SendResult::ok);
    if (way != 5) flush();
    if (way == 0) abort();
    if (way == 1) peer.deliver(peer.segment(kRst));
    if (way == 2) advance(2000 * kSecond);
    if (way == 3) start(small());
    if (way == 4) {
      tcp().close(connection());
      for (int i = 0; i < 5; i++) {
        peer.receive();
        peer.ack();
      }
    }
    if (way == 5) events().abort(flow());
    EXPECT_EQ(owner.released_count, 2u) << way;
  }
}

TEST_F(SendTest, held_and_copied_bytes_keep_their_order) {
  for (uint64_t seed = 1; seed <= 30; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    start(small());
    Peer peer(*this, {.initial_sequence = static_cast<uint32_t>(random())});
    peer.open();
    Bytes stream, received;
    uint32_t held = 0;
    for (int i = 0; i < 200; i++) {
      const size_t sizes[] = {1 + random() % 9, 1 + random() % 300, 1 + random() % 5000};
      const Bytes bytes = pattern(sizes[random() % 3], static_cast<uint8_t>(random()));
      stream = stream + bytes;
      if (random() % 2 == 0) {
        ASSERT_EQ(hold(bytes), SendResult::ok);
        held++;
      } else {
        ASSERT_EQ(send(bytes), SendResult::ok);
      }
      if (random() % 3 == 0) flush();
      if (random() % 3 == 0) {
        received = received + peer.receive();
        peer.ack();
      }
    }
    flush();
    for (int i = 0; i < 1000 && received.size() < stream.size(); i++) {
      received = received + peer.receive();
      peer.ack();
    }
    EXPECT_EQ(received, stream);  // CapturingOutput checks the checksums
    EXPECT_EQ(owner().released_count, held);
    abort();
  }
}

TEST_F(SendTest, odd_pieces_are_summed_up_right) {
  Peer peer(*this);
  peer.open();
  Bytes stream;
  for (const size_t length : {1, 3, 257, 1, 1, 300, 7, 2, 259, 31}) {
    stream = stream + pattern(length, static_cast<uint8_t>(length));
    const Bytes bytes = pattern(length, static_cast<uint8_t>(length));
    ASSERT_EQ(length > 256 ? hold(bytes) : send(bytes), SendResult::ok);
  }
  flush();
  EXPECT_EQ(peer.receive(), stream);
}

// More pieces than one segment can be put together from.
TEST_F(SendTest, many_small_pieces) {
  Peer peer(*this);
  peer.open();
  Bytes stream;
  for (int i = 0; i < 700; i++) {
    const Bytes bytes = pattern(1 + i % 3, static_cast<uint8_t>(i));
    stream = stream + bytes;
    ASSERT_EQ(i % 5 == 4 ? send(bytes) : hold(bytes), SendResult::ok);
  }
  close();
  Bytes received;
  for (int i = 0; i < 100 && peer.has_next(); i++) {
    received = received + peer.receive();
    peer.ack();
  }
  EXPECT_EQ(received, stream);
  peer.send(kFin | kAck);
  EXPECT_EQ(flow().closed, CloseReason::finished);
}

TEST_F(SendTest, repeated_bytes_are_read_again) {
  Peer peer(*this);
  peer.open();
  ASSERT_EQ(hold(pattern(2500)), SendResult::ok);
  ASSERT_EQ(send(pattern(123, 9)), SendResult::ok);
  flush();
  peer.forget();
  Bytes received;
  for (int i = 0; i < 20 && received.size() < 2623; i++) {
    advance_until_sent(10 * kSecond);
    received = received + peer.receive();
    peer.ack();
  }
  EXPECT_EQ(received, pattern(2500) + pattern(123, 9));
}

TEST_F(SendTest, a_connection_queues_so_much) {
  StackConfig config = small();
  config.send_buffer_bytes = 5000;
  start(config);
  Peer peer(*this);
  peer.open();
  EXPECT_EQ(hold(pattern(5001)), SendResult::limit);
  EXPECT_EQ(hold(pattern(4900)), SendResult::ok);
  EXPECT_EQ(send(pattern(101)), SendResult::limit);
  EXPECT_EQ(send(pattern(100)), SendResult::ok);
  EXPECT_EQ(send(pattern(1)), SendResult::limit);
  flush();
  EXPECT_EQ(peer.receive(), pattern(4900) + pattern(100));
  EXPECT_EQ(send(pattern(1)), SendResult::limit) << "not acknowledged yet";
  peer.ack();
  EXPECT_EQ(send(pattern(1)), SendResult::ok);
  EXPECT_EQ(owner().released_count, 1u) << "what was refused was not taken";
  flush();
  EXPECT_EQ(peer.receive(), pattern(1));
}

TEST_F(SendTest, all_connections_copy_so_much) {
  StackConfig config = small();
  config.send_copy_bytes = 512 * 1024;
  start(config);
  Peer peer(*this), other(*this, {.port = 40001});
  peer.open();
  other.open();
  uint64_t taken = 0;
  SendResult result = SendResult::ok;
  while (result == SendResult::ok && taken < 1024 * 1024) {
    result = tcp().send_copy(*events().flows[taken / 200 % 2].connection, pattern(200));
    if (result == SendResult::ok) taken += 200;
  }
  EXPECT_EQ(result, SendResult::no_memory);
  EXPECT_LE(taken, 512u * 1024);
  EXPECT_GT(taken, 100u * 1024);
  events().abort(events().flows[0]);
  EXPECT_EQ(tcp().send_copy(*events().flows[1].connection, pattern(200)), SendResult::ok);
}

TEST_F(SendTest, acknowledged_bytes_are_told) {
  events().wants_acknowledged = true;
  Peer peer(*this);
  peer.open();
  EXPECT_EQ(flow().acknowledged_bytes, 0u) << "a SYN is no byte";
  send_all(pattern(3000));
  const uint32_t first = peer.acknowledgment;
  peer.forget();
  peer.ack(first + 1500);
  EXPECT_EQ(flow().acknowledged_bytes, 1500u);
  peer.ack(first + 1500);
  EXPECT_EQ(flow().acknowledged_bytes, 1500u);
  close();
  peer.forget();
  peer.ack(first + 3001);
  EXPECT_EQ(flow().acknowledged_bytes, 3000u) << "nor is a FIN";
}

TEST_F(SendTest, acknowledged_bytes_are_not_told_unless_asked_for) {
  Peer peer(*this);
  peer.open();
  send_all(pattern(1000));
  peer.receive();
  peer.ack();
  EXPECT_EQ(flow().acknowledged_bytes, 0u);
  connection().wants_acknowledged = true;
  send_all(pattern(1000));
  peer.receive();
  peer.ack();
  EXPECT_EQ(flow().acknowledged_bytes, 1000u);
}

TEST_F(SendTest, without_buffers_it_is_sent_later) {
  Peer peer(*this);
  peer.open();
  {
    const Drained headers(*headers_);
    const Drained frames(*frames_);
    ASSERT_EQ(send(pattern(200)), SendResult::ok);
    ASSERT_EQ(hold(pattern(1000, 9)), SendResult::ok);
    flush();
    peer.expect_silence();
  }
  EXPECT_GT(count(Counter::drop_no_mbuf), 0u);
  Bytes received;
  for (int i = 0; i < 20 && received.size() < 1200; i++) {
    advance_until_sent(10 * kSecond);
    received = received + peer.receive();
    peer.ack();
  }
  EXPECT_EQ(received, pattern(200) + pattern(1000, 9));
  EXPECT_EQ(owner().released_count, 1u);
}

TEST_F(SendTest, without_buffers_a_handshake_is_made_up_for) {
  Peer peer(*this);
  {
    const Drained headers(*headers_);
    EXPECT_NE(connect(9000), nullptr);
  }
  advance_until_sent(10 * kSecond);
  Peer other(*this, {.port = 9000});
  other.accept();
  EXPECT_EQ(flow().opened, 1u);
}

TEST_F(SendTest, without_buffers_a_fin_and_an_acknowledgement_are_made_up_for) {
  Peer peer(*this);
  peer.open();
  const Bytes data[] = {peer.encoded(peer.segment(kAck, pattern(100)))};
  const Drained* headers = new Drained(*headers_);
  input(data, peer.address());
  tcp().close(connection());
  flush();
  advance(100 * kMs);
  delete headers;
  peer.expect_silence();
  peer.sequence += 100;
  advance_until_sent(10 * kSecond);
  const Segment fin = peer.next();
  EXPECT_TRUE(fin.is(kFin | kAck)) << fin;
  EXPECT_EQ(fin.acknowledgment, peer.sequence);
}

class LargeSendTest : public TcpTest {
 protected:
  LargeSendTest() {
    StackConfig config = small();
    config.large_send_bytes = 65535;
    start(config);
  }
};

TEST_F(LargeSendTest, a_port_that_cuts_gets_long_segments) {
  Peer peer(*this, {.sack = true});
  peer.open();
  send_all(pattern(20'000), 2000);
  // An initial window of 10 segments at once.
  ASSERT_EQ(output().sent.size(), 1u);
  EXPECT_EQ(output().sent[0].cut_bytes, 1000);
  const Segment first = peer.next();
  EXPECT_EQ(first.payload.size(), 10'000u);
  peer.ack(first.end());
  const Segment second = peer.next();
  EXPECT_EQ(first.payload + second.payload, pattern(20'000));
}

TEST_F(LargeSendTest, what_was_lost_of_it_goes_out_in_segments) {
  Peer peer(*this, {.sack = true, .handshake_us = 10 * kMs});
  peer.open();
  send_all(pattern(10'000), 2000);
  const Segment all = peer.next();
  advance(10 * kMs);
  peer.acknowledgment = all.sequence;
  Segment report = peer.segment(kAck);
  report.sacks = {{all.sequence + 2500, all.end()}};
  peer.deliver(report);
  peer.deliver(report);
  Bytes again;
  while (again.size() < 2500) {
    advance_until_sent(kSecond);
    const Segment segment = peer.next();
    ASSERT_TRUE(!segment.payload.empty() && segment.payload.size() <= 1000u) << segment;
    again = again + segment.payload;
    peer.acknowledgment = segment.end();
    Segment more = peer.segment(kAck);
    more.sacks = report.sacks;
    peer.deliver(more);
  }
  const Bytes lost = pattern(10'000);
  EXPECT_EQ(again, Bytes(lost.begin(), lost.begin() + 2500));
}

TEST_F(LargeSendTest, many_small_pieces_make_shorter_ones) {
  Peer peer(*this, {.sack = true});
  peer.open();
  // Bytes by reference are a piece each.
  for (int i = 0; i < 100; i++)
    ASSERT_EQ(tcp().send_held(connection(), owner().hold(pattern(90))), SendResult::ok);
  flush();
  Bytes received;
  for (const auto& sent : output().sent) {
    EXPECT_LE(sent.mbuf_segments, 49);
    received = received + sent.segment.payload;
  }
  Bytes expected;
  for (int i = 0; i < 100; i++) expected = expected + pattern(90);
  EXPECT_EQ(received, expected);
}

}  // namespace
}  // namespace weir::net::tcp
