/// A queue that is one tenant's: what comes in is not copied, and peers that say nothing do not use
/// up the buffers it is received into.
#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/packet_pool.h"
#include "net/testing.h"
#include "sandbox/testing/guest.h"
#include "worker/worker.h"

namespace weir::worker {
namespace {

using namespace weir::net::testing;
using sandbox::FrameWindow;
using sandbox::testing::engine;
using sandbox::testing::guest_text;
using sandbox::testing::load_admitted;

constexpr uint16_t kEchoPort = 7;
constexpr size_t kTransport = 34;

/// Sends each view on, to where it came from; closes when the peer does.
const char* const kEcho = R"(
  (local $e i32) (local $at i32) (local $left i32) (local $n i32)
  (local.set $left (local.get $events))
  (local.set $e (i32.const 0x210000)) (local.set $at (i32.const 0x1200000))
  (block $out (loop $next (br_if $out (i32.eqz (local.get $left)))
    (if (i32.eq (i32.load8_u (local.get $e)) (i32.const 3)) (then
      (i64.store (local.get $at) (i64.const 6))
      (i64.store offset=8 (local.get $at) (i64.load offset=8 (local.get $e)))
      (i64.store offset=16 (local.get $at) (i64.load offset=16 (local.get $e)))
      (i64.store offset=24 (local.get $at) (i64.load offset=8 (local.get $e)))
      (local.set $at (i32.add (local.get $at) (i32.const 32)))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))))
    (local.set $e (i32.add (local.get $e) (i32.const 32)))
    (local.set $left (i32.sub (local.get $left) (i32.const 1))) (br $next)))
  (i64.or (i64.extend_i32_u (local.get $events)) (i64.shl (i64.extend_i32_u (local.get $n)) (i64.const 32)))
)";

/// Where the test is the network: frames that are received into the pool, and those that were sent.
class Wire final : public port::Port {
 public:
  explicit Wire(rte_mempool* pool) : pool_(pool) {}

  uint32_t receive(rte_mbuf** frames, uint32_t capacity) override {
    uint32_t count = 0;
    for (; count < capacity && !incoming.empty(); incoming.pop_front()) {
      rte_mbuf* head = nullptr;
      // Longer ones come in several buffers, as a TAP's do.
      for (size_t at = 0; at < incoming.front().size(); at += kFrameDataBytes) {
        rte_mbuf* segment = rte_pktmbuf_alloc(pool_);
        if (segment == nullptr) {
          rte_pktmbuf_free(head);
          refused++;
          return count;
        }
        const size_t bytes = std::min<size_t>(kFrameDataBytes, incoming.front().size() - at);
        std::memcpy(rte_pktmbuf_append(segment, static_cast<uint16_t>(bytes)),
                    incoming.front().data() + at, bytes);
        if (head == nullptr)
          head = segment;
        else
          EXPECT_EQ(rte_pktmbuf_chain(head, segment), 0);
      }
      frames[count++] = head;
    }
    return count;
  }
  uint32_t transmit(rte_mbuf** frames, uint32_t count) override {
    for (uint32_t i = 0; i < count; i++) {
      Bytes bytes(frames[i]->pkt_len);
      const void* read = rte_pktmbuf_read(frames[i], 0, frames[i]->pkt_len, bytes.data());
      if (read != bytes.data()) std::memcpy(bytes.data(), read, bytes.size());
      outgoing.push_back(std::move(bytes));
      rte_pktmbuf_free(frames[i]);
    }
    return count;
  }
  int wait_descriptor() const override { return -1; }
  std::array<uint8_t, 6> link_address() const override { return kOwnLink; }
  uint16_t mtu_bytes() const override { return 1500; }

  std::deque<Bytes> incoming;
  std::deque<Bytes> outgoing;
  uint32_t refused = 0;

 private:
  rte_mempool* pool_;
};

class OwnQueueTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kConnections = 60'000;

  OwnQueueTest() {
    static int number = 0;
    const std::string suffix = std::to_string(number++);
    std::string error;
    window_ = FrameWindow::create("ow" + suffix, error);
    EXPECT_TRUE(window_) << error;
    frames_ = PacketPool::create({.name = "of" + suffix, .count = 4095}, error);
    headers_ = PacketPool::create(
        {.name = "oh" + suffix, .count = 65535, .data_bytes = kHeaderDataBytes}, error);
    wire_ = std::make_unique<Wire>(window_->pool());
    WorkerConfig config;
    config.seed = 5;
    config.tenant = "acme";
    config.stack.max_connections = kConnections;
    config.stack.max_half_open = 4096;
    config.stack.link_address = kOwnLink;
    config.stack.addresses = {{net::Address::v4(kOwn), 24}};
    worker_ =
        std::make_unique<Worker>(config, WorkerResources{*wire_, engine(), log_, headers_->get(),
                                                         frames_->get(), counters_, window_.get()});
  }
  ~OwnQueueTest() override {
    worker_.reset();
    EXPECT_EQ(window_->held(), 0u);
    EXPECT_EQ(rte_mempool_avail_count(window_->pool()), FrameWindow::kBuffers);
    EXPECT_EQ(frames_->free_count(), 4095u);
    EXPECT_EQ(headers_->free_count(), 65535u);
  }

  bool deploy(const std::string& tenant, std::string& error) {
    sandbox::AppConfig config;
    config.id = 1;
    config.name = "echo";
    config.tenant = tenant;
    config.listens.push_back({"main", "tcp", sandbox::Protocol::tcp, kEchoPort});
    config.max_connections = kConnections;
    config.call_limit_us = 1'000'000;
    return worker_->deploy(config, load_admitted(guest_text(kEcho)), app_counters_, error);
  }
  void turn() {
    now_us_ += 10;
    worker_->cycle(now_us_);
  }
  uint64_t count(Counter counter) const { return counters_[static_cast<size_t>(counter)]; }

  /// What a peer knows of its connection.
  struct Peer {
    uint16_t port = 0;
    uint32_t next = 1000;
    uint32_t expected = 0;
  };
  void send(Peer& peer, uint8_t flags, std::span<const uint8_t> payload = {}) {
    Bytes segment(20);
    put16(segment, 0, peer.port);
    put16(segment, 2, kEchoPort);
    put32(segment, 4, peer.next);
    put32(segment, 8, (flags & 0x10) != 0 ? peer.expected : 0);
    segment[12] = 5 << 4;
    segment[13] = flags;
    put16(segment, 14, 65535);
    segment = segment + payload;
    put16(segment, 16,
          plain_checksum(segment,
                         plain_pseudo_sum(kPeer, kOwn, 6, static_cast<uint32_t>(segment.size()))));
    peer.next += static_cast<uint32_t>(payload.size()) + ((flags & 0x02) != 0 ? 1 : 0);
    wire_->incoming.push_back(ethernet(ipv4(segment, {.protocol = 6})));
  }
  /// Takes what was sent to the port; answers who asks for the peer's link address.
  std::vector<Bytes> sent_to(uint16_t port) {
    std::vector<Bytes> segments;
    for (Bytes& frame : std::exchange(wire_->outgoing, {})) {
      if (get16(frame, 12) == net::link::kTypeArp)
        wire_->incoming.push_back(
            ethernet(arp({.operation = 2, .target_link = kOwnLink}), net::link::kTypeArp));
      else if (get16(frame, kTransport + 2) == port)
        segments.push_back(std::move(frame));
    }
    return segments;
  }
  Peer open(uint16_t port) {
    Peer peer{.port = port};
    send(peer, 0x02);
    for (int i = 0; i < 100 && peer.expected == 0; i++) {
      turn();
      for (const Bytes& segment : sent_to(port))
        if ((segment[kTransport + 13] & 0x12) == 0x12)
          peer.expected = get32(segment, kTransport + 4) + 1;
    }
    EXPECT_NE(peer.expected, 0u) << "port " << port;
    send(peer, 0x10);
    return peer;
  }
  /// The payload that comes back, acknowledged.
  Bytes receive(Peer& peer, size_t bytes) {
    Bytes received;
    for (int i = 0; i < 1000 && received.size() < bytes; i++) {
      turn();
      for (const Bytes& segment : sent_to(peer.port)) {
        const size_t header = kTransport + (segment[kTransport + 12] >> 4) * 4;
        const size_t end = 14 + get16(segment, 16);
        if (get32(segment, kTransport + 4) != peer.expected || header == end) continue;
        received.insert(received.end(), segment.begin() + static_cast<ptrdiff_t>(header),
                        segment.begin() + static_cast<ptrdiff_t>(end));
        peer.expected += static_cast<uint32_t>(end - header);
      }
      if (!received.empty()) send(peer, 0x10);
    }
    return received;
  }

  std::unique_ptr<FrameWindow> window_;
  std::unique_ptr<PacketPool> frames_, headers_;
  std::unique_ptr<Wire> wire_;
  sandbox::EventLog log_;
  uint64_t counters_[kCounterCount] = {};
  uint64_t app_counters_[sandbox::kAppCounterCount] = {};
  std::unique_ptr<Worker> worker_;
  uint64_t now_us_ = 10'000'000;
};

