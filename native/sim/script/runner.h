#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/flow_events.h"
#include "sim/host.h"
#include "sim/script/script.h"
#include "sim/script/station.h"
#include "sim/stream.h"

namespace weir::sim::script {

/// Plays a script against a stack: it is the wire, the peer and the handler.
class Runner final : public Station::Listener, public net::FlowEvents {
 public:
  /// On a virtual clock, or behind a TAP in real time, where lines may be as late as that takes.
  enum class Place : uint8_t { simulator, tap };
  explicit Runner(HostPools& pools, Place place = Place::simulator);
  ~Runner();

  ScriptResult run(const std::vector<Step>& steps);

  /// How long it took, of the script's time.
  uint64_t duration_ns() const { return now_ns_; }

  void on_frame(const Frame& frame) override;
  void fail(std::string what) override;

  bool on_knock(uint32_t tag, const net::Endpoint& remote) override;
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
  /// A segment or an ICMP error.
  struct Sent {
    uint64_t at_ns;
    Frame frame;
  };

  void configure(const Step& step);
  void start();
  uint64_t due_ns(const Step& step) const;
  uint64_t patience_ns() const;
  /// Lets time pass; stops early once something was sent, when asked to.
  void advance(uint64_t until_ns, bool until_sent = false);
  void input(Frame frame);
  void inject(const Step& step);
  void inject_icmp(const Step& step);
  void expect(const Step& step);
  void expect_icmp(const Step& step);
  /// Waits for what the stack sends next, and takes it.
  Sent take_sent(const Step& step, const char* what);
  std::string describe_sent(const Frame& frame);
  void call(const Step& step);
  void expect_event(const Step& step);
  void check(const Step& step);
  /// What differs between a pattern and a segment that was sent; empty for nothing.
  std::string difference(const SegmentPattern& pattern, const Segment& segment);
  std::string option_difference(const std::vector<OptionPattern>& patterns, const Segment& segment);
  /// Nothing may have been sent that was not expected.
  void expect_nothing(const Step& step);
  net::Connection* connection(const Step& step);
  void note(const char* direction, const Segment& segment);

  HostPools& pools_;
  HostConfig config_;
  const Place place_;
  std::unique_ptr<Station> station_;
  ScriptResult result_;
  uint32_t line_ = 0;
  uint64_t now_ns_ = 0;
  /// When the last line happened.
  uint64_t last_ns_ = 0;
  uint64_t tolerance_ns_ = 2'000'000;
  std::deque<Sent> sent_;
  Frame last_sent_;
  std::deque<std::string> events_;
  net::Connection* connection_ = nullptr;
  /// The stack's initial sequence number, by the peer's port.
  std::map<uint16_t, uint32_t> iss_;
  uint32_t peer_isn_ = 0x7fffff00;
  net::Address own_ = net::Address::v4(0x0a000001);
  net::Address peer_ = net::Address::v4(0x0a000002);
  uint16_t own_port_ = 80;
  uint16_t peer_port_ = 40000;
  uint32_t last_timestamp_ = 0;
  Stream own_stream_{0}, peer_stream_{1};
  uint64_t sent_bytes_ = 0;
  uint64_t received_bytes_ = 0;
  bool consumes_ = true;
  bool knocks_ = true;
  bool accepts_ = true;
  bool refuses_ = false;
};

}  // namespace weir::sim::script
