#include "testbed/link_port.h"

#include <rte_mbuf.h>

#include <cstring>

namespace weir::testbed {

uint64_t under_way(const sim::Link& link) {
  const auto& counts = link.counts();
  return counts.fates[static_cast<uint32_t>(sim::Fate::passed)] + counts.duplicated -
         counts.delivered;
}

rte_mbuf* buffer_of(const sim::Frame& bytes, const PacketPool& pool) {
  if (bytes.size() > kFrameDataBytes) return nullptr;
  rte_mbuf* buffer = rte_pktmbuf_alloc(pool.get());
  if (buffer == nullptr) return nullptr;
  std::memcpy(rte_pktmbuf_append(buffer, static_cast<uint16_t>(bytes.size())), bytes.data(),
              bytes.size());
  return buffer;
}

sim::Frame bytes_of(const rte_mbuf* packet) {
  sim::Frame bytes;
  bytes.reserve(packet->pkt_len);
  for (const rte_mbuf* segment = packet; segment != nullptr; segment = segment->next) {
    const auto* data = rte_pktmbuf_mtod(segment, const uint8_t*);
    bytes.insert(bytes.end(), data, data + segment->data_len);
  }
  return bytes;
}

uint32_t LinkPort::receive(rte_mbuf** frames, uint32_t capacity) {
  uint32_t count = 0;
  sim::Link::Arrival arrival;
  while (count < capacity && incoming_.receive(now_ns_, arrival)) {
    if (capture_ != nullptr) capture_->write(arrival.frame, now_ns_);
    rte_mbuf* buffer = buffer_of(arrival.frame, frames_);
    if (buffer != nullptr)
      frames[count++] = buffer;
    else
      overflowed_++;
  }
  return count;
}

uint32_t LinkPort::transmit(rte_mbuf** frames, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    const sim::Frame bytes = bytes_of(frames[i]);
    rte_pktmbuf_free(frames[i]);
    if (capture_ != nullptr) capture_->write(bytes, now_ns_);
    if (under_way(outgoing_) < kMaxUnderWay)
      outgoing_.send(bytes, now_ns_);
    else
      overflowed_++;
  }
  return count;
}

}  // namespace weir::testbed
