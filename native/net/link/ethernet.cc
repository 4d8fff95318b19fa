#include "net/link/ethernet.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include <cstring>

#include "net/packet_bytes.h"

namespace weir::net::link {

Ethernet::Ethernet(const LinkAddress& own, const Environment& environment, uint16_t vlan_id)
    : own_(own), environment_(environment), vlan_id_(vlan_id) {}

bool Ethernet::receive(rte_mbuf* frame, Incoming& incoming) {
  const auto drop = [&](Counter reason) {
    environment_.counters.add(reason);
    rte_pktmbuf_free(frame);
    return false;
  };
  if (!pull_up(frame, kHeaderBytes)) [[unlikely]]
    return drop(Counter::drop_link_short);
  const auto* header = rte_pktmbuf_mtod(frame, const EthernetHeader*);
  const bool to_group = is_group(header->destination);
  if (!to_group && header->destination != own_) [[unlikely]]
    return drop(Counter::drop_link_foreign);
  const uint16_t type = rte_be_to_cpu_16(header->type_be);
  incoming = {type, to_group};
  if (type == kTypeVlan || vlan_id_ != 0) [[unlikely]]
    return receive_tagged(frame, incoming);
  return true;
}

/// A frame with a tag, or one that should have one.
bool Ethernet::receive_tagged(rte_mbuf* frame, Incoming& incoming) {
  const auto drop = [&](Counter reason) {
    environment_.counters.add(reason);
    rte_pktmbuf_free(frame);
    return false;
  };
  // A card may have taken the tag out, or another stack that could not keep the frame.
  if (incoming.type != kTypeVlan && has_tag_beside(frame)) return true;
  if (incoming.type != kTypeVlan) return drop(Counter::drop_link_vlan);
  if (!pull_up(frame, sizeof(VlanHeader))) return drop(Counter::drop_link_short);
  // Number 0 says priority only: the frame belongs to no VLAN (IEEE 802.1Q section 9.6).
  const auto* tagged = rte_pktmbuf_mtod(frame, const VlanHeader*);
  const uint16_t type = rte_be_to_cpu_16(tagged->type_be);
  if ((rte_be_to_cpu_16(tagged->tag_be) & 0x0fff) != vlan_id_ || !take_tag_out(frame))
    return drop(Counter::drop_link_vlan);
  incoming.type = type;
  return true;
}

/// The frame's tag is not in it, and is ours.
bool Ethernet::has_tag_beside(const rte_mbuf* frame) const {
  return (frame->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 &&
         (frame->vlan_tci & 0x0fff) == vlan_id_;
}

/// The layers above find their header at one place. False when others hold the frame and so it must
/// not be changed.
bool Ethernet::take_tag_out(rte_mbuf* frame) {
  if (!is_head_writable(frame)) return false;
  constexpr uint32_t kTagBytes = sizeof(VlanHeader) - kHeaderBytes;
  auto* bytes = rte_pktmbuf_mtod(frame, uint8_t*);
  std::memmove(bytes + kTagBytes, bytes, 2 * sizeof(LinkAddress));
  frame->ol_flags |= RTE_MBUF_F_RX_VLAN_STRIPPED;
  frame->vlan_tci = vlan_id_;
  return rte_pktmbuf_adj(frame, kTagBytes) != nullptr;
}

void Ethernet::transmit_tagged(rte_mbuf* packet, const LinkAddress& destination, uint16_t type) {
  auto* header = reinterpret_cast<VlanHeader*>(rte_pktmbuf_prepend(packet, sizeof(VlanHeader)));
  if (header == nullptr) return drop_without_headroom(packet);
  *header = {destination, own_, rte_cpu_to_be_16(kTypeVlan), rte_cpu_to_be_16(vlan_id_),
             rte_cpu_to_be_16(type)};
  packet->l2_len = sizeof(VlanHeader);
  environment_.sink.transmit(packet);
}

void Ethernet::drop_without_headroom(rte_mbuf* packet) {
  environment_.counters.add(Counter::drop_no_headroom);
  rte_pktmbuf_free(packet);
}

}  // namespace weir::net::link
