#pragma once
#include <memory>

#include "sim/host.h"
#include "sim/script/station.h"

namespace weir::sim::script {

/// A station of the simulator: time passes as fast as it can.
class VirtualStation final : public Station, public Watcher {
 public:
  VirtualStation(const HostConfig& config, HostPools& pools, Listener& listener);

  net::Stack& stack() override { return host_->stack(); }
  const Counters& counters() const override { return host_->counters(); }
  uint64_t now_ns() const override { return now_ns_; }
  void arrive(Frame frame) override;
  void arrive_later(Frame frame) override;
  void before_call() override;
  void after_call() override;
  bool pass(uint64_t until_ns) override;

  void on_transmit(Host& host, const Frame& frame) override;
  void on_input(Host&, const Link::Arrival&) override {}
  void on_discard(Host&, const Link::Arrival&) override {}
  void after_input(Host&, uint32_t, uint32_t) override {}
  void before_flush(Host&) override {}
  void after_flush(Host&) override {}
  void fail(std::string what) override { listener_.fail(std::move(what)); }

 private:
  Listener& listener_;
  std::unique_ptr<Host> host_;
  uint64_t now_ns_ = 0;
};

}  // namespace weir::sim::script
