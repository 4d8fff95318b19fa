#include "net/link/ethernet.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include "net/packet_bytes.h"

namespace weir::net::link {

Ethernet::Ethernet(const LinkAddress& own, const Environment& environment)
    : own_(own), environment_(environment) {}

bool Ethernet::receive(rte_mbuf* frame, Incoming& incoming) {
  if (!pull_up(frame, kHeaderBytes)) [[unlikely]] {
    environment_.counters.add(Counter::drop_link_short);
    rte_pktmbuf_free(frame);
    return false;
  }
  const auto* header = rte_pktmbuf_mtod(frame, const EthernetHeader*);
  const bool to_group = is_group(header->destination);
  if (!to_group && header->destination != own_) [[unlikely]] {
    environment_.counters.add(Counter::drop_link_foreign);
    rte_pktmbuf_free(frame);
    return false;
  }
  incoming = {rte_be_to_cpu_16(header->type_be), to_group};
  return true;
}

void Ethernet::transmit(rte_mbuf* packet, const LinkAddress& destination, uint16_t type) {
  auto* header = reinterpret_cast<EthernetHeader*>(rte_pktmbuf_prepend(packet, kHeaderBytes));
  if (header == nullptr) [[unlikely]] {
    environment_.counters.add(Counter::drop_no_headroom);
    rte_pktmbuf_free(packet);
    return;
  }
  header->destination = destination;
  header->source = own_;
  header->type_be = rte_cpu_to_be_16(type);
  packet->l2_len = kHeaderBytes;
  environment_.sink.transmit(packet);
}

}  // namespace weir::net::link
