#include "port/af_xdp_port.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <thread>

#include "base/eal.h"
#include "base/packet_pool.h"

namespace weir::port {
namespace {

/// Two ports at the ends of a veth, in a namespace of their own.
class AfXdpPortTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kBuffers = 4095;

  void in_namespace(const std::function<void()>& test) {
    bool allowed = true;
    std::thread([&] {
      if (unshare(CLONE_NEWNET) != 0 ||
          std::system("ip link add left type veth peer name right && ip link set left up && "
                      "ip link set right up") != 0) {
        allowed = false;
        return;
      }
      const EalThread registered;
      std::string error;
      pool_ = PacketPool::create({.name = "test_xdp", .count = kBuffers}, error);
      ASSERT_NE(pool_, nullptr) << error;
      left_ = open_one("left", error);
      ASSERT_NE(left_, nullptr) << error;
      right_ = open_one("right", error);
      ASSERT_NE(right_, nullptr) << error;
      test();
      left_.reset();
      right_.reset();
      EXPECT_EQ(pool_->free_count(), kBuffers);
      pool_.reset();
    }).join();
    if (!allowed) GTEST_SKIP() << "namespaces need root";
  }
  static std::unique_ptr<AfXdpPort> open_one(const std::string& interface, std::string& error) {
    auto ports = AfXdpPort::open({.interface = interface}, 1, error);
    return ports.empty() ? nullptr : std::move(ports.front());
  }
  rte_mbuf* frame(uint16_t bytes, uint8_t first) {
    rte_mbuf* made = rte_pktmbuf_alloc(pool_->get());
    auto* at = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(made, bytes));
    for (uint32_t i = 0; i < bytes; i++) at[i] = static_cast<uint8_t>(first + i);
    // Of no protocol that the kernel knows.
    at[12] = 0x88;
    at[13] = 0xb5;
    return made;
  }
  /// Frames of that protocol that arrive; the kernel sends some of its own, too.
  static std::vector<rte_mbuf*> receive(Port& port, size_t count, int patience_ms = 2000) {
    std::vector<rte_mbuf*> found;
    for (int i = 0; i < patience_ms && found.size() < count; i++) {
      rte_mbuf* frames[32];
      const uint32_t received = port.receive(frames, 32);
      for (uint32_t j = 0; j < received; j++) {
        const auto* at = rte_pktmbuf_mtod(frames[j], const uint8_t*);
        if (at[12] == 0x88 && at[13] == 0xb5)
          found.push_back(frames[j]);
        else
          rte_pktmbuf_free(frames[j]);
      }
      if (received == 0) usleep(1'000);
    }
    return found;
  }

  std::unique_ptr<PacketPool> pool_;
  std::unique_ptr<AfXdpPort> left_, right_;
};

TEST_F(AfXdpPortTest, CarriesFramesBothWays) {
  in_namespace([&] {
    EXPECT_TRUE(left_->is_up());
    EXPECT_EQ(left_->mtu_bytes(), 1500);
    EXPECT_NE(left_->link_address(), right_->link_address());
    for (auto [from, to] :
         {std::pair{left_.get(), right_.get()}, std::pair{right_.get(), left_.get()}}) {
      rte_mbuf* frames[3] = {frame(60, 1), frame(1514, 2), frame(61, 3)};
      rte_pktmbuf_chain(frames[2], frame(1000, 4));
      EXPECT_EQ(from->transmit(frames, 3), 3u);
      const auto got = receive(*to, 3);
      ASSERT_EQ(got.size(), 3u);
      const uint32_t lengths[] = {60, 1514, 1061};
      for (uint32_t i = 0; i < 3; i++) {
        EXPECT_EQ(got[i]->pkt_len, lengths[i]);
        EXPECT_EQ(rte_pktmbuf_mtod(got[i], const uint8_t*)[0], i + 1);
        rte_mbuf_sanity_check(got[i], 1);
        rte_pktmbuf_free(got[i]);
      }
    }
  });
}

TEST_F(AfXdpPortTest, GoesOnWhenAllBuffersWereHeld) {
  in_namespace([&] {
    // More than it has buffers, in all; and for a while nobody gives one back.
    std::vector<rte_mbuf*> held;
    uint32_t arrived = 0;
    for (int round = 0; round < 200; round++) {
      rte_mbuf* frames[64];
      for (rte_mbuf*& each : frames) each = frame(100, 0);
      uint32_t sent = 0;
      for (int i = 0; i < 100 && sent < 64; i++) sent += left_->transmit(frames + sent, 64 - sent);
      for (uint32_t i = sent; i < 64; i++) rte_pktmbuf_free(frames[i]);
      for (rte_mbuf* each : receive(*right_, sent, 20)) held.push_back(each);
      if (round == 140) {
        arrived += static_cast<uint32_t>(held.size());
        for (rte_mbuf* each : held) rte_pktmbuf_free(each);
        held.clear();
      }
    }
    // What came while there was no buffer is lost; afterwards all arrive again.
    EXPECT_GT(arrived, 6000u);
    EXPECT_GT(held.size(), 3000u);
    for (rte_mbuf* each : held) rte_pktmbuf_free(each);
  });
}

TEST_F(AfXdpPortTest, SaysWhatIsWrong) {
  in_namespace([&] {
    std::string error;
    EXPECT_EQ(open_one("nosuch", error), nullptr);
    EXPECT_EQ(
        error,
        "cannot open the interface nosuch by AF_XDP: No such device (ip link shows those that "
        "exist here)");
    EXPECT_EQ(open_one("left", error), nullptr);
    EXPECT_NE(error.find("its queue 0 cannot be had: Device or resource busy"), std::string::npos)
        << error;
  });
}

TEST_F(AfXdpPortTest, TakesAsManyQueuesAsThereAre) {
  in_namespace([&] {
    ASSERT_EQ(std::system("ip link add many numrxqueues 3 numtxqueues 3 type veth "
                          "peer name other numrxqueues 3 numtxqueues 3 && "
                          "ip link set many up && ip link set other up"),
              0);
    std::string error;
    const auto two = AfXdpPort::open({.interface = "many"}, 2, error);
    EXPECT_EQ(two.size(), 2u) << error;
    auto all = AfXdpPort::open({.interface = "other"}, 8, error);
    ASSERT_EQ(all.size(), 3u) << error;
    EXPECT_EQ(all[0]->link_address(), all[2]->link_address());
    // Each queue sends, and whatever queue it comes by, the other side has it.
    for (auto& port : all) {
      rte_mbuf* one = frame(60, 9);
      EXPECT_EQ(port->transmit(&one, 1), 1u);
    }
    size_t arrived = 0;
    for (int i = 0; i < 2000 && arrived < 2; i++)
      for (auto& port : two)
        for (rte_mbuf* got : receive(*port, 1, 1)) {
          rte_pktmbuf_free(got);
          arrived++;
        }
    // Frames of the third queue are the kernel's.
    EXPECT_EQ(arrived, 2u);
    // The program stays as long as one queue does.
    all.erase(all.begin());
    EXPECT_EQ(std::system("ip link show other | grep -q prog/xdp"), 0);
    all.clear();
    EXPECT_NE(std::system("ip link show other | grep -q prog/xdp"), 0);
  });
}

}  // namespace
}  // namespace weir::port
