#pragma once
#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "net/environment.h"

namespace weir::net::link {

using LinkAddress = std::array<uint8_t, 6>;

inline constexpr LinkAddress kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
inline constexpr uint16_t kTypeIpv4 = 0x0800;
inline constexpr uint16_t kTypeArp = 0x0806;
inline constexpr uint16_t kTypeVlan = 0x8100;
inline constexpr uint16_t kTypeIpv6 = 0x86dd;

/// An Ethernet II header as it lies in memory; the type is in network byte order.
struct __attribute__((packed)) EthernetHeader {
  LinkAddress destination;
  LinkAddress source;
  uint16_t type_be;
};
static_assert(sizeof(EthernetHeader) == 14);

inline constexpr uint32_t kHeaderBytes = sizeof(EthernetHeader);

/// A header with the tag of IEEE 802.1Q as it lies in memory.
struct __attribute__((packed)) VlanHeader {
  LinkAddress destination;
  LinkAddress source;
  uint16_t tag_type_be;
  /// Three bits of priority, one of eligibility to be dropped, twelve of the VLAN's number.
  uint16_t tag_be;
  uint16_t type_be;
};
static_assert(sizeof(VlanHeader) == 18);

/// Whether an address names more than one station (broadcast included): the I/G bit of IEEE 802.
inline bool is_group(const LinkAddress& address) { return (address[0] & 1) != 0; }

/// Ethernet II framing (RFC 894), with the tag of one VLAN or with none. Above here nobody sees the
/// tag: it is taken out of what comes in.
class Ethernet {
 public:
  struct Incoming {
    uint16_t type;
    /// The frame was sent to a broadcast or multicast link address.
    bool to_group;
  };

  /// `vlan_id` 0: frames carry no tag.
  Ethernet(const LinkAddress& own, const Environment& environment, uint16_t vlan_id = 0);

  /// Looks at a received frame. False: it is none of ours; it has been counted and freed.
  bool receive(rte_mbuf* frame, Incoming& incoming);
  /// Puts a header before a packet and transmits it. Takes ownership.
  void transmit(rte_mbuf* packet, const LinkAddress& destination, uint16_t type) {
    if (vlan_id_ != 0) [[unlikely]]
      return transmit_tagged(packet, destination, type);
    auto* header = reinterpret_cast<EthernetHeader*>(rte_pktmbuf_prepend(packet, kHeaderBytes));
    if (header == nullptr) [[unlikely]]
      return drop_without_headroom(packet);
    header->destination = destination;
    header->source = own_;
    header->type_be = rte_cpu_to_be_16(type);
    packet->l2_len = kHeaderBytes;
    environment_.sink.transmit(packet);
  }
  const LinkAddress& own() const { return own_; }

 private:
  // Apart from the way of every packet, which has no tag.
  [[gnu::noinline]] bool receive_tagged(rte_mbuf* frame, Incoming& incoming);
  [[gnu::noinline]] void transmit_tagged(rte_mbuf* packet, const LinkAddress& destination,
                                         uint16_t type);
  [[gnu::noinline]] void drop_without_headroom(rte_mbuf* packet);
  bool has_tag_beside(const rte_mbuf* frame) const;
  bool take_tag_out(rte_mbuf* frame);

  LinkAddress own_;
  Environment environment_;
  uint16_t vlan_id_;
};

}  // namespace weir::net::link
