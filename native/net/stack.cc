#include "net/stack.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <cstring>

#include "net/clock.h"
#include "net/icmp/icmp.h"
#include "net/ip/input.h"
#include "net/ip/ipv4_header.h"
#include "net/ip/routing.h"
#include "net/ip/sender.h"
#include "net/link/arp.h"
#include "net/link/ethernet.h"
#include "net/link/neighbor_cache.h"
#include "net/tcp/tcp.h"
#include "net/udp/udp.h"

namespace weir::net {

namespace {

/// Frames that are worked on together: TCP gets the segments of that many at once.
constexpr uint32_t kBatch = 64;
/// How many frames ahead headers are prefetched.
constexpr uint32_t kPrefetchAhead = 4;

link::NeighborLimits neighbor_limits(const StackConfig& config) {
  link::NeighborLimits limits;
  limits.max_neighbors = config.max_neighbors;
  return limits;
}

}  // namespace

/// The layers of a stack, and what passes between them against the usual direction.
struct Stack::Layers final : icmp::ErrorListener, link::UnreachableListener {
  Layers(const StackConfig& config, const Environment& environment_)
      : environment(environment_),
        routing(config),
        ethernet(config.link_address, environment),
        neighbors(neighbor_limits(config), clock, environment, ethernet, *this),
        arp(clock, environment, routing, ethernet, neighbors),
        ip_input(environment, routing),
        ip_output(environment, routing, neighbors, arp, config.mtu_bytes),
        icmp(clock, environment, routing, ip_output, *this),
        udp(environment, ip_output, icmp, config.max_listeners),
        tcp(config, environment, ip_output) {}

  /// Takes one frame as far as its transport. True if it is a TCP segment, which then is in
  /// `incoming`.
  bool receive(rte_mbuf* frame, ip::Incoming& incoming) {
    link::Ethernet::Incoming framing;
    if (!ethernet.receive(frame, framing)) return false;
    switch (framing.type) {
      case link::kTypeIpv4:
        if (!ip_input.receive_v4(frame, framing.to_group, incoming)) return false;
        break;
      case link::kTypeArp:
        arp.input(frame);
        return false;
      case link::kTypeIpv6:
        environment.counters.add(Counter::drop_ip_v6);
        rte_pktmbuf_free(frame);
        return false;
      default:
        environment.counters.add(Counter::drop_link_unknown_type);
        rte_pktmbuf_free(frame);
        return false;
    }
    switch (incoming.protocol) {
      case ip::kProtocolTcp:
        return true;
      case ip::kProtocolUdp:
        udp.input(incoming);
        return false;
      case ip::kProtocolIcmp:
        icmp.input(incoming.received);
        return false;
      default:
        // RFC 1122 section 3.2.2.1.
        icmp.send_unreachable(incoming.received, icmp::Unreachable::protocol);
        environment.counters.add(Counter::drop_ip_protocol);
        rte_pktmbuf_free(frame);
        return false;
    }
  }

  bool on_icmp_error(uint8_t protocol, const Address& local, const Address& remote,
                     std::span<const uint8_t> quoted, const ip::DeliveryError& error) override {
    if (protocol == ip::kProtocolTcp) tcp.on_icmp_error(local, remote, quoted, error);
    // A datagram has no flow that could be told.
    return protocol == ip::kProtocolTcp || protocol == ip::kProtocolUdp;
  }

  /// What the link could not deliver is told to the transport (RFC 1122 section 2.4). A connection
  /// that is being opened ends then: nobody is there.
  void on_unreachable(const rte_mbuf* packet) override {
    uint8_t copy[sizeof(ip::Ipv4Header) + 8];
    const void* bytes = rte_pktmbuf_read(packet, 0, sizeof copy, copy);
    if (bytes == nullptr) return;
    if (bytes != copy) std::memcpy(copy, bytes, sizeof copy);
    const auto* header = reinterpret_cast<const ip::Ipv4Header*>(copy);
    on_icmp_error(header->protocol, Address::v4(rte_be_to_cpu_32(header->source_be)),
                  Address::v4(rte_be_to_cpu_32(header->destination_be)),
                  {copy + sizeof(ip::Ipv4Header), 8}, {ip::DeliveryError::Kind::hard});
  }

