#include "tcp_load.h"

#include <rte_cycles.h>

#include <algorithm>

namespace weir::load {
namespace {

using net::tcp::kAck;
using net::tcp::kFin;
using net::tcp::kPsh;
using net::tcp::kRst;
using net::tcp::kSyn;

/// Handshakes under way at once: fewer than the backlog of a server.
constexpr uint32_t kMostOpening = 128;
/// As other clients do, an answer that nothing is sent after is acknowledged after a while.
constexpr double kOwedUs = 20'000;
constexpr uint8_t kWindowScale = 7;
/// MSS and window scale.
constexpr uint32_t kSynOptionBytes = 8;

}  // namespace

TcpLoad::TcpLoad(const LoadConfig& config, Dialogue& dialogue, port::Port& port, rte_mempool* pool)
    : Load(config, dialogue, port, pool), flows_(config.connections), owed_(config.connections) {}

void TcpLoad::await_message(uint32_t index, Flow& flow) {
  if (flow.waits) return;
  flow.waits = true;
  wait(index);
}

void TcpLoad::send(uint32_t index, Flow& flow, uint8_t flags, uint32_t sequence,
                   std::span<const uint8_t> options, uint32_t offset, uint32_t bytes) {
  rte_mbuf* frame = allocate();
  if (frame == nullptr) return;
  net::ChecksumSum sum = 0;
  if (bytes != 0)
    sum = dialogue_.write({index, flow.count}, offset, bytes,
                          SegmentTemplate::payload(frame, static_cast<uint32_t>(options.size())));
  template_->fill(frame, client_of(index),
                  {.sequence = sequence, .acknowledgement = (flags & kAck) != 0 ? flow.rcv_nxt : 0},
                  flags, options, bytes, sum);
  flow.acknowledged = flow.rcv_nxt;
  transmit(frame);
}

void TcpLoad::acknowledge(uint32_t index, Flow& flow) {
  send(index, flow, kAck, flow.snd_nxt, {}, 0, 0);
}

void TcpLoad::owe(uint32_t index, Flow& flow, uint64_t now) {
  if (flow.owes) return;
  flow.owes = true;
  owed_.push({index, now});
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

void TcpLoad::leave(Flow& flow) {
  if (flow.is_busy) count_abandoned();
  if (flow.state == State::opening) opening_--;
  if (flow.state == State::open) opened_--;
  flow.is_busy = false;
  flow.state = State::closed;
}

void TcpLoad::renew(uint32_t index, Flow& flow, uint64_t now) {
  send(index, flow, kRst | kAck, flow.snd_nxt, {}, 0, 0);
  leave(flow);
  if (is_loading()) open_flow(index, now);
}

void TcpLoad::begin(uint32_t index, uint64_t due, uint64_t now) {
  Flow& flow = flows_[index];
  flow.waits = false;
  // It has been reset while it waited, and waits again when it is open.
  if (flow.state != State::open) return;
  flow.is_busy = true;
  flow.due = due;
  flow.received = 0;
  flow.message_start = flow.snd_nxt;
  flow.message_bytes = dialogue_.begin({index, flow.count});
  count_begin();
  pump(index, flow, now);
}

/// Sends of the present message what the server's window lets through.
void TcpLoad::pump(uint32_t index, Flow& flow, uint64_t now) {
  for (;;) {
    const uint32_t offset = flow.snd_nxt - flow.message_start;
    if (offset >= flow.message_bytes) return;
    const uint32_t bytes = std::min(config_.segment_bytes, flow.message_bytes - offset);
    if (flow.snd_nxt - flow.snd_una + bytes > flow.window || is_full()) return;
    const uint8_t flags = offset + bytes == flow.message_bytes ? kAck | kPsh : kAck;
    send(index, flow, flags, flow.snd_nxt, {}, offset, bytes);
    flow.snd_nxt += bytes;
    flow.sent = now;
  }
}

void TcpLoad::take_reset(Flow& flow, uint32_t ack) {
  // One of a connection before is not this one's.
  if (flow.state == State::closed || ack != flow.snd_nxt) return;
  counts_.resets++;
  leave(flow);
}

/// The answer to a SYN.
void TcpLoad::take_opening(uint32_t index, Flow& flow, const net::tcp::Header& tcp,
                           uint32_t header_bytes, uint64_t now) {
  const uint32_t ack = rte_be_to_cpu_32(tcp.acknowledgement_be);
  if ((tcp.flags & kAck) != 0 && (ack != flow.snd_nxt || (tcp.flags & kSyn) == 0)) {
    // The server has one from before (RFC 9293 section 3.5.1), which may even stand at the same
    // number: that ends, and this one is tried again.
    send(index, flow, kRst, ack, {}, 0, 0);
    return send_syn(index, flow, now);
  }
  if ((tcp.flags & (kSyn | kAck)) != (kSyn | kAck)) return;
  flow.state = State::open;
  opening_--;
  opened_++;
  counts_.opened++;
  flow.rcv_nxt = rte_be_to_cpu_32(tcp.sequence_be) + 1;
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
  // A message follows in this turn and acknowledges; if none does, the server waits a little.
  if (is_loading())
    owe(index, flow, now);
  else
    acknowledge(index, flow);
  await_message(index, flow);
}

void TcpLoad::take(uint32_t index, const uint8_t* frame, uint32_t frame_bytes, uint64_t now) {
  const auto& headers = *reinterpret_cast<const SegmentHeaders*>(frame);
  if (frame_bytes < sizeof headers || headers.packet.ip.protocol != 6) return;
  Flow& flow = flows_[index];
  const auto& tcp = headers.tcp;
  const uint32_t sequence = rte_be_to_cpu_32(tcp.sequence_be);
  const uint32_t ack = rte_be_to_cpu_32(tcp.acknowledgement_be);
  const uint32_t header_bytes = (tcp.data_offset >> 4) * 4u;
  const uint32_t ip_bytes = rte_be_to_cpu_16(headers.packet.ip.total_bytes_be);
  if (ip_bytes < 20 + header_bytes || frame_bytes < 14 + ip_bytes || header_bytes < 20) return;
  uint32_t bytes = ip_bytes - 20 - header_bytes;
  const uint8_t* payload = reinterpret_cast<const uint8_t*>(&tcp) + header_bytes;
  if ((tcp.flags & kRst) != 0) {
    const bool was_open = flow.state == State::open;
    take_reset(flow, ack);
    // Who refuses a connection is not asked again.
    if (was_open && flow.state == State::closed && is_loading()) open_flow(index, now);
    return;
  }
  if (flow.state == State::opening) return take_opening(index, flow, tcp, header_bytes, now);
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
  if (flow.state != State::open) return;
  if ((tcp.flags & kFin) != 0) {
    counts_.resets++;
    flow.rcv_nxt++;
    return renew(index, flow, now);
  }
  if (ends) return;
  if (flow.is_busy) pump(index, flow, now);
  // RFC 9293 section 3.8.6.3: every second full segment at least.
  if (flow.rcv_nxt - flow.acknowledged >= 2 * config_.segment_bytes) acknowledge(index, flow);
}

/// True when the answer is whole, and the connection goes on to something else.
bool TcpLoad::take_answer(uint32_t index, Flow& flow, const uint8_t* payload, uint32_t bytes,
                          uint64_t now) {
  counts_.response_bytes += bytes;
  if (!flow.is_busy) {
    counts_.wrong++;
    return false;
  }
  const Taken taken = dialogue_.take({index, flow.count}, flow.received, payload, bytes);
  flow.received += bytes;
  counts_.wrong += taken.wrong;
  counts_.messages += taken.answered;
  if (taken.is_lost) {
    renew(index, flow, now);
    return true;
  }
  if (!taken.is_whole) return false;
  count_answered(flow.due, now);
  flow.is_busy = false;
  flow.count++;
  if (config_.messages_per_connection != 0 && flow.count == config_.messages_per_connection) {
    renew(index, flow, now);
    return true;
  }
  await_message(index, flow);
  owe(index, flow, now);
  return true;
}

/// Sends again what nobody has answered for long.
void TcpLoad::repeat(uint32_t index, uint64_t now) {
  Flow& flow = flows_[index];
  if (now - flow.sent < ticks(kPatienceUs)) return;
  if (flow.state == State::opening) {
    counts_.resent++;
    send_syn(index, flow, now);
  } else if (flow.state == State::open && flow.is_busy &&
             (flow.snd_una != flow.snd_nxt ||
              flow.snd_nxt - flow.message_start < flow.message_bytes)) {
    counts_.resent++;
    // From what is not acknowledged on, in whole segments.
    const uint32_t offset = flow.snd_una - flow.message_start;
    flow.snd_nxt = flow.message_start + offset - offset % config_.segment_bytes;
    flow.sent = now;
    pump(index, flow, now);
  }
}

bool TcpLoad::tend(uint64_t now) {
  bool did = false;
  while (next_to_open_ < flows_.size() && opening_ < kMostOpening && !is_full()) {
    open_flow(next_to_open_++, now);
    did = true;
  }
  while (!owed_.is_empty() && !is_full()) {
    if (now - owed_.front().since < ticks(kOwedUs)) break;
    const uint32_t index = owed_.pop().flow;
    Flow& flow = flows_[index];
    flow.owes = false;
    if (flow.state == State::open && flow.acknowledged != flow.rcv_nxt) acknowledge(index, flow);
  }
  if (is_full()) return did;
  repeat(looked_at_, now);
  looked_at_ = looked_at_ + 1 == flows_.size() ? 0 : looked_at_ + 1;
  return did;
}

void TcpLoad::end_all(uint64_t deadline) {
  for (uint32_t index = 0; index < flows_.size(); index++) {
    Flow& flow = flows_[index];
    if (flow.state != State::open) continue;
    while (is_full() && rte_rdtsc() < deadline) turn();
    send(index, flow, kRst | kAck, flow.snd_nxt, {}, 0, 0);
    leave(flow);
  }
}

}  // namespace weir::load
