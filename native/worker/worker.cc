#include "worker/worker.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <time.h>

#include <algorithm>
#include <span>

namespace weir::worker {
namespace {

uint64_t clock_us(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

/// No sleep is longer: a missed wake-up costs this much and no more.
constexpr uint64_t kLongestSleepUs = 1'000'000;
/// Where the port has no descriptor to wait on, a nap lasts this part of the time that nothing has
/// happened, within these bounds: what comes after a silence waits for a small part of it, and two
/// hundred naps a second cost less than a percent of a core.
constexpr uint64_t kNapsOfSilence = 8;
constexpr uint64_t kShortestNapUs = 50;
constexpr uint64_t kLongestNapUs = 5000;
/// A cycle of the longest batch takes less, unless the thread did not run.
constexpr uint64_t kStallUs = 100;
/// How often to look whether the port's link has come up.
constexpr uint64_t kLinkCheckUs = 20'000;
/// How often the time of day is compared with the monotonic clock.
constexpr uint64_t kWallCheckUs = 1'000'000;

}  // namespace

uint64_t monotonic_us() { return clock_us(CLOCK_MONOTONIC); }

Worker::Worker(const WorkerConfig& config, const WorkerResources& resources)
    : config_(config),
      resources_(resources),
      counters_(resources.counters),
      random_(config.seed == 0 ? Random() : Random(config.seed)),
      flows_(config.stack.max_connections + 128 * abi::kTicketCapacity) {
  config_.batch = std::clamp<uint32_t>(config_.batch, 1, kMaxBatch);
  net::Environment environment{
      *this, random_,           counters_, resources.header_pool, resources.frame_pool,
      this,  resources.steering};
  stack_ = std::make_unique<net::Stack>(config.stack, environment);
  if (!resources.port.is_up()) {
    stack_->set_link(false);
    look_for_link_us_ = 0;
  }
  ready_.reserve(256);
  running_.reserve(256);
}

Worker::~Worker() {
  for (auto& app : apps_) app->shut_down();
  // Frames refer to the stack's memory, and that to the windows: in this order they let go.
  for (uint32_t i = 0; i < tx_count_; i++) rte_pktmbuf_free(tx_[i]);
  tx_count_ = 0;
  stack_.reset();
}

void Worker::transmit(rte_mbuf* frame) {
  tx_bytes_ += rte_pktmbuf_pkt_len(frame);
  tx_[tx_count_++] = frame;
  if (tx_count_ == tx_.size()) flush_port();
}

void Worker::on_address_change(const net::Address& address, net::AddressChange change) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.is_v4() ? AF_INET : AF_INET6, address.bytes.data() + (address.is_v4() ? 12 : 0),
            text, sizeof text);
  sandbox::AppEvent event;
  event.time_us = clock_us(CLOCK_REALTIME);
  event.text = std::string("address ") + text;
  event.level = abi::LogLevel::warn;
  switch (change) {
    case net::AddressChange::assigned:
      event.level = abi::LogLevel::info;
      event.text += " is used from now on";
      break;
    case net::AddressChange::duplicate:
      event.text += " belongs to another station: it is not used, and asked for again in a minute";
      break;
    case net::AddressChange::contested:
      event.text += " is claimed by another station too";
      break;
    case net::AddressChange::gone:
      event.text += " is not used any more: its DHCP lease has ended";
      break;
  }
  resources_.log.push(std::move(event));
}

void Worker::flush_port() {
  counters_.add(Counter::tx_bytes, tx_bytes_);
  if (resources_.port.copies()) counters_.add(Counter::copied_port_bytes, tx_bytes_);
  tx_bytes_ = 0;
  uint32_t sent = resources_.port.transmit(tx_.data(), tx_count_);
  if (sent < tx_count_) {
    // Once more: the port may have made room while it worked.
    sent += resources_.port.transmit(tx_.data() + sent, tx_count_ - sent);
    if (sent < tx_count_) {
      counters_.add(Counter::drop_tx_full, tx_count_ - sent);
      for (uint32_t i = sent; i < tx_count_; i++) rte_pktmbuf_free(tx_[i]);
    }
  }
  counters_.add(Counter::tx_frames, sent);
  tx_count_ = 0;
}

void Worker::look_for_link() {
  look_for_link_us_ = time_.mono_us + kLinkCheckUs;
  if (!resources_.port.is_up()) return;
  stack_->set_link(true);
  look_for_link_us_ = UINT64_MAX;
}

/// Gives what was received for others to them, and takes from them what is ours. Returns how many
/// frames rx_ has then.
uint32_t Worker::exchange(uint32_t received) {
  Steering& steering = *resources_.steering;
  const uint32_t kept = steering.sort(rx_.data(), received);
  return kept + steering.take(rx_.data() + kept, kMaxBatch);
}

/// Workers whose port has no queue send through ours.
void Worker::send_for_others() {
  std::array<rte_mbuf*, 64> frames;
  const uint32_t count =
      resources_.steering->take_outward(frames.data(), static_cast<uint32_t>(frames.size()));
  for (uint32_t i = 0; i < count; i++) transmit(frames[i]);
}

