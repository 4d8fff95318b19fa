#include "testbed/testbed.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "sandbox/testing/guest.h"

namespace weir::testbed {
namespace {

using sandbox::testing::engine;

constexpr uint64_t kSecondUs = 1'000'000;
constexpr uint64_t kWallUs = 1'700'000'000 * kSecondUs;
const net::Address kHost = net::Address::v4(0x0a2c0002);
const net::Address kHostV6 = net::Address::v6(0xfd44, 0, 0, 0, 0, 0, 0, 2);
const net::Address kClientV6 = net::Address::v6(0xfd44, 0, 0, 0, 0, 0, 0, 1);
const net::Address kClient = net::Address::v4(0x0a2c0001);

/// Guest functions that write one command each; $n counts them.
constexpr const char* kCommands = R"(
  (global $n (mut i32) (i32.const 0))
  (func $command (param $kind i32) (param $handle i64) (result i32) (local $at i32)
    (local.set $at (i32.add (i32.const 0x1200000) (i32.mul (global.get $n) (i32.const 32))))
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (i64.store (local.get $at) (i64.const 0)) (i64.store offset=8 (local.get $at) (local.get $handle))
    (i64.store offset=16 (local.get $at) (i64.const 0)) (i64.store offset=24 (local.get $at) (i64.const 0))
    (i32.store8 (local.get $at) (local.get $kind))
    (local.get $at))
  (func $forward (param $e i32) (local $at i32)
    (local.set $at (call $command (i32.const 6) (i64.load offset=8 (local.get $e))))
    (i64.store offset=16 (local.get $at) (i64.load offset=16 (local.get $e)))
    (i64.store offset=24 (local.get $at) (i64.load offset=8 (local.get $e)))))";

/// A TCP echo: forwards what it receives and closes when the peer does. Every event is 32 bytes.
std::string echo_guest() {
  return sandbox::testing::guest_text(
      R"((local $e i32) (local $left i32)
      (global.set $n (i32.const 0)) (local.set $left (local.get $events)) (local.set $e (i32.const 0x210000))
      (block $out (loop $next (br_if $out (i32.eqz (local.get $left)))
        (if (i32.eq (i32.load8_u (local.get $e)) (i32.const 3)) (then (call $forward (local.get $e))))
        (if (i32.eq (i32.load8_u (local.get $e)) (i32.const 4))
          (then (drop (call $command (i32.const 8) (i64.load offset=8 (local.get $e))))))
        (local.set $e (i32.add (local.get $e) (i32.const 32)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1))) (br $next)))
      (i64.or (i64.extend_i32_u (local.get $events)) (i64.shl (i64.extend_i32_u (global.get $n)) (i64.const 32))))",
      kCommands);
}

std::vector<uint8_t> compiled_echo() {
  const auto wasm = sandbox::testing::assemble(echo_guest());
  weir_admit_limits limits{};
  limits.memory_pages = sandbox::testing::kGuestPages;
  weir_admission* admission = nullptr;
  EXPECT_EQ(weir_admit(wasm.data(), wasm.size(), &limits, &admission), WEIR_ADMITTED);
  std::unique_ptr<weir_admission, decltype(&weir_admission_delete)> owned(admission,
                                                                          weir_admission_delete);
  size_t bytes = 0;
  const uint8_t* module = weir_admission_module(admission, &bytes);
  std::string error;
  auto compiled = engine().compile({module, bytes}, error);
  EXPECT_EQ(error, "");
  return compiled;
}

