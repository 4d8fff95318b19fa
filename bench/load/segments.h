#pragma once
#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "net/checksum.h"
#include "net/ip/ipv4_header.h"
#include "net/link/ethernet.h"
#include "net/tcp/header.h"

namespace weir::load {

/// The headers of a segment as they stand in a frame without options.
struct __attribute__((packed)) SegmentHeaders {
  net::link::EthernetHeader ethernet;
  net::ip::Ipv4Header ip;
  net::tcp::Header tcp;
};
static_assert(sizeof(SegmentHeaders) == 54);

/// Whom a segment is from, and where it stands in its stream.
struct SegmentPlace {
  /// IPv4, in host order.
  uint32_t client;
  uint16_t client_port;
  uint32_t sequence;
  uint32_t acknowledgement;
};

/// What every message is, but for its first bytes: they name connection and message, so that an
/// answer to another one is told apart.
class Message {
 public:
  static constexpr uint32_t kTagBytes = 8;

  /// `segment_bytes`: the longest payload of a segment.
  Message(std::vector<uint8_t> bytes, bool is_tagged, uint32_t segment_bytes)
      : bytes_(std::move(bytes)), is_tagged_(is_tagged && bytes_.size() >= kTagBytes) {
    if (is_tagged_) std::memset(bytes_.data(), 0, kTagBytes);
    for (uint32_t at = 0; at < size(); at += segment_bytes)
      sums_.push_back(
          net::checksum_add(0, bytes_.data() + at, std::min(segment_bytes, size() - at)));
  }
  uint32_t size() const { return static_cast<uint32_t>(bytes_.size()); }
  bool is_tagged() const { return is_tagged_; }
  /// Sum over the payload of the segment with this number, without the tag.
  net::ChecksumSum sum(uint32_t segment) const { return sums_[segment]; }

  void copy(uint8_t* to, uint32_t offset, uint32_t bytes, uint64_t tag) const {
    std::memcpy(to, bytes_.data() + offset, bytes);
    if (offset == 0 && is_tagged_) std::memcpy(to, &tag, kTagBytes);
  }
  /// Whether these bytes are what stands at `offset` of the message with this tag.
  bool matches(const uint8_t* at, uint32_t offset, uint32_t bytes, uint64_t tag) const {
    if (is_tagged_ && offset < kTagBytes) {
      const uint32_t here = std::min(bytes, kTagBytes - offset);
      if (std::memcmp(at, reinterpret_cast<const uint8_t*>(&tag) + offset, here) != 0) return false;
      at += here;
      offset += here;
      bytes -= here;
    }
    return std::memcmp(at, bytes_.data() + offset, bytes) == 0;
  }

 private:
  std::vector<uint8_t> bytes_;
  bool is_tagged_;
  std::vector<net::ChecksumSum> sums_;
};

/// Makes segments from prebuilt headers: what differs between two is written, and added to a sum
/// that is there.
class SegmentTemplate {
 public:
  SegmentTemplate(const std::array<uint8_t, 6>& source, const std::array<uint8_t, 6>& destination,
                  uint32_t server, uint16_t server_port) {
    headers_ = {.ethernet = {destination, source, rte_cpu_to_be_16(net::link::kTypeIpv4)},
                .ip = {.version_and_length = net::ip::kIpv4VersionAndLength,
                       .type_of_service = 0,
                       .total_bytes_be = 0,
                       .identification_be = 0,
                       .fragment_be = rte_cpu_to_be_16(net::ip::kDontFragment),
                       .time_to_live = net::ip::kDefaultHopLimit,
                       .protocol = 6,
                       .checksum = 0,
                       .source_be = 0,
                       .destination_be = rte_cpu_to_be_32(server)},
                .tcp = {.source_port_be = 0,
                        .destination_port_be = rte_cpu_to_be_16(server_port),
                        .sequence_be = 0,
                        .acknowledgement_be = 0,
                        .data_offset = 5 << 4,
                        .flags = 0,
                        .window_be = rte_cpu_to_be_16(kWindow),
                        .checksum = 0,
                        .urgent_be = 0}};
    ip_sum_ = net::checksum_add(0, &headers_.ip, sizeof headers_.ip);
    tcp_sum_ = net::checksum_add(0, &headers_.tcp, sizeof headers_.tcp);
    tcp_sum_ = net::checksum_add(tcp_sum_, &headers_.ip.destination_be, 4) + rte_cpu_to_be_16(6);
  }

  static constexpr uint16_t kWindow = 0xffff;

  /// Fills a frame with headers, options and `payload_bytes`, which the caller writes behind them
  /// and whose sum is `payload_sum`.
  uint8_t* fill(rte_mbuf* frame, const SegmentPlace& place, uint8_t flags,
                std::span<const uint8_t> options, uint32_t payload_bytes,
                net::ChecksumSum payload_sum) const {
    auto* at = rte_pktmbuf_mtod(frame, SegmentHeaders*);
    *at = headers_;
    const auto header_bytes = static_cast<uint32_t>(sizeof(net::tcp::Header) + options.size());
    const uint32_t tcp_bytes = header_bytes + payload_bytes;
    at->ip.total_bytes_be = rte_cpu_to_be_16(static_cast<uint16_t>(20 + tcp_bytes));
    at->ip.source_be = rte_cpu_to_be_32(place.client);
    at->ip.checksum =
        net::checksum_finish(ip_sum_ + at->ip.total_bytes_be + uint64_t{at->ip.source_be});
    at->tcp.source_port_be = rte_cpu_to_be_16(place.client_port);
    at->tcp.sequence_be = rte_cpu_to_be_32(place.sequence);
    at->tcp.acknowledgement_be = rte_cpu_to_be_32(place.acknowledgement);
    at->tcp.flags = flags;
    auto* behind = reinterpret_cast<uint8_t*>(at + 1);
    net::ChecksumSum sum = net::checksum_add_word(tcp_sum_, payload_sum);
    if (!options.empty()) {
      at->tcp.data_offset = static_cast<uint8_t>(header_bytes / 4 << 4);
      // Its byte in the template's sum goes with the flags.
      sum = net::checksum_add_word(sum,
                                   uint64_t{static_cast<uint16_t>(at->tcp.data_offset - (5 << 4))});
      std::memcpy(behind, options.data(), options.size());
      sum = net::checksum_add(sum, options.data(), options.size());
      behind += options.size();
    }
    sum = net::checksum_add_word(sum, uint64_t{at->ip.source_be} + at->tcp.source_port_be +
                                          at->tcp.sequence_be + at->tcp.acknowledgement_be +
                                          (uint64_t{flags} << 8) +
                                          rte_cpu_to_be_16(static_cast<uint16_t>(tcp_bytes)));
    at->tcp.checksum = net::checksum_finish(sum);
    frame->data_len = static_cast<uint16_t>(sizeof *at + options.size() + payload_bytes);
    frame->pkt_len = frame->data_len;
    return behind;
  }

 private:
  SegmentHeaders headers_;
  net::ChecksumSum ip_sum_ = 0;
  net::ChecksumSum tcp_sum_ = 0;
};

}  // namespace weir::load
