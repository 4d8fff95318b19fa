#include "testbed/peer.h"

#include <rte_mbuf.h>

#include "net/tcp/connection.h"
#include "testbed/link_port.h"

namespace weir::testbed {
namespace {

constexpr uint32_t kMaxConnections = 8192;
constexpr uint32_t kReceiveBufferBytes = 256 * 1024;

std::vector<uint8_t> bytes_of(const net::Payload& payload) {
  std::vector<uint8_t> bytes(payload.length_bytes);
  if (bytes.empty()) return bytes;
  const auto* at = static_cast<const uint8_t*>(
      rte_pktmbuf_read(payload.head, payload.offset_bytes, payload.length_bytes, bytes.data()));
  // It copies only what lies in several segments.
  if (at != bytes.data()) bytes.assign(at, at + payload.length_bytes);
  return bytes;
}

}  // namespace

net::StackConfig station_config(std::span<const net::Address> addresses,
                                const std::array<uint8_t, 6>& link_address, uint16_t mtu_bytes) {
  net::StackConfig config;
  config.link_address = link_address;
  for (const net::Address& address : addresses) config.addresses.push_back({address, 0});
  // Nobody else is on the link.
  config.duplicate_address_probes = 0;
  config.mtu_bytes = mtu_bytes;
  config.max_connections = kMaxConnections;
  config.max_half_open = kMaxConnections;
  config.max_time_wait = kMaxConnections;
  config.max_sent_segments = 64 * 1024;
  return config;
}

Peer::Peer(const Config& config, Endpoints& endpoints, sim::Link& outgoing,
           const PacketPool& frames, const PacketPool& headers)
    : config_(config),
      endpoints_(endpoints),
      outgoing_(outgoing),
      frames_(frames),
      random_(config.seed) {
  const net::Environment environment{*this, random_, counters_, headers.get(), frames.get()};
  net::StackConfig station =
      station_config({&config.address, 1}, config.link_address, config.mtu_bytes);
  // What a test does not read is to be noticed by the handler soon.
  station.receive_buffer_bytes = station.first_receive_buffer_bytes = kReceiveBufferBytes;
  stack_ = std::make_unique<net::Stack>(station, environment);
}

Peer::~Peer() = default;

void Peer::set_now(uint64_t now_us) {
  now_us_ = now_us;
  stack_->set_now(now_us);
}

void Peer::input(const sim::Frame& frame) {
  rte_mbuf* buffer = buffer_of(frame, frames_);
  if (buffer == nullptr) {
    lost_++;
    return;
  }
  stack_->input(&buffer, 1);
}

void Peer::turn() {
  if (stack_->next_deadline_us() <= now_us_) stack_->run_timers();
  stack_->flush();
}

void Peer::transmit(rte_mbuf* frame) {
  const sim::Frame bytes = testbed::bytes_of(frame);
  rte_pktmbuf_free(frame);
  if (under_way(outgoing_) < LinkPort::kMaxUnderWay)
    outgoing_.send(bytes, now_us_ * 1000);
  else
    lost_++;
}

bool Peer::on_knock(uint32_t listener_tag, const net::Endpoint&) {
  const auto listener = endpoints_.listeners.find(listener_tag);
  return listener != endpoints_.listeners.end() &&
         listener->second.waiting.size() < Endpoints::kMostWaiting &&
         endpoints_.connections.size() < Endpoints::kMost;
}

bool Peer::on_opened(net::Connection& connection, uint32_t listener_tag, bool outbound) {
  if (!outbound) {
    // Others may have been opened since it knocked.
    if (!on_knock(listener_tag, connection.remote)) return false;
    connection.user = endpoints_.next_accepted++;
    endpoints_.listeners[listener_tag].waiting.push_back(connection.user);
    PeerConnection& accepted = endpoints_.connections[connection.user];
    accepted.peer = this;
    accepted.connection = &connection;
    accepted.remote = connection.remote;
  }
  connection.wants_acknowledged = true;
  endpoints_.connections[connection.user].opened = true;
  endpoints_.stirred = true;
  return true;
}

bool Peer::on_data(net::Connection& connection, const net::Payload& payload) {
  PeerConnection& here = endpoints_.connections[connection.user];
  const std::vector<uint8_t> bytes = bytes_of(payload);
  here.received.insert(here.received.end(), bytes.begin(), bytes.end());
  here.received_bytes += bytes.size();
  endpoints_.stirred = true;
  return true;
}

void Peer::on_end(net::Connection& connection) {
  endpoints_.connections[connection.user].ended = true;
  endpoints_.stirred = true;
}

void Peer::on_acknowledged(net::Connection& connection, uint32_t bytes) {
  endpoints_.connections[connection.user].acknowledged_bytes += bytes;
  endpoints_.stirred = true;
}

void Peer::on_closed(net::Connection& connection, net::CloseReason reason) {
  PeerConnection& here = endpoints_.connections[connection.user];
  here.connection = nullptr;
  here.closed = reason;
  endpoints_.stirred = true;
}

bool Peer::on_datagram(uint32_t listener_tag, const net::Endpoint& remote, const net::Endpoint&,
                       const net::Payload& payload) {
  const auto socket = endpoints_.sockets.find(listener_tag);
  if (socket == endpoints_.sockets.end()) return false;
  if (socket->second.waiting.size() >= Endpoints::kMostWaiting) {
    socket->second.lost++;
    return false;
  }
  socket->second.waiting.push_back({remote, bytes_of(payload)});
  endpoints_.stirred = true;
  return true;
}

}  // namespace weir::testbed
