#include "memcached_dialogue.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

namespace weir::load {
namespace {

constexpr std::string_view kStored = "STORED\r\n";
/// What a get of a key that is there is answered with begins with it, and nothing else does.
constexpr char kValueBegins = 'V';

char* put(char* to, std::string_view text) { return std::copy(text.begin(), text.end(), to); }

}  // namespace

/// The line and the value that a set and the answer to a get have in common.
uint32_t MemcachedDialogue::make_item(const char* command, uint32_t key, const char* flags,
                                      const char* end) {
  const std::string_view value = mix_.value(key);
  char* at = put(made_.data(), command);
  at += mix_.write_key(key, at);
  at = put(at, flags);
  at = std::to_chars(at, made_.end(), value.size()).ptr;
  at = put(at, "\r\n");
  at = put(at, value);
  return static_cast<uint32_t>(put(at, end) - made_.data());
}

uint32_t MemcachedDialogue::make_request(const MemcachedMix::Request& request) {
  if (request.is_set) return make_item("set ", request.key, " 0 0 ", "\r\n");
  char* at = put(made_.data(), "get ");
  at += mix_.write_key(request.key, at);
  return static_cast<uint32_t>(put(at, "\r\n") - made_.data());
}

uint32_t MemcachedDialogue::make_answer(const MemcachedMix::Request& request) {
  if (!request.is_set) return make_item("VALUE ", request.key, " 0 ", "\r\nEND\r\n");
  return static_cast<uint32_t>(put(made_.data(), kStored) - made_.data());
}

uint32_t MemcachedDialogue::begin(MessageId message) {
  State& state = states_[message.flow];
  const bool is_first = next_to_store_ < mix_.keys();
  state = {.request = is_first ? MemcachedMix::Request{next_to_store_++, true} : mix_.draw(),
           .is_first = is_first};
  return make_request(state.request);
}

net::ChecksumSum MemcachedDialogue::write(MessageId message, uint32_t offset, uint32_t bytes,
                                          uint8_t* to) {
  make_request(states_[message.flow].request);
  std::memcpy(to, made_.data() + offset, bytes);
  return net::checksum_add(0, to, bytes);
}

Taken MemcachedDialogue::take(MessageId message, uint32_t offset, const uint8_t* at,
                              uint32_t bytes) {
  State& state = states_[message.flow];
  constexpr Taken kLost = {.is_lost = true, .wrong = 1};
  if (!state.is_other_line) {
    const uint32_t size = make_answer(state.request);
    const bool fits = offset + bytes <= size;
    if (fits && std::memcmp(made_.data() + offset, at, bytes) == 0) {
      const bool is_whole = offset + bytes == size;
      if (is_whole && state.is_first) stored_++;
      return {.is_whole = is_whole, .answered = is_whole};
    }
    // END for a key that is gone, or an error.
    if (offset != 0 || at[0] == kValueBegins) return kLost;
    state.is_other_line = true;
  }
  if (offset + bytes > kMostBytes) return kLost;
  const void* end = std::memchr(at, '\n', bytes);
  if (end == nullptr) return {};
  return end == at + bytes - 1 ? Taken{.is_whole = true, .wrong = 1, .answered = 1} : kLost;
}

}  // namespace weir::load
