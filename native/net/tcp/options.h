#pragma once
#include <cstdint>

namespace weir::net::tcp {

/// A run of bytes that the receiver has, beyond what it acknowledges (RFC 2018 section 3).
struct SackBlock {
  uint32_t start;
  uint32_t end;
};
inline constexpr uint32_t kMaxSackBlocks = 4;

/// The options of a segment that this stack knows (RFC 9293 section 3.2, RFC 7323,
/// RFC 2018).
struct Options {
  bool has_timestamp = false;
  bool has_mss = false;
  bool has_window_scale = false;
  bool sack_permitted = false;
  uint8_t sack_count = 0;
  uint8_t window_scale = 0;
  uint16_t mss_bytes = 0;
  uint32_t timestamp = 0;
  uint32_t timestamp_echo = 0;
  /// The first sack_count count.
  SackBlock sacks[kMaxSackBlocks];
};

/// Reads the options behind a TCP header. Unknown ones are skipped; what follows a malformed one is
/// ignored (RFC 9293 section 3.2, MUST-7). MSS, window scale and
/// SACK-permitted count only on a SYN, SACK only without.
Options parse_options(const uint8_t* at, uint32_t bytes, bool syn);

}  // namespace weir::net::tcp