class TestbedTest : public ::testing::Test {
 protected:
  void start(uint64_t seed = 1, const std::string& capture = "") {
    std::string error;
    bed_ = Testbed::create({.seed = seed,
                            .addresses = {kHost, kHostV6},
                            .wall_start_us = kWallUs,
                            .capture_path = capture},
                           engine(), error);
    ASSERT_NE(bed_, nullptr) << error;
    sandbox::AppConfig app;
    app.id = 1;
    app.name = "echo";
    app.listens = {{.name = "main", .kind = "tcp", .protocol = sandbox::Protocol::tcp, .port = 7}};
    // Compiling the tests' modules may keep the processor for longer than a call may take.
    app.call_limit_us = 100'000;
    static const auto compiled = compiled_echo();
    ASSERT_TRUE(bed_->deploy(app, compiled, error)) << error;
  }
  void TearDown() override {
    if (bed_ != nullptr) {
      EXPECT_EQ(bed_->shut_down(), 0u) << "packet buffers are left over";
    }
  }
  void set_link(const sim::LinkConfig& config) {
    bed_->configure(Direction::to_host, config);
    bed_->configure(Direction::from_host, config);
  }
  void connect(uint32_t id, uint16_t port = 7) {
    std::string error;
    ASSERT_TRUE(bed_->connect(id, kClient, port, error)) << error;
  }
  void write(uint32_t id, const std::string& text) {
    ASSERT_EQ(bed_->write(id, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}),
              text.size());
  }
  /// What comes until `bytes` are there or the virtual time is up.
  std::string read(uint32_t id, size_t bytes, uint64_t until_us) {
    std::string text;
    while (text.size() < bytes && bed_->run(until_us) != Stop::reached) {
      const auto taken = bed_->take(id);
      bed_->consume(id, static_cast<uint32_t>(taken.size()));
      text.append(taken.begin(), taken.end());
    }
    return text;
  }
  void run_to(uint64_t until_us) {
    while (bed_->run(until_us) != Stop::reached) {
    }
  }

  std::unique_ptr<Testbed> bed_;
};

TEST_F(TestbedTest, AHandlerAnswers) {
  start();
  connect(1);
  write(1, "hello");
  EXPECT_EQ(read(1, 5, 10 * kSecondUs), "hello");
  bed_->end(1);
  run_to(bed_->now_us() + kSecondUs);
  EXPECT_TRUE(bed_->connection(1)->ended);
  EXPECT_EQ(bed_->connection(1)->closed, net::CloseReason::finished);
}

