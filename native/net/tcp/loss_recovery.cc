/// What acknowledgements say about what is under way, which segments are lost, and how their loss
/// is repaired: RFC 6675's scoreboard, RFC 8985's RACK and tail loss probes, RFC 9937's rate, RFC
/// 5682's and RFC 4015's second thoughts; for peers without SACK RFC 6582.
#include <algorithm>

#include "net/tcp/state.h"

namespace weir::net::tcp {

/// Whether the acknowledgement's timestamp is older than the first segment that was sent again:
/// then it speaks of an original (RFC 3522 section 3.2).
bool Tcp::State::echoes_original(const ControlBlock& block, const Segment& segment) const {
  return block.timestamps && segment.options.has_timestamp && block.resent_stamp_valid &&
         seq_lt(segment.options.timestamp_echo, block.resent_stamp);
}

/// One segment has arrived, by what the peer says.
void Tcp::State::note_delivered(ControlBlock& block, const SentSegment& sent,
                                const Segment& segment, AckNews& news) {
  if (!sent.retransmitted) {
    auto rtt_us = static_cast<uint32_t>(std::min<uint64_t>(now_us - sent.sent_us, UINT32_MAX));
    rtt_us = std::max(rtt_us, 1u);
    if (news.first_rtt_us == 0) news.first_rtt_us = rtt_us;
    news.last_rtt_us = rtt_us;
    news.original_delivered = true;
    block.rack.measure(rtt_us, now_ms());
  }
  block.rack.delivered(sent.sent_us, sent.end, sent.retransmitted,
                       sent.retransmitted && echoes_original(block, segment), now_us);
}

/// Marks what the segment's SACK option reports (RFC 2018 section 4, RFC 6675 section 4); a block
/// about bytes that were never sent, or are acknowledged, is none (RFC 2883 section 4 is for
/// those).
void Tcp::State::read_sack(ControlBlock& block, const Segment& segment, AckNews& news) {
  const Options& options = segment.options;
  for (uint32_t i = 0; i < options.sack_count; i++) {
    const SackBlock& sack = options.sacks[i];
    bool below = seq_le(sack.end, segment.acknowledgement);
    bool within_next = i == 0 && options.sack_count > 1 &&
                       seq_ge(sack.start, options.sacks[1].start) &&
                       seq_le(sack.end, options.sacks[1].end);
    if (i == 0 && seq_lt(sack.start, sack.end) && (below || within_next)) {
      // RFC 2883: a duplicate arrived. Believed only about what can have been sent not long ago.
      if (seq_ge(sack.start, block.snd_una - block.max_snd_wnd) &&
          seq_le(sack.end, block.snd_nxt)) {
        news.duplicate = true;
        counters.add(Counter::tcp_dsacks_rx);
        if (block.undo_resent > 0) block.undo_resent--;
        block.rack.on_duplicate_sack(block.snd_una, block.snd_nxt);
      } else {
        counters.add(Counter::drop_tcp_sack);
      }
      continue;
    }
    if (!seq_lt(sack.start, sack.end) || seq_le(sack.start, block.snd_una) ||
        seq_le(sack.start, segment.acknowledgement) || seq_gt(sack.end, block.snd_nxt)) {
      counters.add(Counter::drop_tcp_sack);
      continue;
    }
    mark_sack(block, sack, segment, news);
  }
}

void Tcp::State::mark_sack(ControlBlock& block, const SackBlock& sack, const Segment& segment,
                           AckNews& news) {
  SentSegments& board = block.board;
  for (SentSegment* sent = board.seek(sack.start); sent != nullptr; sent = sent->next) {
    if (seq_ge(sent->sequence, sack.end)) break;
    if (sent->sacked || seq_le(sent->end, sack.start)) continue;
    // A part of a segment: it is cut where the peer says. Without memory for it the whole counts as
    // missing.
    if (seq_lt(sent->sequence, sack.start)) {
      board.split(sent_pool, block.queue, *sent, sack.start);
      continue;
    }
    if (seq_gt(sent->end, sack.end)) {
      if (sent->fin && sack.end == sent->end - 1) break;
      if (!board.split(sent_pool, block.queue, *sent, sack.end)) break;
    }
    news.delivered += sent->length();
    news.sacked = true;
    note_delivered(block, *sent, segment, news);
    board.mark_sacked(*sent);
  }
}

/// SND.UNA moves: what is acknowledged leaves the scoreboard.
void Tcp::State::acknowledge_sent(ControlBlock& block, const Segment& segment, AckNews& news) {
  SentSegments& board = block.board;
  uint32_t ack = segment.acknowledgement;
  bool marked = board.marked() || block.phase != Phase::open;
  while (SentSegment* sent = board.head()) {
    if (seq_gt(sent->end, ack)) {
      if (seq_lt(sent->sequence, ack)) {
        if (!sent->sacked) news.delivered += ack - sent->sequence;
        board.trim_head(block.queue, ack);
      }
      return;
    }
    if (!sent->sacked) {
      news.delivered += sent->length();
      // In order, and each sent once: the first and the last say it all.
      if (marked || news.first_rtt_us == 0 || sent->end == ack)
        note_delivered(block, *sent, segment, news);
    }
    sent_pool.give_back(board.pop());
  }
}

/// RFC 8985 section 6.2 step 5. True when there are new losses.
bool Tcp::State::detect_losses(ControlBlock& block) {
  SentSegments& board = block.board;
  uint32_t reorder_us =
      block.rack.window_us(block.phase == Phase::recovery || block.phase == Phase::loss,
                           board.sacked_count(), block.round_trip.smoothed_us());
  uint64_t wait_us = uint64_t{block.rack.rtt_us()} + reorder_us;
  bool found = false;
  block.reorder_at_us = UINT64_MAX;
  while (SentSegment* sent = board.oldest()) {
    if (!block.rack.before_delivered(sent->sent_us, sent->end)) break;
    if (sent->sent_us + wait_us > now_us) {
      block.reorder_at_us = std::max(sent->sent_us + wait_us, now_us + kReorderFloorUs);
      break;
    }
    board.mark_lost(*sent);
    found = true;
  }
  return found;
}

void Tcp::State::begin_undo(ControlBlock& block) {
  block.undo_valid = true;
  block.undo_resent = 0;
  block.undo_any_resent = false;
  block.resent_stamp_valid = false;
}

void Tcp::State::enter_recovery(ControlBlock& block, uint32_t flight, uint32_t pipe_before) {
  counters.add(Counter::tcp_fast_retransmits);
  // After a time-out, or a mark in the same flight, the window has been reduced already.
  if (block.phase == Phase::open) {
    begin_undo(block);
    block.congestion.on_congestion(flight);
  }
  block.phase = Phase::recovery;
  block.recover = block.snd_nxt;
  block.reduction.start(pipe_before);
  block.tail_probe = false;
}

/// RFC 3168 section 6.1.2: once a round trip the window is reduced as for a loss.
void Tcp::State::take_congestion_mark(ControlBlock& block, uint32_t flight) {
  // What is marked meanwhile may not be undone (RFC 4015 section 3.2).
  block.undo_valid = false;
  if (block.phase != Phase::open) return;
  counters.add(Counter::tcp_ecn_reductions);
  reduce_window(block, flight);
  block.tell_reduced = true;
}

/// The window goes down at once, for good, with nothing to repair.
void Tcp::State::reduce_window(ControlBlock& block, uint32_t flight) {
  block.congestion.on_congestion(flight);
  block.congestion.set_window(block.congestion.threshold_bytes());
  block.phase = Phase::reduced;
  block.recover = block.snd_nxt;
  block.undo_valid = false;
}

/// The loss was none: everything is as it was before (RFC 4015 section 3.2).
void Tcp::State::undo(ControlBlock& block) {
  counters.add(Counter::tcp_spurious_recoveries);
  block.undo_valid = false;
  block.board.forget_losses();
  block.congestion.undo();
  block.phase = Phase::open;
  block.frto = 0;
  block.duplicates = 0;
}

/// An acknowledgement that may be news: it moves SND.UNA, carries SACK blocks, or is a duplicate.
void Tcp::State::take_acknowledgement(ControlBlock& block, const Segment& segment) {
  uint32_t ack = segment.acknowledgement;
  if (seq_lt(ack, block.snd_una)) return;
  bool advances = ack != block.snd_una;
  const Options& options = segment.options;
  bool sacks = block.sack_permitted && options.sack_count != 0;
  if (!advances && !sacks && !is_duplicate(block, segment)) {
    if (block.ecn && segment.has(kEce)) take_congestion_mark(block, pipe(block));
    return;
  }

  AckNews news;
  uint32_t flight = block.snd_nxt - block.snd_una;
  uint32_t pipe_before = pipe(block);
  if (sacks) read_sack(block, segment, news);
  uint32_t bytes = 0;
  if (advances) {
    acknowledge_sent(block, segment, news);
    // FIN takes a sequence number but no place in the queue.
    bytes = std::min(ack - block.snd_una, block.queue.bytes());
    block.snd_una = ack;
    block.queue.remove(bytes);
    // The block where the cursor stood may have gone with the last byte.
    if (block.snd_nxt == ack) block.cursor = {};
    block.probes = 0;
    block.retries = 0;
    block.progress_ms = now_ms();
    measure_round_trip(block, segment, news);
  } else if (!block.sack_permitted && block.phase != Phase::loss) {
    if (block.duplicates < 255) block.duplicates++;
    news.delivered += block.mss_bytes;
  }

  if (block.sack_permitted && !advances && !news.sacked) {
    // Nothing arrived by it. At most it tells that something arrived twice.
    if (block.ecn && segment.has(kEce)) take_congestion_mark(block, pipe_before);
    second_thoughts(block, segment, advances, news);
    if (block.queue.bytes() != 0) want_output(block);
    return;
  }

  // Nothing is marked, nothing is being repaired, and it moves SND.UNA: what nearly all are.
  if (advances && block.phase == Phase::open && !news.sacked && !block.tail_probe &&
      !block.board.marked() && !(block.ecn && segment.has(kEce))) [[likely]] {
    block.duplicates = 0;
    block.reorder_at_us = UINT64_MAX;
    grow_window(block, news, pipe_before);
  } else {
    find_losses(block, advances, news, pipe_before, flight);
    if (block.ecn && segment.has(kEce)) take_congestion_mark(block, pipe_before);
    if (advances && block.tail_probe && seq_ge(ack, block.tail_probe_end))
      end_tail_probe(block, news, pipe_before);
    second_thoughts(block, segment, advances, news);
    move_on(block, advances, news, pipe_before);
  }

  // RFC 6298 section 5.3: a mere duplicate must not put the time-out off.
  if (advances || news.sacked) set_loss_timer(block);
  if (block.queue.bytes() != 0 || (block.close_requested && !block.fin_acknowledged()))
    want_output(block);
  if (bytes != 0 && block.wants_acknowledged) block.events->on_acknowledged(block, bytes);
}

/// RFC 5681 section 2.
bool Tcp::State::is_duplicate(const ControlBlock& block, const Segment& segment) const {
  return segment.length() == 0 && block.snd_nxt != block.snd_una &&
         (uint32_t{segment.window} << block.send_scale) == block.snd_wnd && block.snd_wnd != 0;
}

void Tcp::State::measure_round_trip(ControlBlock& block, const Segment& segment,
                                    const AckNews& news) {
  if (news.first_rtt_us != 0) {
    block.round_trip.sample(news.first_rtt_us);
  } else if (block.timestamps && segment.options.has_timestamp &&
             segment.options.timestamp_echo != 0) {
    // What was sent again is measured only by the echoed timestamp, which tells which copy arrived
    // (RFC 7323 section 4.1; Karn's algorithm otherwise).
    uint32_t rtt_ms = timestamp_now(block.ts_offset) - segment.options.timestamp_echo;
    if (rtt_ms < 60'000) block.round_trip.sample(std::max(1u, rtt_ms) * 1000);
  }
}

void Tcp::State::find_losses(ControlBlock& block, bool advances, AckNews& news,
                             uint32_t pipe_before, uint32_t flight) {
  if (block.sack_permitted) {
    news.lost = detect_losses(block);
  } else if (block.phase == Phase::open || block.phase == Phase::reduced) {
    // RFC 6582 section 3.2 step 2: not for what a time-out sent again.
    if (!advances && block.duplicates == Rack::kDupThresh && seq_ge(block.snd_una, block.recover) &&
        block.board.head() != nullptr) {
      block.board.mark_lost(*block.board.head());
      news.lost = true;
    }
  } else if (block.phase == Phase::recovery && advances && seq_lt(block.snd_una, block.recover) &&
             block.board.head() != nullptr) {
    // Step 3: a partial acknowledgement names the next hole.
    SentSegment& head = *block.board.head();
    if (!head.retransmitted || head.sent_us + block.round_trip.smoothed_us() <= now_us)
      block.board.mark_lost(head);
    uint32_t arrived = news.delivered / std::max<uint32_t>(block.mss_bytes, 1);
    block.duplicates =
        static_cast<uint8_t>(block.duplicates - std::min<uint32_t>(block.duplicates, arrived));
  }
  if (news.lost && (block.phase == Phase::open || block.phase == Phase::reduced))
    enter_recovery(block, flight, pipe_before);
}

/// RFC 8985 section 7.4.2: the probe was answered.
void Tcp::State::end_tail_probe(ControlBlock& block, const AckNews& news, uint32_t pipe_before) {
  block.tail_probe = false;
  // A probe that was a copy repaired a loss, unless the peer had both; then the window pays for it
  // as for any other.
  if (!block.tail_probe_copy || news.duplicate || block.phase != Phase::open) return;
  if (seq_le(block.snd_una, block.tail_probe_end)) return;
  reduce_window(block, pipe_before);
}

/// Was it right to take segments for lost? By timestamps (RFC 3522), duplicate reports (RFC 3708),
/// and after a time-out by what else arrives (RFC 5682 section 3.1).
void Tcp::State::second_thoughts(ControlBlock& block, const Segment& segment, bool advances,
                                 const AckNews& news) {
  if (!block.undo_valid || (block.phase != Phase::recovery && block.phase != Phase::loss)) return;
  if (advances && echoes_original(block, segment)) return undo(block);
  if (block.undo_any_resent && block.undo_resent == 0 && news.duplicate) return undo(block);
  if (block.phase != Phase::loss || block.frto == 0) return;
  if (news.original_delivered) {
    // Something arrived that was sent once only: the time-out came too early (step 3b).
    return undo(block);
  }
  if (block.frto == 1) {
    // Step 2: the copy is acknowledged, but not all: new data finds out about the rest.
    bool may_send_new = advances && seq_lt(block.snd_una, block.recover) &&
                        seq_lt(block.snd_nxt, block.data_end()) &&
                        seq_lt(block.snd_nxt, block.snd_una + block.snd_wnd);
    block.frto = may_send_new ? 2 : 0;
  } else if (!advances) {
    block.frto = 0;  // step 3a
  }
}

/// The window after this acknowledgement, and the end of a phase.
void Tcp::State::move_on(ControlBlock& block, bool advances, const AckNews& news,
                         uint32_t pipe_before) {
  Congestion& congestion = block.congestion;
  if (block.phase != Phase::open && advances && seq_ge(block.snd_una, block.recover)) {
    if (block.phase == Phase::recovery) congestion.set_window(congestion.threshold_bytes());
    if (block.phase != Phase::reduced) block.rack.on_recovery_end();
    block.phase = Phase::open;
    block.duplicates = 0;
    block.frto = 0;
    return;
  }
  if (block.phase == Phase::recovery) {
    congestion.set_window(block.reduction.window(news.delivered, pipe(block),
                                                 congestion.threshold_bytes(), block.mss_bytes,
                                                 advances && !news.lost));
    return;
  }
  if (!advances || block.phase == Phase::reduced) return;
  if (block.phase == Phase::open) block.duplicates = 0;
  grow_window(block, news, pipe_before);
}

/// A window that was not used does not grow (RFC 7661 section 4.3).
void Tcp::State::grow_window(ControlBlock& block, const AckNews& news, uint32_t pipe_before) {
  uint32_t window = block.congestion.window_bytes();
  bool limited = block.congestion.in_slow_start() ? pipe_before >= window / 2
                                                  : pipe_before + block.mss_bytes >= window;
  block.congestion.on_ack(now_us, news.delivered, block.snd_una, block.snd_nxt, news.last_rtt_us,
                          block.round_trip.smoothed_us(), limited);
}

// ---- timers ----

/// What the connection waits for with bytes under way, or with bytes that must not go out: one of
/// RACK's reordering window, a tail loss probe, the retransmission time-out, a window probe.
void Tcp::State::set_loss_timer(ControlBlock& block) {
  if (block.board.empty()) {
    if (block.loss_timer != LossTimer::persist) block.loss_at_us = UINT64_MAX;
    return;
  }
  if (block.reorder_at_us != UINT64_MAX) {
    block.loss_timer = LossTimer::reorder;
    block.loss_at_us = block.reorder_at_us;
  } else if (may_probe_tail(block)) {
    // RFC 8985 section 7.2. The floor keeps a worker that stalls from probing for nothing.
    uint64_t wait_us = 2ull * block.round_trip.smoothed_us();
    if (block.board.head() == block.board.tail()) wait_us += kLongestDelayedAckUs;
    uint64_t timeout_us = block.round_trip.timeout_us();
    block.loss_timer = LossTimer::tail_probe;
    if (std::max(wait_us, kTailProbeFloorUs) >= timeout_us) {
      block.loss_timer = LossTimer::timeout;
      wait_us = timeout_us;
    }
    block.loss_at_us = now_us + std::max(wait_us, kTailProbeFloorUs);
  } else {
    return start_timer(block, LossTimer::timeout);
  }
  arm(block, block.loss_at_us);
}

bool Tcp::State::may_probe_tail(const ControlBlock& block) const {
  return block.sack_permitted && block.phase == Phase::open && !block.tail_probe &&
         block.retries == 0 && !block.board.marked() && block.round_trip.smoothed_us() != 0;
}

void Tcp::State::on_loss_timer(ControlBlock& block) {
  switch (block.loss_timer) {
    case LossTimer::reorder: {
      uint32_t pipe_before = pipe(block);
      if (detect_losses(block)) {
        if (block.phase == Phase::open || block.phase == Phase::reduced)
          enter_recovery(block, block.snd_nxt - block.snd_una, pipe_before);
        if (block.phase == Phase::recovery)
          block.congestion.set_window(block.reduction.window(
              0, pipe(block), block.congestion.threshold_bytes(), block.mss_bytes, false));
        want_output(block);
      }
      return set_loss_timer(block);
    }
    case LossTimer::tail_probe:
      return on_tail_probe(block);
    case LossTimer::persist:
      return on_persist(block);
    case LossTimer::timeout:
      return on_retransmit_timeout(block);
  }
}

/// RFC 8985 section 7.3: one segment more, new if there is one, so that its acknowledgement tells
/// of losses at the tail before the time-out does.
void Tcp::State::on_tail_probe(ControlBlock& block) {
  counters.add(Counter::tcp_tail_probes);
  uint32_t limit = block.snd_una + block.snd_wnd;
  uint32_t end = block.data_end();
  uint32_t bytes = std::min(seq_lt(block.snd_nxt, end) ? end - block.snd_nxt : 0,
                            seq_lt(block.snd_nxt, limit) ? limit - block.snd_nxt : 0);
  bytes = std::min(bytes, segment_bytes(block));
  block.tail_probe_copy = bytes == 0;
  bool sent = bytes != 0 ? send_new(block, bytes, false) : resend(block, *block.board.tail());
  if (sent) {
    block.tail_probe = true;
    block.tail_probe_end = block.snd_nxt;
  }
  // Whether it went out or not, the time-out is next.
  start_timer(block, LossTimer::timeout);
}

/// RFC 6298 section 5.4 to 5.7.
void Tcp::State::on_retransmit_timeout(ControlBlock& block) {
  if (block.board.empty() && block.established_or_later()) {
    // Nothing is under way: there was no memory to send.
    want_output(block);
    return;
  }
  counters.add(Counter::tcp_timeouts);
  bool opening = block.state == tcp::State::syn_sent || block.state == tcp::State::syn_received;
  uint8_t limit = block.state == tcp::State::syn_sent       ? kMaxSynRetries
                  : block.state == tcp::State::syn_received ? kMaxSynAckRetries
                                                            : kMaxRetries;
  if (block.retries >= limit || outlasts_user(block)) {
    finish(block, CloseReason::timed_out);
    return;
  }
  if (block.state == tcp::State::syn_sent && block.retries >= kAddressSynRetries &&
      block.events->on_address_failed(block))
    return;
  block.round_trip.back_off();
  bool first = block.retries == 0;
  block.retries++;
  if (opening) {
    counters.add(Counter::tcp_retransmits);
    send_syn(block);
    return start_timer(block, LossTimer::timeout);
  }
  if (block.snd_wnd == 0 && block.queue.bytes() != 0) {
    // The window closed over what is under way: probe, and leave the rest until it opens.
    on_persist(block);
    return;
  }
  // The path may have become narrower without a word, or one that was lost: RFC 8899 section 4.3.
  fit_path(block);
  if (block.retries == kBlackHoleRetries && block.mss_bytes > kBaseMss)
    shrink_segments(block, kBaseMss);
  else if (block.retries == 2 * kBlackHoleRetries)
    shrink_segments(block, kDefaultMss);
  // Sacked bytes at the front would be acknowledged: the peer has thrown them away (RFC 2018
  // section 8).
  bool reneged = block.board.head()->sacked;
  bool again = block.phase == Phase::loss && seq_lt(block.snd_una, block.recover);
  uint32_t flight = pipe(block);
  if (!again || first) begin_undo(block);
  block.congestion.on_timeout(flight, again || !first);
  // RFC 5682 section 3.1 step 1: not when a recovery is under way already.
  block.frto = block.sack_permitted && !reneged && block.phase == Phase::open && first ? 1 : 0;
  block.board.mark_all_lost(reneged);
  block.phase = Phase::loss;
  block.recover = block.snd_nxt;
  block.duplicates = 0;
  block.tail_probe = false;
  block.reorder_at_us = UINT64_MAX;
  resend(block, *block.board.head());
  start_timer(block, LossTimer::timeout);
  want_output(block);
}

/// Zero-window probe (RFC 9293 section 3.8.6.1): one byte beyond the window, further and further
/// apart.
void Tcp::State::on_persist(ControlBlock& block) {
  if (block.queue.bytes() == 0) return;
  if (block.probes >= kMaxProbes || outlasts_user(block)) {
    finish(block, CloseReason::timed_out);
    return;
  }
  block.probes++;
  block.round_trip.back_off();
  counters.add(Counter::tcp_probes);
  if (SentSegment* head = block.board.head()) {
    // One byte of what is under way does as well.
    if (block.snd_wnd == 0 && head->payload_bytes() > 1)
      block.board.split(sent_pool, block.queue, *head, head->sequence + 1);
    resend(block, *head);
  } else {
    // A window too small to be worth filling is filled all the same in the end (section 3.8.6.2.1,
    // the override).
    uint32_t bytes = block.snd_wnd == 0
                         ? 1
                         : std::min({block.snd_wnd, block.queue.bytes(), segment_bytes(block)});
    send_new(block, bytes, false);
  }
  start_timer(block, LossTimer::persist);
}

}  // namespace weir::net::tcp
