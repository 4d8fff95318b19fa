#include "udp_load.h"

namespace weir::load {

UdpLoad::UdpLoad(const LoadConfig& config, Dialogue& dialogue, port::Port& port, rte_mempool* pool)
    : Load(config, dialogue, port, pool), flows_(config.connections) {}

void UdpLoad::on_route(const Route& route) {
  template_ = std::make_unique<DatagramTemplate>(route);
  for (uint32_t index = 0; index < flows_.size(); index++) wait(index);
}

void UdpLoad::send(uint32_t index, Flow& flow, uint64_t now) {
  flow.sent = now;
  rte_mbuf* frame = allocate();
  if (frame == nullptr) return;
  const net::ChecksumSum sum =
      dialogue_.write({index, flow.count}, 0, flow.message_bytes, DatagramTemplate::payload(frame));
  template_->fill(frame, client_of(index), flow.message_bytes, sum);
  transmit(frame);
}

void UdpLoad::begin(uint32_t index, uint64_t due, uint64_t now) {
  Flow& flow = flows_[index];
  flow.is_busy = true;
  flow.due = due;
  flow.message_bytes = dialogue_.begin({index, flow.count});
  count_begin();
  send(index, flow, now);
}

void UdpLoad::take(uint32_t index, const uint8_t* frame, uint32_t frame_bytes, uint64_t now) {
  const auto& headers = *reinterpret_cast<const DatagramHeaders*>(frame);
  uint16_t source_be;
  std::memcpy(&source_be, frame + kSourcePortOffset, sizeof source_be);
  if (headers.packet.ip.protocol != 17 || source_be != rte_cpu_to_be_16(config_.server_port))
    return;
  const uint32_t udp_bytes = rte_be_to_cpu_16(headers.length_be);
  if (udp_bytes < 8 || frame_bytes < sizeof(PacketHeaders) + udp_bytes) return;
  const uint32_t bytes = udp_bytes - 8;
  const auto* payload = reinterpret_cast<const uint8_t*>(&headers + 1);
  counts_.response_bytes += bytes;
  Flow& flow = flows_[index];
  const MessageId message{index, flow.count};
  const auto answers = [&](const MessageId& asked) {
    const Taken taken = dialogue_.take(asked, 0, payload, bytes);
    return taken.is_whole && taken.wrong == 0;
  };
  if (!flow.is_busy || !answers(message)) {
    // A message that was sent twice may be answered twice.
    if (flow.count != 0 && answers({index, flow.count - 1}))
      counts_.late++;
    else
      counts_.wrong++;
    return;
  }
  counts_.messages++;
  count_answered(flow.due, now);
  flow.is_busy = false;
  flow.count++;
  wait(index);
}

bool UdpLoad::tend(uint64_t now) {
  Flow& flow = flows_[looked_at_];
  if (flow.is_busy && now - flow.sent >= ticks(kPatienceUs) && !is_full()) {
    counts_.resent++;
    send(looked_at_, flow, now);
  }
  looked_at_ = looked_at_ + 1 == flows_.size() ? 0 : looked_at_ + 1;
  return false;
}

}  // namespace weir::load