TEST_F(OwnQueueTest, LongPayloadsAreNeverCopied) {
  std::string error;
  ASSERT_TRUE(deploy("acme", error)) << error;
  Peer peer = open(2000);
  const Bytes message = pattern(1400);
  for (int round = 0; round < 50; round++) {
    send(peer, 0x18, message);
    ASSERT_EQ(receive(peer, message.size()), message);
  }
  turn();
  EXPECT_EQ(count(Counter::kept_rx_bytes), 50 * 1400u);
  EXPECT_EQ(count(Counter::referenced_tx_bytes), 50 * 1400u);
  for (const Counter copied :
       {Counter::copied_rx_bytes, Counter::copied_tx_bytes, Counter::copied_segment_bytes})
    EXPECT_EQ(count(copied), 0u) << kCounterDescriptions[static_cast<size_t>(copied)].name;
  EXPECT_EQ(window_->held(), 0u);
}

TEST_F(OwnQueueTest, ShortPayloadsAreCopiedSoThatNoBufferIsKept) {
  std::string error;
  ASSERT_TRUE(deploy("acme", error)) << error;
  Peer peer = open(2000);
  send(peer, 0x18, pattern(256));
  ASSERT_EQ(receive(peer, 256), pattern(256));
  EXPECT_EQ(count(Counter::copied_rx_small_bytes), 256u);
  EXPECT_EQ(count(Counter::copied_tx_small_bytes), 256u);
  EXPECT_EQ(count(Counter::kept_rx_bytes), 0u);
}

TEST_F(OwnQueueTest, APacketInSeveralBuffersIsSeveralViews) {
  std::string error;
  ASSERT_TRUE(deploy("acme", error)) << error;
  Peer peer = open(2000);
  const Bytes message = pattern(20'000);
  send(peer, 0x18, message);
  EXPECT_EQ(receive(peer, message.size()), message);
  EXPECT_EQ(count(Counter::copied_rx_bytes), 0u);
  EXPECT_EQ(count(Counter::kept_rx_bytes), 20'000u);
}

TEST_F(OwnQueueTest, FiftyThousandSilentPeersLeaveRoomForOthers) {
  std::string error;
  ASSERT_TRUE(deploy("acme", error)) << error;
  const Bytes message = pattern(1400);
  for (uint32_t i = 0; i < 50'000; i++) {
    Peer silent = open(static_cast<uint16_t>(2000 + i));
    if (testing::Test::HasFailure()) return;
    // It asks, and never says that it has got the answer.
    send(silent, 0x18, message);
    turn();
  }
  EXPECT_EQ(worker_->stack().connection_count(), 50'000u);
  EXPECT_LE(window_->held(), FrameWindow::kWatermark);
  EXPECT_GT(window_->held(), FrameWindow::kWatermark / 2);
  EXPECT_GT(count(Counter::copied_tx_held_bytes), 0u);
  EXPECT_EQ(wire_->refused, 0u);
  Peer peer = open(1000);
  for (int round = 0; round < 200; round++) {
    send(peer, 0x18, message);
    ASSERT_EQ(receive(peer, message.size()), message) << round;
  }
  EXPECT_EQ(worker_->stack().connection_count(), 50'001u);
  EXPECT_EQ(count(Counter::drop_app_full), 0u);
}

TEST_F(OwnQueueTest, NobodyElseMayUseThePort) {
  std::string error;
  EXPECT_FALSE(deploy("other", error));
  EXPECT_EQ(error, "the port belongs to the tenant acme");
}

}  // namespace
}  // namespace weir::worker
