/// Echo of small messages over an in-process ring: a client stack and a server worker take turns on
/// one thread, and only the server's cycles are timed. Prints one JSON object. bench/smoke.js runs
/// it.
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <weir_engine.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/eal.h"
#include "base/packet_pool.h"
#include "net/tcp/connection.h"
#include "port/ring_port.h"
#include "sandbox/engine.h"
#include "worker/worker.h"

namespace {

using namespace weir;

struct Options {
  std::string handler = "native";
  std::string module;
  uint32_t batch = 64;
  uint32_t connections = 64;
  uint32_t message_bytes = 64;
  uint64_t messages = 2'000'000;
  uint32_t windows = 10;
};

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "echo_bench: %s\n", message.c_str());
  std::exit(1);
}

/// The server's work without Wasm: what the sandbox does for a guest, done by a direct call.
class NativeEcho final : public net::FlowEvents {
 public:
  void serve(net::Stack& stack) { stack_ = &stack; }
  bool on_knock(uint32_t, const net::Endpoint&) override { return true; }
  bool on_opened(net::Connection&, uint32_t, bool) override { return true; }
  bool on_data(net::Connection& connection, const net::Payload& payload) override {
    const void* bytes =
        rte_pktmbuf_read(payload.head, payload.offset_bytes, payload.length_bytes, copy_);
    stack_->send_copy(connection, {static_cast<const uint8_t*>(bytes), payload.length_bytes});
    stack_->consume(connection, payload.length_bytes);
    return true;
  }
  void on_end(net::Connection& connection) override { stack_->close(connection); }
  void on_acknowledged(net::Connection&, uint32_t) override {}
  void on_closed(net::Connection&, net::CloseReason) override {}
  bool on_datagram(uint32_t, const net::Endpoint&, const net::Endpoint&,
                   const net::Payload&) override {
    return false;
  }

 private:
  net::Stack* stack_ = nullptr;
  uint8_t copy_[65536];
};

/// Closed loop: every connection has one message under way.
class Client final : public net::FlowEvents, public net::FrameSink {
 public:
  Client(port::Port& port, const net::StackConfig& config, rte_mempool* headers,
         rte_mempool* frames, uint32_t message_bytes)
      : port_(port),
        counters_(values_),
        stack_(config, net::Environment{*this, random_, counters_, headers, frames}),
        message_(message_bytes, 'x') {}

  void connect(const net::Endpoint& server) {
    if (stack_.tcp_connect(server, *this, 0) == nullptr) fail("the client cannot connect");
  }
  void turn(uint64_t now_us) {
    stack_.set_now(now_us);
    rte_mbuf* frames[256];
    while (uint32_t count = port_.receive(frames, 256)) stack_.input(frames, count);
    stack_.run_timers();
    stack_.flush();
    flush();
  }
  uint64_t echoed() const { return echoed_; }
  uint32_t open() const { return open_; }

  void transmit(rte_mbuf* frame) override {
    out_.push_back(frame);
    if (out_.size() == 256) flush();
  }
  bool on_knock(uint32_t, const net::Endpoint&) override { return false; }
  bool on_opened(net::Connection& connection, uint32_t, bool) override {
    open_++;
    stack_.send_copy(connection, message_);
    return true;
  }
  bool on_data(net::Connection& connection, const net::Payload& payload) override {
    received_ += payload.length_bytes;
    stack_.consume(connection, payload.length_bytes);
    // One message a connection and one segment a message, so each payload is a whole echo.
    echoed_++;
    stack_.send_copy(connection, message_);
    return true;
  }
  void on_end(net::Connection&) override {}
  void on_acknowledged(net::Connection&, uint32_t) override {}
  void on_closed(net::Connection&, net::CloseReason) override { fail("a connection ended"); }
  bool on_datagram(uint32_t, const net::Endpoint&, const net::Endpoint&,
                   const net::Payload&) override {
    return false;
  }

 private:
  void flush() {
    uint32_t sent = port_.transmit(out_.data(), static_cast<uint32_t>(out_.size()));
    if (sent != out_.size()) fail("the ring is full");
    out_.clear();
  }

  port::Port& port_;
  uint64_t values_[kCounterCount] = {};
  Counters counters_;
  worker::Random random_{1};
  net::Stack stack_;
  std::vector<uint8_t> message_;
  std::vector<rte_mbuf*> out_;
  uint64_t echoed_ = 0;
  uint64_t received_ = 0;
  uint32_t open_ = 0;
};

