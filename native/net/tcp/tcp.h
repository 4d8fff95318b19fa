#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "net/environment.h"
#include "net/flow_events.h"
#include "net/held_buffer.h"
#include "net/ip/delivery_error.h"
#include "net/ip/output.h"
#include "net/ip/received.h"
#include "net/stack.h"

namespace weir::net::tcp {

/// TCP (RFC 9293) for one worker. The methods that Stack has too mean the same here.
class Tcp {
 public:
  Tcp(const StackConfig& config, const Environment& environment, ip::Output& output);
  ~Tcp();
  Tcp(const Tcp&) = delete;
  Tcp& operator=(const Tcp&) = delete;

  void set_now(uint64_t now_us);
  /// Segments of one batch, in order of arrival: flow-table buckets are prefetched for all of them,
  /// then connections, then each is processed. Takes ownership of the frames.
  void input(std::span<const ip::Received> segments);
  /// An ICMP error quoted a segment of ours (RFC 5461, 5927): `quoted` are at least 8 bytes of its
  /// TCP header.
  void on_icmp_error(const Address& local, const Address& remote, std::span<const uint8_t> quoted,
                     const ip::DeliveryError& error);
  void run_timers();
  uint64_t next_deadline_us() const;
  void flush();

  bool listen(uint16_t port, FlowEvents& events, uint32_t listener_tag);
  void unlisten(uint16_t port);
  Connection* connect(const Endpoint& remote, FlowEvents& events, uint32_t user);
  Connection* prepare(FlowEvents& events, uint32_t user);
  bool aim(Connection& connection, const Endpoint& remote);
  SendResult send_copy(Connection& connection, std::span<const uint8_t> bytes);
  SendResult send_held(Connection& connection, const HeldBuffer& buffer);
  void consume(Connection& connection, uint32_t bytes);
  void close(Connection& connection);
  void abort(Connection& connection);
  void set_events(Connection& connection, FlowEvents& events);
  uint32_t connection_count() const;
  ConnectionInfo info(const Connection& connection) const;
  /// Of TCP's own resources.
  StackUsage usage() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir::net::tcp