  Clock clock;
  Environment environment;
  ip::Routing routing;
  link::Ethernet ethernet;
  link::NeighborCache neighbors;
  link::Arp arp;
  ip::Input ip_input;
  ip::Sender ip_output;
  icmp::Icmp icmp;
  udp::Udp udp;
  tcp::Tcp tcp;
  /// What of the present batch is TCP's.
  std::array<ip::Received, kBatch> segments;
};

Stack::Stack(const StackConfig& config, const Environment& environment)
    : layers_(std::make_unique<Layers>(config, environment)) {}
Stack::~Stack() = default;

void Stack::set_now(uint64_t now_us) {
  layers_->clock.now_us = now_us;
  layers_->tcp.set_now(now_us);
}

void Stack::input(rte_mbuf** frames, uint32_t count) {
  const auto prefetch = [&](uint32_t i) {
    if (i < count) rte_prefetch0(rte_pktmbuf_mtod(frames[i], const void*));
  };
  for (uint32_t i = 0; i < kPrefetchAhead; i++) prefetch(i);
  ip::Incoming incoming;
  for (uint32_t at = 0; at < count; at += kBatch) {
    const uint32_t end = std::min(at + kBatch, count);
    uint32_t segment_count = 0;
    for (uint32_t i = at; i < end; i++) {
      prefetch(i + kPrefetchAhead);
      if (layers_->receive(frames[i], incoming)) layers_->segments[segment_count++] = incoming.received;
    }
    if (segment_count > 0) layers_->tcp.input({layers_->segments.data(), segment_count});
  }
}

void Stack::run_timers() {
  layers_->arp.run_timers();
  layers_->neighbors.run_timers();
  layers_->tcp.run_timers();
}

uint64_t Stack::next_deadline_us() const {
  return std::min({layers_->arp.next_deadline_us(), layers_->neighbors.next_deadline_us(),
                   layers_->tcp.next_deadline_us()});
}

void Stack::flush() { layers_->tcp.flush(); }

bool Stack::tcp_listen(uint16_t port, FlowEvents& events, uint32_t listener_tag) {
  return layers_->tcp.listen(port, events, listener_tag);
}
void Stack::tcp_unlisten(uint16_t port) { layers_->tcp.unlisten(port); }
Connection* Stack::tcp_connect(const Endpoint& remote, FlowEvents& events, uint32_t user) {
  return layers_->tcp.connect(remote, events, user);
}
SendResult Stack::send_copy(Connection& connection, std::span<const uint8_t> bytes) {
  return layers_->tcp.send_copy(connection, bytes);
}
SendResult Stack::send_held(Connection& connection, const HeldBuffer& buffer) {
  return layers_->tcp.send_held(connection, buffer);
}
void Stack::consume(Connection& connection, uint32_t bytes) {
  layers_->tcp.consume(connection, bytes);
}
void Stack::close(Connection& connection) { layers_->tcp.close(connection); }
void Stack::abort(Connection& connection) { layers_->tcp.abort(connection); }
void Stack::set_events(Connection& connection, FlowEvents& events) {
  layers_->tcp.set_events(connection, events);
}

bool Stack::udp_bind(uint16_t port, FlowEvents& events, uint32_t listener_tag) {
  return layers_->udp.bind(port, events, listener_tag);
}
void Stack::udp_unbind(uint16_t port) { layers_->udp.unbind(port); }
bool Stack::udp_send(uint16_t local_port, const Endpoint& remote, std::span<const uint8_t> bytes) {
  return layers_->udp.send(local_port, remote, bytes);
}

uint32_t Stack::connection_count() const { return layers_->tcp.connection_count(); }
ConnectionInfo Stack::info(const Connection& connection) const {
  return layers_->tcp.info(connection);
}
StackUsage Stack::usage() const {
  StackUsage usage = layers_->tcp.usage();
  usage.waiting_packets = layers_->neighbors.waiting();
  return usage;
}

}  // namespace weir::net
