#include "load.h"

#include <gtest/gtest.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <deque>
#include <functional>

#include "base/counters.h"
#include "base/packet_pool.h"
#include "fixed_dialogue.h"
#include "tcp_load.h"
#include "udp_load.h"

namespace weir::load {
namespace {

constexpr uint32_t kServer = 0x0a2d0002;
constexpr uint32_t kFirstClient = 0x0a2d0100;
constexpr uint16_t kPort = 7;
constexpr uint32_t kBytes = 64;

PacketPool& pool() {
  static std::string error;
  static auto made = PacketPool::create({.name = "load_test", .count = 1023}, error);
  return *made;
}

/// A server at the other side of a link, which looks at every frame.
class Server : public port::Port {
 public:
  uint32_t receive(rte_mbuf** frames, uint32_t capacity) override {
    uint32_t count = 0;
    while (count < capacity && !answers_.empty()) {
      frames[count++] = answers_.front();
      answers_.pop_front();
    }
    return count;
  }
  uint32_t transmit(rte_mbuf** frames, uint32_t count) override {
    for (uint32_t i = 0; i < count; i++) {
      rte_mbuf* frame = frames[i];
      const auto& packet = *rte_pktmbuf_mtod(frame, PacketHeaders*);
      if (packet.ethernet.type_be == rte_cpu_to_be_16(net::link::kTypeArp)) {
        answer_arp(frame);
        continue;
      }
      check_sums(frame);
      serve(frame);
      rte_pktmbuf_free(frame);
    }
    return count;
  }
  int wait_descriptor() const override { return -1; }
  std::array<uint8_t, 6> link_address() const override { return {2, 0, 0, 0, 0, 1}; }
  uint16_t mtu_bytes() const override { return 1500; }
  ~Server() override {
    for (rte_mbuf* frame : answers_) rte_pktmbuf_free(frame);
  }

 protected:
  virtual void serve(rte_mbuf* frame) = 0;
  /// Sends a copy of a frame back with addresses exchanged.
  rte_mbuf* back(rte_mbuf* frame) {
    rte_mbuf* answer = rte_pktmbuf_copy(frame, pool().get(), 0, UINT32_MAX);
    auto* addresses =
        rte_pktmbuf_mtod_offset(answer, uint8_t*, offsetof(PacketHeaders, ip.source_be));
    std::swap_ranges(addresses, addresses + 4, addresses + 4);
    auto* ports = rte_pktmbuf_mtod_offset(answer, uint8_t*, kSourcePortOffset);
    std::swap_ranges(ports, ports + 2, ports + 2);
    answers_.push_back(answer);
    return answer;
  }

 private:
  void answer_arp(rte_mbuf* frame) {
    auto* at = rte_pktmbuf_mtod(frame, uint8_t*);
    at[21] = 2;
    // Sender and target: 10 bytes each.
    std::swap_ranges(at + 22, at + 32, at + 32);
    answers_.push_back(frame);
  }
  static void check_sums(rte_mbuf* frame) {
    const auto& ip = rte_pktmbuf_mtod(frame, PacketHeaders*)->ip;
    EXPECT_EQ(net::checksum_finish(net::checksum_add(0, &ip, sizeof ip)), 0);
    const uint32_t bytes = rte_be_to_cpu_16(ip.total_bytes_be) - uint32_t{sizeof ip};
    EXPECT_EQ(frame->data_len, sizeof(PacketHeaders) + bytes);
    const auto address = [](uint32_t be) { return net::Address::v4(rte_be_to_cpu_32(be)); };
    const auto pseudo = net::checksum_pseudo_header(address(ip.source_be),
                                                    address(ip.destination_be), ip.protocol, bytes);
    EXPECT_EQ(net::checksum_finish(net::checksum_add(pseudo, &ip + 1, bytes)), 0);
  }

  std::deque<rte_mbuf*> answers_;
};

LoadConfig config_of(uint32_t connections) {
  LoadConfig config;
  config.server = kServer;
  config.server_port = kPort;
  config.first_client = kFirstClient;
  config.connections = config.outstanding = connections;
  return config;
}

FixedDialogue echo_of(uint32_t bytes) {
  return FixedDialogue(std::vector<uint8_t>(bytes, 'x'), true, bytes, 1460);
}

/// What becomes of each datagram: how often it is answered, and whether wrongly.
struct Fate {
  uint32_t answers = 1;
  bool is_changed = false;
};

class UdpServer : public Server {
 public:
  explicit UdpServer(std::function<Fate(uint64_t number)> fate) : fate_(std::move(fate)) {}

