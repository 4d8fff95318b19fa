#pragma once
// What the fuzz targets share: one stack with a listener and a handler, on a clock of its own.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fuzz/packets.h"
#include "net/address_events.h"
#include "sim/host.h"
#include "sim/packet.h"

namespace weir::fuzz {

inline constexpr uint16_t kTcpPort = 80;
inline constexpr uint16_t kUdpPort = 53;
inline constexpr uint16_t kPeerPort = 40'000;

inline constexpr sim::LinkAddress kOwnLink = {0x02, 0, 0, 0, 0, 0x01};
inline constexpr sim::LinkAddress kPeerLink = {0x02, 0, 0, 0, 0, 0x02};
inline constexpr net::Address kOwn = net::Address::v4(0x0a000001);
inline constexpr net::Address kPeer = net::Address::v4(0x0a000002);
inline constexpr net::Address kOwnV6 = net::Address::v6(0xfe80, 0, 0, 0, 0, 0, 0, 1);
inline constexpr net::Address kPeerV6 = net::Address::v6(0xfe80, 0, 0, 0, 0, 0, 0, 2);

/// A small stack with both addresses, for a target to change.
sim::HostConfig default_config();

/// Ends the process, so that the fuzzer keeps the input.
[[noreturn]] void give_up(const char* what);

/// A stack that listens, with an app that takes what comes and sends something back.
class Harness : public sim::Watcher,
                public sim::Handler,
                public net::FlowEvents,
                public net::AddressEvents {
 public:
  explicit Harness(sim::HostConfig config = default_config());
  /// Everything must be given back.
  virtual ~Harness();
  Harness(const Harness&) = delete;
  Harness& operator=(const Harness&) = delete;

  sim::Host& host() { return *host_; }
  /// Lets the stack see a frame. `repair`: with right checksums, which a fuzzer does not find by
  /// itself.
  void input(std::vector<uint8_t> frame, bool repair);
  void input(const sim::Segment& segment) { input(sim::encode(segment), false); }
  /// Time passes, and timers run.
  void advance(uint64_t ns);
  /// A segment from the peer as it may come now.
  sim::Segment from_peer() const;
  /// Opens a connection to the listener.
  void handshake(std::span<const uint8_t> syn_options = {});
  net::Connection* connection() { return connection_; }
  /// The stack's newest segment to the peer.
  const sim::Segment& last_sent() const { return last_sent_; }
  uint32_t peer_sequence = 1000;
  uint64_t now_ns() const { return now_ns_; }
  /// Buffers for frames that the stack holds, of all that there are.
  static uint32_t frames_in_use();
  static Bytes bytes_of(const net::Payload& payload);

  void on_transmit(sim::Host& host, const sim::Frame& frame) override;
  void on_input(sim::Host&, const sim::Link::Arrival&) override {}
  void on_discard(sim::Host&, const sim::Link::Arrival&) override {}
  void after_input(sim::Host&, uint32_t received, uint32_t sent) override;
  void before_flush(sim::Host&) override {}
  void after_flush(sim::Host&) override;
  void fail(std::string what) override;

  void run(uint64_t now_ns) override {}
  uint64_t next_ns() const override { return UINT64_MAX; }

  void on_address_change(const net::Address&, net::AddressChange) override {}

  bool on_knock(uint32_t, const net::Endpoint&) override { return true; }
  bool on_opened(net::Connection& connection, uint32_t, bool) override;
  bool on_data(net::Connection& connection, const net::Payload& payload) override;
  void on_end(net::Connection&) override {}
  void on_acknowledged(net::Connection&, uint32_t) override {}
  void on_closed(net::Connection& connection, net::CloseReason) override;
  bool on_datagram(uint32_t, const net::Endpoint& remote, const net::Endpoint&,
                   const net::Payload&) override;

  /// The handler's answer to data.
  bool consumes = true;
  bool refuses = false;
  /// Whether neighbors that the stack asks for are there.
  bool answers_for_neighbors = true;

 private:
  void answer_for_neighbors(const sim::Frame& frame);

  std::unique_ptr<sim::Host> host_;
  uint64_t now_ns_ = 0;
  net::Connection* connection_ = nullptr;
  sim::Segment last_sent_;
  uint32_t waiting_ = 0;
};

}  // namespace weir::fuzz
