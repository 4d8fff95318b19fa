#include "net/tcp/tcp.h"

#include <algorithm>
#include <utility>

#include "base/siphash.h"
#include "net/flow_steering.h"
#include "net/tcp/state.h"

namespace weir::net::tcp {
namespace {

constexpr uint32_t kMaxBatch = 256;
/// Timers worked off in one cycle; the rest comes in the next.
constexpr uint32_t kTimersPerCycle = 512;

ControlBlock& block_of(Connection& connection) { return static_cast<ControlBlock&>(connection); }

struct Key {
  uint64_t words[2];
};

// What StackConfig::send_copy_bytes is where it is not given.
constexpr uint64_t kLeastCopyBytes = 64ull * 1024 * 1024;
constexpr uint64_t kCopyBytesOfConnection = 4096;
}  // namespace

Tcp::State::State(const StackConfig& config_, const Environment& environment_, ip::Output& output_)
    : config(config_),
      environment(environment_),
      counters(environment_.counters),
      output(output_),
      hash_key{environment.random.next(), environment.random.next()},
      isn_key{environment.random.next(), environment.random.next()},
      cookie(Key{environment.random.next(), environment.random.next()}.words),
      blocks(config_.max_connections),
      flows(config_.max_connections + config_.max_time_wait),
      time_wait(config_.max_time_wait),
      send_pool(config_.send_copy_bytes != 0
                    ? config_.send_copy_bytes
                    : std::max(kLeastCopyBytes, config_.max_connections * kCopyBytesOfConnection)),
      early(config_.max_reorder_segments_total),
      sent_pool(config_.max_sent_segments) {
  // RFC 7323 section 2.2: the smallest shift that can express the whole buffer.
  while ((config.receive_buffer_bytes >> receive_scale) > 0xffff && receive_scale < 14)
    receive_scale++;
  graveyard.reserve(1024);
  batch.reserve(kMaxBatch);
  candidates.reserve(kMaxBatch);
}

ControlBlock* Tcp::State::create(const Endpoint& local, const Endpoint& remote, uint64_t hash) {
  ControlBlock* block = blocks.take();
  if (block == nullptr) return nullptr;
  block->index = blocks.index_of(block);
  enter(*block, local, remote, hash);
  return block;
}

/// From here on segments of these endpoints are the connection's.
void Tcp::State::enter(ControlBlock& block, const Endpoint& local, const Endpoint& remote,
                       uint64_t hash) {
  block.local = local;
  block.remote = remote;
  block.iss = initial_sequence(local, remote);
  block.snd_una = block.snd_nxt = block.iss;
  block.ts_offset = timestamp_offset(block.remote);
  block.progress_ms = now_ms();
  flows.insert(hash, block.index);
}

/// Segments are not the connection's any more.
void Tcp::State::leave(ControlBlock& block) {
  // One that was never aimed has no endpoints.
  if (block.local.port != 0)
    flows.erase(flow_hash(hash_key, block.local, block.remote), block.index);
}

/// The connection is over: it leaves the tables at once and its memory at the end of the cycle.
void Tcp::State::destroy(ControlBlock& block) {
  if (block.state == tcp::State::dead) return;
  if (block.state == tcp::State::syn_received) half_open--;
  block.state = tcp::State::dead;
  leave(block);
  wheel.disarm(block.timer);
  block.board.clear(sent_pool);
  block.queue.clear();
  block.reorder.clear(early);
  counters.add(Counter::tcp_closed);
  graveyard.push_back(&block);
}

/// Tells the handler and lets go; one that is being opened may have another address to try.
void Tcp::State::finish(ControlBlock& block, CloseReason reason) {
  if (block.state == tcp::State::syn_sent && block.events->on_address_failed(block)) return;
  bool told = block.state != tcp::State::syn_received || block.outbound;
  FlowEvents* events = block.events;
  destroy(block);
  if (told) events->on_closed(block, reason);
}

ControlBlock* Tcp::State::find(const Endpoint& local, const Endpoint& remote, uint64_t hash) {
  uint32_t value = flows.find(hash, [&](uint32_t candidate) {
    if ((candidate & kTimeWaitBit) != 0) return false;
    const ControlBlock& block = blocks[candidate];
    return block.local == local && block.remote == remote;
  });
  return value == FlowTable::kNone ? nullptr : &blocks[value];
}

/// RFC 6528 section 3: a clock of 4 us and a keyed hash of the connection's addresses.
uint32_t Tcp::State::initial_sequence(const Endpoint& local, const Endpoint& remote) {
  struct {
    Endpoint local, remote;
  } key{local, remote};
  return static_cast<uint32_t>(now_us / 4) +
         static_cast<uint32_t>(siphash(isn_key, &key, sizeof key));
}

void Tcp::State::enter_time_wait(ControlBlock& block) {
  if (time_wait.full()) {
    remove_time_wait(time_wait.oldest());
    time_wait.pop();
  }
  uint32_t slot = time_wait.append();
  TimeWaitRecord& record = time_wait[slot];
  record = {.local = block.local,
            .remote = block.remote,
            .snd_nxt = block.snd_nxt,
            .rcv_nxt = block.rcv_nxt,
            .ts_recent = block.ts_recent,
            .ts_offset = block.ts_offset,
            .expires_ms = now_ms() + config.time_wait_ms,
            .timestamps = block.timestamps,
            .live = true};
  uint64_t hash = flow_hash(hash_key, block.local, block.remote);
  // The acknowledgement of the FIN goes out before the block does.
  if (block.ack_now) send_ack(block);
  flows.insert(hash, slot | kTimeWaitBit);
  finish(block, CloseReason::finished);
}

/// The record is void; its slot leaves the ring in its turn.
void Tcp::State::remove_time_wait(uint32_t slot) {
  TimeWaitRecord& record = time_wait[slot];
  if (!record.live) return;
  record.live = false;
  flows.erase(flow_hash(hash_key, record.local, record.remote), slot | kTimeWaitBit);
}

/// The handler sends no more. FIN goes out behind what is queued.
void Tcp::State::request_close(ControlBlock& block) {
  if (block.close_requested) return;
  block.close_requested = true;
  if (block.state == tcp::State::established) {
    block.state = tcp::State::fin_wait_1;
  } else if (block.state == tcp::State::close_wait) {
    block.state = tcp::State::last_ack;
  }
  want_output(block);
}

// ---- timers ----

void Tcp::State::on_timer(ControlBlock& block) {
  if (now_us >= block.delayed_ack_at_us) {
    block.delayed_ack_at_us = UINT64_MAX;
    counters.add(Counter::tcp_delayed_acks);
    want_ack(block);
  }
  if (now_us >= block.loss_at_us) {
    block.loss_at_us = UINT64_MAX;
    on_loss_timer(block);
    if (block.state == tcp::State::dead) return;
  }
  if (now_us >= block.idle_at_us) {
    block.idle_at_us = UINT64_MAX;
    on_idle_timer(block);
    if (block.state == tcp::State::dead) return;
  }
  uint64_t next = std::min({block.delayed_ack_at_us, block.loss_at_us, block.idle_at_us});
  if (next != UINT64_MAX) arm(block, next);
}

void Tcp::State::start_keep_alive(ControlBlock& block) {
  if (config.keep_alive_idle_ms == 0) return;
  block.idle_at_us = now_us + uint64_t{config.keep_alive_idle_ms} * 1000;
  arm(block, block.idle_at_us);
}

/// The end of FIN-WAIT-2; before it, RFC 9293 section 3.8.4: is the peer still there?
void Tcp::State::on_idle_timer(ControlBlock& block) {
  if (block.state == tcp::State::fin_wait_2) return finish(block, CloseReason::timed_out);
  uint32_t silent_ms = now_ms() - block.heard_ms;
  uint32_t wait_ms = config.keep_alive_idle_ms - std::min(config.keep_alive_idle_ms, silent_ms);
  // With bytes under way the retransmission timer finds out.
  if (wait_ms == 0 && block.board.empty() && block.queue.bytes() == 0) {
    uint32_t probes = (silent_ms - config.keep_alive_idle_ms) / config.keep_alive_interval_ms;
    if (probes >= config.keep_alive_probes) return finish(block, CloseReason::timed_out);
    counters.add(Counter::tcp_keep_alives);
    // A sequence number that the peer has acknowledged makes it answer.
    uint32_t timestamps[2] = {timestamp_now(block.ts_offset), block.ts_recent};
    send_bare(block.local, block.remote, block.snd_nxt - 1, block.rcv_nxt, kAck,
              window_field(block), block.timestamps ? timestamps : nullptr);
  }
  if (wait_ms == 0) wait_ms = config.keep_alive_interval_ms;
  block.idle_at_us = now_us + uint64_t{std::max(wait_ms, 1u)} * 1000;
}

/// RFC 5482 section 1: nothing was acknowledged for longer than the user waits.
bool Tcp::State::outlasts_user(const ControlBlock& block) const {
  return config.user_timeout_ms != 0 && now_ms() - block.progress_ms >= config.user_timeout_ms;
}

/// The path takes no segments as long as those that were sent.
void Tcp::State::shrink_segments(ControlBlock& block, uint16_t mss_bytes) {
  if (mss_bytes >= block.mss_bytes || block.state == tcp::State::syn_sent) return;
  block.mss_bytes = std::max(mss_bytes, kMinMss);
  block.congestion.set_mss(block.mss_bytes);
  counters.add(Counter::tcp_segments_shrunk);
  // What was longer never arrived. It goes out again in parts, and the window does not pay for it
  // (RFC 1191 section 6.5).
  block.board.mark_all_lost(false);
  want_output(block);
}

// ---- the handlers' side ----

Tcp::Tcp(const StackConfig& config, const Environment& environment, ip::Output& output)
    : state_(std::make_unique<State>(config, environment, output)) {}

Tcp::~Tcp() {
  State& s = *state_;
  for (uint32_t i = 0; i < s.blocks.touched(); i++)
    if (s.blocks[i].state != tcp::State::dead) s.destroy(s.blocks[i]);
}

void Tcp::set_now(uint64_t now_us) {
  state_->now_us = now_us;
  state_->clock_ms = static_cast<uint32_t>(now_us / 1000);
  // An empty wheel jumps; one that is armed before its first turn would walk here from the
  // machine's start.
  if (state_->wheel.count() == 0) state_->wheel.advance(now_us, 0, [](TimerNode&) {});
}

void Tcp::run_timers() {
  State& s = *state_;
  s.wheel.advance(s.now_us, kTimersPerCycle, [&](TimerNode& node) {
    auto* block = reinterpret_cast<ControlBlock*>(reinterpret_cast<char*>(&node) -
                                                  offsetof(ControlBlock, timer));
    s.on_timer(*block);
  });
  for (uint32_t i = 0; i < kTimersPerCycle && !s.time_wait.empty(); i++) {
    uint32_t slot = s.time_wait.oldest();
    // One whose FIN came again waits longer, and those behind it with it.
    const TimeWaitRecord& record = s.time_wait[slot];
    if (record.live && static_cast<int32_t>(record.expires_ms - s.now_ms()) > 0) break;
    s.remove_time_wait(slot);
    s.time_wait.pop();
  }
}

uint64_t Tcp::next_deadline_us() const {
  const State& s = *state_;
  uint64_t deadline = s.wheel.next_us();
  if (!s.time_wait.empty()) {
    int32_t left_ms =
        static_cast<int32_t>(s.time_wait[s.time_wait.oldest()].expires_ms - s.now_ms());
    // Due at the end of that millisecond, as run_timers sees it.
    uint64_t left_us = left_ms <= 0 ? 0 : static_cast<uint64_t>(left_ms) * 1000 - s.now_us % 1000;
    deadline = std::min(deadline, s.now_us + left_us);
  }
  if (s.output_head != nullptr || !s.graveyard.empty()) deadline = std::min(deadline, s.now_us);
  return deadline;
}

void Tcp::flush() {
  State& s = *state_;
  // A connection that has more than its turn allows is entered anew, for the next cycle.
  ControlBlock* next = std::exchange(s.output_head, nullptr);
  while (next != nullptr) {
    ControlBlock& block = *next;
    next = block.next_output;
    block.in_output_list = false;
    if (block.state != tcp::State::dead) s.output_one(block);
  }
  for (ControlBlock* block : s.graveyard) s.blocks.give_back(block);
  s.graveyard.clear();
}

bool Tcp::listen(uint16_t port, FlowEvents& events, uint32_t listener_tag) {
  State& s = *state_;
  if (auto found = s.listeners.find(port); found != s.listeners.end()) {
    Listener& listener = found->second;
    if (listener.events != &events) return false;
    if (listener.tag == listener_tag) return true;
    listener.tag = listener_tag;
    s.for_each_opening(port, [&](ControlBlock& block) { block.listener_tag = listener_tag; });
    return true;
  }
  if (port == 0 || s.listeners.size() >= s.config.max_listeners) return false;
  return s.listeners.try_emplace(port, Listener{&events, listener_tag}).second;
}

void Tcp::unlisten(uint16_t port) {
  State& s = *state_;
  if (s.listeners.erase(port) == 0) return;
  // Who is still opening a connection to it has nobody to talk to any more.
  s.for_each_opening(port, [&](ControlBlock& block) { abort(block); });
}

/// A local endpoint that no connection to `remote` has; port 0 when there is none, or no route.
Endpoint Tcp::State::free_endpoint(const Endpoint& remote) {
  Endpoint local;
  local.address = output.source_for(remote.address);
  if (local.address.is_unspecified() || remote.port == 0 || remote.address.is_unspecified())
    return local;
  // RFC 6056 section 3.3.1: a random start, then the next one that is free.
  constexpr uint32_t kPorts = kLastEphemeralPort - kFirstEphemeralPort + 1;
  auto start = static_cast<uint32_t>(environment.random.next() % kPorts);
  for (uint32_t i = 0; i < kPorts; i++) {
    local.port = static_cast<uint16_t>(kFirstEphemeralPort + (start + i) % kPorts);
    if (listeners.contains(local.port)) continue;
    if (environment.steering != nullptr && !environment.steering->is_home(local, remote)) continue;
    uint32_t taken = flows.find(flow_hash(hash_key, local, remote), [&](uint32_t value) {
      if ((value & kTimeWaitBit) != 0) {
        const TimeWaitRecord& record = time_wait[value & ~kTimeWaitBit];
        return record.local == local && record.remote == remote;
      }
      return blocks[value].local == local && blocks[value].remote == remote;
    });
    if (taken == FlowTable::kNone) return local;
  }
  local.port = 0;
  return local;
}

Connection* Tcp::connect(const Endpoint& remote, FlowEvents& events, uint32_t user) {
  const Endpoint local = state_->free_endpoint(remote);
  ControlBlock* block = local.port == 0 ? nullptr : state_->prepare(events, user);
  if (block != nullptr) state_->aim(*block, local, remote);
  return block;
}

Connection* Tcp::prepare(FlowEvents& events, uint32_t user) {
  return state_->prepare(events, user);
}

bool Tcp::aim(Connection& connection, const Endpoint& remote) {
  ControlBlock& block = block_of(connection);
  if (block.state != tcp::State::syn_sent) return false;
  const Endpoint local = state_->free_endpoint(remote);
  if (local.port == 0) return false;
  state_->aim(block, local, remote);
  return true;
}

/// SYN-SENT, without a SYN and without endpoints: handlers may queue bytes already.
ControlBlock* Tcp::State::prepare(FlowEvents& events, uint32_t user) {
  ControlBlock* block = blocks.take();
  if (block == nullptr) return nullptr;
  block->index = blocks.index_of(block);
  block->events = &events;
  block->user = user;
  block->outbound = true;
  block->state = tcp::State::syn_sent;
  block->receive_scale = receive_scale;
  return block;
}

/// RFC 9293 section 3.10.1, active OPEN; again for another address while no answer has been taken.
void Tcp::State::aim(ControlBlock& block, const Endpoint& local, const Endpoint& remote) {
  leave(block);
  wheel.disarm(block.timer);
  block.round_trip = {};
  block.retries = 0;
  block.mss_bytes = our_mss(remote.address);
  enter(block, local, remote, flow_hash(hash_key, local, remote));
  send_syn(block);
  start_timer(block, LossTimer::timeout);
}

SendResult Tcp::send_copy(Connection& connection, std::span<const uint8_t> bytes) {
  State& s = *state_;
  ControlBlock& block = block_of(connection);
  if (block.state == tcp::State::dead || block.close_requested) return SendResult::closing;
  if (bytes.empty()) return SendResult::ok;
  if (bytes.size() > s.config.send_buffer_bytes - block.queue.bytes()) return SendResult::limit;
  if (!block.queue.append_copy(s.send_pool, bytes)) return SendResult::no_memory;
  s.want_output(block);
  return SendResult::ok;
}

SendResult Tcp::send_held(Connection& connection, const HeldBuffer& buffer) {
  State& s = *state_;
  ControlBlock& block = block_of(connection);
  if (block.state == tcp::State::dead || block.close_requested) return SendResult::closing;
  if (buffer.length_bytes > s.config.send_buffer_bytes - block.queue.bytes())
    return SendResult::limit;
  if (!block.queue.append_held(s.send_pool, buffer)) return SendResult::no_memory;
  s.want_output(block);
  return SendResult::ok;
}

void Tcp::consume(Connection& connection, uint32_t bytes) {
  State& s = *state_;
  ControlBlock& block = block_of(connection);
  if (block.state == tcp::State::dead) return;
  block.unconsumed_bytes -= std::min(bytes, block.unconsumed_bytes);
  // RFC 9293 section 3.8.6.2.2: a window update is worth a segment when it opens by half the
  // buffer, or by a segment where hardly more is left.
  uint32_t left = block.rcv_edge - block.rcv_nxt;
  if (left > block.receive_limit_bytes / 2 && left >= 2u * block.mss_bytes) return;
  uint32_t edge = block.rcv_nxt + s.receive_room(block);
  uint32_t opened = edge - block.rcv_edge;
  if (static_cast<int32_t>(opened) <= 0) return;
  if (opened >= block.receive_limit_bytes / 2 ||
      (block.rcv_edge - block.rcv_nxt < 2u * block.mss_bytes && opened >= block.mss_bytes))
    s.want_ack(block);
}

void Tcp::close(Connection& connection) {
  ControlBlock& block = block_of(connection);
  if (block.state == tcp::State::dead) return;
  state_->request_close(block);
}

void Tcp::abort(Connection& connection) {
  State& s = *state_;
  ControlBlock& block = block_of(connection);
  if (block.state == tcp::State::dead) return;
  // RFC 9293 section 3.10.5.
  if (block.state != tcp::State::syn_sent) {
    s.counters.add(Counter::tcp_resets_tx);
    s.send_bare(block.local, block.remote, block.snd_nxt, block.rcv_nxt, kRst | kAck, 0, nullptr);
  }
  s.destroy(block);
}

void Tcp::set_events(Connection& connection, FlowEvents& events) {
  block_of(connection).events = &events;
}

uint32_t Tcp::connection_count() const {
  return state_->blocks.used() - static_cast<uint32_t>(state_->graveyard.size());
}

ConnectionInfo Tcp::info(const Connection& connection) const {
  static constexpr const char* kNames[] = {"CLOSED",      "SYN-SENT",   "SYN-RECEIVED",
                                           "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2",
                                           "CLOSE-WAIT",  "CLOSING",    "LAST-ACK"};
  const auto& block = static_cast<const ControlBlock&>(connection);
  return {.state = kNames[static_cast<uint32_t>(block.state)],
          .snd_una = block.snd_una,
          .snd_nxt = block.snd_nxt,
          .snd_max = block.snd_nxt,
          .rcv_nxt = block.rcv_nxt,
          .send_window_bytes = block.snd_wnd,
          .receive_window_bytes = block.rcv_edge - block.rcv_nxt,
          .congestion_window_bytes = block.congestion.window_bytes(),
          .slow_start_threshold_bytes = block.congestion.threshold_bytes(),
          .in_flight_bytes = state_->pipe(block),
          .mss_bytes = block.mss_bytes,
          .round_trip_us = block.round_trip.smoothed_us(),
          .timeout_us = block.round_trip.timeout_us(),
          .send_queue_bytes = block.queue.bytes(),
          .unconsumed_bytes = block.unconsumed_bytes,
          .timer_us = std::min({block.delayed_ack_at_us, block.loss_at_us, block.idle_at_us})};
}

StackUsage Tcp::usage() const {
  const State& s = *state_;
  return {.connections = connection_count(),
          .half_open = s.half_open,
          .time_wait = s.time_wait.count(),
          .armed_timers = s.wheel.count(),
          .send_blocks = s.send_pool.used(),
          .reorder_segments = s.early.segments.used(),
          .waiting_packets = 0};
}

/// An error about a segment of ours. It must quote a sequence number that is in flight (RFC 5927
/// section 4.1); only a hard error during the handshake ends the connection (RFC 5461 section 4).
void Tcp::on_icmp_error(const Address& local, const Address& remote,
                        std::span<const uint8_t> quoted, const ip::DeliveryError& error) {
  State& s = *state_;
  if (quoted.size() < 8) return;
  Endpoint from{local, static_cast<uint16_t>(quoted[0] << 8 | quoted[1])};
  Endpoint to{remote, static_cast<uint16_t>(quoted[2] << 8 | quoted[3])};
  uint32_t sequence =
      uint32_t{quoted[4]} << 24 | uint32_t{quoted[5]} << 16 | uint32_t{quoted[6]} << 8 | quoted[7];
  ControlBlock* block = s.find(from, to, flow_hash(s.hash_key, from, to));
  if (block == nullptr || !seq_le(block->snd_una, sequence) || !seq_lt(sequence, block->snd_nxt)) {
    s.counters.add(Counter::drop_icmp_unknown);
    return;
  }
  if (error.kind == ip::DeliveryError::Kind::too_big) {
    uint16_t before = s.output.mtu_bytes(remote);
    // RFC 1191 section 5: a router that does not say; the next of the usual sizes is tried.
    uint16_t mtu = error.mtu_bytes != 0 ? error.mtu_bytes : static_cast<uint16_t>(before / 2);
    s.output.lower_path_mtu(remote, mtu);
    s.fit_path(*block);
    return;
  }
  if (error.kind == ip::DeliveryError::Kind::hard && block->state == tcp::State::syn_sent)
    s.finish(*block, CloseReason::unreachable);
}

}  // namespace weir::net::tcp
