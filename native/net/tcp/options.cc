#include "net/tcp/options.h"

#include <algorithm>
#include <cstring>

namespace weir::net::tcp {
namespace {

constexpr uint8_t kEnd = 0;
constexpr uint8_t kNoOperation = 1;
constexpr uint8_t kMss = 2;
constexpr uint8_t kWindowScale = 3;
constexpr uint8_t kSackPermitted = 4;
constexpr uint8_t kSack = 5;
constexpr uint8_t kTimestamp = 8;
/// RFC 7323 section 2.3: a larger shift counts as 14.
constexpr uint8_t kMaxWindowScale = 14;

uint32_t read_u32(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, 4);
  return __builtin_bswap32(value);
}

}  // namespace

Options parse_options(const uint8_t* at, uint32_t bytes, bool syn) {
  Options options;
  // The usual case, as RFC 7323 appendix A lays it out.
  if (bytes == 12 && at[0] == kNoOperation && at[1] == kNoOperation && at[2] == kTimestamp &&
      at[3] == 10) {
    options.has_timestamp = true;
    options.timestamp = read_u32(at + 4);
    options.timestamp_echo = read_u32(at + 8);
    return options;
  }
  while (bytes > 0) {
    uint8_t kind = at[0];
    if (kind == kEnd) break;
    if (kind == kNoOperation) {
      at++;
      bytes--;
      continue;
    }
    if (bytes < 2 || at[1] < 2 || at[1] > bytes) break;
    uint8_t length = at[1];
    if (kind == kMss && length == 4 && syn) {
      options.has_mss = true;
      options.mss_bytes = static_cast<uint16_t>(at[2] << 8 | at[3]);
    } else if (kind == kWindowScale && length == 3 && syn) {
      options.has_window_scale = true;
      options.window_scale = std::min(at[2], kMaxWindowScale);
    } else if (kind == kTimestamp && length == 10) {
      options.has_timestamp = true;
      options.timestamp = read_u32(at + 2);
      options.timestamp_echo = read_u32(at + 6);
    } else if (kind == kSackPermitted && length == 2 && syn) {
      options.sack_permitted = true;
    } else if (kind == kSack && !syn && length >= 10 && (length - 2) % 8 == 0) {
      options.sack_count =
          static_cast<uint8_t>(std::min<uint32_t>((length - 2u) / 8, kMaxSackBlocks));
      for (uint32_t i = 0; i < options.sack_count; i++)
        options.sacks[i] = {read_u32(at + 2 + 8 * i), read_u32(at + 6 + 8 * i)};
    }
    at += length;
    bytes -= length;
  }
  return options;
}

}  // namespace weir::net::tcp
