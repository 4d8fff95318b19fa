#include "fuzz/harness.h"

#include <sys/prctl.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/eal.h"
#include "net/checksum.h"
#include "net/tcp/connection.h"

namespace weir::fuzz {
namespace {

const sim::LinkAddress kOwnLink = {0x02, 0, 0, 0, 0, 0x01};
const sim::LinkAddress kPeerLink = {0x02, 0, 0, 0, 0, 0x02};
constexpr uint32_t kOwn = 0x0a000001;
constexpr uint32_t kPeer = 0x0a000002;
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

void store16(uint8_t* at, uint16_t value) { std::memcpy(at, &value, 2); }

/// Writes the checksums that would be right, as far as headers are where they should be.
void repair_checksums(std::vector<uint8_t>& frame) {
  if (frame.size() < 14 + 20) return;
  uint8_t* ip = frame.data() + 14;
  const size_t room = frame.size() - 14;
  net::Address source, destination;
  uint8_t protocol = 0;
  size_t header = 0, total = 0;
  if (frame[12] == 0x08 && frame[13] == 0x00) {
    header = (ip[0] & 15u) * 4;
    total = static_cast<size_t>(ip[2] << 8 | ip[3]);
    if (header < 20 || header > room || total < header || total > room) return;
    store16(ip + 10, 0);
    store16(ip + 10, net::checksum_finish(net::checksum_add(0, ip, header)));
    // The transport checksum of a fragment is over more than is here.
    if (((ip[6] << 8 | ip[7]) & 0x3fff) != 0) return;
    protocol = ip[9];
    source =
        net::Address::v4(static_cast<uint32_t>(ip[12] << 24 | ip[13] << 16 | ip[14] << 8) | ip[15]);
    destination =
        net::Address::v4(static_cast<uint32_t>(ip[16] << 24 | ip[17] << 16 | ip[18] << 8) | ip[19]);
  } else if (frame[12] == 0x86 && frame[13] == 0xdd && room >= 40) {
    header = 40;
    total = 40 + static_cast<size_t>(ip[4] << 8 | ip[5]);
    if (total > room) return;
    protocol = ip[6];
    std::memcpy(source.bytes.data(), ip + 8, 16);
    std::memcpy(destination.bytes.data(), ip + 24, 16);
  } else {
    return;
  }
  const size_t bytes = total - header;
  const size_t at = protocol == 6                     ? 16
                    : protocol == 17                  ? 6
                    : protocol == 1 || protocol == 58 ? 2
                                                      : 0;
  if (at == 0 || bytes < at + 2) return;
  uint8_t* transport = ip + header;
  store16(transport + at, 0);
  const net::ChecksumSum pseudo = protocol == 1
                                      ? 0
                                      : net::checksum_pseudo_header(source, destination, protocol,
                                                                    static_cast<uint32_t>(bytes));
  store16(transport + at, net::checksum_finish(net::checksum_add(pseudo, transport, bytes)));
}

sim::HostConfig config() {
  sim::HostConfig config;
  net::StackConfig& stack = config.stack;
  stack.link_address = kOwnLink;
  net::Address link_local;
  link_local.bytes = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  stack.addresses = {{net::Address::v4(kOwn), 24}, {link_local, 64}};
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

}  // namespace

void give_up(const char* what) {
  std::fprintf(stderr, "weir fuzz: %s\n", what);
  std::abort();
}

Harness::Harness() {
  host_ = std::make_unique<sim::Host>(0, config(), pools(), *this, sim::Random(1));
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
  segment.source = net::Address::v4(kPeer);
  segment.destination = net::Address::v4(kOwn);
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
  // The peer answers for its link address at once.
  if (frame.size() < 42 || frame[12] != 0x08 || frame[13] != 0x06 || frame[21] != 1) return;
  std::vector<uint8_t> answer(frame.begin(), frame.end());
  std::copy(kOwnLink.begin(), kOwnLink.end(), answer.begin());
  std::copy(kPeerLink.begin(), kPeerLink.end(), answer.begin() + 6);
  answer[21] = 2;
  std::copy(kPeerLink.begin(), kPeerLink.end(), answer.begin() + 22);
  std::copy_n(frame.begin() + 38, 4, answer.begin() + 28);
  std::copy_n(frame.begin() + 22, 10, answer.begin() + 32);
  host_->arrive({.frame = std::move(answer)});
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
