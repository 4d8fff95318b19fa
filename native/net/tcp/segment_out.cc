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
/// them at a time. One that the port will cut is made of more.
constexpr uint32_t kMaxPieces = 8;
constexpr uint32_t kMaxLargePieces = 48;
constexpr uint32_t kMaxSegmentPieces = 64;
/// Segments that one connection may send in one cycle; the rest comes in the next, after the
/// others' turn.
constexpr uint32_t kSegmentsPerTurn = 64;
/// IPv6 and TCP with all its options.
constexpr uint32_t kLargestHeadersBytes = 40 + kMaxHeaderBytes;

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

/// NOP, NOP, SACK (RFC 2018 section 3). Returns the length, 0 without blocks.
uint32_t put_sacks(uint8_t* at, const SackBlock* sacks, uint32_t count) {
  if (count == 0) return 0;
  put_u32(at, 0x01010500 | (2 + 8 * count));
  for (uint32_t i = 0; i < count; i++) {
    put_u32(at + 4 + 8 * i, sacks[i].start);
    put_u32(at + 8 + 8 * i, sacks[i].end);
  }
  return 4 + 8 * count;
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

/// Completes the checksum of a segment that starts at the packet's first byte, or leaves that to
/// the port.
void finish_checksum(rte_mbuf* packet, const Address& source, const Address& destination,
                     bool by_port) {
  uint32_t bytes = rte_pktmbuf_pkt_len(packet);
  ChecksumSum sum = checksum_pseudo_header(source, destination, ip::kProtocolTcp, bytes);
  auto* header = rte_pktmbuf_mtod(packet, Header*);
  if (by_port) {
    header->checksum = checksum_fold(sum);
    packet->ol_flags |=
        RTE_MBUF_F_TX_TCP_CKSUM | (source.is_v4() ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
    return;
  }
  header->checksum =
      checksum_finish(packet->nb_segs == 1 ? checksum_add(sum, header, bytes)
                                           : checksum_add_packet(sum, packet, 0, bytes));
}

}  // namespace

/// The window to offer now, and with it the right edge that the peer will know. RFC 9293
/// section 3.8.6.2.2: the edge moves only by steps that are worth it, and never back.
uint16_t Tcp::State::window_field(ControlBlock& block) {
  uint32_t step = std::min<uint32_t>(block.receive_limit_bytes / 2, block.mss_bytes);
  uint32_t edge = block.rcv_nxt + buffer_room(block);
  // The handler is asked only where there is something to offer.
  if (seq_ge(edge, block.rcv_edge + step)) edge = block.rcv_nxt + receive_room(block);
  if (seq_lt(edge, block.rcv_edge + step)) edge = block.rcv_edge;
  if (seq_lt(edge, block.rcv_nxt)) edge = block.rcv_nxt;
  uint32_t window = edge - block.rcv_nxt;
  // Rounded up, so that scaling never takes back what was offered.
  uint32_t field =
      std::min<uint32_t>(0xffff, (window + (1u << block.receive_scale) - 1) >> block.receive_scale);
  block.rcv_edge = seq_max(block.rcv_edge, block.rcv_nxt + (field << block.receive_scale));
  return static_cast<uint16_t>(field);
}

/// The longest payload of the next segment: the SACK option takes its room from it.
uint32_t Tcp::State::segment_bytes(const ControlBlock& block) const {
  if (!block.reports()) [[likely]]
    return block.mss_bytes;
  uint32_t blocks = block.reorder.runs() + (block.duplicate.start != block.duplicate.end ? 1 : 0);
  return block.mss_bytes -
         (4 + 8 * std::min(blocks, block.timestamps ? kMaxSackBlocks - 1 : kMaxSackBlocks));
}

/// Writes header and options of a segment of an established connection; returns their length.
/// Acknowledges everything.
uint32_t Tcp::State::write_header(ControlBlock& block, uint8_t* at, uint32_t sequence,
                                  uint8_t flags) {
  uint32_t header_bytes = sizeof(Header) + (block.timestamps ? kTimestampOptionBytes : 0);
  if (block.timestamps)
    put_timestamps(at + sizeof(Header), timestamp_now(block.ts_offset), block.ts_recent);
  if (block.reports()) [[unlikely]] {
    // The duplicate first, if there was one (RFC 2883 section 4), then what is there.
    SackBlock sacks[kMaxSackBlocks];
    uint32_t capacity = (kMaxHeaderBytes - header_bytes - 4) / 8;
    uint32_t count = 0;
    if (block.duplicate.start != block.duplicate.end) sacks[count++] = block.duplicate;
    block.duplicate = {0, 0};
    count += block.reorder.report(block.rcv_nxt, sacks + count, capacity - count);
    header_bytes += put_sacks(at + header_bytes, sacks, count);
  }
  if (block.echo_congestion) flags |= kEce;
  fill_header(at, block.local.port, block.remote.port, sequence, block.rcv_nxt, header_bytes, flags,
              window_field(block));
  block.last_ack_sent = block.rcv_nxt;
  block.unacknowledged_segments = 0;
  block.ack_now = false;
  block.delayed_ack_at_us = UINT64_MAX;
  return header_bytes;
}

/// The acknowledgement that a segment carried was lost with it, for want of a buffer.
void Tcp::State::acknowledge_later(ControlBlock& block) {
  block.delayed_ack_at_us = now_us + kDelayedAckUs;
  arm(block, block.delayed_ack_at_us);
}

/// Sends `bytes` of the queue, read at `cursor`, as the segment at `sequence`. False when no buffer
/// was free.
bool Tcp::State::send_segment(ControlBlock& block, uint32_t sequence, uint32_t bytes, uint8_t flags,
                              SendQueue::Cursor& cursor, bool resent) {
  SendQueue::Piece pieces[kMaxSegmentPieces];
  uint32_t taken = 0;
  SendQueue::Cursor after = cursor;
  uint32_t count = block.queue.read(after, bytes, pieces, kMaxSegmentPieces, taken);
  bool attach = taken > kInlineBytes && (count <= kMaxPieces || bytes > block.mss_bytes);
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
    counters.add(Counter::copied_segment_bytes, bytes);
  } else {
    rte_mbuf* last = packet;
    for (uint32_t i = 0; i < count; i++) {
      rte_mbuf* piece = rte_pktmbuf_alloc(environment.header_pool);
      if (piece == nullptr) {
        counters.add(Counter::drop_no_mbuf);
        rte_pktmbuf_free(packet);
        acknowledge_later(block);
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
  if (bytes > block.mss_bytes) {
    // The port cuts it, and the peer sees the pieces.
    packet->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    packet->l4_len = header_bytes;
    packet->tso_segsz = block.mss_bytes;
  }
  finish_checksum(packet, block.local.address, block.remote.address,
                  config.port_completes_checksums);
  counters.add(Counter::tcp_tx);
  block.last_send_ms = now_ms();
  block.has_sent = true;
  // RFC 3168 sections 6.1.5 and 6.1.6: what is sent again, and a window probe, is not ECN-capable.
  bool probes = seq_gt(sequence + bytes, block.snd_una + block.snd_wnd);
  output.send(packet, block.local.address, block.remote.address, ip::kProtocolTcp,
              {.ecn = static_cast<uint8_t>(block.ecn && !resent && !probes && bytes != 0 ? 2 : 0)});
  return true;
}

/// Sends a segment that is nothing but its header, which is written.
void Tcp::State::send_header(rte_mbuf* packet, uint32_t header_bytes, const Address& local,
                             const Address& remote) {
  packet->data_len = static_cast<uint16_t>(header_bytes);
  packet->pkt_len = header_bytes;
  finish_checksum(packet, local, remote, config.port_completes_checksums);
  counters.add(Counter::tcp_tx);
  output.send(packet, local, remote, ip::kProtocolTcp);
}

void Tcp::State::send_ack(ControlBlock& block) {
  rte_mbuf* packet = rte_pktmbuf_alloc(environment.header_pool);
  if (packet == nullptr) {
    counters.add(Counter::drop_no_mbuf);
    block.ack_now = false;
    acknowledge_later(block);
    return;
  }
  auto* at = rte_pktmbuf_mtod(packet, uint8_t*);
  // RFC 9293 section 3.10.7.4: <SEQ=SND.NXT>.
  uint32_t header_bytes = write_header(block, at, block.snd_nxt, kAck);
  send_header(packet, header_bytes, block.local.address, block.remote.address);
}

/// SYN or SYN-ACK, by state.
void Tcp::State::send_syn(ControlBlock& block) {
  bool answer = block.state == tcp::State::syn_received;
  if (block.snd_nxt == block.iss) {
    block.snd_nxt = block.iss + 1;
    block.opened_us = now_us;
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
  bool sack = !answer || block.sack_permitted;
  if (!answer || block.timestamps) {
    put_timestamps(options + length, timestamp_now(block.ts_offset), answer ? block.ts_recent : 0);
    // SACK-permitted (RFC 2018 section 2) takes the place of the padding.
    if (sack) put_u16(options + length, 0x0402);
    length += kTimestampOptionBytes;
  } else if (sack) {
    put_u32(options + length, 0x01010402);
    length += 4;
  }
  if (!answer || block.window_scaling) {
    options[length] = 1;
    options[length + 1] = 3;
    options[length + 2] = 3;
    options[length + 3] = receive_scale;
    length += 4;
  }
  uint32_t header_bytes = sizeof(Header) + length;
  // RFC 3168 section 6.1.1; a repeated SYN does without, in case a middlebox is in its way
  // (section 6.1.1.1).
  uint8_t flags = answer ? kSyn | kAck : kSyn;
  if (answer && block.ecn) flags |= kEce;
  if (!answer && config.request_ecn && block.retries == 0) flags |= kEce | kCwr;
  // The window of a SYN is not scaled (RFC 7323 section 2.2).
  uint32_t window = std::min<uint32_t>(0xffff, config.receive_buffer_bytes);
  fill_header(at, block.local.port, block.remote.port, block.iss, answer ? block.rcv_nxt : 0,
              header_bytes, flags, static_cast<uint16_t>(window));
  if (answer) block.rcv_edge = block.rcv_nxt + window;
  send_header(packet, header_bytes, block.local.address, block.remote.address);
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
  send_header(packet, header_bytes, local.address, remote.address);
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

/// Sends the next `bytes` of the queue, and FIN behind them. False when there was no memory.
bool Tcp::State::send_new(ControlBlock& block, uint32_t bytes, bool fin) {
  SentSegment* sent = block.board.full() ? nullptr : sent_pool.take();
  if (sent == nullptr) {
    counters.add(Counter::tcp_sent_full);
    return false;
  }
  if (block.cursor.block == nullptr)
    block.cursor = block.queue.seek(block.snd_nxt - block.snd_una);
  else
    block.queue.advance(block.cursor, 0);
  sent->from = block.cursor;
  sent->sequence = block.snd_nxt;
  sent->end = block.snd_nxt + bytes + (fin ? 1 : 0);
  sent->fin = fin;
  uint8_t flags = kAck;
  if (bytes != 0 && block.snd_nxt + bytes == block.data_end()) flags |= kPsh;
  if (fin) flags |= kFin;
  bool tells = block.tell_reduced && bytes != 0 &&
               seq_le(block.snd_nxt + bytes, block.snd_una + block.snd_wnd);
  if (tells) flags |= kCwr;
  if (!send_segment(block, block.snd_nxt, bytes, flags, block.cursor, false)) {
    sent_pool.give_back(sent);
    return false;
  }
  if (tells) block.tell_reduced = false;
  if (fin) {
    block.fin_sent = true;
    block.fin_sequence = block.snd_nxt + bytes;
  }
  if (block.board.empty()) block.progress_ms = now_ms();
  block.board.append(sent, now_us);
  block.snd_nxt = sent->end;
  block.reduction.on_sent(sent->length());
  counters.add(Counter::tcp_tx_bytes, bytes);
  return true;
}

/// Sends a segment once more, the first part of it if it is longer than segments may be now. False
/// when there was no memory.
bool Tcp::State::resend(ControlBlock& block, SentSegment& sent) {
  uint32_t most = segment_bytes(block);
  if (sent.payload_bytes() > most &&
      !block.board.split(sent_pool, block.queue, sent, sent.sequence + most))
    return false;
  SendQueue::Cursor cursor = sent.from;
  auto flags = static_cast<uint8_t>(kAck | kPsh | (sent.fin ? kFin : 0));
  if (!send_segment(block, sent.sequence, sent.payload_bytes(), flags, cursor, true)) return false;
  if (!block.resent_stamp_valid) {
    block.resent_stamp = timestamp_now(block.ts_offset);
    block.resent_stamp_valid = true;
  }
  block.undo_any_resent = true;
  if (block.undo_resent < UINT16_MAX) block.undo_resent++;
  block.board.mark_resent(sent, now_us);
  block.reduction.on_sent(sent.length());
  counters.add(Counter::tcp_retransmits);
  return true;
}

/// Sends lost segments again as the window allows. False when there was no memory.
bool Tcp::State::repair_losses(ControlBlock& block) {
  uint32_t window = block.congestion.window_bytes();
  uint32_t right = block.snd_una + block.snd_wnd;
  while (SentSegment* lost = block.board.first_lost()) {
    uint32_t under_way = pipe(block);
    if (under_way != 0 && under_way + std::min<uint32_t>(lost->length(), block.mss_bytes) > window)
      return true;
    // A peer that took its window back is sent no more than the first segment beyond it.
    if (block.snd_wnd == 0 || (seq_gt(lost->end, right) && lost != block.board.head())) return true;
    if (!resend(block, *lost)) return false;
  }
  return true;
}

/// How many of the next `bytes` go into a packet that the port cuts: whole segments, or all that is
/// queued, in as many pieces as a packet may have.
uint32_t Tcp::State::large_segment_bytes(ControlBlock& block, uint32_t bytes) {
  if (block.cursor.block == nullptr) block.cursor = block.queue.seek(block.snd_nxt - block.snd_una);
  SendQueue::Piece pieces[kMaxLargePieces];
  uint32_t taken = 0;
  SendQueue::Cursor cursor = block.cursor;
  block.queue.read(cursor, bytes, pieces, kMaxLargePieces, taken);
  if (block.snd_nxt + taken == block.data_end()) return taken;
  return std::max<uint32_t>(taken - taken % block.mss_bytes,
                            std::min<uint32_t>(bytes, block.mss_bytes));
}

/// Sends new bytes as both windows allow. False when there was no memory.
bool Tcp::State::send_queued(ControlBlock& block) {
  uint32_t end = block.data_end();
  uint32_t limit = block.snd_una + block.snd_wnd;
  uint32_t window = block.congestion.window_bytes();
  uint32_t mss = segment_bytes(block);
  // What fits into one packet with its headers; not while a SACK option takes room from each piece.
  uint32_t large = config.large_send_bytes != 0 && mss == block.mss_bytes
                       ? config.large_send_bytes - kLargestHeadersBytes
                       : 0;
  for (uint32_t turn = 0;; turn++) {
    uint32_t under_way = pipe(block);
    uint32_t queued = seq_lt(block.snd_nxt, end) ? end - block.snd_nxt : 0;
    uint32_t offered = seq_lt(block.snd_nxt, limit) ? limit - block.snd_nxt : 0;
    uint32_t usable = std::min(offered, window > under_way ? window - under_way : 0);
    uint32_t bytes = std::min({queued, usable, mss});
    if (large != 0 && bytes == mss && std::min(queued, usable) > mss)
      bytes = large_segment_bytes(block, std::min({queued, usable, large}));
    bool last = bytes == queued;
    bool fin = last && block.close_requested && !block.fin_sent;
    if (bytes == 0 && (!fin || queued != 0)) return true;
    // Sender's silly window avoidance (RFC 9293 section 3.8.6.2.1): a full segment, or all there
    // is, or half of the largest window ever offered.
    if (!last && bytes < mss && bytes < block.max_snd_wnd / 2) return true;
    if (turn == kSegmentsPerTurn) {
      want_output(block);
      return true;
    }
    if (!send_new(block, bytes, fin)) return false;
    if (fin) return true;
  }
}

/// What is sent most often: a short message that both windows let through, with nothing else under
/// way. For it, this does what send_queued and send_new do, in fewer steps. False: nothing was
/// done.
bool Tcp::State::output_predicted(ControlBlock& block) {
  const uint32_t bytes = block.queue.bytes();
  const SendQueue::Cursor from = block.queue.front();
  if (block.state != tcp::State::established || !block.board.empty() || bytes == 0 ||
      bytes > std::min<uint32_t>(kInlineBytes - kMaxHeaderBytes, block.mss_bytes) ||
      block.snd_nxt != block.snd_una || block.phase != Phase::open || bytes > block.snd_wnd ||
      bytes > block.congestion.window_bytes() || block.close_requested || block.tell_reduced ||
      block.reports() || from.block->length_bytes - from.offset_bytes != bytes)
    return false;
  SentSegment* sent = sent_pool.take();
  if (sent == nullptr) return false;
  rte_mbuf* packet = rte_pktmbuf_alloc(environment.header_pool);
  if (packet == nullptr) {
    sent_pool.give_back(sent);
    return false;
  }
  auto* at = rte_pktmbuf_mtod(packet, uint8_t*);
  const uint32_t header_bytes = write_header(block, at, block.snd_nxt, kAck | kPsh);
  std::memcpy(at + header_bytes, from.block->data + from.offset_bytes, bytes);
  counters.add(Counter::copied_segment_bytes, bytes);
  packet->data_len = static_cast<uint16_t>(header_bytes + bytes);
  packet->pkt_len = packet->data_len;
  finish_checksum(packet, block.local.address, block.remote.address,
                  config.port_completes_checksums);
  sent->from = from;
  sent->sequence = block.snd_nxt;
  sent->end = block.snd_nxt + bytes;
  block.cursor = {from.block, from.offset_bytes + bytes};
  block.progress_ms = block.last_send_ms = now_ms();
  block.has_sent = true;
  block.board.append(sent, now_us);
  block.snd_nxt = sent->end;
  block.reduction.on_sent(bytes);
  counters.add(Counter::tcp_tx);
  counters.add(Counter::tcp_tx_bytes, bytes);
  output.send(packet, block.local.address, block.remote.address, ip::kProtocolTcp,
              {.ecn = static_cast<uint8_t>(block.ecn ? 2 : 0)});
  if (block.loss_at_us == UINT64_MAX || block.loss_timer == LossTimer::tail_probe ||
      block.loss_timer == LossTimer::persist)
    set_loss_timer(block);
  return true;
}

/// Sends what windows allow, or a bare acknowledgement if one is due (RFC 9293 section 3.8.6.2.1).
void Tcp::State::output_one(ControlBlock& block) {
  if (!block.established_or_later()) {
    // A challenge acknowledgement (RFC 5961 section 3.2); all else waits for the handshake.
    if (block.ack_now && block.state == tcp::State::syn_received) send_ack(block);
    return;
  }
  if (block.queue.bytes() != 0 || (block.close_requested && !block.fin_acknowledged())) {
    uint32_t before = block.snd_nxt;
    if (block.board.empty() && block.has_sent) {
      uint32_t idle_ms = now_ms() - block.last_send_ms;
      if (idle_ms > 0)
        block.congestion.on_idle(uint64_t{idle_ms} * 1000, block.round_trip.timeout_us());
    }
    if (output_predicted(block)) [[likely]]
      return;
    bool sent = block.board.lost_bytes() == 0 || block.frto == 2 || repair_losses(block);
    sent = sent && send_queued(block);
    if (!sent) {
      // No memory: the timer tries again.
      if (block.loss_at_us == UINT64_MAX) start_timer(block, LossTimer::timeout);
    } else if (block.snd_nxt != before &&
               (block.loss_at_us == UINT64_MAX || block.loss_timer == LossTimer::tail_probe ||
                block.loss_timer == LossTimer::persist)) {
      set_loss_timer(block);
    }
    // Nothing under way and nothing may be sent: only a probe finds out when the window opens.
    if (block.queue.bytes() != 0 && block.loss_at_us == UINT64_MAX)
      start_timer(block, LossTimer::persist);
  }
  if (block.ack_now) send_ack(block);
}

}  // namespace weir::net::tcp
