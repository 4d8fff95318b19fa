#include "net/tcp/reorder_queue.h"

namespace weir::net::tcp {

bool ReorderQueue::insert(LazyPool<EarlySegment>& pool, uint32_t per_connection, rte_mbuf* frame,
                          uint32_t offset_bytes, uint32_t sequence, uint32_t length_bytes,
                          bool fin) {
  // Behind everything that starts before it.
  EarlySegment** link = &head_;
  EarlySegment* before = nullptr;
  while (*link != nullptr && seq_le((*link)->sequence, sequence)) {
    before = *link;
    link = &before->next;
  }
  if (before != nullptr) {
    // What the one before it has already is cut off.
    uint32_t end = before->sequence + before->length_bytes;
    if (seq_gt(end, sequence)) {
      uint32_t overlap = end - sequence;
      if (overlap >= length_bytes && !fin) {
        rte_pktmbuf_free(frame);
        return true;
      }
      if (overlap > length_bytes) overlap = length_bytes;
      sequence += overlap;
      offset_bytes += overlap;
      length_bytes -= overlap;
    }
    if (fin && length_bytes == 0 && before->fin) {
      rte_pktmbuf_free(frame);
      return true;
    }
  }
  // Those behind it that it covers wholly give way to it; what reaches into the next one is cut off
  // here.
  while (*link != nullptr) {
    EarlySegment* after = *link;
    uint32_t end = sequence + length_bytes;
    if (seq_ge(after->sequence, end)) break;
    uint32_t after_end = after->sequence + after->length_bytes;
    if (seq_le(after_end, end)) {
      fin |= after->fin;
      *link = after->next;
      rte_pktmbuf_free(after->frame);
      pool.give_back(after);
      count_--;
      continue;
    }
    length_bytes = after->sequence - sequence;
    fin = false;
    break;
  }
  if (length_bytes == 0 && !fin) {
    rte_pktmbuf_free(frame);
    return true;
  }
  EarlySegment* segment = count_ < per_connection ? pool.take() : nullptr;
  if (segment == nullptr) {
    rte_pktmbuf_free(frame);
    return false;
  }
  segment->frame = frame;
  segment->offset_bytes = offset_bytes;
  segment->sequence = sequence;
  segment->length_bytes = length_bytes;
  segment->fin = fin;
  segment->next = *link;
  *link = segment;
  count_++;
  return true;
}

EarlySegment* ReorderQueue::ready(LazyPool<EarlySegment>& pool, uint32_t expected) {
  while (head_ != nullptr && seq_le(head_->sequence, expected)) {
    uint32_t old_bytes = expected - head_->sequence;
    if (old_bytes < head_->length_bytes || (head_->fin && old_bytes == head_->length_bytes)) {
      head_->sequence += old_bytes;
      head_->offset_bytes += old_bytes;
      head_->length_bytes -= old_bytes;
      return head_;
    }
    pop(pool);
  }
  return nullptr;
}

void ReorderQueue::pop(LazyPool<EarlySegment>& pool) {
  EarlySegment* segment = head_;
  head_ = segment->next;
  rte_pktmbuf_free(segment->frame);
  pool.give_back(segment);
  count_--;
}

void ReorderQueue::clear(LazyPool<EarlySegment>& pool) {
  while (head_ != nullptr) pop(pool);
}

}  // namespace weir::net::tcp
