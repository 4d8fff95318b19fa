#pragma once
// One Tcp on a virtual clock, what it sends, and peers that are played by the test.
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <stdexcept>
#include <vector>

#include "net/ip/output.h"
#include "net/ip/received.h"
#include "net/tcp/testing/events.h"
#include "net/tcp/testing/segment.h"

namespace weir::net::tcp::testing {

inline constexpr uint64_t kMs = 1000;
inline constexpr uint64_t kSecond = 1'000'000;
/// Where a test's clock begins: a machine that has been up for a while.
inline constexpr uint64_t kStartUs = 4000 * kSecond;
inline constexpr uint16_t kListenPort = 80;
inline constexpr uint32_t kListenerTag = 7;
inline constexpr uint16_t kMtuBytes = 1500;
/// The headers before a segment in a received frame: Ethernet and IPv4.
inline constexpr uint16_t kTransportOffsetBytes = 34;

/// Keeps what TCP sends, and checks of each segment what must hold for all of them.
class CapturingOutput final : public ip::Output {
 public:
  struct Sent {
    Segment segment;
    Address destination;
    uint16_t mbuf_segments;
    /// Where the port is to cut it, the bytes of a piece; else 0.
    uint16_t cut_bytes;
  };

  explicit CapturingOutput(const uint64_t& now_us) : now_us_(now_us) {}
  ~CapturingOutput() { release_frames(); }

  void send(rte_mbuf* packet, const Address& source, const Address& destination, uint8_t protocol,
            const ip::SendOptions&) override {
    rte_mbuf_sanity_check(packet, 1);
    EXPECT_EQ(protocol, 6);
    EXPECT_GE(rte_pktmbuf_headroom(packet), RTE_PKTMBUF_HEADROOM);
    EXPECT_EQ(rte_mbuf_refcnt_read(packet), 1) << "the headers below are written into this buffer";
    const bool cut = (packet->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
    EXPECT_LE(packet->pkt_len + 20, cut ? 65535u : mtu);
    EXPECT_EQ(source, Address::v4(kOwn));
    const Bytes bytes = bytes_of(packet);
    EXPECT_EQ(bytes.size(), packet->pkt_len);
    EXPECT_TRUE(has_right_checksum(bytes, source.v4_host_order(), destination.v4_host_order()));
    std::optional<Segment> segment = parse(bytes);
    if (segment) {
      segment->at_us = now_us_;
      check(*segment);
      sent.push_back({*segment, destination, packet->nb_segs,
                      static_cast<uint16_t>(cut ? packet->tso_segsz : 0)});
    } else {
      ADD_FAILURE() << "a malformed segment was sent";
    }
    if (holds_frames)
      held_.push_back(packet);
    else
      rte_pktmbuf_free(packet);
  }
  Address source_for(const Address& destination) const override {
    return destination == Address::v4(kFar) ? Address{} : Address::v4(kOwn);
  }
  bool is_local(const Address& address) const override { return address == Address::v4(kOwn); }
  void lower_path_mtu(const Address&, uint16_t) override {}
  uint16_t mtu_bytes(const Address&) const override { return mtu; }

  /// The port has sent what it held.
  void release_frames() {
    for (rte_mbuf* frame : held_) rte_pktmbuf_free(frame);
    held_.clear();
  }

  uint16_t mtu = kMtuBytes;
  /// Keeps the packets too, as a port does that has not sent them yet.
  bool holds_frames = false;
  std::deque<Sent> sent;

 private:
  static void check(const Segment& segment) {
    // RFC 2018 section 2.
    EXPECT_TRUE((segment.flags & kSyn) != 0 || !segment.sack_permitted) << segment;
    // RFC 9293 section 3.8.2: MSS only in a SYN; RFC 7323 section 2.2: so is the window scale.
    if ((segment.flags & kSyn) == 0) {
      EXPECT_FALSE(segment.mss || segment.window_scale) << segment;
      // Only the first SYN of a connection and some resets acknowledge nothing.
      EXPECT_TRUE((segment.flags & (kAck | kRst)) != 0) << segment;
    } else {
      EXPECT_TRUE(segment.mss.has_value()) << segment;
      EXPECT_EQ(segment.flags & (kFin | kRst), 0) << segment;
    }
    if ((segment.flags & kRst) != 0) {
      EXPECT_EQ(segment.length(), 0u) << segment;
    }
    EXPECT_EQ(segment.flags & kUrg, 0) << segment;
  }

  const uint64_t& now_us_;
  std::vector<rte_mbuf*> held_;
};

/// A Tcp with its surroundings. At the end every buffer must be back in its pool.
class TcpTest : public LayerTest {
 public:
  /// Small tables, so that construction is quick; the bounds are tested with smaller ones yet.
  static StackConfig small() {
    StackConfig config;
    config.addresses = {{Address::v4(kOwn), 24}};
    config.max_connections = 64;
    config.max_listeners = 8;
    config.max_half_open = 32;
    config.keep_alive_idle_ms = 0;
    config.max_time_wait = 32;
    config.receive_buffer_bytes = 64 * 1024 - 1;
    config.send_buffer_bytes = 1024 * 1024;
    config.send_copy_bytes = 4 * 1024 * 1024;
    config.max_reorder_segments = 64;
    config.max_reorder_segments_total = 256;
    return config;
  }