 private:
  void serve(rte_mbuf* frame) override {
    const Fate fate = fate_(number_++);
    for (uint32_t i = 0; i < fate.answers; i++) {
      rte_mbuf* answer = back(frame);
      if (fate.is_changed) ++*rte_pktmbuf_mtod_offset(answer, uint8_t*, answer->data_len - 1);
    }
  }

  std::function<Fate(uint64_t)> fate_;
  uint64_t number_ = 0;
};

LoadCounts load_udp(std::function<Fate(uint64_t)> fate, double seconds, LoadConfig config) {
  UdpServer server(std::move(fate));
  FixedDialogue dialogue = echo_of(kBytes);
  UdpLoad load(config, dialogue, server, pool().get());
  EXPECT_EQ(load.open(10), "");
  load.run(seconds);
  const LoadCounts counts = load.counts();
  load.close();
  return counts;
}

TEST(UdpLoad, AnswersAreCounted) {
  const LoadCounts counts = load_udp([](uint64_t) { return Fate{}; }, 0.01, config_of(10));
  EXPECT_GT(counts.messages, 10u);
  EXPECT_EQ(counts.response_bytes, counts.messages * kBytes);
  EXPECT_EQ(counts.wrong + counts.late + counts.resent, 0u);
}

TEST(UdpLoad, WhatIsLostIsSentAgain) {
  // Of one client, the third datagram: nothing comes before it is repeated.
  const LoadCounts counts =
      load_udp([](uint64_t number) { return Fate{.answers = number != 2}; }, 1, config_of(1));
  EXPECT_EQ(counts.resent, 1u);
  EXPECT_GT(counts.messages, 3u);
  EXPECT_EQ(counts.wrong + counts.late, 0u);
}

TEST(UdpLoad, AnotherAnswerIsWrong) {
  const LoadCounts counts =
      load_udp([](uint64_t number) { return Fate{.is_changed = number == 2}; }, 0.01, config_of(1));
  EXPECT_EQ(counts.wrong, 1u);
  EXPECT_EQ(counts.messages, 2u) << "the third is still waited for";
}

TEST(UdpLoad, ASecondAnswerIsLate) {
  const LoadCounts counts = load_udp(
      [](uint64_t number) { return Fate{.answers = number == 2 ? 2u : 1u}; }, 0.01, config_of(1));
  EXPECT_EQ(counts.late, 1u);
  EXPECT_EQ(counts.wrong, 0u);
}

TEST(UdpLoad, AMessageThatTheWorkersStallFellIntoIsNotTimed) {
  uint64_t counters[kCounterCount] = {};
  const auto word = [&](Counter counter) -> uint64_t& {
    return counters[static_cast<size_t>(counter)];
  };
  LoadConfig config = config_of(1);
  config.stall_us = 1e6;
  config.worker_counters = counters;
  // One before the window is not its own.
  word(Counter::stalls) = 5;
  const auto stall_at = [&](uint64_t number) {
    return [&word, number](uint64_t now) {
      if (now == number) {
        word(Counter::stall_end_ticks) = rte_rdtsc();
        word(Counter::stalls)++;
      }
      return Fate{};
    };
  };
  const LoadCounts counts = load_udp(stall_at(3), 0.01, config);
  EXPECT_EQ(counts.worker_stalls, 1u);
  EXPECT_EQ(counts.excluded, 1u);
  EXPECT_GT(counts.messages, 4u);
  EXPECT_EQ(counts.stalls, 0u);
}

TEST(UdpLoad, NoMoreIsAskedThanThereMayBe) {
  LoadConfig config = config_of(10);
  config.outstanding = 0;
  EXPECT_EQ(load_udp([](uint64_t) { return Fate{}; }, 0.01, config).frames_sent, 0u);
  config.outstanding = 3;
  EXPECT_EQ(load_udp([](uint64_t) { return Fate{.answers = 0}; }, 0.01, config).frames_sent, 3u);
  // By schedule: one now, and one each ten seconds.
  config.rate = 0.1;
  EXPECT_EQ(load_udp([](uint64_t) { return Fate{}; }, 0.01, config).messages, 1u);
}

/// Echo with as much of TCP as the load has; ends some of the connections.
class TcpServer : public Server {
 public:
  enum class Way : uint8_t { echo, refuse, finish_each_third, reset_each_third, has_an_old_one };
  explicit TcpServer(Way way) : way_(way), has_an_old_one_(way == Way::has_an_old_one) {}

