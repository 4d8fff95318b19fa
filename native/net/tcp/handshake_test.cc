#include <set>

#include "net/tcp/testing/peer.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

using HandshakeTest = TcpTest;

TEST_F(HandshakeTest, passive_open) {
  Peer peer(*this, {.mss = 1460, .window_scale = 7, .timestamps = true});
  peer.send(kSyn);
  EXPECT_EQ(events().knocks, 1u);
  const Segment answer = peer.expect(kSyn | kAck);
  EXPECT_EQ(answer.mss, kMtuBytes - 40);
  EXPECT_TRUE(answer.window_scale.has_value());
  ASSERT_TRUE(answer.timestamps.has_value());
  EXPECT_EQ(answer.timestamps->echo, 5000u);
  EXPECT_EQ(answer.window, small().receive_buffer_bytes);
  EXPECT_TRUE(events().flows.empty()) << "opened before the handshake is over";

  peer.timestamps_agreed = true;
  peer.ack();
  peer.expect_silence();
  EXPECT_EQ(flow().opened, 1u);
  EXPECT_EQ(flow().tag, kListenerTag);
  EXPECT_FALSE(flow().outbound);
  EXPECT_EQ(connection().remote, (Endpoint{Address::v4(kPeer), 40000}));
  EXPECT_EQ(connection().local, (Endpoint{Address::v4(kOwn), kListenPort}));
  EXPECT_EQ(tcp().connection_count(), 1u);
  EXPECT_EQ(count(Counter::tcp_accepted), 1u);
}

// RFC 7323 sections 2.2 and 3.2: an answer has only the options that the SYN had.
TEST_F(HandshakeTest, passive_open_without_options) {
  Peer peer(*this, {.mss = {}});
  peer.send(kSyn);
  const Segment answer = peer.expect(kSyn | kAck);
  EXPECT_EQ(answer.mss, kMtuBytes - 40);
  EXPECT_FALSE(answer.window_scale.has_value());
  EXPECT_FALSE(answer.timestamps.has_value());
}

TEST_F(HandshakeTest, window_of_a_syn_is_not_scaled) {
  StackConfig config = small();
  config.receive_buffer_bytes = config.first_receive_buffer_bytes = 256 * 1024;
  start(config);
  Peer peer(*this, {.window_scale = 7});
  peer.send(kSyn);
  const Segment answer = peer.expect(kSyn | kAck);
  EXPECT_EQ(answer.window, 65535);
  peer.ack();
  peer.send(kAck, pattern(10));
  advance(kSecond);
  const Segment ack = peer.expect_ack();
  ASSERT_TRUE(answer.window_scale.has_value());
  const uint32_t window = uint32_t{ack.window} << *answer.window_scale;
  EXPECT_LE(window, 256u * 1024);
  EXPECT_GT(window, 250u * 1024);
}

TEST_F(HandshakeTest, an_mtu_gives_the_mss) {
  output().mtu = 576;
  Peer peer(*this, {.mss = 1460});
  peer.open();
  EXPECT_EQ(peer.other_syn.mss, 536);
  send_all(pattern(3000));
  EXPECT_EQ(peer.receive(), pattern(3000));  // CapturingOutput checks the size of each segment
}

TEST_F(HandshakeTest, an_answer_to_a_syn_is_repeated_and_given_up) {
  Peer peer(*this);
  peer.send(kSyn);
  const Segment first = peer.expect(kSyn | kAck);
  uint64_t wait_us = kSecond;
  uint64_t last_us = first.at_us;
  for (int retry = 0; retry < 5; retry++, wait_us *= 2) {  // RFC 6298 sections 2.1 and 5.5
    advance_until_sent(70 * kSecond);
    const Segment again = peer.next();
    ASSERT_TRUE(again.is(kSyn | kAck)) << again;
    EXPECT_EQ(again.sequence, first.sequence);
    EXPECT_NEAR(again.at_us - last_us, wait_us, 20 * kMs) << retry;
    last_us = again.at_us;
  }
  advance(300 * kSecond);
  EXPECT_EQ(tcp().connection_count(), 0u);
  EXPECT_TRUE(events().flows.empty()) << "nobody was told of it, so nobody hears of its end";
}

