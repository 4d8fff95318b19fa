#pragma once
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "net/environment.h"
#include "port/tap_port.h"
#include "sim/host.h"
#include "sim/script/station.h"
#include "worker/random.h"

namespace weir::sim::script {

/// A stack behind a TAP of the kernel, in real time: frames go through the port that a worker would
/// use, and the script stands on the kernel's side, with a packet socket.
class TapStation final : public Station, private net::FrameSink {
 public:
  /// Nothing, and `error` set, without the right to make a TAP in this network namespace.
  static std::unique_ptr<TapStation> open(const HostConfig& config, HostPools& pools,
                                          Listener& listener, std::string& error);
  ~TapStation() override;

  net::Stack& stack() override { return *stack_; }
  const Counters& counters() const override { return counters_; }
  uint64_t now_ns() const override;
  void arrive(Frame frame) override;
  void arrive_later(Frame frame) override;
  void before_call() override;
  void after_call() override;
  bool pass(uint64_t until_ns) override;

 private:
  TapStation(const HostConfig& config, HostPools& pools, Listener& listener);

  void transmit(rte_mbuf* frame) override { outgoing_.push_back(frame); }
  std::string open_socket();
  void cycle();
  bool take_frames();

  const HostConfig config_;
  HostPools& pools_;
  Listener& listener_;
  std::array<uint64_t, kCounterCount> values_{};
  Counters counters_{values_.data()};
  worker::Random random_;
  std::unique_ptr<port::TapPort> port_;
  std::unique_ptr<net::Stack> stack_;
  std::vector<rte_mbuf*> outgoing_;
  int socket_ = -1;
  uint64_t began_ns_ = 0;
};

}  // namespace weir::sim::script
