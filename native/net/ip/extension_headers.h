#pragma once
#include <rte_mbuf.h>

#include <cstdint>

namespace weir::net::ip {

/// Extension headers of one packet: more than ever stand in one that means well (RFC 8504 section
/// 5.3 lets a host set such bounds).
inline constexpr uint32_t kMaxExtensionHeaders = 8;
inline constexpr uint32_t kMaxExtensionBytes = 512;
/// Options of one packet, padding not counted.
inline constexpr uint32_t kMaxExtensionOptions = 16;

/// Walks the headers between IPv6's own and the transport's (RFC 8200 section 4). Whatever it has
/// read lies in the frame's first segment.
class ExtensionHeaders {
 public:
  enum class Outcome : uint8_t {
    /// A header that is none of ours to walk over stands at offset_bytes: the transport's.
    transport,
    /// A fragment header stands there.
    fragment,
    /// The packet is to be dropped in silence.
    drop,
    /// It is to be dropped and its sender told: see problem_code and the others.
    problem,
  };

  /// `ip_offset_bytes`: where the IPv6 header starts; `end_bytes`: where the packet ends. Both
  /// count from the frame's first byte.
  ExtensionHeaders(rte_mbuf* frame, uint32_t ip_offset_bytes, uint32_t end_bytes);

  Outcome walk();
  /// Goes on behind a fragment header; only after walk() found one.
  Outcome walk_behind_fragment();

  /// What stands at offset_bytes.
  uint8_t protocol = 0;
  uint32_t offset_bytes;
  /// Where the byte stands that says so.
  uint32_t next_field_bytes;
  bool has_router_alert = false;
  // RFC 4443 section 3.4.
  uint8_t problem_code = 0;
  /// Counted from the IPv6 header.
  uint32_t problem_pointer_bytes = 0;
  /// The sender is told although the packet went to a group (RFC 4443 section 2.4 (e.3)).
  bool tells_of_group = false;

 private:
  Outcome problem(uint8_t code, uint32_t at_bytes, bool even_to_group = false);
  Outcome walk_options(uint32_t from_bytes, uint32_t to_bytes, bool& passed);
  const uint8_t* at(uint32_t offset) const {
    return rte_pktmbuf_mtod_offset(frame_, const uint8_t*, offset);
  }

  rte_mbuf* frame_;
  uint32_t ip_offset_bytes_;
  uint32_t end_bytes_;
  uint32_t headers_ = 0;
  uint32_t options_ = 0;
  uint32_t bytes_ = 0;
};

}  // namespace weir::net::ip
