/// Echo of small messages over an in-process ring: a client stack and a server worker take turns on
/// one thread, and the server's cycles are timed. With --cores each of them has such a pair, all in
/// one process. Prints one JSON object. bench/ring-echo.js runs it.
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <weir_engine.h>

#include <sched.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
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
  /// A window lasts so long, whatever was done in it; 0: until its part of the messages is done.
  double window_s = 0;
  /// A pair on each; -1 for any core.
  std::vector<int> cores = {-1};
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
  uint32_t open() const { return static_cast<uint32_t>(connections_.size()); }

  void transmit(rte_mbuf* frame) override {
    out_.push_back(frame);
    if (out_.size() == 256) flush();
  }
  bool on_knock(uint32_t, const net::Endpoint&) override { return false; }
  bool on_opened(net::Connection& connection, uint32_t, bool) override {
    connections_.push_back(&connection);
    return true;
  }
  /// The first message on each connection.
  void begin() {
    for (net::Connection* connection : connections_) stack_.send_copy(*connection, message_);
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
  std::vector<net::Connection*> connections_;
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

std::vector<int> parse_cores(const std::string& list) {
  std::vector<int> cores;
  std::istringstream in(list);
  for (std::string each; std::getline(in, each, ',');) cores.push_back(std::stoi(each));
  return cores;
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
    else if (name == "--window-s")
      options.window_s = std::stod(value);
    else if (name == "--cores")
      options.cores = parse_cores(value);
    else
      fail("unknown option " + name);
  }
  return options;
}

/// What a pair did.
struct Result {
  /// Of the server's cycles for a message, by window, ascending.
  std::vector<double> ns;
  /// Messages for each second of the clock, client and server together, by window, ascending.
  std::vector<double> per_second;
  uint64_t messages = 0;
  uint64_t retransmits = 0;
  uint64_t refusals = 0;
};

/// A server worker and its client, with all that is theirs, on the thread that makes them.
class Pair {
 public:
  Pair(const Options& options, sandbox::Engine& engine, std::shared_ptr<sandbox::Module> module,
       uint32_t index)
      : options_(options) {
    const std::string number = std::to_string(index);
    std::string error;
    frames_ = PacketPool::create({.name = "frames" + number, .count = 16383}, error);
    headers_ = PacketPool::create(
        {.name = "headers" + number, .count = 32767, .data_bytes = kHeaderDataBytes}, error);
    if (!frames_ || !headers_) fail(error);
    std::tie(server_port_, client_port_) = port::RingPort::make_pair(8192);
    net::StackConfig server_stack, client_stack;
    server_stack.link_address = server_port_->link_address();
    server_stack.addresses = {{net::Address::v4(0x0a000001), 24}};
    client_stack.link_address = client_port_->link_address();
    client_stack.addresses = {{net::Address::v4(0x0a000002), 24}};
    worker::WorkerConfig config;
    config.batch = options.batch;
    config.seed = 7;
    config.stack = server_stack;
    server_ = std::make_unique<worker::Worker>(
        config, worker::WorkerResources{*server_port_, engine, log_, headers_->get(),
                                        frames_->get(), server_counters_});
    native_.serve(server_->stack());
    if (module == nullptr) {
      if (!server_->stack().tcp_listen(7, native_, 0)) fail("cannot listen");
    } else {
      sandbox::AppConfig app;
      app.id = 1;
      app.name = "echo";
      app.listens.push_back({"main", "tcp", sandbox::Protocol::tcp, 7});
      app.max_connections = options.connections + 1;
      app.call_limit_us = 1'000'000;
      if (!server_->deploy(app, std::move(module), app_counters_, error)) fail(error);
    }
    client_ = std::make_unique<Client>(*client_port_, client_stack, headers_->get(), frames_->get(),
                                       options.message_bytes);
    open();
  }
  ~Pair() {
    client_.reset();
    server_.reset();
  }

