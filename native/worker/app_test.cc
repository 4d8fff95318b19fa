/// Apps on a worker, with a client stack at the other end of an in-process ring: what guests do, in
/// any order, costs at most their own instance.
#include "sandbox/app.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/packet_pool.h"
#include "net/tcp/connection.h"
#include "port/ring_port.h"
#include "sandbox/testing/guest.h"
#include "worker/worker.h"

namespace weir {
namespace {

using sandbox::AppCounter;
using sandbox::AppEventKind;
using sandbox::testing::engine;
using sandbox::testing::guest_text;
using sandbox::testing::load_admitted;

constexpr uint32_t kServer = 0x0a000001;
constexpr uint32_t kClient = 0x0a000002;

/// Guest functions that write commands. $command starts a record and returns its address; $loop...
/// the tests' polls walk the events by $events and answer {consumed = all, commands = $n}.
constexpr const char* kCommands = R"(
  (global $n (mut i32) (i32.const 0))
  (func $command (param $kind i32) (param $handle i64) (result i32) (local $at i32)
    (local.set $at (i32.add (i32.const 0x1200000) (i32.mul (global.get $n) (i32.const 32))))
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (i64.store (local.get $at) (i64.const 0)) (i64.store offset=8 (local.get $at) (local.get $handle))
    (i64.store offset=16 (local.get $at) (i64.const 0)) (i64.store offset=24 (local.get $at) (i64.const 0))
    (i32.store8 (local.get $at) (local.get $kind))
    (local.get $at))
  (func $send (param $handle i64) (param $data i32) (param $bytes i32) (local $at i32)
    (local.set $at (call $command (i32.const 4) (local.get $handle)))
    (i32.store offset=16 (local.get $at) (local.get $data)) (i32.store offset=20 (local.get $at) (local.get $bytes)))
  (func $done (param $handle i64) (param $bytes i32)
    (i32.store offset=20 (call $command (i32.const 7) (local.get $handle)) (local.get $bytes)))
)";

/// A guest that handles each event by `handle`, in which $e is the event's address, $kind its kind
/// and $h its handle.
std::string per_event(const std::string& handle, const std::string& more = "") {
  return guest_text(
      "(local $e i32) (local $kind i32) (local $h i64) (local $left i32)"
      "(global.set $n (i32.const 0)) (local.set $left (local.get $events))"
      "(local.set $e (i32.const 0x210000))"
      "(block $out (loop $next (br_if $out (i32.eqz (local.get $left)))"
      "(local.set $kind (i32.load8_u (local.get $e))) (local.set $h (i64.load offset=8 (local.get "
      "$e)))" +
          handle +
          "(local.set $e (i32.add (local.get $e) (i32.const 32)))"
          "(local.set $left (i32.sub (local.get $left) (i32.const 1))) (br $next)))"
          "(i64.or (i64.extend_i32_u (local.get $events))"
          " (i64.shl (i64.extend_i32_u (global.get $n)) (i64.const 32)))",
      kCommands + more);
}

/// `body` when the event is of this kind.
std::string on(int kind, const std::string& body) {
  return "(if (i32.eq (local.get $kind) (i32.const " + std::to_string(kind) + ")) (then " + body +
         "))";
}

const char* const kForward =
    "(local.set $left (local.get $left))"
    "(i64.store offset=24 (call $forward (local.get $h) (i32.load offset=16 (local.get $e)) "
    "(i32.load offset=20 (local.get $e))) (local.get $h))";
const char* const kForwardFunction = R"(
  (func $forward (param $handle i64) (param $data i32) (param $bytes i32) (result i32) (local $at i32)
    (local.set $at (call $command (i32.const 6) (local.get $handle)))
    (i32.store offset=16 (local.get $at) (local.get $data)) (i32.store offset=20 (local.get $at) (local.get $bytes))
    (local.get $at))
)";

/// Echo by forward; closes when the peer does.
std::string echo_guest() {
  return per_event(on(3, kForward) + on(4, "(drop (call $command (i32.const 8) (local.get $h)))"),
                   kForwardFunction);
}

/// What one client connection saw.
struct Seen {
  net::Connection* connection = nullptr;
  std::string data;
  bool opened = false;
  bool ended = false;
  bool closed = false;
  net::CloseReason reason = net::CloseReason::finished;
};

class Client final : public net::FlowEvents, public net::FrameSink {
 public:
  /// What it sends is received into buffers of `wire`.
  Client(port::Port& port, rte_mempool* headers, rte_mempool* frames, rte_mempool* wire)
      : port_(port), frames_(frames), wire_(wire), counters_(values_) {
    net::StackConfig config;
    config.link_address = port.link_address();
    config.addresses = {{net::Address::v4(kClient), 24}};
    stack_ = std::make_unique<net::Stack>(
        config, net::Environment{*this, random_, counters_, headers, frames});
  }
  uint32_t connect(uint16_t port) {
    seen.emplace_back();
    auto id = static_cast<uint32_t>(seen.size() - 1);
    seen[id].connection = stack_->tcp_connect({net::Address::v4(kServer), port}, *this, id);
    return id;
  }
  void send(uint32_t id, const std::string& text) {
    ASSERT_NE(seen[id].connection, nullptr);
    ASSERT_EQ(stack_->send_copy(*seen[id].connection,
                                {reinterpret_cast<const uint8_t*>(text.data()), text.size()}),
              net::SendResult::ok);
  }
  void turn(uint64_t now_us) {
    stack_->set_now(now_us);
    rte_mbuf* frames[64];
    uint32_t count = port_.receive(frames, 64);
    for (uint32_t i = 0; i < count; i++) frames[i] = own_copy(frames[i], frames_);
    if (count != 0) stack_->input(frames, count);
    stack_->run_timers();
    stack_->flush();
  }
  net::Stack& stack() { return *stack_; }

