#pragma once
#include <cstdint>
#include <memory>

#include "net/address.h"
#include "net/tcp/flow_table.h"

namespace weir::net::tcp {

/// What is left of a connection in TIME-WAIT: enough to answer a repeated FIN and to judge a new
/// SYN.
struct TimeWaitRecord {
  Endpoint local;
  Endpoint remote;
  uint32_t snd_nxt = 0;
  uint32_t rcv_nxt = 0;
  uint32_t ts_recent = 0;
  uint32_t ts_offset = 0;
  /// Milliseconds of the stack's clock, modulo 2^32.
  uint32_t expires_ms = 0;
  bool timestamps = false;
  bool live = false;
  /// A SYN came that could be an old duplicate, and was answered with what we expect.
  bool challenged = false;
};
static_assert(sizeof(TimeWaitRecord) <= 64);

/// TIME-WAIT records, oldest first. All wait equally long, so a ring keeps them in order of expiry;
/// at the bound the oldest gives way.
class TimeWaitRing {
 public:
  explicit TimeWaitRing(uint32_t capacity)
      : capacity_(capacity == 0 ? 1 : capacity), records_(new TimeWaitRecord[capacity_]) {}

  /// The next free slot. Its former record, if any is live, must be removed with remove() before
  /// (see oldest()).
  uint32_t append() {
    uint32_t slot = tail_;
    tail_ = (tail_ + 1) % capacity_;
    count_++;
    return slot;
  }
  bool full() const { return count_ == capacity_; }
  uint32_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  uint32_t oldest() const { return (tail_ + capacity_ - count_) % capacity_; }
  /// The oldest slot leaves the ring.
  void pop() { count_--; }
  TimeWaitRecord& operator[](uint32_t slot) { return records_[slot]; }
  const TimeWaitRecord& operator[](uint32_t slot) const { return records_[slot]; }

 private:
  uint32_t capacity_;
  std::unique_ptr<TimeWaitRecord[]> records_;
  uint32_t tail_ = 0;
  uint32_t count_ = 0;
};

}  // namespace weir::net::tcp
