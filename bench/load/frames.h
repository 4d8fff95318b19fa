#pragma once
#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "net/checksum.h"
#include "net/ip/ipv4_header.h"
#include "net/link/ethernet.h"
#include "net/tcp/header.h"

namespace weir::load {

/// Whom frames are between: link addresses, and the server's IPv4 address in host order.
struct Route {
  net::link::LinkAddress own_link;
  net::link::LinkAddress server_link;
  uint32_t server;
  uint16_t server_port;
};

/// The headers of an IPv4 packet without options, as they stand in a frame.
struct __attribute__((packed)) PacketHeaders {
  net::link::EthernetHeader ethernet;
  net::ip::Ipv4Header ip;
};
static_assert(sizeof(PacketHeaders) == 34);

struct __attribute__((packed)) SegmentHeaders {
  PacketHeaders packet;
  net::tcp::Header tcp;
};
static_assert(sizeof(SegmentHeaders) == 54);

struct __attribute__((packed)) DatagramHeaders {
  PacketHeaders packet;
  uint16_t source_port_be;
  uint16_t destination_port_be;
  uint16_t length_be;
  uint16_t checksum;
};
static_assert(sizeof(DatagramHeaders) == 42);

/// A question or an answer of ARP's for IPv4 over Ethernet (RFC 826).
struct __attribute__((packed)) ArpFrame {
  net::link::EthernetHeader ethernet;
  uint16_t hardware_be;
  uint16_t protocol_be;
  uint8_t hardware_bytes;
  uint8_t protocol_bytes;
  uint16_t operation_be;
  net::link::LinkAddress sender_link;
  uint32_t sender_be;
  net::link::LinkAddress target_link;
  uint32_t target_be;
};
static_assert(sizeof(ArpFrame) == 42);

/// The port that a frame with either of them is to, and from.
inline constexpr uint32_t kSourcePortOffset = sizeof(PacketHeaders);
inline constexpr uint32_t kDestinationPortOffset = kSourcePortOffset + 2;

/// Prebuilt headers of packets to the server: what differs between two is written, and added to
/// sums that are there.
class PacketTemplate {
 public:
  PacketTemplate(const Route& route, uint8_t protocol)
      : headers_{.ethernet = {route.server_link, route.own_link,
                              rte_cpu_to_be_16(net::link::kTypeIpv4)},
                 .ip = {.version_and_length = net::ip::kIpv4VersionAndLength,
                        .type_of_service = 0,
                        .total_bytes_be = 0,
                        .identification_be = 0,
                        .fragment_be = rte_cpu_to_be_16(net::ip::kDontFragment),
                        .time_to_live = net::ip::kDefaultHopLimit,
                        .protocol = protocol,
                        .checksum = 0,
                        .source_be = 0,
                        .destination_be = rte_cpu_to_be_32(route.server)}},
        sum_(net::checksum_add(0, &headers_.ip, sizeof headers_.ip)),
        pseudo_sum_(net::checksum_add(0, &headers_.ip.destination_be, 4) +
                    rte_cpu_to_be_16(protocol)) {}

  /// Writes the headers of a packet with so much behind them; `client` is in host order.
  void write(PacketHeaders& at, uint32_t client, uint32_t transport_bytes) const {
    at = headers_;
    at.ip.total_bytes_be =
        rte_cpu_to_be_16(static_cast<uint16_t>(sizeof(net::ip::Ipv4Header) + transport_bytes));
    at.ip.source_be = rte_cpu_to_be_32(client);
    at.ip.checksum = net::checksum_finish(sum_ + at.ip.total_bytes_be + uint64_t{at.ip.source_be});
  }
  /// Of the pseudo header but for the client's address and the length.
  net::ChecksumSum pseudo_sum() const { return pseudo_sum_; }

 private:
  PacketHeaders headers_;
  net::ChecksumSum sum_;
  net::ChecksumSum pseudo_sum_;
};

/// Who sends: IPv4 in host order, and a port.
struct Client {
  uint32_t address;
  uint16_t port;
};

/// Where a segment stands in its stream.
struct SegmentPlace {
  uint32_t sequence;
  uint32_t acknowledgement;
};

class SegmentTemplate {
 public:
  static constexpr uint16_t kWindow = 0xffff;

