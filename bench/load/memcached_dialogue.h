#pragma once
#include <array>
#include <vector>

#include "dialogue.h"
#include "memcached_mix.h"

namespace weir::load {

/// Gets and sets of memcached's text protocol. All keys are set before the load, and a get must
/// bring back the key and its value.
class MemcachedDialogue final : public Dialogue {
 public:
  /// `is_stored`: the server has all keys already, from a mix that was made in the same way.
  MemcachedDialogue(MemcachedMix mix, uint32_t connections, bool is_stored = false)
      : mix_(std::move(mix)),
        states_(connections),
        next_to_store_(is_stored ? mix_.keys() : 0),
        stored_(next_to_store_) {}

  uint32_t begin(MessageId message) override;
  net::ChecksumSum write(MessageId message, uint32_t offset, uint32_t bytes, uint8_t* to) override;
  Taken take(MessageId message, uint32_t offset, const uint8_t* at, uint32_t bytes) override;
  bool is_ready() const override { return stored_ == mix_.keys(); }

 private:
  /// A line with a key and two numbers, a value, and two ends of lines.
  static constexpr uint32_t kMostBytes =
      32 + MemcachedMix::kMostKeyBytes + MemcachedMix::kMostValueBytes;

  struct State {
    MemcachedMix::Request request{};
    /// Belongs to what is stored before the load.
    bool is_first = false;
    /// The answer is not the right one, but a line in its place.
    bool is_other_line = false;
  };

  uint32_t make_request(const MemcachedMix::Request& request);
  uint32_t make_answer(const MemcachedMix::Request& request);
  uint32_t make_item(const char* command, uint32_t key, const char* flags, const char* end);

  MemcachedMix mix_;
  std::vector<State> states_;
  uint32_t next_to_store_;
  uint32_t stored_;
  std::array<char, kMostBytes> made_;
};

}  // namespace weir::load