TEST_F(HandshakeTest, a_repeated_syn_opens_no_second_connection) {
  Peer peer(*this);
  peer.deliver(peer.segment(kSyn));
  const Segment first = peer.next();
  peer.deliver(peer.segment(kSyn));
  const Segment second = peer.next();
  EXPECT_EQ(second.acknowledgment, peer.sequence + 1);
  EXPECT_TRUE(second.sequence == first.sequence || second.is(kAck)) << second;
  EXPECT_EQ(tcp().connection_count(), 1u);
  peer.sequence++;
  peer.ack(first.end());
  EXPECT_EQ(events().flows.size(), 1u);
}

TEST_F(HandshakeTest, the_last_acknowledgement_may_carry_data_and_fin) {
  Peer peer(*this);
  peer.send(kSyn);
  peer.expect(kSyn | kAck);
  peer.send(kAck | kPsh | kFin, pattern(100));
  EXPECT_EQ(flow().received, pattern(100));
  EXPECT_TRUE(flow().ended);
  peer.expect_ack();
}

TEST_F(HandshakeTest, a_batch_may_hold_a_whole_conversation) {
  Peer peer(*this);
  const Segment syn = peer.segment(kSyn);
  peer.deliver(syn);
  peer.sequence++;
  peer.expect(kSyn | kAck);
  const Segment ack = peer.segment(kAck);
  Segment data = peer.segment(kAck, pattern(300));
  Segment fin = peer.segment(kAck | kFin);
  fin.sequence = data.end();
  peer.deliver_batch({ack, data, fin});
  EXPECT_EQ(flow().received, pattern(300));
  EXPECT_TRUE(flow().ended);
}

// Data with a SYN need not be kept (RFC 9293 section 3.10.7.2); it must not come twice.
TEST_F(HandshakeTest, data_with_a_syn_arrives_once) {
  Peer peer(*this);
  peer.deliver(peer.segment(kSyn, pattern(100)));
  const Segment answer = peer.next();
  ASSERT_TRUE(answer.is(kSyn | kAck)) << answer;
  peer.sequence++;
  EXPECT_TRUE(answer.acknowledgment == peer.sequence ||
              answer.acknowledgment == peer.sequence + 100);
  peer.acknowledgment = answer.end();
  peer.send(kAck, pattern(100));
  EXPECT_EQ(flow().received, pattern(100));
}

TEST_F(HandshakeTest, payload_may_lie_in_further_buffers) {
  Peer peer(*this);
  peer.open();
  const Bytes bytes[] = {peer.encoded(peer.segment(kAck, pattern(900)))};
  input(bytes, peer.address(), false, {kTransportOffsetBytes + 20 + 3, 100, 1});
  flush();
  EXPECT_EQ(flow().received, pattern(900));
}

TEST_F(HandshakeTest, active_open) {
  ASSERT_NE(connect(9000), nullptr);
  Peer peer(*this, {.port = 9000, .mss = 1460, .window_scale = 7, .timestamps = true});
  const Segment syn = peer.next();
  EXPECT_TRUE(syn.is(kSyn)) << syn;
  EXPECT_EQ(syn.acknowledgment, 0u);
  EXPECT_EQ(syn.mss, kMtuBytes - 40);
  EXPECT_TRUE(syn.window_scale.has_value());
  EXPECT_TRUE(syn.timestamps.has_value());
  EXPECT_GE(syn.source_port, 1024);
  EXPECT_EQ(flow().opened, 0u);

  peer.local_port = syn.source_port;
  peer.acknowledgment = syn.end();
  peer.timestamps_agreed = true;
  peer.send(kSyn | kAck);
  const Segment ack = peer.expect_ack();
  EXPECT_TRUE(ack.timestamps.has_value());
  EXPECT_EQ(flow().opened, 1u);
  EXPECT_EQ(connection().local.port, syn.source_port);
  EXPECT_EQ(connection().remote, (Endpoint{Address::v4(kPeer), 9000}));
  EXPECT_EQ(count(Counter::tcp_connected), 1u);
  peer.send(kAck, pattern(50));
  EXPECT_EQ(flow().received, pattern(50));
}

