#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"
#include "net/connection_info.h"
#include "net/environment.h"
#include "net/flow_events.h"
#include "net/held_buffer.h"
#include "net/resolve_listener.h"

namespace weir::net {

/// One of our addresses. Everything inside its prefix is on the link.
struct InterfaceAddress {
  Address address;
  /// 0 to 32 for IPv4, 0 to 128 for IPv6.
  uint8_t prefix_bits;
};

/// Where packets for a prefix go. The longest prefix that fits counts.
struct Route {
  Address prefix;
  uint8_t prefix_bits;
  /// A neighbor, of the prefix's family.
  Address gateway;

  /// The route of everything that has no other one, for the gateway's family.
  static Route default_through(const Address& gateway) {
    return {gateway.is_v4() ? Address::v4(0) : Address{}, 0, gateway};
  }
};

/// RFC 8200 section 5: a link of IPv6 takes packets of this length.
inline constexpr uint16_t kMinMtuV6Bytes = 1280;
/// RFC 1122 section 3.3.3: a host of IPv4 takes datagrams of this length.
inline constexpr uint16_t kMinMtuV4Bytes = 576;
/// Longest IP packet of a link. TCP puts a copied segment into one buffer of
/// Environment::frame_pool.
inline constexpr uint16_t kMaxMtuBytes = 2048;
inline constexpr uint32_t kMaxConfiguredAddresses = 16;
inline constexpr uint32_t kMaxConfiguredRoutes = 32;
inline constexpr uint32_t kMaxNameServers = 3;

/// How a congestion window grows: RFC 9438, or RFC 5681 and 6582.
enum class CongestionControl : uint8_t { cubic, new_reno };

struct StackConfig {
  std::array<uint8_t, 6> link_address{};
  /// IEEE 802.1Q: the VLAN of all frames, 1 to 4094; 0 for frames without a tag.
  uint16_t vlan_id = 0;
  /// At most kMaxConfiguredAddresses. IPv6 is spoken when one of them is of it, or with
  /// accept_router_advertisements.
  std::vector<InterfaceAddress> addresses;
  /// At most kMaxConfiguredRoutes, besides those that the addresses bring.
  std::vector<Route> routes;
  /// IPv6 addresses and routes as routers on the link advertise them (RFC 4862, RFC 4861 section
  /// 6.3).
  bool accept_router_advertisements = false;
  /// How often an IPv6 address is asked for before it is used (DupAddrDetectTransmits, RFC 4862
  /// section 5.1). 0 uses it at once.
  uint8_t duplicate_address_probes = 1;
  /// Asks for an IPv4 address before it is used (RFC 5227 section 2.1): 4 to 7 seconds.
  bool probe_v4_addresses = false;
  /// An IPv4 address, its routes and name servers come by DHCP (RFC 2131).
  bool dhcp = false;
  /// Asked before those that DHCP and routers name; at most kMaxNameServers.
  std::vector<Address> name_servers;
  /// False for a stack beside another one at the same port, which asks for addresses, answers who
  /// asks for them and listens to routers and DHCP; this one is told by take_link_state.
  bool speaks_for_addresses = true;
  /// Longest IP packet of the link: kMinMtuV4Bytes, with IPv6 kMinMtuV6Bytes, to kMaxMtuBytes.
  uint16_t mtu_bytes = 1500;
  /// Bounds; every table is allocated at construction.
  uint32_t max_connections = 65536;
  uint32_t max_listeners = 1024;
  uint32_t max_half_open = 4096;
  uint32_t max_time_wait = 16384;
  uint32_t max_neighbors = 1024;
  /// Packets of which fragments wait for others, and bytes of the buffers that those are in; one
  /// sender gets a quarter.
  uint32_t max_fragmented_packets = 64;
  uint32_t max_fragment_bytes = 2 * 1024 * 1024;
  /// Receive buffer per connection: the largest window it offers, and the one it begins with; it
  /// grows while the peer fills it in every round trip. Less than half of what a connection may
  /// send: a handler that echoes or relays what it receives hears of acknowledgements up to a
  /// window late, and its sends are not to be refused for that.
  uint32_t receive_buffer_bytes = 1920 * 1024;
  uint32_t first_receive_buffer_bytes = 128 * 1024;
  /// Bytes a connection may have queued and unacknowledged; a send beyond it is refused.
  uint32_t send_buffer_bytes = 4 * 1024 * 1024;
  /// Bytes of payload that all connections together may hold by copy; 0: 4 KiB for each of
  /// max_connections, and 64 MiB at least, so that peers that acknowledge nothing leave room for
  /// others. Memory is taken as it is used.
  uint64_t send_copy_bytes = 0;
  /// Out-of-order segments kept per connection (a whole receive buffer of full ones) and in all.
  uint32_t max_reorder_segments = 4608;
  uint32_t max_reorder_segments_total = 16384;
  /// Segments under way, of all connections.
  uint32_t max_sent_segments = 1024 * 1024;
  /// Time to live of IPv4 packets, 1 to 255 (RFC 9293 MUST-49). IPv6 has what routers advertise.
  uint8_t hop_limit_v4 = 64;
  CongestionControl congestion_control = CongestionControl::cubic;
  /// Ask for ECN on connections that we open; peers that ask get it in any case (RFC 3168).
  bool request_ecn = false;
  /// What the port can do: complete TCP checksums, and cut TCP packets of up to so many bytes (0
  /// for none).
  bool port_completes_checksums = false;
  uint32_t large_send_bytes = 0;
  uint32_t time_wait_ms = 60'000;
  /// Answer SYNs beyond max_half_open with cookies (RFC 4987); otherwise they are dropped.
  bool syn_cookies = true;
  /// A connection of which nothing was heard for so long is probed, every interval, so many times
  /// (RFC 9293 section 3.8.4). 0 for never.
  uint32_t keep_alive_idle_ms = 7'200'000;
  uint32_t keep_alive_interval_ms = 75'000;
  uint32_t keep_alive_probes = 9;
  /// A connection whose bytes stay unacknowledged for so long ends (RFC 5482); 0: when
  /// retransmission gives up.
  uint32_t user_timeout_ms = 0;
};

/// What is wrong with a configuration and what to do; empty when a Stack can be made of it.
std::string check(const StackConfig& config);

/// Result of the calls by which a handler acts on a connection.
enum class SendResult : uint8_t { ok, limit, closing, no_memory };

struct LinkState;

/// A TCP/IP stack for one worker: no locks, no threads, no clock of its own.
class Stack {
 public:
  Stack(const StackConfig& config, const Environment& environment);
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  /// Sets the time for all that follows. Microseconds, monotonic.
  void set_now(uint64_t now_us);
  /// While the link is down no address is asked for or announced, and no router or lease sought:
  /// that begins when it comes up (RFC 4862 section 5.3). It is up until somebody says otherwise.
  void set_link(bool is_up);
  /// Another number whenever link_state() may say something else.
  uint32_t link_version() const;
  LinkState link_state() const;
  /// Goes by what the stack found out that speaks for the addresses.
  void take_link_state(const LinkState& state);
  /// Processes received Ethernet frames. Takes ownership of all of them.
  void input(rte_mbuf** frames, uint32_t count);
  /// Runs what is due.
  void run_timers();
  /// When run_timers has something to do next; UINT64_MAX for never.
  uint64_t next_deadline_us() const;
  /// Sends acknowledgements and data that were deferred to be piggybacked. The worker calls it once
  /// at the end of a cycle.
  void flush();

