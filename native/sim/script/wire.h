#pragma once
// What scripts do with a packet beyond TCP: extension headers, fragments, ICMP.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "net/address.h"
#include "sim/packet.h"

namespace weir::sim::script {

/// Inserts a hop-by-hop and a destination options header (RFC 8200 sections 4.3 and 4.6) with these
/// options behind the IPv6 header, where there are any; padded to a multiple of eight.
Frame with_options(Frame frame, std::span<const uint8_t> hop_by_hop,
                   std::span<const uint8_t> destination);

/// Cuts a packet into fragments of at most so many bytes of payload, a multiple of eight (RFC 791
/// section 3.2, RFC 8200 section 4.5).
std::vector<Frame> in_fragments(const Frame& frame, uint32_t payload_bytes);

/// A packet of a protocol that is no TCP, with zeros in it.
Frame plain_packet(const Segment& way, uint8_t protocol, uint32_t payload_bytes);

/// An ICMP error as a router or the peer sends it.
struct IcmpError {
  uint8_t type;
  uint8_t code;
  /// What stands behind the checksum: an MTU, a pointer.
  uint32_t value;
};

/// The error by its name in scripts, for an address family. Nothing for an unknown name.
std::optional<IcmpError> icmp_error(const std::string& name, bool is_v4, uint32_t value);

/// An error about the packet in `frame`, to its sender; `sequence` in the place of the quoted TCP
/// segment's own. Nothing where there is nothing to quote.
std::optional<Frame> icmp_about(const Frame& frame, const net::Address& router,
                                const IcmpError& error, std::optional<uint32_t> sequence);

/// Reads an ICMP or ICMPv6 error in a frame. False if it holds none; `error` is then unchanged.
bool read_icmp_error(std::span<const uint8_t> frame, IcmpError& error);

/// Writes the answer to whoever asks for a neighbor's link address, by ARP or Neighbor Discovery.
/// Nothing for other frames, and when another address than `neighbor` is asked for.
std::optional<Frame> neighbor_answer(std::span<const uint8_t> frame, const net::Address& neighbor,
                                     const LinkAddress& link_address);

/// A question of a neighbor for `own`'s link address, from which it is known then.
Frame neighbor_question(const net::Address& neighbor, const LinkAddress& neighbor_link,
                        const net::Address& own, const LinkAddress& own_link);

}  // namespace weir::sim::script