TEST_F(HandshakeTest, connections_out_have_ports_of_their_own) {
  std::set<uint16_t> ports;
  Peer peer(*this, {.port = 9000});
  for (int i = 0; i < 20; i++) {
    ASSERT_NE(connect(9000), nullptr);
    ports.insert(peer.next().source_port);
  }
  EXPECT_EQ(ports.size(), 20u);
}

TEST_F(HandshakeTest, a_syn_is_repeated_and_given_up) {
  ASSERT_NE(connect(9000), nullptr);
  Peer peer(*this, {.port = 9000});
  const Segment first = peer.next();
  uint64_t after_us = 0;
  for (int retry = 0; retry < 6; retry++) {
    after_us += kSecond << retry;  // RFC 6298 sections 2.1 and 5.5
    advance_until_sent(70 * kSecond);
    const Segment again = peer.next();
    EXPECT_TRUE(again.is(kSyn)) << again;
    EXPECT_EQ(again.sequence, first.sequence);
    EXPECT_NEAR(again.at_us - first.at_us, after_us, 50 * kMs) << retry;
    EXPECT_FALSE(flow().closed.has_value());
  }
  advance(70 * kSecond);
  peer.expect_silence();
  EXPECT_EQ(flow().closed, CloseReason::timed_out);
  EXPECT_EQ(tcp().connection_count(), 0u);
}

TEST_F(HandshakeTest, a_lost_syn_does_not_matter) {
  ASSERT_NE(connect(9000), nullptr);
  Peer peer(*this, {.port = 9000});
  peer.forget();
  advance_until_sent(2 * kSecond);
  peer.accept();
  EXPECT_EQ(flow().opened, 1u);
}

TEST_F(HandshakeTest, a_refused_connection) {
  ASSERT_NE(connect(9000), nullptr);
  Peer peer(*this, {.port = 9000});
  const Segment syn = peer.next();
  peer.local_port = syn.source_port;
  peer.sequence = 0;
  // RFC 9293 section 3.10.7.3: a reset counts if it acknowledges the SYN.
  peer.deliver(peer.segment(kRst));
  peer.acknowledgment = syn.sequence;
  peer.deliver(peer.segment(kRst | kAck));
  peer.acknowledgment = syn.end() + 1;
  peer.deliver(peer.segment(kRst | kAck));
  EXPECT_FALSE(flow().closed.has_value());
  peer.expect_silence();
  peer.acknowledgment = syn.end();
  peer.deliver(peer.segment(kRst | kAck));
  EXPECT_EQ(flow().closed, CloseReason::refused);
  EXPECT_EQ(tcp().connection_count(), 0u);
  peer.expect_silence();
}

// RFC 9293 section 3.10.7.3, first step.
TEST_F(HandshakeTest, an_acknowledgement_of_something_else_is_reset) {
  ASSERT_NE(connect(9000), nullptr);
  Peer peer(*this, {.port = 9000});
  const Segment syn = peer.next();
  peer.local_port = syn.source_port;
  for (const uint32_t wrong : {syn.sequence, syn.end() + 1}) {
    for (const int flags : {kAck, kSyn | kAck}) {
      peer.acknowledgment = wrong;
      peer.deliver(peer.segment(flags));
      const Segment reset = peer.next();
      EXPECT_TRUE(reset.is(kRst)) << reset;
      EXPECT_EQ(reset.sequence, wrong);
      EXPECT_FALSE(flow().closed.has_value());
    }
  }
  peer.acknowledgment = syn.end();
  peer.deliver(peer.segment(kAck));  // acceptable, but nothing follows from it
  peer.expect_silence();
  EXPECT_EQ(flow().opened, 0u);
  peer.send(kSyn | kAck);
  peer.expect_ack();
  EXPECT_EQ(flow().opened, 1u);
}

