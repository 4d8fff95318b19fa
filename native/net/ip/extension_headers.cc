#include "net/ip/extension_headers.h"

#include <rte_byteorder.h>

#include "net/ip/ipv6_header.h"
#include "net/packet_bytes.h"

namespace weir::net::ip {

ExtensionHeaders::ExtensionHeaders(rte_mbuf* frame, uint32_t ip_offset_bytes, uint32_t end_bytes)
    : offset_bytes(ip_offset_bytes + static_cast<uint32_t>(sizeof(Ipv6Header))),
      next_field_bytes(ip_offset_bytes + offsetof(Ipv6Header, next_header)),
      frame_(frame),
      ip_offset_bytes_(ip_offset_bytes),
      end_bytes_(end_bytes) {
  protocol = *at(next_field_bytes);
}

ExtensionHeaders::Outcome ExtensionHeaders::problem(uint8_t code, uint32_t at_bytes,
                                                    bool even_to_group) {
  problem_code = code;
  problem_pointer_bytes = at_bytes - ip_offset_bytes_;
  tells_of_group = even_to_group;
  return Outcome::problem;
}

ExtensionHeaders::Outcome ExtensionHeaders::walk() {
  for (;;) {
    switch (protocol) {
      case kNextHopByHop:
        // Only directly behind the IPv6 header (RFC 8200 section 4.3).
        if (headers_ > 0) return problem(kProblemNextHeader, next_field_bytes);
        break;
      case kNextDestination:
      case kNextRouting:
        break;
      case kNextFragment:
        if (offset_bytes + sizeof(FragmentHeader) > end_bytes_ ||
            !pull_up(frame_, offset_bytes + sizeof(FragmentHeader)))
          return Outcome::drop;
        return Outcome::fragment;
      default:
        return Outcome::transport;
    }
    // All three begin with the next header and their length in units of 8 bytes beyond the first.
    if (++headers_ > kMaxExtensionHeaders || offset_bytes + 8 > end_bytes_ ||
        !pull_up(frame_, offset_bytes + 8))
      return Outcome::drop;
    const uint32_t length_bytes = (at(offset_bytes)[1] + 1u) * 8;
    bytes_ += length_bytes;
    if (bytes_ > kMaxExtensionBytes || offset_bytes + length_bytes > end_bytes_ ||
        !pull_up(frame_, offset_bytes + length_bytes))
      return Outcome::drop;
    if (protocol == kNextRouting) {
      // No type is known here: one with segments left is an error, else the header is skipped (RFC
      // 8200 section 4.4; RFC 5095 has abolished type 0).
      if (at(offset_bytes)[3] != 0) return problem(kProblemField, offset_bytes + 2);
    } else {
      bool passed = false;
      const Outcome outcome = walk_options(offset_bytes + 2, offset_bytes + length_bytes, passed);
      if (!passed) return outcome;
    }
    protocol = *at(offset_bytes);
    next_field_bytes = offset_bytes;
    offset_bytes += length_bytes;
  }
}

ExtensionHeaders::Outcome ExtensionHeaders::walk_behind_fragment() {
  headers_++;
  protocol = *at(offset_bytes);
  next_field_bytes = offset_bytes;
  offset_bytes += sizeof(FragmentHeader);
  return walk();
}

/// RFC 8200 section 4.2: what is to be done with an option that is not known say the two highest
/// bits of its type.
ExtensionHeaders::Outcome ExtensionHeaders::walk_options(uint32_t from_bytes, uint32_t to_bytes,
                                                         bool& passed) {
  constexpr uint8_t kPad1 = 0, kPadN = 1, kRouterAlert = 5;
  while (from_bytes < to_bytes) {
    const uint8_t* option = at(from_bytes);
    if (option[0] == kPad1) {
      from_bytes++;
      continue;
    }
    if (from_bytes + 2 > to_bytes || from_bytes + 2 + option[1] > to_bytes) return Outcome::drop;
    if (option[0] != kPadN) {
      if (++options_ > kMaxExtensionOptions) return Outcome::drop;
      // RFC 2711 section 2.1; nothing else is known, and those that say so are skipped.
      if (option[0] == kRouterAlert && protocol == kNextHopByHop && option[1] == 2)
        has_router_alert = true;
      switch (option[0] >> 6) {
        case 1:
          return Outcome::drop;
        case 2:
          return problem(kProblemOption, from_bytes, true);
        case 3:
          return problem(kProblemOption, from_bytes, false);
        default:
          break;
      }
    }
    from_bytes += 2u + option[1];
  }
  passed = true;
  return Outcome::transport;
}

}  // namespace weir::net::ip