  /// Listens on a port of every local address. False if the port is taken or the table is full. Who
  /// listens there already goes on with the new tag, also for connections that are being opened.
  bool tcp_listen(uint16_t port, FlowEvents& events, uint32_t listener_tag);
  /// Connections that were accepted stay.
  void tcp_unlisten(uint16_t port);
  /// Opens a connection. nullptr when no port or connection is free, or no route exists; `user` is
  /// connection.user.
  Connection* tcp_connect(const Endpoint& remote, FlowEvents& events, uint32_t user);
  /// A connection whose remote side is not known yet: what is sent on it waits until tcp_aim.
  /// nullptr when none is free.
  Connection* tcp_prepare(FlowEvents& events, uint32_t user);
  /// Opens a prepared connection, or one that is still being opened at another address. False when
  /// no port is free or no route exists; then it is as it was.
  bool tcp_aim(Connection& connection, const Endpoint& remote);

  /// Queues bytes, copying them (into the stack's own slab).
  SendResult send_copy(Connection& connection, std::span<const uint8_t> bytes);
  /// Queues bytes by reference. On a result other than ok the buffer was not taken (release is not
  /// called).
  SendResult send_held(Connection& connection, const HeldBuffer& buffer);
  /// The handler is done with `bytes` received bytes: the window opens.
  void consume(Connection& connection, uint32_t bytes);
  /// Sends FIN after what is queued. Receiving goes on.
  void close(Connection& connection);
  /// Resets the connection; on_closed is not called and the object is gone.
  void abort(Connection& connection);
  /// Hands the connection to another handler object (a new instance of the same app).
  void set_events(Connection& connection, FlowEvents& events);

  /// As tcp_listen.
  bool udp_bind(uint16_t port, FlowEvents& events, uint32_t listener_tag);
  void udp_unbind(uint16_t port);
  /// Sends one datagram of up to 65,507 bytes, copying them, in fragments where the path takes less
  /// at once. False if it is longer, or there is no route or buffer. An answer carries the address
  /// of ours that the peer has asked at this port.
  bool udp_send(uint16_t local_port, const Endpoint& remote, std::span<const uint8_t> bytes);

  /// Looks the addresses of a host up in DNS and tells `listener`, at once if they are known. False
  /// if it is no name of a host, or too many are being looked up.
  bool resolve(std::string_view name, ResolveListener& listener, uint32_t tag);
  /// Whoever asked with `tag` is not told any more.
  void cancel_resolve(const ResolveListener& listener, uint32_t tag);

  uint32_t connection_count() const;
  ConnectionInfo info(const Connection& connection) const;
  StackUsage usage() const;

 private:
  struct Layers;
  std::unique_ptr<Layers> layers_;
};

}  // namespace weir::net
