#include "sim/script/virtual_station.h"

#include <algorithm>

namespace weir::sim::script {

VirtualStation::VirtualStation(const HostConfig& config, HostPools& pools, Listener& listener)
    : listener_(listener), host_(std::make_unique<Host>(0, config, pools, *this, Random(1))) {}

void VirtualStation::arrive(Frame frame) {
  arrive_later(std::move(frame));
  const uint64_t until_ns = now_ns_ + host_->config().cycle_ns;
  while (pass(until_ns)) {
  }
}

void VirtualStation::arrive_later(Frame frame) { host_->arrive({.frame = std::move(frame)}); }

void VirtualStation::before_call() { host_->stack().set_now(host_->clock_us(now_ns_)); }

void VirtualStation::after_call() { host_->cycle(now_ns_); }

bool VirtualStation::pass(uint64_t until_ns) {
  const uint64_t next_ns = host_->next_ns();
  if (next_ns > until_ns) {
    now_ns_ = std::max(now_ns_, until_ns);
    return false;
  }
  now_ns_ = std::max(now_ns_, next_ns);
  host_->cycle(now_ns_);
  return true;
}

void VirtualStation::on_transmit(Host& host, const Frame& frame) {
  now_ns_ = std::max(now_ns_, host.now_ns());
  listener_.on_frame(frame);
}

}  // namespace weir::sim::script
