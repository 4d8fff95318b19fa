#include "port/tap_port.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <thread>

#include "base/eal.h"
#include "base/packet_pool.h"
#include "port/interface_setup.h"

namespace weir::port {
namespace {

using Bytes = std::vector<uint8_t>;

/// An EtherType for local experiments (IEEE 802): the kernel sends nothing of the kind by itself.
constexpr uint16_t kExperimental = 0x88b5;

/// The kernel's side of a TAP interface: whole frames in and out.
class KernelSide {
 public:
  /// `with_offloads`: received frames have their virtio_net_header before them.
  explicit KernelSide(const std::string& name, uint16_t type = kExperimental,
                      bool with_offloads = false) {
    descriptor_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(type));
    const int value = with_offloads;
    EXPECT_EQ(setsockopt(descriptor_, SOL_PACKET, PACKET_VNET_HDR, &value, sizeof value), 0);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(type);
    address.sll_ifindex = static_cast<int>(if_nametoindex(name.c_str()));
    EXPECT_EQ(bind(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~KernelSide() { close(descriptor_); }
  void send(const Bytes& frame) {
    EXPECT_EQ(write(descriptor_, frame.data(), frame.size()), static_cast<ssize_t>(frame.size()))
        << std::strerror(errno);
  }
  Bytes receive() {
    pollfd wait{descriptor_, POLLIN, 0};
    if (poll(&wait, 1, 2'000) != 1) return {};
    Bytes frame(70'000);
    const ssize_t length = read(descriptor_, frame.data(), frame.size());
    frame.resize(length < 0 ? 0 : static_cast<size_t>(length));
    return frame;
  }

 private:
  int descriptor_;
};

/// Runs each test in a network namespace of its own, in a thread of its own: only that thread
/// changes its namespace.
class TapPortTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kBuffers = 127;

  void in_namespace(const std::function<void()>& test) {
    bool allowed = true;
    std::thread([&] {
      if (unshare(CLONE_NEWNET) != 0 || access("/dev/net/tun", R_OK | W_OK) != 0) {
        allowed = false;
        return;
      }
      const EalThread registered;
      std::string error;
      pool_ = PacketPool::create({.name = "test_tap", .count = kBuffers}, error);
      ASSERT_NE(pool_, nullptr) << error;
      test();
      EXPECT_EQ(pool_->free_count(), kBuffers);
      pool_.reset();
    }).join();
    if (!allowed) GTEST_SKIP() << "needs the right to make a network namespace, and /dev/net/tun";
  }
  std::unique_ptr<TapPort> open(const TapConfig& config = {}) {
    std::string error;
    auto port = TapPort::open(config, pool_->get(), counters_, error);
    EXPECT_NE(port, nullptr) << error;
    if (port == nullptr) return nullptr;
    EXPECT_EQ(set_up_interface(port->name(), {.mtu_bytes = config.mtu_bytes, .address = {}}), "");
    return port;
  }
  std::string open_error(const TapConfig& config) {
    std::string error;
    EXPECT_EQ(TapPort::open(config, pool_->get(), counters_, error), nullptr);
    return error;
  }
  static Bytes frame_bytes(size_t payload_bytes) {
    Bytes bytes = {
        0x02, 0, 0, 0, 0, 9, 0x02, 0, 0, 0, 0, 8, kExperimental >> 8, kExperimental & 255};
    for (size_t i = 0; i < payload_bytes; i++) bytes.push_back(static_cast<uint8_t>(i * 13 + 5));
    return bytes;
  }
  static Bytes bytes_of(const rte_mbuf* frame) {
    Bytes bytes;
    for (; frame != nullptr; frame = frame->next) {
      const auto* start = rte_pktmbuf_mtod(frame, const uint8_t*);
      bytes.insert(bytes.end(), start, start + frame->data_len);
    }
    return bytes;
  }
  /// The next frame of the experimental type; what the kernel says on its own (IPv6) is passed
  /// over.
  rte_mbuf* receive_one(TapPort& port) {
    for (int tries = 0; tries < 200; tries++) {
      rte_mbuf* frame = nullptr;
      if (port.receive(&frame, 1) == 0) {
        pollfd wait{port.wait_descriptor(), POLLIN, 0};
        poll(&wait, 1, 100);
        continue;
      }
      const auto* bytes = rte_pktmbuf_mtod(frame, const uint8_t*);
      if (bytes[12] == kExperimental >> 8 && bytes[13] == (kExperimental & 255)) return frame;
      rte_pktmbuf_free(frame);
    }
    return nullptr;
  }
  rte_mbuf* frame_of(const Bytes& bytes, size_t segment_bytes) {
    rte_mbuf* head = nullptr;
    for (size_t at = 0; at < bytes.size() || head == nullptr; at += segment_bytes) {
      rte_mbuf* segment = rte_pktmbuf_alloc(pool_->get());
      const size_t length = std::min(segment_bytes, bytes.size() - at);
      std::memcpy(rte_pktmbuf_append(segment, length), bytes.data() + at, length);
      if (head == nullptr)
        head = segment;
      else
        rte_pktmbuf_chain(head, segment);
    }
    return head;
  }
  uint64_t count(Counter counter) const { return counters_[counter]; }

  std::unique_ptr<PacketPool> pool_;
  std::array<uint64_t, kCounterCount> values_{};
  Counters counters_{values_.data()};
};

TEST_F(TapPortTest, CarriesFramesBothWays) {
  in_namespace([&] {
    auto port = open();
    ASSERT_NE(port, nullptr);
    KernelSide kernel(port->name());
    for (const size_t length : {0, 1, 46, 777, 1500}) {
      kernel.send(frame_bytes(length));
      rte_mbuf* frame = receive_one(*port);
      ASSERT_NE(frame, nullptr);
      EXPECT_EQ(bytes_of(frame), frame_bytes(length));
      EXPECT_EQ(frame->nb_segs, 1);
      EXPECT_EQ(frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, 0u);
      EXPECT_EQ(port->transmit(&frame, 1), 1u);
      EXPECT_EQ(kernel.receive(), frame_bytes(length));
    }
  });
}

TEST_F(TapPortTest, SpreadsLongFramesOverAChain) {
  in_namespace([&] {
    auto port = open({.mtu_bytes = 9000});
    ASSERT_NE(port, nullptr);
    KernelSide kernel(port->name());
    for (const size_t length : {100, 2034, 2035, 5000, 9000}) {
      kernel.send(frame_bytes(length));
      rte_mbuf* frame = receive_one(*port);
      ASSERT_NE(frame, nullptr);
      EXPECT_EQ(bytes_of(frame), frame_bytes(length));
      EXPECT_EQ(frame->nb_segs, (length + 14 + 2047) / 2048);
      rte_mbuf_sanity_check(frame, 1);
      EXPECT_EQ(port->transmit(&frame, 1), 1u);
      EXPECT_EQ(kernel.receive(), frame_bytes(length));
    }
  });
}

TEST_F(TapPortTest, WritesAChainOfManySegmentsAndRefusesTooMany) {
  in_namespace([&] {
    auto port = open();
    ASSERT_NE(port, nullptr);
    KernelSide kernel(port->name());
    rte_mbuf* frame = frame_of(frame_bytes(50), 1);  // 64 segments
    EXPECT_EQ(port->transmit(&frame, 1), 1u);
    EXPECT_EQ(kernel.receive(), frame_bytes(50));
    frame = frame_of(frame_bytes(51), 1);
    EXPECT_EQ(port->transmit(&frame, 1), 1u);
    EXPECT_EQ(count(Counter::drop_tx_error), 1u);
  });
}

// RFC 3168 section 6.1.2: CWR is set in the first segment after the window was reduced, and the
// kernel has to be told of it to cut the packet so.
TEST_F(TapPortTest, ALongPacketWithCwrSaysSo) {
  in_namespace([&] {
    auto port = open({.offload = true});
    ASSERT_NE(port, nullptr);
    constexpr uint16_t kIpv4 = 0x0800;
    KernelSide kernel(port->name(), kIpv4, true);
    for (const uint8_t flags : {0x10, 0x90}) {
      Bytes bytes(14 + 20 + 20 + 3000);
      const Bytes headers = {0x02, 0,    0, 0,    0,    9, 0x02, 0,    0, 0,  0, 8, kIpv4 >> 8,
                             0,    0x45, 0, 0x0b, 0xe0, 0, 0,    0x40, 0, 64, 6, 0, 0};
      std::copy(headers.begin(), headers.end(), bytes.begin());
      bytes[14 + 20 + 12] = 0x50;
      bytes[14 + 20 + 13] = flags;
      rte_mbuf* frame = frame_of(bytes, 2000);
      frame->l2_len = 14;
      frame->l3_len = 20;
      frame->l4_len = 20;
      frame->tso_segsz = 1000;
      frame->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
      EXPECT_EQ(port->transmit(&frame, 1), 1u);
      const Bytes received = kernel.receive();
      // The kind of segmentation is the second byte: TCP over IPv4, and whether ECN is in play.
      ASSERT_GT(received.size(), 2u);
      EXPECT_EQ(received[1], (flags & 0x80) != 0 ? 0x81 : 0x01);
    }
    EXPECT_EQ(count(Counter::drop_tx_error), 0u);
  });
}

TEST_F(TapPortTest, CountsWhatTheDeviceRefuses) {
  in_namespace([&] {
    std::string error;
    auto port = TapPort::open({}, pool_->get(), counters_, error);
    ASSERT_NE(port, nullptr) << error;
    rte_mbuf* frames[2] = {frame_of(frame_bytes(50), 100), frame_of(frame_bytes(50), 100)};
    EXPECT_FALSE(port->is_up());
    EXPECT_EQ(port->transmit(frames, 2), 2u) << "the interface is down";
    EXPECT_EQ(count(Counter::drop_tx_error), 2u);
    ASSERT_EQ(set_up_interface(port->name(), {}), "");
    EXPECT_TRUE(port->is_up());
    rte_mbuf* stump = frame_of(Bytes(5), 100);
    EXPECT_EQ(port->transmit(&stump, 1), 1u);
    EXPECT_EQ(count(Counter::drop_tx_error), 3u);
  });
}

TEST_F(TapPortTest, DropsFramesLongerThanItsMtuAllows) {
  in_namespace([&] {
    auto port = open();
    ASSERT_NE(port, nullptr);
    // The kernel's side is set to more than the port was told.
    ASSERT_EQ(set_up_interface(port->name(), {.mtu_bytes = 9000, .address = {}}), "");
    KernelSide kernel(port->name());
    kernel.send(frame_bytes(2034));  // as long as the buffer: it could have been longer
    kernel.send(frame_bytes(9000));
    kernel.send(frame_bytes(10));
    rte_mbuf* frame = receive_one(*port);
    ASSERT_NE(frame, nullptr);
    EXPECT_EQ(bytes_of(frame), frame_bytes(10));
    EXPECT_EQ(count(Counter::drop_rx_truncated), 2u);
    rte_pktmbuf_free(frame);
  });
}

TEST_F(TapPortTest, LeavesFramesToTheKernelWhileNoBufferIsFree) {
  in_namespace([&] {
    auto port = open();
    ASSERT_NE(port, nullptr);
    KernelSide kernel(port->name());
    std::vector<rte_mbuf*> taken;
    while (rte_mbuf* buffer = rte_pktmbuf_alloc(pool_->get())) taken.push_back(buffer);
    kernel.send(frame_bytes(10));
    rte_mbuf* frame = nullptr;
    EXPECT_EQ(port->receive(&frame, 1), 0u);
    EXPECT_GE(count(Counter::drop_no_mbuf), 1u);
    for (rte_mbuf* buffer : taken) rte_pktmbuf_free(buffer);
    frame = receive_one(*port);
    ASSERT_NE(frame, nullptr);
    EXPECT_EQ(bytes_of(frame), frame_bytes(10));
    rte_pktmbuf_free(frame);
  });
}

TEST_F(TapPortTest, GivesItsSideALinkAddressOfItsOwn) {
  in_namespace([&] {
    auto port = open();
    ASSERT_NE(port, nullptr);
    EXPECT_EQ(port->link_address()[0] & 3, 2) << "locally administered, and of one station";
    auto other = open();
    EXPECT_NE(port->link_address(), other->link_address());
    EXPECT_NE(port->name(), other->name());
    const std::array<uint8_t, 6> chosen = {0x02, 1, 2, 3, 4, 5};
    auto third = open({.link_address = chosen});
    EXPECT_EQ(third->link_address(), chosen);
  });
}

TEST_F(TapPortTest, ErrorsSayWhatToDo) {
  in_namespace([&] {
    EXPECT_NE(open_error({.name = ""}).find("1 to 15 characters"), std::string::npos);
    EXPECT_NE(open_error({.name = "a_name_of_16_let"}).find("1 to 15 characters"),
              std::string::npos);
    auto port = open({.name = "tap7"});
    ASSERT_NE(port, nullptr);
    EXPECT_EQ(open_error({.name = "tap7"}),
              "cannot create or attach to TAP interface tap7: Device or resource busy (another "
              "process uses it: end that one "
              "or choose another name)");
    EXPECT_NE(open_error({.name = "lo"}).find("is no TAP"), std::string::npos);
    EXPECT_NE(open_error({.link_address = {{0x01, 0, 0, 0, 0, 1}}}).find("group address"),
              std::string::npos);
  });
}

TEST_F(TapPortTest, SetsTheKernelsSideUp) {
  in_namespace([&] {
    auto port = open({.name = "tap9"});
    ASSERT_NE(port, nullptr);
    ASSERT_EQ(set_up_interface("tap9", {.mtu_bytes = 1400, .address = "10.1.2.3/28"}), "");
    const int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    ifreq request{};
    std::strcpy(request.ifr_name, "tap9");
    ASSERT_EQ(ioctl(descriptor, SIOCGIFMTU, &request), 0);
    EXPECT_EQ(request.ifr_mtu, 1400);
    ASSERT_EQ(ioctl(descriptor, SIOCGIFFLAGS, &request), 0);
    EXPECT_TRUE(request.ifr_flags & IFF_UP);
    const auto address = [&] {
      sockaddr_in value;
      std::memcpy(&value, &request.ifr_addr, sizeof value);
      return ntohl(value.sin_addr.s_addr);
    };
    ASSERT_EQ(ioctl(descriptor, SIOCGIFADDR, &request), 0);
    EXPECT_EQ(address(), 0x0a010203u);
    ASSERT_EQ(ioctl(descriptor, SIOCGIFNETMASK, &request), 0);
    EXPECT_EQ(address(), 0xfffffff0u);
    close(descriptor);
    for (const char* wrong : {"10.1.2.3", "10.1.2.3/33", "10.1.2/24", "10.1.2.3/", "10.1.2.3/8x"})
      EXPECT_NE(set_up_interface("tap9", {.address = wrong}).find("is not an IPv4 address"),
                std::string::npos)
          << wrong;
    EXPECT_NE(set_up_interface("nothere", {}).find("ip link"), std::string::npos);
  });
}

}  // namespace
}  // namespace weir::port
