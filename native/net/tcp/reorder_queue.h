#pragma once
#include <rte_mbuf.h>

#include <cstdint>

#include "net/tcp/lazy_pool.h"
#include "net/tcp/options.h"
#include "net/tcp/sequence.h"

namespace weir::net::tcp {

/// A segment that came before its time, with its frame.
struct EarlySegment {
  EarlySegment* next = nullptr;
  rte_mbuf* frame = nullptr;
  uint32_t offset_bytes = 0;
  uint32_t length_bytes = 0;
};

/// Early segments without a gap between them: what a SACK block reports.
struct EarlyRun {
  EarlyRun* next = nullptr;
  EarlySegment* first = nullptr;
  EarlySegment* last = nullptr;
  uint32_t start = 0;
  /// Behind its last byte; FIN is not counted.
  uint32_t end = 0;
  /// The higher, the later something was added.
  uint32_t stamp = 0;
  bool fin = false;
};

/// Memory for what all connections of a stack keep out of order.
struct ReorderPool {
  explicit ReorderPool(uint32_t segments_) : segments(segments_), runs(segments_) {}
  LazyPool<EarlySegment> segments;
  LazyPool<EarlyRun> runs;
};

/// What a connection received beyond a gap: runs, sorted, with gaps between them. Bounded in
/// segments per connection and by the pool, and in runs, which are what a search walks along.
class ReorderQueue {
 public:
  static constexpr uint32_t kMaxRuns = 256;
  static constexpr uint32_t kMaxSegments = 32768;

  enum class Inserted : uint8_t { kept, duplicate, full };

  bool empty() const { return head_ == nullptr; }
  uint32_t runs() const { return runs_; }
  /// Takes the frame in any case. `length_bytes` may be 0 for a lone FIN. Of a segment that
  /// overlaps what is there, the part before the next run is kept.
  Inserted insert(ReorderPool& pool, uint32_t per_connection, rte_mbuf* frame,
                  uint32_t offset_bytes, uint32_t sequence, uint32_t length_bytes, bool fin);
  /// The next bytes to deliver.
  struct Ready {
    rte_mbuf* frame;
    uint32_t offset_bytes;
    uint32_t length_bytes;
    /// FIN is next behind them.
    bool fin;
  };
  /// The first segment, cut to what comes from `expected` on, if there is no gap before it. It
  /// stays until pop().
  bool ready(ReorderPool& pool, uint32_t expected, Ready& ready);
  void pop(ReorderPool& pool);
  void clear(ReorderPool& pool);
  /// The runs beyond `acknowledged` as SACK blocks, the one that changed last first (RFC 2018
  /// section 4). Returns how many, at most `capacity`.
  uint32_t report(uint32_t acknowledged, SackBlock* blocks, uint32_t capacity) const;

 private:
  EarlyRun* head_ = nullptr;
  uint32_t stamp_ = 0;
  uint16_t segments_ = 0;
  uint16_t runs_ = 0;
};

}  // namespace weir::net::tcp
