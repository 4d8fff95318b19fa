#include "load.h"

#include <rte_cycles.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>

#include <algorithm>

#include "base/counters.h"

namespace weir::load {
namespace {

/// Clients of one address.
constexpr uint32_t kPortsPerClient = 60'000;
constexpr uint16_t kFirstPort = 2'048;
constexpr double kAskAgainUs = 100'000;
constexpr double kEndUs = 50'000;
constexpr double kLeaveUs = 2e6;

}  // namespace

Load::Load(const LoadConfig& config, Dialogue& dialogue, port::Port& port, rte_mempool* pool)
    : config_(config),
      dialogue_(dialogue),
      port_(port),
      pool_(pool),
      waiting_(config.connections),
      ticks_per_us_(static_cast<double>(rte_get_tsc_hz()) / 1e6) {
  out_.reserve(kMostWaiting + 64);
  if (config_.rate > 0) schedule_.emplace(1e6 * ticks_per_us_ * dialogue.requests() / config_.rate);
}

Client Load::client_of(uint32_t client) const {
  return {.address = config_.first_client + client / kPortsPerClient,
          .port = static_cast<uint16_t>(kFirstPort + client % kPortsPerClient)};
}

/// Nothing when none is free: what is not sent now is sent again after a while.
rte_mbuf* Load::allocate() { return rte_pktmbuf_alloc(pool_); }

void Load::ask_for_server() {
  rte_mbuf* frame = allocate();
  if (frame == nullptr) return;
  auto* arp = reinterpret_cast<ArpFrame*>(rte_pktmbuf_append(frame, sizeof(ArpFrame)));
  *arp = {.ethernet = {net::link::kBroadcast, port_.link_address(),
                       rte_cpu_to_be_16(net::link::kTypeArp)},
          .hardware_be = rte_cpu_to_be_16(1),
          .protocol_be = rte_cpu_to_be_16(net::link::kTypeIpv4),
          .hardware_bytes = 6,
          .protocol_bytes = 4,
          .operation_be = rte_cpu_to_be_16(1),
          .sender_link = port_.link_address(),
          .sender_be = rte_cpu_to_be_32(config_.first_client),
          .target_link = {},
          .target_be = rte_cpu_to_be_32(config_.server)};
  transmit(frame);
}

/// Answers who asks for a client, and learns where the server is.
void Load::take_arp(const uint8_t* at, uint32_t bytes) {
  if (bytes < sizeof(ArpFrame)) return;
  ArpFrame arp;
  std::memcpy(&arp, at, sizeof arp);
  if (rte_be_to_cpu_32(arp.sender_be) == config_.server && !knows_server_) {
    knows_server_ = true;
    on_route({.own_link = port_.link_address(),
              .server_link = arp.sender_link,
              .server = config_.server,
              .server_port = config_.server_port});
  }
  const uint32_t asked = rte_be_to_cpu_32(arp.target_be) - config_.first_client;
  if (arp.operation_be != rte_cpu_to_be_16(1) ||
      asked > (config_.connections - 1) / kPortsPerClient)
    return;
  rte_mbuf* frame = allocate();
  if (frame == nullptr) return;
  auto* answer = reinterpret_cast<ArpFrame*>(rte_pktmbuf_append(frame, sizeof(ArpFrame)));
  *answer = arp;
  answer->ethernet.destination = arp.sender_link;
  answer->ethernet.source = port_.link_address();
  answer->operation_be = rte_cpu_to_be_16(2);
  answer->sender_link = port_.link_address();
  answer->sender_be = arp.target_be;
  answer->target_link = arp.sender_link;
  answer->target_be = arp.sender_be;
  transmit(frame);
}

void Load::flush() {
  if (out_.empty()) return;
  const uint32_t sent = port_.transmit(out_.data(), static_cast<uint32_t>(out_.size()));
  counts_.frames_sent += sent;
  out_.erase(out_.begin(), out_.begin() + sent);
}

void Load::take_frame(rte_mbuf* frame, uint64_t now) {
  const auto* at = rte_pktmbuf_mtod(frame, const uint8_t*);
  const uint32_t bytes = frame->data_len;
  // The least of them all: an empty datagram, or ARP.
  static_assert(sizeof(DatagramHeaders) == sizeof(ArpFrame));
  if (bytes < sizeof(DatagramHeaders)) return;
  const auto& headers = *reinterpret_cast<const PacketHeaders*>(at);
  if (headers.ethernet.type_be == rte_cpu_to_be_16(net::link::kTypeArp)) return take_arp(at, bytes);
  if (headers.ethernet.type_be != rte_cpu_to_be_16(net::link::kTypeIpv4) ||
      headers.ip.version_and_length != net::ip::kIpv4VersionAndLength ||
      headers.ip.source_be != rte_cpu_to_be_32(config_.server))
    return;
  uint16_t port_be;
  std::memcpy(&port_be, at + kDestinationPortOffset, sizeof port_be);
  const uint32_t address = rte_be_to_cpu_32(headers.ip.destination_be) - config_.first_client;
  const uint32_t port = rte_be_to_cpu_16(port_be) - uint32_t{kFirstPort};
  const uint64_t client = uint64_t{address} * kPortsPerClient + port;
  if (port >= kPortsPerClient || client >= config_.connections) return;
  take(static_cast<uint32_t>(client), at, bytes, now);
}

void Load::count_answered(uint64_t due, uint64_t now) {
  busy_--;
  // A time into which a stall fell says nothing about the server.
  if (due < stall_end_)
    counts_.excluded++;
  else
    latency_.record(static_cast<uint64_t>(static_cast<double>(now - due) * 1e3 / ticks_per_us_));
}

/// Gives messages to the clients that wait, as many as there should be. True when there were any.
bool Load::begin_messages(uint64_t now) {
  const bool is_open_loop = schedule_.has_value() && phase_ == Phase::loading;
  bool did = false;
  while (!waiting_.is_empty() && !is_full() &&
         (is_open_loop ? schedule_->is_due(now) : busy_ < config_.outstanding)) {
    begin(waiting_.pop(), is_open_loop ? schedule_->take() : now, now);
    did = true;
  }
  return did;
}

/// A stall of the worker's, which it noted before it sent anything after it.
void Load::look_for_worker_stall() {
  const auto read = [&](Counter counter) {
    return __atomic_load_n(&config_.worker_counters[static_cast<size_t>(counter)],
                           __ATOMIC_ACQUIRE);
  };
  const uint64_t stalls = read(Counter::stalls);
  if (stalls == worker_stalls_seen_) return;
  counts_.worker_stalls += stalls - worker_stalls_seen_;
  worker_stalls_seen_ = stalls;
  stall_end_ = std::max(stall_end_, read(Counter::stall_end_ticks));
}

/// Receives, sends what is to be sent. False when there was nothing to do.
bool Load::turn() {
  rte_mbuf* frames[256];
  const uint32_t received = port_.receive(frames, config_.batch);
  const uint64_t now = rte_rdtsc();
  const uint64_t gap = now - last_turn_;
  if (last_turn_ != 0 && gap > ticks(config_.stall_us)) {
    counts_.stalls++;
    counts_.stalled_ticks += gap;
    stall_end_ = now;
  }
  last_turn_ = now;
  if (config_.worker_counters != nullptr && received != 0) look_for_worker_stall();
  counts_.frames_received += received;
  for (uint32_t i = 0; i < received; i++) rte_prefetch0(rte_pktmbuf_mtod(frames[i], const void*));
  for (uint32_t i = 0; i < received; i++) {
    take_frame(frames[i], now);
    rte_pktmbuf_free(frames[i]);
  }
  bool did = received != 0 || !out_.empty();
  if (is_loading()) did |= begin_messages(now);
  if (knows_server_) did |= tend(now);
  flush();
  const uint64_t took = rte_rdtsc() - now;
  counts_.ticks += gap < now ? gap : 0;
  if (!did) counts_.idle_ticks += took;
  return did;
}

std::string Load::open(double patience_s) {
  const uint64_t end = rte_rdtsc() + ticks(patience_s * 1e6);
  uint64_t ask_at = 0;
  while (rte_rdtsc() < end) {
    if (!knows_server_ && rte_rdtsc() >= ask_at) {
      ask_for_server();
      ask_at = rte_rdtsc() + ticks(kAskAgainUs);
    }
    turn();
    if (phase_ == Phase::opening && open_count() == config_.connections) phase_ = Phase::preparing;
    if (phase_ == Phase::preparing && dialogue_.is_ready()) return {};
  }
  if (!knows_server_) return "nobody answers at the server's address";
  if (phase_ == Phase::preparing)
    return "the server had not taken everything before the load; wrong answers: " +
           std::to_string(counts_.wrong);
  return "only " + std::to_string(open_count()) + " of " + std::to_string(config_.connections) +
         " connections were opened, and the server reset " + std::to_string(counts_.resets);
}

void Load::run(double seconds) {
  if (config_.worker_counters != nullptr) look_for_worker_stall();
  counts_ = {};
  latency_.clear();
  phase_ = Phase::loading;
  const uint64_t start = rte_rdtsc();
  const uint64_t end = start + ticks(seconds * 1e6);
  if (schedule_) schedule_->start(start);
  last_turn_ = start;
  while (last_turn_ < end) turn();
}

void Load::close() {
  phase_ = Phase::ending;
  const uint64_t end = rte_rdtsc() + ticks(kLeaveUs);
  end_all(end);
  while (!out_.empty() && rte_rdtsc() < end) flush();
  // Until the server has read it: what is in a ring ends with the ring.
  const uint64_t read = rte_rdtsc() + ticks(kEndUs);
  while (rte_rdtsc() < read) turn();
}

}  // namespace weir::load
