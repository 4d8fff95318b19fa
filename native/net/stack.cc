#include "net/stack.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <cstring>

#include "net/clock.h"
#include "net/dhcp/client.h"
#include "net/dns/resolver.h"
#include "net/flow_steering.h"
#include "net/icmp/icmp.h"
#include "net/icmp/icmp_header.h"
#include "net/icmp/icmp_v6.h"
#include "net/ip/input.h"
#include "net/ip/ipv4_header.h"
#include "net/ip/ipv6_header.h"
#include "net/ip/routing.h"
#include "net/ip/sender.h"
#include "net/link/arp.h"
#include "net/link/ethernet.h"
#include "net/link/multicast_listener.h"
#include "net/link/neighbor_cache.h"
#include "net/link/neighbor_discovery.h"
#include "net/link/router_discovery.h"
#include "net/link_state.h"
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

ip::ReassemblyLimits reassembly_limits(const StackConfig& config) {
  ip::ReassemblyLimits limits;
  limits.max_datagrams = config.max_fragmented_packets;
  limits.max_bytes = config.max_fragment_bytes;
  limits.max_bytes_per_source = std::max(config.max_fragment_bytes / 4, 1u);
  return limits;
}

}  // namespace

/// The layers of a stack, and what passes between them against the usual direction.
struct Stack::Layers final : icmp::ErrorListener,
                             link::UnreachableListener,
                             link::AddressListener,
                             dns::ServerList,
                             ip::ProblemListener {
  Layers(const StackConfig& config, const Environment& environment_)
      : environment(environment_),
        routing(config),
        ethernet(config.link_address, environment, config.vlan_id),
        neighbors(neighbor_limits(config), clock, environment, ethernet, *this),
        arp(clock, environment, routing, ethernet, neighbors, *this, config.speaks_for_addresses),
        ip_input(clock, environment, routing, *this, reassembly_limits(config)),
        ip_output(clock, environment, routing, ethernet, neighbors, arp, discovery,
                  config.mtu_bytes),
        discovery(clock, environment, routing, ethernet, neighbors, ip_output, *this,
                  config.duplicate_address_probes, config.speaks_for_addresses),
        routers(clock, environment, routing, ethernet, neighbors, ip_output, discovery,
                config.accept_router_advertisements, config.duplicate_address_probes),
        groups(clock, environment, routing, ip_output),
        icmp(clock, environment, routing, ip_output, *this),
        icmp_v6(clock, environment, routing, ip_output, *this),
        udp(environment, ip_output, icmp, icmp_v6, config.max_listeners),
        dhcp(clock, environment, routing, arp, ip_output, udp, *this, config.link_address,
             config.probe_v4_addresses),
        resolver(clock, environment, udp, ip_output, *this),
        name_servers(config.name_servers),
        tcp(config, environment, ip_output),
        speaks_for_addresses(config.speaks_for_addresses),
        is_link_up(speaks_for_addresses) {
    ip_output.set_hop_limit_v4(config.hop_limit_v4);
    // Nobody has a port yet, so there is one.
    if (config.dhcp && speaks_for_addresses) dhcp.start();
  }

  /// Takes one frame as far as its transport. True if it is a TCP segment, which then is in
  /// `incoming`.
  bool receive(rte_mbuf* frame, ip::Incoming& incoming) {
    link::Ethernet::Incoming framing;
    if (!ethernet.receive(frame, framing)) return false;
    switch (framing.type) {
      case link::kTypeIpv4:
        if (!ip_input.receive_v4(frame, framing.to_group, incoming)) return false;
        break;
      case link::kTypeIpv6:
        if (!ip_input.receive_v6(frame, framing.to_group, incoming)) return false;
        break;
      case link::kTypeArp:
        arp.input(frame);
        return false;
      default:
        environment.counters.add(Counter::drop_link_unknown_type);
        rte_pktmbuf_free(frame);
        return false;
    }
    if (incoming.may_be_elsewhere && environment.steering != nullptr) [[unlikely]]
      if (!keep(incoming)) return false;
    if (incoming.protocol == ip::kProtocolTcp) [[likely]]
      return true;
    if (incoming.protocol == ip::kProtocolUdp) {
      udp.input(incoming);
    } else if (incoming.received.destination.is_v4()) {
      input_other_v4(incoming);
    } else {
      input_other_v6(incoming);
    }
    return false;
  }

  /// False for a packet of a flow that is another stack's, which has it then. Where the packet's
  /// ports were could not be seen before.
  [[gnu::noinline]] bool keep(ip::Incoming& incoming) {
    incoming.may_be_elsewhere = false;
    if (incoming.protocol != ip::kProtocolTcp && incoming.protocol != ip::kProtocolUdp) return true;
    const ip::Received& received = incoming.received;
    uint8_t copy[4];
    const auto* ports = static_cast<const uint8_t*>(
        rte_pktmbuf_read(received.frame, received.transport_offset_bytes, sizeof copy, copy));
    if (ports == nullptr) return true;
    const Endpoint remote{received.source, static_cast<uint16_t>(ports[0] << 8 | ports[1])};
    const Endpoint local{received.destination, static_cast<uint16_t>(ports[2] << 8 | ports[3])};
    if (environment.steering->is_home(local, remote)) return true;
    environment.steering->send_home(received.frame, local, remote);
    return false;
  }

  void input_other_v4(const ip::Incoming& incoming) {
    if (incoming.protocol == ip::kProtocolIcmp) return icmp.input(incoming.received);
    // RFC 1122 section 3.2.2.1.
    icmp.send_unreachable(incoming.received, icmp::Unreachable::protocol);
    environment.counters.add(Counter::drop_ip_protocol);
    rte_pktmbuf_free(incoming.received.frame);
  }

  void input_other_v6(const ip::Incoming& incoming) {
    rte_mbuf* frame = incoming.received.frame;
    if (incoming.protocol != ip::kProtocolIcmpV6) {
      // RFC 8200 section 4. "No next header" is nothing, in silence (section 4.7).
      if (incoming.protocol != ip::kNextNone)
        icmp_v6.send_parameter_problem(incoming.received, ip::kProblemNextHeader,
                                       incoming.protocol_pointer_bytes);
      environment.counters.add(Counter::drop_ip_protocol);
      return rte_pktmbuf_free(frame);
    }
    uint8_t type;
    if (!icmp_v6.check(incoming, type)) return;
    switch (type) {
      case icmp::kNeighborSolicitation:
        discovery.input_solicitation(incoming);
        break;
      case icmp::kNeighborAdvertisement:
        discovery.input_advertisement(incoming);
        break;
      case icmp::kRouterAdvertisement:
        if (speaks_for_addresses) take_router_advertisement(incoming);
        break;
      case icmp::kListenerQuery:
        if (speaks_for_addresses) groups.input_query(incoming);
        break;
      case icmp::kRouterSolicitation:
      case icmp::kListenerReportV1:
      case icmp::kListenerDone:
      case icmp::kListenerReport:
        // For routers.
        environment.counters.add(Counter::drop_icmp_unknown);
        break;
      default:
        return icmp_v6.input(incoming);
    }
    rte_pktmbuf_free(frame);
  }

  void take_router_advertisement(const ip::Incoming& incoming) {
    advertisements++;
    const uint32_t before = routing.address_count();
    routers.input_advertisement(incoming);
    if (routing.address_count() != before) groups.groups_changed();
  }

  bool on_icmp_error(uint8_t protocol, const Address& local, const Address& remote,
                     std::span<const uint8_t> quoted, const ip::DeliveryError& error) override {
    if (protocol == ip::kProtocolTcp) tcp.on_icmp_error(local, remote, quoted, error);
    if (protocol == ip::kProtocolUdp) return udp.on_icmp_error(remote, quoted, error);
    return protocol == ip::kProtocolTcp;
  }

  /// What the link could not deliver is told to the transport (RFC 1122 section 2.4). A connection
  /// that is being opened ends then: nobody is there.
  void on_unreachable(const rte_mbuf* packet) override {
    uint8_t copy[sizeof(ip::Ipv6Header) + 8];
    const ip::DeliveryError error{ip::DeliveryError::Kind::hard};
    const void* bytes = rte_pktmbuf_read(packet, 0, sizeof(ip::Ipv4Header) + 8, copy);
    if (bytes == nullptr) return;
    if (bytes != copy) std::memcpy(copy, bytes, sizeof(ip::Ipv4Header) + 8);
    if (const auto* v4 = reinterpret_cast<const ip::Ipv4Header*>(copy); v4->version() == 4) {
      on_icmp_error(v4->protocol, Address::v4(rte_be_to_cpu_32(v4->source_be)),
                    Address::v4(rte_be_to_cpu_32(v4->destination_be)),
                    {copy + sizeof(ip::Ipv4Header), 8}, error);
      return;
    }
    bytes = rte_pktmbuf_read(packet, 0, sizeof copy, copy);
    if (bytes == nullptr) return;
    if (bytes != copy) std::memcpy(copy, bytes, sizeof copy);
    const auto* v6 = reinterpret_cast<const ip::Ipv6Header*>(copy);
    on_icmp_error(v6->next_header, Address::v6(v6->source), Address::v6(v6->destination),
                  {copy + sizeof(ip::Ipv6Header), 8}, error);
  }

  void on_address(const Address& address, AddressChange change) override {
    // Until there is a link-local address, reports come from none (RFC 3810 section 5.2.13).
    if (change == AddressChange::assigned && address.is_v6_link_local()) groups.groups_changed();
    if (change == AddressChange::duplicate) dhcp.on_address_duplicate(address);
    if (environment.address_events != nullptr)
      environment.address_events->on_address_change(address, change);
  }

  uint32_t servers(std::span<Address, kMaxServers> into) const override {
    uint32_t count = 0;
    const auto add = [&](std::span<const Address> more) {
      for (const Address& server : more)
        if (count < into.size()) into[count++] = server;
    };
    add(name_servers);
    add(dhcp.name_servers());
    add(routers.name_servers());
    return count;
  }

  void on_parameter_problem(const ip::Received& packet, uint8_t code, uint32_t pointer_bytes,
                            bool even_to_group) override {
    icmp_v6.send_parameter_problem(packet, code, pointer_bytes, even_to_group);
  }
  void on_reassembly_timeout(const ip::Received& first) override {
    if (first.source.is_v4())
      icmp.send_reassembly_timeout(first);
    else
      icmp_v6.send_reassembly_timeout(first);
  }

  /// What is seldom due is asked for together, so that a cycle with nothing of it costs little.
  uint64_t seldom_deadline_us() const {
    return std::min({routing.next_deadline_us(), resolver.next_deadline_us(),
                     ip_input.next_deadline_us(), link_deadline_us()});
  }
  /// Of those who would talk to nobody while the link is down, and believe that nobody answered.
  uint64_t link_deadline_us() const {
    if (!is_link_up) return UINT64_MAX;
    return std::min({groups.next_deadline_us(), arp.next_deadline_us(),
                     discovery.next_deadline_us(), routers.next_deadline_us(),
                     dhcp.next_deadline_us()});
  }
  void run_timers() {
    if (clock.now_us >= seldom_deadline_us()) [[unlikely]]
      run_seldom_timers();
    neighbors.run_timers();
    tcp.run_timers();
  }
  [[gnu::noinline]] void run_seldom_timers() {
    routing.run_timers(clock.now_us);
    resolver.run_timers();
    ip_input.run_timers();
    if (!is_link_up) return;
    groups.run_timers();
    arp.run_timers();
    discovery.run_timers();
    routers.run_timers();
    dhcp.run_timers();
  }
  uint64_t next_deadline_us() const {
    return std::min({seldom_deadline_us(), neighbors.next_deadline_us(), tcp.next_deadline_us()});
  }

  Clock clock;
  Environment environment;
  ip::Routing routing;
  link::Ethernet ethernet;
  link::NeighborCache neighbors;
  link::Arp arp;
  ip::Input ip_input;
  ip::Sender ip_output;
  link::NeighborDiscovery discovery;
  link::RouterDiscovery routers;
  link::MulticastListener groups;
  icmp::Icmp icmp;
  icmp::IcmpV6 icmp_v6;
  udp::Udp udp;
  dhcp::Client dhcp;
  dns::Resolver resolver;
  std::vector<Address> name_servers;
  tcp::Tcp tcp;
  bool speaks_for_addresses;
  bool is_link_up;
  /// Of routers, that were listened to.
  uint32_t advertisements = 0;
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

void Stack::set_link(bool is_up) { layers_->is_link_up = is_up && layers_->speaks_for_addresses; }

uint32_t Stack::link_version() const {
  return layers_->routing.version() + layers_->advertisements;
}

LinkState Stack::link_state() const {
  LinkState state{layers_->routing,
                  {},
                  0,
                  layers_->ip_output.mtu_v6_bytes(),
                  layers_->ip_output.hop_limit_v6()};
  state.name_server_count = layers_->servers(state.name_servers);
  return state;
}

void Stack::take_link_state(const LinkState& state) {
  Layers& layers = *layers_;
  layers.routing.assign(state.routing);
  layers.ip_output.set_mtu_v6(state.mtu_v6_bytes);
  layers.ip_output.set_hop_limit_v6(state.hop_limit_v6);
  // Those of the configuration are among them.
  layers.name_servers.assign(state.name_servers.begin(),
                             state.name_servers.begin() + state.name_server_count);
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
      if (layers_->receive(frames[i], incoming))
        layers_->segments[segment_count++] = incoming.received;
    }
    if (segment_count > 0) layers_->tcp.input({layers_->segments.data(), segment_count});
  }
}

