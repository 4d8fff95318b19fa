// Handlers that act on connections from within an event.
#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

class ReentrancyTest : public TcpTest {
 protected:
  SendResult send_from(Flow& flow, const Bytes& bytes) {
    return tcp().send_copy(*flow.connection, bytes);
  }
};

TEST_F(ReentrancyTest, send_when_opened) {
  events().opened_hook = [&](Flow& flow) {
    return send_from(flow, pattern(100)) == SendResult::ok;
  };
  Peer peer(*this);
  peer.open();
  EXPECT_EQ(peer.receive(), pattern(100));
}

TEST_F(ReentrancyTest, send_when_opened_outbound) {
  events().opened_hook = [&](Flow& flow) {
    return send_from(flow, pattern(100)) == SendResult::ok;
  };
  ASSERT_NE(connect(9000), nullptr);
  Peer peer(*this, {.port = 9000});
  const Segment syn = peer.next();
  peer.local_port = syn.source_port;
  peer.acknowledgment = syn.end();
  peer.send(kSyn | kAck);
  EXPECT_EQ(peer.receive(), pattern(100));
}

TEST_F(ReentrancyTest, send_and_close_when_opened) {
  events().opened_hook = [&](Flow& flow) {
    EXPECT_EQ(send_from(flow, pattern(100)), SendResult::ok);
    tcp().close(*flow.connection);
    return true;
  };
  Peer peer(*this);
  peer.open();
  EXPECT_EQ(peer.receive(), pattern(100));
  peer.send(kFin | kAck);
  EXPECT_EQ(flow().closed, CloseReason::finished);
}

TEST_F(ReentrancyTest, abort_when_opened) {
  uint16_t port = 40000;
  for (const bool result : {true, false}) {
    events().opened_hook = [&](Flow& flow) {
      events().abort(flow);
      return result;
    };
    Peer peer(*this, {.port = port++});
    peer.send(kSyn);
    peer.expect(kSyn | kAck);
    peer.send(kAck | kFin, pattern(100));
    EXPECT_EQ(tcp().connection_count(), 0u);
    size_t resets = 0;
    for (const Segment& segment : peer.all()) resets += (segment.flags & kRst) != 0;
    EXPECT_EQ(resets, 1u);
    EXPECT_TRUE(flow().received.empty());
  }
}

TEST_F(ReentrancyTest, refuse_when_opened_with_data) {
  events().accepts_connections = false;
  Peer peer(*this);
  peer.send(kSyn);
  peer.expect(kSyn | kAck);
  const Segment data = peer.segment(kAck, pattern(100));
  Segment more = peer.segment(kAck | kFin, pattern(100));
  more.sequence += 100;
  peer.deliver_batch({data, more});
  EXPECT_EQ(tcp().connection_count(), 0u);
  for (const Segment& segment : peer.all()) EXPECT_TRUE((segment.flags & kRst) != 0) << segment;
}

TEST_F(ReentrancyTest, echo) {
  events().data_hook = [&](Flow& flow, const Bytes& bytes) {
    return send_from(flow, bytes) == SendResult::ok;
  };
  Peer peer(*this);
  peer.open();
  Bytes echoed;
  for (int i = 0; i < 50; i++) {
    peer.send(kAck | kPsh, pattern(1000, static_cast<uint8_t>(i)));
    const Segment answer = peer.next();
    EXPECT_EQ(answer.acknowledgment, peer.sequence) << "one segment both answers and acknowledges";
    EXPECT_EQ(answer.payload, pattern(1000, static_cast<uint8_t>(i)));
    peer.acknowledgment = answer.end();
    peer.expect_silence();
  }
}

TEST_F(ReentrancyTest, close_when_data_comes) {
  events().data_hook = [&](Flow& flow, const Bytes&) {
    tcp().close(*flow.connection);
    return true;
  };
  Peer peer(*this);
  peer.open();
  const Segment data = peer.segment(kAck, pattern(100));
  Segment more = peer.segment(kAck | kFin, pattern(100));
  more.sequence += 100;
  peer.deliver_batch({data, more});
  EXPECT_EQ(flow().received.size(), 200u);
  EXPECT_TRUE(flow().ended);
  peer.sequence += 201;
  const Segment fin = peer.expect(kFin | kAck);
  peer.ack();
  EXPECT_EQ(flow().closed, CloseReason::finished);
}

