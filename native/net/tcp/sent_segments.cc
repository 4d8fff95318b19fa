#include "net/tcp/sent_segments.h"

namespace weir::net::tcp {

void SentSegments::unmark(SentSegment& segment) {
  if (segment.sacked) {
    segment.sacked = false;
    sacked_bytes_ -= segment.length();
    sacked_count_--;
  } else if (segment.lost) {
    segment.lost = false;
    lost_bytes_ -= segment.length();
  } else {
    take_out(segment);
  }
}

void SentSegments::trim_head(const SendQueue& queue, uint32_t sequence) {
  SentSegment& head = *head_;
  uint32_t bytes = sequence - head.sequence;
  if (head.sacked) sacked_bytes_ -= bytes;
  if (head.lost) lost_bytes_ -= bytes;
  queue.advance(head.from, bytes);
  head.sequence = sequence;
}

bool SentSegments::split(LazyPool<SentSegment>& pool, const SendQueue& queue, SentSegment& segment,
                         uint32_t sequence) {
  if (full()) return false;
  SentSegment* rest = pool.take();
  if (rest == nullptr) return false;
  rest->sequence = sequence;
  rest->end = segment.end;
  rest->fin = segment.fin;
  rest->sent_us = segment.sent_us;
  rest->retransmitted = segment.retransmitted;
  rest->sacked = segment.sacked;
  rest->lost = segment.lost;
  rest->from = segment.from;
  queue.advance(rest->from, sequence - segment.sequence);
  segment.end = sequence;
  segment.fin = false;
  rest->next = segment.next;
  segment.next = rest;
  if (tail_ == &segment) tail_ = rest;
  count_++;
  if (segment.sacked) sacked_count_++;
  if (!segment.sacked && !segment.lost) {
    // Sent at the same time, so it stands right behind its first part.
    rest->older = &segment;
    rest->newer = segment.newer;
    (segment.newer == nullptr ? newest_ : segment.newer->older) = rest;
    segment.newer = rest;
  }
  return true;
}

void SentSegments::mark_sacked(SentSegment& segment) {
  if (segment.sacked) return;
  unmark(segment);
  segment.sacked = true;
  sacked_bytes_ += segment.length();
  sacked_count_++;
  last_sacked_ = &segment;
}

void SentSegments::mark_lost(SentSegment& segment) {
  if (segment.lost || segment.sacked) return;
  take_out(segment);
  segment.lost = true;
  lost_bytes_ += segment.length();
  if (hint_ == nullptr || seq_lt(segment.sequence, hint_->sequence)) hint_ = &segment;
}

void SentSegments::mark_resent(SentSegment& segment, uint64_t now_us) {
  unmark(segment);
  segment.retransmitted = true;
  segment.sent_us = now_us;
  put_newest(&segment);
}

void SentSegments::mark_all_lost(bool forget_sacked) {
  for (SentSegment* segment = head_; segment != nullptr; segment = segment->next) {
    if (segment->sacked && forget_sacked) {
      segment->sacked = false;
      sacked_bytes_ -= segment->length();
      sacked_count_--;
      segment->lost = true;
      lost_bytes_ += segment->length();
    } else {
      mark_lost(*segment);
    }
  }
  hint_ = head_;
}

void SentSegments::forget_losses() {
  // Lost ones were sent before all that stayed in the order of transmission.
  SentSegment* behind = nullptr;
  for (SentSegment* segment = head_; segment != nullptr && lost_bytes_ != 0;
       segment = segment->next) {
    if (!segment->lost) continue;
    segment->lost = false;
    lost_bytes_ -= segment->length();
    segment->older = behind;
    segment->newer = behind == nullptr ? oldest_ : behind->newer;
    (segment->newer == nullptr ? newest_ : segment->newer->older) = segment;
    (behind == nullptr ? oldest_ : behind->newer) = segment;
    behind = segment;
  }
  hint_ = nullptr;
}

SentSegment* SentSegments::first_lost() {
  if (lost_bytes_ == 0) return nullptr;
  SentSegment* segment = hint_ == nullptr ? head_ : hint_;
  while (segment != nullptr && !segment->lost) segment = segment->next;
  hint_ = segment;
  return segment;
}

void SentSegments::clear(LazyPool<SentSegment>& pool) {
  while (head_ != nullptr) {
    SentSegment* next = head_->next;
    pool.give_back(head_);
    head_ = next;
  }
  *this = {};
}

}  // namespace weir::net::tcp