 private:
  void serve(rte_mbuf* frame) override {
    const auto& asked = *rte_pktmbuf_mtod(frame, SegmentHeaders*);
    const uint8_t flags = asked.tcp.flags;
    const uint32_t header_bytes = (asked.tcp.data_offset >> 4) * 4u;
    const uint32_t bytes = rte_be_to_cpu_16(asked.packet.ip.total_bytes_be) - 20u - header_bytes;
    const bool is_syn = (flags & net::tcp::kSyn) != 0;
    if ((flags & net::tcp::kRst) != 0) has_an_old_one_ = false;
    if ((flags & net::tcp::kRst) != 0 || (!is_syn && bytes == 0)) return;
    auto& tcp = rte_pktmbuf_mtod(back(frame), SegmentHeaders*)->tcp;
    const uint32_t sequence = rte_be_to_cpu_32(asked.tcp.sequence_be);
    tcp.acknowledgement_be = rte_cpu_to_be_32(sequence + bytes + is_syn);
    tcp.sequence_be = is_syn ? rte_cpu_to_be_32(1000) : asked.tcp.acknowledgement_be;
    if (is_syn && has_an_old_one_) {
      // It says where that stands: the SYN's own number is the next one.
      tcp.flags = net::tcp::kAck;
      return;
    }
    if (is_syn) {
      tcp.flags |= way_ == Way::refuse ? net::tcp::kRst | net::tcp::kAck : net::tcp::kAck;
      return;
    }
    if (++messages_ % 3 != 0) return;
    if (way_ == Way::finish_each_third) tcp.flags |= net::tcp::kFin;
    if (way_ == Way::reset_each_third) tcp.flags |= net::tcp::kRst;
  }

  Way way_;
  /// Of the same two ends, from before.
  bool has_an_old_one_;
  uint64_t messages_ = 0;
};

LoadCounts load_tcp(TcpServer::Way way, const LoadConfig& config) {
  TcpServer server(way);
  FixedDialogue dialogue = echo_of(kBytes);
  TcpLoad load(config, dialogue, server, pool().get());
  EXPECT_EQ(load.open(10), "");
  load.run(0.01);
  const LoadCounts counts = load.counts();
  load.close();
  return counts;
}

TEST(TcpLoad, AnswersAreCounted) {
  const LoadCounts counts = load_tcp(TcpServer::Way::echo, config_of(10));
  EXPECT_GT(counts.messages, 10u);
  EXPECT_EQ(counts.response_bytes, counts.messages * kBytes);
  EXPECT_EQ(counts.wrong + counts.resent + counts.resets + counts.opened, 0u);
}

TEST(TcpLoad, WhatTheServerEndsIsOpenedAnew) {
  for (auto way : {TcpServer::Way::finish_each_third, TcpServer::Way::reset_each_third}) {
    const LoadCounts counts = load_tcp(way, config_of(2));
    EXPECT_GT(counts.resets, 2u);
    EXPECT_LE(counts.resets - counts.opened, 2u);
    EXPECT_GT(counts.messages, counts.resets);
    EXPECT_EQ(counts.wrong, 0u);
  }
}

TEST(TcpLoad, AConnectionHasItsMessagesAndIsOpenedAnew) {
  LoadConfig config = config_of(2);
  config.messages_per_connection = 5;
  const LoadCounts counts = load_tcp(TcpServer::Way::echo, config);
  EXPECT_GT(counts.opened, 2u);
  EXPECT_EQ(counts.resets, 0u);
  // What is left over belongs to connections that are not at their end.
  EXPECT_LE(counts.messages - 5 * counts.opened, 10u);
}

TEST(TcpLoad, AConnectionFromBeforeEndsWhereverItStands) {
  const LoadCounts counts = load_tcp(TcpServer::Way::has_an_old_one, config_of(1));
  EXPECT_GT(counts.messages, 10u);
  EXPECT_EQ(counts.wrong + counts.resent + counts.resets, 0u);
}

TEST(TcpLoad, WhoRefusesIsNotAskedAgain) {
  TcpServer server(TcpServer::Way::refuse);
  FixedDialogue dialogue = echo_of(kBytes);
  TcpLoad load(config_of(3), dialogue, server, pool().get());
  EXPECT_EQ(load.open(0.01), "only 0 of 3 connections were opened, and the server reset 3");
}

}  // namespace
}  // namespace weir::load