  void transmit(rte_mbuf* frame) override {
    frame = own_copy(frame, wire_);
    if (port_.transmit(&frame, 1) == 0) rte_pktmbuf_free(frame);
  }
  bool on_knock(uint32_t, const net::Endpoint&) override { return true; }
  bool on_opened(net::Connection& connection, uint32_t, bool outbound) override {
    if (!outbound) {
      seen.emplace_back();
      connection.user = static_cast<uint32_t>(seen.size() - 1);
      seen.back().connection = &connection;
    }
    seen[connection.user].opened = true;
    return true;
  }
  bool on_data(net::Connection& connection, const net::Payload& payload) override {
    std::vector<char> bytes(payload.length_bytes);
    const void* at =
        rte_pktmbuf_read(payload.head, payload.offset_bytes, payload.length_bytes, bytes.data());
    seen[connection.user].data.append(static_cast<const char*>(at), payload.length_bytes);
    stack_->consume(connection, payload.length_bytes);
    return true;
  }
  void on_end(net::Connection& connection) override { seen[connection.user].ended = true; }
  void on_acknowledged(net::Connection&, uint32_t) override {}
  void on_closed(net::Connection& connection, net::CloseReason reason) override {
    Seen& s = seen[connection.user];
    s.closed = true;
    s.reason = reason;
    s.connection = nullptr;
  }
  bool on_datagram(uint32_t, const net::Endpoint& remote, const net::Endpoint&,
                   const net::Payload& payload) override {
    std::vector<char> bytes(payload.length_bytes);
    const void* at =
        rte_pktmbuf_read(payload.head, payload.offset_bytes, payload.length_bytes, bytes.data());
    datagrams.emplace_back(static_cast<const char*>(at), payload.length_bytes);
    if (name_server) {
      const std::string answer = name_server(datagrams.back());
      if (!answer.empty())
        stack_->udp_send(53, remote,
                         {reinterpret_cast<const uint8_t*>(answer.data()), answer.size()});
    }
    return true;
  }

  std::vector<Seen> seen;
  std::vector<std::string> datagrams;
  /// The answer to a question; empty for none. What comes as a datagram is one.
  std::function<std::string(const std::string&)> name_server;

 private:
  /// A frame without references into the sender's memory, as it would be on a wire.
  rte_mbuf* own_copy(rte_mbuf* frame, rte_mempool* pool) {
    rte_mbuf* copy = rte_pktmbuf_copy(frame, pool, 0, UINT32_MAX);
    if (copy == nullptr) ADD_FAILURE() << "out of packet buffers";
    rte_pktmbuf_free(frame);
    return copy;
  }

  port::Port& port_;
  rte_mempool* frames_;
  rte_mempool* wire_;
  uint64_t values_[kCounterCount] = {};
  Counters counters_;
  worker::Random random_{1};
  std::unique_ptr<net::Stack> stack_;
};

/// The server's port, telling a test of every burst that the server sends.
class ObservedPort final : public port::Port {
 public:
  ObservedPort(port::Port& port, const std::function<void(uint32_t)>& hook)
      : port_(port), hook_(hook) {}
  uint32_t receive(rte_mbuf** frames, uint32_t capacity) override {
    return port_.receive(frames, capacity);
  }
  uint32_t transmit(rte_mbuf** frames, uint32_t count) override {
    if (hook_) hook_(count);
    return port_.transmit(frames, count);
  }
  int wait_descriptor() const override { return -1; }
  bool is_up() const override { return is_up_; }
  void set_up(bool is_up) { is_up_ = is_up; }
  std::array<uint8_t, 6> link_address() const override { return port_.link_address(); }
  uint16_t mtu_bytes() const override { return port_.mtu_bytes(); }

 private:
  port::Port& port_;
  const std::function<void(uint32_t)>& hook_;
  bool is_up_ = true;
};

/// Whether tenants share the queue, or it is one's own: then the guests' windows are what frames
/// are received into. What guests see is the same.
enum class Queue { shared, own };

class AppTest : public ::testing::TestWithParam<Queue> {
 protected:
  AppTest() {
    static int number = 0;
    number++;
    std::string error;
    frames_ = PacketPool::create({.name = "af" + std::to_string(number), .count = 4095}, error);
    headers_ = PacketPool::create(
        {.name = "ah" + std::to_string(number), .count = 4095, .data_bytes = kHeaderDataBytes},
        error);
    if (GetParam() == Queue::own) {
      window_ = sandbox::FrameWindow::create("aw" + std::to_string(number), error);
      EXPECT_TRUE(window_) << error;
    }
    auto pair = port::RingPort::make_pair(2048);
    server_port_ = std::move(pair.first);
    client_port_ = std::move(pair.second);
    observed_port_ = std::make_unique<ObservedPort>(*server_port_, server_hook_);
    worker::WorkerConfig config;
    config.seed = 3;
    config.stack.max_connections = 1024;
    config.stack.link_address = server_port_->link_address();
    config.stack.addresses = {{net::Address::v4(kServer), 24}};
    make_worker(config);
    client_ = std::make_unique<Client>(*client_port_, headers_->get(), frames_->get(),
                                       window_ ? window_->pool() : frames_->get());
  }
  ~AppTest() override {
    client_.reset();
    worker_.reset();
    rte_mbuf* frames[64];
    while (uint32_t n = server_port_->receive(frames, 64)) rte_pktmbuf_free_bulk(frames, n);
    while (uint32_t n = client_port_->receive(frames, 64)) rte_pktmbuf_free_bulk(frames, n);
    EXPECT_EQ(frames_->free_count(), 4095u) << "packet buffers are left over";
    EXPECT_EQ(headers_->free_count(), 4095u) << "header buffers are left over";
    if (!window_) return;
    EXPECT_EQ(window_->held(), 0u);
    EXPECT_EQ(rte_mempool_avail_count(window_->pool()), sandbox::FrameWindow::kBuffers);
  }

  void make_worker(const worker::WorkerConfig& config) {
    worker_ = std::make_unique<worker::Worker>(
        config, worker::WorkerResources{*observed_port_, engine(), log_, headers_->get(),
                                        frames_->get(), counters_, window_.get()});
  }
  sandbox::AppConfig config(uint32_t id, uint16_t port) {
    sandbox::AppConfig config;
    config.id = id;
    config.name = "app" + std::to_string(id);
    config.listens.push_back({"main", "tcp", sandbox::Protocol::tcp, port});
    config.max_connections = 500;
    config.call_limit_us = 20'000;
    return config;
  }
  void deploy(const sandbox::AppConfig& config, const std::string& text) {
    std::string error;
    ASSERT_TRUE(worker_->deploy(config, load_admitted(text), app_counters_[config.id], error))
        << error;
  }
  sandbox::App& app(uint32_t id) {
    for (const auto& app : worker_->apps())
      if (app->config().id == id) return *app;
    throw std::runtime_error("no such app");
  }
  void turns(int count) {
    for (int i = 0; i < count; i++) {
      now_us_ += 50;
      client_->turn(now_us_);
      worker_->cycle(now_us_);
    }
  }
  void pass_ms(uint64_t ms) {
    for (uint64_t i = 0; i < ms; i++) {
      now_us_ += 1000;
      client_->turn(now_us_);
      worker_->cycle(now_us_);
    }
  }
  uint32_t open(uint16_t port) {
    uint32_t id = client_->connect(port);
    turns(10);
    return id;
  }
  Seen& seen(uint32_t id) { return client_->seen[id]; }
  uint64_t count(uint32_t id, AppCounter counter) {
    return app_counters_[id][static_cast<size_t>(counter)];
  }
  std::vector<sandbox::AppEvent> happened(AppEventKind kind) {
    for (auto& event : log_.drain()) events_.push_back(std::move(event));
    std::vector<sandbox::AppEvent> matching;
    for (auto& event : events_)
      if (event.kind == kind) matching.push_back(event);
    return matching;
  }

