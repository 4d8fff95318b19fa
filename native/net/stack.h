#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "net/address.h"
#include "net/connection_info.h"
#include "net/environment.h"
#include "net/flow_events.h"
#include "net/held_buffer.h"

namespace weir::net {

/// One local address with its prefix; a stack has one per family today and a bounded list later.
struct InterfaceAddress {
  Address address;
  uint8_t prefix_bits;
};

/// How a congestion window grows: RFC 9438, or RFC 5681 and 6582.
enum class CongestionControl : uint8_t { cubic, new_reno };

struct StackConfig {
  std::array<uint8_t, 6> link_address{};
  InterfaceAddress address{};
  /// Next hop for everything outside the prefix; unspecified for none.
  Address gateway{};
  uint16_t mtu_bytes = 1500;
  /// Bounds; every table is allocated at construction.
  uint32_t max_connections = 65536;
  uint32_t max_listeners = 1024;
  uint32_t max_half_open = 4096;
  uint32_t max_time_wait = 16384;
  uint32_t max_neighbors = 1024;
  /// Receive buffer per connection: the largest window it offers.
  uint32_t receive_buffer_bytes = 256 * 1024;
  /// Bytes a connection may have queued and unacknowledged; a send beyond it is refused.
  uint32_t send_buffer_bytes = 4 * 1024 * 1024;
  /// Bytes of payload that all connections together may hold by copy.
  uint64_t send_copy_bytes = 64ull * 1024 * 1024;
  /// Out-of-order segments kept per connection (a whole receive buffer of full ones) and in all.
  uint32_t max_reorder_segments = 4608;
  uint32_t max_reorder_segments_total = 16384;
  /// Segments under way, of all connections.
  uint32_t max_sent_segments = 1024 * 1024;
  CongestionControl congestion_control = CongestionControl::cubic;
  /// Ask for ECN on connections that we open; peers that ask get it in any case (RFC 3168).
  bool request_ecn = false;
  uint32_t time_wait_ms = 60'000;
};

/// Result of the calls by which a handler acts on a connection.
enum class SendResult : uint8_t { ok, limit, closing, no_memory };

/// A TCP/IP stack for one worker: no locks, no threads, no clock of its own.
class Stack {
 public:
  Stack(const StackConfig& config, const Environment& environment);
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  /// Sets the time for all that follows. Microseconds, monotonic.
  void set_now(uint64_t now_us);
  /// Processes received Ethernet frames. Takes ownership of all of them.
  void input(rte_mbuf** frames, uint32_t count);
  /// Runs what is due.
  void run_timers();
  /// When run_timers has something to do next; UINT64_MAX for never.
  uint64_t next_deadline_us() const;
  /// Sends acknowledgements and data that were deferred to be piggybacked. The worker calls it once
  /// at the end of a cycle.
  void flush();

  /// Listens on a port of every local address. False if the port is taken or the table is full.
  bool tcp_listen(uint16_t port, FlowEvents& events, uint32_t listener_tag);
  /// Connections that were accepted stay.
  void tcp_unlisten(uint16_t port);
  /// Opens a connection. nullptr when no port or connection is free, or no route exists; `user` is
  /// connection.user.
  Connection* tcp_connect(const Endpoint& remote, FlowEvents& events, uint32_t user);

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

  bool udp_bind(uint16_t port, FlowEvents& events, uint32_t listener_tag);
  void udp_unbind(uint16_t port);
  /// Sends one datagram, copying the bytes. False if it is too long for the MTU or there is no
  /// route or buffer.
  bool udp_send(uint16_t local_port, const Endpoint& remote, std::span<const uint8_t> bytes);

  uint32_t connection_count() const;
  ConnectionInfo info(const Connection& connection) const;
  StackUsage usage() const;

 private:
  struct Layers;
  std::unique_ptr<Layers> layers_;
};

}  // namespace weir::net
