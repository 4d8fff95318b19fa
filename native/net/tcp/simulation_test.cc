// Whole connections over a bad link, on a virtual clock, from a seed. A failure prints its seed;
// WEIR_SIM_SEED=<seed> runs that one alone.
#include <cstdlib>
#include <deque>
#include <map>

#include "net/tcp/testing/link.h"

namespace weir::net::tcp {
namespace {

using namespace weir::net::tcp::testing;

constexpr uint32_t kHostA = 0x0a000001, kHostB = 0x0a000002;
constexpr uint64_t kSeeds = 300;
constexpr uint16_t kPort = 80;

/// What is sent one way on a connection, as a function of the place in the stream.
struct Stream {
  uint32_t number;
  uint8_t at(uint64_t place) const {
    return static_cast<uint8_t>(place * 31 + (place >> 8) * 17 + (place >> 16) * 5 + number * 7);
  }
  Bytes part(uint64_t from, size_t length) const {
    Bytes bytes(length);
    for (size_t i = 0; i < length; i++) bytes[i] = at(from + i);
    return bytes;
  }
};

/// What one end of a connection means to do, and how far it is.
struct End {
  Connection* connection = nullptr;
  Stream sends, receives;
  uint64_t send_bytes = 0;
  uint64_t sent_bytes = 0;
  uint64_t received_bytes = 0;
  uint64_t acknowledged_bytes = 0;
  /// Sends FIN only when the peer has.
  bool closes_last = false;
  /// Aborts when it has received so much.
  uint64_t aborts_at_bytes = UINT64_MAX;
  bool is_closing = false;
  bool ended = false;
  bool aborted = false;
  bool opened = false;
  std::optional<CloseReason> closed = {};

  bool is_over() const { return aborted || closed.has_value(); }
};

/// Both ends of one connection.
struct Pair {
  End client, server;
};

/// The handler of one host.
class App final : public FlowEvents {
 public:
  App(std::deque<Pair>& pairs, bool is_client, uint64_t seed, const uint64_t& now_us)
      : pairs_(pairs), is_client_(is_client), random_(seed), now_us_(now_us) {}

  void connect(Tcp& tcp, uint32_t number) {
    Connection* connection = tcp.connect({Address::v4(kHostB), kPort}, *this, number);
    ASSERT_NE(connection, nullptr);
    pairs_[number].client.connection = connection;
    numbers_[connection->local.port] = number;
  }
  void set_tcp(Tcp& tcp) { tcp_ = &tcp; }

  bool on_knock(uint32_t, const Endpoint&) override { return true; }
  bool on_opened(Connection& connection, uint32_t, bool outbound) override {
    EXPECT_EQ(outbound, is_client_);
    connection.wants_acknowledged = random_() % 2 == 0;
    // The server knows the connection by the client's port.
    if (!outbound) connection.user = client->numbers_.at(connection.remote.port);
    End& end = of(connection);
    EXPECT_FALSE(end.opened) << "opened twice";
    end.connection = &connection;
    end.opened = true;
    return true;
  }
  bool on_data(Connection& connection, const Payload& payload) override {
    End& end = of(connection);
    EXPECT_FALSE(end.ended);
    if (random_() % 100 == 0) return false;
    buffer_.resize(payload.length_bytes);
    const auto* bytes = static_cast<const uint8_t*>(
        rte_pktmbuf_read(payload.head, payload.offset_bytes, payload.length_bytes, buffer_.data()));
    bool right = bytes != nullptr;
    for (uint32_t i = 0; right && i < payload.length_bytes; i++)
      right = bytes[i] == end.receives.at(end.received_bytes + i);
    EXPECT_TRUE(right) << "wrong bytes from place " << end.received_bytes;
    end.received_bytes += payload.length_bytes;
    if (end.received_bytes >= end.aborts_at_bytes) {
      end.aborted = true;
      tcp_->abort(connection);
      end.connection = nullptr;
      return random_() % 2 == 0;
    }
    // Now and then it gives nothing back for a while, until windows are closed.
    if (random_() % 200 == 0) idles_until_us_ = now_us_ + random_() % (10 * kSecond);
    if (now_us_ >= idles_until_us_ && random_() % 4 == 0)
      tcp_->consume(connection, payload.length_bytes);
    else
      later_.push_back({now_us_ + random_() % (50 * kMs), &end, payload.length_bytes});
    return true;
  }
  void on_end(Connection& connection) override {
    End& end = of(connection);
    EXPECT_FALSE(end.ended);
    end.ended = true;
  }
  void on_acknowledged(Connection& connection, uint32_t bytes) override {
    End& end = of(connection);
    end.acknowledged_bytes += bytes;
    EXPECT_LE(end.acknowledged_bytes, end.sent_bytes);
  }
  void on_closed(Connection& connection, CloseReason reason) override {
    End& end = of(connection);
    end.closed = reason;
    end.connection = nullptr;
  }
  bool on_datagram(uint32_t, const Endpoint&, const Endpoint&, const Payload&) override {
    return false;
  }

