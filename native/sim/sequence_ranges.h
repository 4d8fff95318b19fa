#pragma once
#include <cstdint>
#include <vector>

#include "sim/packet.h"

namespace weir::sim {

/// Which sequence numbers have arrived: all up to one, and ranges beyond it.
class SequenceRanges {
 public:
  void start(uint32_t first) {
    next_ = first;
    beyond_.clear();
  }
  /// The first number that is missing.
  uint32_t next() const { return next_; }

  void add(uint32_t left, uint32_t right) {
    if (seq_le(right, next_)) return;
    std::vector<SackBlock> kept;
    for (const SackBlock& block : beyond_) {
      if (seq_lt(block.right, left) || seq_lt(right, block.left)) {
        kept.push_back(block);
      } else {
        if (seq_lt(block.left, left)) left = block.left;
        if (seq_lt(right, block.right)) right = block.right;
      }
    }
    if (seq_le(left, next_)) {
      next_ = right;
    } else {
      kept.push_back({left, right});
    }
    beyond_.swap(kept);
  }
  /// Whether all of a range has arrived.
  bool has(uint32_t left, uint32_t right) const {
    if (seq_le(right, next_)) return true;
    if (seq_lt(left, next_)) left = next_;
    for (const SackBlock& block : beyond_)
      if (seq_le(block.left, left) && seq_le(right, block.right)) return true;
    return false;
  }

 private:
  uint32_t next_ = 0;
  std::vector<SackBlock> beyond_;
};

}  // namespace weir::sim
