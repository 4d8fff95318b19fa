#pragma once
#include <rte_mbuf.h>

#include <cstdint>
#include <span>

namespace weir::net {

/// Whether the bytes of the first segment may be changed: nobody else holds them.
inline bool is_head_writable(const rte_mbuf* packet) {
  return rte_mbuf_refcnt_read(packet) == 1 &&
         (RTE_MBUF_DIRECT(packet) || RTE_MBUF_HAS_PINNED_EXTBUF(packet));
}

/// The slow path of pull_up.
bool pull_up_chain(rte_mbuf* packet, uint32_t bytes);

/// Makes the first `bytes` of a packet lie in its first segment, moving them there from the others.
/// False if the packet is shorter or the first segment has no room for them or is not ours to
/// change.
inline bool pull_up(rte_mbuf* packet, uint32_t bytes) {
  return packet->data_len >= bytes || pull_up_chain(packet, bytes);
}

/// Cuts a packet to its first `bytes`; segments that hold nothing any more are freed.
void trim_to(rte_mbuf* packet, uint32_t bytes);

/// Copies `bytes` behind the end of a packet, with further segments from `pool` where they do not
/// fit. False if no buffer was free; the packet may have grown by then and is only good for being
/// freed.
bool append_copy(rte_mbuf* packet, std::span<const uint8_t> bytes, rte_mempool* pool);

}  // namespace weir::net