// RFC 9293 section 3.5, figure 8.
TEST_F(HandshakeTest, both_sides_open_at_once) {
  ASSERT_NE(connect(9000), nullptr);
  Peer peer(*this, {.port = 9000});
  const Segment syn = peer.next();
  peer.local_port = syn.source_port;
  const Segment theirs = peer.segment(kSyn);
  peer.deliver(theirs);
  const Segment answer = peer.next();
  EXPECT_TRUE(answer.is(kSyn | kAck)) << answer;
  EXPECT_EQ(answer.sequence, syn.sequence);
  EXPECT_EQ(answer.acknowledgment, theirs.end());
  EXPECT_EQ(flow().opened, 0u);
  peer.acknowledgment = syn.end();
  peer.deliver(peer.segment(kSyn | kAck));
  EXPECT_EQ(flow().opened, 1u);
  peer.sequence = theirs.end();
  peer.forget();
  peer.send(kAck, pattern(10));
  EXPECT_EQ(flow().received, pattern(10));
  EXPECT_EQ(tcp().connection_count(), 1u);
}

// RFC 9293 section 3.10.7.1.
TEST_F(HandshakeTest, answers_of_a_closed_port) {
  Peer peer(*this);
  peer.local_port = 81;
  peer.acknowledgment = 4711;

  peer.deliver(peer.segment(kSyn));
  Segment reset = peer.next();
  EXPECT_TRUE(reset.is(kRst | kAck)) << reset;
  EXPECT_EQ(reset.sequence, 0u);
  EXPECT_EQ(reset.acknowledgment, peer.sequence + 1);

  peer.deliver(peer.segment(kFin, pattern(10)));
  reset = peer.next();
  EXPECT_TRUE(reset.is(kRst | kAck)) << reset;
  EXPECT_EQ(reset.acknowledgment, peer.sequence + 11);

  for (const int flags : {kAck, kAck | kFin, kSyn | kAck}) {
    peer.deliver(peer.segment(flags, pattern(5)));
    reset = peer.next();
    EXPECT_TRUE(reset.is(kRst)) << reset;
    EXPECT_EQ(reset.sequence, 4711u);
  }
  for (const int flags : {kRst, kRst | kAck, kRst | kSyn}) {
    peer.deliver(peer.segment(flags));
    peer.expect_silence();
  }
  EXPECT_EQ(count(Counter::drop_tcp_no_port), 8u);
  EXPECT_EQ(count(Counter::tcp_resets_tx), 5u);
  EXPECT_EQ(tcp().connection_count(), 0u);
}

// RFC 9293 section 3.10.7.2.
TEST_F(HandshakeTest, answers_of_a_listener) {
  Peer peer(*this);
  peer.acknowledgment = 4711;
  for (const int flags : {kAck, kSyn | kAck, kAck | kFin}) {
    peer.deliver(peer.segment(flags, pattern(5)));
    const Segment reset = peer.next();
    EXPECT_TRUE(reset.is(kRst)) << reset;
    EXPECT_EQ(reset.sequence, 4711u);
  }
  for (const int flags : {kRst, kRst | kAck, kRst | kSyn}) {
    peer.deliver(peer.segment(flags));
    peer.expect_silence();
  }
  EXPECT_EQ(events().knocks, 0u);
  EXPECT_EQ(tcp().connection_count(), 0u);
}

TEST_F(HandshakeTest, the_handler_refuses_a_knock) {
  events().accepts_knocks = false;
  Peer peer(*this);
  peer.send(kSyn);
  peer.expect(kRst | kAck);
  EXPECT_EQ(count(Counter::drop_tcp_refused), 1u);
  EXPECT_EQ(tcp().connection_count(), 0u);
}

TEST_F(HandshakeTest, the_handler_refuses_a_connection) {
  events().accepts_connections = false;
  Peer peer(*this);
  peer.open();
  const Segment reset = peer.next();
  EXPECT_TRUE((reset.flags & kRst) != 0) << reset;
  EXPECT_EQ(reset.sequence, peer.acknowledgment);
  EXPECT_FALSE(flow().closed.has_value());
  EXPECT_EQ(tcp().connection_count(), 0u);
}

TEST_F(HandshakeTest, half_open_connections_are_bounded) {
  StackConfig config = small();
  config.max_half_open = 4;
  config.syn_cookies = false;
  start(config);
  std::deque<Peer> peers;
  for (uint16_t i = 0; i < 5; i++) {
    peers.emplace_back(*this, PeerConfig{.port = static_cast<uint16_t>(40000 + i)});
    peers.back().deliver(peers.back().segment(kSyn));
  }
  EXPECT_FALSE(peers[4].has_next()) << "dropped, so that the peer tries again";
  EXPECT_EQ(count(Counter::drop_tcp_backlog), 1u);
  peers[0].sequence++;
  peers[0].expect(kSyn | kAck);
  peers[0].ack();
  peers[4].open();
  EXPECT_EQ(events().flows.size(), 2u);
}

