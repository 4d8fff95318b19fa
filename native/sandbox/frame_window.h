#pragma once
#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/packet_pool.h"
#include "sandbox/abi.h"
#include "sandbox/shared_region.h"

namespace weir::sandbox {

/// The receive buffers of a queue that one tenant has: memory that its guests see, read-only, in
/// the upper part of their receive windows. What is received lies in place, and is not copied.
///
/// The memory belongs to the queue. A buffer goes back to the pool when the stack and all views and
/// sends are done with it.
class FrameWindow {
 public:
  /// Where guests see it; the chunks of their own windows end there.
  static constexpr uint32_t kAddress = 0x00600000;
  static constexpr uint32_t kBytes = abi::kRxWindow + abi::kRxWindowBytes - kAddress;
  static constexpr uint32_t kStrideBytes = RTE_PKTMBUF_HEADROOM + kFrameDataBytes;
  static constexpr uint32_t kBuffers = kBytes / kStrideBytes;
  /// From so many held buffers on payloads are copied: the rest is for receiving, for what comes
  /// out of order and for fragments.
  static constexpr uint32_t kWatermark = kBuffers / 2;

  /// DPDK's environment must have been started. Nothing and `error` when memory is short. `name` is
  /// unique in the process.
  static std::unique_ptr<FrameWindow> create(const std::string& name, std::string& error);
  /// All buffers must have been given back.
  ~FrameWindow();
  FrameWindow(const FrameWindow&) = delete;
  FrameWindow& operator=(const FrameWindow&) = delete;

  rte_mempool* pool() const { return pool_; }
  const SharedRegion& memory() const { return *memory_; }
  uint32_t held() const { return held_; }
  bool above_watermark() const { return held_ >= kWatermark; }

  static bool contains(uint32_t address) {
    return address >= kAddress && address < kAddress + kBytes;
  }
  /// The segment's bytes lie in a buffer of this window.
  bool owns(const rte_mbuf* segment) const {
    const auto* buffer = static_cast<const uint8_t*>(segment->buf_addr);
    return buffer >= memory_->host() && buffer < memory_->host() + kBytes;
  }
  uint8_t* host(uint32_t address) const { return memory_->host() + (address - kAddress); }
  uint32_t guest_address(const uint8_t* host) const {
    return kAddress + static_cast<uint32_t>(host - memory_->host());
  }

  /// One reference more to the buffer that `address` lies in, or less. The first one keeps it from
  /// its pool, the last one gives it back.
  void retain(uint32_t address) {
    Buffer& buffer = buffers_[index_of(address)];
    if (buffer.references++ != 0) return;
    rte_mbuf_refcnt_set(buffer.segment,
                        static_cast<uint16_t>(rte_mbuf_refcnt_read(buffer.segment) + 1));
    held_++;
  }
  void release(uint32_t address) {
    Buffer& buffer = buffers_[index_of(address)];
    if (--buffer.references != 0) return;
    held_--;
    rte_pktmbuf_free_seg(buffer.segment);
  }
  /// [address, address + bytes) lies in one buffer, which somebody holds: its bytes stay.
  bool holds(uint32_t address, uint32_t bytes) const {
    const uint32_t index = index_of(address);
    return index < kBuffers && (address - kAddress) % kStrideBytes + bytes <= kStrideBytes &&
           buffers_[index].references != 0;
  }

 private:
  struct Buffer {
    rte_mbuf* segment = nullptr;
    uint32_t references = 0;
  };

  FrameWindow() = default;
  static uint32_t index_of(uint32_t address) { return (address - kAddress) / kStrideBytes; }

  std::unique_ptr<SharedRegion> memory_;
  rte_mempool* pool_ = nullptr;
  std::vector<Buffer> buffers_;
  uint32_t held_ = 0;
};

}  // namespace weir::sandbox
