#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/counters.h"
#include "base/packet_pool.h"
#include "net/environment.h"
#include "net/flow_events.h"
#include "net/stack.h"
#include "sim/link.h"
#include "worker/random.h"

namespace weir::testbed {

class Peer;

/// One TCP connection as the test sees it.
struct PeerConnection {
  Peer* peer = nullptr;
  /// nullptr before it exists and after it is over.
  net::Connection* connection = nullptr;
  net::Endpoint remote;
  bool opened = false;
  /// The host has sent all it will.
  bool ended = false;
  std::optional<net::CloseReason> closed = {};
  /// Received and not yet taken by the test; at most what TCP's window allows.
  std::vector<uint8_t> received = {};
  uint64_t received_bytes = 0;
  /// Taken over by TCP, and of these acknowledged.
  uint64_t written_bytes = 0;
  uint64_t acknowledged_bytes = 0;
};

struct Datagram {
  net::Endpoint remote;
  std::vector<uint8_t> bytes;
};

/// A bound UDP port.
struct PeerSocket {
  Peer* peer = nullptr;
  uint16_t port = 0;
  std::deque<Datagram> waiting = {};
  /// Datagrams that came while too many waited.
  uint64_t lost = 0;
};

/// A TCP port that the test serves; the connections that wait to be accepted, oldest first.
struct PeerListener {
  Peer* peer = nullptr;
  uint16_t port = 0;
  std::deque<uint32_t> waiting = {};
};

/// What the test has open at its peers, by number. Numbers below kFirstAccepted are the test's own
/// choice, those from there on are given to connections that a listener accepted.
struct Endpoints {
  static constexpr uint32_t kFirstAccepted = 0x8000'0000;
  /// Connections, sockets and listeners that a test may have, each.
  static constexpr size_t kMost = 16'384;
  /// Connections of one listener that wait, and datagrams of one socket.
  static constexpr size_t kMostWaiting = 1024;

  std::unordered_map<uint32_t, PeerConnection> connections;
  std::unordered_map<uint32_t, PeerSocket> sockets;
  std::unordered_map<uint32_t, PeerListener> listeners;
  uint32_t next_accepted = kFirstAccepted;
  /// Something happened that a test may be waiting for.
  bool stirred = false;
};

/// One station at the far end of the link: a whole stack with an address of its own, driven by the
/// test.
class Peer final : public net::FlowEvents, public net::FrameSink {
 public:
  struct Config {
    net::Address address;
    std::array<uint8_t, 6> link_address;
    uint64_t seed;
    uint16_t mtu_bytes;
  };

  Peer(const Config& config, Endpoints& endpoints, sim::Link& outgoing, const PacketPool& frames,
       const PacketPool& headers);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  const Config& config() const { return config_; }
  net::Stack& stack() { return *stack_; }

  void set_now(uint64_t now_us);
  /// A frame arrives. One that is not for this station is ignored by its stack.
  void input(const sim::Frame& frame);
  /// Runs what is due and sends what was deferred.
  void turn();
  uint64_t next_us() const { return stack_->next_deadline_us(); }
  /// Frames that found no buffer, or too many others under way.
  uint64_t lost() const { return lost_; }

  // net::FrameSink
  void transmit(rte_mbuf* frame) override;
  // net::FlowEvents; a connection's `user` and a listener's tag are the test's numbers.
  bool on_knock(uint32_t listener_tag, const net::Endpoint& remote) override;
  bool on_opened(net::Connection& connection, uint32_t listener_tag, bool outbound) override;
  bool on_data(net::Connection& connection, const net::Payload& payload) override;
  void on_end(net::Connection& connection) override;
  void on_acknowledged(net::Connection& connection, uint32_t bytes) override;
  void on_closed(net::Connection& connection, net::CloseReason reason) override;
  bool on_datagram(uint32_t listener_tag, const net::Endpoint& remote, const net::Endpoint& local,
                   const net::Payload& payload) override;

 private:
  const Config config_;
  Endpoints& endpoints_;
  sim::Link& outgoing_;
  const PacketPool& frames_;
  uint64_t values_[kCounterCount] = {};
  Counters counters_{values_};
  worker::Random random_;
  std::unique_ptr<net::Stack> stack_;
  uint64_t now_us_ = 0;
  uint64_t lost_ = 0;
};

/// What all stations of a testbed are: every address is on the link, so that a test can play any of
/// them.
net::StackConfig station_config(std::span<const net::Address> addresses,
                                const std::array<uint8_t, 6>& link_address, uint16_t mtu_bytes);

}  // namespace weir::testbed
