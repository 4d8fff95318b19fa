#include "net/udp/udp.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include <algorithm>

#include "net/checksum.h"
#include "net/packet_bytes.h"

namespace weir::net::udp {

namespace {

/// A UDP header as it lies in memory; fields ending in _be are in network byte order.
struct __attribute__((packed)) UdpHeader {
  uint16_t source_be;
  uint16_t destination_be;
  uint16_t length_be;
  uint16_t checksum;
};
static_assert(sizeof(UdpHeader) == 8);

}  // namespace

Udp::Udp(const Environment& environment, ip::Output& output, icmp::Icmp& icmp,
         icmp::IcmpV6& icmp_v6, uint32_t max_ports)
    : environment_(environment),
      output_(output),
      icmp_(icmp),
      icmp_v6_(icmp_v6),
      ports_(65536, kUnbound),
      bindings_(std::min<uint32_t>(max_ports, kUnbound)),
      reply_sources_(environment) {
  for (uint32_t i = bindings_.size(); i-- > 0;) {
    bindings_[i].next_free = free_binding_;
    free_binding_ = static_cast<uint16_t>(i);
  }
}

void Udp::input(const ip::Incoming& datagram) {
  const ip::Received& received = datagram.received;
  rte_mbuf* frame = received.frame;
  const auto drop = [&](Counter reason) {
    environment_.counters.add(reason);
    rte_pktmbuf_free(frame);
  };
  environment_.counters.add(Counter::udp_rx);
  if (received.transport_bytes < sizeof(UdpHeader)) [[unlikely]]
    return drop(Counter::drop_udp_malformed);
  const auto* header =
      rte_pktmbuf_mtod_offset(frame, const UdpHeader*, received.transport_offset_bytes);
  const uint32_t length_bytes = rte_be_to_cpu_16(header->length_be);
  if (length_bytes < sizeof(UdpHeader) || length_bytes > received.transport_bytes) [[unlikely]]
    return drop(Counter::drop_udp_malformed);
  // No checksum is a zero, over IPv4 only (RFC 768; RFC 8200 section 8.1).
  const bool has_none = header->checksum == 0;
  if (has_none && !received.source.is_v4() && !received.checksum_known_good) [[unlikely]]
    return drop(Counter::drop_udp_checksum);
  if (!received.checksum_known_good && !has_none) {
    const ChecksumSum sum = checksum_pseudo_header(received.source, received.destination,
                                                   ip::kProtocolUdp, length_bytes);
    if (checksum_finish(checksum_add_packet(sum, frame, received.transport_offset_bytes,
                                            length_bytes)) != 0) [[unlikely]]
      return drop(Counter::drop_udp_checksum);
  }

  const uint16_t port = rte_be_to_cpu_16(header->destination_be);
  const uint16_t index = ports_[port];
  if (index == kUnbound) {
    // RFC 1122 section 4.1.3.1; an error about a broadcast is forbidden by section 3.2.2.
    if (!received.source.is_v4())
      icmp_v6_.send_port_unreachable(received);
    else if (!datagram.to_broadcast)
      icmp_.send_unreachable(received, icmp::Unreachable::port);
    return drop(Counter::drop_udp_no_port);
  }
  const Binding binding = bindings_[index];
  const Endpoint remote{received.source, rte_be_to_cpu_16(header->source_be)};
  if (!datagram.to_broadcast) reply_sources_.note(port, remote, received.destination);
  const Payload payload = {
      .head = frame,
      .offset_bytes = received.transport_offset_bytes + static_cast<uint32_t>(sizeof(UdpHeader)),
      .length_bytes = length_bytes - static_cast<uint32_t>(sizeof(UdpHeader))};
  if (!binding.events->on_datagram(binding.listener_tag, remote, {received.destination, port},
                                   payload))
    environment_.counters.add(Counter::drop_udp_refused);
  rte_pktmbuf_free(frame);
}

bool Udp::bind(uint16_t port, FlowEvents& events, uint32_t listener_tag) {
  if (ports_[port] != kUnbound) {
    Binding& binding = bindings_[ports_[port]];
    if (binding.events != &events) return false;
    binding.listener_tag = listener_tag;
    return true;
  }
  if (port == 0 || free_binding_ == kUnbound) return false;
  const uint16_t index = free_binding_;
  free_binding_ = bindings_[index].next_free;
  bindings_[index] = {&events, listener_tag, kUnbound};
  ports_[port] = index;
  return true;
}

void Udp::unbind(uint16_t port) {
  const uint16_t index = ports_[port];
  if (index == kUnbound) return;
  ports_[port] = kUnbound;
  bindings_[index] = {nullptr, 0, free_binding_};
  free_binding_ = index;
}

bool Udp::on_icmp_error(const Address& remote, std::span<const uint8_t> quoted,
                        const ip::DeliveryError& error) {
  const auto* header = reinterpret_cast<const UdpHeader*>(quoted.data());
  if (!is_bound(rte_be_to_cpu_16(header->source_be))) return false;
  // There is no more of a flow than its ports that a guess would have to meet; so the MTU has a
  // floor (ip/path_mtu.h).
  if (error.kind == ip::DeliveryError::Kind::too_big)
    output_.lower_path_mtu(remote, error.mtu_bytes);
  return true;
}

bool Udp::send(uint16_t local_port, const Endpoint& remote, std::span<const uint8_t> bytes) {
  // A peer whose port is 0 wants no answer (RFC 768).
  if (remote.port == 0 || bytes.size() > kMaxPayloadBytes) return false;
  Address source;
  if (const Address* asked = reply_sources_.find(local_port, remote);
      asked != nullptr && output_.is_local(*asked)) {
    source = *asked;
  } else {
    source = output_.source_for(remote.address);
    if (source.is_unspecified()) return false;
  }
  rte_mbuf* packet = make({source, local_port}, remote, bytes);
  if (packet == nullptr) return false;
  environment_.counters.add(Counter::udp_tx);
  output_.send(packet, source, remote.address, ip::kProtocolUdp, {.may_fragment = true});
  return true;
}

rte_mbuf* Udp::make(const Endpoint& local, const Endpoint& remote, std::span<const uint8_t> bytes) {
  rte_mbuf* packet = rte_pktmbuf_alloc(environment_.frame_pool);
  if (packet == nullptr) {
    environment_.counters.add(Counter::drop_no_mbuf);
    return nullptr;
  }
  const size_t length_bytes = sizeof(UdpHeader) + bytes.size();
  auto* header = reinterpret_cast<UdpHeader*>(rte_pktmbuf_append(packet, sizeof(UdpHeader)));
  *header = {rte_cpu_to_be_16(local.port), rte_cpu_to_be_16(remote.port),
             rte_cpu_to_be_16(static_cast<uint16_t>(length_bytes)), 0};
  if (!append_copy(packet, bytes, environment_.frame_pool)) {
    environment_.counters.add(Counter::drop_no_mbuf);
    rte_pktmbuf_free(packet);
    return nullptr;
  }
  const ChecksumSum sum =
      checksum_pseudo_header(local.address, remote.address, ip::kProtocolUdp, packet->pkt_len);
  const uint16_t checksum = checksum_finish(checksum_add_packet(sum, packet, 0, packet->pkt_len));
  // Zero would say that there is none (RFC 768).
  header->checksum = checksum == 0 ? 0xffff : checksum;
  return packet;
}

}  // namespace weir::net::udp