void Worker::tell_link_state() {
  const uint32_t version = stack_->link_version();
  if (version != told_version_ && resources_.tell_link_state(stack_->link_state()))
    told_version_ = version;
}

bool Worker::cycle(uint64_t now_us) {
  time_.mono_us = now_us;
  if (now_us - wall_checked_us_ > kWallCheckUs || wall_checked_us_ == 0) {
    wall_checked_us_ = now_us;
    wall_offset_us_ =
        config_.wall_offset_us != 0 ? config_.wall_offset_us : clock_us(CLOCK_REALTIME) - now_us;
  }
  time_.wall_us = now_us + wall_offset_us_;
  stack_->set_now(now_us);
  if (now_us >= look_for_link_us_) [[unlikely]]
    look_for_link();

  uint64_t t0 = rte_rdtsc();
  uint32_t received = resources_.port.receive(rx_.data(), config_.batch);
  uint64_t t1 = rte_rdtsc();
  if (received != 0) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < received; i++) bytes += rte_pktmbuf_pkt_len(rx_[i]);
    counters_.add(Counter::rx_frames, received);
    counters_.add(Counter::rx_bytes, bytes);
    if (resources_.port.copies()) counters_.add(Counter::copied_port_bytes, bytes);
    counters_.add(Counter::rx_batches);
  }
  if (resources_.steering != nullptr) received = exchange(received);
  if (received != 0) stack_->input(rx_.data(), received);
  uint64_t t2 = rte_rdtsc();

  bool busy = received != 0 || !ready_.empty();
  if (!ready_.empty()) {
    running_.swap(ready_);
    for (sandbox::App* app : running_) app->run();
    running_.clear();
  }

  uint64_t t3 = rte_rdtsc();
  if (now_us >= stack_->next_deadline_us()) {
    stack_->run_timers();
    busy = true;
  }
  for (auto& app : apps_)
    if (now_us >= app->deadline_us()) {
      app->run_timers();
      busy = true;
    }
  uint64_t t4 = rte_rdtsc();

  if (resources_.steering != nullptr) {
    send_for_others();
    busy = busy || tx_count_ != 0;
  }
  if (busy) {
    stack_->flush();
    if (tx_count_ != 0) flush_port();
    uint64_t t5 = rte_rdtsc();
    counters_.add(Counter::cycles);
    counters_.add(Counter::tsc_rx, t1 - t0);
    counters_.add(Counter::tsc_net, t2 - t1);
    counters_.add(Counter::tsc_timers, t4 - t3);
    counters_.add(Counter::tsc_tx, t5 - t4);
  } else {
    counters_.add(Counter::polls_empty);
  }
  return busy;
}

uint64_t Worker::next_deadline_us() const {
  uint64_t deadline_us = std::min(stack_->next_deadline_us(), look_for_link_us_);
  for (const auto& app : apps_) deadline_us = std::min(deadline_us, app->deadline_us());
  return deadline_us;
}

void Worker::run() {
  rte_thread_register();
  if (config_.core >= 0) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(config_.core, &cpus);
    pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
  }
  resources_.engine.worker_active();
  uint64_t idle_since_us = 0;
  // When the cycle before this one began; 0 if the worker slept since.
  uint64_t before_us = 0;
  while (!stopping_.load(std::memory_order_relaxed)) {
    uint64_t now_us = monotonic_us();
    if (before_us != 0 && now_us - before_us > kStallUs) [[unlikely]]
      note_stall(now_us - before_us);
    before_us = now_us;
    bool busy = cycle(now_us);
    if (tasks_.waiting()) [[unlikely]] {
      tasks_.run();
      // What a task made the stack say goes out now.
      stack_->flush();
      if (tx_count_ != 0) flush_port();
      busy = true;
    }
    if (!dying_.empty()) collect_dying();
    if (resources_.tell_link_state) tell_link_state();
    if (busy || !ready_.empty()) {
      idle_since_us = 0;
    } else if (idle_since_us == 0) {
      idle_since_us = now_us;
    } else if (now_us - idle_since_us >= config_.spin_us) {
      // It stays idle, and does not spin again, until there is something to do.
      sleep_until(next_deadline_us(), idle_since_us);
      before_us = 0;
    }
  }
  resources_.engine.worker_idle();
  // An app that goes away after this point must not find guests or connections.
  for (auto& app : apps_) app->shut_down();
  stack_->flush();
  if (tx_count_ != 0) flush_port();
  rte_thread_unregister();
}

/// Whoever measures us from outside can tell what was not our doing.
void Worker::note_stall(uint64_t took_us) {
  counters_.set(Counter::stall_end_ticks, rte_rdtsc());
  counters_.add(Counter::stalled_us, took_us);
  counters_.add(Counter::stalls);
}

