#pragma once
// Two hosts, each with a Tcp, and a bad link between them, on a virtual clock.
#include <gtest/gtest.h>

#include <memory>
#include <queue>
#include <random>
#include <vector>

#include "net/ip/output.h"
#include "net/ip/received.h"
#include "net/tcp/testing/harness.h"

namespace weir::net::tcp::testing {

/// What a link does to packets. Probabilities are those of one packet.
struct LinkConfig {
  double loss = 0;
  /// A burst of losses begins, and goes on with each further packet.
  double burst_begins = 0;
  double burst_continues = 0;
  double duplication = 0;
  double corruption = 0;
  double reordering = 0;
  uint64_t delay_us = 1000;
  /// A reordered packet is later by up to this.
  uint64_t extra_delay_us = 0;
  /// 0: no limit.
  uint64_t bytes_per_second = 0;
  /// Packets that wait for the rate; more are lost.
  uint32_t queue_packets = 1000;
};

/// The way from one host to the other: its packets, and when they arrive.
class Link {
 public:
  Link(const LinkConfig& config, uint64_t seed) : config_(config), random_(seed) {}

  void send(Bytes packet, uint64_t now_us) {
    if (is_lost()) return;
    uint64_t leaves_us = now_us;
    if (config_.bytes_per_second > 0) {
      const uint64_t takes_us = (packet.size() + 54) * 1'000'000 / config_.bytes_per_second;
      if (busy_until_us_ > now_us + config_.queue_packets * takes_us) return;
      busy_until_us_ = std::max(busy_until_us_, now_us) + takes_us;
      leaves_us = busy_until_us_;
    }
    if (happens(config_.corruption)) {
      // Any one bit: a checksum finds each of them (RFC 1071).
      packet[random_() % packet.size()] ^= static_cast<uint8_t>(1 << random_() % 8);
      corrupted++;
    }
    if (happens(config_.duplication)) arrive(packet, leaves_us);
    arrive(std::move(packet), leaves_us);
  }
  uint64_t next_us() const { return packets_.empty() ? UINT64_MAX : packets_.top().at_us; }
  /// The packets that have arrived by now.
  std::vector<Bytes> arrived(uint64_t now_us, size_t limit) {
    std::vector<Bytes> batch;
    while (next_us() <= now_us && batch.size() < limit) {
      batch.push_back(std::move(const_cast<Packet&>(packets_.top()).bytes));
      packets_.pop();
    }
    return batch;
  }
  uint64_t corrupted = 0;

 private:
  struct Packet {
    uint64_t at_us;
    uint64_t number;
    Bytes bytes;
    bool operator<(const Packet& other) const {
      return at_us != other.at_us ? at_us > other.at_us : number > other.number;
    }
  };
  bool happens(double probability) {
    return probability > 0 && std::uniform_real_distribution<>()(random_) < probability;
  }
  bool is_lost() {
    bursting_ = happens(bursting_ ? config_.burst_continues : config_.burst_begins);
    return bursting_ || happens(config_.loss);
  }
  void arrive(Bytes packet, uint64_t leaves_us) {
    uint64_t at_us = leaves_us + config_.delay_us;
    if (config_.extra_delay_us > 0 && happens(config_.reordering))
      at_us += random_() % config_.extra_delay_us;
    packets_.push({at_us, number_++, std::move(packet)});
  }

  LinkConfig config_;
  std::mt19937_64 random_;
  uint64_t busy_until_us_ = 0;
  bool bursting_ = false;
  uint64_t number_ = 0;
  std::priority_queue<Packet> packets_;
};

/// One end: a Tcp whose output goes into a link.
class Host final : public ip::Output {
 public:
  Host(uint32_t address, uint32_t other, const StackConfig& config, const Environment& environment,
       Link& out, const uint64_t& now_us)
      : address_(Address::v4(address)),
        other_(Address::v4(other)),
        pool_(environment.frame_pool),
        out_(out),
        now_us_(now_us),
        tcp_(std::make_unique<Tcp>(config, environment, *this)) {
    tcp_->set_now(now_us);
  }

  Tcp& tcp() { return *tcp_; }

  void send(rte_mbuf* packet, const Address& source, const Address& destination, uint8_t,
            const ip::SendOptions&) override {
    EXPECT_EQ(source, address_);
    EXPECT_EQ(destination, other_);
    EXPECT_LE(packet->pkt_len + 20, kMtuBytes);
    out_.send(bytes_of(packet), now_us_);
    rte_pktmbuf_free(packet);
  }
  Address source_for(const Address&) const override { return address_; }
  bool is_local(const Address& address) const override { return address == address_; }
  void lower_path_mtu(const Address&, uint16_t) override {}
  uint16_t mtu_bytes(const Address&) const override { return kMtuBytes; }

  void receive(std::span<const Bytes> packets) {
    std::vector<ip::Received> batch;
    for (const Bytes& packet : packets) {
      rte_mbuf* frame = rte_pktmbuf_alloc(pool_);
      if (frame == nullptr) continue;  // as a port does that is out of buffers
      char* at =
          rte_pktmbuf_append(frame, static_cast<uint16_t>(kTransportOffsetBytes + packet.size()));
      std::memset(at, 0, kTransportOffsetBytes);
      std::memcpy(at + kTransportOffsetBytes, packet.data(), packet.size());
      batch.push_back({.frame = frame,
                       .transport_offset_bytes = kTransportOffsetBytes,
                       .transport_bytes = static_cast<uint32_t>(packet.size()),
                       .source = other_,
                       .destination = address_,
                       .checksum_known_good = false});
    }
    tcp_->input(batch);
  }

 private:
  const Address address_;
  const Address other_;
  rte_mempool* pool_;
  Link& out_;
  const uint64_t& now_us_;
  std::unique_ptr<Tcp> tcp_;
};

}  // namespace weir::net::tcp::testing
