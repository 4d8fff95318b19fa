#include "testbed/testbed.h"

#include <arpa/inet.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "net/tcp/connection.h"
#include "sim/random.h"

namespace weir::testbed {
namespace {

constexpr std::array<uint8_t, 6> kHostLinkAddress = {0x02, 0, 0, 0, 0, 1};
constexpr uint32_t kCycleUs = 1;
/// What is handed to TCP at once: it takes a piece whole or not at all.
constexpr uint32_t kPieceBytes = 16 * 1024;

/// A generator of its own for each part, so that none depends on how much another one draws.
uint64_t seed_of(uint64_t seed, uint64_t part) { return sim::Random(seed ^ part << 32).next() | 1; }

/// RFC 826: whoever is asked learns the address of who asks.
sim::Frame arp_request(const sim::LinkAddress& from_link, const net::Address& from,
                       const net::Address& to) {
  sim::Frame frame(6, 0xff);
  frame.insert(frame.end(), from_link.begin(), from_link.end());
  // Type ARP, then: Ethernet, IPv4, lengths of both, request.
  for (const uint8_t byte : {0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1}) frame.push_back(byte);
  frame.insert(frame.end(), from_link.begin(), from_link.end());
  frame.insert(frame.end(), from.bytes.begin() + 12, from.bytes.end());
  frame.insert(frame.end(), 6, 0);
  frame.insert(frame.end(), to.bytes.begin() + 12, to.bytes.end());
  return frame;
}

std::string text_of(const net::Address& address, uint16_t port) {
  char text[INET6_ADDRSTRLEN];
  if (address.is_v4())
    inet_ntop(AF_INET, address.bytes.data() + 12, text, sizeof text);
  else
    inet_ntop(AF_INET6, address.bytes.data(), text, sizeof text);
  return (address.is_v4() ? std::string(text) : "[" + std::string(text) + "]") + ":" +
         std::to_string(port);
}

/// Whether one of these is the peer's at this port: a stack lets its owner take a port over.
template <typename Endpoint>
bool holds(const std::unordered_map<uint32_t, Endpoint>& endpoints, const Peer& peer,
           uint16_t port) {
  return std::any_of(endpoints.begin(), endpoints.end(), [&](const auto& entry) {
    return entry.second.peer == &peer && entry.second.port == port;
  });
}

}  // namespace

Testbed::Testbed(const TestbedConfig& config, sandbox::Engine& engine)
    : config_(config),
      engine_(engine),
      to_host_({}, seed_of(config.seed, 1)),
      from_host_({}, seed_of(config.seed, 2)) {}

std::unique_ptr<Testbed> Testbed::create(const TestbedConfig& config, sandbox::Engine& engine,
                                         std::string& error) {
  std::unique_ptr<Testbed> self(new Testbed(config, engine));
  if (!self->make_pools(error)) return nullptr;
  if (!config.capture_path.empty()) {
    self->capture_ = sim::PcapWriter::create(config.capture_path, error);
    if (self->capture_ == nullptr) return nullptr;
  }
  self->make_worker();
  return self;
}

bool Testbed::make_pools(std::string& error) {
  // DPDK wants names that are unique in the process.
  char name[20];
  std::snprintf(name, sizeof name, "%zx", reinterpret_cast<uintptr_t>(this));
  frames_ = PacketPool::create({.name = std::string("f") + name, .count = kBuffers}, error);
  if (frames_ != nullptr)
    headers_ = PacketPool::create(
        {.name = std::string("h") + name, .count = kBuffers, .data_bytes = kHeaderDataBytes},
        error);
  if (headers_ != nullptr) return true;
  error += "; close test hosts that are no longer needed";
  return false;
}

void Testbed::make_worker() {
  port_ = std::make_unique<LinkPort>(to_host_, from_host_, *frames_, kHostLinkAddress, kMtuBytes);
  port_->set_capture(capture_.get());
  worker::WorkerConfig config;
  config.seed = seed_of(config_.seed, 3);
  config.wall_offset_us = config_.wall_start_us - kStartUs;
  config.stack = station_config(config_.addresses, kHostLinkAddress, kMtuBytes);
  worker_ = std::make_unique<worker::Worker>(
      config, worker::WorkerResources{*port_, engine_, log_, headers_->get(), frames_->get(),
                                      values_.data()});
  enter_time(now_us_);
}

Testbed::~Testbed() { shut_down(); }

uint32_t Testbed::shut_down() {
  if (worker_ == nullptr) return 0;
  worker_.reset();
  peers_.clear();
  endpoints_.connections.clear();
  endpoints_.sockets.clear();
  endpoints_.listeners.clear();
  capture_.reset();
  const uint32_t left = 2 * kBuffers - frames_->free_count() - headers_->free_count();
  // A pool whose buffers are still out cannot be freed: whoever has them would write into memory of
  // somebody else.
  if (left != 0) {
    static_cast<void>(frames_.release());
    static_cast<void>(headers_.release());
  }
  return left;
}

// ---- time ----

void Testbed::enter_time(uint64_t now_us) {
  now_us_ = now_us;
  port_->set_now(now_us);
  worker_->stack().set_now(now_us);
  for (auto& peer : peers_) peer->set_now(now_us);
}

uint64_t Testbed::host_next_us() const {
  uint64_t next = worker_->has_work() ? now_us_ : worker_->next_deadline_us();
  const uint64_t arrival_ns = to_host_.next_ns();
  if (arrival_ns != UINT64_MAX) next = std::min(next, (arrival_ns + 999) / 1000);
  return next == UINT64_MAX ? next : std::max(next, host_busy_until_us_);
}

uint64_t Testbed::next_us() const {
  uint64_t next = host_next_us();
  const uint64_t arrival_ns = from_host_.next_ns();
  if (arrival_ns != UINT64_MAX) next = std::min(next, (arrival_ns + 999) / 1000);
  for (const auto& peer : peers_) next = std::min(next, peer->next_us());
  return std::max(next, now_us_);
}

void Testbed::turn() {
  if (host_next_us() <= now_us_) {
    worker_->cycle(now_us_);
    host_busy_until_us_ = now_us_ + kCycleUs;
  }
  sim::Link::Arrival arrival;
  while (from_host_.receive(now_us_ * 1000, arrival))
    for (auto& peer : peers_)
      if ((arrival.frame[0] & 1) != 0 ||
          std::equal(peer->config().link_address.begin(), peer->config().link_address.end(),
                     arrival.frame.begin()))
        peer->input(arrival.frame);
  for (auto& peer : peers_) peer->turn();
}

Stop Testbed::run(uint64_t until_us) {
  endpoints_.stirred = false;
  engine_.worker_active();
  until_us = std::max(until_us, now_us_);
  Stop stop = Stop::paused;
  for (uint32_t turns = 0; turns < kMaxTurns && stop == Stop::paused; turns++) {
    const uint64_t next = next_us();
    enter_time(std::min(next, until_us));
    if (next > until_us) {
      stop = Stop::reached;
    } else {
      turn();
      if (endpoints_.stirred) stop = Stop::stirred;
    }
  }
  engine_.worker_idle();
  return stop;
}

// ---- the host ----

bool Testbed::deploy(sandbox::AppConfig config, std::span<const uint8_t> compiled,
                     std::string& error) {
  auto module = engine_.load(compiled, error);
  return module != nullptr &&
         worker_->deploy(std::move(config), std::move(module), app_values_.data(), error);
}

void Testbed::configure(Direction direction, const sim::LinkConfig& config) {
  (direction == Direction::to_host ? to_host_ : from_host_).configure(config);
}

// ---- the peers ----

Peer* Testbed::peer_at(const net::Address& address, std::string& error) {
  for (auto& peer : peers_)
    if (peer->config().address == address) return peer.get();
  const net::Address* host = host_address(address);
  if (host == nullptr || address == *host || peers_.size() == kMaxPeers) {
    error = host == nullptr    ? "the host has no address of this family"
            : address == *host ? "this is the address of the host itself"
                               : "a test can play " + std::to_string(kMaxPeers) + " addresses";
    return nullptr;
  }
  const auto number = static_cast<uint8_t>(peers_.size());
  const uint64_t seed = seed_of(config_.seed, 4 + address.low_word());
  peers_.push_back(
      std::make_unique<Peer>(Peer::Config{address, {0x02, 0, 0, 0, 1, number}, seed, kMtuBytes},
                             endpoints_, to_host_, *frames_, *headers_));
  peers_.back()->set_now(now_us_);
  introduce(*peers_.back());
  return peers_.back().get();
}

const net::Address* Testbed::host_address(const net::Address& peer) const {
  for (const net::Address& address : config_.addresses)
    if (address.is_v4() == peer.is_v4()) return &address;
  return nullptr;
}

/// Host and peer know each other's link address from the start, so that a test's first round trip
/// takes as long as the others and what the link loses is the test's own. Those of IPv6 ask.
void Testbed::introduce(Peer& peer) {
  const auto& there = peer.config();
  if (!there.address.is_v4()) return;
  const net::Address& host = *host_address(there.address);
  peer.input(arp_request(kHostLinkAddress, host, there.address));
  rte_mbuf* frame = buffer_of(arp_request(there.link_address, there.address, host), *frames_);
  if (frame != nullptr) worker_->stack().input(&frame, 1);
}

PeerConnection* Testbed::find(uint32_t id) {
  const auto found = endpoints_.connections.find(id);
  return found == endpoints_.connections.end() ? nullptr : &found->second;
}

const PeerConnection* Testbed::connection(uint32_t id) const {
  const auto found = endpoints_.connections.find(id);
  return found == endpoints_.connections.end() ? nullptr : &found->second;
}

const PeerSocket* Testbed::socket(uint32_t id) const {
  const auto found = endpoints_.sockets.find(id);
  return found == endpoints_.sockets.end() ? nullptr : &found->second;
}

std::optional<net::ConnectionInfo> Testbed::info(uint32_t id) const {
  const PeerConnection* here = connection(id);
  if (here == nullptr || here->connection == nullptr) return std::nullopt;
  return here->peer->stack().info(*here->connection);
}

uint64_t Testbed::overflowed() const {
  uint64_t frames = port_ == nullptr ? 0 : port_->overflowed();
  for (const auto& peer : peers_) frames += peer->lost();
  return frames;
}

bool Testbed::connect(uint32_t id, const net::Address& from, uint16_t port, std::string& error) {
  Peer* peer = peer_at(from, error);
  if (peer == nullptr) return false;
  if (endpoints_.connections.size() >= Endpoints::kMost) {
    error = std::to_string(Endpoints::kMost) + " connections are open; close some";
    return false;
  }
  PeerConnection& here = endpoints_.connections[id];
  here.peer = peer;
  here.remote = {*host_address(from), port};
  here.connection = peer->stack().tcp_connect(here.remote, *peer, id);
  if (here.connection == nullptr) {
    endpoints_.connections.erase(id);
    error =
        "no port or connection is free at the peer; close some, or connect from another address";
    return false;
  }
  peer->turn();
  return true;
}

bool Testbed::listen(uint32_t id, const net::Address& address, uint16_t port, std::string& error) {
  Peer* peer = peer_at(address, error);
  if (peer == nullptr) return false;
  if (endpoints_.listeners.size() >= Endpoints::kMost || holds(endpoints_.listeners, *peer, port) ||
      !peer->stack().tcp_listen(port, *peer, id)) {
    error = "the test listens at " + text_of(address, port) + " already";
    return false;
  }
  endpoints_.listeners[id] = {.peer = peer, .port = port};
  return true;
}

bool Testbed::bind(uint32_t id, const net::Address& address, uint16_t port, std::string& error) {
  Peer* peer = peer_at(address, error);
  if (peer == nullptr) return false;
  if (endpoints_.sockets.size() >= Endpoints::kMost || holds(endpoints_.sockets, *peer, port) ||
      !peer->stack().udp_bind(port, *peer, id)) {
    error = "the test has a UDP socket at " + text_of(address, port) + " already";
    return false;
  }
  endpoints_.sockets[id] = {.peer = peer, .port = port};
  return true;
}

uint32_t Testbed::write(uint32_t id, std::span<const uint8_t> bytes) {
  PeerConnection* here = find(id);
  if (here == nullptr || here->connection == nullptr) return 0;
  uint32_t taken = 0;
  while (taken < bytes.size()) {
    const auto piece = bytes.subspan(taken, std::min<size_t>(kPieceBytes, bytes.size() - taken));
    if (here->peer->stack().send_copy(*here->connection, piece) != net::SendResult::ok) break;
    taken += static_cast<uint32_t>(piece.size());
    // A connection may end while it sends.
    if (here->connection == nullptr) break;
  }
  here->written_bytes += taken;
  here->peer->turn();
  return taken;
}

std::vector<uint8_t> Testbed::take(uint32_t id) {
  PeerConnection* here = find(id);
  return here == nullptr ? std::vector<uint8_t>() : std::exchange(here->received, {});
}

void Testbed::consume(uint32_t id, uint32_t bytes) {
  PeerConnection* here = find(id);
  if (here == nullptr || here->connection == nullptr) return;
  here->peer->stack().consume(*here->connection, bytes);
  here->peer->turn();
}

void Testbed::end(uint32_t id) {
  PeerConnection* here = find(id);
  if (here == nullptr || here->connection == nullptr) return;
  here->peer->stack().close(*here->connection);
  here->peer->turn();
}

void Testbed::abort(uint32_t id) {
  PeerConnection* here = find(id);
  if (here == nullptr || here->connection == nullptr) return;
  here->peer->stack().abort(*here->connection);
  here->connection = nullptr;
  here->closed = net::CloseReason::aborted;
  here->peer->turn();
}

uint32_t Testbed::accept(uint32_t id) {
  const auto listener = endpoints_.listeners.find(id);
  if (listener == endpoints_.listeners.end() || listener->second.waiting.empty()) return 0;
  const uint32_t accepted = listener->second.waiting.front();
  listener->second.waiting.pop_front();
  return accepted;
}

bool Testbed::send_datagram(uint32_t id, uint16_t port, std::span<const uint8_t> bytes) {
  const auto socket = endpoints_.sockets.find(id);
  if (socket == endpoints_.sockets.end()) return false;
  Peer& peer = *socket->second.peer;
  const net::Endpoint host = {*host_address(peer.config().address), port};
  const bool sent = peer.stack().udp_send(socket->second.port, host, bytes);
  peer.turn();
  return sent;
}

bool Testbed::receive_datagram(uint32_t id, Datagram& datagram) {
  const auto socket = endpoints_.sockets.find(id);
  if (socket == endpoints_.sockets.end() || socket->second.waiting.empty()) return false;
  datagram = std::move(socket->second.waiting.front());
  socket->second.waiting.pop_front();
  return true;
}

void Testbed::close(uint32_t id) {
  if (find(id) != nullptr) {
    abort(id);
    endpoints_.connections.erase(id);
  }
  if (const auto socket = endpoints_.sockets.find(id); socket != endpoints_.sockets.end()) {
    socket->second.peer->stack().udp_unbind(socket->second.port);
    endpoints_.sockets.erase(socket);
  }
  if (const auto listener = endpoints_.listeners.find(id); listener != endpoints_.listeners.end()) {
    listener->second.peer->stack().tcp_unlisten(listener->second.port);
    for (const uint32_t waiting : std::exchange(listener->second.waiting, {})) close(waiting);
    endpoints_.listeners.erase(id);
  }
}

}  // namespace weir::testbed