  void warm_up() {
    const uint64_t warm = client_->echoed() + std::max<uint64_t>(1000, options_.messages / 20);
    while (client_->echoed() < warm) step();
  }
  Result run() {
    using Clock = std::chrono::steady_clock;
    Result result;
    for (uint32_t window = 0; window < options_.windows; window++) {
      const uint64_t ticks_before = server_ticks_, echoed_before = client_->echoed();
      const uint64_t end = echoed_before + options_.messages / options_.windows;
      const auto begun = Clock::now();
      const auto elapsed_s = [&] {
        return std::chrono::duration<double>(Clock::now() - begun).count();
      };
      if (options_.window_s > 0) {
        while (elapsed_s() < options_.window_s)
          for (int i = 0; i < 100; i++) step();
      } else {
        while (client_->echoed() < end) step();
      }
      const uint64_t done = client_->echoed() - echoed_before;
      result.messages += done;
      result.per_second.push_back(static_cast<double>(done) / elapsed_s());
      result.ns.push_back(static_cast<double>(server_ticks_ - ticks_before) * 1e9 /
                          static_cast<double>(rte_get_tsc_hz()) / static_cast<double>(done));
    }
    std::sort(result.ns.begin(), result.ns.end());
    std::sort(result.per_second.begin(), result.per_second.end());
    result.retransmits = server_->counters()[Counter::tcp_retransmits];
    result.refusals = server_->counters()[Counter::guest_refusals];
    return result;
  }

 private:
  void step() {
    now_us_ += 5;
    client_->turn(now_us_);
    // The server works off what lies in its ring, B frames at a time.
    bool busy = true;
    while (busy) {
      const uint64_t before = rte_rdtsc();
      busy = server_->cycle(now_us_);
      server_ticks_ += rte_rdtsc() - before;
    }
  }
  /// Neighbors first, then all connections.
  void open() {
    for (uint32_t i = 0; i < options_.connections; i++) {
      client_->connect({net::Address::v4(0x0a000001), 7});
      step();
    }
    for (int i = 0; i < 1000 && client_->open() < options_.connections; i++) step();
    if (client_->open() == options_.connections) return client_->begin();
    for (const auto& event : log_.drain()) std::fprintf(stderr, "%s\n", event.text.c_str());
    fail("only " + std::to_string(client_->open()) + " connections were opened");
  }

  const Options& options_;
  std::unique_ptr<PacketPool> frames_, headers_;
  std::unique_ptr<port::RingPort> server_port_, client_port_;
  uint64_t server_counters_[kCounterCount] = {};
  uint64_t app_counters_[sandbox::kAppCounterCount] = {};
  sandbox::EventLog log_;
  std::unique_ptr<worker::Worker> server_;
  NativeEcho native_;
  std::unique_ptr<Client> client_;
  uint64_t now_us_ = 1'000'000;
  uint64_t server_ticks_ = 0;
};

void print(const Options& options, const std::vector<Result>& results) {
  const Result& first = results.front();
  double per_second = 0;
  uint64_t messages = 0, retransmits = 0, refusals = 0;
  for (const Result& each : results) {
    per_second += each.per_second[each.per_second.size() / 2];
    messages += each.messages;
    retransmits += each.retransmits;
    refusals += each.refusals;
  }
  const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf(
      "{\"handler\":\"%s\",\"batch\":%u,\"connections\":%u,\"bytes\":%u,\"messages\":%llu,"
      "\"ns\":{\"median\":%.1f,\"min\":%.1f,\"max\":%.1f},\"perSecond\":%.0f,\"retransmits\":%llu,"
      "\"refusals\":%llu}\n",
      options.handler.c_str(), options.batch, options.connections, options.message_bytes,
      number(messages), first.ns[first.ns.size() / 2], first.ns.front(), first.ns.back(),
      per_second, number(retransmits), number(refusals));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  std::string error = start_eal({.memory_mib = 256 * static_cast<uint32_t>(options.cores.size())});
  if (!error.empty()) fail(error);
  auto engine = sandbox::Engine::create(error);
  if (!engine) fail(error);
  std::shared_ptr<sandbox::Module> module;
  if (options.handler != "native") module = load(*engine, options.module);

  std::vector<Result> results(options.cores.size());
  std::barrier all_ready(static_cast<std::ptrdiff_t>(options.cores.size()));
  std::vector<std::thread> threads;
  // One alone stays on this thread, so that instructions of its cycle are the only ones to count.
  const auto run = [&](uint32_t index) {
    EalThread registered;
    if (options.cores[index] >= 0) {
      cpu_set_t cpus;
      CPU_ZERO(&cpus);
      CPU_SET(options.cores[index], &cpus);
      sched_setaffinity(0, sizeof cpus, &cpus);
    }
    Pair pair(options, *engine, module, index);
    pair.warm_up();
    all_ready.arrive_and_wait();
    results[index] = pair.run();
    all_ready.arrive_and_wait();
  };
  for (uint32_t index = 1; index < options.cores.size(); index++) threads.emplace_back(run, index);
  run(0);
  for (std::thread& thread : threads) thread.join();
  print(options, results);
  // A ring may still hold frames; the process ends here and takes them along.
  std::_Exit(0);
}
