#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "net/held_buffer.h"
#include "sandbox/abi.h"
#include "sandbox/frame_window.h"
#include "sandbox/guest_memory.h"
#include "sandbox/shared_region.h"

namespace weir::sandbox {

/// A read-write window: it counts the sends that refer to its transmit buffers.
class TxRegion final : public net::BufferOwner {
 public:
  explicit TxRegion(std::unique_ptr<SharedRegion> memory) : memory_(std::move(memory)) {}
  const SharedRegion& memory() const { return *memory_; }
  void retain() { references_++; }
  void release(const net::HeldBuffer&) override { references_--; }
  bool in_use() const { return references_ != 0; }

 private:
  std::unique_ptr<SharedRegion> memory_;
  uint32_t references_ = 0;
};

/// The windows of one app on one worker: received bytes, event and command records, transmit
/// buffers. They outlive the app's instances; see docs/architecture.md, "Who owns a window".
///
/// Received payloads are placed one behind the other in chunks of 64 KiB. A chunk counts who still
/// needs it and is used again when nobody does, so one small held payload keeps at most one chunk.
/// On a queue that is its tenant's alone, the upper part of the receive window is the queue's
/// receive buffers, and payloads can lie there.
class Windows {
 public:
  /// `frames`: the receive buffers of the tenant's own queue, which outlive this; nullptr where
  /// tenants share it.
  static std::unique_ptr<Windows> create(FrameWindow* frames = nullptr);

  /// Room for `bytes` of payload, as a guest address; 0 when the window is full. The chunk counts
  /// one reference.
  uint32_t allocate(uint32_t bytes);
  /// Keeps `bytes` of a received segment where they are, as a guest address with one reference; 0
  /// when they have to be copied.
  uint32_t keep_in_place(const rte_mbuf* segment, const uint8_t* data) {
    if (!frames_->owns(segment) || frames_->above_watermark()) return 0;
    const uint32_t address = frames_->guest_address(data);
    retain(address);
    return address;
  }
  FrameWindow* frames() const { return frames_; }
  /// One reference to the chunk or the buffer of the payload at `address` more, or less.
  void retain(uint32_t address) {
    if (is_frame(address)) {
      frames_->retain(address);
      frames_held_++;
    } else {
      chunks_[chunk_of(address)].references++;
    }
  }
  void release(uint32_t address);
  /// So much is held of what the payload at `address` lies in that its bytes are copied when they
  /// are sent.
  bool above_watermark(uint32_t address) const {
    return is_frame(address) ? frames_->above_watermark() : free_.size() * 4 < chunk_count_;
  }
  /// What whole chunks, and the buffers of an own queue, could still take. A buffer may be kept for
  /// little more than what is copied.
  uint32_t free_bytes() const {
    const uint32_t buffers = frames_ == nullptr || frames_->above_watermark()
                                 ? 0
                                 : FrameWindow::kWatermark - frames_->held();
    return static_cast<uint32_t>(free_.size()) * abi::kPacketChunkBytes +
           buffers * abi::kCopyLimitBytes;
  }
  uint32_t chunks_in_use() const { return chunk_count_ - static_cast<uint32_t>(free_.size()); }

  /// Where the host sees a guest address of either window.
  uint8_t* host(uint32_t address) const {
    if (is_frame(address)) return frames_->host(address);
    return address < abi::kRwWindow ? rx_->host() + (address - abi::kRxWindow)
                                    : rw_->memory().host() + (address - abi::kRwWindow);
  }
  /// `address` lies in the transmit buffers with `bytes` behind it.
  static bool in_tx_buffers(uint32_t address, uint32_t bytes) {
    return address >= abi::kTxBuffers &&
           uint64_t{address} + bytes <= abi::kTxBuffers + abi::kTxBuffersBytes;
  }
  /// [address, address + bytes) lies in the read-only window and has been granted.
  bool granted(uint32_t address, uint32_t bytes) const;
  /// [address, address + bytes) is part of something that somebody holds, so that its bytes stay as
  /// they are.
  bool held(uint32_t address, uint32_t bytes) const {
    if (is_frame(address)) return frames_->holds(address, bytes);
    return address >= abi::kPackets && address < abi::kRxWindow + abi::kRxWindowBytes &&
           address / abi::kPacketChunkBytes == (address + bytes - 1) / abi::kPacketChunkBytes &&
           chunks_[chunk_of(address)].references != 0;
  }
  /// A host pointer to a payload, as a guest address.
  uint32_t guest_address(const uint8_t* host) const {
    if (host < rx_->host() || host >= rx_->host() + rx_->size_bytes())
      return frames_->guest_address(host);
    return abi::kRxWindow + static_cast<uint32_t>(host - rx_->host());
  }

  /// Shows both windows to a guest: only what has been granted so far. False when a mapping fails.
  bool attach(GuestMemory& memory);
  /// The guest is gone; nothing is mapped for it any more.
  void detach() { memory_ = nullptr; }
  /// The next instance gets a fresh read-write window when sends still refer to this one. False
  /// without memory.
  bool renew_rw_window();

  TxRegion& tx_region() { return *rw_; }
  /// Some buffer of a send still points into these windows.
  bool in_use() const;

 private:
  static constexpr uint32_t kFirstChunk = (abi::kPackets - abi::kRxWindow) / abi::kPacketChunkBytes;
  static constexpr uint32_t kChunkCount =
      abi::kRxWindowBytes / abi::kPacketChunkBytes - kFirstChunk;
  static constexpr uint32_t kNoChunk = UINT32_MAX;
  struct Chunk {
    uint32_t references = 0;
    bool granted = false;
  };

  Windows() = default;
  static uint32_t chunk_of(uint32_t address) {
    return (address - abi::kPackets) / abi::kPacketChunkBytes;
  }
  bool is_frame(uint32_t address) const {
    return frames_ != nullptr && FrameWindow::contains(address);
  }
  bool grant(uint32_t chunk);

  std::unique_ptr<SharedRegion> rx_;
  std::unique_ptr<TxRegion> rw_;
  std::vector<std::unique_ptr<TxRegion>> retired_;
  GuestMemory* memory_ = nullptr;
  std::array<Chunk, kChunkCount> chunks_{};
  std::vector<uint32_t> free_;
  /// Chunks end where the buffers of an own queue begin.
  uint32_t chunk_count_ = kChunkCount;
  FrameWindow* frames_ = nullptr;
  /// References of this app to them.
  uint32_t frames_held_ = 0;
  uint32_t current_ = kNoChunk;
  uint32_t used_bytes_ = 0;
};

}  // namespace weir::sandbox