TEST_F(ReentrancyTest, abort_when_data_comes) {
  for (int with_gap = 0; with_gap < 2; with_gap++) {
    for (const bool result : {true, false}) {
      start(small());
      events().data_hook = [&](Flow& flow, const Bytes&) {
        events().abort(flow);
        return result;
      };
      Peer peer(*this);
      peer.open();
      const Segment first = peer.segment(kAck, pattern(100));
      Segment second = peer.segment(kAck, pattern(100));
      second.sequence += 100;
      Segment last = peer.segment(kAck | kFin, pattern(100));
      last.sequence += 200;
      if (with_gap == 1)
        peer.deliver_batch({second, last, first, first});
      else
        peer.deliver_batch({first, second, last});
      EXPECT_EQ(tcp().connection_count(), 0u);
      size_t resets = 0;
      for (const Segment& segment : peer.all()) resets += (segment.flags & kRst) != 0;
      EXPECT_GE(resets, 1u);
    }
  }
}

TEST_F(ReentrancyTest, abort_another_connection_of_the_batch) {
  Peer first(*this), second(*this, {.port = 40001});
  first.open();
  second.open();
  events().data_hook = [&](Flow& flow, const Bytes&) {
    Flow& other = events().flows[&flow == &events().flows[0] ? 1 : 0];
    if (!other.gone) events().abort(other);
    return true;
  };
  const Bytes batch[] = {first.encoded(first.segment(kAck, pattern(100))),
                         second.encoded(second.segment(kAck, pattern(100))),
                         second.encoded(second.segment(kAck | kFin)),
                         first.encoded(first.segment(kAck, pattern(100)))};
  input(batch, first.address());
  flush();
  EXPECT_EQ(tcp().connection_count(), 1u);
  EXPECT_EQ(events().flows[0].received, pattern(100));
  EXPECT_TRUE(events().flows[1].received.empty());
}

// A new connection begins where one has just ended, while segments of the old one wait in the
// batch.
TEST_F(ReentrancyTest, connect_within_a_batch) {
  StackConfig config = small();
  config.max_connections = 2;
  start(config);
  Peer peer(*this);
  peer.open();
  events().data_hook = [&](Flow& flow, const Bytes&) {
    events().abort(flow);
    const uint32_t user = events().add_outbound();
    EXPECT_NE(tcp().connect({Address::v4(kPeer), 9000}, events(), user), nullptr);
    return true;
  };
  const Segment data = peer.segment(kAck, pattern(100));
  Segment more = peer.segment(kAck | kFin, pattern(100));
  more.sequence += 100;
  peer.deliver_batch({data, more});
  EXPECT_EQ(tcp().connection_count(), 1u);
  EXPECT_FALSE(events().back().closed.has_value());
  EXPECT_TRUE(events().back().received.empty());
  events().data_hook = nullptr;
  Peer other(*this, {.port = 9000});
  other.accept();
  EXPECT_EQ(flow().opened, 1u);
}

TEST_F(ReentrancyTest, close_when_the_peer_ends) {
  events().end_hook = [&](Flow& flow) {
    EXPECT_EQ(send_from(flow, pattern(100)), SendResult::ok);
    tcp().close(*flow.connection);
  };
  Peer peer(*this);
  peer.open();
  peer.send(kFin | kAck, pattern(10));
  EXPECT_EQ(peer.receive(), pattern(100));
  peer.ack();
  EXPECT_EQ(flow().closed, CloseReason::finished);
  EXPECT_EQ(tcp().connection_count(), 0u);
}

TEST_F(ReentrancyTest, abort_when_the_peer_ends) {
  events().end_hook = [&](Flow& flow) { events().abort(flow); };
  uint16_t port = 40000;
  for (const bool closed : {false, true}) {
    Peer peer(*this, {.port = port++});
    peer.open();
    if (closed) {
      close();
      peer.expect(kFin | kAck);
    }
    peer.send(kFin | kAck, pattern(10));
    EXPECT_LE(tcp().connection_count(), closed ? 1u : 0u);
    EXPECT_FALSE(flow().closed.has_value());
    advance(100 * kSecond);
    EXPECT_EQ(tcp().connection_count(), 0u);
  }
}

