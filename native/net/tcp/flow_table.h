#pragma once
#include <rte_prefetch.h>

#include <cstdint>

#include "base/page_array.h"
#include "net/flow_hash.h"

namespace weir::net::tcp {

/// From hash to a value (a connection or a TIME-WAIT record). Buckets of one cache line; a bucket
/// that is full spills into the next and remembers how many did. Bounded by what it may hold: the
/// callers' pools.
class FlowTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  /// Room for `capacity` entries at half load.
  explicit FlowTable(uint32_t capacity) : mask_(buckets_for(capacity) - 1), buckets_(mask_ + 1) {}

  void prefetch(uint64_t hash) const { rte_prefetch0(&buckets_[hash & mask_]); }
  /// The first value that may be the one, for prefetching.
  uint32_t candidate(uint64_t hash) const {
    const Bucket& bucket = buckets_[hash & mask_];
    uint16_t tag = tag_of(hash);
    for (uint32_t i = 0; i < kEntries; i++)
      if (bucket.tags[i] == tag) return bucket.values[i];
    return kNone;
  }
  /// The value for which `matches(value)`; kNone if there is none.
  template <typename Matches>
  uint32_t find(uint64_t hash, Matches&& matches) const {
    uint16_t tag = tag_of(hash);
    for (uint32_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Bucket& bucket = buckets_[at];
      for (uint32_t i = 0; i < kEntries; i++)
        if (bucket.tags[i] == tag && matches(bucket.values[i])) return bucket.values[i];
      if (bucket.spilled == 0) return kNone;
    }
  }
  void insert(uint64_t hash, uint32_t value) {
    for (uint32_t at = hash & mask_;; at = (at + 1) & mask_) {
      Bucket& bucket = buckets_[at];
      for (uint32_t i = 0; i < kEntries; i++) {
        if (bucket.tags[i] != 0) continue;
        bucket.tags[i] = tag_of(hash);
        bucket.values[i] = value;
        return;
      }
      bucket.spilled++;
    }
  }
  /// `value` must be in the table.
  void erase(uint64_t hash, uint32_t value) {
    uint16_t tag = tag_of(hash);
    for (uint32_t at = hash & mask_;; at = (at + 1) & mask_) {
      Bucket& bucket = buckets_[at];
      for (uint32_t i = 0; i < kEntries; i++) {
        if (bucket.tags[i] != tag || bucket.values[i] != value) continue;
        bucket.tags[i] = 0;
        for (uint32_t before = hash & mask_; before != at; before = (before + 1) & mask_)
          buckets_[before].spilled--;
        return;
      }
    }
  }

 private:
  static constexpr uint32_t kEntries = 10;
  /// All zeros: an empty one.
  struct alignas(64) Bucket {
    uint16_t tags[kEntries];
    uint16_t spilled;
    uint32_t values[kEntries];
  };
  static_assert(sizeof(Bucket) == 64);

  static uint32_t buckets_for(uint32_t capacity) {
    uint32_t buckets = 16;
    while (buckets * kEntries < capacity * 2) buckets *= 2;
    return buckets;
  }
  /// 0 marks a free entry.
  static uint16_t tag_of(uint64_t hash) { return static_cast<uint16_t>(hash >> 48) | 1; }

  uint32_t mask_;
  PageArray<Bucket> buckets_;
};

}  // namespace weir::net::tcp
