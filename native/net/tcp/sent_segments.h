#pragma once
#include <cstdint>

#include "net/tcp/lazy_pool.h"
#include "net/tcp/send_queue.h"
#include "net/tcp/sequence.h"

namespace weir::net::tcp {

/// A segment that was sent and is not acknowledged up to its end.
struct alignas(64) SentSegment {
  /// The next one by sequence number.
  SentSegment* next = nullptr;
  /// Neighbors by time of the last transmission, among those that are neither sacked nor lost.
  SentSegment* older = nullptr;
  SentSegment* newer = nullptr;
  /// The last transmission.
  uint64_t sent_us = 0;
  /// Where its bytes stand in the send queue.
  SendQueue::Cursor from;
  uint32_t sequence = 0;
  /// Behind its last sequence number, FIN included.
  uint32_t end = 0;
  bool fin : 1 = false;
  bool sacked : 1 = false;
  /// Taken for lost and not sent again yet.
  bool lost : 1 = false;
  bool retransmitted : 1 = false;

  uint32_t length() const { return end - sequence; }
  uint32_t payload_bytes() const { return length() - (fin ? 1 : 0); }
};
static_assert(sizeof(SentSegment) == 64);

/// What a connection has under way: the scoreboard of RFC 6675 section 3, and the order of
/// transmission that RFC 8985 section 5.2 asks for.
///
/// Bounded by kMaxSegments, so that a peer who names a tiny MSS cannot make it long.
class SentSegments {
 public:
  static constexpr uint32_t kMaxSegments = 8192;

  bool empty() const { return head_ == nullptr; }
  bool full() const { return count_ >= kMaxSegments; }
  SentSegment* head() const { return head_; }
  SentSegment* tail() const { return tail_; }
  /// The one of those neither sacked nor lost that was sent first.
  SentSegment* oldest() const { return oldest_; }
  uint32_t sacked_bytes() const { return sacked_bytes_; }
  uint32_t lost_bytes() const { return lost_bytes_; }
  uint32_t sacked_count() const { return sacked_count_; }
  /// Whether anything is marked: then the slow path looks at it.
  bool marked() const { return (sacked_bytes_ | lost_bytes_) != 0; }

  /// Behind all others. `segment` comes from the pool with its bytes set.
  void append(SentSegment* segment, uint64_t now_us) {
    (head_ == nullptr ? head_ : tail_->next) = segment;
    tail_ = segment;
    count_++;
    segment->sent_us = now_us;
    put_newest(segment);
  }
  /// The head is acknowledged: it leaves, and the caller gives it back.
  SentSegment* pop() {
    SentSegment* segment = head_;
    unmark(*segment);
    head_ = segment->next;
    if (head_ == nullptr) tail_ = nullptr;
    if (hint_ == segment) hint_ = head_;
    if (last_sacked_ == segment) last_sacked_ = nullptr;
    count_--;
    return segment;
  }
  /// The head is acknowledged up to `sequence`, which lies within it.
  void trim_head(const SendQueue& queue, uint32_t sequence);
  /// Cuts a segment in two at `sequence`, which lies strictly within its payload. False when the
  /// pool is empty.
  bool split(LazyPool<SentSegment>& pool, const SendQueue& queue, SentSegment& segment,
             uint32_t sequence);

  void mark_sacked(SentSegment& segment);
  void mark_lost(SentSegment& segment);
  /// It was sent again.
  void mark_resent(SentSegment& segment, uint64_t now_us);
  /// The peer has thrown away what it had acknowledged selectively (RFC 2018 section 8), or a
  /// time-out says to believe nothing: all that is not acknowledged counts as lost.
  void mark_all_lost(bool forget_sacked);
  /// The losses were none: nothing of it is sent again.
  void forget_losses();
  /// Where to begin looking for what stands at `sequence`: the segment that was sacked last if that
  /// is before it, else the head. Reports of one receiver mostly go on where the last one ended.
  SentSegment* seek(uint32_t sequence) const {
    return last_sacked_ != nullptr && seq_le(last_sacked_->sequence, sequence) ? last_sacked_
                                                                               : head_;
  }
  /// The first lost segment, or nullptr.
  SentSegment* first_lost();
  void clear(LazyPool<SentSegment>& pool);

 private:
  /// Takes a mark off, or the segment out of the order of transmission.
  void unmark(SentSegment& segment);
  void put_newest(SentSegment* segment) {
    segment->older = newest_;
    segment->newer = nullptr;
    (newest_ == nullptr ? oldest_ : newest_->newer) = segment;
    newest_ = segment;
  }
  void take_out(SentSegment& segment) {
    (segment.older == nullptr ? oldest_ : segment.older->newer) = segment.newer;
    (segment.newer == nullptr ? newest_ : segment.newer->older) = segment.older;
    segment.older = segment.newer = nullptr;
  }

  SentSegment* head_ = nullptr;
  SentSegment* tail_ = nullptr;
  SentSegment* oldest_ = nullptr;
  SentSegment* newest_ = nullptr;
  /// No lost segment stands before it.
  SentSegment* hint_ = nullptr;
  SentSegment* last_sacked_ = nullptr;
  uint32_t sacked_bytes_ = 0;
  uint32_t lost_bytes_ = 0;
  uint16_t sacked_count_ = 0;
  uint16_t count_ = 0;
};

}  // namespace weir::net::tcp