std::shared_ptr<sandbox::Module> load(sandbox::Engine& engine, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<uint8_t> wasm{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (wasm.empty()) fail("cannot read " + path);
  weir_admit_limits limits{};
  limits.memory_pages = 320 + 256;
  weir_admission* admission = nullptr;
  size_t bytes = 0;
  if (weir_admit(wasm.data(), wasm.size(), &limits, &admission) != WEIR_ADMITTED)
    fail(weir_admission_report(admission, &bytes));
  const uint8_t* rewritten = weir_admission_module(admission, &bytes);
  std::string error;
  auto compiled = engine.compile({rewritten, bytes}, error);
  weir_admission_delete(admission);
  if (!error.empty()) fail(error);
  auto module = engine.load(compiled, error);
  if (!module) fail(error);
  return module;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string name = argv[i], value = argv[i + 1];
    if (name == "--handler")
      options.handler = value;
    else if (name == "--module")
      options.module = value;
    else if (name == "--batch")
      options.batch = static_cast<uint32_t>(std::stoul(value));
    else if (name == "--connections")
      options.connections = static_cast<uint32_t>(std::stoul(value));
    else if (name == "--bytes")
      options.message_bytes = static_cast<uint32_t>(std::stoul(value));
    else if (name == "--messages")
      options.messages = std::stoull(value);
    else if (name == "--windows")
      options.windows = static_cast<uint32_t>(std::stoul(value));
    else
      fail("unknown option " + name);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Options options = parse(argc, argv);
  std::string error = start_eal({});
  if (!error.empty()) fail(error);
  EalThread registered;
  auto engine = sandbox::Engine::create(error);
  if (!engine) fail(error);
  auto frames = PacketPool::create({.name = "frames", .count = 16383}, error);
  auto headers = PacketPool::create(
      {.name = "headers", .count = 32767, .data_bytes = kHeaderDataBytes}, error);
  if (!frames || !headers) fail(error);
  auto [server_port, client_port] = port::RingPort::make_pair(8192);

  net::StackConfig server_stack, client_stack;
  server_stack.link_address = server_port->link_address();
  server_stack.addresses = {{net::Address::v4(0x0a000001), 24}};
  client_stack.link_address = client_port->link_address();
  client_stack.addresses = {{net::Address::v4(0x0a000002), 24}};

  static uint64_t server_counters[kCounterCount];
  static uint64_t app_counters[sandbox::kAppCounterCount];
  sandbox::EventLog log;
  worker::WorkerConfig config;
  config.batch = options.batch;
  config.seed = 7;
  config.stack = server_stack;
  auto server = std::make_unique<worker::Worker>(
      config, worker::WorkerResources{*server_port, *engine, log, headers->get(), frames->get(),
                                      server_counters});
  auto native = std::make_unique<NativeEcho>();
  native->serve(server->stack());
  if (options.handler == "native") {
    if (!server->stack().tcp_listen(7, *native, 0)) fail("cannot listen");
  } else {
    sandbox::AppConfig app;
    app.id = 1;
    app.name = "echo";
    app.listens.push_back({"main", "tcp", sandbox::Protocol::tcp, 7});
    app.max_connections = options.connections + 1;
    app.call_limit_us = 1'000'000;
    if (!server->deploy(app, load(*engine, options.module), app_counters, error)) fail(error);
  }
  auto client = std::make_unique<Client>(*client_port, client_stack, headers->get(), frames->get(),
                                         options.message_bytes);

  uint64_t now_us = 1'000'000;
  uint64_t server_ticks = 0;
  uint64_t server_cycles = 0;
  auto step = [&] {
    now_us += 5;
    client->turn(now_us);
    // The server works off what lies in its ring, B frames at a time.
    bool busy = true;
    while (busy) {
      uint64_t before = rte_rdtsc();
      busy = server->cycle(now_us);
      server_ticks += rte_rdtsc() - before;
      server_cycles++;
    }
  };
  // Neighbors first, then all connections.
  for (uint32_t i = 0; i < options.connections; i++) {
    client->connect({net::Address::v4(0x0a000001), 7});
    step();
  }
  for (int i = 0; i < 1000 && client->open() < options.connections; i++) step();
  if (client->open() < options.connections) {
    for (const auto& event : log.drain()) std::fprintf(stderr, "%s\n", event.text.c_str());
    fail("only " + std::to_string(client->open()) + " connections were opened");
  }
  uint64_t warm = client->echoed() + std::max<uint64_t>(1000, options.messages / 20);
  while (client->echoed() < warm) step();

  std::vector<double> ns;
  uint64_t messages = 0;
  for (uint32_t window = 0; window < options.windows; window++) {
    uint64_t ticks_before = server_ticks;
    uint64_t echoed_before = client->echoed();
    uint64_t end = echoed_before + options.messages / options.windows;
    while (client->echoed() < end) step();
    uint64_t done = client->echoed() - echoed_before;
    messages += done;
    ns.push_back(static_cast<double>(server_ticks - ticks_before) * 1e9 /
                 static_cast<double>(rte_get_tsc_hz()) / static_cast<double>(done));
  }
  std::sort(ns.begin(), ns.end());
  std::printf(
      "{\"handler\":\"%s\",\"batch\":%u,\"connections\":%u,\"bytes\":%u,\"messages\":%llu,"
      "\"ns\":{\"median\":%.1f,\"min\":%.1f,\"max\":%.1f},\"perSecond\":%.0f,\"retransmits\":%llu,"
      "\"refusals\":%llu}\n",
      options.handler.c_str(), options.batch, options.connections, options.message_bytes,
      static_cast<unsigned long long>(messages), ns[ns.size() / 2], ns.front(), ns.back(),
      1e9 / ns[ns.size() / 2],
      static_cast<unsigned long long>(server->counters()[Counter::tcp_retransmits]),
      static_cast<unsigned long long>(server->counters()[Counter::guest_refusals]));
  std::fflush(stdout);
  client.reset();
  server.reset();
  // The ring may still hold frames; the process ends here and takes them along.
  std::_Exit(0);
}
