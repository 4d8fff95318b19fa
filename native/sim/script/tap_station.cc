#include "sim/script/tap_station.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <rte_mbuf.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "port/interface_setup.h"

namespace weir::sim::script {
namespace {

constexpr uint64_t kMs = 1'000'000;
/// What a frame may take through the kernel and back.
constexpr uint64_t kThereAndBackNs = 2 * kMs;
/// Rounded up, so that a timer is due when its time has come.
constexpr uint64_t kPollStepNs = kMs;
constexpr uint32_t kBatch = 64;
constexpr size_t kLongestFrameBytes = 16'384;

uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

std::string because(const std::string& what) { return what + ": " + std::strerror(errno); }

}  // namespace

std::unique_ptr<TapStation> TapStation::open(const HostConfig& config, HostPools& pools,
                                             Listener& listener, std::string& error) {
  std::unique_ptr<TapStation> station(new TapStation(config, pools, listener));
  station->port_ = port::TapPort::open({.name = "script%d",
                                        .link_address = config.stack.link_address,
                                        .mtu_bytes = config.stack.mtu_bytes},
                                       pools.frames->get(), station->counters_, error);
  if (station->port_ == nullptr) return nullptr;
  const std::string& name = station->port_->name();
  // The kernel is not to say anything of its own on the wire; where there is no IPv6, it cannot.
  std::ofstream("/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6") << '1';
  error = port::set_up_interface(name,
                                 {.up = true, .mtu_bytes = config.stack.mtu_bytes, .address = {}});
  if (error.empty()) error = station->open_socket();
  if (!error.empty()) return nullptr;
  station->began_ns_ = monotonic_ns();
  const net::Environment environment{*station, station->random_, station->counters_,
                                     pools.headers->get(), pools.frames->get()};
  station->stack_ = std::make_unique<net::Stack>(config.stack, environment);
  station->before_call();
  return station;
}

TapStation::TapStation(const HostConfig& config, HostPools& pools, Listener& listener)
    : config_(config), pools_(pools), listener_(listener), random_(config.stack_seed) {}

TapStation::~TapStation() {
  for (rte_mbuf* frame : outgoing_) rte_pktmbuf_free(frame);
  stack_.reset();
  if (socket_ >= 0) close(socket_);
}

std::string TapStation::open_socket() {
  socket_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
  if (socket_ < 0) return because("no packet socket can be made");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(if_nametoindex(port_->name().c_str()));
  if (bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return because("the packet socket cannot be bound to " + port_->name());
  return {};
}

uint64_t TapStation::now_ns() const { return monotonic_ns() - began_ns_; }

void TapStation::before_call() { stack_->set_now(config_.clock_offset_us + now_ns() / 1000); }

void TapStation::after_call() {
  cycle();
  take_frames();
}

void TapStation::arrive(Frame frame) {
  arrive_later(std::move(frame));
  const uint64_t until_ns = now_ns() + kThereAndBackNs;
  while (pass(until_ns)) {
  }
}

void TapStation::arrive_later(Frame frame) {
  if (send(socket_, frame.data(), frame.size(), 0) != static_cast<ssize_t>(frame.size()))
    listener_.fail(because("the kernel does not take a frame"));
}

/// As a worker does it.
void TapStation::cycle() {
  before_call();
  rte_mbuf* frames[kBatch];
  if (const uint32_t received = port_->receive(frames, kBatch); received != 0)
    stack_->input(frames, received);
  stack_->run_timers();
  stack_->flush();
  uint32_t sent = 0;
  while (sent < outgoing_.size()) {
    const uint32_t taken =
        port_->transmit(outgoing_.data() + sent, static_cast<uint32_t>(outgoing_.size()) - sent);
    if (taken == 0) break;
    sent += taken;
  }
  if (sent < outgoing_.size()) listener_.fail("the port does not take a frame");
  for (; sent < outgoing_.size(); sent++) rte_pktmbuf_free(outgoing_[sent]);
  outgoing_.clear();
}

/// What the stack has sent comes out of the kernel. Whether there was something.
bool TapStation::take_frames() {
  bool any = false;
  for (;;) {
    Frame frame(kLongestFrameBytes);
    sockaddr_ll from{};
    socklen_t from_bytes = sizeof from;
    const ssize_t bytes = recvfrom(socket_, frame.data(), frame.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &from_bytes);
    if (bytes <= 0) return any;
    if (from.sll_pkttype == PACKET_OUTGOING) continue;
    frame.resize(static_cast<size_t>(bytes));
    any = true;
    listener_.on_frame(frame);
  }
}

bool TapStation::pass(uint64_t until_ns) {
  for (;;) {
    cycle();
    if (take_frames()) return true;
    const uint64_t now = now_ns();
    if (now >= until_ns) return false;
    uint64_t wait_ns = until_ns - now;
    if (const uint64_t due_us = stack_->next_deadline_us(); due_us != UINT64_MAX) {
      const uint64_t due_ns = (due_us - std::min(due_us, config_.clock_offset_us)) * 1000;
      wait_ns = std::min(wait_ns, due_ns - std::min(due_ns, now));
    }
    pollfd waiting[] = {{port_->wait_descriptor(), POLLIN, 0}, {socket_, POLLIN, 0}};
    poll(waiting, std::size(waiting),
         static_cast<int>(std::min((wait_ns + kPollStepNs - 1) / kPollStepNs, kMs)));
  }
}

}  // namespace weir::sim::script
