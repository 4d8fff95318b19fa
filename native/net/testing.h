#pragma once
// What the tests of all layers share: buffers, a sink that keeps frames, and packets built byte by
// byte, with a checksum of its own that is as plain as RFC 1071 has it.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/packet_pool.h"
#include "net/clock.h"
#include "net/environment.h"
#include "net/flow_events.h"
#include "net/link/ethernet.h"

namespace weir::net::testing {

using Bytes = std::vector<uint8_t>;
using link::LinkAddress;

inline constexpr LinkAddress kOwnLink = {0x02, 0, 0, 0, 0, 0x01};
inline constexpr LinkAddress kPeerLink = {0x02, 0, 0, 0, 0, 0x02};
inline constexpr uint32_t kOwn = 0x0a000001;   // 10.0.0.1/24
inline constexpr uint32_t kPeer = 0x0a000002;  // 10.0.0.2
inline constexpr uint32_t kGateway = 0x0a0000fe;
inline constexpr uint32_t kFar = 0xc0000205;  // 192.0.2.5

inline Bytes operator+(Bytes left, std::span<const uint8_t> right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}
inline void put16(Bytes& bytes, size_t at, uint16_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}
inline void put32(Bytes& bytes, size_t at, uint32_t value) {
  put16(bytes, at, static_cast<uint16_t>(value >> 16));
  put16(bytes, at + 2, static_cast<uint16_t>(value));
}
inline uint16_t get16(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
inline uint32_t get32(std::span<const uint8_t> bytes, size_t at) {
  return uint32_t{get16(bytes, at)} << 16 | get16(bytes, at + 2);
}

/// RFC 1071, two bytes at a time; the value to store, as a number.
inline uint16_t plain_checksum(std::span<const uint8_t> bytes, uint32_t sum = 0) {
  for (size_t i = 0; i < bytes.size(); i++) {
    sum += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}
inline uint32_t plain_pseudo_sum(uint32_t source, uint32_t destination, uint8_t protocol,
                                 uint32_t length) {
  const uint32_t sum = (source >> 16) + (source & 0xffff) + (destination >> 16) +
                       (destination & 0xffff) + protocol + length;
  return (sum & 0xffff) + (sum >> 16);
}

inline Bytes ethernet(std::span<const uint8_t> payload, uint16_t type = link::kTypeIpv4,
                      const LinkAddress& destination = kOwnLink,
                      const LinkAddress& source = kPeerLink) {
  Bytes bytes(destination.begin(), destination.end());
  bytes = bytes + source + Bytes{static_cast<uint8_t>(type >> 8), static_cast<uint8_t>(type)};
  return bytes + payload;
}

struct Ipv4 {
  uint8_t protocol = 17;
  uint32_t source = kPeer;
  uint32_t destination = kOwn;
  uint8_t time_to_live = 64;
  uint16_t fragment = 0;
  Bytes options = {};
};

/// The header's checksum over a packet that begins with it.
inline void set_header_checksum(Bytes& packet) {
  put16(packet, 10, 0);
  put16(packet, 10, plain_checksum(std::span(packet).first((packet[0] & 15) * 4)));
}

inline Bytes ipv4(std::span<const uint8_t> payload, const Ipv4& fields = {}) {
  const size_t header_bytes = 20 + fields.options.size();
  Bytes packet(20);
  packet[0] = static_cast<uint8_t>(0x40 | header_bytes / 4);
  put16(packet, 2, static_cast<uint16_t>(header_bytes + payload.size()));
  put16(packet, 4, 0x1234);
  put16(packet, 6, fields.fragment);
  packet[8] = fields.time_to_live;
  packet[9] = fields.protocol;
  put32(packet, 12, fields.source);
  put32(packet, 16, fields.destination);
  packet = packet + fields.options;
  set_header_checksum(packet);
  return packet + payload;
}

inline Bytes udp(std::span<const uint8_t> payload, uint16_t destination_port, uint16_t source_port,
                 const Ipv4& ip = {}) {
  Bytes datagram(8);
  put16(datagram, 0, source_port);
  put16(datagram, 2, destination_port);
  put16(datagram, 4, static_cast<uint16_t>(8 + payload.size()));
  datagram = datagram + payload;
  uint16_t checksum =
      plain_checksum(datagram, plain_pseudo_sum(ip.source, ip.destination, 17, 8 + payload.size()));
  put16(datagram, 6, checksum == 0 ? 0xffff : checksum);
  return datagram;
}

inline Bytes icmp(uint8_t type, uint8_t code, uint32_t rest, std::span<const uint8_t> payload) {
  Bytes message(8);
  message[0] = type;
  message[1] = code;
  put32(message, 4, rest);
  message = message + payload;
  put16(message, 2, plain_checksum(message));
  return message;
}

struct Arp {
  uint16_t operation = 1;
  LinkAddress sender_link = kPeerLink;
  uint32_t sender = kPeer;
  LinkAddress target_link = {};
  uint32_t target = kOwn;
};

inline Bytes arp(const Arp& fields = {}) {
  Bytes packet = {0, 1, 8, 0, 6, 4, 0, static_cast<uint8_t>(fields.operation)};
  packet = packet + fields.sender_link + Bytes(4) + fields.target_link + Bytes(4);
  put32(packet, 14, fields.sender);
  put32(packet, 24, fields.target);
  return packet;
}

inline Bytes pattern(size_t length_bytes, uint8_t first = 1) {
  Bytes bytes(length_bytes);
  for (size_t i = 0; i < length_bytes; i++) bytes[i] = static_cast<uint8_t>(first + i * 7);
  return bytes;
}

inline Bytes bytes_of(const rte_mbuf* packet) {
  Bytes bytes;
  for (const rte_mbuf* segment = packet; segment != nullptr; segment = segment->next)
    bytes = bytes + std::span(rte_pktmbuf_mtod(segment, const uint8_t*), segment->data_len);
  return bytes;
}

/// A packet of one segment, or of segments of the given sizes and one for the rest.
inline rte_mbuf* packet_of(rte_mempool* pool, std::span<const uint8_t> bytes,
                           std::initializer_list<size_t> segment_bytes = {}) {
  rte_mbuf* head = nullptr;
  const auto add = [&](size_t length_bytes) {
    rte_mbuf* segment = rte_pktmbuf_alloc(pool);
    char* room = segment == nullptr
                     ? nullptr
                     : rte_pktmbuf_append(segment, static_cast<uint16_t>(length_bytes));
    if (room == nullptr) {
      ADD_FAILURE() << "no buffer for " << length_bytes << " bytes";
      std::abort();
    }
    if (length_bytes > 0) std::memcpy(room, bytes.data(), length_bytes);
    bytes = bytes.subspan(length_bytes);
    if (head == nullptr)
      head = segment;
    else
      rte_pktmbuf_chain(head, segment);
  };
  for (const size_t length_bytes : segment_bytes) add(std::min(length_bytes, bytes.size()));
  while (head == nullptr || !bytes.empty())
    add(std::min<size_t>(bytes.size(), rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM));
  return head;
}

class KeepingSink final : public FrameSink {
 public:
  ~KeepingSink() { clear(); }
  void transmit(rte_mbuf* frame) override {
    rte_mbuf_sanity_check(frame, 1);
    sent.push_back(bytes_of(frame));
    segments.push_back(frame->nb_segs);
    rte_pktmbuf_free(frame);
  }
  void clear() {
    sent.clear();
    segments.clear();
  }
  std::vector<Bytes> sent;
  std::vector<uint16_t> segments;
};

class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(uint64_t seed) : generator_(seed) {}
  uint64_t next() override { return generator_(); }

 private:
  std::mt19937_64 generator_;
};

/// What surrounds a layer under test. At its end every buffer must be back in its pool: what holds
/// buffers is a member of a class derived from this one, and so gone by then.
class LayerTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kPoolBuffers = 511;

  LayerTest()
      : frames_(make_pool("test_frames", kFrameDataBytes)),
        headers_(make_pool("test_headers", kHeaderDataBytes)),
        counters_(values_.data()),
        random_(1),
        environment_{sink_, random_, counters_, headers_->get(), frames_->get()} {}
  ~LayerTest() override {
    EXPECT_EQ(frames_->free_count(), kPoolBuffers) << "a frame was lost or freed twice";
    EXPECT_EQ(headers_->free_count(), kPoolBuffers) << "a header buffer was lost or freed twice";
  }

  static std::unique_ptr<PacketPool> make_pool(const char* name, uint16_t data_bytes) {
    std::string error;
    auto pool =
        PacketPool::create({.name = name, .count = kPoolBuffers, .data_bytes = data_bytes}, error);
    if (pool == nullptr) {
      ADD_FAILURE() << error;
      std::abort();
    }
    return pool;
  }

  uint64_t count(Counter counter) const { return counters_[counter]; }
  rte_mbuf* frame(std::span<const uint8_t> bytes, std::initializer_list<size_t> segments = {}) {
    return packet_of(frames_->get(), bytes, segments);
  }
  /// Takes all buffers of a pool while it lives.
  class Drained {
   public:
    explicit Drained(const PacketPool& pool) {
      while (rte_mbuf* buffer = rte_pktmbuf_alloc(pool.get())) buffers_.push_back(buffer);
    }
    ~Drained() {
      for (rte_mbuf* buffer : buffers_) rte_pktmbuf_free(buffer);
    }

   private:
    std::vector<rte_mbuf*> buffers_;
  };

  std::unique_ptr<PacketPool> frames_;
  std::unique_ptr<PacketPool> headers_;
  std::array<uint64_t, kCounterCount> values_{};
  Counters counters_;
  KeepingSink sink_;
  SeededRandom random_;
  Clock clock_;
  Environment environment_;
};

/// Keeps datagrams; connections are refused.
class KeepingEvents final : public FlowEvents {
 public:
  struct Datagram {
    uint32_t tag;
    Endpoint remote;
    Endpoint local;
    Bytes bytes;
  };
  bool on_knock(uint32_t, const Endpoint&) override { return false; }
  bool on_opened(Connection&, uint32_t, bool) override { return false; }
  bool on_data(Connection&, const Payload&) override { return false; }
  void on_end(Connection&) override {}
  void on_acknowledged(Connection&, uint32_t) override {}
  void on_closed(Connection&, CloseReason) override {}
  bool on_datagram(uint32_t tag, const Endpoint& remote, const Endpoint& local,
                   const Payload& payload) override {
    const Bytes all = bytes_of(payload.head);
    datagrams.push_back({tag, remote, local,
                         Bytes(all.begin() + payload.offset_bytes,
                               all.begin() + payload.offset_bytes + payload.length_bytes)});
    return accepts;
  }
  std::vector<Datagram> datagrams;
  bool accepts = true;
};

}  // namespace weir::net::testing
