#pragma once
#include <cstdint>
#include <deque>
#include <vector>

#include "net/flow_events.h"
#include "net/held_buffer.h"
#include "sim/host.h"
#include "sim/plan.h"
#include "sim/random.h"

namespace weir::sim {

/// How a handler behaves. "One in": of calls that bring data; 0 for never.
struct AppConfig {
  /// Whom it connects to.
  net::Address peer;
  /// Refuses to take them.
  uint64_t refuses_one_in = 100;
  /// Gives bytes back at once, or else up to this much later.
  uint64_t consumes_at_once_one_in = 4;
  uint64_t consume_delay_ns = 50'000'000;
  /// Gives nothing back and writes nothing for up to this long.
  uint64_t idles_one_in = 200;
  uint64_t idle_ns = 10'000'000'000;
  /// Longest piece that is sent by reference; what is shorter than 257 bytes is copied.
  uint64_t most_piece_bytes = 8000;
};

/// Owner of what is sent by reference: notices what is given back twice, and spoils the bytes so
/// that whoever still reads them is noticed too.
class HeldBytes final : public net::BufferOwner {
 public:
  explicit HeldBytes(Watcher& watcher) : watcher_(watcher) {}
  ~HeldBytes();
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;

  net::HeldBuffer hold(std::span<const uint8_t> bytes);
  /// The stack did not take it.
  void take_back(const net::HeldBuffer& buffer);
  void release(const net::HeldBuffer& buffer) override;
  /// Buffers that the stack has.
  uint32_t outstanding() const { return outstanding_; }

 private:
  Watcher& watcher_;
  std::vector<std::vector<uint8_t>> buffers_;
  std::vector<uint64_t> free_;
  std::vector<bool> held_;
  uint32_t outstanding_ = 0;
};

/// The handler of a host: opens, accepts and serves the connections of a plan.
class App final : public net::FlowEvents, public Handler {
 public:
  App(Host& host, std::deque<Pair>& pairs, const AppConfig& config, Watcher& watcher,
      Random random);

  uint32_t held_buffers() const { return held_.outstanding(); }

  void run(uint64_t now_ns) override;
  uint64_t next_ns() const override;

  bool on_knock(uint32_t, const net::Endpoint&) override { return true; }
  bool on_opened(net::Connection& connection, uint32_t tag, bool outbound) override;
  bool on_data(net::Connection& connection, const net::Payload& payload) override;
  void on_end(net::Connection& connection) override;
  void on_acknowledged(net::Connection& connection, uint32_t bytes) override;
  void on_closed(net::Connection& connection, net::CloseReason reason) override;
  bool on_datagram(uint32_t, const net::Endpoint&, const net::Endpoint&,
                   const net::Payload&) override {
    return false;
  }

 private:
  struct Later {
    uint64_t at_ns;
    End* end;
    uint32_t bytes;
  };

  void open(Pair& pair);
  void send_some(End& end);
  /// The end of a connection here; nullptr after a failure.
  End* end_of(net::Connection& connection);
  void abort(End& end);

  Host& host_;
  std::deque<Pair>& pairs_;
  const AppConfig config_;
  Watcher& watcher_;
  Random random_;
  HeldBytes held_;
  std::vector<Later> later_;
  uint64_t now_ns_ = 0;
  uint64_t idles_until_ns_ = 0;
  std::vector<uint8_t> buffer_;
};

}  // namespace weir::sim
