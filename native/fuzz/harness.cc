#include "fuzz/harness.h"

#include <rte_mbuf.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/eal.h"
#include "net/tcp/connection.h"

namespace weir::fuzz {
namespace {

constexpr uint32_t kSentPerReceived = 4;
/// RFC 6298 section 2.5 lets a time-out have a maximum of a minute; twice that.
constexpr uint64_t kLongestTimerUs = 120'000'000;

/// DPDK's environment and the buffers: once a process.
sim::HostPools& pools() {
  static const std::unique_ptr<sim::HostPools> all = [] {
    // A stack's tables live for a millisecond here: large pages would be cleared for nothing.
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    std::string error = start_eal({.memory_mib = 64, .allow_hugepages = false});
    if (!error.empty()) give_up(error.c_str());
    static EalThread registered;
    auto made = sim::HostPools::create("fuzz", error);
    if (made == nullptr) give_up(error.c_str());
    return made;
  }();
  return *all;
}

}  // namespace

sim::HostConfig default_config() {
  sim::HostConfig config;
  net::StackConfig& stack = config.stack;
  stack.link_address = kOwnLink;
  stack.addresses = {{kOwn, 24}, {kOwnV6, 64}};
  stack.routes = {net::Route::default_through(net::Address::v4(0x0a0000fe))};
  stack.accept_router_advertisements = true;
  stack.duplicate_address_probes = 0;
  stack.max_fragmented_packets = 8;
  stack.max_fragment_bytes = 65'536;
  stack.max_connections = 16;
  stack.max_listeners = 4;
  stack.max_half_open = 8;
  stack.max_time_wait = 8;
  stack.max_neighbors = 8;
  stack.receive_buffer_bytes = 20'000;
  stack.send_buffer_bytes = 20'000;
  stack.send_copy_bytes = 100'000;
  stack.max_reorder_segments = 16;
  stack.max_reorder_segments_total = 64;
  stack.time_wait_ms = 1000;
  config.stack_seed = 1;
  config.clock_offset_us = 4'000'000'000;
  config.cycle_ns = 1000;
  return config;
}

void give_up(const char* what) {
  std::fprintf(stderr, "weir fuzz: %s\n", what);
  std::abort();
}

Harness::Harness(sim::HostConfig config) {
  config.address_events = this;
  host_ = std::make_unique<sim::Host>(0, config, pools(), *this, sim::Random(1));
  host_->set_handler(*this);
  if (!host_->stack().tcp_listen(kTcpPort, *this, 1) ||
      !host_->stack().udp_bind(kUdpPort, *this, 2))
    give_up("cannot listen");
}

Harness::~Harness() {
  // Past the first time-outs; longer times are for the inputs, since the timer wheel walks them.
  advance(3'000'000'000);
  if (connection_ != nullptr) host_->stack().abort(*connection_);
  host_->cycle(now_ns_);
  host_.reset();
  if (!pools().are_full()) give_up("packet buffers are missing");
}

void Harness::fail(std::string what) { give_up(what.c_str()); }

void Harness::input(std::vector<uint8_t> frame, bool repair) {
  if (frame.empty()) return;
  if (repair) repair_checksums(frame);
  host_->arrive({.frame = std::move(frame)});
  now_ns_ += 1000;
  host_->cycle(now_ns_);
}

void Harness::advance(uint64_t ns) {
  const uint64_t end_ns = now_ns_ + ns;
  while (host_->next_ns() <= end_ns) {
    now_ns_ = std::max(now_ns_, host_->next_ns());
    host_->cycle(now_ns_);
  }
  now_ns_ = end_ns;
}

sim::Segment Harness::from_peer() const {
  sim::Segment segment;
  segment.source_link = kPeerLink;
  segment.destination_link = kOwnLink;
  segment.source = kPeer;
  segment.destination = kOwn;
  segment.source_port = kPeerPort;
  segment.destination_port = kTcpPort;
  segment.window = 65535;
  segment.sequence = peer_sequence;
  return segment;
}

void Harness::handshake(std::span<const uint8_t> syn_options) {
  sim::Segment syn = from_peer();
  syn.flags = sim::kSyn;
  syn.other_options.assign(syn_options.begin(), syn_options.end());
  input(syn);
  peer_sequence++;
  sim::Segment ack = from_peer();
  ack.flags = sim::kAck;
  ack.acknowledgement = last_sent_.sequence + 1;
  if (last_sent_.timestamps) ack.timestamps = sim::Timestamps{1000, last_sent_.timestamps->value};
  input(ack);
}

void Harness::on_transmit(sim::Host&, const sim::Frame& frame) {
  sim::Segment segment;
  const sim::FrameKind kind = sim::parse(frame, segment);
  if (kind == sim::FrameKind::malformed) give_up("a malformed segment was sent");
  if (kind == sim::FrameKind::tcp) {
    if (!sim::has_right_checksums(frame)) give_up("a wrong checksum was sent");
    segment.payload = {};
    last_sent_ = segment;
  }
  if (answers_for_neighbors) answer_for_neighbors(frame);
}

/// Whoever is asked for a link address has the peer's.
void Harness::answer_for_neighbors(const sim::Frame& frame) {
  PacketView packet;
  if (frame.size() >= 42 && frame[12] == 0x08 && frame[13] == 0x06) {
    const auto address = [&](size_t at) {
      return net::Address::v4(static_cast<uint32_t>(frame[at]) << 24 |
                              static_cast<uint32_t>(frame[at + 1]) << 16 |
                              static_cast<uint32_t>(frame[at + 2]) << 8 | frame[at + 3]);
    };
    const net::Address asking = address(28), target = address(38);
    // Who asks for its own address, or has none, wants no answer (RFC 5227).
    if (frame[21] != 1 || asking == target || asking.is_unspecified()) return;
    host_->arrive({.frame = arp_frame({kPeerLink, kOwnLink, target, asking}, 2)});
    return;
  }
  constexpr uint8_t kIcmpV6 = 58, kSolicitation = 135, kAdvertisement = 136;
  if (!read_packet(frame, packet) || packet.protocol != kIcmpV6 || packet.payload.size() < 24 ||
      packet.payload[0] != kSolicitation || packet.source.is_unspecified())
    return;
  const net::Address target = net::Address::v6(&packet.payload[8]);
  Bytes answer =
      ipv6_frame({kPeerLink, kOwnLink, target, packet.source}, kIcmpV6,
                 icmp(kAdvertisement, 0,
                      Bytes{0x60, 0, 0, 0} + address_bytes(target) + Bytes{2, 1, 2, 0, 0, 0, 0, 2}),
                 255);
  repair_checksums(answer);
  host_->arrive({.frame = std::move(answer)});
}

Bytes Harness::bytes_of(const net::Payload& payload) {
  Bytes copy(payload.length_bytes);
  const void* bytes =
      rte_pktmbuf_read(payload.head, payload.offset_bytes, payload.length_bytes, copy.data());
  if (bytes == nullptr) give_up("a payload lies outside its buffers");
  if (bytes != copy.data() && !copy.empty()) std::memcpy(copy.data(), bytes, copy.size());
  return copy;
}

uint32_t Harness::frames_in_use() {
  return sim::HostPools::kBuffers - pools().frames->free_count();
}

void Harness::after_input(sim::Host&, uint32_t received, uint32_t sent) {
  if (sent > kSentPerReceived * received + waiting_) give_up("too many answers to one batch");
}

void Harness::after_flush(sim::Host& host) {
  const net::StackUsage usage = host.stack().usage();
  const net::StackConfig& bounds = host.config().stack;
  waiting_ = usage.waiting_packets;
  if (usage.connections > bounds.max_connections || usage.half_open > bounds.max_half_open ||
      usage.time_wait > bounds.max_time_wait ||
      usage.reorder_segments > bounds.max_reorder_segments_total)
    give_up("a table holds more than its bound");
  if (connection_ == nullptr) return;
  const net::ConnectionInfo info = host.stack().info(*connection_);
  if (!sim::seq_le(info.snd_una, info.snd_nxt) || !sim::seq_le(info.snd_nxt, info.snd_max))
    give_up("SND.UNA, SND.NXT and SND.MAX are out of order");
  if (info.in_flight_bytes > info.snd_max - info.snd_una)
    give_up("more is in flight than was sent");
  if ((info.snd_una != info.snd_max || info.send_queue_bytes != 0) &&
      info.timer_us > host.clock_us(now_ns_) + kLongestTimerUs)
    give_up("something waits and no timer runs");
}

bool Harness::on_opened(net::Connection& connection, uint32_t, bool) {
  // The first one is looked at.
  if (connection_ == nullptr) connection_ = &connection;
  return true;
}

bool Harness::on_data(net::Connection& connection, const net::Payload& payload) {
  if (refuses) return false;
  if (consumes) host_->stack().consume(connection, payload.length_bytes);
  static constexpr uint8_t kAnswer[100] = {};
  host_->stack().send_copy(connection, kAnswer);
  return true;
}

void Harness::on_closed(net::Connection& connection, net::CloseReason) {
  if (connection_ == &connection) connection_ = nullptr;
}

bool Harness::on_datagram(uint32_t, const net::Endpoint& remote, const net::Endpoint&,
                          const net::Payload&) {
  static constexpr uint8_t kAnswer[20] = {};
  host_->stack().udp_send(kUdpPort, remote, kAnswer);
  return true;
}

}  // namespace weir::fuzz
