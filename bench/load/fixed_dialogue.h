#pragma once
#include <algorithm>
#include <cstring>
#include <vector>

#include "dialogue.h"

namespace weir::load {

/// The same bytes in every message. The answer is the message itself, or any bytes, so many of
/// them. The first bytes of a message that is to come back name connection and message, so that
/// the answer to another one is told apart.
class FixedDialogue final : public Dialogue {
 public:
  static constexpr uint32_t kTagBytes = 8;

  /// `segment_bytes`: messages are written in pieces of so many, and the rest.
  FixedDialogue(std::vector<uint8_t> bytes, bool is_echo, uint32_t response_bytes,
                uint32_t segment_bytes)
      : bytes_(std::move(bytes)),
        is_echo_(is_echo),
        is_tagged_(is_echo && bytes_.size() >= kTagBytes),
        response_bytes_(response_bytes),
        segment_bytes_(segment_bytes) {
    if (is_tagged_) std::memset(bytes_.data(), 0, kTagBytes);
    for (uint32_t at = 0; at < size(); at += segment_bytes)
      sums_.push_back(
          net::checksum_add(0, bytes_.data() + at, std::min(segment_bytes, size() - at)));
  }

  uint32_t begin(MessageId) override { return size(); }
  net::ChecksumSum write(MessageId message, uint32_t offset, uint32_t bytes, uint8_t* to) override {
    std::memcpy(to, bytes_.data() + offset, bytes);
    const net::ChecksumSum sum = sums_[offset / segment_bytes_];
    if (offset != 0 || !is_tagged_) return sum;
    const uint64_t tag = message.tag();
    std::memcpy(to, &tag, kTagBytes);
    return net::checksum_add_word(sum, tag);
  }
  Taken take(MessageId message, uint32_t offset, const uint8_t* at, uint32_t bytes) override {
    const bool is_wrong = uint64_t{offset} + bytes > response_bytes_ ||
                          (is_echo_ && !matches(message.tag(), offset, at, bytes));
    const bool is_whole = uint64_t{offset} + bytes >= response_bytes_;
    return {.is_whole = is_whole, .wrong = is_wrong, .answered = is_whole};
  }

 private:
  uint32_t size() const { return static_cast<uint32_t>(bytes_.size()); }
  /// Whether these bytes are what stands at `offset` of the message with this tag.
  bool matches(uint64_t tag, uint32_t offset, const uint8_t* at, uint32_t bytes) const {
    if (is_tagged_ && offset < kTagBytes) {
      const uint32_t here = std::min(bytes, kTagBytes - offset);
      if (std::memcmp(at, reinterpret_cast<const uint8_t*>(&tag) + offset, here) != 0) return false;
      at += here;
      offset += here;
      bytes -= here;
    }
    return std::memcmp(at, bytes_.data() + offset, bytes) == 0;
  }

  std::vector<uint8_t> bytes_;
  bool is_echo_;
  bool is_tagged_;
  uint32_t response_bytes_;
  uint32_t segment_bytes_;
  /// Over each segment, without the tag.
  std::vector<net::ChecksumSum> sums_;
};

}  // namespace weir::load
