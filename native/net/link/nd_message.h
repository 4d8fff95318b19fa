#pragma once
#include <rte_mbuf.h>

#include <cstdint>
#include <cstring>
#include <span>

#include "net/checksum.h"
#include "net/icmp/icmp_header.h"
#include "net/ip/input.h"
#include "net/ip/output.h"
#include "net/link/ethernet.h"

namespace weir::net::link {

// Options of RFC 4861 section 4.6 and RFC 8106 section 5.1.
inline constexpr uint8_t kOptionSourceLink = 1;
inline constexpr uint8_t kOptionTargetLink = 2;
inline constexpr uint8_t kOptionPrefix = 3;
inline constexpr uint8_t kOptionMtu = 5;
inline constexpr uint8_t kOptionNameServers = 25;

/// What proves that a Neighbor Discovery packet has passed no router.
inline constexpr uint8_t kOnLinkHopLimit = 255;
/// Longest message that is looked at; nobody needs more for what a link has.
inline constexpr uint32_t kMaxNdBytes = 1500;

/// Where an IPv6 group is on Ethernet (RFC 2464 section 7).
inline LinkAddress link_group(const Address& group) {
  return {0x33, 0x33, group.bytes[12], group.bytes[13], group.bytes[14], group.bytes[15]};
}

/// A received message of Neighbor Discovery, copied out of its frame. Its checksum is right.
class NdMessage {
 public:
  /// False if it must be dropped whatever its type (RFC 4861 sections 6.1 and 7.1; RFC 6980 section
  /// 5): it came through a router or in fragments, has an unknown code or an impossible option.
  /// `body_bytes` is the length of the type's fixed part.
  bool read(const ip::Incoming& incoming, uint32_t body_bytes) {
    const ip::Received& received = incoming.received;
    length_ = received.transport_bytes;
    if (incoming.hop_limit != kOnLinkHopLimit || incoming.had_fragment_header ||
        length_ < body_bytes || length_ > kMaxNdBytes)
      return false;
    const void* read =
        rte_pktmbuf_read(received.frame, received.transport_offset_bytes, length_, bytes_);
    if (read != bytes_) std::memcpy(bytes_, read, length_);
    if (bytes_[1] != 0) return false;
    body_ = body_bytes;
    for (uint32_t at = body_; at < length_; at += bytes_[at + 1] * 8u)
      if (at + 2 > length_ || bytes_[at + 1] == 0 || at + bytes_[at + 1] * 8u > length_)
        return false;
    return true;
  }
  const uint8_t* at(uint32_t offset_bytes) const { return bytes_ + offset_bytes; }
  uint32_t number(uint32_t offset_bytes) const { return number_of(at(offset_bytes)); }
  static uint32_t number_of(const uint8_t* bytes) {
    uint32_t word;
    std::memcpy(&word, bytes, 4);
    return __builtin_bswap32(word);
  }
  /// Calls `take(type, option)` for each option, its first two bytes included.
  template <typename Take>
  void for_each_option(Take&& take) const {
    for (uint32_t at = body_; at < length_; at += bytes_[at + 1] * 8u)
      take(bytes_[at], std::span<const uint8_t>(bytes_ + at, bytes_[at + 1] * 8u));
  }
  /// The first link address option of a type. False if there is none.
  bool link_address(uint8_t option_type, LinkAddress& address) const {
    bool found = false;
    for_each_option([&](uint8_t type, std::span<const uint8_t> option) {
      if (type != option_type || found || option.size() != 8) return;
      std::memcpy(address.data(), option.data() + 2, 6);
      found = !is_group(address) && address != LinkAddress{};
    });
    return found;
  }

 private:
  uint8_t bytes_[kMaxNdBytes];
  uint32_t length_ = 0;
  uint32_t body_ = 0;
};

/// Completes the ICMPv6 checksum of a message that starts at the packet's first byte (RFC 4443
/// section 2.3).
inline void finish_icmp_v6(rte_mbuf* packet, const Address& source, const Address& destination) {
  auto* header = rte_pktmbuf_mtod(packet, icmp::IcmpHeader*);
  header->checksum = 0;
  const ChecksumSum sum =
      checksum_pseudo_header(source, destination, ip::kProtocolIcmpV6, packet->pkt_len);
  header->checksum = checksum_finish(checksum_add_packet(sum, packet, 0, packet->pkt_len));
}

}  // namespace weir::net::link
