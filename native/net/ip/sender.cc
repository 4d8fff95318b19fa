#include "net/ip/sender.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "base/siphash.h"
#include "net/checksum.h"
#include "net/ip/ipv4_header.h"
#include "net/ip/ipv6_header.h"

namespace weir::net::ip {

Sender::Sender(const Clock& clock, const Environment& environment, const Routing& routing,
               link::Ethernet& ethernet, link::NeighborCache& neighbors,
               link::Resolver& resolver_v4, link::Resolver& resolver_v6, uint16_t mtu_bytes)
    : environment_(environment),
      routing_(routing),
      ethernet_(ethernet),
      neighbors_(neighbors),
      resolver_v4_(resolver_v4),
      resolver_v6_(resolver_v6),
      mtu_bytes_(mtu_bytes),
      mtu_v6_bytes_(mtu_bytes),
      hop_limit_v4_(kDefaultHopLimit),
      hop_limit_v6_(kDefaultHopLimit),
      path_mtu_(clock, environment),
      hash_key_{environment.random.next(), environment.random.next()} {
  for (uint32_t& identification : identifications_)
    identification = static_cast<uint32_t>(environment.random.next());
}

void Sender::set_mtu_v6(uint32_t mtu_bytes) {
  // RFC 4861 section 6.3.4: between IPv6's least and the link's own.
  if (mtu_bytes >= kMinMtuV6Bytes && mtu_bytes <= mtu_bytes_)
    mtu_v6_bytes_ = static_cast<uint16_t>(mtu_bytes);
}

[[gnu::always_inline]] inline bool Sender::write_header_v4(
    rte_mbuf* packet, const Address& source, const Address& destination, uint8_t protocol,
    const SendOptions& options, uint16_t identification, uint16_t fragment) {
  auto* header = reinterpret_cast<Ipv4Header*>(rte_pktmbuf_prepend(packet, sizeof(Ipv4Header)));
  if (header == nullptr) [[unlikely]]
    return false;
  *header = {.version_and_length = kIpv4VersionAndLength,
             .type_of_service = options.ecn,
             .total_bytes_be = rte_cpu_to_be_16(static_cast<uint16_t>(packet->pkt_len)),
             .identification_be = rte_cpu_to_be_16(identification),
             .fragment_be = rte_cpu_to_be_16(fragment),
             .time_to_live = options.hop_limit == 0 ? hop_limit_v4_ : options.hop_limit,
             .protocol = protocol,
             .checksum = 0,
             .source_be = rte_cpu_to_be_32(source.v4_host_order()),
             .destination_be = rte_cpu_to_be_32(destination.v4_host_order())};
  header->checksum = checksum_finish(checksum_add(0, header, sizeof(Ipv4Header)));
  packet->l3_len = sizeof(Ipv4Header);
  return true;
}

/// Sends on a way that is known. False: nothing happened.
[[gnu::always_inline]] inline bool Sender::send_known_way(rte_mbuf* packet, const Address& source,
                                                          const Address& destination,
                                                          uint8_t protocol,
                                                          const SendOptions& options) {
  if (!source.is_v4() || !destination.is_v4() ||
      (options.may_fragment ? !path_mtu_.is_empty() : path_mtu_.lets_fragment_anywhere()) ||
      ways_version_ != routing_.version() ||
      (packet->pkt_len + sizeof(Ipv4Header) > mtu_bytes_ &&
       (packet->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0)) [[unlikely]]
    return false;
  const Way& way = ways_[place_of(destination.v4_host_order())];
  if (way.destination != destination.v4_host_order() || way.source != source.v4_host_order())
    return false;
  const link::LinkAddress* link_address = neighbors_.use(way.neighbor);
  if (link_address == nullptr) return false;
  if (!write_header_v4(packet, source, destination, protocol, options, 0, kDontFragment))
      [[unlikely]]
    return false;
  environment_.counters.add(Counter::ip_tx);
  ethernet_.transmit(packet, *link_address, link::kTypeIpv4);
  return true;
}

void Sender::learn_way(const Address& source, const Address& destination, const Address& hop) {
  if (ways_version_ != routing_.version()) {
    ways_version_ = routing_.version();
    ways_.fill({});
  }
  ways_[place_of(destination.v4_host_order())] = {
      source.v4_host_order(), destination.v4_host_order(), neighbors_.ticket_of(hop)};
}

void Sender::send(rte_mbuf* packet, const Address& source, const Address& destination,
                  uint8_t protocol, const SendOptions& options) {
  if (send_known_way(packet, source, destination, protocol, options)) [[likely]]
    return;
  const auto drop = [&](Counter reason) {
    environment_.counters.add(reason);
    rte_pktmbuf_free(packet);
  };
  Address hop;
  const bool is_v4 = destination.is_v4();
  if (source.is_v4() != is_v4 || !routing_.next_hop(destination, hop)) [[unlikely]]
    return drop(Counter::drop_ip_no_route);
  const uint32_t total_bytes =
      packet->pkt_len + static_cast<uint32_t>(is_v4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header));
  if (options.may_fragment) {
    const uint16_t path_bytes = mtu_bytes(destination);
    if (total_bytes > path_bytes)
      return send_fragments(packet, source, destination, hop, protocol, options, path_bytes);
  } else if (total_bytes > link_mtu_bytes(is_v4) && (packet->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0)
      [[unlikely]] {
    return drop(Counter::drop_ip_too_long);
  }
  if (is_v4) [[likely]] {
    // A datagram that may not be fragmented needs no identification (RFC 6864 section 4.1); a
    // constant tells nobody how much we send. Packets of ours are not fragmented on their way (RFC
    // 1191 section 2), other than on paths that take less than anybody should.
    const bool written =
        !path_mtu_.lets_fragment(destination)
            ? write_header_v4(packet, source, destination, protocol, options, 0, kDontFragment)
            : write_fragmentable_header(packet, source, destination, protocol, options);
    if (!written) [[unlikely]]
      return drop(Counter::drop_no_headroom);
    environment_.counters.add(Counter::ip_tx);
    neighbors_.send(packet, hop, resolver_v4_);
    learn_way(source, destination, hop);
    return;
  }
  if (!write_header_v6(packet, source, destination, protocol, options)) [[unlikely]]
    return drop(Counter::drop_no_headroom);
  environment_.counters.add(Counter::ip_tx);
  neighbors_.send(packet, hop, resolver_v6_);
}

/// Of a packet that routers may cut.
bool Sender::write_fragmentable_header(rte_mbuf* packet, const Address& source,
                                       const Address& destination, uint8_t protocol,
                                       const SendOptions& options) {
  const auto identification = static_cast<uint16_t>(next_identification(source, destination));
  return write_header_v4(packet, source, destination, protocol, options, identification, 0);
}

void Sender::send_on_link(rte_mbuf* packet, const Address& source, const Address& destination,
                          uint8_t protocol, const link::LinkAddress& link_destination,
                          uint8_t hop_limit) {
  const SendOptions options{.hop_limit = hop_limit};
  const bool is_v4 = destination.is_v4();
  const bool written =
      is_v4 ? write_header_v4(packet, source, destination, protocol, options, 0, kDontFragment)
            : write_header_v6(packet, source, destination, protocol, options);
  if (!written) {
    environment_.counters.add(Counter::drop_no_headroom);
    rte_pktmbuf_free(packet);
    return;
  }
  environment_.counters.add(Counter::ip_tx);
  ethernet_.transmit(packet, link_destination, is_v4 ? link::kTypeIpv4 : link::kTypeIpv6);
}

bool Sender::write_header_v6(rte_mbuf* packet, const Address& source, const Address& destination,
                             uint8_t protocol, const SendOptions& options) {
  const auto payload_bytes = static_cast<uint16_t>(packet->pkt_len);
  auto* header = reinterpret_cast<Ipv6Header*>(rte_pktmbuf_prepend(packet, sizeof(Ipv6Header)));
  if (header == nullptr) [[unlikely]]
    return false;
  header->version_class_flow_be = rte_cpu_to_be_32(6u << 28 | uint32_t{options.ecn} << 20);
  header->payload_bytes_be = rte_cpu_to_be_16(payload_bytes);
  header->next_header = protocol;
  header->hop_limit = options.hop_limit == 0 ? hop_limit_v6_ : options.hop_limit;
  std::memcpy(header->source, source.bytes.data(), 16);
  std::memcpy(header->destination, destination.bytes.data(), 16);
  packet->l3_len = sizeof(Ipv6Header);
  return true;
}

/// Sends a packet that is longer than the path takes, in copied pieces: all of them, or none when
/// buffers run out. RFC 791 section 2.3, RFC 8200 section 4.5.
void Sender::send_fragments(rte_mbuf* packet, const Address& source, const Address& destination,
                            const Address& hop, uint8_t protocol, const SendOptions& options,
                            uint16_t mtu_bytes) {
  const bool is_v4 = destination.is_v4();
  const uint32_t header_bytes = static_cast<uint32_t>(
      is_v4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header) + sizeof(FragmentHeader));
  const uint32_t piece_bytes = (mtu_bytes - header_bytes) & ~7u;
  const uint32_t payload_bytes = packet->pkt_len;
  constexpr uint32_t kMaxPieces = 128;
  std::array<rte_mbuf*, kMaxPieces> pieces;
  const uint32_t count = (payload_bytes + piece_bytes - 1) / piece_bytes;
  const auto drop = [&](Counter reason, uint32_t made) {
    for (uint32_t i = 0; i < made; i++) rte_pktmbuf_free(pieces[i]);
    environment_.counters.add(reason);
    rte_pktmbuf_free(packet);
  };
  if (payload_bytes + sizeof(Ipv4Header) > UINT16_MAX || count > kMaxPieces)
    return drop(Counter::drop_ip_too_long, 0);
  const uint32_t identification = next_identification(source, destination);
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t offset_bytes = i * piece_bytes;
    const uint32_t bytes = std::min(piece_bytes, payload_bytes - offset_bytes);
    const bool more = i + 1 < count;
    rte_mbuf* piece = pieces[i] = rte_pktmbuf_alloc(environment_.frame_pool);
    char* room =
        piece == nullptr ? nullptr : rte_pktmbuf_append(piece, static_cast<uint16_t>(bytes));
    if (room == nullptr) return drop(Counter::drop_no_mbuf, piece == nullptr ? i : i + 1);
    const void* read = rte_pktmbuf_read(packet, offset_bytes, bytes, room);
    if (read != room) std::memcpy(room, read, bytes);
    bool written;
    if (is_v4) {
      const auto fragment = static_cast<uint16_t>(offset_bytes / 8 | (more ? kMoreFragments : 0));
      written = write_header_v4(piece, source, destination, protocol, options,
                                static_cast<uint16_t>(identification), fragment);
    } else {
      auto* fragment =
          reinterpret_cast<FragmentHeader*>(rte_pktmbuf_prepend(piece, sizeof(FragmentHeader)));
      written = fragment != nullptr;
      if (written) {
        *fragment = {
            protocol, 0,
            rte_cpu_to_be_16(static_cast<uint16_t>(offset_bytes | (more ? kMoreFragmentsV6 : 0))),
            rte_cpu_to_be_32(identification)};
        written = write_header_v6(piece, source, destination, kNextFragment, options);
      }
    }
    if (!written) return drop(Counter::drop_no_headroom, i + 1);
  }
  rte_pktmbuf_free(packet);
  environment_.counters.add(Counter::ip_tx);
  environment_.counters.add(Counter::ip_fragments_tx, count);
  for (uint32_t i = 0; i < count; i++) neighbors_.send(pieces[i], hop, resolver_of(hop));
}

/// Unique among the packets that may be on their way between two stations (RFC 6864 section 4), and
/// nobody else's to guess (RFC 7739): a counter for each group of pairs, that begins at random and
/// goes on in random steps.
uint32_t Sender::next_identification(const Address& source, const Address& destination) {
  const Address pair[2] = {source, destination};
  uint32_t& counter = identifications_[siphash(hash_key_, pair, sizeof pair) % kIdentifications];
  counter += 1 + static_cast<uint32_t>(environment_.random.next() & 7);
  return counter;
}

}  // namespace weir::net::ip