void Stack::run_timers() { layers_->run_timers(); }

uint64_t Stack::next_deadline_us() const { return layers_->next_deadline_us(); }

void Stack::flush() { layers_->tcp.flush(); }

bool Stack::tcp_listen(uint16_t port, FlowEvents& events, uint32_t listener_tag) {
  return layers_->tcp.listen(port, events, listener_tag);
}
void Stack::tcp_unlisten(uint16_t port) { layers_->tcp.unlisten(port); }
Connection* Stack::tcp_connect(const Endpoint& remote, FlowEvents& events, uint32_t user) {
  return layers_->tcp.connect(remote, events, user);
}
Connection* Stack::tcp_prepare(FlowEvents& events, uint32_t user) {
  return layers_->tcp.prepare(events, user);
}
bool Stack::tcp_aim(Connection& connection, const Endpoint& remote) {
  return layers_->tcp.aim(connection, remote);
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

bool Stack::resolve(std::string_view name, ResolveListener& listener, uint32_t tag) {
  return layers_->resolver.resolve(name, listener, tag);
}
void Stack::cancel_resolve(const ResolveListener& listener, uint32_t tag) {
  layers_->resolver.cancel(listener, tag);
}

uint32_t Stack::connection_count() const { return layers_->tcp.connection_count(); }
ConnectionInfo Stack::info(const Connection& connection) const {
  return layers_->tcp.info(connection);
}
StackUsage Stack::usage() const {
  StackUsage usage = layers_->tcp.usage();
  usage.waiting_packets = layers_->neighbors.waiting();
  usage.fragmented_packets = layers_->ip_input.waiting_packets();
  return usage;
}

}  // namespace weir::net
