/// Segments on their way down.
#include <algorithm>
#include <cstring>

#include "net/checksum.h"
#include "net/tcp/state.h"

namespace weir::net::tcp {
namespace {

/// Payloads up to this length are copied behind the header; longer ones are attached by reference.
constexpr uint32_t kInlineBytes = 256;
/// Blocks that one segment is put together from; a segment of more pieces is copied, so many of
/// them at a time.
constexpr uint32_t kMaxPieces = 8;
constexpr uint32_t kMaxSegmentPieces = 64;
/// Segments that one connection may send in one cycle; the rest comes in the next, after the
/// others' turn.
constexpr uint32_t kSegmentsPerTurn = 64;

void put_u16(uint8_t* at, uint16_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
void put_u32(uint8_t* at, uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(at, &value, 4);
}

/// NOP, NOP, timestamps (RFC 7323 appendix A).
void put_timestamps(uint8_t* at, uint32_t value, uint32_t echo) {
  put_u32(at, 0x0101080a);
  put_u32(at + 4, value);
  put_u32(at + 8, echo);
}

void fill_header(uint8_t* at, uint16_t source, uint16_t destination, uint32_t sequence,
                 uint32_t acknowledgement, uint32_t header_bytes, uint8_t flags, uint16_t window) {
  auto* header = reinterpret_cast<Header*>(at);
  header->source_port_be = __builtin_bswap16(source);
  header->destination_port_be = __builtin_bswap16(destination);
  header->sequence_be = __builtin_bswap32(sequence);
  header->acknowledgement_be = __builtin_bswap32(acknowledgement);
  header->data_offset = static_cast<uint8_t>(header_bytes / 4 << 4);
  header->flags = flags;
  header->window_be = __builtin_bswap16(window);
  header->checksum = 0;
  header->urgent_be = 0;
}

/// Completes the checksum of a segment that starts at the packet's first byte.
void finish_checksum(rte_mbuf* packet, const Address& source, const Address& destination) {
  uint32_t bytes = rte_pktmbuf_pkt_len(packet);
  ChecksumSum sum = checksum_pseudo_header(source, destination, ip::kProtocolTcp, bytes);
  auto* header = rte_pktmbuf_mtod(packet, Header*);
  header->checksum =
      checksum_finish(packet->nb_segs == 1 ? checksum_add(sum, header, bytes)
                                           : checksum_add_packet(sum, packet, 0, bytes));
}

}  // namespace

/// The window to offer now, and with it the right edge that the peer will know. RFC 9293
/// section 3.8.6.2.2: the edge moves only by steps that are worth it, and never back.
uint16_t Tcp::State::window_field(ControlBlock& block) {
  uint32_t room =
      config.receive_buffer_bytes - std::min(config.receive_buffer_bytes, block.unconsumed_bytes);
  uint32_t edge = block.rcv_nxt + room;
  uint32_t step = std::min<uint32_t>(config.receive_buffer_bytes / 2, block.mss_bytes);
  if (seq_lt(edge, block.rcv_edge + step)) edge = block.rcv_edge;
  if (seq_lt(edge, block.rcv_nxt)) edge = block.rcv_nxt;
  uint32_t window = edge - block.rcv_nxt;
  // Rounded up, so that scaling never takes back what was offered.
  uint32_t field =
      std::min<uint32_t>(0xffff, (window + (1u << block.receive_scale) - 1) >> block.receive_scale);
  block.rcv_edge = seq_max(block.rcv_edge, block.rcv_nxt + (field << block.receive_scale));
  return static_cast<uint16_t>(field);
}

/// Writes header and options of a segment of an established connection; returns their length.
/// Acknowledges everything.
uint32_t Tcp::State::write_header(ControlBlock& block, uint8_t* at, uint32_t sequence,
                                  uint8_t flags) {
  uint32_t header_bytes = sizeof(Header) + (block.timestamps ? kTimestampOptionBytes : 0);
  fill_header(at, block.local.port, block.remote.port, sequence, block.rcv_nxt, header_bytes, flags,
              window_field(block));
  if (block.timestamps)
    put_timestamps(at + sizeof(Header), timestamp_now(block.ts_offset), block.ts_recent);
  block.last_ack_sent = block.rcv_nxt;
  block.unacknowledged_segments = 0;
  block.ack_now = false;
  block.delayed_ack_at_us = UINT64_MAX;
  return header_bytes;
}

/// Sends `bytes` of the queue, read at `cursor`, as the segment at `sequence`. False when no buffer
/// was free.
bool Tcp::State::send_segment(ControlBlock& block, uint32_t sequence, uint32_t bytes, uint8_t flags,
                              SendQueue::Cursor& cursor) {
  SendQueue::Piece pieces[kMaxSegmentPieces];
  uint32_t taken = 0;
  SendQueue::Cursor after = cursor;
  uint32_t count = block.queue.read(after, bytes, pieces, kMaxSegmentPieces, taken);
  bool attach = taken > kInlineBytes && count <= kMaxPieces;
  rte_mbuf* packet =
      rte_pktmbuf_alloc(attach || bytes + kMaxHeaderBytes <= kInlineBytes ? environment.header_pool
                                                                          : environment.frame_pool);
  if (packet == nullptr) {
    counters.add(Counter::drop_no_mbuf);
    return false;
  }
  auto* at = rte_pktmbuf_mtod(packet, uint8_t*);
  uint32_t header_bytes = write_header(block, at, sequence, flags);
  packet->data_len = static_cast<uint16_t>(header_bytes);
  packet->pkt_len = header_bytes;
  if (!attach) {
    for (uint32_t left = bytes;;) {
      for (uint32_t i = 0; i < count; i++) {
        std::memcpy(at + packet->data_len, pieces[i].data, pieces[i].length_bytes);
        packet->data_len = static_cast<uint16_t>(packet->data_len + pieces[i].length_bytes);
      }
      left -= taken;
      if (left == 0 || count == 0) break;
      count = block.queue.read(after, left, pieces, kMaxSegmentPieces, taken);
    }
    packet->pkt_len = packet->data_len;
  } else {
    rte_mbuf* last = packet;
    for (uint32_t i = 0; i < count; i++) {
      rte_mbuf* piece = rte_pktmbuf_alloc(environment.header_pool);
      if (piece == nullptr) {
        counters.add(Counter::drop_no_mbuf);
        rte_pktmbuf_free(packet);
        return false;
      }
      auto* data = const_cast<uint8_t*>(pieces[i].data);
      auto* references = &pieces[i].block->references;
      rte_mbuf_ext_refcnt_update(references, 1);
      rte_pktmbuf_attach_extbuf(piece, data, reinterpret_cast<rte_iova_t>(data),
                                static_cast<uint16_t>(pieces[i].length_bytes), references);
      piece->data_off = 0;
      piece->data_len = static_cast<uint16_t>(pieces[i].length_bytes);
      last->next = piece;
      last = piece;
      packet->nb_segs++;
      packet->pkt_len += pieces[i].length_bytes;
    }
  }
  cursor = after;
  finish_checksum(packet, block.local.address, block.remote.address);
  counters.add(Counter::tcp_tx);
  block.last_send_us = now_us;
  output.send(packet, block.local.address, block.remote.address, ip::kProtocolTcp);
  return true;
}

void Tcp::State::send_ack(ControlBlock& block) {
  rte_mbuf* packet = rte_pktmbuf_alloc(environment.header_pool);
  if (packet == nullptr) {
    // Not lost for good: the peer sends again and is answered then.
    counters.add(Counter::drop_no_mbuf);
    return;
  }
  auto* at = rte_pktmbuf_mtod(packet, uint8_t*);
  // RFC 9293 section 3.10.7.4: <SEQ=SND.NXT>; after a time-out the highest one sent is what the
  // peer expects.
  uint32_t header_bytes = write_header(block, at, block.snd_max, kAck);
  packet->data_len = static_cast<uint16_t>(header_bytes);
  packet->pkt_len = header_bytes;
  finish_checksum(packet, block.local.address, block.remote.address);
  counters.add(Counter::tcp_tx);
  output.send(packet, block.local.address, block.remote.address, ip::kProtocolTcp);
}

/// SYN or SYN-ACK, by state.
void Tcp::State::send_syn(ControlBlock& block) {
  bool answer = block.state == tcp::State::syn_received;
  if (block.snd_max == block.iss) {
    block.snd_max = block.snd_nxt = block.iss + 1;
    block.timing = true;
    block.timed_seq = block.iss;
    block.timed_at_us = now_us;
  } else {
    block.timing = false;
  }
  rte_mbuf* packet = rte_pktmbuf_alloc(environment.header_pool);
  if (packet == nullptr) {
    counters.add(Counter::drop_no_mbuf);
    return;
  }
  auto* at = rte_pktmbuf_mtod(packet, uint8_t*);
  uint8_t* options = at + sizeof(Header);
  options[0] = 2;
  options[1] = 4;
  put_u16(options + 2, our_mss(block.remote.address));
  uint32_t length = 4;
  if (!answer || block.timestamps) {
    put_timestamps(options + length, timestamp_now(block.ts_offset), answer ? block.ts_recent : 0);
    length += kTimestampOptionBytes;
  }
  if (!answer || block.window_scaling) {
    options[length] = 1;
    options[length + 1] = 3;
    options[length + 2] = 3;
    options[length + 3] = receive_scale;
    length += 4;
  }
  uint32_t header_bytes = sizeof(Header) + length;
  // The window of a SYN is not scaled (RFC 7323 section 2.2).
  uint32_t window = std::min<uint32_t>(0xffff, config.receive_buffer_bytes);
  fill_header(at, block.local.port, block.remote.port, block.iss, answer ? block.rcv_nxt : 0,
              header_bytes, answer ? kSyn | kAck : kSyn, static_cast<uint16_t>(window));
  if (answer) block.rcv_edge = block.rcv_nxt + window;
  packet->data_len = static_cast<uint16_t>(header_bytes);
  packet->pkt_len = header_bytes;
  finish_checksum(packet, block.local.address, block.remote.address);
  counters.add(Counter::tcp_tx);
  output.send(packet, block.local.address, block.remote.address, ip::kProtocolTcp);
}

/// A segment without options (or with timestamps) and without a connection behind it.
void Tcp::State::send_bare(const Endpoint& local, const Endpoint& remote, uint32_t sequence,
                           uint32_t acknowledgement, uint8_t flags, uint16_t window,
                           const uint32_t* timestamps) {
  rte_mbuf* packet = rte_pktmbuf_alloc(environment.header_pool);
  if (packet == nullptr) {
    counters.add(Counter::drop_no_mbuf);
    return;
  }
  auto* at = rte_pktmbuf_mtod(packet, uint8_t*);
  uint32_t header_bytes = sizeof(Header) + (timestamps != nullptr ? kTimestampOptionBytes : 0);
  fill_header(at, local.port, remote.port, sequence, acknowledgement, header_bytes, flags, window);
  if (timestamps != nullptr) put_timestamps(at + sizeof(Header), timestamps[0], timestamps[1]);
  packet->data_len = static_cast<uint16_t>(header_bytes);
  packet->pkt_len = header_bytes;
  finish_checksum(packet, local.address, remote.address);
  counters.add(Counter::tcp_tx);
  output.send(packet, local.address, remote.address, ip::kProtocolTcp);
}

/// RFC 9293 section 3.5.2: the reset that answers a segment nobody expects.
void Tcp::State::send_reset_for(const Segment& segment) {
  if (segment.has(kRst)) return;
  // Never from an address that is not ours alone (broadcast).
  if (!output.is_local(segment.local.address)) return;
  counters.add(Counter::tcp_resets_tx);
  if (segment.has(kAck))
    send_bare(segment.local, segment.remote, segment.acknowledgement, 0, kRst, 0, nullptr);
  else
    send_bare(segment.local, segment.remote, 0, segment.sequence + segment.length(), kRst | kAck, 0,
              nullptr);
}

/// After a segment of `bytes` and perhaps FIN: timers and the highest number sent.
void Tcp::State::note_sent(ControlBlock& block, uint32_t sequence, uint32_t bytes, bool fin) {
  uint32_t end = sequence + bytes + (fin ? 1 : 0);
  if (seq_gt(end, block.snd_max)) {
    counters.add(Counter::tcp_tx_bytes, end - seq_max(block.snd_max, sequence) - (fin ? 1 : 0));
    if (!block.timing && seq_ge(sequence, block.snd_max)) {
      block.timing = true;
      block.timed_seq = sequence;
      block.timed_at_us = now_us;
    }
    block.snd_max = end;
  } else {
    counters.add(Counter::tcp_retransmits);
    block.timing = false;
  }
  // RFC 6298 section 5.1.
  if (block.retransmit_at_us == UINT64_MAX) start_retransmit_timer(block);
}

/// The first unacknowledged segment once more, outside of the window's order.
void Tcp::State::retransmit_head(ControlBlock& block) {
  uint32_t bytes = std::min<uint32_t>(block.mss_bytes, block.queue.bytes());
  bool with_fin = block.fin_sent && bytes == block.queue.bytes();
  if (bytes == 0 && !with_fin) return;
  SendQueue::Cursor cursor = block.queue.seek(0);
  uint8_t flags = static_cast<uint8_t>(kAck | kPsh | (with_fin ? kFin : 0));
  if (!send_segment(block, block.snd_una, bytes, flags, cursor)) return;
  counters.add(Counter::tcp_retransmits);
  block.timing = false;
}

/// Sends what windows allow, or a bare acknowledgement if one is due (RFC 9293 section 3.8.6.2.1).
void Tcp::State::output_one(ControlBlock& block) {
  if (!block.established_or_later()) return;
  uint32_t end = block.data_end();
  if (block.queue.bytes() != 0 || (block.close_requested && !block.fin_acknowledged())) {
    // RFC 5681 section 4.1.
    if (block.snd_max == block.snd_una && block.last_send_us != 0 &&
        now_us - block.last_send_us > block.round_trip.timeout_us())
      block.congestion.on_idle();
    uint32_t allowed = std::min(
        block.snd_wnd, block.congestion.window_bytes() + block.congestion.limited_transmit_bytes());
    uint32_t limit = block.snd_una + allowed;
    for (uint32_t turn = 0;; turn++) {
      uint32_t queued = seq_lt(block.snd_nxt, end) ? end - block.snd_nxt : 0;
      uint32_t usable = seq_lt(block.snd_nxt, limit) ? limit - block.snd_nxt : 0;
      uint32_t bytes = std::min({queued, usable, uint32_t{block.mss_bytes}});
      bool last = bytes == queued;
      bool fin = last && block.close_requested && seq_le(block.snd_nxt, end);
      if (bytes == 0 && !fin) break;
      if (bytes == 0 && queued != 0) break;
      // Sender's silly window avoidance: a full segment, or all there is, or half of the largest
      // window ever offered. What is sent again is exempt: a peer that took its window back must
      // hear of us all the same.
      if (!last && bytes < block.mss_bytes && bytes < block.max_snd_wnd / 2 &&
          seq_ge(block.snd_nxt, block.snd_max))
        break;
      if (turn == kSegmentsPerTurn) {
        want_output(block);
        break;
      }
      if (block.cursor.block == nullptr || block.cursor_seq != block.snd_nxt)
        block.cursor = block.queue.seek(block.snd_nxt - block.snd_una);
      uint8_t flags =
          static_cast<uint8_t>(kAck | (last && bytes != 0 ? kPsh : 0) | (fin ? kFin : 0));
      if (!send_segment(block, block.snd_nxt, bytes, flags, block.cursor)) {
        // No buffer: the retransmission timer tries again.
        block.cursor = {};
        if (block.retransmit_at_us == UINT64_MAX) start_retransmit_timer(block);
        return;
      }
      uint32_t sequence = block.snd_nxt;
      if (fin) {
        block.fin_sent = true;
        block.fin_sequence = sequence + bytes;
      }
      block.snd_nxt += bytes + (fin ? 1 : 0);
      block.cursor_seq = block.snd_nxt;
      note_sent(block, sequence, bytes, fin);
      if (fin) break;
    }
    // Nothing under way and nothing may be sent: only a probe finds out when the window opens.
    if (block.queue.bytes() != 0 && block.retransmit_at_us == UINT64_MAX &&
        block.persist_at_us == UINT64_MAX) {
      block.persist_at_us = now_us + block.round_trip.timeout_us();
      arm(block, block.persist_at_us);
    }
  }
  if (block.ack_now) send_ack(block);
}

}  // namespace weir::net::tcp