  explicit SegmentTemplate(const Route& route)
      : packet_(route, 6),
        tcp_{.source_port_be = 0,
             .destination_port_be = rte_cpu_to_be_16(route.server_port),
             .sequence_be = 0,
             .acknowledgement_be = 0,
             .data_offset = 5 << 4,
             .flags = 0,
             .window_be = rte_cpu_to_be_16(kWindow),
             .checksum = 0,
             .urgent_be = 0},
        sum_(net::checksum_add(packet_.pseudo_sum(), &tcp_, sizeof tcp_)) {}

  /// Where the payload of a segment belongs.
  static uint8_t* payload(rte_mbuf* frame, uint32_t option_bytes) {
    return rte_pktmbuf_mtod_offset(frame, uint8_t*, sizeof(SegmentHeaders) + option_bytes);
  }
  /// Fills a frame with headers and options; the payload is there, and this is its sum.
  void fill(rte_mbuf* frame, const Client& client, const SegmentPlace& place, uint8_t flags,
            std::span<const uint8_t> options, uint32_t payload_bytes,
            net::ChecksumSum payload_sum) const {
    auto* at = rte_pktmbuf_mtod(frame, SegmentHeaders*);
    const auto header_bytes = static_cast<uint32_t>(sizeof(net::tcp::Header) + options.size());
    const uint32_t tcp_bytes = header_bytes + payload_bytes;
    packet_.write(at->packet, client.address, tcp_bytes);
    at->tcp = tcp_;
    at->tcp.source_port_be = rte_cpu_to_be_16(client.port);
    at->tcp.sequence_be = rte_cpu_to_be_32(place.sequence);
    at->tcp.acknowledgement_be = rte_cpu_to_be_32(place.acknowledgement);
    at->tcp.flags = flags;
    net::ChecksumSum sum = net::checksum_add_word(sum_, payload_sum);
    if (!options.empty()) {
      at->tcp.data_offset = static_cast<uint8_t>(header_bytes / 4 << 4);
      // Its byte in the template's sum goes with the flags.
      sum = net::checksum_add_word(sum,
                                   uint64_t{static_cast<uint16_t>(at->tcp.data_offset - (5 << 4))});
      std::memcpy(at + 1, options.data(), options.size());
      sum = net::checksum_add(sum, options.data(), options.size());
    }
    sum = net::checksum_add_word(sum, uint64_t{at->packet.ip.source_be} + at->tcp.source_port_be +
                                          at->tcp.sequence_be + at->tcp.acknowledgement_be +
                                          (uint64_t{flags} << 8) +
                                          rte_cpu_to_be_16(static_cast<uint16_t>(tcp_bytes)));
    at->tcp.checksum = net::checksum_finish(sum);
    frame->data_len = static_cast<uint16_t>(sizeof(PacketHeaders) + tcp_bytes);
    frame->pkt_len = frame->data_len;
  }

 private:
  PacketTemplate packet_;
  net::tcp::Header tcp_;
  net::ChecksumSum sum_;
};

class DatagramTemplate {
 public:
  explicit DatagramTemplate(const Route& route)
      : packet_(route, 17), port_be_(rte_cpu_to_be_16(route.server_port)) {}

  /// Where the payload of a datagram belongs.
  static uint8_t* payload(rte_mbuf* frame) {
    return rte_pktmbuf_mtod_offset(frame, uint8_t*, sizeof(DatagramHeaders));
  }
  /// Fills a frame with headers; the payload is there, and this is its sum.
  void fill(rte_mbuf* frame, const Client& client, uint32_t payload_bytes,
            net::ChecksumSum payload_sum) const {
    auto* at = rte_pktmbuf_mtod(frame, DatagramHeaders*);
    const auto udp_bytes = static_cast<uint32_t>(sizeof *at - sizeof at->packet + payload_bytes);
    packet_.write(at->packet, client.address, udp_bytes);
    at->source_port_be = rte_cpu_to_be_16(client.port);
    at->destination_port_be = port_be_;
    at->length_be = rte_cpu_to_be_16(static_cast<uint16_t>(udp_bytes));
    const uint16_t sum = net::checksum_finish(net::checksum_add_word(
        payload_sum, packet_.pseudo_sum() + at->packet.ip.source_be + at->source_port_be +
                         port_be_ + 2u * at->length_be));
    // Zero would say that there is none (RFC 768).
    at->checksum = sum == 0 ? uint16_t{0xffff} : sum;
    frame->data_len = static_cast<uint16_t>(sizeof(PacketHeaders) + udp_bytes);
    frame->pkt_len = frame->data_len;
  }

 private:
  PacketTemplate packet_;
  uint16_t port_be_;
};

}  // namespace weir::load