  /// What a handler does between events: sends, gives received bytes back, closes.
  void run() {
    for (size_t i = 0; now_us_ >= idles_until_us_ && i < later_.size();) {
      if (later_[i].at_us > now_us_) {
        i++;
        continue;
      }
      if (later_[i].end->connection != nullptr)
        tcp_->consume(*later_[i].end->connection, later_[i].bytes);
      later_[i] = later_.back();
      later_.pop_back();
    }
    for (Pair& pair : pairs_) {
      End& end = is_client_ ? pair.client : pair.server;
      if (end.connection == nullptr || !end.opened || end.is_closing) continue;
      send_some(end);
      if (end.connection != nullptr && end.sent_bytes == end.send_bytes &&
          (!end.closes_last || end.ended)) {
        end.is_closing = true;
        tcp_->close(*end.connection);
      }
    }
  }
  uint64_t next_us() const {
    uint64_t next_us = UINT64_MAX;
    for (const Later& later : later_) next_us = std::min(next_us, later.at_us);
    return std::max(next_us, idles_until_us_);
  }

  /// The app at the other end, of a server.
  const App* client = nullptr;
  CountingOwner owner;
  uint32_t held = 0;

 private:
  struct Later {
    uint64_t at_us;
    End* end;
    uint32_t bytes;
  };

  End& of(Connection& connection) {
    End& end = is_client_ ? pairs_[connection.user].client : pairs_[connection.user].server;
    EXPECT_FALSE(end.is_over()) << "an event after the end";
    return end;
  }
  void send_some(End& end) {
    while (end.sent_bytes < end.send_bytes) {
      const size_t most = random_() % 3 == 0 ? 8000 : 256;
      const size_t length =
          std::min<uint64_t>(1 + random_() % most, end.send_bytes - end.sent_bytes);
      const Bytes bytes = end.sends.part(end.sent_bytes, length);
      SendResult result;
      if (length > 256) {
        // A buffer that is refused stays with its owner.
        const HeldBuffer buffer = owner.hold(bytes);
        result = tcp_->send_held(*end.connection, buffer);
        held += result == SendResult::ok;
      } else {
        result = tcp_->send_copy(*end.connection, bytes);
      }
      if (result != SendResult::ok) {
        EXPECT_NE(result, SendResult::closing);
        return;
      }
      end.sent_bytes += length;
      if (random_() % 50 == 0) return;
    }
  }

  std::deque<Pair>& pairs_;
  const bool is_client_;
  std::mt19937_64 random_;
  const uint64_t& now_us_;
  Tcp* tcp_ = nullptr;
  std::map<uint16_t, uint32_t> numbers_;
  std::vector<Later> later_;
  uint64_t idles_until_us_ = 0;
  Bytes buffer_;
};

class SimulationTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kBuffers = 8191;

  static std::unique_ptr<PacketPool> make_pool(const char* name, uint16_t data_bytes) {
    std::string error;
    auto pool =
        PacketPool::create({.name = name, .count = kBuffers, .data_bytes = data_bytes}, error);
    if (pool == nullptr) {
      ADD_FAILURE() << error;
      std::abort();
    }
    return pool;
  }

