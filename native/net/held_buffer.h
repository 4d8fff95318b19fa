#pragma once
#include <cstdint>

namespace weir::net {

class BufferOwner;

/// Bytes that somebody else owns and that the stack may read until it calls owner->release, once.
struct HeldBuffer {
  const uint8_t* data;
  uint32_t length_bytes;
  BufferOwner* owner;
  /// The owner's own value, given back with the buffer.
  uint64_t tag;
};

/// Owner of bytes that are sent without a copy.
class BufferOwner {
 public:
  /// The stack and the port will not look at these bytes again: the peer acknowledged them, or the
  /// connection is gone. Called on the worker's thread; must not call back into the stack, other
  /// than Stack::consume.
  virtual void release(const HeldBuffer& buffer) = 0;

 protected:
  ~BufferOwner() = default;
};

}  // namespace weir::net
