#pragma once
#include <cstdint>

#include "net/address.h"

struct rte_mbuf;

namespace weir::net {

struct Connection;

/// Why a connection ended. The values are those of the guest contract's CloseReason.
enum class CloseReason : uint8_t {
  finished = 0,
  reset = 1,
  aborted = 2,
  timed_out = 3,
  refused = 4,
  unreachable = 5,
  limit = 6,
  forbidden = 7,
  send_limit = 8,
  shutdown = 9,
  no_memory = 10,
  unresolved = 11,
};

/// Received bytes inside a (possibly chained) packet buffer. Valid during the call only.
struct Payload {
  const rte_mbuf* head;
  /// Where the bytes start, counted over the whole chain from the first data byte of `head`.
  uint32_t offset_bytes;
  uint32_t length_bytes;
};

/// What the stack tells about flows: the sandbox implements it, and so does a native handler.
/// Handlers may call Stack::send*, consume, close and abort from within, except where said
/// otherwise.
class FlowEvents {
 public:
  /// A peer's SYN arrived at a listener (before any answer). False refuses it with a reset.
  /// Must be quick: a flood calls it for every SYN.
  virtual bool on_knock(uint32_t listener_tag, const Endpoint& remote) = 0;
  /// The connection is established, by a peer (`listener_tag` is that of tcp_listen) or by
  /// tcp_connect. Sets connection.user if it wants to. False resets the connection, and on_closed
  /// is not called.
  virtual bool on_opened(Connection& connection, uint32_t listener_tag, bool outbound) = 0;
  /// Something arrived for the connection, and is looked at after others: what will be needed then
  /// can be asked of memory now. Must not touch it.
  virtual void prefetch(const Connection& connection) const {}
  /// Payload in order. False: no room; the stack forgets these bytes and the peer will send them
  /// again.
  virtual bool on_data(Connection& connection, const Payload& payload) = 0;
  /// Payload that the handler could take in all, from all its connections: what windows are offered
  /// from shrinks with it before on_data has to refuse.
  virtual uint32_t receive_room_bytes() const { return UINT32_MAX; }
  /// The peer sent FIN; everything before it has been delivered.
  virtual void on_end(Connection& connection) = 0;
  /// Bytes were acknowledged. Only called while connection.wants_acknowledged is set.
  virtual void on_acknowledged(Connection& connection, uint32_t bytes) = 0;
  /// The connection is over for the handler (TIME-WAIT is the stack's own business). The object is
  /// not to be used after this call. Also called for a tcp_connect that failed. Not called after
  /// abort().
  virtual void on_closed(Connection& connection, CloseReason reason) = 0;
  /// A connection of ours is being opened, and its address refuses it, cannot be reached, or has
  /// not answered two SYNs. True when it was given another address (Stack::tcp_aim); otherwise it
  /// ends, or goes on waiting for an answer.
  virtual bool on_address_failed(Connection& connection) { return false; }
  /// A datagram for a bound UDP port. False: no room (counted as drop_udp_refused).
  virtual bool on_datagram(uint32_t listener_tag, const Endpoint& remote, const Endpoint& local,
                           const Payload& payload) = 0;

 protected:
  ~FlowEvents() = default;
};

}  // namespace weir::net
