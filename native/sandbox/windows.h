#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "net/held_buffer.h"
#include "sandbox/abi.h"
#include "sandbox/guest_memory.h"

namespace weir::sandbox {

/// Shared memory that the host sees read-write and a guest sees through its windows.
class SharedRegion {
 public:
  /// nullptr when the kernel gives no memory.
  static std::unique_ptr<SharedRegion> create(size_t bytes);
  ~SharedRegion();
  SharedRegion(const SharedRegion&) = delete;
  SharedRegion& operator=(const SharedRegion&) = delete;

  uint8_t* host() const { return host_; }
  int descriptor() const { return descriptor_; }
  size_t size_bytes() const { return size_bytes_; }

 private:
  SharedRegion(int descriptor, uint8_t* host, size_t bytes)
      : descriptor_(descriptor), host_(host), size_bytes_(bytes) {}
  int descriptor_;
  uint8_t* host_;
  size_t size_bytes_;
};

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
class Windows {
 public:
  static std::unique_ptr<Windows> create();

  /// Room for `bytes` of payload, as a guest address; 0 when the window is full. The chunk counts
  /// one reference.
  uint32_t allocate(uint32_t bytes);
  /// One reference to the chunk of the payload at `address` more, or less.
  void retain(uint32_t address) { chunks_[chunk_of(address)].references++; }
  void release(uint32_t address);
  /// Share of the chunks that are in use is at or above the watermark: held bytes are copied from
  /// here on.
  bool above_watermark() const { return free_.size() * 4 < kChunkCount; }
  /// What whole chunks could still take.
  uint32_t free_bytes() const {
    return static_cast<uint32_t>(free_.size()) * abi::kPacketChunkBytes;
  }
  uint32_t chunks_in_use() const { return kChunkCount - static_cast<uint32_t>(free_.size()); }

  /// Where the host sees a guest address of either window.
  uint8_t* host(uint32_t address) const {
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
  /// The payload at `address` is held by somebody, so its bytes stay as they are.
  bool held(uint32_t address) const {
    return address >= abi::kPackets && address < abi::kRxWindow + abi::kRxWindowBytes &&
           chunks_[chunk_of(address)].references != 0;
  }
  /// A host pointer into the packet part of the read-only window, as a guest address.
  uint32_t guest_address(const uint8_t* host) const {
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
  bool grant(uint32_t chunk);

  std::unique_ptr<SharedRegion> rx_;
  std::unique_ptr<TxRegion> rw_;
  std::vector<std::unique_ptr<TxRegion>> retired_;
  GuestMemory* memory_ = nullptr;
  std::array<Chunk, kChunkCount> chunks_{};
  std::vector<uint32_t> free_;
  uint32_t current_ = kNoChunk;
  uint32_t used_bytes_ = 0;
};

}  // namespace weir::sandbox
