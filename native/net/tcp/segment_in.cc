/// Segments on their way up: RFC 9293 section 3.10.7, with RFC 5961's checks and RFC 7323's
/// timestamps.
#include <algorithm>

#include "net/checksum.h"
#include "net/packet_bytes.h"
#include "net/tcp/state.h"

namespace weir::net::tcp {
namespace {

/// Beyond this idle time an old timestamp proves nothing (RFC 7323 section 5.5).
constexpr uint32_t kTimestampAgeMs = 24u * 24 * 3600 * 1000;
/// The state of so many stays in the caches near a core.
constexpr uint32_t kConnectionsInCaches = 512;

}  // namespace

void Tcp::input(std::span<const ip::Received> segments) {
  State& s = *state_;
  s.batch.clear();
  for (const ip::Received& received : segments) {
    s.counters.add(Counter::tcp_rx);
    Segment& segment = s.batch.emplace_back();
    if (!s.parse(received, segment)) {
      rte_pktmbuf_free(received.frame);
      s.batch.pop_back();
      continue;
    }
    s.flows.prefetch(segment.hash);
  }
  s.prefetch_blocks();
  for (Segment& segment : s.batch) {
    s.input_one(segment);
    if (segment.frame != nullptr) rte_pktmbuf_free(segment.frame);
  }
}

/// Asks memory for the state that the batch will need. Where there are more connections than the
/// caches hold, what that state points to is asked for as well, one step after the other.
void Tcp::State::prefetch_blocks() {
  const bool is_far = blocks.used() > kConnectionsInCaches;
  const uint32_t lines = is_far ? sizeof(ControlBlock) / RTE_CACHE_LINE_SIZE : 4;
  candidates.clear();
  for (const Segment& segment : batch) {
    const uint32_t value = flows.candidate(segment.hash);
    if (value == FlowTable::kNone || (value & kTimeWaitBit) != 0) continue;
    const auto* at = reinterpret_cast<const char*>(&blocks[value]);
    for (uint32_t i = 0; i < lines; i++) rte_prefetch0(at + i * RTE_CACHE_LINE_SIZE);
    if (is_far) candidates.push_back(&blocks[value]);
  }
  for (const ControlBlock* block : candidates) {
    // An acknowledgement ends these two.
    rte_prefetch0(block->board.head());
    const auto* sent = reinterpret_cast<const char*>(block->queue.front().block);
    rte_prefetch0(sent);
    rte_prefetch0(sent + RTE_CACHE_LINE_SIZE);
    if (block->events != nullptr) block->events->prefetch(*block);
  }
}

bool Tcp::State::parse(const ip::Received& received, Segment& segment) {
  uint32_t offset = received.transport_offset_bytes;
  uint32_t bytes = received.transport_bytes;
  if (bytes < sizeof(Header) ||
      !pull_up(received.frame, offset + std::min(bytes, kMaxHeaderBytes))) {
    counters.add(Counter::drop_tcp_malformed);
    return false;
  }
  const auto* header = rte_pktmbuf_mtod_offset(received.frame, const Header*, offset);
  uint32_t header_bytes = (header->data_offset >> 4) * 4u;
  if (header_bytes < sizeof(Header) || header_bytes > bytes) {
    counters.add(Counter::drop_tcp_malformed);
    return false;
  }
  if (!received.checksum_known_good) {
    ChecksumSum sum =
        checksum_pseudo_header(received.source, received.destination, ip::kProtocolTcp, bytes);
    if (checksum_finish(checksum_add_packet(sum, received.frame, offset, bytes)) != 0) {
      counters.add(Counter::drop_tcp_checksum);
      return false;
    }
  }
  segment.frame = received.frame;
  segment.local = {received.destination, __builtin_bswap16(header->destination_port_be)};
  segment.remote = {received.source, __builtin_bswap16(header->source_port_be)};
  segment.sequence = __builtin_bswap32(header->sequence_be);
  segment.acknowledgement = __builtin_bswap32(header->acknowledgement_be);
  segment.window = __builtin_bswap16(header->window_be);
  segment.flags = header->flags & ~kUrg;
  segment.congested = received.ecn == 3;
  segment.payload_offset_bytes = offset + header_bytes;
  segment.payload_bytes = bytes - header_bytes;
  segment.options =
      parse_options(reinterpret_cast<const uint8_t*>(header) + sizeof(Header),
                    header_bytes - static_cast<uint32_t>(sizeof(Header)), segment.has(kSyn));
  segment.hash = flow_hash(hash_key, segment.local, segment.remote);
  return true;
}

/// Finds whom a segment is for. The frame stays the segment's unless somebody takes it by setting
/// it to nullptr.
void Tcp::State::input_one(Segment& segment) {
  uint32_t value = flows.find(segment.hash, [&](uint32_t candidate) {
    if ((candidate & kTimeWaitBit) != 0) {
      const TimeWaitRecord& record = time_wait[candidate & ~kTimeWaitBit];
      return record.local == segment.local && record.remote == segment.remote;
    }
    const ControlBlock& block = blocks[candidate];
    return block.local == segment.local && block.remote == segment.remote;
  });
  if (value != FlowTable::kNone && (value & kTimeWaitBit) == 0) [[likely]] {
    ControlBlock& block = blocks[value];
    if (input_predicted(block, segment)) [[likely]]
      return;
    if (block.state == tcp::State::syn_sent)
      input_syn_sent(block, segment);
    else
      input_connection(block, segment);
    return;
  }
  if (value != FlowTable::kNone) return input_time_wait(value & ~kTimeWaitBit, segment);
  auto listener = listeners.find(segment.local.port);
  if (listener == listeners.end()) return input_closed(segment);
  input_listen(segment, listener->second);
}

/// RFC 9293 section 3.10.7.1.
void Tcp::State::input_closed(const Segment& segment) {
  counters.add(Counter::drop_tcp_no_port);
  send_reset_for(segment);
}

/// RFC 9293 section 3.10.7.2.
void Tcp::State::input_listen(Segment& segment, Listener& listener, const uint32_t* beyond) {
  if (segment.has(kRst)) {
    counters.add(Counter::drop_tcp_state);
    return;
  }
  if (segment.has(kAck)) {
    if (now_us < cookies_until_us && input_cookie(segment, listener)) return;
    return input_closed(segment);
  }
  if (!segment.has(kSyn) || segment.has(kFin) || segment.remote.port == 0) {
    counters.add(Counter::drop_tcp_state);
    return;
  }
  // A connection has one address at each end (RFC 9293 section 3.9.2.3, MUST-57).
  if (!output.is_local(segment.local.address)) {
    counters.add(Counter::drop_tcp_no_port);
    return;
  }
  if (half_open >= config.max_half_open) {
    if (!config.syn_cookies) {
      counters.add(Counter::drop_tcp_backlog);
      return;
    }
    return answer_with_cookie(segment);
  }
  if (!listener.events->on_knock(listener.tag, segment.remote)) {
    counters.add(Counter::drop_tcp_refused);
    send_reset_for(segment);
    return;
  }
  ControlBlock* block = create(segment.local, segment.remote, segment.hash);
  if (block == nullptr) {
    // Without an answer: the peer tries again later.
    counters.add(Counter::drop_tcp_limit);
    return;
  }
  if (beyond != nullptr && seq_le(block->iss, *beyond))
    block->iss = block->snd_una = block->snd_nxt = *beyond + 1;
  half_open++;
  block->state = tcp::State::syn_received;
  block->events = listener.events;
  block->listener_tag = listener.tag;
  block->irs = segment.sequence;
  block->rcv_nxt = segment.sequence + 1;
  block->last_ack_sent = block->rcv_nxt;
  block->snd_wnd = segment.window;  // never scaled on a SYN (RFC 7323 section 2.2)
  block->snd_wl1 = segment.sequence;
  take_options(*block, segment);
  // RFC 3168 section 6.1.1: what such a SYN has set asks for ECN.
  block->ecn = segment.has(kEce) && segment.has(kCwr);
  send_syn(*block);
  start_timer(*block, LossTimer::timeout);
}

/// More connections are being opened than are kept: the answer carries what would have been (RFC
/// 4987 section 3.6).
void Tcp::State::answer_with_cookie(const Segment& segment) {
  ControlBlock answer;
  answer.local = segment.local;
  answer.remote = segment.remote;
  answer.state = tcp::State::syn_received;
  answer.rcv_nxt = segment.sequence + 1;
  take_options(answer, segment);
  CookieTerms terms{.mss_bytes = answer.mss_bytes};
  if (answer.timestamps) {
    terms.timestamps = true;
    terms.sack_permitted = answer.sack_permitted;
    terms.window_scaling = answer.window_scaling;
    terms.window_scale = answer.send_scale;
    answer.ecn = terms.ecn = segment.has(kEce) && segment.has(kCwr);
    uint32_t now = timestamp_now(timestamp_offset(segment.remote));
    answer.ts_offset = SynCookie::timestamp(now, terms) - timestamp_now(0);
  } else {
    answer.sack_permitted = answer.window_scaling = false;
  }
  answer.iss = answer.snd_nxt =
      cookie.sequence(now_us, segment.local, segment.remote, segment.sequence, terms);
  cookies_until_us = now_us + 2 * SynCookie::kPeriodUs;
  counters.add(Counter::tcp_cookies_tx);
  send_syn(answer);
}

/// The third segment of a handshake of which nothing was kept. False if it is none.
bool Tcp::State::input_cookie(Segment& segment, Listener& listener) {
  if (segment.has(kSyn) || segment.has(kRst) || !output.is_local(segment.local.address))
    return false;
  const Options& options = segment.options;
  auto terms = cookie.check(now_us, segment.local, segment.remote, segment.sequence - 1,
                            segment.acknowledgement - 1,
                            options.has_timestamp ? &options.timestamp_echo : nullptr);
  if (!terms) {
    counters.add(Counter::drop_tcp_cookie);
    return false;
  }
  if (!listener.events->on_knock(listener.tag, segment.remote)) {
    counters.add(Counter::drop_tcp_refused);
    return false;
  }
  ControlBlock* block = create(segment.local, segment.remote, segment.hash);
  if (block == nullptr) {
    counters.add(Counter::drop_tcp_limit);
    return true;
  }
  counters.add(Counter::tcp_cookies_taken);
  half_open++;
  block->state = tcp::State::syn_received;
  block->events = listener.events;
  block->listener_tag = listener.tag;
  block->iss = block->snd_una = segment.acknowledgement - 1;
  block->snd_nxt = segment.acknowledgement;
  block->irs = segment.sequence - 1;
  block->rcv_nxt = block->last_ack_sent = segment.sequence;
  block->rcv_edge = block->rcv_nxt + std::min<uint32_t>(0xffff, config.receive_buffer_bytes);
  block->mss_bytes = std::min(terms->mss_bytes, our_mss(segment.remote.address));
  block->timestamps = terms->timestamps;
  if (terms->timestamps) {
    block->ts_recent = options.timestamp;
    block->ts_recent_ms = now_ms();
  }
  block->sack_permitted = terms->sack_permitted;
  block->ecn = terms->ecn;
  block->window_scaling = terms->window_scaling;
  block->send_scale = terms->window_scale;
  block->receive_scale = terms->window_scaling ? receive_scale : 0;
  input_connection(*block, segment);
  return true;
}

/// What the peer's SYN says it can do.
void Tcp::State::take_options(ControlBlock& block, const Segment& segment) {
  const Options& options = segment.options;
  uint16_t peer_mss = options.has_mss                  ? std::max(options.mss_bytes, kMinMss)
                      : segment.remote.address.is_v4() ? kDefaultMss
                                                       : kDefaultMssV6;
  block.mss_bytes = std::min(peer_mss, our_mss(segment.remote.address));
  block.timestamps = options.has_timestamp;
  if (options.has_timestamp) {
    block.ts_recent = options.timestamp;
    block.ts_recent_ms = now_ms();
  }
  block.sack_permitted = options.sack_permitted;
  block.window_scaling = options.has_window_scale;
  block.send_scale = options.has_window_scale ? options.window_scale : 0;
  block.receive_scale = options.has_window_scale ? receive_scale : 0;
}

void Tcp::State::input_time_wait(uint32_t slot, Segment& segment) {
  TimeWaitRecord& record = time_wait[slot];
  if (segment.has(kRst)) {
    // Who is told what we expect after a SYN, and resets just that, knows nothing of the old
    // connection and waits for a new one (RFC 5961 section 4.2): the client of another clock behind
    // the same address translator. Otherwise it would be kept waiting for all of TIME-WAIT.
    if (record.challenged && segment.sequence == record.rcv_nxt) {
      counters.add(Counter::tcp_resets_rx);
      return remove_time_wait(slot);
    }
    // RFC 1337: no other reset cuts TIME-WAIT short.
    counters.add(Counter::drop_tcp_state);
    return;
  }
  if (segment.has(kSyn) && !segment.has(kAck)) {
    // RFC 6191: a SYN that cannot be an old duplicate opens a new connection.
    bool newer = record.timestamps && segment.options.has_timestamp
                     ? seq_gt(segment.options.timestamp, record.ts_recent) ||
                           (segment.options.timestamp == record.ts_recent &&
                            seq_gt(segment.sequence, record.rcv_nxt))
                     : seq_gt(segment.sequence, record.rcv_nxt);
    auto listener = listeners.find(segment.local.port);
    if (newer && listener != listeners.end()) {
      // RFC 9293 section 3.6.1 (MAY-2): the new numbers begin behind the old connection's.
      const uint32_t beyond = record.snd_nxt;
      remove_time_wait(slot);
      return input_listen(segment, listener->second, &beyond);
    }
    record.challenged = true;
  }
  if (!segment.has(kAck) && !segment.has(kSyn)) {
    counters.add(Counter::drop_tcp_state);
    return;
  }
  counters.add(Counter::tcp_duplicates);
  // RFC 9293 section 3.10.7.4: a FIN that comes again is acknowledged again; so is anything else
  // out of place.
  if (segment.length() == 0 && segment.sequence == record.rcv_nxt) return;
  if (segment.has(kFin)) record.expires_ms = now_ms() + config.time_wait_ms;
  uint32_t timestamps[2] = {timestamp_now(record.ts_offset), record.ts_recent};
  send_bare(record.local, record.remote, record.snd_nxt, record.rcv_nxt, kAck, 0xffff,
            record.timestamps ? timestamps : nullptr);
}

/// RFC 9293 section 3.10.7.3.
void Tcp::State::input_syn_sent(ControlBlock& block, Segment& segment) {
  bool acknowledges = segment.has(kAck);
  if (acknowledges && (seq_le(segment.acknowledgement, block.iss) ||
                       seq_gt(segment.acknowledgement, block.snd_nxt))) {
    counters.add(Counter::drop_tcp_unacceptable);
    if (!segment.has(kRst)) send_reset_for(segment);
    return;
  }
  if (segment.has(kRst)) {
    if (!acknowledges) {
      counters.add(Counter::drop_tcp_unacceptable);
      return;
    }
    counters.add(Counter::tcp_resets_rx);
    return finish(block, CloseReason::refused);
  }
  if (!segment.has(kSyn)) {
    counters.add(Counter::drop_tcp_state);
    return;
  }
  take_options(block, segment);
  block.irs = segment.sequence;
  block.rcv_nxt = segment.sequence + 1;
  block.last_ack_sent = block.rcv_nxt;
  // What our SYN offered.
  block.rcv_edge = block.rcv_nxt + std::min<uint32_t>(0xffff, config.receive_buffer_bytes);
  block.snd_wnd = segment.window;
  block.max_snd_wnd = std::max(block.max_snd_wnd, block.snd_wnd);
  block.snd_wl1 = segment.sequence;
  block.snd_wl2 = segment.acknowledgement;
  if (!acknowledges) {
    // Simultaneous open.
    block.state = tcp::State::syn_received;
    half_open++;
    block.retries = 0;
    send_syn(block);
    start_timer(block, LossTimer::timeout);
    return;
  }
  // RFC 3168 section 6.1.1: this and not CWR agrees to ECN.
  block.ecn = config.request_ecn && segment.has(kEce) && !segment.has(kCwr);
  block.snd_una = segment.acknowledgement;
  if (!establish(block)) return;
  want_ack(block);
  // Text and FIN on the SYN-ACK are taken like those of any segment.
  segment.sequence++;
  segment.flags &= static_cast<uint8_t>(~kSyn);
  if (segment.length() != 0) input_connection(block, segment);
}

/// The handshake is done. False when the handler does not want the connection; then it is gone.
bool Tcp::State::establish(ControlBlock& block) {
  if (block.state == tcp::State::syn_received) half_open--;
  bool retried = block.retries > 0;
  // Karn's algorithm: a SYN that was repeated is not timed.
  if (!retried && block.opened_us != 0) {
    auto rtt_us = static_cast<uint32_t>(std::max<uint64_t>(now_us - block.opened_us, 1));
    block.round_trip.sample(rtt_us);
    block.rack.measure(rtt_us, now_ms());
  }
  block.state = tcp::State::established;
  block.retries = 0;
  block.loss_at_us = UINT64_MAX;
  block.reorder_at_us = UINT64_MAX;
  block.recover = block.snd_una;
  block.heard_ms = block.progress_ms = now_ms();
  block.receive_limit_bytes =
      std::min(config.first_receive_buffer_bytes, config.receive_buffer_bytes);
  block.watch_seq = block.rcv_nxt;
  block.watch_ms = now_ms();
  start_keep_alive(block);
  block.round_trip.reset_backoff();
  if (block.timestamps)
    block.mss_bytes = static_cast<uint16_t>(block.mss_bytes - kTimestampOptionBytes);
  block.congestion.start(config.congestion_control, block.mss_bytes, block.snd_nxt);
  // RFC 6298 section 5.7 and RFC 5681 section 3.1: a lost SYN is a sign of congestion.
  if (retried) {
    block.round_trip.on_syn_lost();
    block.congestion.on_syn_lost();
  }
  block.max_snd_wnd = std::max(block.max_snd_wnd, block.snd_wnd);
  block.rcv_edge = seq_max(block.rcv_edge, block.rcv_nxt);
  counters.add(block.outbound ? Counter::tcp_connected : Counter::tcp_accepted);
  bool wanted = block.events->on_opened(block, block.listener_tag, block.outbound);
  if (block.state == tcp::State::dead) return false;
  if (!wanted) {
    counters.add(Counter::tcp_resets_tx);
    counters.add(Counter::drop_tcp_refused);
    send_bare(block.local, block.remote, block.snd_nxt, block.rcv_nxt, kRst | kAck, 0, nullptr);
    destroy(block);
    return false;
  }
  if (block.close_requested && block.state == tcp::State::established)
    block.state = tcp::State::fin_wait_1;
  if (block.queue.bytes() != 0 || block.close_requested) want_output(block);
  return true;
}

/// An acknowledgement that only says where we stand; at most one in kChallengeMs.
void Tcp::State::challenge(ControlBlock& block) {
  if (block.has_challenged && now_ms() - block.challenge_ms < kChallengeMs) return;
  block.has_challenged = true;
  block.challenge_ms = now_ms();
  counters.add(Counter::tcp_challenge_acks);
  want_ack(block);
}

/// Header prediction (RFC 1323 appendix, after Van Jacobson): what nearly every segment is, the
/// text that comes next, or the acknowledgement of the one segment that is under way, or both, with
/// nothing lost, marked or early. For these it does what input_connection does, in fewer steps.
/// False: nothing was done.
bool Tcp::State::input_predicted(ControlBlock& block, const Segment& segment) {
  const uint32_t ack = segment.acknowledgement;
  const uint32_t bytes = segment.payload_bytes;
  if (block.state != tcp::State::established || (segment.flags & ~kPsh) != kAck ||
      segment.sequence != block.rcv_nxt || bytes > block.rcv_edge - block.rcv_nxt ||
      segment.options.sack_count != 0 || segment.congested || !block.reorder.empty() ||
      block.timestamps != segment.options.has_timestamp)
    return false;
  if (block.timestamps && seq_lt(segment.options.timestamp, block.ts_recent)) return false;
  SentSegment* const sent = block.board.head();
  const bool advances = ack != block.snd_una;
  if (advances) {
    if (ack != block.snd_nxt || sent == nullptr || sent != block.board.tail() ||
        sent->retransmitted || block.board.marked() || block.phase != Phase::open ||
        block.tail_probe || block.close_requested)
      return false;
  } else if (bytes == 0) {
    return false;
  }

  block.heard_ms = now_ms();
  if (block.timestamps && seq_le(segment.sequence, block.last_ack_sent)) {
    block.ts_recent = segment.options.timestamp;
    block.ts_recent_ms = now_ms();
  }
  if (advances) {
    const uint32_t acknowledged = ack - block.snd_una;
    AckNews news;
    news.delivered = acknowledged;
    note_delivered(block, *sent, segment, news);
    sent_pool.give_back(block.board.pop());
    block.snd_una = ack;
    block.queue.remove(acknowledged);
    block.cursor = {};
    block.probes = block.retries = block.duplicates = 0;
    block.progress_ms = now_ms();
    block.round_trip.sample(news.first_rtt_us);
    block.reorder_at_us = UINT64_MAX;
    grow_window(block, news, acknowledged);
    if (block.loss_timer != LossTimer::persist) block.loss_at_us = UINT64_MAX;
    if (block.queue.bytes() != 0) want_output(block);
    if (block.wants_acknowledged) {
      block.events->on_acknowledged(block, acknowledged);
      if (block.state == tcp::State::dead) return true;
    }
  }
  take_window(block, segment, advances);
  if (bytes == 0) return true;
  if (deliver(block, {segment.frame, segment.payload_offset_bytes, bytes}))
    note_text(block, bytes, false);
  else if (block.state != tcp::State::dead)
    want_ack(block);
  return true;
}

/// RFC 9293 section 3.10.7.4.
void Tcp::State::input_connection(ControlBlock& block, Segment& segment) {
  // A SYN-ACK that crosses ours in a simultaneous open stands one before what we expect (RFC 9293
  // figure 8).
  if (block.state == tcp::State::syn_received && segment.has(kSyn) && segment.has(kAck) &&
      segment.sequence == block.irs && block.outbound) {
    segment.sequence++;
    segment.flags &= static_cast<uint8_t>(~kSyn);
  }

  // RFC 7323 section 5.3 R1: PAWS. A reset is judged by its sequence number alone.
  if (block.timestamps && !segment.has(kRst)) {
    if (!segment.options.has_timestamp) {
      // Section 3.2: once agreed on, timestamps are in every segment.
      if (!segment.has(kSyn)) {
        counters.add(Counter::drop_tcp_paws);
        return;
      }
    } else if (seq_lt(segment.options.timestamp, block.ts_recent) &&
               now_ms() - block.ts_recent_ms < kTimestampAgeMs) {
      counters.add(Counter::drop_tcp_paws);
      if (segment.payload_bytes != 0 || segment.has(kFin))
        want_ack(block);
      else
        challenge(block);
      return;
    }
  }

  // First: the sequence number (table 6).
  uint32_t window = block.rcv_edge - block.rcv_nxt;
  uint32_t end = segment.sequence + segment.length();
  bool acceptable;
  if (segment.length() == 0)
    acceptable = window == 0 ? segment.sequence == block.rcv_nxt
                             : seq_le(block.rcv_nxt, segment.sequence) &&
                                   seq_le(segment.sequence, block.rcv_edge);
  else
    acceptable =
        window != 0 && seq_lt(segment.sequence, block.rcv_edge) && seq_gt(end, block.rcv_nxt);
  bool window_probe = false;
  if (!acceptable && window == 0 && segment.sequence == block.rcv_nxt && !segment.has(kSyn)) {
    // With the window closed its text is refused, but its acknowledgement counts (section 3.8.6.1,
    // MUST-66).
    window_probe = acceptable = true;
  }
  if (!acceptable) {
    if (segment.has(kRst)) {
      counters.add(Counter::drop_tcp_unacceptable);
      return;
    }
    if (segment.length() != 0 && seq_le(end, block.rcv_nxt)) {
      counters.add(Counter::tcp_duplicates);
      note_duplicate(block, segment.sequence, segment.sequence + segment.payload_bytes);
    } else {
      counters.add(Counter::drop_tcp_unacceptable);
    }
    // Section 3.10.7.4: answer with an acknowledgement; one without text only now and then, or two
    // confused peers would answer each other for ever.
    if (block.state == tcp::State::syn_received) {
      if (segment.has(kSyn) && segment.sequence == block.irs) send_syn(block);
      return;
    }
    if (segment.payload_bytes != 0 || segment.has(kFin))
      want_ack(block);
    else
      challenge(block);
    return;
  }

  // Second: RST (RFC 5961 section 3.2).
  if (segment.has(kRst)) {
    if (segment.sequence != block.rcv_nxt) {
      counters.add(Counter::drop_tcp_unacceptable);
      return challenge(block);
    }
    counters.add(Counter::tcp_resets_rx);
    bool opening = block.state == tcp::State::syn_received;
    return finish(block, opening ? CloseReason::refused : CloseReason::reset);
  }

  // Fourth: SYN (RFC 5961 section 4.2).
  if (segment.has(kSyn)) {
    counters.add(Counter::drop_tcp_state);
    return challenge(block);
  }

  // The peer lives.
  block.heard_ms = now_ms();

  // Fifth: ACK.
  if (!segment.has(kAck)) {
    counters.add(Counter::drop_tcp_state);
    return;
  }
  if (block.state == tcp::State::syn_received) {
    if (seq_le(segment.acknowledgement, block.snd_una) ||
        seq_gt(segment.acknowledgement, block.snd_nxt)) {
      counters.add(Counter::drop_tcp_unacceptable);
      send_reset_for(segment);
      return;
    }
    block.snd_una = block.iss + 1;
    block.snd_wnd = uint32_t{segment.window} << block.send_scale;
    block.snd_wl1 = segment.sequence;
    block.snd_wl2 = segment.acknowledgement;
    if (!establish(block)) return;
  }
  if (!check_acknowledgement(block, segment)) return;

  // RFC 7323 section 4.3 (2): the timestamp of a segment that spans the last acknowledgement we
  // sent.
  if (segment.options.has_timestamp && block.timestamps &&
      seq_le(segment.sequence, block.last_ack_sent) &&
      seq_ge(segment.options.timestamp, block.ts_recent)) {
    block.ts_recent = segment.options.timestamp;
    block.ts_recent_ms = now_ms();
  }

  bool advances = seq_gt(segment.acknowledgement, block.snd_una);
  take_acknowledgement(block, segment);
  if (block.state == tcp::State::dead) return;
  take_window(block, segment, advances);

  // RFC 9293 section 3.10.7.4, fifth: what the acknowledgement of our FIN means.
  if (block.fin_acknowledged()) {
    if (block.state == tcp::State::fin_wait_1) {
      block.state = tcp::State::fin_wait_2;
      block.idle_at_us = now_us + kFinWait2Us;
      arm(block, block.idle_at_us);
    } else if (block.state == tcp::State::closing) {
      return enter_time_wait(block);
    } else if (block.state == tcp::State::last_ack) {
      return finish(block, CloseReason::finished);
    }
  }
  if (block.state == tcp::State::fin_wait_2) block.idle_at_us = now_us + kFinWait2Us;

  // RFC 3168 section 6.1.3: congestion is echoed until the peer says that it has heard.
  if (block.ecn) [[unlikely]] {
    if (segment.has(kCwr)) block.echo_congestion = false;
    if (segment.congested) {
      block.echo_congestion = true;
      want_ack(block);
    }
  }

  // Seventh and eighth: text and FIN.
  if (window_probe) {
    if (segment.length() != 0) {
      counters.add(Counter::drop_tcp_window);
      want_ack(block);
    }
    return;
  }
  if (segment.length() == 0) return;
  if (block.fin_received) {
    // The peer has said that nothing follows.
    counters.add(Counter::tcp_duplicates);
    return want_ack(block);
  }
  if (take_data(block, segment)) take_fin(block);
}

/// RFC 5961 section 5.2. False when the segment is to be dropped.
bool Tcp::State::check_acknowledgement(ControlBlock& block, const Segment& segment) {
  uint32_t ack = segment.acknowledgement;
  if (seq_gt(ack, block.snd_nxt) || seq_lt(ack, block.snd_una - block.max_snd_wnd)) {
    counters.add(Counter::drop_tcp_unacceptable);
    challenge(block);
    return false;
  }
  return true;
}

/// RFC 9293 section 3.10.7.4: the newest segment's window counts.
///
/// The window counts from the acknowledgement beside it. So one that advances brings its window
/// along even from an older segment, or what was offered would move with it; and one that is behind
/// brings none.
void Tcp::State::take_window(ControlBlock& block, const Segment& segment, bool advances) {
  if (seq_lt(segment.acknowledgement, block.snd_una)) return;
  if (!(advances || seq_lt(block.snd_wl1, segment.sequence) ||
        (block.snd_wl1 == segment.sequence && seq_le(block.snd_wl2, segment.acknowledgement))))
    return;
  uint32_t before = block.snd_wnd;
  block.snd_wnd = uint32_t{segment.window} << block.send_scale;
  block.max_snd_wnd = std::max(block.max_snd_wnd, block.snd_wnd);
  block.snd_wl1 = segment.sequence;
  block.snd_wl2 = segment.acknowledgement;
  // Answered, so the peer lives: it may keep the window closed as long as it likes
  // (section 3.8.6.1, MUST-37).
  block.probes = 0;
  if (block.snd_wnd <= before) return;
  if (block.loss_timer == LossTimer::persist && block.loss_at_us != UINT64_MAX) {
    // It was the probes that doubled, not what is sent now.
    block.round_trip.reset_backoff();
    // What went out while the window was closed was a probe, and may have been thrown away: it is
    // no sign of congestion.
    block.board.mark_all_lost(false);
    block.loss_at_us = UINT64_MAX;
    set_loss_timer(block);
  }
  if (block.queue.bytes() != 0) want_output(block);
}

/// The next acknowledgement reports bytes that came again (RFC 2883 section 4): of this connection,
/// as far as one can tell, and not long ago.
void Tcp::State::note_duplicate(ControlBlock& block, uint32_t start, uint32_t end) {
  if (!block.sack_permitted || start == end || seq_le(start, block.irs) ||
      seq_lt(start, block.rcv_nxt - block.receive_limit_bytes))
    return;
  block.duplicate = {start, end};
}

/// Shows text to the handler. False when it has no room (then nothing happened) or has ended the
/// connection.
bool Tcp::State::deliver(ControlBlock& block, const Payload& payload) {
  // Before the call: the handler may consume and send from within.
  block.rcv_nxt += payload.length_bytes;
  block.unconsumed_bytes += payload.length_bytes;
  bool taken = block.events->on_data(block, payload);
  if (block.state == tcp::State::dead) return false;
  if (!taken) {
    block.rcv_nxt -= payload.length_bytes;
    block.unconsumed_bytes -= payload.length_bytes;
    counters.add(Counter::drop_app_full);
    return false;
  }
  counters.add(Counter::tcp_rx_bytes, payload.length_bytes);
  if (block.rcv_nxt - block.watch_seq >= block.receive_limit_bytes / 2) widen(block);
  return true;
}

/// Half a buffer came since the last look. A peer that needed no more than a round trip for it is
/// held back by the window: it gets twice as much, unless the handler does not keep up.
void Tcp::State::widen(ControlBlock& block) {
  uint32_t round_trip_ms = block.round_trip.smoothed_us() / 1000 + 1;
  if (now_ms() - block.watch_ms <= round_trip_ms &&
      block.unconsumed_bytes <= block.receive_limit_bytes / 2)
    block.receive_limit_bytes =
        std::min(2 * block.receive_limit_bytes, config.receive_buffer_bytes);
  block.watch_seq = block.rcv_nxt;
  block.watch_ms = now_ms();
}

/// Delivers text that is next, keeps what is early. True when a FIN is next.
bool Tcp::State::take_data(ControlBlock& block, Segment& segment) {
  uint32_t sequence = segment.sequence;
  uint32_t offset = segment.payload_offset_bytes;
  uint32_t bytes = segment.payload_bytes;
  bool fin = segment.has(kFin);
  if (seq_lt(sequence, block.rcv_nxt)) {
    uint32_t old_bytes = std::min(block.rcv_nxt - sequence, bytes);
    note_duplicate(block, sequence, sequence + old_bytes);
    sequence += old_bytes;
    offset += old_bytes;
    bytes -= old_bytes;
    block.ack_now = true;
  }
  if (seq_gt(sequence + bytes, block.rcv_edge)) {
    uint32_t beyond = sequence + bytes - block.rcv_edge;
    counters.add(Counter::drop_tcp_window);
    bytes -= std::min(beyond, bytes);
    fin = false;
  }
  if (sequence != block.rcv_nxt) {
    // RFC 5681 section 4.2: a duplicate acknowledgement at once, one for each such segment, tells
    // the peer of the gap. Without data: one that carries data does not count as a duplicate
    // (section 2).
    rte_mbuf* frame = segment.frame;
    segment.frame = nullptr;
    switch (block.reorder.insert(early,
                                 std::min(config.max_reorder_segments, ReorderQueue::kMaxSegments),
                                 frame, offset, sequence, bytes, fin)) {
      case ReorderQueue::Inserted::kept:
        counters.add(Counter::tcp_out_of_order);
        break;
      case ReorderQueue::Inserted::duplicate:
        counters.add(Counter::tcp_duplicates);
        note_duplicate(block, sequence, sequence + bytes);
        break;
      case ReorderQueue::Inserted::full:
        counters.add(Counter::drop_tcp_reorder_full);
        break;
    }
    send_ack(block);
    return false;
  }
  if (bytes != 0 && !deliver(block, {segment.frame, offset, bytes})) {
    if (block.state != tcp::State::dead) want_ack(block);
    return false;
  }
  while (!fin && !block.reorder.empty()) {
    // RFC 5681 section 4.2: filling a gap is acknowledged at once.
    block.ack_now = true;
    ReorderQueue::Ready next;
    if (!block.reorder.ready(early, block.rcv_nxt, next)) break;
    if (next.length_bytes != 0 &&
        !deliver(block, {next.frame, next.offset_bytes, next.length_bytes})) {
      if (block.state == tcp::State::dead) return false;
      break;
    }
    fin = next.fin;
    block.reorder.pop(early);
  }
  note_text(block, segment.payload_bytes, fin);
  return fin;
}

/// A segment with so many bytes of text was delivered: it has to be acknowledged.
void Tcp::State::note_text(ControlBlock& block, uint32_t bytes, bool fin) {
  want_output(block);
  // RFC 9293 section 3.8.6.3: at least every second full segment, the others after a while.
  // A packet that was cut or merged on its way here counts as what it was cut into.
  block.unacknowledged_segments += bytes > block.mss_bytes ? 2 : 1;
  if (block.unacknowledged_segments >= 2 || fin) {
    block.ack_now = true;
  } else if (block.delayed_ack_at_us == UINT64_MAX) {
    block.delayed_ack_at_us = now_us + kDelayedAckUs;
    arm(block, block.delayed_ack_at_us);
  }
}

void Tcp::State::take_fin(ControlBlock& block) {
  block.rcv_nxt++;
  block.fin_received = true;
  block.reorder.clear(early);
  want_ack(block);
  switch (block.state) {
    case tcp::State::established:
      block.state = tcp::State::close_wait;
      break;
    case tcp::State::fin_wait_1:
      block.state = tcp::State::closing;
      break;
    case tcp::State::fin_wait_2:
      block.events->on_end(block);
      if (block.state != tcp::State::dead) enter_time_wait(block);
      return;
    default:
      return;
  }
  block.events->on_end(block);
}

}  // namespace weir::net::tcp
