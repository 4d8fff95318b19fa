#pragma once
// The other end of a connection, played by a test: it keeps count of sequence numbers, and says
// what the test tells it to.
#include "net/tcp/testing/harness.h"

namespace weir::net::tcp::testing {

struct PeerConfig {
  uint16_t port = 40000;
  uint32_t address = kPeer;
  uint32_t initial_sequence = 1'000'000;
  std::optional<uint16_t> mss = 1000;
  std::optional<uint8_t> window_scale = {};
  bool timestamps = false;
  bool sack = false;
  uint16_t window = 65535;
  /// Between our SYN and our acknowledgement of the answer.
  uint64_t handshake_us = 0;
};

class Peer {
 public:
  explicit Peer(TcpTest& test, const PeerConfig& config = {})
      : window(config.window), sequence(config.initial_sequence), test_(test), config_(config) {}

  /// The window field of what it sends from now on.
  uint16_t window;
  /// What it sends next (its SND.NXT), and what it waits for (its RCV.NXT).
  uint32_t sequence;
  uint32_t acknowledgment = 0;
  /// Its timestamp clock, and the timestamp it echoes.
  uint32_t timestamp = 5000;
  uint32_t timestamp_echo = 0;
  bool timestamps_agreed = false;
  uint16_t local_port = kListenPort;
  /// The numbers that the other side began with, and its SYN's options.
  uint32_t other_initial_sequence = 0;
  Segment other_syn;

  const PeerConfig& config() const { return config_; }
  Address address() const { return Address::v4(config_.address); }

  /// A segment with the numbers as they are; nothing is counted on.
  Segment segment(int flags, Bytes payload = {}) const {
    Segment segment = {.source_port = config_.port,
                       .destination_port = local_port,
                       .sequence = sequence,
                       .acknowledgment = (flags & kAck) != 0 ? acknowledgment : 0,
                       .flags = static_cast<uint8_t>(flags),
                       .window = window,
                       .payload = std::move(payload)};
    if ((flags & kSyn) != 0) {
      segment.mss = config_.mss;
      segment.window_scale = config_.window_scale;
      segment.sack_permitted = config_.sack;
      if (config_.timestamps) segment.timestamps = Timestamps{timestamp, timestamp_echo};
    } else if (timestamps_agreed && (flags & kRst) == 0) {
      segment.timestamps = Timestamps{timestamp, timestamp_echo};
    }
    return segment;
  }

  Bytes encoded(const Segment& segment) const { return encode(segment, config_.address, kOwn); }

  /// Delivers a segment as it is, and flushes.
  void deliver(const Segment& segment) { deliver_batch({segment}); }
  /// Delivers segments as one batch, and flushes.
  void deliver_batch(std::initializer_list<Segment> segments) {
    std::vector<Bytes> bytes;
    for (const Segment& segment : segments) bytes.push_back(encoded(segment));
    deliver_bytes(bytes);
  }
  void deliver_bytes(std::span<const Bytes> segments) {
    test_.input(segments, address());
    test_.flush();
  }

  /// Sends with the numbers as they are and counts on.
  void send(int flags, Bytes payload = {}) {
    const Segment next = segment(flags, std::move(payload));
    sequence = next.end();
    deliver(next);
  }
  void ack() { send(kAck); }
  void ack(uint32_t number) {
    acknowledgment = number;
    ack();
  }

  bool has_next() const {
    for (const CapturingOutput::Sent& sent : test_.output().sent)
      if (is_for_me(sent)) return true;
    return false;
  }

  /// The oldest segment for this peer that was not looked at yet. A segment without flags, and a
  /// failure, where there is none.
  Segment next() {
    std::deque<CapturingOutput::Sent>& sent = test_.output().sent;
    for (auto at = sent.begin(); at != sent.end(); at++) {
      if (!is_for_me(*at)) continue;
      const Segment segment = at->segment;
      sent.erase(at);
      if (segment.timestamps) timestamp_echo = segment.timestamps->value;
      return segment;
    }
    ADD_FAILURE() << "nothing was sent";
    return {};
  }
  std::vector<Segment> all() {
    std::vector<Segment> segments;
    while (has_next()) segments.push_back(next());
    return segments;
  }
  void forget() { all(); }

  /// The next segment, which must have these flags; its numbers are counted as received.
  Segment expect(int flags) {
    const Segment segment = next();
    EXPECT_TRUE(segment.is(flags)) << segment;
    if ((flags & kAck) != 0) {
      EXPECT_EQ(segment.acknowledgment, sequence) << segment;
    }
    acknowledgment = segment.end();
    return segment;
  }
  /// The next segment must be an acknowledgement without data, of all that was sent.
  Segment expect_ack() {
    const Segment segment = next();
    EXPECT_TRUE(segment.is(kAck)) << segment;
    EXPECT_EQ(segment.payload.size(), 0u) << segment;
    EXPECT_EQ(segment.acknowledgment, sequence) << segment;
    EXPECT_EQ(segment.sequence, acknowledgment) << segment;
    return segment;
  }
  void expect_silence() {
    for (const Segment& segment : all()) ADD_FAILURE() << "unexpected: " << segment;
  }

  /// Everything that was sent, which must be in order, as bytes; acknowledged only by a later
  /// ack().
  Bytes receive() {
    Bytes bytes;
    while (has_next()) {
      const Segment segment = next();
      if (segment.length() == 0) continue;
      EXPECT_EQ(segment.sequence, acknowledgment) << segment;
      bytes = bytes + segment.payload;
      acknowledgment = segment.end();
    }
    return bytes;
  }

  /// Opens a connection to the port that is listened on.
  void open() {
    send(kSyn);
    if (config_.handshake_us > 0) test_.advance(config_.handshake_us);
    take_syn(expect(kSyn | kAck));
    ack();
  }

  /// Plays the end of a connection that was opened to this peer.
  void accept() {
    Segment syn = next();
    EXPECT_TRUE(syn.is(kSyn)) << syn;
    local_port = syn.source_port;
    acknowledgment = syn.end();
    take_syn(syn);
    if (config_.handshake_us > 0) test_.advance(config_.handshake_us);
    send(kSyn | kAck);
    expect_ack();
  }

 private:
  void take_syn(const Segment& syn) {
    other_syn = syn;
    other_initial_sequence = syn.sequence;
    timestamps_agreed = config_.timestamps && syn.timestamps.has_value();
  }
  bool is_for_me(const CapturingOutput::Sent& sent) const {
    return sent.segment.destination_port == config_.port && sent.destination == address() &&
           (sent.segment.source_port == local_port || (sent.segment.is(kSyn)));
  }

  TcpTest& test_;
  PeerConfig config_;
};

}  // namespace weir::net::tcp::testing