  static LinkConfig link_of(std::mt19937_64& random) {
    LinkConfig link;
    const auto up_to = [&](double most) {
      return random() % 2 == 0 ? 0 : most * static_cast<double>(random() % 1000) / 1000;
    };
    link.loss = up_to(0.05);
    link.burst_begins = up_to(0.01);
    link.burst_continues = up_to(0.8);
    link.duplication = up_to(0.05);
    link.corruption = up_to(0.03);
    link.reordering = up_to(0.2);
    link.delay_us = 20 + random() % 100'000;
    link.extra_delay_us = up_to(60'000);
    if (random() % 3 == 0) link.bytes_per_second = 100'000 + random() % 10'000'000;
    link.queue_packets = static_cast<uint32_t>(10 + random() % 200);
    return link;
  }

  static StackConfig stack_of(std::mt19937_64& random) {
    StackConfig config = TcpTest::small();
    config.receive_buffer_bytes = static_cast<uint32_t>(4000 + random() % 250'000);
    config.send_buffer_bytes = static_cast<uint32_t>(10'000 + random() % 200'000);
    config.max_reorder_segments = static_cast<uint32_t>(4 + random() % 61);
    return config;
  }

  static End end_of(std::mt19937_64& random, uint32_t sends, uint32_t receives) {
    End end;
    end.sends = {sends};
    end.receives = {receives};
    const uint64_t sizes[] = {0, 1 + random() % 1000, 1 + random() % 300'000};
    end.send_bytes = sizes[random() % 3];
    if (random() % 8 == 0) end.aborts_at_bytes = 1 + random() % 100'000;
    return end;
  }

  void simulate(uint64_t seed) {
    std::mt19937_64 random(seed);
    uint64_t now_us = kStartUs + random() % (1000 * kSecond);
    std::array<uint64_t, kCounterCount> values_a{}, values_b{};
    Counters counters_a(values_a.data()), counters_b(values_b.data());
    SeededRandom random_a(random()), random_b(random());
    const Environment environment_a{sink_, random_a, counters_a, headers_->get(), frames_->get()};
    const Environment environment_b{sink_, random_b, counters_b, headers_->get(), frames_->get()};
    Link to_b(link_of(random), random()), to_a(link_of(random), random());
    const size_t batch = 1 + random() % 64;

    std::deque<Pair> pairs;
    const uint32_t count = static_cast<uint32_t>(1 + random() % 6);
    for (uint32_t i = 0; i < count; i++) {
      Pair pair = {end_of(random, 2 * i, 2 * i + 1), end_of(random, 2 * i + 1, 2 * i)};
      (random() % 2 == 0 ? pair.client : pair.server).closes_last = random() % 2 == 0;
      pairs.push_back(pair);
    }
    App app_a(pairs, true, random(), now_us), app_b(pairs, false, random(), now_us);
    {
      Host a(kHostA, kHostB, stack_of(random), environment_a, to_b, now_us);
      Host b(kHostB, kHostA, stack_of(random), environment_b, to_a, now_us);
      app_a.set_tcp(a.tcp());
      app_b.set_tcp(b.tcp());
      app_b.client = &app_a;
      ASSERT_TRUE(b.tcp().listen(kPort, app_b, 1));
      for (uint32_t i = 0; i < count; i++) app_a.connect(a.tcp(), i);
      a.tcp().flush();

      const uint64_t end_us = now_us + 3000 * kSecond;
      const auto is_over = [&] {
        return std::all_of(pairs.begin(), pairs.end(), [](const Pair& pair) {
          // Nobody may tell one end of the other's abort, where the reset was lost.
          const bool client = pair.client.is_over() || (pair.server.aborted && pair.client.opened);
          const bool server = pair.server.is_over() || pair.client.aborted;
          return client && server;
        });
      };
      const auto step = [&] {
        const uint64_t next_us = std::min({to_a.next_us(), to_b.next_us(),
                                           a.tcp().next_deadline_us(), b.tcp().next_deadline_us(),
                                           app_a.next_us(), app_b.next_us(), now_us + kSecond});
        // A worker's cycle takes its time.
        now_us = std::max(next_us, now_us) + random() % 30;
        a.tcp().set_now(now_us);
        b.tcp().set_now(now_us);
        a.receive(to_a.arrived(now_us, batch));
        b.receive(to_b.arrived(now_us, batch));
        app_a.run();
        app_b.run();
        a.tcp().run_timers();
        b.tcp().run_timers();
        a.tcp().flush();
        b.tcp().flush();
      };
      while (!is_over() && now_us < end_us && !HasFailure()) step();
      for (Pair& pair : pairs) {
        expect_end(pair.client, pair.server);
        expect_end(pair.server, pair.client);
        // Ends that never heard of the other's abort.
        if (!pair.client.is_over() && pair.client.connection != nullptr)
          a.tcp().abort(*pair.client.connection);
        if (!pair.server.is_over() && pair.server.connection != nullptr)
          b.tcp().abort(*pair.server.connection);
        pair.client.aborted = pair.server.aborted = true;
        pair.client.connection = pair.server.connection = nullptr;
      }
      const uint64_t quiet_us = now_us + 200 * kSecond;
      while (now_us < quiet_us) step();
      EXPECT_EQ(a.tcp().connection_count(), 0u);
      EXPECT_EQ(b.tcp().connection_count(), 0u);
      EXPECT_EQ(counters_a[Counter::drop_tcp_checksum] + counters_b[Counter::drop_tcp_checksum] +
                        counters_a[Counter::drop_tcp_malformed] +
                        counters_b[Counter::drop_tcp_malformed] >
                    0,
                to_a.corrupted + to_b.corrupted > 0);
      EXPECT_EQ(frames_->free_count(), kBuffers) << "before the end";
      EXPECT_EQ(headers_->free_count(), kBuffers) << "before the end";
    }
    for (size_t i = 0; i < kCounterCount; i++) totals_[i] += values_a[i] + values_b[i];
    EXPECT_EQ(app_a.owner.released_count, app_a.held);
    EXPECT_EQ(app_b.owner.released_count, app_b.held);
    EXPECT_EQ(frames_->free_count(), kBuffers);
    EXPECT_EQ(headers_->free_count(), kBuffers);
  }

  static void expect_end(const End& end, const End& other) {
    if (end.aborted || other.aborted) {
      if (end.closed && *end.closed != CloseReason::finished) {
        EXPECT_TRUE(*end.closed == CloseReason::reset || *end.closed == CloseReason::timed_out ||
                    *end.closed == CloseReason::refused);
      }
      return;
    }
    ASSERT_TRUE(end.closed.has_value()) << "it neither ended nor failed";
    EXPECT_EQ(*end.closed, CloseReason::finished);
    EXPECT_EQ(end.received_bytes, other.send_bytes);
    EXPECT_TRUE(end.ended);
  }

  /// Over all seeds and hosts.
  std::array<uint64_t, kCounterCount> totals_{};
  KeepingSink sink_;
  std::unique_ptr<PacketPool> frames_ = make_pool("sim_frames", kFrameDataBytes);
  std::unique_ptr<PacketPool> headers_ = make_pool("sim_headers", kHeaderDataBytes);
};

TEST_F(SimulationTest, connections_over_a_bad_link) {
  if (const char* only = std::getenv("WEIR_SIM_SEED")) {
    simulate(std::strtoull(only, nullptr, 10));
    return;
  }
  for (uint64_t seed = 1; seed <= kSeeds; seed++) {
    simulate(seed);
    if (HasFailure()) {
      std::fprintf(stderr, "this was WEIR_SIM_SEED=%llu\n", static_cast<unsigned long long>(seed));
      return;
    }
  }
  // The links were bad enough to be worth the name.
  const auto total = [&](Counter counter) { return totals_[static_cast<size_t>(counter)]; };
  EXPECT_GT(total(Counter::tcp_rx_bytes), 50'000'000u);
  for (const Counter counter :
       {Counter::tcp_timeouts, Counter::tcp_fast_retransmits, Counter::tcp_out_of_order,
        Counter::tcp_duplicates, Counter::tcp_probes, Counter::tcp_delayed_acks,
        Counter::drop_tcp_checksum, Counter::drop_tcp_reorder_full, Counter::drop_app_full,
        Counter::tcp_resets_rx})
    EXPECT_GT(total(counter), 10u) << kCounterDescriptions[static_cast<size_t>(counter)].name;
}

}  // namespace
}  // namespace weir::net::tcp
