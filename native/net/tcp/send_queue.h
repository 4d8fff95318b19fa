#pragma once
#include <rte_mbuf.h>

#include <cstdint>
#include <span>

#include "net/held_buffer.h"
#include "net/tcp/lazy_pool.h"

namespace weir::net::tcp {

class SendPool;

/// Bytes that wait to be acknowledged: copied ones, with their storage behind the block, or
/// somebody's by reference. A block lives until the peer has acknowledged it and no packet on its
/// way to the port refers to it.
struct SendBlock {
  /// Counts the queue and the packets that refer to the bytes; DPDK's type, so that packets can
  /// hold on to it.
  rte_mbuf_ext_shared_info references;
  SendBlock* next = nullptr;
  const uint8_t* data = nullptr;
  uint32_t length_bytes = 0;
  /// Room for copied bytes; 0 for bytes by reference.
  uint32_t capacity_bytes = 0;
  BufferOwner* owner = nullptr;
  uint64_t tag = 0;
  SendPool* pool = nullptr;
};

/// Blocks for all connections of a stack. Bounded by bytes copied and by number of references.
class SendPool {
 public:
  static constexpr uint32_t kSmallBytes = 256;
  static constexpr uint32_t kLargeBytes = 2048;

  explicit SendPool(uint64_t copy_bytes);
  /// A block with room for up to `bytes`, or for a part of them; nullptr when the bound is reached.
  SendBlock* take_copy(uint32_t bytes);
  SendBlock* take_held(const HeldBuffer& buffer);
  /// The queue lets go of a block.
  static void drop(SendBlock* block);
  /// Blocks in use. For tests.
  uint32_t used() const { return small_.used() + large_.used() + held_.used(); }

 private:
  struct Small : SendBlock {
    uint8_t bytes[kSmallBytes];
  };
  struct Large : SendBlock {
    uint8_t bytes[kLargeBytes];
  };
  static void on_unreferenced(void*, void* block);
  void prepare(SendBlock* block);
  void recycle(SendBlock* block);

  LazyPool<Small> small_;
  LazyPool<Large> large_;
  LazyPool<SendBlock> held_;
};

/// One connection's unacknowledged and unsent bytes, in order.
class SendQueue {
 public:
  /// Where in the queue to read; stays valid while bytes are appended and bytes before it are
  /// removed.
  struct Cursor {
    SendBlock* block = nullptr;
    uint32_t offset_bytes = 0;
  };
  /// A contiguous part of a block.
  struct Piece {
    SendBlock* block;
    const uint8_t* data;
    uint32_t length_bytes;
  };

  uint32_t bytes() const { return bytes_; }
  /// False when the pool is exhausted; then nothing was appended.
  bool append_copy(SendPool& pool, std::span<const uint8_t> bytes);
  bool append_held(SendPool& pool, const HeldBuffer& buffer);
  /// The first `count` bytes have been acknowledged.
  void remove(uint32_t count);
  void clear();
  /// The first byte; no block if there is none.
  Cursor front() const { return {head_, head_offset_bytes_}; }
  /// `offset_bytes` from the front, at most bytes(); on a byte if there is one there.
  Cursor seek(uint32_t offset_bytes) const;
  /// Moves a cursor on by `bytes`, which the queue has behind it, onto a byte if there is one.
  void advance(Cursor& cursor, uint32_t bytes) const {
    uint64_t offset = uint64_t{cursor.offset_bytes} + bytes;
    while (offset >= cursor.block->length_bytes && cursor.block->next != nullptr) {
      offset -= cursor.block->length_bytes;
      cursor.block = cursor.block->next;
    }
    cursor.offset_bytes = static_cast<uint32_t>(offset);
  }
  /// Takes up to `limit` bytes at the cursor as pieces, and moves it. Returns how many pieces, at
  /// most `capacity`; `taken` tells how many bytes.
  uint32_t read(Cursor& cursor, uint32_t limit, Piece* pieces, uint32_t capacity,
                uint32_t& taken) const;

 private:
  SendBlock* head_ = nullptr;
  SendBlock* tail_ = nullptr;
  /// Acknowledged bytes of the first block.
  uint32_t head_offset_bytes_ = 0;
  uint32_t bytes_ = 0;
};

}  // namespace weir::net::tcp
