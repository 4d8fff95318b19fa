// What one stream achieves on a path of the simulator: rates in virtual time, the same on every
// machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "net/stack.h"
#include "sim/host.h"
#include "sim/scenario.h"

namespace weir::sim {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint16_t kPort = 5001;
/// A segment of 1,448 bytes of data takes a frame of 1,514.
constexpr double kLargestShare = 1448.0 / 1514.0;

struct Path {
  double rate_mbit;
  double round_trip_ms;
  double loss = 0;
  uint64_t seed = 1;
};

/// Sends without end, or takes what comes.
class Bulk final : public net::FlowEvents, public Handler {
 public:
  explicit Bulk(Host& host) : host_(host) {}

  bool on_knock(uint32_t, const net::Endpoint&) override { return true; }
  bool on_opened(net::Connection& connection, uint32_t, bool outbound) override {
    if (outbound) connection_ = &connection;
    return true;
  }
  bool on_data(net::Connection& connection, const net::Payload& payload) override {
    received_bytes_ += payload.length_bytes;
    host_.stack().consume(connection, payload.length_bytes);
    return true;
  }
  void on_end(net::Connection&) override {}
  void on_acknowledged(net::Connection&, uint32_t) override {}
  void on_closed(net::Connection&, net::CloseReason) override { connection_ = nullptr; }
  bool on_datagram(uint32_t, const net::Endpoint&, const net::Endpoint&,
                   const net::Payload&) override {
    return false;
  }
  void run(uint64_t) override {
    while (connection_ != nullptr &&
           host_.stack().send_copy(*connection_, piece_) == net::SendResult::ok)
      continue;
  }
  uint64_t next_ns() const override { return UINT64_MAX; }

  const net::Connection* connection() const { return connection_; }
  uint64_t received_bytes() const { return received_bytes_; }

 private:
  Host& host_;
  net::Connection* connection_ = nullptr;
  std::vector<uint8_t> piece_ = std::vector<uint8_t>(65'536, 'x');
  uint64_t received_bytes_ = 0;
};

class GoodputTest : public ::testing::Test, public Watcher {
 protected:
  void on_transmit(Host& host, const Frame& frame) override {
    links_[host.index()]->send(frame, now_ns_);
  }
  void on_input(Host&, const Link::Arrival&) override {}
  void on_discard(Host&, const Link::Arrival&) override {}
  void after_input(Host&, uint32_t, uint32_t) override {}
  void before_flush(Host&) override {}
  void after_flush(Host&) override {}
  void fail(std::string what) override { ADD_FAILURE() << what; }

  /// Mbit/s of a stream from its beginning on.
  double goodput_mbit(const Path& path, uint64_t seconds) {
    now_ns_ = 0;
    // One bandwidth-delay product, and at least twenty frames.
    const auto queue_bytes = std::max<uint32_t>(
        static_cast<uint32_t>(path.rate_mbit * path.round_trip_ms * 125), 20 * 1514);
    for (uint32_t i = 0; i < 2; i++) {
      LinkConfig link;
      link.rate_bits_per_second = static_cast<uint64_t>(path.rate_mbit * 1e6);
      link.delay_ns = static_cast<uint64_t>(path.round_trip_ms * 1e6 / 2);
      link.loss = path.loss;
      link.queue_packets = UINT32_MAX;
      link.queue_bytes = queue_bytes;
      links_[i] = std::make_unique<Link>(link, path.seed * 2 + i);
      HostConfig config;
      config.stack.link_address = link_address_of(i);
      config.stack.addresses = {{host_address(i, false), 24}};
      config.stack_seed = path.seed * 2 + i;
      // The network is to be the limit, not the peer's window.
      if (i == 1) config.stack.receive_buffer_bytes = 16 * 1024 * 1024;
      config.stack.send_buffer_bytes = 64 * 1024 * 1024;
      config.clock_offset_us = 1'000'000'000;
      hosts_[i] = std::make_unique<Host>(i, config, *pools_[i], *this, Random(path.seed));
      handlers_[i] = std::make_unique<Bulk>(*hosts_[i]);
      hosts_[i]->set_handler(*handlers_[i]);
    }
    hosts_[1]->stack().tcp_listen(kPort, *handlers_[1], 0);
    hosts_[0]->stack().tcp_connect({host_address(1, false), kPort}, *handlers_[0], 0);
    hosts_[0]->cycle(0);
    run_until(seconds * kSecondNs);
    const double bits = static_cast<double>(handlers_[1]->received_bytes()) * 8;
    for (auto& host : hosts_) host.reset();
    return bits / 1e6 / static_cast<double>(seconds);
  }

 private:
  static std::unique_ptr<HostPools> make_pools(const char* name) {
    std::string error;
    auto pools = HostPools::create(name, error);
    if (pools == nullptr) {
      ADD_FAILURE() << error;
      std::abort();
    }
    return pools;
  }

  void run_until(uint64_t until_ns) {
    for (;;) {
      uint64_t next_ns = UINT64_MAX;
      for (uint32_t i = 0; i < 2; i++)
        next_ns = std::min({next_ns, links_[i]->next_ns(), hosts_[i]->next_ns()});
      if (next_ns > until_ns) return;
      now_ns_ = std::max(now_ns_, next_ns);
      for (uint32_t i = 0; i < 2; i++) {
        Link::Arrival arrival;
        while (links_[i]->receive(now_ns_, arrival)) hosts_[1 - i]->arrive(std::move(arrival));
      }
      for (auto& host : hosts_)
        if (host->next_ns() <= now_ns_) host->cycle(now_ns_);
    }
  }

  uint64_t now_ns_ = 0;
  std::array<std::unique_ptr<HostPools>, 2> pools_{make_pools("goodput_a"),
                                                   make_pools("goodput_b")};
  std::array<std::unique_ptr<Link>, 2> links_;
  std::array<std::unique_ptr<Host>, 2> hosts_;
  std::array<std::unique_ptr<Bulk>, 2> handlers_;
};

TEST_F(GoodputTest, a_clean_path_is_filled) {
  for (const double rate_mbit : {10.0, 100.0})
    for (const double round_trip_ms : {1.0, 20.0, 100.0}) {
      const double goodput = goodput_mbit({rate_mbit, round_trip_ms}, 10);
      // A long path costs a slow start, and what is lost at its end.
      EXPECT_GT(goodput, (round_trip_ms < 100 ? 0.97 : 0.87) * kLargestShare * rate_mbit)
          << round_trip_ms << " ms, " << rate_mbit << " Mbit/s";
    }
}

// What Reno gets where one frame in so many is lost: MSS / RTT * sqrt(3 / 2 / loss). CUBIC does not
// get less (RFC 9438 section 4.3).
TEST_F(GoodputTest, a_lossy_path_gives_what_reno_would_get) {
  for (const double loss : {0.001, 0.01, 0.03})
    for (const double rate_mbit : {10.0, 100.0})
      for (const double round_trip_ms : {20.0, 100.0}) {
        double sum_mbit = 0;
        constexpr uint64_t kSeeds = 5;
        for (uint64_t seed = 1; seed <= kSeeds; seed++)
          sum_mbit += goodput_mbit({rate_mbit, round_trip_ms, loss, seed}, 10);
        const double reno_mbit = 1448 * 8 / (round_trip_ms * 1e3) * std::sqrt(1.5 / loss);
        EXPECT_GT(sum_mbit / kSeeds, 0.85 * std::min(reno_mbit, 0.9 * rate_mbit))
            << round_trip_ms << " ms, " << rate_mbit << " Mbit/s, loss " << loss;
      }
}

}  // namespace
}  // namespace weir::sim