void Worker::sleep_until(uint64_t deadline_us, uint64_t idle_since_us) {
  uint64_t now_us = monotonic_us();
  if (deadline_us <= now_us) return;
  uint64_t wait_us = std::min(deadline_us - now_us, kLongestSleepUs);
  int port = resources_.port.wait_descriptor();
  if (port < 0)
    wait_us = std::min(wait_us, std::clamp((now_us - idle_since_us) / kNapsOfSilence,
                                           kShortestNapUs, kLongestNapUs));
  timespec timeout{static_cast<time_t>(wait_us / 1'000'000),
                   static_cast<long>(wait_us % 1'000'000) * 1000};
  Steering* steering = resources_.steering;
  if (steering != nullptr && !steering->may_sleep()) return;
  // Negative ones are not looked at.
  pollfd descriptors[] = {{tasks_.descriptor(), POLLIN, 0},
                          {port, POLLIN, 0},
                          {steering == nullptr ? -1 : steering->descriptor(), POLLIN, 0}};
  counters_.add(Counter::sleeps);
  resources_.engine.worker_idle();
  ppoll(descriptors, std::size(descriptors), &timeout, nullptr);
  resources_.engine.worker_active();
  if (steering != nullptr) steering->wake_up();
}

void Worker::stop() {
  tasks_.push([this] { stopping_.store(true, std::memory_order_relaxed); });
}

// ---- apps ----

namespace {

bool same_port(const sandbox::Listen& a, const sandbox::Listen& b) {
  return a.protocol == b.protocol && a.port == b.port;
}

bool has_port(std::span<const sandbox::Listen> listens, const sandbox::Listen& sought) {
  return std::any_of(listens.begin(), listens.end(),
                     [&](const auto& listen) { return same_port(listen, sought); });
}

}  // namespace

/// Ends listening on what is in `listens` and not in `kept`.
void Worker::unlisten_all(const std::vector<sandbox::Listen>& listens,
                          const std::vector<sandbox::Listen>& kept) {
  for (const auto& listen : listens) {
    if (has_port(kept, listen)) continue;
    if (listen.protocol == sandbox::Protocol::tcp)
      stack_->tcp_unlisten(listen.port);
    else
      stack_->udp_unbind(listen.port);
  }
}

/// Listens on all of `listens`; what the app has from `before` it keeps, with its new place in the
/// list. All or nothing.
bool Worker::listen_all(sandbox::App& app, const std::vector<sandbox::Listen>& listens,
                        const std::vector<sandbox::Listen>& before, std::string& error) {
  for (uint32_t i = 0; i < listens.size(); i++) {
    const auto& listen = listens[i];
    const std::span earlier{listens.data(), i};
    const std::string name = listen.kind + " port " + std::to_string(listen.port);
    if (has_port(earlier, listen)) {
      error = name + " is there twice";
    } else if (listen.protocol == sandbox::Protocol::tcp ? stack_->tcp_listen(listen.port, app, i)
                                                         : stack_->udp_bind(listen.port, app, i)) {
      continue;
    } else {
      error = name + " is taken by another app, or the table of listeners is full";
    }
    restore_listens(app, {earlier.begin(), earlier.end()}, before);
    return false;
  }
  return true;
}

/// Listens as before again, after `added`.
void Worker::restore_listens(sandbox::App& app, const std::vector<sandbox::Listen>& added,
                             const std::vector<sandbox::Listen>& before) {
  unlisten_all(added, before);
  for (uint32_t i = 0; i < before.size(); i++) {
    if (before[i].protocol == sandbox::Protocol::tcp)
      stack_->tcp_listen(before[i].port, app, i);
    else
      stack_->udp_bind(before[i].port, app, i);
  }
}

bool Worker::deploy(sandbox::AppConfig config, std::shared_ptr<sandbox::Module> module,
                    uint64_t* app_counters, std::string& error) {
  auto found = std::find_if(apps_.begin(), apps_.end(),
                            [&](const auto& app) { return app->config().id == config.id; });
  if (!config_.tenant.empty() && config.tenant != config_.tenant) {
    error = "the port belongs to the tenant " + config_.tenant;
    return false;
  }
  auto listens = config.listens;
  if (found == apps_.end()) {
    auto app =
        sandbox::App::create(std::move(config), std::move(module),
                             {resources_.engine, *stack_, flows_, counters_, random_,
                              resources_.log, time_, ready_, config_.index, resources_.frames},
                             app_counters, error);
    if (!app || !listen_all(*app, listens, {}, error)) return false;
    app->start();
    apps_.push_back(std::move(app));
    return true;
  }
  sandbox::App& app = **found;
  auto before = app.config().listens;
  // Ports that it keeps are listened on all the time: connections to them are being opened.
  if (!listen_all(app, listens, before, error)) return false;
  if (!app.replace(std::move(config), std::move(module), error)) {
    restore_listens(app, listens, before);
    return false;
  }
  unlisten_all(before, listens);
  return true;
}

bool Worker::remove(uint32_t app_id) {
  auto found = std::find_if(apps_.begin(), apps_.end(),
                            [&](const auto& app) { return app->config().id == app_id; });
  if (found == apps_.end()) return false;
  unlisten_all((*found)->config().listens, {});
  (*found)->shut_down();
  std::erase(ready_, found->get());
  dying_.push_back(std::move(*found));
  apps_.erase(found);
  collect_dying();
  return true;
}

void Worker::collect_dying() {
  std::erase_if(dying_, [](const auto& app) { return app->releasable(); });
}

}  // namespace weir::worker
