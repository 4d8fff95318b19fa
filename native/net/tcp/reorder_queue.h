#pragma once
#include <rte_mbuf.h>

#include <cstdint>

#include "net/tcp/lazy_pool.h"
#include "net/tcp/sequence.h"

namespace weir::net::tcp {

/// A segment that came before its time, with its frame.
struct EarlySegment {
  EarlySegment* next = nullptr;
  rte_mbuf* frame = nullptr;
  uint32_t offset_bytes = 0;
  uint32_t sequence = 0;
  uint32_t length_bytes = 0;
  bool fin = false;
};

/// What a connection received beyond a gap, sorted, without overlaps. Bounded per connection and by
/// the pool.
class ReorderQueue {
 public:
  bool empty() const { return head_ == nullptr; }
  /// Takes the frame in any case. `length_bytes` may be 0 for a lone FIN. False when a bound was
  /// reached and the segment was let go.
  bool insert(LazyPool<EarlySegment>& pool, uint32_t per_connection, rte_mbuf* frame,
              uint32_t offset_bytes, uint32_t sequence, uint32_t length_bytes, bool fin);
  /// The first segment if it starts at or before `expected`, cut to what comes from there on;
  /// segments that bring nothing new are let go. nullptr if there is a gap. It stays in the queue
  /// until pop().
  EarlySegment* ready(LazyPool<EarlySegment>& pool, uint32_t expected);
  void pop(LazyPool<EarlySegment>& pool);
  void clear(LazyPool<EarlySegment>& pool);

 private:
  EarlySegment* head_ = nullptr;
  uint32_t count_ = 0;
};

}  // namespace weir::net::tcp
