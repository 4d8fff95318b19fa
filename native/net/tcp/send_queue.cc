#include "net/tcp/send_queue.h"

#include <algorithm>
#include <cstring>

namespace weir::net::tcp {
namespace {
/// Bytes by reference at once, over all connections; a block is 72 bytes.
constexpr uint32_t kMaxHeldBlocks = 262'144;
}  // namespace

SendPool::SendPool(uint64_t copy_bytes)
    : small_(static_cast<uint32_t>(std::max<uint64_t>(64, copy_bytes / 4 / kSmallBytes))),
      large_(static_cast<uint32_t>(std::max<uint64_t>(64, copy_bytes / 4 * 3 / kLargeBytes))),
      held_(kMaxHeldBlocks) {}

void SendPool::prepare(SendBlock* block) {
  block->pool = this;
  block->references.free_cb = on_unreferenced;
  block->references.fcb_opaque = block;
  rte_mbuf_ext_refcnt_set(&block->references, 1);
}

SendBlock* SendPool::take_copy(uint32_t bytes) {
  SendBlock* block = nullptr;
  uint8_t* storage = nullptr;
  uint32_t capacity = 0;
  if (bytes <= kSmallBytes) {
    if (Small* small = small_.take()) {
      block = small;
      storage = small->bytes;
      capacity = kSmallBytes;
    }
  }
  if (block == nullptr) {
    Large* large = large_.take();
    if (large == nullptr) return nullptr;
    block = large;
    storage = large->bytes;
    capacity = kLargeBytes;
  }
  prepare(block);
  block->data = storage;
  block->capacity_bytes = capacity;
  return block;
}

SendBlock* SendPool::take_held(const HeldBuffer& buffer) {
  SendBlock* block = held_.take();
  if (block == nullptr) return nullptr;
  prepare(block);
  block->data = buffer.data;
  block->length_bytes = buffer.length_bytes;
  block->owner = buffer.owner;
  block->tag = buffer.tag;
  return block;
}

void SendPool::drop(SendBlock* block) {
  if (rte_mbuf_ext_refcnt_update(&block->references, -1) == 0) block->pool->recycle(block);
}

void SendPool::on_unreferenced(void*, void* opaque) {
  auto* block = static_cast<SendBlock*>(opaque);
  block->pool->recycle(block);
}

void SendPool::recycle(SendBlock* block) {
  if (block->capacity_bytes == 0) {
    HeldBuffer buffer{block->data, block->length_bytes, block->owner, block->tag};
    held_.give_back(block);
    buffer.owner->release(buffer);
  } else if (block->capacity_bytes == kSmallBytes) {
    small_.give_back(static_cast<Small*>(block));
  } else {
    large_.give_back(static_cast<Large*>(block));
  }
}

bool SendQueue::append_copy(SendPool& pool, std::span<const uint8_t> bytes) {
  // What fits behind the last copied bytes goes there: small messages share a block.
  uint32_t room = tail_ != nullptr && tail_->capacity_bytes != 0
                      ? tail_->capacity_bytes - tail_->length_bytes
                      : 0;
  auto packed = static_cast<uint32_t>(std::min<size_t>(room, bytes.size()));
  auto left = static_cast<uint32_t>(bytes.size()) - packed;
  // All blocks first, so that running out changes nothing.
  SendBlock* first = nullptr;
  SendBlock* last = nullptr;
  for (uint32_t at = 0; at < left;) {
    SendBlock* block = pool.take_copy(left - at);
    if (block == nullptr) {
      while (first != nullptr) {
        SendBlock* next = first->next;
        SendPool::drop(first);
        first = next;
      }
      return false;
    }
    block->length_bytes = std::min(left - at, block->capacity_bytes);
    std::memcpy(const_cast<uint8_t*>(block->data), bytes.data() + packed + at, block->length_bytes);
    at += block->length_bytes;
    (first == nullptr ? first : last->next) = block;
    last = block;
  }
  if (packed != 0) {
    std::memcpy(const_cast<uint8_t*>(tail_->data) + tail_->length_bytes, bytes.data(), packed);
    tail_->length_bytes += packed;
  }
  if (first != nullptr) {
    (tail_ == nullptr ? head_ : tail_->next) = first;
    tail_ = last;
  }
  bytes_ += static_cast<uint32_t>(bytes.size());
  return true;
}

bool SendQueue::append_held(SendPool& pool, const HeldBuffer& buffer) {
  SendBlock* block = pool.take_held(buffer);
  if (block == nullptr) return false;
  (tail_ == nullptr ? head_ : tail_->next) = block;
  tail_ = block;
  bytes_ += buffer.length_bytes;
  return true;
}

void SendQueue::remove(uint32_t count) {
  bytes_ -= count;
  while (count != 0) {
    uint32_t here = head_->length_bytes - head_offset_bytes_;
    if (count < here) {
      head_offset_bytes_ += count;
      return;
    }
    count -= here;
    SendBlock* block = head_;
    head_ = block->next;
    if (head_ == nullptr) tail_ = nullptr;
    head_offset_bytes_ = 0;
    SendPool::drop(block);
  }
}

void SendQueue::clear() {
  SendBlock* block = head_;
  head_ = tail_ = nullptr;
  head_offset_bytes_ = bytes_ = 0;
  while (block != nullptr) {
    SendBlock* next = block->next;
    SendPool::drop(block);
    block = next;
  }
}

SendQueue::Cursor SendQueue::seek(uint32_t offset_bytes) const {
  Cursor cursor{head_, head_offset_bytes_};
  if (head_ != nullptr) advance(cursor, offset_bytes);
  return cursor;
}

uint32_t SendQueue::read(Cursor& cursor, uint32_t limit, Piece* pieces, uint32_t capacity,
                         uint32_t& taken) const {
  uint32_t count = 0;
  taken = 0;
  while (taken < limit && cursor.block != nullptr) {
    uint32_t here = cursor.block->length_bytes - cursor.offset_bytes;
    if (here == 0) {
      if (cursor.block->next == nullptr) break;
      cursor = {cursor.block->next, 0};
      continue;
    }
    if (count == capacity) break;
    here = std::min(here, limit - taken);
    pieces[count++] = {cursor.block, cursor.block->data + cursor.offset_bytes, here};
    cursor.offset_bytes += here;
    taken += here;
  }
  return count;
}

}  // namespace weir::net::tcp