TEST_F(HandshakeTest, connections_are_bounded) {
  StackConfig config = small();
  config.max_connections = 4;
  start(config);
  std::deque<Peer> peers;
  for (uint16_t i = 0; i < 4; i++) {
    peers.emplace_back(*this, PeerConfig{.port = static_cast<uint16_t>(40000 + i)});
    peers.back().open();
  }
  Peer late(*this, {.port = 41000});
  late.deliver(late.segment(kSyn));
  EXPECT_EQ(count(Counter::drop_tcp_limit), 1u);
  EXPECT_EQ(events().flows.size(), 4u);
  EXPECT_EQ(tcp().connect({Address::v4(kPeer), 9000}, events(), 0), nullptr);
  EXPECT_EQ(tcp().connection_count(), 4u);
  late.forget();
  abort();
  late.open();
  EXPECT_EQ(events().flows.size(), 5u);
}

// RFC 9293 section 3.10.7.4, fifth step.
TEST_F(HandshakeTest, a_wrong_acknowledgement_of_our_syn_is_reset) {
  Peer peer(*this);
  peer.send(kSyn);
  const Segment answer = peer.expect(kSyn | kAck);
  for (const uint32_t wrong : {answer.sequence, answer.end() + 1}) {
    peer.ack(wrong);
    const Segment reset = peer.next();
    EXPECT_TRUE(reset.is(kRst)) << reset;
    EXPECT_EQ(reset.sequence, wrong);
  }
  EXPECT_TRUE(events().flows.empty());
  peer.ack(answer.end());
  EXPECT_EQ(flow().opened, 1u);
}

TEST_F(HandshakeTest, a_reset_in_syn_received_returns_to_listen) {
  Peer peer(*this);
  peer.send(kSyn);
  peer.expect(kSyn | kAck);
  peer.deliver(peer.segment(kRst));
  EXPECT_EQ(tcp().connection_count(), 0u);
  peer.ack();
  const Segment reset = peer.next();
  EXPECT_TRUE(reset.is(kRst)) << reset;
  EXPECT_TRUE(events().flows.empty());
}

TEST_F(HandshakeTest, listeners_come_and_go) {
  RecordingEvents others;
  EXPECT_FALSE(tcp().listen(kListenPort, others, 1)) << "taken";
  Peer peer(*this);
  peer.open();
  tcp().unlisten(kListenPort);
  peer.send(kAck, pattern(10));
  EXPECT_EQ(flow().received, pattern(10)) << "connections stay";
  Peer late(*this, {.port = 41000});
  late.send(kSyn);
  late.expect(kRst | kAck);
  EXPECT_TRUE(tcp().listen(kListenPort, events(), 9));
  Peer third(*this, {.port = 42000});
  third.open();
  EXPECT_EQ(flow().tag, 9u);
  for (uint16_t port = 100; port < 107; port++) EXPECT_TRUE(tcp().listen(port, events(), 1));
  EXPECT_FALSE(tcp().listen(107, events(), 1)) << "max_listeners";
}

TEST_F(HandshakeTest, who_listens_may_change_the_tag) {
  Peer early(*this);
  early.send(kSyn);
  early.expect(kSyn | kAck);
  EXPECT_TRUE(tcp().listen(kListenPort, events(), 9));
  early.ack();
  ASSERT_EQ(events().flows.size(), 1u);
  EXPECT_EQ(flow().tag, 9u) << "also for who is connecting";
  Peer late(*this, {.port = 41000});
  late.open();
  EXPECT_EQ(flow().tag, 9u);
}

TEST_F(HandshakeTest, unlisten_while_a_handshake_is_under_way) {
  Peer peer(*this);
  peer.send(kSyn);
  peer.expect(kSyn | kAck);
  tcp().unlisten(kListenPort);
  peer.ack();
  advance(200 * kSecond);
  // Either is sound: it was accepted, or it is reset; but never an event from a dead listener.
  EXPECT_EQ(tcp().connection_count(), events().flows.size());
}

