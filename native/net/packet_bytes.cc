#include "net/packet_bytes.h"

#include <algorithm>
#include <cstring>

namespace weir::net {

bool pull_up_chain(rte_mbuf* packet, uint32_t bytes) {
  if (packet->pkt_len < bytes) return false;
  const uint32_t missing = bytes - packet->data_len;
  if (!is_head_writable(packet) || rte_pktmbuf_tailroom(packet) < missing) return false;
  while (packet->data_len < bytes) {
    rte_mbuf* next = packet->next;
    if (rte_mbuf_refcnt_read(next) != 1) return false;
    const uint16_t moved = std::min<uint32_t>(next->data_len, bytes - packet->data_len);
    std::memcpy(rte_pktmbuf_mtod_offset(packet, uint8_t*, packet->data_len),
                rte_pktmbuf_mtod(next, const uint8_t*), moved);
    packet->data_len += moved;
    next->data_len -= moved;
    next->data_off += moved;
    if (next->data_len == 0) {
      packet->next = next->next;
      packet->nb_segs--;
      rte_pktmbuf_free_seg(next);
    }
  }
  return true;
}

void trim_to(rte_mbuf* packet, uint32_t bytes) {
  if (packet->pkt_len <= bytes) return;
  uint32_t left = bytes;
  uint16_t segments = 1;
  rte_mbuf* last = packet;
  while (last->data_len < left) {
    left -= last->data_len;
    last = last->next;
    segments++;
  }
  last->data_len = static_cast<uint16_t>(left);
  rte_pktmbuf_free(last->next);
  last->next = nullptr;
  packet->nb_segs = segments;
  packet->pkt_len = bytes;
}

bool append_copy(rte_mbuf* packet, std::span<const uint8_t> bytes, rte_mempool* pool) {
  rte_mbuf* last = rte_pktmbuf_lastseg(packet);
  while (!bytes.empty()) {
    if (rte_pktmbuf_tailroom(last) == 0) {
      rte_mbuf* more = rte_pktmbuf_alloc(pool);
      if (more == nullptr) return false;
      last->next = more;
      last = more;
      packet->nb_segs++;
    }
    const auto copied =
        static_cast<uint16_t>(std::min<size_t>(bytes.size(), rte_pktmbuf_tailroom(last)));
    std::memcpy(rte_pktmbuf_mtod_offset(last, uint8_t*, last->data_len), bytes.data(), copied);
    last->data_len += copied;
    packet->pkt_len += copied;
    bytes = bytes.subspan(copied);
  }
  return true;
}

}  // namespace weir::net
