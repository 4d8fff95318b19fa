#include "tcp_load.h"

#include <rte_cycles.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>

#include <algorithm>

namespace weir::load {
namespace {

using net::tcp::kAck;
using net::tcp::kFin;
using net::tcp::kPsh;
using net::tcp::kRst;
using net::tcp::kSyn;

/// Connections of one client address.
constexpr uint32_t kPortsPerClient = 60'000;
constexpr uint16_t kFirstPort = 2'048;
/// Handshakes under way at once: fewer than the backlog of a server.
constexpr uint32_t kMostOpening = 128;
/// Without an answer for so long, everything is sent again.
constexpr double kPatienceUs = 300'000;
/// As other clients do, an answer that nothing is sent after is acknowledged after a while.
constexpr double kOwedUs = 20'000;
constexpr double kEndUs = 50'000;
constexpr uint8_t kWindowScale = 7;
/// MSS and window scale.
constexpr uint32_t kSynOptionBytes = 8;

struct __attribute__((packed)) ArpFrame {
  net::link::EthernetHeader ethernet;
  uint16_t hardware_be;
  uint16_t protocol_be;
  uint8_t hardware_bytes;
  uint8_t protocol_bytes;
  uint16_t operation_be;
  net::link::LinkAddress sender_link;
  uint32_t sender_be;
  net::link::LinkAddress target_link;
  uint32_t target_be;
};
static_assert(sizeof(ArpFrame) == 42);

}  // namespace

TcpLoad::TcpLoad(const LoadConfig& config, port::Port& port, rte_mempool* pool)
    : config_(config),
      port_(port),
      pool_(pool),
      request_(config.request, config.is_echo, config.segment_bytes),
      flows_(config.connections),
      idle_(config.connections),
      owed_(config.connections),
      ticks_per_us_(static_cast<double>(rte_get_tsc_hz()) / 1e6) {
  out_.reserve(kMostWaiting + 64);
  if (config_.rate > 0) interval_ = 1e6 * ticks_per_us_ / config_.rate;
}

void TcpLoad::put_idle(uint32_t index) { idle_[(idle_at_ + idle_count_++) % idle_.size()] = index; }

uint32_t TcpLoad::take_idle() {
  const uint32_t index = idle_[idle_at_];
  idle_at_ = (idle_at_ + 1) % static_cast<uint32_t>(idle_.size());
  idle_count_--;
  return index;
}

uint32_t TcpLoad::client_of(uint32_t index) const {
  return config_.first_client + index / kPortsPerClient;
}

void TcpLoad::ask_for_server() {
  rte_mbuf* frame = rte_pktmbuf_alloc(pool_);
  if (frame == nullptr) return;
  auto* arp = reinterpret_cast<ArpFrame*>(rte_pktmbuf_append(frame, sizeof(ArpFrame)));
  *arp = {.ethernet = {net::link::kBroadcast, port_.link_address(),
                       rte_cpu_to_be_16(net::link::kTypeArp)},
          .hardware_be = rte_cpu_to_be_16(1),
          .protocol_be = rte_cpu_to_be_16(net::link::kTypeIpv4),
          .hardware_bytes = 6,
          .protocol_bytes = 4,
          .operation_be = rte_cpu_to_be_16(1),
          .sender_link = port_.link_address(),
          .sender_be = rte_cpu_to_be_32(config_.first_client),
          .target_link = {},
          .target_be = rte_cpu_to_be_32(config_.server)};
  out_.push_back(frame);
}

/// Answers who asks for a client, and learns where the server is.
void TcpLoad::take_arp(const uint8_t* at, uint32_t bytes) {
  if (bytes < sizeof(ArpFrame)) return;
  ArpFrame arp;
  std::memcpy(&arp, at, sizeof arp);
  if (rte_be_to_cpu_32(arp.sender_be) == config_.server && !knows_server_) {
    server_link_ = arp.sender_link;
    knows_server_ = true;
    template_ = std::make_unique<SegmentTemplate>(port_.link_address(), server_link_,
                                                  config_.server, config_.server_port);
  }
  const uint32_t asked = rte_be_to_cpu_32(arp.target_be) - config_.first_client;
  if (arp.operation_be != rte_cpu_to_be_16(1) ||
      asked > (config_.connections - 1) / kPortsPerClient)
    return;
  rte_mbuf* frame = rte_pktmbuf_alloc(pool_);
  if (frame == nullptr) return;
  auto* answer = reinterpret_cast<ArpFrame*>(rte_pktmbuf_append(frame, sizeof(ArpFrame)));
  *answer = arp;
  answer->ethernet.destination = arp.sender_link;
  answer->ethernet.source = port_.link_address();
  answer->operation_be = rte_cpu_to_be_16(2);
  answer->sender_link = port_.link_address();
  answer->sender_be = arp.target_be;
  answer->target_link = arp.sender_link;
  answer->target_be = arp.sender_be;
  out_.push_back(frame);
}

void TcpLoad::flush() {
  if (out_.empty()) return;
  const uint32_t sent = port_.transmit(out_.data(), static_cast<uint32_t>(out_.size()));
  counts_.frames_sent += sent;
  out_.erase(out_.begin(), out_.begin() + sent);
}

void TcpLoad::send(uint32_t index, Flow& flow, uint8_t flags, uint32_t sequence,
                   std::span<const uint8_t> options, uint32_t offset, uint32_t bytes) {
  rte_mbuf* frame = rte_pktmbuf_alloc(pool_);
  // What is not sent now is sent again after a while.
  if (frame == nullptr) return;
  const uint64_t tag = tag_of(index, flow);
  net::ChecksumSum sum = 0;
  if (bytes != 0) {
    sum = request_.sum(offset / config_.segment_bytes);
    if (offset == 0 && request_.is_tagged()) sum = net::checksum_add_word(sum, tag);
  }
  uint8_t* payload =
      template_->fill(frame,
                      {.client = client_of(index),
                       .client_port = static_cast<uint16_t>(kFirstPort + index % kPortsPerClient),
                       .sequence = sequence,
                       .acknowledgement = (flags & kAck) != 0 ? flow.rcv_nxt : 0},
                      flags, options, bytes, sum);
  if (bytes != 0) request_.copy(payload, offset, bytes, tag);
  flow.acknowledged = flow.rcv_nxt;
  out_.push_back(frame);
}

void TcpLoad::acknowledge(uint32_t index, Flow& flow) {
  send(index, flow, kAck, flow.snd_nxt, {}, 0, 0);
}

void TcpLoad::open_flow(uint32_t index, uint64_t now) {
  Flow& flow = flows_[index];
  flow.state = State::opening;
  // Beyond what the connection before had: nobody takes the new one for it.
  flow.snd_una = flow.snd_nxt = flow.snd_nxt + 0x10000 + index * 64;
  flow.rcv_nxt = flow.received = flow.count = 0;
  flow.snd_nxt++;
  opening_++;
  send_syn(index, flow, now);
}

void TcpLoad::send_syn(uint32_t index, Flow& flow, uint64_t now) {
  flow.sent = now;
  constexpr uint16_t kMss = 1460;
  const uint8_t options[kSynOptionBytes] = {2, 4, kMss >> 8, kMss & 0xff, 1, 3, 3, kWindowScale};
  send(index, flow, kSyn, flow.snd_una, options, 0, 0);
}

/// The next message of a connection.
void TcpLoad::begin(uint32_t index, uint64_t due, uint64_t now) {
  Flow& flow = flows_[index];
  flow.is_busy = true;
  flow.due = due;
  flow.received = 0;
  flow.message_start = flow.snd_nxt;
  busy_++;
  pump(index, flow, now);
}

/// Sends of the present message what the server's window lets through.
void TcpLoad::pump(uint32_t index, Flow& flow, uint64_t now) {
  const uint32_t size = request_.size();
  for (;;) {
    const uint32_t offset = flow.snd_nxt - flow.message_start;
    if (offset >= size) return;
    const uint32_t bytes = std::min(config_.segment_bytes, size - offset);
    if (flow.snd_nxt - flow.snd_una + bytes > flow.window || is_full()) return;
    const uint8_t flags = offset + bytes == size ? kAck | kPsh : kAck;
    send(index, flow, flags, flow.snd_nxt, {}, offset, bytes);
    flow.snd_nxt += bytes;
    flow.sent = now;
  }
}

void TcpLoad::take(rte_mbuf* frame, uint64_t now) {
  const auto* at = rte_pktmbuf_mtod(frame, const uint8_t*);
  const uint32_t bytes = frame->data_len;
  if (bytes < sizeof(SegmentHeaders)) {
    if (bytes >= sizeof(ArpFrame)) take_arp(at, bytes);
    return;
  }
  const auto& headers = *reinterpret_cast<const SegmentHeaders*>(at);
  if (headers.ethernet.type_be == rte_cpu_to_be_16(net::link::kTypeArp)) return take_arp(at, bytes);
  if (headers.ethernet.type_be != rte_cpu_to_be_16(net::link::kTypeIpv4) ||
      headers.ip.protocol != 6 || headers.ip.source_be != rte_cpu_to_be_32(config_.server))
    return;
  const uint32_t client = rte_be_to_cpu_32(headers.ip.destination_be) - config_.first_client;
  const uint32_t port = rte_be_to_cpu_16(headers.tcp.destination_port_be) - kFirstPort;
  const uint64_t index = uint64_t{client} * kPortsPerClient + port;
  if (port >= kPortsPerClient || index >= flows_.size()) return;
  take_segment(static_cast<uint32_t>(index), headers, bytes, now);
}

void TcpLoad::take_segment(uint32_t index, const SegmentHeaders& headers, uint32_t frame_bytes,
                           uint64_t now) {
  Flow& flow = flows_[index];
  const auto& tcp = headers.tcp;
  const uint32_t sequence = rte_be_to_cpu_32(tcp.sequence_be);
  const uint32_t ack = rte_be_to_cpu_32(tcp.acknowledgement_be);
  const uint32_t header_bytes = (tcp.data_offset >> 4) * 4u;
  const uint32_t ip_bytes = rte_be_to_cpu_16(headers.ip.total_bytes_be);
  if (ip_bytes < 20 + header_bytes || frame_bytes < 14 + ip_bytes || header_bytes < 20) return;
  uint32_t bytes = ip_bytes - 20 - header_bytes;
  const uint8_t* payload = reinterpret_cast<const uint8_t*>(&tcp) + header_bytes;
  if ((tcp.flags & kRst) != 0) {
    // One of a connection before is not this one's.
    if (flow.state == State::closed || ack != flow.snd_nxt) return;
    counts_.resets++;
    if (flow.is_busy) busy_--;
    if (flow.state == State::opening) opening_--;
    if (flow.state == State::open) opened_--;
    flow.is_busy = false;
    flow.state = State::closed;
    return;
  }
  if (flow.state == State::opening) {
    if ((tcp.flags & kAck) != 0 && ack != flow.snd_nxt) {
      // The server has one from before (RFC 9293 section 3.5.1): that ends, and this one is tried
      // again.
      send(index, flow, kRst, ack, {}, 0, 0);
      return send_syn(index, flow, now);
    }
    if ((tcp.flags & (kSyn | kAck)) != (kSyn | kAck)) return;
    flow.state = State::open;
    opening_--;
    opened_++;
    counts_.opened++;
    flow.rcv_nxt = sequence + 1;
    flow.snd_una = ack;
    flow.window = rte_be_to_cpu_16(tcp.window_be);
    flow.window_scale = 0;
    const uint8_t* options = reinterpret_cast<const uint8_t*>(&tcp + 1);
    for (uint32_t i = 0; i + 2 < header_bytes - 20;) {
      if (options[i] == 0) break;
      if (options[i] == 1) {
        i++;
        continue;
      }
      if (options[i] == 3) flow.window_scale = options[i + 2];
      i += std::max<uint32_t>(2, options[i + 1]);
    }
    if (sends_messages_ && config_.messages_per_connection != 0) return begin(index, now, now);
    acknowledge(index, flow);
    put_idle(index);
    return;
  }
  if (flow.state != State::open || (tcp.flags & kAck) == 0) return;
  flow.window = uint32_t{rte_be_to_cpu_16(tcp.window_be)} << flow.window_scale;
  if (static_cast<int32_t>(ack - flow.snd_una) > 0 && static_cast<int32_t>(ack - flow.snd_nxt) <= 0)
    flow.snd_una = ack;
  if ((tcp.flags & kSyn) != 0) return acknowledge(index, flow);
  bool ends = false;
  if (bytes != 0) {
    const uint32_t old = flow.rcv_nxt - sequence;
    if (static_cast<int32_t>(old) < 0 || old >= bytes) {
      // Not what comes next.
      return acknowledge(index, flow);
    }
    payload += old;
    bytes -= old;
    flow.rcv_nxt += bytes;
    ends = take_answer(index, flow, payload, bytes, now);
  }
  if (ends || flow.state != State::open) return;
  if ((tcp.flags & kFin) != 0) {
    counts_.resets++;
    flow.rcv_nxt++;
    acknowledge(index, flow);
    return;
  }
  if (flow.is_busy) pump(index, flow, now);
  // RFC 9293 section 3.8.6.3: every second full segment at least.
  if (flow.rcv_nxt - flow.acknowledged >= 2 * config_.segment_bytes) acknowledge(index, flow);
}

/// True when the answer is whole, and the connection goes on to something else.
bool TcpLoad::take_answer(uint32_t index, Flow& flow, const uint8_t* payload, uint32_t bytes,
                          uint64_t now) {
  counts_.response_bytes += bytes;
  if (!flow.is_busy || flow.received + bytes > config_.response_bytes ||
      (config_.is_echo && !request_.matches(payload, flow.received, bytes, tag_of(index, flow))))
    counts_.wrong++;
  flow.received += bytes;
  if (flow.received < config_.response_bytes || !flow.is_busy) return false;
  counts_.messages++;
  // A time into which a stall fell says nothing about the server.
  if (flow.due < stall_end_)
    counts_.excluded++;
  else
    latency_.record(
        static_cast<uint64_t>(static_cast<double>(now - flow.due) * 1e3 / ticks_per_us_));
  flow.is_busy = false;
  flow.count++;
  busy_--;
  if (config_.messages_per_connection != 0) {
    if (flow.count < config_.messages_per_connection) {
      begin(index, now, now);
      return true;
    }
    send(index, flow, kRst | kAck, flow.snd_nxt, {}, 0, 0);
    opened_--;
    flow.state = State::closed;
    if (sends_messages_) open_flow(index, now);
    return true;
  }
  put_idle(index);
  if (!flow.owes && owed_count_ < owed_.size()) {
    flow.owes = true;
    owed_[(owed_at_ + owed_count_++) % owed_.size()] = {index, now};
  }
  return true;
}

/// What is due without a frame: acknowledgements, and what has to be sent again.
void TcpLoad::look_after(uint64_t now) {
  while (owed_count_ != 0 && !is_full()) {
    const Owed owed = owed_[owed_at_];
    if (static_cast<double>(now - owed.since) < kOwedUs * ticks_per_us_) break;
    owed_at_ = (owed_at_ + 1) % static_cast<uint32_t>(owed_.size());
    owed_count_--;
    Flow& flow = flows_[owed.flow];
    flow.owes = false;
    if (flow.state == State::open && flow.acknowledged != flow.rcv_nxt)
      acknowledge(owed.flow, flow);
  }
  if (is_full()) return;
  const uint32_t index = looked_at_;
  looked_at_ = index + 1 == flows_.size() ? 0 : index + 1;
  Flow& flow = flows_[index];
  if (static_cast<double>(now - flow.sent) < kPatienceUs * ticks_per_us_) return;
  if (flow.state == State::opening) {
    counts_.resent++;
    send_syn(index, flow, now);
  } else if (flow.state == State::open && flow.is_busy &&
             (flow.snd_una != flow.snd_nxt ||
              flow.snd_nxt - flow.message_start < request_.size())) {
    counts_.resent++;
    // From what is not acknowledged on, in whole segments.
    const uint32_t offset = flow.snd_una - flow.message_start;
    flow.snd_nxt = flow.message_start + offset - offset % config_.segment_bytes;
    flow.sent = now;
    pump(index, flow, now);
  }
}

/// Receives, sends what is to be sent. False when there was nothing to do.
bool TcpLoad::turn() {
  rte_mbuf* frames[256];
  const uint32_t received = port_.receive(frames, config_.batch);
  const uint64_t now = rte_rdtsc();
  const uint64_t gap = now - last_turn_;
  if (last_turn_ != 0 && static_cast<double>(gap) > config_.stall_us * ticks_per_us_) {
    counts_.stalls++;
    counts_.stalled_ticks += gap;
    stall_end_ = now;
  }
  last_turn_ = now;
  counts_.frames_received += received;
  for (uint32_t i = 0; i < received; i++) rte_prefetch0(rte_pktmbuf_mtod(frames[i], const void*));
  for (uint32_t i = 0; i < received; i++) {
    take(frames[i], now);
    rte_pktmbuf_free(frames[i]);
  }
  bool did = received != 0 || !out_.empty();
  if (sends_messages_ && config_.messages_per_connection == 0) {
    if (interval_ > 0) {
      while (next_due_ <= static_cast<double>(now) && idle_count_ != 0 && !is_full()) {
        begin(take_idle(), static_cast<uint64_t>(next_due_), now);
        next_due_ += interval_;
        did = true;
      }
    } else {
      while (busy_ < config_.outstanding && idle_count_ != 0 && !is_full()) {
        begin(take_idle(), now, now);
        did = true;
      }
    }
  }
  if (knows_server_) {
    while (next_to_open_ < flows_.size() && opening_ < kMostOpening && !is_full()) {
      open_flow(next_to_open_++, now);
      did = true;
    }
    look_after(now);
  }
  flush();
  const uint64_t took = rte_rdtsc() - now;
  counts_.ticks += gap < now ? gap : 0;
  if (!did) counts_.idle_ticks += took;
  return did;
}

std::string TcpLoad::open(double patience_s) {
  const uint64_t end = rte_rdtsc() + static_cast<uint64_t>(patience_s * 1e6 * ticks_per_us_);
  uint64_t ask_at = 0;
  while (rte_rdtsc() < end) {
    if (!knows_server_ && rte_rdtsc() >= ask_at) {
      ask_for_server();
      ask_at = rte_rdtsc() + static_cast<uint64_t>(100'000 * ticks_per_us_);
    }
    turn();
    if (opened_ == flows_.size()) return {};
  }
  if (!knows_server_) return "nobody answers at the server's address";
  return "only " + std::to_string(opened_) + " of " + std::to_string(flows_.size()) +
         " connections were opened, and the server reset " + std::to_string(counts_.resets);
}

void TcpLoad::run(double seconds) {
  counts_ = {};
  latency_.clear();
  sends_messages_ = true;
  const uint64_t start = rte_rdtsc();
  const uint64_t end = start + static_cast<uint64_t>(seconds * 1e6 * ticks_per_us_);
  if (next_due_ == 0) next_due_ = static_cast<double>(start);
  last_turn_ = start;
  if (config_.messages_per_connection != 0) {
    while (idle_count_ != 0) {
      begin(take_idle(), start, start);
      if (is_full()) flush();
    }
  }
  while (last_turn_ < end) turn();
}

void TcpLoad::close() {
  sends_messages_ = false;
  const uint64_t end = rte_rdtsc() + static_cast<uint64_t>(2e6 * ticks_per_us_);
  for (uint32_t index = 0; index < flows_.size(); index++) {
    Flow& flow = flows_[index];
    if (flow.state != State::open) continue;
    while (is_full() && rte_rdtsc() < end) turn();
    send(index, flow, kRst | kAck, flow.snd_nxt, {}, 0, 0);
    flow.state = State::closed;
  }
  while (!out_.empty() && rte_rdtsc() < end) flush();
  // Until the server has read it: what is in a ring ends with the ring.
  const uint64_t read = rte_rdtsc() + static_cast<uint64_t>(kEndUs * ticks_per_us_);
  while (rte_rdtsc() < read) turn();
}

}  // namespace weir::load
