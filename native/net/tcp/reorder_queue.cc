#include "net/tcp/reorder_queue.h"

#include <algorithm>

namespace weir::net::tcp {

ReorderQueue::Inserted ReorderQueue::insert(ReorderPool& pool, uint32_t per_connection,
                                            rte_mbuf* frame, uint32_t offset_bytes,
                                            uint32_t sequence, uint32_t length_bytes, bool fin) {
  const auto refuse = [&](Inserted why) {
    rte_pktmbuf_free(frame);
    return why;
  };
  EarlyRun** link = &head_;
  EarlyRun* before = nullptr;
  while (*link != nullptr && seq_le((*link)->start, sequence)) {
    before = *link;
    link = &before->next;
  }
  // What the run before it has already is cut off, and what the one behind it has.
  if (before != nullptr && seq_gt(before->end, sequence)) {
    uint32_t overlap = std::min(before->end - sequence, length_bytes);
    sequence += overlap;
    offset_bytes += overlap;
    length_bytes -= overlap;
  }
  EarlyRun* after = *link;
  if (after != nullptr && seq_gt(sequence + length_bytes, after->start)) {
    length_bytes = after->start - sequence;
    fin = false;
  }
  bool extends = before != nullptr && before->end == sequence;
  if (before != nullptr && seq_gt(before->end, sequence)) return refuse(Inserted::duplicate);
  if (length_bytes == 0 && (!fin || (extends && before->fin))) {
    if (before != nullptr) before->stamp = ++stamp_;
    return refuse(Inserted::duplicate);
  }
  // Nothing comes behind a FIN.
  if ((extends && before->fin) || (fin && after != nullptr)) return refuse(Inserted::duplicate);

  if (segments_ >= per_connection) return refuse(Inserted::full);
  EarlySegment* segment = pool.segments.take();
  if (segment == nullptr) return refuse(Inserted::full);
  segment->frame = frame;
  segment->offset_bytes = offset_bytes;
  segment->length_bytes = length_bytes;
  if (extends) {
    before->last->next = segment;
    before->last = segment;
    before->end += length_bytes;
  } else {
    EarlyRun* run = runs_ < kMaxRuns ? pool.runs.take() : nullptr;
    if (run == nullptr) {
      pool.segments.give_back(segment);
      return refuse(Inserted::full);
    }
    run->first = run->last = segment;
    run->start = sequence;
    run->end = sequence + length_bytes;
    run->next = after;
    *link = run;
    runs_++;
    before = run;
  }
  segments_++;
  before->fin |= fin;
  before->stamp = ++stamp_;
  if (after != nullptr && after->start == before->end) {
    before->last->next = after->first;
    before->last = after->last;
    before->end = after->end;
    before->fin |= after->fin;
    before->next = after->next;
    pool.runs.give_back(after);
    runs_--;
  }
  return Inserted::kept;
}

bool ReorderQueue::ready(ReorderPool& pool, uint32_t expected, Ready& ready) {
  while (head_ != nullptr && seq_le(head_->start, expected)) {
    EarlySegment& segment = *head_->first;
    uint32_t old_bytes = expected - head_->start;
    bool last = head_->first == head_->last;
    if (old_bytes < segment.length_bytes || (last && head_->fin && expected == head_->end)) {
      segment.offset_bytes += old_bytes;
      segment.length_bytes -= old_bytes;
      head_->start = expected;
      ready = {segment.frame, segment.offset_bytes, segment.length_bytes, last && head_->fin};
      return true;
    }
    pop(pool);
  }
  return false;
}

void ReorderQueue::pop(ReorderPool& pool) {
  EarlyRun* run = head_;
  EarlySegment* segment = run->first;
  run->first = segment->next;
  run->start += segment->length_bytes;
  rte_pktmbuf_free(segment->frame);
  pool.segments.give_back(segment);
  segments_--;
  if (run->first != nullptr) return;
  head_ = run->next;
  pool.runs.give_back(run);
  runs_--;
}

void ReorderQueue::clear(ReorderPool& pool) {
  while (head_ != nullptr) pop(pool);
}

uint32_t ReorderQueue::report(uint32_t acknowledged, SackBlock* blocks, uint32_t capacity) const {
  const EarlyRun* newest[kMaxSackBlocks];
  uint32_t count = 0;
  capacity = std::min(capacity, kMaxSackBlocks);
  for (const EarlyRun* run = head_; run != nullptr; run = run->next) {
    // A FIN alone is no byte to report; and what is next but found the handler without room may
    // have to be sent again.
    if (run->start == run->end || seq_le(run->start, acknowledged)) continue;
    uint32_t at = count;
    while (at > 0 && newest[at - 1]->stamp < run->stamp) at--;
    if (at >= capacity) continue;
    count = std::min(count + 1, capacity);
    for (uint32_t i = count - 1; i > at; i--) newest[i] = newest[i - 1];
    newest[at] = run;
  }
  for (uint32_t i = 0; i < count; i++) blocks[i] = {newest[i]->start, newest[i]->end};
  return count;
}

}  // namespace weir::net::tcp