TEST_F(TestbedTest, TimePassesOnlyWhenItIsToldTo) {
  start();
  set_link({.delay_ns = 50'000'000});
  const uint64_t before = bed_->now_us();
  connect(1);
  EXPECT_EQ(bed_->now_us(), before);
  EXPECT_EQ(bed_->run(before + 10'000), Stop::reached);
  EXPECT_EQ(bed_->now_us(), before + 10'000);
  EXPECT_FALSE(bed_->connection(1)->opened);
  // One round trip, and a few cycles.
  EXPECT_EQ(bed_->run(before + kSecondUs), Stop::stirred);
  EXPECT_TRUE(bed_->connection(1)->opened);
  EXPECT_GE(bed_->now_us(), before + 100'000);
  EXPECT_LE(bed_->now_us(), before + 100'100);
}

TEST_F(TestbedTest, LossIsRepaired) {
  start();
  set_link({.delay_ns = 5'000'000, .loss = 0.2});
  connect(1);
  const std::string text(200'000, 'x');
  write(1, text);
  EXPECT_EQ(read(1, text.size(), 600 * kSecondUs), text);
  EXPECT_GT(bed_->link(Direction::to_host).counts().fates[static_cast<int>(sim::Fate::lost)], 10u);
}

TEST_F(TestbedTest, TheSameSeedMakesTheSameFrames) {
  const auto capture_of = [&](uint64_t seed) {
    const std::string path =
        std::filesystem::temp_directory_path() / ("weir-testbed-" + std::to_string(getpid()));
    start(seed, path);
    set_link({.delay_ns = 3'000'000, .loss = 0.1, .reordering = 0.1, .reordering_ns = 4'000'000});
    connect(1);
    write(1, std::string(100'000, 'y'));
    EXPECT_EQ(read(1, 100'000, 600 * kSecondUs).size(), 100'000u);
    EXPECT_EQ(bed_->shut_down(), 0u);
    bed_.reset();
    std::ifstream file(path, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::filesystem::remove(path);
    return bytes;
  };
  const std::string first = capture_of(7);
  EXPECT_GT(first.size(), 100'000u);
  EXPECT_TRUE(first == capture_of(7));
  EXPECT_FALSE(first == capture_of(8));
}

TEST_F(TestbedTest, APartitionEndsAConnectionAfterItsTime) {
  start();
  connect(1);
  ASSERT_EQ(bed_->run(10 * kSecondUs), Stop::stirred);
  set_link({.partitioned = true});
  write(1, "lost");
  EXPECT_EQ(read(1, 4, 20'000 * kSecondUs), "");
  EXPECT_EQ(bed_->connection(1)->closed, net::CloseReason::timed_out);
}

TEST_F(TestbedTest, APortThatNobodyListensAtRefuses) {
  start();
  connect(1, 8);
  EXPECT_EQ(bed_->run(10 * kSecondUs), Stop::stirred);
  EXPECT_EQ(bed_->connection(1)->closed, net::CloseReason::refused);
}

TEST_F(TestbedTest, WhatIsNotConsumedClosesTheWindow) {
  start();
  connect(1);
  uint64_t written = 0;
  const std::string piece(64 * 1024, 'z');
  for (int i = 0; i < 16; i++) {
    written += bed_->write(1, {reinterpret_cast<const uint8_t*>(piece.data()), piece.size()});
    run_to(bed_->now_us() + kSecondUs);
  }
  // The handler gets its sends acknowledged only as far as the window reaches, and slows us down.
  const size_t received = bed_->connection(1)->received.size();
  EXPECT_LE(received, 256u * 1024);
  EXPECT_LT(bed_->connection(1)->acknowledged_bytes, written);
  bed_->consume(1, static_cast<uint32_t>(bed_->take(1).size()));
  EXPECT_EQ(received + read(1, written - received, bed_->now_us() + 600 * kSecondUs).size(),
            written);
}

TEST_F(TestbedTest, AddressesAreTheTestsChoiceAndBounded) {
  start();
  std::string error;
  EXPECT_FALSE(bed_->connect(1, kHost, 7, error));
  EXPECT_EQ(error, "this is the address of the host itself");
  for (uint32_t i = 0; i < Testbed::kMaxPeers; i++)
    EXPECT_TRUE(bed_->connect(10 + i, net::Address::v4(0xc0000201 + i), 7, error)) << error;
  EXPECT_FALSE(bed_->connect(5, net::Address::v4(0xc0000301), 7, error));
  EXPECT_EQ(error, "a test can play 64 addresses");
  EXPECT_TRUE(bed_->listen(6, net::Address::v4(0xc0000201), 80, error)) << error;
  EXPECT_FALSE(bed_->listen(7, net::Address::v4(0xc0000201), 80, error));
  EXPECT_EQ(error, "the test listens at 192.0.2.1:80 already");
  EXPECT_TRUE(bed_->bind(8, net::Address::v4(0xc0000201), 53, error)) << error;
  EXPECT_FALSE(bed_->bind(9, net::Address::v4(0xc0000201), 53, error));
  EXPECT_EQ(error, "the test has a UDP socket at 192.0.2.1:53 already");
  run_to(bed_->now_us() + kSecondUs);
  for (uint32_t i = 0; i < Testbed::kMaxPeers; i++) EXPECT_TRUE(bed_->connection(10 + i)->opened);
}

TEST_F(TestbedTest, APartitionedPeerIsNotUnreachable) {
  start();
  set_link({.partitioned = true});
  connect(1);
  // Its packets are lost and not sent nowhere: the stations know one another.
  EXPECT_EQ(bed_->run(bed_->now_us() + 20 * kSecondUs), Stop::reached);
  EXPECT_FALSE(bed_->connection(1)->closed);
}

TEST_F(TestbedTest, PeersSpeakIpv6Too) {
  start();
  std::string error;
  ASSERT_TRUE(bed_->connect(1, kClientV6, 7, error)) << error;
  EXPECT_EQ(bed_->run(10 * kSecondUs), Stop::stirred);
  write(1, "hello");
  EXPECT_EQ(read(1, 5, 10 * kSecondUs), "hello");
  EXPECT_FALSE(bed_->connect(2, kHostV6, 7, error));
}

TEST_F(TestbedTest, TheTimeOfDayIsVirtual) {
  start();
  run_to(bed_->now_us() + 3600 * kSecondUs);
  const auto events = bed_->drain_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, sandbox::AppEventKind::started);
  EXPECT_EQ(events[0].time_us, kWallUs);
}

TEST_F(TestbedTest, OneAfterAnotherAndSideBySide) {
  start();
  auto first = std::move(bed_);
  start();
  connect(1);
  write(1, "side");
  EXPECT_EQ(read(1, 4, 10 * kSecondUs), "side");
  EXPECT_EQ(first->now_us(), Testbed::kStartUs);
  EXPECT_EQ(first->shut_down(), 0u);
}

}  // namespace
}  // namespace weir::testbed
