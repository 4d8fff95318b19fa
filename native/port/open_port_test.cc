#include "port/open_port.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/packet_pool.h"

namespace weir::port {
namespace {

class OpenPortTest : public ::testing::Test {
 protected:
  OpenPortTest() {
    std::string error;
    pool_ = PacketPool::create({.name = "test_open", .count = 16383}, error);
    EXPECT_NE(pool_, nullptr) << error;
    char folder[] = "/tmp/weir-port-XXXXXX";
    folder_ = mkdtemp(folder);
  }
  ~OpenPortTest() override {
    std::filesystem::remove_all(folder_);
    EXPECT_EQ(pool_->free_count(), 16383u);
  }
  std::string socket_path() const { return folder_ + "/memif.sock"; }
  std::vector<std::unique_ptr<Port>> open(const PortConfig& config) {
    const QueueResources queue{pool_->get(), &counters_};
    return open_port(config, {&queue, 1}, error_);
  }
  std::vector<std::unique_ptr<Port>> open_memif(bool connects) {
    return open({.driver = Driver::memif, .device = socket_path(), .connects = connects});
  }
  static bool wait_for_link(Port& a, Port& b) {
    for (int i = 0; i < 500 && !(a.is_up() && b.is_up()); i++) usleep(10'000);
    // The side that connects gives the other one its buffers when it looks for frames.
    rte_mbuf* none[1];
    return a.is_up() && b.is_up() && a.receive(none, 1) == 0 && b.receive(none, 1) == 0;
  }
  rte_mbuf* frame(uint16_t bytes, uint8_t first) {
    rte_mbuf* made = rte_pktmbuf_alloc(pool_->get());
    auto* at = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(made, bytes));
    for (uint32_t i = 0; i < bytes; i++) at[i] = static_cast<uint8_t>(first + i);
    return made;
  }
  /// What arrives, one frame after the other.
  std::vector<std::vector<uint8_t>> receive(Port& port, size_t count) {
    std::vector<std::vector<uint8_t>> all;
    for (int i = 0; i < 500 && all.size() < count; i++) {
      rte_mbuf* frames[32];
      const uint32_t received = port.receive(frames, 32);
      for (uint32_t j = 0; j < received; j++) {
        const auto* at = rte_pktmbuf_mtod(frames[j], const uint8_t*);
        all.emplace_back(at, at + frames[j]->data_len);
        rte_pktmbuf_free(frames[j]);
      }
      if (received == 0) usleep(1'000);
    }
    return all;
  }

  std::unique_ptr<PacketPool> pool_;
  uint64_t values_[kCounterCount] = {};
  Counters counters_{values_};
  std::string folder_;
  std::string error_;
};

TEST_F(OpenPortTest, MemifCarriesFramesBothWays) {
  auto server = open_memif(false);
  ASSERT_EQ(server.size(), 1u) << error_;
  EXPECT_FALSE(server[0]->is_up());
  auto client = open_memif(true);
  ASSERT_EQ(client.size(), 1u) << error_;
  ASSERT_TRUE(wait_for_link(*server[0], *client[0]));
  for (auto [from, to] :
       {std::pair{server[0].get(), client[0].get()}, std::pair{client[0].get(), server[0].get()}}) {
    rte_mbuf* frames[3] = {frame(60, 1), frame(1514, 2), frame(61, 3)};
    EXPECT_EQ(from->transmit(frames, 3), 3u);
    const auto got = receive(*to, 3);
    ASSERT_EQ(got.size(), 3u);
    for (uint8_t i = 0; i < 3; i++) {
      EXPECT_EQ(got[i].size(), (std::array{60u, 1514u, 61u})[i]);
      EXPECT_EQ(got[i][5], i + 1 + 5);
      EXPECT_EQ(got[i].back(), static_cast<uint8_t>(i + got[i].size()));
    }
  }
  EXPECT_EQ(server[0]->wait_descriptor(), -1);
  EXPECT_EQ(server[0]->mtu_bytes(), 1500);
  EXPECT_FALSE(server[0]->completes_checksums());
}

TEST_F(OpenPortTest, MemifTakesPacketsOfSeveralBuffers) {
  auto server = open_memif(false), client = open_memif(true);
  ASSERT_TRUE(wait_for_link(*server[0], *client[0]));
  rte_mbuf* head = frame(54, 1);
  rte_pktmbuf_chain(head, frame(1000, 7));
  EXPECT_EQ(server[0]->transmit(&head, 1), 1u);
  const auto got = receive(*client[0], 1);
  ASSERT_EQ(got.size(), 1u);
  ASSERT_EQ(got[0].size(), 1054u);
  EXPECT_EQ(got[0][54], 7);
}

TEST_F(OpenPortTest, AnotherClientComesAfterTheFirst) {
  auto server = open_memif(false);
  for (int round = 0; round < 3; round++) {
    auto client = open_memif(true);
    ASSERT_TRUE(wait_for_link(*server[0], *client[0])) << round;
    rte_mbuf* one = frame(60, 9);
    EXPECT_EQ(client[0]->transmit(&one, 1), 1u);
    EXPECT_EQ(receive(*server[0], 1).size(), 1u);
    client.clear();
    for (int i = 0; i < 500 && server[0]->is_up(); i++) usleep(10'000);
    EXPECT_FALSE(server[0]->is_up());
    // Without a peer nothing is taken.
    one = frame(60, 9);
    EXPECT_EQ(server[0]->transmit(&one, 1), 0u);
    rte_pktmbuf_free(one);
  }
}

TEST_F(OpenPortTest, ASocketThatSomebodyServesIsNotTaken) {
  auto server = open_memif(false);
  EXPECT_TRUE(open_memif(false).empty());
  EXPECT_EQ(error_, "cannot open a memif port: another process serves the socket " + socket_path());
}

TEST_F(OpenPortTest, ASocketThatWasLeftBehindGoes) {
  const int left = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, socket_path().c_str());
  ASSERT_EQ(bind(left, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(left);
  EXPECT_EQ(open_memif(false).size(), 1u) << error_;
}

TEST_F(OpenPortTest, AFileThatIsNoSocketStays) {
  std::ofstream(socket_path()) << "content";
  EXPECT_TRUE(open_memif(false).empty());
  EXPECT_EQ(error_, "cannot open a memif port: " + socket_path() + " exists and is no socket");
  EXPECT_TRUE(std::filesystem::exists(socket_path()));
}

TEST_F(OpenPortTest, SaysWhatIsWrongWithADevice) {
  EXPECT_TRUE(open({.driver = Driver::memif, .device = "/" + std::string(200, 'x')}).empty());
  EXPECT_NE(error_.find("at most 107 characters"), std::string::npos) << error_;
  EXPECT_TRUE(open({.driver = Driver::af_packet, .device = "weir-no-such"}).empty());
  EXPECT_NE(error_.find("cannot open the interface weir-no-such"), std::string::npos) << error_;
  EXPECT_FALSE(driver_of("tab"));
}

}  // namespace
}  // namespace weir::port