TEST_F(ReentrancyTest, send_when_bytes_are_acknowledged) {
  events().wants_acknowledged = true;
  int rounds = 0;
  events().acknowledged_hook = [&](Flow& flow, uint32_t) {
    if (rounds++ < 5) {
      EXPECT_EQ(send_from(flow, pattern(10)), SendResult::ok);
    } else {
      tcp().close(*flow.connection);
    }
  };
  Peer peer(*this);
  peer.open();
  send_all(pattern(10));
  Bytes received;
  for (int i = 0; i < 10; i++) {
    received = received + peer.receive();
    peer.ack();
  }
  EXPECT_EQ(received.size(), 60u);
  peer.send(kFin | kAck);
  EXPECT_EQ(flow().closed, CloseReason::finished);
}

TEST_F(ReentrancyTest, abort_when_bytes_are_acknowledged) {
  events().wants_acknowledged = true;
  events().acknowledged_hook = [&](Flow& flow, uint32_t) { events().abort(flow); };
  Peer peer(*this);
  peer.open();
  send_all(pattern(2000));
  peer.receive();
  peer.send(kAck | kFin, pattern(100));
  EXPECT_TRUE(flow().gone);
  EXPECT_EQ(tcp().connection_count(), 0u);
  EXPECT_TRUE(flow().received.empty());
}

TEST_F(ReentrancyTest, connect_again_when_closed) {
  events().closed_hook = [&](Flow&) {
    events().closed_hook = nullptr;
    const uint32_t user = events().add_outbound();
    events().flows[user].connection = tcp().connect({Address::v4(kPeer), 9000}, events(), user);
    EXPECT_NE(events().flows[user].connection, nullptr);
  };
  Peer peer(*this);
  peer.open();
  peer.deliver(peer.segment(kRst));
  Peer other(*this, {.port = 9000});
  other.accept();
  other.send(kAck, pattern(10));
  EXPECT_EQ(flow().received, pattern(10));
  EXPECT_EQ(tcp().connection_count(), 1u);
}

TEST_F(ReentrancyTest, connect_again_when_timed_out) {
  ASSERT_NE(connect(9000), nullptr);
  events().closed_hook = [&](Flow& flow) {
    EXPECT_EQ(flow.closed, CloseReason::timed_out);
    const uint32_t user = events().add_outbound();
    events().flows[user].connection = tcp().connect({Address::v4(kPeer), 9000}, events(), user);
  };
  advance(1000 * kSecond);
  EXPECT_GE(events().flows.size(), 4u);
  EXPECT_EQ(tcp().connection_count(), 1u);
}

TEST_F(ReentrancyTest, abort_another_connection_when_closed) {
  Peer first(*this), second(*this, {.port = 40001});
  first.open();
  second.open();
  events().closed_hook = [&](Flow&) { events().abort(events().flows[1]); };
  first.deliver(first.segment(kRst));
  EXPECT_EQ(tcp().connection_count(), 0u);
}

// BufferOwner::release may call consume, and nothing else.
TEST_F(ReentrancyTest, consume_when_a_buffer_comes_back) {
  StackConfig config = small();
  config.receive_buffer_bytes = 2000;
  start(config);
  events().consumes = false;
  Peer peer(*this);
  peer.open();
  owner().release_hook = [&] { tcp().consume(connection(), 2000); };
  peer.send(kAck, pattern(1000));
  peer.send(kAck, pattern(1000));
  EXPECT_EQ(peer.all().back().window, 0);
  ASSERT_EQ(tcp().send_held(connection(), owner().hold(pattern(2000))), SendResult::ok);
  flush();
  EXPECT_EQ(peer.receive(), pattern(2000));
  peer.ack();
  EXPECT_EQ(owner().released_count, 1u);
  EXPECT_EQ(peer.all().back().window, 2000);
}

TEST_F(ReentrancyTest, a_handler_is_replaced_within_an_event) {
  RecordingEvents other;
  other.tcp = &tcp();
  Peer peer(*this);
  peer.open();
  events().data_hook = [&](Flow& flow, const Bytes&) {
    other.flows.push_back({.connection = flow.connection, .opened = 1});
    tcp().set_events(*flow.connection, other);
    return true;
  };
  const Segment data = peer.segment(kAck, pattern(100));
  Segment more = peer.segment(kAck | kFin, pattern(50));
  more.sequence += 100;
  peer.deliver_batch({data, more});
  EXPECT_EQ(flow().received, pattern(100));
  ASSERT_EQ(other.flows.size(), 1u);
  EXPECT_EQ(other.flows[0].received, pattern(50));
  EXPECT_TRUE(other.flows[0].ended);
  abort();
}

}  // namespace
}  // namespace weir::net::tcp