  std::unique_ptr<PacketPool> frames_, headers_;
  std::unique_ptr<sandbox::FrameWindow> window_;
  std::unique_ptr<port::RingPort> server_port_, client_port_;
  std::function<void(uint32_t)> server_hook_;
  std::unique_ptr<ObservedPort> observed_port_;
  sandbox::EventLog log_;
  std::vector<sandbox::AppEvent> events_;
  uint64_t counters_[kCounterCount] = {};
  uint64_t app_counters_[8][sandbox::kAppCounterCount] = {};
  std::unique_ptr<worker::Worker> worker_;
  std::unique_ptr<Client> client_;
  uint64_t now_us_ = 10'000'000;
};

std::string name_of(const ::testing::TestParamInfo<Queue>& info) {
  return info.param == Queue::own ? "own_queue" : "shared_queue";
}
INSTANTIATE_TEST_SUITE_P(Queues, AppTest, ::testing::Values(Queue::shared, Queue::own), name_of);

TEST_P(AppTest, EchoesByForward) {
  deploy(config(1, 7), echo_guest());
  uint32_t id = open(7);
  ASSERT_TRUE(seen(id).opened);
  std::string sent;
  for (int size : {1, 64, 256, 257, 1400, 20'000}) {
    std::string text(size, static_cast<char>('a' + size % 26));
    sent += text;
    client_->send(id, text);
    turns(60);
  }
  EXPECT_TRUE(seen(id).data == sent);
  EXPECT_EQ(count(1, AppCounter::received_bytes), sent.size());
  EXPECT_EQ(count(1, AppCounter::sent_bytes), sent.size());
  EXPECT_GT(count(1, AppCounter::sent_referenced_bytes), 20'000u);
  client_->stack().close(*seen(id).connection);
  turns(30);
  EXPECT_TRUE(seen(id).closed);
  EXPECT_EQ(app(1).open_connections(), 0u);
  EXPECT_FALSE(app(1).windows().in_use()) << "every view has been given back";
  EXPECT_EQ(count(1, AppCounter::refused_stale_handle) + count(1, AppCounter::refused_not_held),
            0u);
}

TEST_P(AppTest, ReceivedBytesArePlacedReadOnlyAndSentBackFromThere) {
  // The guest tries to change what it received: that is a trap, and the peer never sees a changed
  // byte.
  deploy(config(1, 7),
         per_event(on(3, "(i32.store8 (i32.load offset=16 (local.get $e)) (i32.const 33))")));
  uint32_t id = open(7);
  client_->send(id, "hello");
  turns(20);
  EXPECT_TRUE(seen(id).closed);
  EXPECT_EQ(seen(id).reason, net::CloseReason::reset);
  EXPECT_EQ(happened(AppEventKind::trapped).size(), 1u);
}

TEST_P(AppTest, ATrapEndsThatAppsConnectionsAndNoOthers) {
  deploy(config(1, 7), per_event(on(3, "unreachable")));
  deploy(config(2, 8), echo_guest());
  uint32_t bystander = open(7), victim = open(7), other = open(8);
  client_->send(victim, "x");
  turns(20);
  EXPECT_TRUE(seen(victim).closed);
  EXPECT_TRUE(seen(bystander).closed);
  EXPECT_FALSE(seen(other).closed);
  client_->send(other, "still here");
  turns(20);
  EXPECT_EQ(seen(other).data, "still here");
  // It starts again with the next flow.
  uint32_t again = open(7);
  EXPECT_TRUE(seen(again).opened);
  EXPECT_EQ(count(1, AppCounter::starts), 2u);
}

TEST_P(AppTest, RestartsComeLaterAndLater) {
  deploy(config(1, 7), per_event(on(2, "unreachable")));
  open(7);
  EXPECT_EQ(count(1, AppCounter::starts), 1u);
  open(7);
  EXPECT_EQ(count(1, AppCounter::starts), 2u) << "at once after the first failure";
  uint32_t refused = open(7);
  EXPECT_EQ(count(1, AppCounter::starts), 2u) << "not at once after the second";
  EXPECT_TRUE(seen(refused).closed);
  pass_ms(15);
  open(7);
  EXPECT_EQ(count(1, AppCounter::starts), 3u);
  pass_ms(15);
  open(7);
  EXPECT_EQ(count(1, AppCounter::starts), 3u) << "the delay has doubled";
  pass_ms(15);
  open(7);
  EXPECT_EQ(count(1, AppCounter::starts), 4u);
}

TEST_P(AppTest, ASpinningGuestIsEndedAndOthersAreServed) {
  auto spinner = config(1, 7);
  spinner.call_limit_us = 1000;
  deploy(spinner, per_event(on(3, "(loop $l (br $l))")));
  deploy(config(2, 8), echo_guest());
  uint32_t bad = open(7), good = open(8);
  client_->send(bad, "x");
  client_->send(good, "y");
  turns(20);
  EXPECT_TRUE(seen(bad).closed);
  EXPECT_EQ(seen(good).data, "y");
  EXPECT_EQ(count(1, AppCounter::overruns), 1u);
}

/// Handles as another app would guess them: index 0 to 15, the first generations.
std::string forge(const std::string& command) {
  return per_event(
      on(3,
         "(local.set $left (local.get $left)) (global.set $i (i64.const 0))"
         "(loop $l (call $attack (i64.or (i64.rem_u (global.get $i) (i64.const 16))"
         " (i64.shl (i64.div_u (global.get $i) (i64.const 16)) (i64.const 32))))"
         "(global.set $i (i64.add (global.get $i) (i64.const 1)))"
         "(br_if $l (i64.lt_u (global.get $i) (i64.const 512))))"),
      "(global $i (mut i64) (i64.const 0)) (func $attack (param $handle i64)" + command + ")");
}

TEST_P(AppTest, ForgedHandlesReachNobody) {
  for (const char* command :
       {"(drop (call $command (i32.const 9) (local.get $handle)))",
        "(drop (call $command (i32.const 8) (local.get $handle)))",
        "(call $send (local.get $handle) (i32.const 0x1400000) (i32.const 4))",
        "(call $done (local.get $handle) (i32.const 1))",
        "(drop (call $command (i32.const 1) (local.get $handle)))"}) {
    SCOPED_TRACE(command);
    deploy(config(1, 7), echo_guest());
    deploy(config(2, 8), forge(command));
    uint32_t victim = open(7), attacker = open(8);
    uint64_t foreign = count(2, AppCounter::refused_foreign_handle);
    client_->send(attacker, "go");
    turns(10);
    EXPECT_GT(count(2, AppCounter::refused_foreign_handle), foreign);
    EXPECT_FALSE(seen(victim).closed);
    EXPECT_FALSE(seen(victim).ended);
    client_->send(victim, "mine");
    turns(20);
    EXPECT_EQ(seen(victim).data, "mine");
    ASSERT_TRUE(worker_->remove(1));
    ASSERT_TRUE(worker_->remove(2));
    turns(20);
  }
}

TEST_P(AppTest, ForwardingSomebodyElsesViewIsRefused) {
  deploy(config(1, 7), echo_guest());
  deploy(config(2, 8), per_event(on(3,
                                    "(i64.store offset=24 (call $forward (local.get $h) (i32.const "
                                    "0x240000) (i32.const 5)) (i64.const 0x100000000))"),
                                 kForwardFunction));
  uint32_t victim = open(7), attacker = open(8);
  client_->send(attacker, "go");
  turns(20);
  EXPECT_EQ(count(2, AppCounter::refused_foreign_handle), 1u);
  EXPECT_EQ(seen(attacker).data, "");
  EXPECT_FALSE(seen(victim).closed);
}

// The commands are the host's copy: what the guest's memory says while they are executed does not
// matter. The guest answers one datagram with 600; when the first 512 of them fill the worker's
// transmit array and go to the port, the records in guest memory are changed. Those that have not
// had their turn must still say what they said when the guest returned.
TEST_P(AppTest, CommandsAreCopiedOnce) {
  auto udp = config(1, 7);
  udp.listens = {{"main", "udp", sandbox::Protocol::udp, 53}};
  deploy(udp,
         per_event(on(7,
                      "(global.set $k (i32.const 0)) (loop $l (call $reply (local.get $e))"
                      "(br_if $l (i32.lt_u (global.get $k) (i32.const 600))))"),
                   "(global $k (mut i32) (i32.const 0))"
                   "(func $reply (param $e i32) (local $at i32)"
                   "(global.set $k (i32.add (global.get $k) (i32.const 1)))"
                   "(local.set $at (call $command (i32.const 10) (i64.const 0x0000000401400000)))"
                   "(i32.store16 offset=2 (local.get $at) (i32.load16_u offset=2 (local.get $e)))"
                   "(i64.store offset=16 (local.get $at) (i64.load offset=16 (local.get $e)))"
                   "(i64.store offset=24 (local.get $at) (i64.load offset=24 (local.get $e))))"
                   "(data (i32.const 0x1400000) \"good\")(data (i32.const 0x1400010) \"evil\")"));
  ASSERT_TRUE(client_->stack().udp_bind(4000, *client_, 0));
  int changes = 0;
  server_hook_ = [&](uint32_t frames) {
    if (frames < 512) return;
    changes++;
    for (uint32_t i = 0; i < 600; i++) {
      uint32_t evil = 0x1400010;
      std::memcpy(app(1).windows().host(abi::kCommands) + i * 32 + 8, &evil, 4);
    }
  };
  const uint8_t question = '?';
  ASSERT_TRUE(client_->stack().udp_send(4000, {net::Address::v4(kServer), 53}, {&question, 1}));
  turns(40);
  EXPECT_EQ(changes, 1);
  ASSERT_EQ(client_->datagrams.size(), 600u);
  for (const auto& datagram : client_->datagrams) ASSERT_EQ(datagram, "good");
}

TEST_P(AppTest, ContractViolationsEndTheInstance) {
  for (const char* result :
       {"(i64.const 0x0000000000000fff)", "(i64.const 0x0000200100000001)", "(i64.const -1)"}) {
    SCOPED_TRACE(result);
    deploy(config(1, 7), guest_text(result));
    uint64_t before = count(1, AppCounter::violations);
    uint32_t id = open(7);
    EXPECT_TRUE(seen(id).closed);
    EXPECT_GT(count(1, AppCounter::violations), before);
    pass_ms(11'000);
  }
}

TEST_P(AppTest, AFloodOfCommandsIsBoundedAndHarmsNobody) {
  // 8,192 commands of unknown kinds and wild pointers in each call.
  deploy(config(1, 7),
         guest_text("(local $i i32) (loop $l (i64.store (i32.add (i32.const 0x1200000) (i32.mul "
                    "(local.get $i) (i32.const 8)))"
                    " (i64.mul (i64.extend_i32_u (local.get $i)) (i64.const 0x9e3779b97f4a7c15)))"
                    "(br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) "
                    "(i32.const 32768))))"
                    "(i64.or (i64.extend_i32_u (local.get $events)) (i64.const 0x200000000000))"));
  deploy(config(2, 8), echo_guest());
  uint32_t bad = open(7), good = open(8);
  for (int i = 0; i < 20; i++) {
    if (seen(bad).connection != nullptr) client_->send(bad, "x");
    client_->send(good, "y");
    turns(3);
  }
  turns(20);
  EXPECT_EQ(seen(good).data, std::string(20, 'y'));
  EXPECT_GT(counters_[static_cast<size_t>(Counter::guest_refusals)], 8192u);
}

TEST_P(AppTest, ANewInstanceIsShownWhatWasNotGivenBack) {
  // The first version gives nothing back; the second echoes.
  deploy(config(1, 7), per_event(""));
  uint32_t id = open(7);
  client_->send(id, "first,");
  turns(10);
  client_->send(id, "second,");
  turns(10);
  EXPECT_EQ(seen(id).data, "");
  deploy(config(1, 7), echo_guest());
  turns(10);
  EXPECT_EQ(seen(id).data, "first,second,");
  client_->send(id, "third");
  turns(10);
  EXPECT_EQ(seen(id).data, "first,second,third");
  EXPECT_EQ(count(1, AppCounter::swaps), 1u);
}

TEST_P(AppTest, BytesThatWereGivenBackAreNotShownAgain) {
  deploy(config(1, 7), per_event(on(3, "(call $done (local.get $h) (i32.const 3))")));
  uint32_t id = open(7);
  client_->send(id, "abcdef");
  turns(10);
  deploy(config(1, 7), echo_guest());
  turns(10);
  EXPECT_EQ(seen(id).data, "def");
}

TEST_P(AppTest, ASwapResetsConnectionsToPortsThatAreGone) {
  deploy(config(1, 7), echo_guest());
  uint32_t id = open(7);
  deploy(config(1, 9), echo_guest());
  turns(10);
  EXPECT_TRUE(seen(id).closed);
  EXPECT_TRUE(seen(open(9)).opened);
  EXPECT_FALSE(seen(open(7)).opened);
}

TEST_P(AppTest, ASwapLeavesConnectionsThatAreBeingOpened) {
  deploy(config(1, 7), echo_guest());
  uint32_t id = client_->connect(7);
  // The SYN is answered; the answer has not been read yet.
  client_->turn(now_us_ += 50);
  worker_->cycle(now_us_ += 50);
  auto more = config(1, 9);
  more.listens.push_back({"old", "tcp", sandbox::Protocol::tcp, 7});
  deploy(more, echo_guest());
  turns(10);
  ASSERT_TRUE(seen(id).opened);
  client_->send(id, "still wanted");
  turns(10);
  EXPECT_EQ(seen(id).data, "still wanted");
  EXPECT_EQ(counters_[static_cast<size_t>(Counter::tcp_resets_tx)], 0u);
  EXPECT_TRUE(seen(open(9)).opened);
  // A port that goes takes with it who is opening a connection to it.
  uint32_t late = client_->connect(7);
  client_->turn(now_us_ += 50);
  worker_->cycle(now_us_ += 50);
  deploy(config(1, 9), echo_guest());
  turns(10);
  EXPECT_TRUE(seen(late).closed);
}

TEST_P(AppTest, ASwapThatIsRefusedChangesNoPort) {
  deploy(config(1, 7), echo_guest());
  deploy(config(2, 8), echo_guest());
  uint32_t opening = client_->connect(7);
  client_->turn(now_us_ += 50);
  worker_->cycle(now_us_ += 50);
  auto greedy = config(1, 9);
  greedy.listens.push_back({"taken", "tcp", sandbox::Protocol::tcp, 8});
  std::string error;
  EXPECT_FALSE(worker_->deploy(greedy, load_admitted(echo_guest()), app_counters_[1], error));
  EXPECT_EQ(error, "tcp port 8 is taken by another app, or the table of listeners is full");
  auto twice = config(1, 9);
  twice.listens.push_back({"again", "tcp", sandbox::Protocol::tcp, 9});
  EXPECT_FALSE(worker_->deploy(twice, load_admitted(echo_guest()), app_counters_[1], error));
  EXPECT_EQ(error, "tcp port 9 is there twice");
  turns(10);
  EXPECT_TRUE(seen(opening).opened);
  EXPECT_FALSE(seen(open(9)).opened);
  EXPECT_TRUE(seen(open(8)).opened);
  EXPECT_TRUE(seen(open(7)).opened);
}

TEST_P(AppTest, UnconsumedEventsComeAgainFirst) {
  // Consumes one event a call.
  deploy(config(1, 7),
         guest_text(
             "(global.set $n (i32.const 0))"
             "(if (i32.eq (i32.load8_u (i32.const 0x210000)) (i32.const 3)) (then"
             " (i64.store offset=24 (call $forward (i64.load (i32.const 0x210008)) (i32.load "
             "(i32.const 0x210010)) (i32.load (i32.const 0x210014))) (i64.load (i32.const "
             "0x210008)))))"
             "(i64.or (i64.const 1) (i64.shl (i64.extend_i32_u (global.get $n)) (i64.const 32)))",
             std::string(kCommands) + kForwardFunction));
  std::vector<uint32_t> ids{open(7)};
  for (int i = 0; i < 15; i++) ids.push_back(client_->connect(7));
  turns(60);
  for (uint32_t id : ids) client_->send(id, "n" + std::to_string(id));
  turns(100);
  for (uint32_t id : ids) EXPECT_EQ(seen(id).data, "n" + std::to_string(id));
}

TEST_P(AppTest, AGuestThatConsumesNothingIsNotCalledInALoop) {
  deploy(config(1, 7), guest_text("(i64.const 0)"));
  open(7);
  uint64_t calls = count(1, AppCounter::calls);
  turns(100);
  EXPECT_EQ(count(1, AppCounter::calls), calls);
}

TEST_P(AppTest, AFullEventRingLosesNothing) {
  // Consumes nothing until the ring is full, then echoes everything.
  deploy(config(1, 7),
         guest_text(
             "(local $e i32) (local $left i32)"
             "(if (i32.and (i32.eqz (global.get $full)) (i32.lt_u (local.get $events) (i32.const "
             "4096)))"
             " (then (return (i64.const 0))))"
             "(global.set $full (i32.const 1)) (global.set $n (i32.const 0))"
             "(local.set $e (i32.const 0x210000)) (local.set $left (local.get $events))"
             "(block $out (loop $next (br_if $out (i32.eqz (local.get $left)))"
             "(if (i32.eq (i32.load8_u (local.get $e)) (i32.const 3)) (then"
             " (i64.store offset=24 (call $forward (i64.load offset=8 (local.get $e))"
             " (i32.load offset=16 (local.get $e)) (i32.load offset=20 (local.get $e)))"
             " (i64.load offset=8 (local.get $e)))))"
             "(local.set $e (i32.add (local.get $e) (i32.const 32)))"
             "(local.set $left (i32.sub (local.get $left) (i32.const 1))) (br $next)))"
             "(i64.or (i64.extend_i32_u (local.get $events))"
             " (i64.shl (i64.extend_i32_u (global.get $n)) (i64.const 32)))",
             std::string("(global $full (mut i32) (i32.const 0))") + kCommands + kForwardFunction));
  std::vector<uint32_t> ids{open(7)};
  for (int i = 0; i < 12; i++) ids.push_back(client_->connect(7));
  turns(60);
  std::vector<std::string> sent(ids.size());
  for (int round = 0; round < 400; round++) {
    for (size_t i = 0; i < ids.size(); i++) {
      std::string text(1 + round % 7, static_cast<char>('a' + (round + i) % 26));
      sent[i] += text;
      client_->send(ids[i], text);
    }
    turns(1);
  }
  pass_ms(2000);
  for (size_t i = 0; i < ids.size(); i++) EXPECT_TRUE(seen(ids[i]).data == sent[i]) << i;
}

TEST_P(AppTest, RefusesToTakeBackMoreThanIsHeld) {
  deploy(config(1, 7), per_event(on(3, "(call $done (local.get $h) (i32.const 100))")));
  uint32_t id = open(7);
  client_->send(id, "abc");
  turns(10);
  EXPECT_EQ(count(1, AppCounter::refused_not_held), 1u);
  EXPECT_TRUE(app(1).windows().in_use());
}

TEST_P(AppTest, SendsOutsideOfMemoryAreRefused) {
  deploy(config(1, 7),
         per_event(on(3,
                      "(call $send (local.get $h) (i32.const 0) (i32.const 4))"
                      "(call $send (local.get $h) (i32.const 0xfffffff0) (i32.const 64))"
                      "(call $send (local.get $h) (i32.const 0x1000000) (i32.const 64))"
                      "(call $send (local.get $h) (i32.const 0x14ffff0) (i32.const 64))"
                      "(call $send (local.get $h) (i32.const 0x1400000) (i32.const 0xffffffff))")));
  uint32_t id = open(7);
  client_->send(id, "x");
  turns(10);
  // Buffers of the tenant's own queue are all mapped from the start.
  const bool is_mapped = GetParam() == Queue::own;
  EXPECT_EQ(count(1, AppCounter::refused_bad_range), is_mapped ? 4u : 5u);
  EXPECT_EQ(seen(id).data.size(), is_mapped ? 64u : 0u);
  EXPECT_FALSE(seen(id).closed);
}

TEST_P(AppTest, SendingBeyondTheLimitResetsTheConnection) {
  deploy(config(1, 7),
         per_event(on(3,
                      "(local.set $left (local.get $left)) (global.set $k (i32.const 0))"
                      "(loop $l (call $send (local.get $h) (i32.const 0x1400000) (i32.const 65536))"
                      "(global.set $k (i32.add (global.get $k) (i32.const 1))) (br_if $l (i32.lt_u "
                      "(global.get $k) (i32.const 200))))"),
                   "(global $k (mut i32) (i32.const 0))"));
  uint32_t id = open(7);
  client_->send(id, "x");
  turns(50);
  EXPECT_TRUE(seen(id).closed);
  EXPECT_EQ(seen(id).reason, net::CloseReason::reset);
  EXPECT_GE(count(1, AppCounter::refused_limit), 1u);
}

TEST_P(AppTest, AGuestIsToldBeforeAllThatItSentIsAcknowledged) {
  constexpr uint64_t kSentBytes = 65'536;
  constexpr uint64_t kRemainingBytes = 60'000;
  // It sends, asks, and answers the event with what it says has been acknowledged.
  deploy(config(1, 7),
         per_event(on(3,
                      "(call $send (local.get $h) (i32.const 0x1400000) (i32.const 65536))"
                      "(i32.store offset=16 (call $command (i32.const 13) (local.get $h))"
                      " (i32.const 60000))") +
                   on(5,
                      "(call $send (local.get $h) (i32.add (local.get $e) (i32.const 16))"
                      " (i32.const 8))")));
  uint32_t id = open(7);
  client_->send(id, "x");
  turns(100);
  ASSERT_EQ(seen(id).data.size(), kSentBytes + 8) << "it is told once";
  uint64_t acknowledged_bytes = 0;
  std::memcpy(&acknowledged_bytes, seen(id).data.data() + kSentBytes, 8);
  EXPECT_GE(acknowledged_bytes, kSentBytes - kRemainingBytes);
  EXPECT_LT(acknowledged_bytes, kSentBytes);
}

TEST_P(AppTest, ConnectsOutOnlyWhereItIsListed) {
  // On the first event (opened, inbound) it asks for two connections: one listed, one not, and
  // sends at once.
  auto allowed = config(1, 7);
  allowed.connects.push_back({"10.0.0.2:9000", {net::Address::v4(kClient), 9000}});
  std::string connect =
      "(func $connect (param $ticket i32) (param $port i32) (local $at i32)"
      " (local.set $at (call $command (i32.const 3) (i64.load (i32.add (i32.const 0x200040) "
      "(i32.mul (local.get $ticket) (i32.const 8))))))"
      " (i32.store16 offset=2 (local.get $at) (local.get $port)) (i32.store offset=4 (local.get "
      "$at) (i32.const 77))"
      " (i32.store16 offset=26 (local.get $at) (i32.const 0xffff)) (i32.store offset=28 (local.get "
      "$at) (i32.const 0x0200000a)))";
  deploy(allowed,
         per_event(on(2,
                      "(if (i32.eqz (i32.load8_u offset=1 (local.get $e))) (then"
                      " (call $connect (i32.const 0) (i32.const 9000)) (call $send (i64.load "
                      "(i32.const 0x200040)) (i32.const 0x1400000) (i32.const 5))"
                      " (call $connect (i32.const 1) (i32.const 9001))))") +
                       on(6,
                          "(if (i32.eq (i32.load offset=4 (local.get $e)) (i32.const 77)) (then "
                          "(global.set $reason (i32.load offset=16 (local.get $e)))"
                          "(call $log (i32.const 1) (i32.const 0x1400000) (i32.const 1))))"),
                   connect + "(global $reason (mut i32) (i32.const 0)) (data (i32.const 0x1400000) "
                             "\"early\") (func $log (param i32 i32 i32))"));
  ASSERT_TRUE(client_->stack().tcp_listen(9000, *client_, 0));
  uint32_t id = open(7);
  turns(30);
  ASSERT_EQ(client_->seen.size(), 2u);
  EXPECT_EQ(client_->seen[1].data, "early");
  EXPECT_EQ(count(1, AppCounter::connections_outbound), 1u);
  EXPECT_EQ(count(1, AppCounter::refused_forbidden), 1u);
  EXPECT_FALSE(seen(id).closed);
}

/// An app that connects to its first [[connect]] entry when it is connected to, sends at once, and
/// logs the reason when the connection ends.
std::string name_guest() {
  return per_event(on(2,
                      "(if (i32.eqz (i32.load8_u offset=1 (local.get $e))) (then"
                      " (call $connect) (call $send (i64.load (i32.const 0x200040)) (i32.const "
                      "0x1400000) (i32.const 5))))") +
                       on(6,
                          "(if (i32.eq (i32.load offset=4 (local.get $e)) (i32.const 77)) (then "
                          "(i32.store8 (i32.const 0x1400008) (i32.add (i32.const 48) (i32.load "
                          "offset=16 (local.get $e))))"
                          "(call $log (i32.const 1) (i32.const 0x1400008) (i32.const 1))))"),
                   "(func $connect (local $at i32)"
                   " (local.set $at (call $command (i32.const 3) (i64.load (i32.const 0x200040))))"
                   " (i32.store8 offset=1 (local.get $at) (i32.const 1)) (i32.store offset=4 "
                   "(local.get $at) (i32.const 77)))"
                   "(data (i32.const 0x1400000) \"early\")")
      .replace(8, 0, "(import \"weir\" \"log\" (func $log (param i32 i32 i32)))");
}

/// What a name server says (RFC 1035 section 4.1): the question, and `addresses` if it is about
/// IPv4.
std::string dns_answer(const std::string& query, const std::vector<uint32_t>& addresses) {
  const size_t end = query.find('\0', 12) + 5;
  const bool is_a = query[end - 3] == 1;
  const auto count = static_cast<char>(is_a ? addresses.size() : 0);
  std::string answer = query.substr(0, 2) + std::string("\x81\x80\0\1\0", 5) + count +
                       std::string(4, '\0') + query.substr(12, end - 12);
  for (char i = 0; i < count; i++) {
    // A pointer to the question's name, type A, class Internet, for a minute.
    answer += std::string("\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4", 12);
    for (int shift = 24; shift >= 0; shift -= 8)
      answer += static_cast<char>(addresses[static_cast<size_t>(i)] >> shift);
  }
  return answer;
}

class NameTest : public AppTest {
 protected:
  NameTest() {
    worker_.reset();
    worker::WorkerConfig worker;
    worker.seed = 3;
    worker.stack.max_connections = 1024;
    worker.stack.link_address = server_port_->link_address();
    worker.stack.addresses = {{net::Address::v4(kServer), 24}};
    worker.stack.name_servers = {net::Address::v4(kClient)};
    make_worker(worker);
    EXPECT_TRUE(client_->stack().udp_bind(53, *client_, 0));
    auto app = config(1, 7);
    app.connects.push_back(
        {.text = "db.example:9000", .remote = {net::Address{}, 9000}, .host = "db.example"});
    deploy(app, name_guest());
  }
  /// What the guest logged: the reason's number and '0'.
  std::vector<std::string> reasons() {
    std::vector<std::string> texts;
    for (const auto& event : happened(AppEventKind::log)) texts.push_back(event.text);
    return texts;
  }
};

INSTANTIATE_TEST_SUITE_P(Queues, NameTest, ::testing::Values(Queue::shared), name_of);

TEST_P(NameTest, AConnectionGoesToTheAddressOfTheName) {
  client_->name_server = [](const std::string& query) { return dns_answer(query, {kClient}); };
  ASSERT_TRUE(client_->stack().tcp_listen(9000, *client_, 0));
  open(7);
  turns(40);
  ASSERT_EQ(client_->seen.size(), 2u);
  EXPECT_EQ(client_->seen[1].data, "early") << "what was sent before";
  EXPECT_EQ(count(1, AppCounter::connections_outbound), 1u);
  EXPECT_EQ(client_->datagrams.size(), 2u);
  // What is known is not asked for again.
  open(7);
  turns(40);
  ASSERT_EQ(client_->seen.size(), 4u);
  EXPECT_EQ(client_->seen[3].data, "early");
  EXPECT_EQ(client_->datagrams.size(), 2u);
}

TEST_P(NameTest, OthersWaitForTheSameAnswer) {
  for (int i = 0; i < 20; i++) open(7);
  EXPECT_EQ(client_->datagrams.size(), 2u) << "one lookup for all";
  client_->name_server = [](const std::string& query) { return dns_answer(query, {kClient}); };
  ASSERT_TRUE(client_->stack().tcp_listen(9000, *client_, 0));
  pass_ms(2'100);
  EXPECT_EQ(count(1, AppCounter::connections_outbound), 20u);
  EXPECT_EQ(client_->datagrams.size(), 4u);
}

TEST_P(NameTest, AddressesAreTriedInTurn) {
  // Nobody is at the first, and the second refuses.
  client_->name_server = [](const std::string& query) {
    return dns_answer(query, {kClient + 50, kClient, kClient});
  };
  open(7);
  pass_ms(4'000);
  EXPECT_EQ(reasons(), std::vector<std::string>{"4"}) << "refused, in the end";
  ASSERT_TRUE(client_->stack().tcp_listen(9000, *client_, 0));
  const size_t before = client_->seen.size();
  open(7);
  pass_ms(4'000);
  ASSERT_EQ(client_->seen.size(), before + 2);
  EXPECT_EQ(client_->seen[before + 1].data, "early");
}

TEST_P(NameTest, ANameThatIsNotThereSaysSo) {
  client_->name_server = [](const std::string& query) { return dns_answer(query, {}); };
  open(7);
  turns(40);
  EXPECT_EQ(reasons(), std::vector<std::string>{";"}) << "unresolved, 11";
  EXPECT_EQ(count(1, AppCounter::names_unresolved), 1u);
  EXPECT_EQ(count(1, AppCounter::connections_open), 1u) << "the client's";
}

TEST_P(NameTest, WithoutAnAnswerItGivesUp) {
  open(7);
  pass_ms(5'000);
  EXPECT_TRUE(reasons().empty());
  pass_ms(2'000);
  EXPECT_EQ(reasons(), std::vector<std::string>{";"});
}

TEST_P(NameTest, WhatStandsForNoHostIsNotConnectedTo) {
  client_->name_server = [](const std::string& query) {
    return dns_answer(query, {0x7f000001, 0xe0000001, 0xffffffff, 0});
  };
  open(7);
  pass_ms(100);
  ASSERT_EQ(reasons().size(), 1u);
  EXPECT_EQ(count(1, AppCounter::connections_outbound), 0u);
}

TEST_P(NameTest, AnAppThatGoesIsNotToldAnyMore) {
  open(7);
  turns(10);
  client_->name_server = [](const std::string& query) { return dns_answer(query, {kClient}); };
  ASSERT_TRUE(worker_->remove(1));
  pass_ms(7'000);
  EXPECT_EQ(worker_->stack().connection_count(), 0u);
}

TEST_P(NameTest, OnlyEntriesThatAreThereAreConnectedTo) {
  auto nothing = config(1, 7);
  nothing.connects.push_back({"10.0.0.2:9001", {net::Address::v4(kClient), 9001}});
  std::string other = name_guest();
  // The second entry, of one.
  const std::string index = "(i32.store8 offset=1 (local.get $at) (i32.const 1))";
  other.replace(other.find(index), index.size(),
                index + "(i32.store offset=16 (local.get $at) (i32.const 1))");
  deploy(nothing, other);
  turns(10);
  open(7);
  turns(40);
  EXPECT_EQ(count(1, AppCounter::refused_forbidden), 1u);
  EXPECT_EQ(reasons(), std::vector<std::string>{"7"});
}

TEST_P(AppTest, HoldingEverythingFillsOnlyItsOwnWindow) {
  deploy(config(1, 7), per_event(""));
  deploy(config(2, 8), echo_guest());
  uint32_t good = open(8);
  // 80 times 250 kB are more than the app's 15.75 MiB: what peers may send shrinks with what is
  // left, before anything has to be dropped.
  for (int i = 0; i < 80; i++) {
    uint32_t id = open(7);
    for (int part = 0; part < 5; part++) client_->send(id, std::string(50'000, 'h'));
    turns(40);
  }
  client_->send(good, "fine");
  turns(20);
  EXPECT_EQ(seen(good).data, "fine");
  if (GetParam() == Queue::shared) {
    EXPECT_EQ(count(1, AppCounter::dropped_window_full), 0u);
    EXPECT_GT(count(1, AppCounter::window_chunks), 128u);
    return;
  }
  // There is half as much room, so that more was offered than there is: it will be sent again.
  EXPECT_EQ(window_->held(), sandbox::FrameWindow::kWatermark);
  EXPECT_EQ(counters_[static_cast<size_t>(Counter::drop_no_mbuf)], 0u);
}

TEST_P(AppTest, RemovingAnAppResetsItsConnections) {
  deploy(config(1, 7), echo_guest());
  uint32_t id = open(7);
  client_->send(id, std::string(5000, 'x'));
  client_->turn(now_us_ += 50);
  worker_->cycle(now_us_ += 50);
  ASSERT_TRUE(worker_->remove(1));
  turns(20);
  EXPECT_TRUE(seen(id).closed);
  EXPECT_FALSE(worker_->remove(1));
  EXPECT_FALSE(seen(open(7)).opened);
}

TEST_P(AppTest, AnswersDatagrams) {
  auto udp = config(1, 7);
  udp.listens = {{"main", "udp", sandbox::Protocol::udp, 53}};
  deploy(udp,
         per_event(
             on(7,
                "(i64.store offset=16 (call $reply (local.get $e)) (i64.load offset=16 (local.get "
                "$e)))"
                "(i64.store offset=24 (i32.sub (i32.add (i32.const 0x1200000) (i32.mul (global.get "
                "$n) (i32.const 32))) (i32.const 32)) (i64.load offset=24 (local.get $e)))"),
             "(func $reply (param $e i32) (result i32) (local $at i32)"
             "(local.set $at (call $command (i32.const 10) (i64.load offset=8 (local.get $e))))"
             "(i32.store16 offset=2 (local.get $at) (i32.load16_u offset=2 (local.get $e)))"
             "(i32.store offset=4 (local.get $at) (i32.load offset=4 (local.get $e))) (local.get "
             "$at))"));
  ASSERT_TRUE(client_->stack().udp_bind(4000, *client_, 0));
  for (int i = 0; i < 100; i++) {
    std::string text = "q" + std::to_string(i);
    ASSERT_TRUE(
        client_->stack().udp_send(4000, {net::Address::v4(kServer), 53},
                                  {reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
    turns(4);
  }
  turns(10);
  ASSERT_EQ(client_->datagrams.size(), 100u);
  EXPECT_EQ(client_->datagrams[99], "q99");
  EXPECT_FALSE(app(1).windows().in_use());
}

TEST_P(AppTest, AddressesAreAnnouncedWhenTheLinkIsUp) {
  worker_.reset();
  observed_port_->set_up(false);
  worker::WorkerConfig config;
  config.seed = 3;
  config.stack.link_address = server_port_->link_address();
  config.stack.addresses = {{net::Address::v4(kServer), 24}};
  make_worker(config);
  const auto announced = [&] { return counters_[static_cast<size_t>(Counter::arp_tx)]; };
  turns(2'000);
  EXPECT_EQ(announced(), 0u);
  observed_port_->set_up(true);
  EXPECT_LE(worker_->next_deadline_us(), now_us_ + 20'000);
  turns(500);
  EXPECT_GE(announced(), 1u);
}

TEST_P(AppTest, TimersComeBack) {
  // Every timer event sets the next, 2 ms later; the first is set when a connection opens.
  deploy(config(1, 7),
         per_event(on(2, "(call $at (i64.add (i64.load (i32.const 0x200008)) (i64.const 2000)))") +
                       on(8,
                          "(call $at (i64.add (i64.load (i32.const 0x200008)) (i64.const 2000)))"
                          "(call $log (i32.const 1) (i32.const 0x1400000) (i32.const 4))"),
                   "(func $at (param $t i64) (drop (call $command (i32.const 11) (local.get $t))))"
                   "(data (i32.const 0x1400000) \"tick\")")
             .replace(8, 0, "(import \"weir\" \"log\" (func $log (param i32 i32 i32)))"));
  open(7);
  pass_ms(100);
  size_t ticks = happened(AppEventKind::log).size();
  EXPECT_GE(ticks, 25u);
  EXPECT_LE(ticks, 50u);
}

}  // namespace
}  // namespace weir
