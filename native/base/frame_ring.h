#pragma once
#include <cstdint>
#include <memory>

struct rte_ring;

namespace weir {

/// A ring of frames with one writer and one reader, in memory of its own. Frames that are still in
/// it at the end are freed.
class FrameRing {
 public:
  /// Room for `capacity` frames (rounded up to a power of two, less one). Nothing when memory is
  /// short.
  static std::unique_ptr<FrameRing> make(uint32_t capacity);
  ~FrameRing();
  FrameRing(const FrameRing&) = delete;
  FrameRing& operator=(const FrameRing&) = delete;

  rte_ring* get() const { return ring_; }

 private:
  explicit FrameRing(rte_ring* ring) : ring_(ring) {}
  rte_ring* ring_;
};

}  // namespace weir