TEST_F(HandshakeTest, a_wrong_checksum_is_dropped) {
  Peer peer(*this);
  Bytes syn[] = {peer.encoded(peer.segment(kSyn))};
  syn[0][4] ^= 1;
  peer.deliver_bytes(syn);
  peer.expect_silence();
  EXPECT_EQ(count(Counter::drop_tcp_checksum), 1u);
  syn[0][4] ^= 1;
  put16(syn[0], 16, 0);  // as a peer on this machine leaves it
  input(syn, peer.address(), true);
  flush();
  peer.sequence++;
  peer.expect(kSyn | kAck);
}

// RFC 6528 section 3: a clock of 4 us plus a keyed hash of the endpoints.
TEST_F(HandshakeTest, initial_sequence_numbers) {
  Peer peer(*this), other(*this, {.port = 40001});
  peer.deliver(peer.segment(kSyn));
  other.deliver(other.segment(kSyn));
  const uint32_t first = peer.next().sequence;
  EXPECT_GT(first - other.next().sequence, 1000u) << "one number tells another";
  peer.sequence++;
  peer.deliver(peer.segment(kRst));
  peer.sequence--;
  advance(800 * kMs);
  peer.deliver(peer.segment(kSyn));
  EXPECT_NEAR(peer.next().sequence - first, 200'000u, 1000);
}

TEST_F(HandshakeTest, on_a_machine_that_has_been_up_for_a_year) {
  set_start_us(366ull * 24 * 3600 * kSecond);
  start(small());
  ASSERT_NE(connect(9000), nullptr);
  Peer peer(*this, {.port = 9000});
  const Segment syn = peer.next();
  advance_until_sent(10 * kSecond);
  EXPECT_NEAR(peer.next().at_us - syn.at_us, kSecond, kMs);
}

TEST_F(HandshakeTest, no_route_no_connection) {
  EXPECT_EQ(connect(9000, kFar), nullptr);
  EXPECT_EQ(tcp().connection_count(), 0u);
}

// RFC 5461 section 4: a hard error ends only a connection that is being opened; RFC 5927 section
// 4.1: and only if it quotes a sequence number that is in flight.
TEST_F(HandshakeTest, icmp_errors) {
  ASSERT_NE(connect(9000), nullptr);
  Peer peer(*this, {.port = 9000});
  const Segment syn = peer.next();
  const auto quoted = [&](uint32_t sequence) {
    Bytes bytes(8);
    put16(bytes, 0, syn.source_port);
    put16(bytes, 2, 9000);
    put32(bytes, 4, sequence);
    return bytes;
  };
  const auto report = [&](uint32_t sequence, bool hard) {
    tcp().on_icmp_error(Address::v4(kOwn), Address::v4(kPeer), quoted(sequence),
                        {hard ? ip::DeliveryError::Kind::hard : ip::DeliveryError::Kind::soft});
    flush();
  };
  report(syn.sequence, false);
  report(syn.sequence - 1000, true);
  report(syn.sequence + 1000, true);
  EXPECT_FALSE(flow().closed.has_value());
  report(syn.sequence, true);
  EXPECT_EQ(flow().closed, CloseReason::unreachable);
  EXPECT_EQ(tcp().connection_count(), 0u);
}

TEST_F(HandshakeTest, an_icmp_error_does_not_end_an_open_connection) {
  ASSERT_NE(connect(9000), nullptr);
  Peer peer(*this, {.port = 9000});
  peer.accept();
  send_all(pattern(100));
  const Segment data = peer.next();
  Bytes quoted(8);
  put16(quoted, 0, data.source_port);
  put16(quoted, 2, 9000);
  put32(quoted, 4, data.sequence);
  tcp().on_icmp_error(Address::v4(kOwn), Address::v4(kPeer), quoted,
                      {ip::DeliveryError::Kind::hard});
  EXPECT_FALSE(flow().closed.has_value());
  peer.ack(data.end());
  peer.send(kAck, pattern(10));
  EXPECT_EQ(flow().received, pattern(10));
}

}  // namespace
}  // namespace weir::net::tcp