  TcpTest() { start(small()); }

  /// Begins again, with another configuration and a handler that listens.
  void start(const StackConfig& config) {
    tcp_.reset();
    output_.release_frames();
    output_.holds_frames = false;
    output_.sent.clear();
    owners_.emplace_back();
    tcp_ = std::make_unique<Tcp>(config, environment_, output_);
    events_.tcp = tcp_.get();
    tcp_->set_now(now_us_);
    ASSERT_TRUE(tcp_->listen(kListenPort, events_, kListenerTag));
  }

  Tcp& tcp() { return *tcp_; }
  RecordingEvents& events() { return events_; }
  CapturingOutput& output() { return output_; }
  /// Owner of what this Tcp sends by reference; it outlives it.
  CountingOwner& owner() { return owners_.back(); }
  uint64_t now_us() const { return now_us_; }
  /// For tests that begin at another time; before start.
  void set_start_us(uint64_t now_us) { now_us_ = now_us; }

  /// What arrives from the wire; flush() is the caller's.
  void input(std::span<const Bytes> segments, const Address& source, bool known_good = false,
             std::initializer_list<size_t> pieces = {}) {
    std::vector<ip::Received> batch;
    for (const Bytes& segment : segments)
      batch.push_back(received(segment, source, known_good, pieces));
    tcp_->input(batch);
  }
  /// One segment in a packet that a router has marked (RFC 3168 section 5).
  void input_marked(const Bytes& segment, const Address& source) {
    ip::Received marked = received(segment, source, false, {});
    marked.ecn = 3;
    tcp_->input({&marked, 1});
    flush();
  }
  void flush() { tcp_->flush(); }

  /// Lets time pass, as a worker does that has nothing to do but timers.
  void advance(uint64_t duration_us) {
    const uint64_t target_us = now_us_ + duration_us;
    uint64_t deadline_us = tcp_->next_deadline_us();
    for (uint32_t idle = 0; deadline_us <= target_us; deadline_us = tcp_->next_deadline_us()) {
      // A deadline that stays in the past keeps the worker from ever sleeping.
      idle = deadline_us <= now_us_ ? idle + 1 : 0;
      ASSERT_LT(idle, 1000u) << "a deadline that is never met";
      run_at(std::max(deadline_us, now_us_ + (idle > 0 ? 1 : 0)));
    }
    run_at(std::max(target_us, now_us_));
  }

  /// Lets time pass until TCP has sent something, for at most `limit_us`.
  void advance_until_sent(uint64_t limit_us) {
    const uint64_t end_us = now_us_ + limit_us;
    while (output_.sent.empty() && now_us_ < end_us) {
      const uint64_t deadline_us = tcp_->next_deadline_us();
      run_at(std::min(end_us, std::max(deadline_us, now_us_ + 1)));
    }
  }

  /// The flow of the connection that was opened last.
  Flow& flow() {
    if (events_.flows.empty()) throw std::logic_error("no connection was opened");
    return events_.flows.back();
  }
  Connection& connection() {
    if (flow().connection == nullptr) throw std::logic_error("the connection is gone");
    return *flow().connection;
  }

  SendResult send(const Bytes& bytes) { return tcp_->send_copy(connection(), bytes); }
  /// Sends in pieces that are all copied, and flushes once.
  void send_all(const Bytes& bytes, size_t piece_bytes = 200) {
    for (size_t at = 0; at < bytes.size(); at += piece_bytes) {
      const std::span piece =
          std::span(bytes).subspan(at, std::min(piece_bytes, bytes.size() - at));
      ASSERT_EQ(tcp_->send_copy(connection(), piece), SendResult::ok);
    }
    flush();
  }
  void close() {
    tcp_->close(connection());
    flush();
  }
  void abort() {
    events_.abort(flow());
    flush();
  }

  Connection* connect(uint16_t port, uint32_t address = kPeer) {
    const uint32_t user = events_.add_outbound();
    Connection* connection = tcp_->connect({Address::v4(address), port}, events_, user);
    events_.flows[user].connection = connection;
    flush();
    return connection;
  }

 protected:
  using LayerTest::count;

 private:
  ip::Received received(const Bytes& segment, const Address& source, bool known_good,
                        std::initializer_list<size_t> pieces) {
    return {
        .frame = frame(
            ethernet(ipv4(segment,
                          {.protocol = 6, .source = source.v4_host_order(), .destination = kOwn})),
            pieces),
        .transport_offset_bytes = kTransportOffsetBytes,
        .transport_bytes = static_cast<uint32_t>(segment.size()),
        .source = source,
        .destination = Address::v4(kOwn),
        .checksum_known_good = known_good};
  }
  void run_at(uint64_t now_us) {
    now_us_ = now_us;
    tcp_->set_now(now_us);
    tcp_->run_timers();
    tcp_->flush();
  }

  uint64_t now_us_ = kStartUs;
  CapturingOutput output_{now_us_};
  RecordingEvents events_;
  std::deque<CountingOwner> owners_;
  std::unique_ptr<Tcp> tcp_;
};

}  // namespace weir::net::tcp::testing
