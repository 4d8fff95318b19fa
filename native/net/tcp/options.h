#pragma once
#include <cstdint>

namespace weir::net::tcp {

/// The options of a segment that this stack knows (RFC 9293 section 3.2, RFC 7323).
struct Options {
  bool has_timestamp = false;
  bool has_mss = false;
  bool has_window_scale = false;
  uint8_t window_scale = 0;
  uint16_t mss_bytes = 0;
  uint32_t timestamp = 0;
  uint32_t timestamp_echo = 0;
};

/// Reads the options behind a TCP header. Unknown ones are skipped; what follows a malformed one is
/// ignored (RFC 9293 section 3.2, MUST-7). MSS and window scale count only on a SYN.
Options parse_options(const uint8_t* at, uint32_t bytes, bool syn);

}  // namespace weir::net::tcp
